//! Models that claims are checked on: one with figures from PyTorch, and one that gives every known defect something to go
//! wrong with.

use engine::Batch;
use formats::hf;
use kernels::noise::Philox;
use model::{Family, Layout, ModelSpec, Rope};
use safetensors::SafeTensors;

use crate::{Broken, Tamper, World};

const CONFIG: &[u8] = include_bytes!("../../../tests/golden/llama-tied-gqa/config.json");
const WEIGHTS: &[u8] = include_bytes!("../../../tests/golden/llama-tied-gqa/model.safetensors");
const EXPECTED: &[u8] = include_bytes!("../../../tests/golden/llama-tied-gqa/expected.safetensors");

/// A model and what PyTorch computes with it.
pub struct Golden {
    pub spec: ModelSpec,
    pub layout: Layout,
    pub params: Vec<f32>,
    pub tokens: Vec<u32>,
    pub targets: Vec<u32>,
}

/// Tokens of its windows.
pub const SEQ: usize = 32;

impl Golden {
    /// Written into the scratch folder and opened as any other model.
    pub fn open(world: &World<'_>) -> Result<Golden, Broken> {
        let dir = world.scratch.join("golden");
        std::fs::create_dir_all(&dir).map_err(Broken::of)?;
        for (name, bytes) in [("config.json", CONFIG), ("model.safetensors", WEIGHTS)] {
            std::fs::write(dir.join(name), bytes).map_err(Broken::of)?;
        }
        let opened = hf::open(&dir).map_err(Broken::of)?;
        let layout = Layout::of(opened.spec());
        let params = opened.load(&layout).map_err(Broken::of)?;
        let ids = |name| Ok::<_, Broken>(floats(name)?.iter().map(|f| f.to_bits()).collect());
        let mut spec = opened.spec().clone();
        if world.tamper == Some(Tamper::Theta) {
            spec.rope.theta *= 10.0;
        }
        Ok(Golden { spec, layout, params, tokens: ids("tokens")?, targets: ids("targets")? })
    }

    /// Its windows.
    pub fn batch(&self) -> Batch<'_> {
        Batch { rows: self.tokens.len() / SEQ, seq: SEQ, inputs: &self.tokens, targets: &self.targets, starts: None }
    }
}

/// A figure of PyTorch.
pub fn floats(name: &str) -> Result<Vec<f32>, Broken> {
    let file = SafeTensors::deserialize(EXPECTED).map_err(Broken::of)?;
    let data = file.tensor(name).map_err(Broken::of)?.data();
    Ok(data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// Fewer key heads than query heads, heads that are not `dim / heads` wide, another theta, a residual scale, gains that are
/// not 1.
pub struct Tricky {
    pub spec: ModelSpec,
    pub layout: Layout,
    pub params: Vec<f32>,
    pub tokens: Vec<u32>,
}

impl Tricky {
    pub fn new() -> Tricky {
        let spec = ModelSpec {
            family: Family::Llama,
            dim: 32,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            head_dim: 16,
            hidden: 48,
            vocab: 64,
            context: 64,
            rope: Rope::plain(500_000.0),
            no_rope: Vec::new(),
            norm_eps: 1e-5,
            tied: false,
            qkv_bias: false,
            o_bias: false,
            qk_norm: false,
            window: None,
            residual_scale: 0.5,
        };
        let layout = Layout::of(&spec);
        let mut params = engine::init(&spec, &layout, 7);
        let noise = Philox::new(7, 1);
        for t in layout.tensors().iter().filter(|t| t.shape[0] == 1) {
            for i in t.range.clone() {
                params[i] = 0.7 + 0.6 * noise.uniform(i as u64);
            }
        }
        // larger than at the start of training, so that every part has a gradient to speak of
        for t in layout.tensors().iter().filter(|t| t.shape[0] > 1) {
            params[t.range.clone()].iter_mut().for_each(|w| *w *= 1.5);
        }
        let tokens = (0..2 * SEQ as u32 + 1).map(|i| (i * i + 3 * i) % 64).collect();
        Tricky { spec, layout, params, tokens }
    }

    pub fn batch(&self) -> Batch<'_> {
        let n = 2 * SEQ;
        Batch { rows: 2, seq: SEQ, inputs: &self.tokens[..n], targets: &self.tokens[1..], starts: None }
    }
}
