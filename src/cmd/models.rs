//! `autoane models`: the presets and what they cost.

use kernels::Cpu;
use model::{Layout, MemoryModel, Preset, flops_per_token};
use serde_json::{Value as Json, json};

use crate::config::TrainConfig;
use crate::out::{self, Out};
use crate::wire;

/// Prints the presets.
pub fn run(out: Out) -> anyhow::Result<()> {
    let presets = model::presets();
    let cpu = Cpu::new(meter::logical_cpus());
    let heading =
        ["name", "dim", "layers", "heads", "kv", "hidden", "vocab", "seq", "batch", "params", "FLOPs/token", "memory", "about"];
    out.table(&heading, &presets.iter().map(|p| row(p, &cpu)).collect::<Vec<_>>())?;
    out.line("\nparams and memory with the vocabulary shown; data with fewer ids is compacted. FLOPs of training.")?;
    out.line("memory: what `train` holds at its peak: weights, gradient, moments of AdamW, activations, scratch.")?;
    out.json(&json!({ "models": presets.iter().map(|p| to_json(p, &cpu)).collect::<Vec<_>>() }))
}

/// Bytes that training with the defaults of the preset holds beyond the program itself: what `train` foresees.
fn memory(preset: &Preset, cpu: &Cpu) -> u64 {
    let config = TrainConfig { seq_len: preset.seq_len, batch_size: preset.batch_size, ..TrainConfig::default() };
    wire::planned_bytes(&config, &preset.spec, cpu)
}

fn row(preset: &Preset, cpu: &Cpu) -> Vec<String> {
    let s = &preset.spec;
    let sizes = [s.dim, s.layers, s.heads, s.kv_heads, s.hidden, s.vocab, preset.seq_len, preset.batch_size];
    let mut row = vec![preset.name.to_owned()];
    row.extend(sizes.map(|n| n.to_string()));
    row.push(out::count(Layout::of(s).len() as f64));
    row.push(out::count(flops_per_token(s, preset.seq_len).train));
    row.push(out::bytes(memory(preset, cpu)));
    row.push(preset.about.to_owned());
    row
}

fn to_json(preset: &Preset, cpu: &Cpu) -> Json {
    let flops = flops_per_token(&preset.spec, preset.seq_len);
    let parts = MemoryModel::dense(Layout::of(&preset.spec).len(), 2);
    json!({
        "name": preset.name,
        "about": preset.about,
        "spec": preset.spec,
        "params": Layout::of(&preset.spec).len(),
        "seq_len": preset.seq_len,
        "batch_size": preset.batch_size,
        "learning_rate": f64::from(preset.learning_rate),
        "flops_per_token": { "forward": flops.forward, "train": flops.train },
        "memory_bytes": {
            "weights": parts.weights,
            "gradient": parts.gradient,
            "optimizer": parts.optimizer,
            "total": memory(preset, cpu),
        },
    })
}
