//! [`OnDevice`]: the units of a pipeline, kept up to date with the weights, and what happens when one of them fails.
//!
//! Whatever fails, nothing is lost: the part at hand is computed on the CPU, and so is everything that the failed unit would
//! have done later. A value that fp16 cannot hold ends the use of the device for the whole run.

mod ahead;
mod attention;
mod blocks;
mod projections;

use engine::{DeviceReport, Ready};

use crate::kernels::weights::Model;
use crate::probe::{Checks, Verdict};
use crate::sim::Profile;
use crate::unit::{self, Common, Failure, In, Out, To, Unit};
use crate::{BlockShape, Device, PipelineOptions, kernels};

/// Kernels that compute attention.
const ATTENTION: [&str; 7] = ["fwd_attn", "attn_fwd", "sdpa_fwd", "attn_bwd", "sdpa_bwd1", "sdpa_bwd2", "layers_fwd"];

/// Whether the kernels of attention compute that of `spec`; what they cannot do else.
fn whole_attention(spec: &model::ModelSpec) -> Result<(), &'static str> {
    match spec {
        s if s.qkv_bias || s.o_bias => Err("the model has biases, which the kernels do not add"),
        s if s.qk_norm => Err("the model norms queries and keys, which the kernels do not"),
        s if s.window.is_some() => Err("the model attends to a window, and the kernels' mask is causal alone"),
        s if !s.no_rope.is_empty() => Err("some layers do not rotate, and the kernels are the same for all"),
        _ => Ok(()),
    }
}

/// Bytes of all surfaces of a pipeline for a model, where ports are laid out as `profile` says; 0 where it has no kernels for
/// the model.
pub fn planned_surface_bytes(spec: &model::ModelSpec, seq: usize, options: &PipelineOptions, profile: &Profile) -> u64 {
    let set = kernels::set(&options.of_layers(spec.layers), &BlockShape::of(spec, seq));
    set.ok().and_then(|set| unit::surface_bytes(&set.specs, spec.layers, profile)).unwrap_or(0)
}

/// Blocks of a walk on a device, those of them that its pipeline takes.
pub struct OnDevice<D: Device> {
    device: D,
    options: PipelineOptions,
    layers: usize,
    seq: usize,
    units: Vec<Unit<D>>,
    common: Common<D>,
    notes: Vec<String>,
    /// How kernels are tried before their first use.
    checks: Option<Checks>,
    /// Whether weights were ever put in place.
    opened: bool,
    /// Whether a value beyond fp16 ended the use of the device.
    overflowed: bool,
    /// Layers whose forward attention ran on the device: their log-sum-exps are not known.
    without_lse: Vec<bool>,
    /// What a program of several layers made of the batch at hand.
    ahead: Vec<ahead::Ahead>,
}

impl<D: Device> OnDevice<D> {
    /// The kernels of a pipeline for windows of `seq` tokens; nothing is compiled yet.
    pub fn new(device: D, spec: &model::ModelSpec, seq: usize, options: PipelineOptions) -> OnDevice<D> {
        let mut notes = Vec::new();
        let (asked, options) = (options.layers_per_program, options.of_layers(spec.layers));
        if options.layers_per_program != asked {
            let (layers, span) = (spec.layers, options.layers_per_program);
            notes.push(format!("{layers} layers do not divide into programs of {asked}: {span} a program"));
        }
        let specs = match kernels::set(&options, &BlockShape::of(spec, seq)) {
            Ok(set) => set.specs,
            Err(error) => {
                notes.push(format!("{}: {error}: every block runs on the CPU", options.pipeline));
                Vec::new()
            }
        };
        let plain = whole_attention(spec);
        if let Err(why) = plain {
            notes.push(format!("{why}: attention runs on the CPU"));
        }
        let plain = plain.is_ok();
        OnDevice {
            device,
            options,
            layers: spec.layers,
            seq,
            units: specs.into_iter().filter(|s| plain || !ATTENTION.contains(&s.name)).map(Unit::new).collect(),
            common: Common::default(),
            notes,
            checks: None,
            opened: false,
            overflowed: false,
            without_lse: vec![false; spec.layers],
            ahead: Vec::new(),
        }
    }

    /// Kernels by name, and why one is not used.
    pub fn kernels(&self) -> impl Iterator<Item = (&'static str, Option<&str>)> {
        self.units.iter().map(|u| (u.spec.name, u.off.as_deref()))
    }

    /// Whether a value beyond fp16 ended the use of the device.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Uses the device no more, for the reason given.
    pub fn give_up(&mut self, why: &str) {
        self.overflowed = true;
        self.units.iter_mut().for_each(|unit| unit.close(why));
        self.common.weights.clear();
        self.common.compiled.clear();
    }

    /// Kernels that are not used any more.
    pub(crate) fn excluded(&self) -> Vec<String> {
        self.units.iter().filter(|u| u.off.is_some()).map(|u| u.spec.name.to_owned()).collect()
    }

    /// Does not use the kernel `name`, for the reason given.
    pub fn exclude(&mut self, name: &str, why: &str) {
        for unit in self.units.iter_mut().filter(|u| u.spec.name == name) {
            unit.close(why);
            self.notes.push(format!("{name}: {why}: on the CPU"));
        }
    }

    /// Compares each kernel with a reference before its first use, unless it is known how that went; what does not agree is
    /// left to the CPU.
    pub fn check_with(&mut self, checks: Checks) {
        self.checks = Some(checks);
    }

    /// Judges every kernel once, on the weights of the first layer.
    fn check_kernels(&mut self, model: &Model<'_>) {
        let Some(mut checks) = self.checks.take() else { return };
        let reference = checks.reference.describe();
        for unit in self.units.iter_mut().filter(|u| u.off.is_none()) {
            let verdict = checks.judge(&self.device, (&unit.spec, unit.text(&self.device)), model);
            if matches!(verdict, Verdict::Passed { .. }) {
                continue;
            }
            self.notes.push(format!("{} beside {reference}: {verdict}: its blocks run on the CPU", unit.spec.name));
            unit.close(&verdict.to_string());
        }
    }

    /// Puts new weights in place; those of a `frozen` base only once.
    pub(crate) fn refresh(&mut self, model: &Model<'_>, frozen: bool) -> Ready {
        if self.opened && (frozen || self.options.pipeline.freezes_base()) {
            return Ready::Now;
        }
        let needed: u64 = self.units.iter().filter(|u| u.off.is_none()).map(|u| u.programs(self.layers)).sum();
        if self.opened && self.device.compiles_left().is_some_and(|left| left < needed) {
            return Ready::AfterRestart;
        }
        if !self.opened {
            if let Some(left) = self.device.compiles_left().filter(|left| *left < needed) {
                let fewer = "a dynamic pipeline, or several layers in one program, needs fewer";
                self.notes.push(format!("an update compiles {needed} programs, and a process may compile {left}: {fewer}"));
            }
            self.check_kernels(model);
        }
        self.opened = true;
        self.common.weights.values_mut().for_each(|(_, written)| *written = false);
        for i in 0..self.units.len() {
            if self.units[i].off.is_some() {
                continue;
            }
            if let Err(failure) = self.units[i].refresh(&self.device, model, self.layers, &mut self.common) {
                self.fail(i, 0, &failure);
            }
        }
        Ready::Now
    }

    /// Where the kernel `name` is among the units, if it is used.
    fn unit(&self, name: &str) -> Option<usize> {
        self.units.iter().position(|u| u.spec.name == name && u.off.is_none())
    }

    fn has(&self, name: &str) -> bool {
        self.unit(name).is_some()
    }

    /// One dispatch of the kernel `name`; false when there is none, or it failed.
    fn run(&mut self, name: &str, layer: usize, ins: &[In<'_>], outs: &[Out], to: &mut [To<'_>]) -> bool {
        let Some(i) = self.unit(name) else { return false };
        match self.units[i].run(layer, ins, outs, to, &mut self.common) {
            Ok(()) => true,
            Err(failure) => {
                self.fail(i, layer, &failure);
                false
            }
        }
    }

    /// Copies fields of the last output of `from` to where `next` reads them.
    fn hand_over(&mut self, from: &str, next: &str, layer: usize, fields: &[&str]) -> bool {
        let (Some(i), Some(j)) = (self.unit(from), self.unit(next)) else { return false };
        match self.units[i].hand_over(&self.units[j], layer, fields, &mut self.common.costs) {
            Ok(()) => true,
            Err(failure) => {
                self.fail(i, layer, &failure);
                false
            }
        }
    }

    fn fail(&mut self, unit: usize, layer: usize, failure: &Failure) {
        let name = self.units[unit].spec.name;
        if *failure == Failure::Overflow {
            let why = format!("{name} of layer {layer}: {failure}");
            self.notes.push(format!("{why}: every block runs on the CPU from here on"));
            self.give_up(&why);
        } else {
            self.notes.push(format!("{name} of layer {layer}: {failure}: its blocks run on the CPU from here on"));
            self.units[unit].close(&failure.to_string());
        }
    }

    /// What the user should know since the last call.
    pub(crate) fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// What the device did.
    pub(crate) fn report(&self) -> DeviceReport {
        let (counters, costs) = (self.device.counters(), &self.common.costs);
        DeviceReport {
            device: self.device.describe(),
            compiles: counters.compiles,
            dispatches: costs.dispatches,
            surface_bytes: counters.surface_bytes,
            staged_bytes: costs.staged_bytes,
            read_bytes: costs.read_bytes,
            flops: costs.flops,
            compile_seconds: costs.compile_seconds,
            stage_seconds: costs.stage_seconds,
            evaluate_seconds: costs.evaluate_seconds,
            read_seconds: costs.read_seconds,
            modelled: counters.modelled.then_some((counters.compile_seconds, counters.evaluate_seconds)),
            peak_flops: self.device.peak_flops(),
        }
    }

    /// Where each block of the walk runs: for people.
    pub fn placement(&self) -> Vec<(&'static str, String)> {
        let by = |groups: &[&[&'static str]]| {
            let whole = groups.iter().find(|group| group.iter().all(|name| self.has(name)));
            whole.map_or_else(|| "cpu".to_owned(), |group| format!("device: {}", group.join(", ")))
        };
        vec![
            ("projections, forward", by(projections::FORWARD)),
            ("attention block, forward", by(&[&["layers_fwd"], &["fwd_attn"], &["attn_fwd"], &["sdpa_fwd"]])),
            ("ffn block, forward", by(&[&["layers_fwd"], &["fwd_ffn"], &["ffn_fwd"], &["ffn_fused"], &["ffn_conv"]])),
            ("ffn block, dx", by(&[&["ffn_bwd"], &["ffn_bwd_w2t", "ffn_bwd_w13t"]])),
            ("attention block, dx", by(&[&["attn_bwd"], &["sdpa_bwd1", "sdpa_bwd2"]])),
            ("projections, dx", by(&[&["qkv_bwd"], &["q_bwd", "kv_bwd"]])),
            ("norms, dx", by(&[&["attn_norm_bwd", "ffn_norm_bwd"]])),
            ("final norm", by(&[&["final_norm"]])),
            ("classifier", by(&[&["classifier"]])),
            ("softmax", by(&[&["softmax"]])),
            ("dW, embedding, loss, optimizer", "cpu".to_owned()),
        ]
    }
}
