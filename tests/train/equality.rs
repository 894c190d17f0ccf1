//! Three numbers that must be one: the loss that a method sees while it trains, that of the adapter that it saved over its base,
//! and that of the model that the two make. In the original the weights in training were base + 2 B A, those saved base + B A.

use std::fs;

use crate::common::{Bench, program, text, tokens, write_tokens};

/// Every method that trains an adapter, and what it needs beside the rest.
const METHODS: [(&str, &[&str]); 12] = [
    ("backprop", &[]),
    ("mezo", &["--zo-directions", "2"]),
    ("fzoo", &[]),
    ("sparse-mezo", &[]),
    ("hizoo", &[]),
    ("lozo", &[]),
    ("conmezo", &[]),
    ("p-gap", &["--zo-directions", "3", "--zo-interval", "2"]),
    ("agzo", &[]),
    ("zo-muon", &["--optimizer", "sgd", "--learning-rate", "0.3"]),
    ("dszo", &[]),
    ("ff", &[]),
];

/// Steps before the one whose loss is looked at; a step reads two windows of 16 tokens in the order of the file.
const BEFORE: usize = 4;

struct Case {
    bench: Bench,
    /// Loss of the base on the windows of the last step.
    base: f64,
}

impl Case {
    fn new() -> Case {
        let bench = Bench::new();
        bench.train("base", &["--steps", "30", "--no-compact-vocab", "--learning-rate", "1e-2"]);
        let all = tokens(6000, 97);
        let first = BEFORE * 2 * 16;
        write_tokens(&bench.path("step.bin"), &all[first..=first + 32]);
        let mut case = Case { bench, base: 0.0 };
        case.base = case.loss(&["base"]);
        case
    }

    /// Of a model on the windows of the last step.
    fn loss(&self, model: &[&str]) -> f64 {
        let shared = ["--data", "step.bin", "--seq-len", "16", "--val-fraction", "1", "--json"];
        let output = program().arg("eval").args(model).args(shared).current_dir(self.bench.dir.path()).output().unwrap();
        assert!(output.status.success(), "{model:?}: {}", text(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["loss"].as_f64().unwrap()
    }

    /// The three losses; the first is that of the last step, whose weights were saved the step before.
    fn losses(&self, method: &str, more: &[&str]) -> [f64; 3] {
        let out = format!("run-{}", fs::read_dir(self.bench.dir.path()).unwrap().count());
        let steps = (BEFORE + 1).to_string();
        let mut command = program();
        command.args(["train", "base", "--data", "tokens.bin", "--data-order", "sequential", "--out", &out, "--steps", &steps]);
        command.args(["--seq-len", "16", "--batch-size", "2", "--lora", "--lora-rank", "4", "--method", method, "--json"]);
        command.args(["--save-every", &BEFORE.to_string(), "--keep", "9", "--eval-every", "never", "--sample-every", "never"]);
        // far enough that twice the adapter is another model, near enough that both points of a probe are the same one
        if !more.contains(&"--optimizer") {
            command.args(["--optimizer", "adamw", "--learning-rate", "3e-2"]);
        }
        if !["backprop", "ff"].contains(&method) {
            command.args(["--mezo-eps", "1e-4"]);
        }
        command.args(["--schedule", "constant", "--warmup", "0", "--clip-norm", "0", "--threads", "1"]).args(more);
        let output = command.current_dir(self.bench.dir.path()).output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success() && !said.contains("warning"), "{method} {more:?}: {said}");
        let steps = self.bench.steps(&out);
        let saved = format!("{out}/checkpoints/step-{BEFORE:08}");
        let adapter = format!("{saved}/adapter");
        [steps[BEFORE]["loss"].as_f64().unwrap(), self.loss(&[&adapter, "--base", "base"]), self.loss(&[&saved])]
    }

    /// Holds each method's losses against each other; `near` is what the arithmetic of the device may do.
    fn check(&self, device: &[&str], methods: &[&str], near: f64) {
        for (method, more) in METHODS.iter().filter(|(name, _)| methods.is_empty() || methods.contains(name)) {
            let [training, reloaded, merged] = self.losses(method, &[device, more].concat());
            let of = format!(
                "{method} {device:?}: {training} in training, {reloaded} reloaded, {merged} merged, {} without",
                self.base
            );
            assert!((merged - self.base).abs() > 20.0 * near, "the adapter is too small to tell: {of}");
            assert!((reloaded - merged).abs() < 1e-5, "{of}");
            assert!((training - merged).abs() < near, "{of}");
        }
    }
}

#[test]
fn the_loss_in_training_is_that_of_what_is_saved_and_of_what_is_exported_for_every_method() {
    Case::new().check(&[], &[], 2e-4);
}

/// On every pipeline, with every matrix adapted and with those of the attention alone, so that kernels of whole blocks are used
/// too. What the original never computed there (projections of matmul-only) would show.
fn on_device(pipeline: &str, targets: &str) {
    let case = Case::new();
    let device = ["--device", "ane-sim", "--pipeline", pipeline, "--lora-targets", targets];
    // one for each way through the engine: backward, both points, points after each block, inputs seen, local
    case.check(&device, &["backprop", "mezo", "fzoo", "agzo", "dszo", "ff"], 1e-3);
}

#[test]
fn so_it_is_on_conv() {
    on_device("conv", "all");
}

#[test]
fn so_it_is_on_conv_fused() {
    on_device("conv-fused", "all");
    on_device("conv-fused", "attention");
}

#[test]
fn so_it_is_on_matmul_only() {
    on_device("matmul-only", "all");
}

#[test]
fn so_it_is_on_the_dynamic_pipelines() {
    on_device("dynamic", "all");
    on_device("dynamic-cpu-bwd", "attention");
}

#[test]
fn so_it_is_on_the_static_pipelines() {
    on_device("static", "attention");
    on_device("static-extras", "all");
}
