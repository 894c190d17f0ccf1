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
