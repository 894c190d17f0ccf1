//! Small models and folders for the tests of this crate.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};

use formats::hf::{self, WriteOptions};
use formats::{Dtype, SpecialIds, VocabRows, Written};
use model::{Family, Layout, ModelSpec, Rope, RopeScaling, SlidingWindow, preset};

/// A tiny model of each shape that the families have.
pub fn tiny_specs() -> Vec<(&'static str, ModelSpec)> {
    let llama = ModelSpec {
        family: Family::Llama,
        dim: 24,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        hidden: 40,
        vocab: 37,
        context: 64,
        rope: Rope::plain(10_000.0),
        no_rope: Vec::new(),
        norm_eps: 1e-5,
        tied: true,
        qkv_bias: false,
        o_bias: false,
        qk_norm: false,
        window: None,
        residual_scale: 1.0,
    };
    let llama3 = RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 32 };
    let window = |size, from_layer| Some(SlidingWindow { size, from_layer });
    let untied = ModelSpec { tied: false, ..llama.clone() };
    let qwen2 = ModelSpec { family: Family::Qwen2, qkv_bias: true, norm_eps: 1e-6, ..llama.clone() };
    let qwen3 = ModelSpec { family: Family::Qwen3, qk_norm: true, head_dim: 10, ..llama.clone() };
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        original_context: 16,
        beta_fast: 32.0,
        beta_slow: 0.5,
        attention_factor: RopeScaling::yarn_attention(4.0),
        truncate: false,
    };
    let smollm3 = ModelSpec { family: Family::SmolLm3, no_rope: vec![1], ..llama.clone() };
    vec![
        ("llama", llama.clone()),
        ("llama untied, biases", ModelSpec { qkv_bias: true, o_bias: true, ..untied.clone() }),
        ("llama 3 rope", ModelSpec { rope: Rope { theta: 500_000.0, scaling: llama3 }, ..untied.clone() }),
        (
            "llama linear rope",
            ModelSpec { rope: Rope { theta: 1e4, scaling: RopeScaling::Linear { factor: 2.0 } }, ..llama.clone() },
        ),
        ("mistral", ModelSpec { family: Family::Mistral, window: window(16, 0), ..untied.clone() }),
        ("mistral without window", ModelSpec { family: Family::Mistral, ..untied }),
        ("qwen2", qwen2.clone()),
        ("qwen2 window", ModelSpec { window: window(8, 1), ..qwen2 }),
        ("qwen3", qwen3.clone()),
        ("qwen3 untied, biases", ModelSpec { tied: false, qkv_bias: true, o_bias: true, ..qwen3 }),
        ("llama yarn", ModelSpec { rope: Rope { theta: 1e4, scaling: yarn }, ..llama }),
        ("smollm3", smollm3.clone()),
        (
            "smollm3 untied, biases, every layer rotated",
            ModelSpec { tied: false, qkv_bias: true, o_bias: true, no_rope: Vec::new(), ..smollm3 },
        ),
    ]
}

pub fn tiny() -> ModelSpec {
    tiny_specs().remove(0).1
}

pub fn preset_spec(name: &str) -> ModelSpec {
    preset(name).unwrap().spec
}

/// Values without a pattern that a mistake could keep.
pub fn weights(layout: &Layout) -> Vec<f32> {
    let noise = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 8;
    (0..layout.len()).map(|i| noise(i) as f32 / (1 << 24) as f32 - 0.5).collect()
}

pub fn special() -> SpecialIds {
    SpecialIds { bos: Some(1), eos: vec![2], pad: None }
}

pub fn write(dir: &Path, spec: &ModelSpec, weights: &[f32], dtype: Dtype, rows: Option<VocabRows>) -> Written {
    let compact = spec.with_vocab(rows.map_or(spec.vocab, |r| r.full_of.len()));
    let layout = Layout::of(&compact);
    let special = special();
    hf::write(dir, spec, &formats::flat(weights, &layout), &WriteOptions { dtype, special: &special, rows }).unwrap()
}

/// A folder with a tiny model, and its weights.
pub fn folder(spec: &ModelSpec) -> (tempfile::TempDir, Vec<f32>) {
    let dir = tempfile::tempdir().unwrap();
    let values = weights(&Layout::of(spec));
    write(dir.path(), spec, &values, Dtype::F32, None);
    (dir, values)
}

/// The folder of test data, or a loud line.
pub fn shared(what: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("AUTOANE_SHARED").map_or(beside, PathBuf::from);
    let path = root.join(what);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is not there (set AUTOANE_SHARED)", path.display());
    None
}
