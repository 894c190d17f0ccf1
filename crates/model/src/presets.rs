//! Named configurations: those of the published studies, and a ladder of small models for `auto`.

use crate::{Family, ModelSpec, Rope};

/// A named configuration with the training shape that suits it.
#[derive(Clone, Debug)]
pub struct Preset {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The model.
    pub spec: ModelSpec,
    /// Tokens a training window.
    pub seq_len: usize,
    /// Windows an optimizer step.
    pub batch_size: usize,
    /// Peak learning rate of AdamW.
    pub learning_rate: f32,
}

/// Names of the presets that `auto` chooses among, by size.
pub const LADDER: [&str; 6] = ["stories-1m", "stories-2m", "stories-4m", "stories-8m", "stories-16m", "stories-32m"];

/// The preset called `name`.
pub fn preset(name: &str) -> Option<Preset> {
    presets().into_iter().find(|p| p.name == name)
}

/// Every preset, the ladder first.
pub fn presets() -> Vec<Preset> {
    let mut all = ladder();
    all.extend(published());
    all
}

fn llama(dim: usize, layers: usize, heads: usize, kv_heads: usize, hidden: usize, vocab: usize) -> ModelSpec {
    ModelSpec {
        family: Family::Llama,
        dim,
        layers,
        heads,
        kv_heads,
        head_dim: dim / heads,
        hidden,
        vocab,
        context: 2048,
        rope: Rope::plain(10_000.0),
        no_rope: Vec::new(),
        norm_eps: 1e-5,
        tied: true,
        qkv_bias: false,
        o_bias: false,
        qk_norm: false,
        window: None,
        residual_scale: 1.0,
    }
}

/// Small models for the built-in corpus; the vocabulary is replaced by that of the data.
fn ladder() -> Vec<Preset> {
    let about = "ladder of `auto`: small stories, minutes of training";
    let rung = |name, dim, layers, heads, kv_heads, hidden, learning_rate| Preset {
        name,
        about,
        spec: ModelSpec { context: 512, ..llama(dim, layers, heads, kv_heads, hidden, 4096) },
        seq_len: 256,
        batch_size: 4,
        learning_rate,
    };
    vec![
        rung(LADDER[0], 128, 4, 4, 2, 352, 3e-3),
        rung(LADDER[1], 160, 6, 5, 5, 448, 2.7e-3),
        rung(LADDER[2], 256, 4, 4, 2, 704, 2.1e-3),
        rung(LADDER[3], 320, 6, 5, 5, 864, 1.9e-3),
        rung(LADDER[4], 448, 6, 7, 7, 1216, 1.6e-3),
        rung(LADDER[5], 576, 8, 9, 3, 1536, 1.4e-3),
    ]
}

/// Configurations of the published studies and released models.
fn published() -> Vec<Preset> {
    let released = |theta, context, spec: ModelSpec| ModelSpec { rope: Rope::plain(theta), context, ..spec };
    let qwen3 = ModelSpec {
        family: Family::Qwen3,
        head_dim: 128,
        norm_eps: 1e-6,
        qk_norm: true,
        ..llama(1024, 28, 16, 8, 3072, 151_936)
    };
    let row =
        |name, about, spec, seq_len, batch_size, learning_rate| Preset { name, about, spec, seq_len, batch_size, learning_rate };
    vec![
        row("stories-36m", "512d/4L of the autosearch study", llama(512, 4, 8, 2, 1408, 49_152), 128, 4, 1e-3),
        row("scaling-1024", "1024d/4L of the scaling study", llama(1024, 4, 16, 4, 2816, 49_152), 256, 4, 5e-4),
        row("scaling-1536", "1536d/4L of the scaling study", llama(1536, 4, 24, 6, 4224, 49_152), 256, 4, 4e-4),
        row("scaling-2048", "2048d/4L of the scaling study", llama(2048, 4, 32, 8, 5632, 49_152), 256, 4, 3e-4),
        row("stories110m", "768d/12L of llama2.c", released(10_000.0, 1024, llama(768, 12, 12, 12, 2048, 32_000)), 256, 4, 5e-4),
        row("smollm2-135m", "shape of SmolLM2-135M", released(100_000.0, 8192, llama(576, 30, 9, 3, 1536, 49_152)), 256, 4, 5e-4),
        row(
            "smollm2-360m",
            "shape of SmolLM2-360M",
            released(100_000.0, 8192, llama(960, 32, 15, 5, 2560, 49_152)),
            256,
            2,
            4e-4,
        ),
        row("qwen3-0.6b", "shape of Qwen3-0.6B", released(1e6, 40_960, qwen3), 256, 1, 3e-4),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_every_rung_exists() {
        for p in presets() {
            assert_eq!(p.spec.validate(), Ok(()), "{}", p.name);
        }
        for name in LADDER {
            assert!(preset(name).is_some(), "{name}");
        }
    }
}
