//! A gradient is a buffer or a recipe. What meets every optimizer is this one enum, with one scale factor that carries
//! both `1 / tokens` and the clip: scaling touches no buffer.

use engine::{DIRECTION_TILE, Direction};
use kernels::gemm::Cpu;

/// Direction of the step, before the optimizer. What is applied is `scale` times what is stored.
#[derive(Clone, Copy)]
pub enum Gradient<'a> {
    /// One number a parameter `[n]`.
    Dense {
        /// The gradient of the loss sum.
        values: &'a [f32],
        /// Factor on it.
        scale: f32,
    },
    /// `sum_k coefficient_k z_k`, with directions that are made again wherever they are needed: what zeroth-order methods
    /// estimate.
    Along {
        /// Directions and their coefficients.
        terms: &'a [Term<'a>],
        /// Factor on all of them.
        scale: f32,
    },
}

/// A direction with its coefficient.
#[derive(Clone, Copy)]
pub struct Term<'a> {
    /// The direction; its elements may depend on the weights, which are those before the step.
    pub direction: &'a dyn Direction,
    /// Factor on it.
    pub coefficient: f32,
}

impl Gradient<'_> {
    /// Factor on what is stored.
    pub fn scale(&self) -> f32 {
        match self {
            Gradient::Dense { scale, .. } | Gradient::Along { scale, .. } => *scale,
        }
    }

    /// Calls `f(offset, values)` for consecutive pieces of the unscaled elements `start ..` of a gradient at `weights`, which
    /// are those from `start` on; offsets count from there. Directions are made on the spot, a tile at a time, on the stack.
    pub fn tiles(&self, start: usize, weights: &[f32], mut f: impl FnMut(usize, &[f32])) {
        match self {
            Gradient::Dense { values, .. } => f(0, &values[start..start + weights.len()]),
            Gradient::Along { terms, .. } => {
                let (mut sum, mut z) = ([0.0; DIRECTION_TILE], [0.0; DIRECTION_TILE]);
                for (at, len) in tiles(start, weights.len()) {
                    combine(terms, start + at, &weights[at..at + len], &mut sum[..len], &mut z[..len]);
                    f(at, &sum[..len]);
                }
            }
        }
    }

    /// As [`Gradient::tiles`] for an update in place: `f(offset, weights, values)`. The elements of a tile are made before its
    /// weights change.
    pub(crate) fn update(&self, start: usize, weights: &mut [f32], mut f: impl FnMut(usize, &mut [f32], &[f32])) {
        match self {
            Gradient::Dense { values, .. } => f(0, weights, &values[start..start + weights.len()]),
            Gradient::Along { terms, .. } => {
                let (mut sum, mut z) = ([0.0; DIRECTION_TILE], [0.0; DIRECTION_TILE]);
                for (at, len) in tiles(start, weights.len()) {
                    let weights = &mut weights[at..at + len];
                    combine(terms, start + at, weights, &mut sum[..len], &mut z[..len]);
                    f(at, weights, &sum[..len]);
                }
            }
        }
    }
}

/// Offset and length of pieces of `len` elements from `start`, cut where blocks of noise begin.
fn tiles(start: usize, len: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let part = (DIRECTION_TILE - (start + at) % DIRECTION_TILE).min(len - at);
        at += part;
        (part > 0).then_some((at - part, part))
    })
}

fn combine(terms: &[Term<'_>], start: usize, weights: &[f32], sum: &mut [f32], z: &mut [f32]) {
    sum.fill(0.0);
    for term in terms {
        term.direction.fill(start, weights, z);
        for (s, z) in sum.iter_mut().zip(z.iter()) {
            *s += term.coefficient * z;
        }
    }
}

/// Partial sums of a norm: their number bounds the stack array, their size the work of a task.
const PARTIALS: usize = 1024;
const LEAST: usize = 16_384;
/// Independent sums within a part, for the vector units.
const LANES: usize = 16;

/// Euclidean norm of `values`, in f64. Infinite or NaN exactly when one of them is: squares of f32 cannot overflow f64,
/// so this one pass is the check for non-finite values too. Independent of the thread count: parts are fixed by the length.
pub fn global_norm(cpu: &Cpu, values: &[f32]) -> f64 {
    let chunk = values.len().div_ceil(PARTIALS).next_multiple_of(LANES).max(LEAST);
    let parts = values.len().div_ceil(chunk);
    let mut partials = [0.0; PARTIALS];
    cpu.pool().chunks_mut(&mut partials[..parts], 1, |i, sum| {
        sum[0] = sum_of_squares(&values[i * chunk..values.len().min((i + 1) * chunk)]);
    });
    partials[..parts].iter().sum::<f64>().sqrt()
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0f64; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for part in whole {
        for (lane, &x) in lanes.iter_mut().zip(part) {
            *lane += f64::from(x) * f64::from(x);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>()
}

/// Factor that brings a gradient of norm `norm` down to `clip`: `min(1, clip / norm)`. A clip of 0 (or NaN) is no clip.
pub fn clip_factor(norm: f64, clip: f64) -> f64 {
    if clip > 0.0 && norm > clip { clip / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernels::Isa;
    use kernels::direction::{Distribution, Noise};

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919) % 1013) as f32 / 500.0 - 1.0).collect()
    }

    #[test]
    fn norm_matches_the_plain_sum_and_any_thread_count() {
        for n in [0, 1, 15, 16, 17, 16_384, 16_385, 300_001] {
            let values = ramp(n);
            let plain = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            let one = global_norm(&Cpu::new(1), &values);
            assert!((one - plain).abs() <= 1e-12 * plain.max(1.0), "{n}: {one} {plain}");
            for threads in [2, 3] {
                assert_eq!(one.to_bits(), global_norm(&Cpu::new(threads), &values).to_bits(), "{n} on {threads}");
            }
        }
    }

    #[test]
    fn norm_is_finite_exactly_when_all_values_are() {
        let cpu = Cpu::new(2);
        let huge = vec![f32::MAX; 100_000];
        assert!(global_norm(&cpu, &huge).is_finite());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, 16_383, 16_384, 99_999] {
                let mut values = ramp(100_000);
                values[at] = bad;
                assert!(!global_norm(&cpu, &values).is_finite(), "{bad} at {at}");
            }
        }
    }

    #[test]
    fn clip_only_ever_shrinks() {
        assert_eq!(clip_factor(4.0, 1.0), 0.25);
        assert_eq!(clip_factor(0.5, 1.0), 1.0);
        assert_eq!(clip_factor(0.0, 1.0), 1.0);
        assert_eq!(clip_factor(4.0, 0.0), 1.0);
    }

    #[test]
    fn a_recipe_does_not_depend_on_where_a_read_begins() {
        let noise = |seed| Noise { seed, distribution: Distribution::Gaussian, isa: Isa::best() };
        let (a, b) = (noise(1), noise(9));
        let terms = [Term { direction: &a, coefficient: 0.5 }, Term { direction: &b, coefficient: -2.0 }];
        let gradient = Gradient::Along { terms: &terms, scale: 1.0 };
        let read = |start: usize, len: usize| {
            let (mut out, mut weights) = (vec![0.0; len], vec![0.0; len]);
            gradient.tiles(start, &weights, |at, g| out[at..at + g.len()].copy_from_slice(g));
            gradient.update(start, &mut weights, |_, w, g| w.copy_from_slice(g));
            assert_eq!(out, weights);
            out
        };
        let whole = read(0, 10_000);
        assert_eq!(whole[4097..], read(4097, 5903));
        assert_eq!(whole[3..10], read(3, 7));
        let mean: f32 = whole.iter().sum::<f32>() / 10_000.0;
        let variance: f32 = whole.iter().map(|x| x * x).sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.1 && (variance - 4.25).abs() < 0.3, "{mean} {variance}");
    }
}
