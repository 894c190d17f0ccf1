//! Initial weights.
//!
//! Matrices that read the residual stream are normal with deviation `1 / sqrt(fan in)`, so that every projection keeps the
//! scale of its normed input at any width; those that write into it are smaller by `sqrt(2 layers)`, so that the stream
//! does not grow with depth (GPT-2). Embedding and classifier have deviation 0.02, gains are 1, biases 0.

use kernels::noise::Philox;
use model::{Layout, ModelSpec, Role};

/// Purpose of the noise stream of initial weights.
const PURPOSE: u64 = 0x696e_6974;

/// Initial weights of `spec`, a function of `seed` and of each weight's place alone.
pub fn init(spec: &ModelSpec, layout: &Layout, seed: u64) -> Vec<f32> {
    let noise = Philox::new(seed, PURPOSE);
    let mut params = vec![0.0f32; layout.len()];
    for t in layout.tensors() {
        let weights = &mut params[t.range.clone()];
        let fan_in = t.shape[1] as f32;
        let deviation = match t.role {
            Role::Norm => {
                weights.fill(1.0);
                continue;
            }
            Role::Bias => continue,
            Role::Embedding => 0.02,
            Role::Matrix => 1.0 / fan_in.sqrt(),
            Role::Output => 1.0 / (fan_in * 2.0 * spec.layers as f32).sqrt(),
        };
        noise.fill_normal(weights, t.range.start as u64);
        for w in weights {
            *w *= deviation;
        }
    }
    params
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use model::{Part, TensorId};

    use super::*;

    /// The original's documents name another initialisation and other random bits than its code draws.
    #[test]
    fn every_weight_is_the_documented_function_of_seed_and_place() {
        let small = model::preset("stories-1m").unwrap().spec;
        let spec = ModelSpec { dim: 48, layers: 3, heads: 4, kv_heads: 2, head_dim: 12, hidden: 80, vocab: 50, ..small };
        let spec = ModelSpec { tied: false, qkv_bias: true, ..spec };
        let (layout, seed) = (Layout::of(&spec), 7);
        let params = init(&spec, &layout, seed);
        // "init" in ASCII is the purpose; number i of the stream is weight i
        let mut noise = vec![0.0; layout.len()];
        Philox::new(seed, u64::from(u32::from_be_bytes(*b"init"))).fill_normal(&mut noise, 0);
        let deviation = |id| match id {
            TensorId::Embed | TensorId::Head => 0.02,
            TensorId::Layer(_, Part::Q | Part::K | Part::V | Part::Gate | Part::Up) => 1.0 / 48f32.sqrt(),
            TensorId::Layer(_, Part::O) => 1.0 / (48.0 * 2.0 * 3.0f32).sqrt(),
            TensorId::Layer(_, Part::Down) => 1.0 / (80.0 * 2.0 * 3.0f32).sqrt(),
            _ => 0.0,
        };
        for t in layout.tensors() {
            let gain = matches!(t.id, TensorId::FinalNorm | TensorId::Layer(_, Part::AttnNorm | Part::FfnNorm));
            for i in t.range.clone() {
                let expected = if gain { 1.0 } else { noise[i] * deviation(t.id) };
                assert_eq!(params[i].to_bits(), (expected + 0.0).to_bits(), "{:?}, weight {i}", t.id);
            }
        }
        assert_ne!(params, init(&spec, &layout, seed + 1), "the seed decides");
    }
}
