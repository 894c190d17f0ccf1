//! What a run begins with: its weights, its update rule, and the base that an adapter stands beside.

use std::ops::Range;
use std::sync::Arc;

use engine::BaseWeights;
use formats::{Format, blzt};
use kernels::Cpu;
use model::{Layout, TensorId};
use train::optimizer::Optimizer;

use super::{Wired, optimizer};
use crate::config::{self, OptimizerKind, TrainConfig};
use crate::out::Out;
use crate::sample::weights;

/// Weights before the first step: those of the base, or new ones.
///
/// # Errors
/// Those of the base's files.
pub fn initial_params(wired: &Wired, layout: &Layout, seed: u64, cpu: &Cpu) -> anyhow::Result<Vec<f32>> {
    if let Some(adapter) = &wired.adapter {
        let base = adapter.base.as_base();
        let mut values = engine::init_adapter(layout, (&Layout::of(&wired.spec), base), seed);
        adapter.plan.start_magnitudes(cpu, base, &mut values);
        return Ok(values);
    }
    match &wired.base {
        Some(base) => load_base(base, wired, layout),
        None => Ok(engine::init(&wired.spec, layout, seed)),
    }
}

/// The update rule of a run, with the moments of the base where its file has those of Adam.
///
/// # Errors
/// Those of the base's file.
pub(super) fn optimizer_of(config: &TrainConfig, wired: &Wired, layout: &Layout, out: Out) -> anyhow::Result<Optimizer> {
    let idle = if wired.adapter.is_some() { Vec::new() } else { idle_rows(wired, layout) };
    let mut made = Optimizer::sparing(optimizer(config), layout, config.weight_decay, &idle);
    let base = wired.base.as_ref().filter(|base| base.format() == Format::Blzt && wired.adapter.is_none());
    let Some(base) = base.filter(|_| config.optimizer == OptimizerKind::Adamw) else { return Ok(made) };
    let Some(moments) = blzt::moments(base.path())? else { return Ok(made) };
    out.say(format!("going on with the moments of AdamW in {}, after {} updates", base.path().display(), moments.t));
    made.load_state(moments.t, |name, values| {
        let file = if name == "exp_avg" { &moments.first } else { &moments.second };
        // the state of AdamW is that of every weight in order, without the idle ones
        let all = load_base(file, wired, layout)?;
        let (starts, ends) = (idle.iter().map(|r| r.end), idle.iter().map(|r| r.start));
        let live = std::iter::once(0).chain(starts).zip(ends.chain([all.len()]));
        let mut at = 0;
        for (start, end) in live {
            values[at..at + end - start].copy_from_slice(&all[start..end]);
            at += end - start;
        }
        anyhow::Ok(())
    })?;
    Ok(made)
}

/// The weights of `base` over the ids of training, to be left as they are: where they lie in its file, unless something has to
/// have them in f32.
pub(super) fn frozen_base(base: &formats::Model, wired: &Wired, config: &TrainConfig, out: Out) -> anyhow::Result<BaseWeights> {
    let layout = Layout::of(&wired.spec);
    if config.device != config::Device::Cpu || config.lora_form == config::LoraForm::Merged {
        return Ok(BaseWeights::Flat(Arc::new(load_base(base, wired, &layout)?)));
    }
    let ids = &wired.data.vocab().full_of;
    let frozen = weights::frozen(base, &layout, (ids.len() < base.spec().vocab).then_some(&ids[..]))?;
    out.say(format!("the base is read where it lies: leave {} as it is until the run has ended", base.path().display()));
    Ok(frozen)
}

/// The weights of `base` over the ids of training.
fn load_base(base: &formats::Model, wired: &Wired, layout: &Layout) -> anyhow::Result<Vec<f32>> {
    let ids = &wired.data.vocab().full_of;
    if ids.len() < base.spec().vocab { Ok(base.load_rows(layout, ids)?) } else { Ok(base.load(layout)?) }
}

/// Rows of the embedding whose ids never occur, as ranges of the flat array. The classifier pushes against every id, so that
/// rows of a tied model are never idle.
fn idle_rows(wired: &Wired, layout: &Layout) -> Vec<Range<usize>> {
    let (table, d) = (layout.range(TensorId::Embed), wired.spec.dim);
    let mut idle: Vec<Range<usize>> = Vec::new();
    let counts = wired.data.vocab().counts.iter().enumerate();
    for (row, _) in counts.filter(|(_, n)| **n == 0 && !wired.spec.tied) {
        let start = table.start + row * d;
        match idle.last_mut() {
            Some(last) if last.end == start => last.end += d,
            _ => idle.push(start..start + d),
        }
    }
    idle
}
