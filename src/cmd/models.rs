//! `autoane models`: the presets and what they cost.

use model::{Layout, MemoryModel, Preset, flops_per_token};
use serde_json::{Value as Json, json};

use crate::out::{self, Out};

/// Prints the presets.
pub fn run(out: Out) -> anyhow::Result<()> {
    let presets = model::presets();
    let heading =
        ["name", "dim", "layers", "heads", "kv", "hidden", "vocab", "seq", "batch", "params", "FLOPs/token", "memory", "about"];
    out.table(&heading, &presets.iter().map(row).collect::<Vec<_>>())?;
    out.line("\nparams and memory with the vocabulary shown; data with fewer ids is compacted. FLOPs of training.")?;
    out.line("memory: weights, gradient, two moments of AdamW and an estimate of the activations of a step.")?;
    out.json(&json!({ "models": presets.iter().map(to_json).collect::<Vec<_>>() }))
}

/// Bytes of activations and scratch of a step: what the backward pass reads again, f32.
/// Per token and layer: two normed inputs and two residuals, q, k, v, the attention's output, gate, up and their product;
/// the gradients of one layer beside them; the classifier works on blocks of the vocabulary.
fn activation_bytes(preset: &Preset) -> usize {
    let s = &preset.spec;
    let per_layer = 4 * s.dim + s.qkv_dim() + s.q_dim() + 3 * s.hidden;
    let beside = 6 * s.dim + s.qkv_dim() + 3 * s.hidden + 4096;
    4 * preset.seq_len * preset.batch_size * (s.layers * per_layer + beside)
}

fn memory(preset: &Preset) -> usize {
    MemoryModel::dense(Layout::of(&preset.spec).len(), 2).total() + activation_bytes(preset)
}

fn row(preset: &Preset) -> Vec<String> {
    let s = &preset.spec;
    let sizes = [s.dim, s.layers, s.heads, s.kv_heads, s.hidden, s.vocab, preset.seq_len, preset.batch_size];
    let mut row = vec![preset.name.to_owned()];
    row.extend(sizes.map(|n| n.to_string()));
    row.push(out::count(Layout::of(s).len() as f64));
    row.push(out::count(flops_per_token(s, preset.seq_len).train));
    row.push(out::bytes(memory(preset) as u64));
    row.push(preset.about.to_owned());
    row
}

fn to_json(preset: &Preset) -> Json {
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
            "activations": activation_bytes(preset),
            "total": memory(preset),
        },
    })
}
