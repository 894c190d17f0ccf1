//! The table of settings: name, hint, help, and how the text of a value gets into and out of [`TrainConfig`].

use std::path::PathBuf;

use serde_json::Value as Json;

use super::TrainConfig;
use super::values::{self as v, Show};

/// One setting of a training run.
pub struct Setting {
    /// Name of the flag and key: `learning-rate`.
    pub key: &'static str,
    /// What stands for the value in help texts; empty for a switch.
    pub hint: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// Heading in help texts and tables.
    pub group: &'static str,
    /// The only values, if they are few.
    pub choices: &'static [&'static str],
    /// Reads and checks `text` into the configuration; the error says what was found and expected.
    pub set: fn(&mut TrainConfig, &str) -> Result<(), String>,
    /// The value as a boolean, number or string that `set` reads back unchanged.
    pub get: fn(&TrainConfig) -> Json,
}

impl Setting {
    /// Whether it is a switch.
    pub fn is_switch(&self) -> bool {
        self.hint.is_empty()
    }

    /// Its environment variable.
    pub fn variable(&self) -> String {
        format!("AUTOANE_{}", self.key.replace('-', "_").to_ascii_uppercase())
    }

    /// Whether `text` is a value of it.
    pub fn check(&self, text: &str) -> Result<(), String> {
        (self.set)(&mut TrainConfig::default(), text)
    }
}

/// The setting called `key`, in kebab or snake case.
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key || s.key.replace('-', "_") == key)
}

macro_rules! row {
    ($group:ident, $key:literal, $field:ident, $hint:literal, $about:literal, $parse:expr) => {
        row!($group, $key, $field, $hint, $about, $parse, &[])
    };
    ($group:ident, $key:literal, $field:ident, $hint:literal, $about:literal, $parse:expr, $choices:expr) => {
        Setting {
            key: $key,
            hint: $hint,
            about: $about,
            group: $group,
            choices: $choices,
            set: |config, text| {
                config.$field = ($parse)(text)?;
                Ok(())
            },
            get: |config| config.$field.json(),
        }
    };
}

fn path(text: &str) -> Result<Option<PathBuf>, String> {
    v::optional(text, |t| v::text(t).map(PathBuf::from))
}

fn budget(text: &str) -> Result<Option<u64>, String> {
    v::optional(text, |t| v::integer(t, 1, v::MAX_COUNT))
}

fn time(text: &str) -> Result<Option<std::time::Duration>, String> {
    let wanted = || format!("found `{text}`, expected more than no time");
    v::optional(text, |t| v::duration(t).and_then(|d| if d.is_zero() { Err(wanted()) } else { Ok(d) }))
}

const MODEL: &str = "Model and data";
const BUDGET: &str = "Budget and shape of a step";
const OPTIM: &str = "Optimization";
const LORA: &str = "Adapters";
const ZO: &str = "Zeroth-order methods";
const WATCH: &str = "Evaluation and checkpoints";
const MACHINE: &str = "Machine";

fn ane_chip(text: &str) -> Result<String, String> {
    text.parse::<ane::sim::Profile>().map(|_| text.to_owned())
}

fn lora_targets(text: &str) -> Result<String, String> {
    let wanted = "all, attention, ffn, or q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj";
    match model::AdapterTarget::parse_list(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(word) => Err(format!("found `{word}`, expected {wanted}, between commas")),
    }
}

/// Largest window and batch: far beyond what one machine trains on, and small enough that products do not overflow.
const MAX_SIZE: usize = 1 << 24;

/// Every setting, in the order in which help texts and tables show them.
#[rustfmt::skip] // one row a setting reads as the table that it is
pub static SETTINGS: &[Setting] = &[
    row!(MODEL, "model", model, "MODEL", "auto, a preset (see `autoane models`), or the path of a model", v::text),
    row!(MODEL, "model-config", model_config, "FILE", "Shape of a new model: a config.json in the form of Hugging Face", path),
    row!(MODEL, "data", data, "DATA", "stories, tinystories, a .txt/.jsonl file or folder (lines with `text`, with `prompt` and `completion`, or with `messages`: loss on completions and replies alone), a token file (.bin) or a prepared folder", v::text),
    row!(MODEL, "tokenizer", tokenizer, "PATH", "tokenizer.json, a folder with one, GGUF, or llama2.c's tokenizer.bin [default: the model's, else trained on the data]", path),
    row!(MODEL, "template", template, "FILE", "Chat template of data with `messages` [default: the tokenizer's]", path),
    row!(MODEL, "vocab-size", vocab_size, "N", "Ids of a raw token file, or of the tokenizer that is trained on the data [default: 4096]", |t| v::optional(t, |t| v::size(t, 2, MAX_SIZE))),
    row!(MODEL, "token-width", token_width, "TYPE", "Type of the tokens of a raw token file [default: auto]", v::TokenWidth::parse, v::TokenWidth::NAMES),
    row!(MODEL, "compact-vocab", compact_vocab, "", "Train the classifier over the ids that occur; exports carry the full vocabulary [default: on]", v::switch),
    row!(MODEL, "data-order", data_order, "ORDER", "Order of the training windows [default: shuffled]", v::DataOrder::parse, v::DataOrder::NAMES),
    row!(MODEL, "packing", packing, "HOW", "Windows of the token stream, or of whole documents that do not see each other [default: stream; documents for data with `prompt` or `messages`]", v::Packing::parse, v::Packing::NAMES),
    row!(MODEL, "val-fraction", val_fraction, "F", "Share of the tokens that is held out; 0 trains on all of them [default: 0.1]", |t| v::real(t, 0.0, 0.9)),
    row!(MODEL, "val-tokens", val_tokens, "N", "Tokens of the fixed validation windows [default: 32768]", |t| v::size(t, 1, usize::MAX >> 1)),
    row!(MODEL, "residual-scale", residual_scale, "A", "Factor on both branches of every block [default: the model's]", |t| v::optional(t, |t| v::positive(t, 1e6))),
    row!(MODEL, "rope-theta", rope_theta, "T", "Base of the rotations, for a new model or a file that does not say it [default: the model's]", |t| v::optional(t, |t| v::positive(t, 1e12))),
    row!(MODEL, "norm-eps", norm_eps, "E", "Epsilon of the norms, likewise [default: the model's]", |t| v::optional(t, |t| v::positive(t, 0.5))),
    row!(MODEL, "out", out, "DIR", "Run folder [default: runs/NAME]", path),
    row!(BUDGET, "steps", steps, "N", "Stop after N optimizer steps", budget),
    row!(BUDGET, "tokens", tokens, "N", "Stop after N training tokens (10M, 500k); those without loss do not count", budget),
    row!(BUDGET, "max-time", max_time, "TIME", "Stop after this time of training, evaluations and samples not counted (90s, 5m, 1h30m) [default: 120s without --steps and --tokens]", time),
    row!(BUDGET, "seq-len", seq_len, "N", "Tokens a window [default: the preset's]", |t| v::size(t, 1, MAX_SIZE)),
    row!(BUDGET, "batch-size", batch_size, "N", "Windows a pass [default: the preset's]", |t| v::size(t, 1, MAX_SIZE)),
    row!(BUDGET, "accumulate", accumulate, "N", "Passes an optimizer step [default: 1]", |t| v::size(t, 1, MAX_SIZE)),
    row!(OPTIM, "learning-rate", learning_rate, "LR", "Peak learning rate [default: the preset's]", |t| v::positive(t, 1e3)),
    row!(OPTIM, "schedule", schedule, "NAME", "Learning rate over the budget [default: cosine]", v::Schedule::parse, v::Schedule::NAMES),
    row!(OPTIM, "warmup", warmup, "LENGTH", "Steps (100), time (10s) or share of the budget (5%) [default: 5%]", v::warmup),
    row!(OPTIM, "min-lr-ratio", min_lr_ratio, "R", "Last learning rate as a share of the peak [default: 0.1]", |t| v::single(t, 0.0, 1.0)),
    row!(OPTIM, "optimizer", optimizer, "NAME", "Update rule [default: adamw]", v::OptimizerKind::parse, v::OptimizerKind::NAMES),
    row!(OPTIM, "weight-decay", weight_decay, "W", "Decoupled decay of matrices and the embedding [default: 0.1]", |t| v::single(t, 0.0, 1e3)),
    row!(OPTIM, "beta1", beta1, "B", "Decay of Adam's first moment [default: 0.9]", v::below_one),
    row!(OPTIM, "beta2", beta2, "B", "Decay of Adam's second moment [default: 0.95]", v::below_one),
    row!(OPTIM, "momentum", momentum, "M", "Momentum of muon [default: 0.95] and sgd [default: 0]", v::below_one),
    row!(OPTIM, "clip-norm", clip_norm, "N", "Largest gradient norm; 0 does not clip [default: 1]", |t| v::single(t, 0.0, 1e30)),
    row!(OPTIM, "method", method, "NAME", "Gradient estimator [default: backprop]", v::Method::parse, v::Method::NAMES),
    row!(ZO, "mezo-eps", mezo_eps, "E", "How far beside the weights losses are measured [default: 1e-3]", |t| v::positive(t, 1e3)),
    row!(ZO, "objective", objective, "WHAT", "What is made small: the loss, or predicted tokens or whole answers that greedy decoding misses [default: loss]", v::ObjectiveKind::parse, v::ObjectiveKind::NAMES),
    row!(ZO, "zo-directions", zo_directions, "N", "Directions that a step looks along; of p-gap those that settle its bases [default: 1; fzoo 8, p-gap 10, zo-muon 4, agzo 2]", |t| v::size(t, 1, 1024)),
    row!(ZO, "zo-distribution", zo_distribution, "NAME", "Elements of a direction: normal, or -1 and 1 [default: rademacher]", v::ZoDistribution::parse, v::ZoDistribution::NAMES),
    row!(ZO, "zo-sparsity", zo_sparsity, "F", "Share of each tensor, the largest weights, that sparse-mezo leaves alone [default: 0.75]", |t| v::real(t, 0.0, 0.999)),
    row!(ZO, "zo-hessian", zo_hessian, "A", "Weight of a step in hizoo's mean of the Hessian [default: 1e-6]", |t| v::real(t, 0.0, 1.0)),
    row!(ZO, "zo-rank", zo_rank, "N", "Rank of the directions of lozo, p-gap, agzo and zo-muon [default: 2; p-gap 8]", |t| v::size(t, 1, 256)),
    row!(ZO, "zo-interval", zo_interval, "N", "Steps that a factor of them stays for, and p-gap's bases [default: 50; p-gap and zo-muon 100]", |t| v::integer(t, 1, v::MAX_COUNT)),
    row!(ZO, "zo-delta", zo_delta, "D", "How much p-gap's directions have along the gradient, squared; other directions have 1; it falls to 0 over the run [default: 2]", |t| v::real(t, 0.0, 1e6)),
    row!(ZO, "zo-angle", zo_angle, "RAD", "Half the opening of conmezo's cone [default: 1.35]", |t| v::real(t, 0.0, std::f64::consts::FRAC_PI_2)),
    row!(ZO, "zo-momentum", zo_momentum, "M", "Decay of the mean of estimates that it lies around [default: 0.95]", v::below_one),
    row!(LORA, "ff-corrupt", ff_corrupt, "F", "Share of the tokens that --method ff replaces in the text that it learns to tell from real text [default: 0.3]", |t| v::single(t, 0.01, 0.95)),
    row!(LORA, "lora", lora, "", "Train a low-rank adapter; the weights of the model are frozen [default: off]", v::switch),
    row!(LORA, "lora-rank", lora_rank, "N", "Rank of the adapter [default: 8]", |t| v::size(t, 1, 4096)),
    row!(LORA, "lora-alpha", lora_alpha, "A", "The adapter is scaled by alpha / rank [default: 16]", |t| v::positive(t, 1e6)),
    row!(LORA, "lora-targets", lora_targets, "NAMES", "Matrices that it adapts: all, attention, ffn, or names (q_proj,v_proj) [default: all]", lora_targets),
    row!(LORA, "lora-form", lora_form, "FORM", "Beside the weights, or multiplied out into a copy of them [default: split]", v::LoraForm::parse, v::LoraForm::NAMES),
    row!(LORA, "lora-rslora", lora_rslora, "", "Scale by alpha / sqrt(rank) [default: off]", v::switch),
    row!(LORA, "lora-norms", lora_norms, "", "Train the gains of the norms too [default: off]", v::switch),
    row!(WATCH, "eval-every", eval_every, "WHEN", "Evaluate every so many steps (100) or after this time (30s); never [default: 30s]", v::every),
    row!(WATCH, "save-every", save_every, "WHEN", "Save a checkpoint likewise; the last step is always saved [default: 120s]", v::every),
    row!(WATCH, "keep", keep, "N", "Checkpoints to keep beside the best and the last [default: 2]", |t| v::size(t, 0, MAX_SIZE)),
    row!(WATCH, "sample-every", sample_every, "WHEN", "Write a sample of text likewise [default: 60s]", v::every),
    row!(WATCH, "early-stop", early_stop, "N", "Stop after N evaluations without an improvement beyond the standard error [default: off]", |t| v::optional(t, |t| v::size(t, 1, MAX_SIZE))),
    row!(WATCH, "report-to", report_to, "NAME", "Send events to this tracker too, through its Python package; offline unless its own variables say otherwise [default: none]", v::Tracking::parse, v::Tracking::NAMES),
    row!(MACHINE, "device", device, "NAME", "Where the arithmetic runs [default: cpu]", v::Device::parse, v::Device::NAMES),
    row!(MACHINE, "pipeline", pipeline, "NAME", "Blocks that run on the Neural Engine [default: dynamic]", str::parse::<ane::Pipeline>, ane::Pipeline::NAMES),
    row!(MACHINE, "ane-kernels", ane_kernels, "SET", "Kernels of a pipeline: ours, or those of the published systems [default: fused]", str::parse::<ane::KernelForm>, ane::KernelForm::NAMES),
    row!(MACHINE, "ane-weights", ane_weights, "WHERE", "Weights of a dynamic pipeline: beside the activations, or parameters of their own [default: packed]", str::parse::<ane::WeightForm>, ane::WeightForm::NAMES),
    row!(MACHINE, "ane-layers", ane_layers, "N", "Layers whose forward pass is one program, in static pipelines [default: 1]", |t| v::size(t, 1, 64)),
    row!(MACHINE, "ane-int8", ane_int8, "", "Weights and activations of convolutions in 8 bits [default: off]", v::switch),
    row!(MACHINE, "ane-chip", ane_chip, "CHIP", "Chip that --device ane-sim simulates: m1 to m5, and words such as strict [default: m4]", ane_chip),
    row!(MACHINE, "ane-numerics", ane_numerics, "HOW", "Arithmetic of --device ane-sim: rounded to fp16, or as measured on the hardware [default: exact]", v::AneNumerics::parse, v::AneNumerics::NAMES),
    row!(MACHINE, "ane-probe", ane_probe, "WHEN", "Compare kernels with the simulator before their first use, once for each machine [default: hardware]", v::AneProbe::parse, v::AneProbe::NAMES),
    row!(MACHINE, "threads", threads, "N", "Worker threads [default: all; with --polite half of them]", |t| v::optional(t, |t| v::size(t, 1, 1024))),
    row!(MACHINE, "polite", polite, "", "Train while the machine is used: lower priority, half the threads, a wait on battery and in heat; the weights are the same [default: off]", v::switch),
    row!(MACHINE, "speed", speed, "F", "Share of the time that is worked, 0.5 or 50%; between steps it sleeps, which is no part of --max-time [default: 1]", v::share),
    row!(MACHINE, "recompute", recompute, "", "Recompute activations in the backward pass: less memory, more time [default: off]", v::switch),
    row!(MACHINE, "isa", isa, "NAME", "Instruction set of the kernels [default: auto]", v::IsaChoice::parse, v::IsaChoice::NAMES),
    row!(MACHINE, "seed", seed, "N", "Seed of weights, data order and samples [default: 42]", |t| v::integer(t, 0, v::MAX_COUNT)),
];
