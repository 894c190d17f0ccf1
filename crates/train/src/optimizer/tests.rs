#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use model::{Layout, ModelSpec, Part, TensorId};

use kernels::Isa;
use kernels::direction::{Distribution, Noise};

use super::*;
use crate::gradient::Term;

fn spec(dim: usize, hidden: usize, vocab: usize, layers: usize) -> ModelSpec {
    let base = model::preset("stories-1m").unwrap().spec;
    ModelSpec { dim, hidden, vocab, layers, heads: 2, kv_heads: 1, head_dim: dim / 2, ..base }
}

fn wave(n: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; n];
    kernels::noise::Philox::new(seed, 0).fill_normal(&mut values, 0);
    values
}

fn all_configs() -> [OptimizerConfig; 4] {
    let adam = OptimizerConfig::AdamW(AdamWConfig::default());
    [adam, OptimizerConfig::muon(), OptimizerConfig::Sgd { momentum: 0.0 }, OptimizerConfig::Sgd { momentum: 0.9 }]
}

/// Puts four weights at the beginning of `id`, makes `steps` steps of the gradients of the torch runs, returns the four.
fn four(config: OptimizerConfig, id: TensorId, wd: f32, steps: u32) -> Vec<f32> {
    let layout = Layout::of(&spec(8, 16, 10, 1));
    let at = layout.range(id).start;
    let mut params = vec![0.0; layout.len()];
    params[at..at + 4].copy_from_slice(&[0.5, -1.25, 2.0, 0.001]);
    let mut optimizer = Optimizer::new(config, &layout, wd);
    for t in 0..steps {
        let sign = if t % 2 == 0 { 1.0 } else { -0.5 };
        let mut values = vec![0.0; layout.len()];
        // the scale undoes the factor: it must reach every rule
        for (v, g) in values[at..].iter_mut().zip([0.1f32, -0.2, 0.3, -1e-5]) {
            *v = g * (1 + t) as f32 * sign * 4.0;
        }
        optimizer.step(&Cpu::new(1), &mut params, &Gradient::Dense { values: &values, scale: 0.25 }, 3e-3);
    }
    params[at..at + 4].to_vec()
}

fn close(got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() <= tolerance * e.abs().max(1e-3), "{got:?} should be {expected:?}");
    }
}

/// Figures of torch.optim.AdamW 2.15 (lr 3e-3, betas 0.9 0.95, eps 1e-8).
#[test]
fn adamw_is_that_of_torch_with_decay_on_matrices_and_none_on_norms() {
    let adam = OptimizerConfig::AdamW(AdamWConfig::default());
    let norm = TensorId::Layer(0, Part::AttnNorm);
    let decayed = [0.493_092_54, -1.241_968_3, 1.990_844, 0.007_152_145];
    close(&four(adam, TensorId::Embed, 0.1, 5), &decayed, 3e-7);
    close(&four(adam, TensorId::Layer(0, Part::Down), 0.1, 5), &decayed, 3e-7);
    let undecayed = [0.493_837_5, -1.243_837_6, 1.993_837_6, 0.007_158_17];
    close(&four(adam, norm, 0.1, 5), &undecayed, 3e-7);
    close(&four(adam, TensorId::Embed, 0.0, 5), &undecayed, 3e-7);
    close(&four(adam, TensorId::Embed, 0.1, 100), &[0.384_185_37, -1.112_015_5, 1.839_847, 0.101_997_145], 2e-6);
}

#[test]
fn adamw_takes_embeddings_and_norms_under_muon() {
    for id in [TensorId::Embed, TensorId::FinalNorm, TensorId::Layer(0, Part::FfnNorm)] {
        let adam = OptimizerConfig::AdamW(AdamWConfig::default());
        assert_eq!(four(OptimizerConfig::muon(), id, 0.1, 20), four(adam, id, 0.1, 20));
    }
}

/// Figures of torch.optim.SGD 2.15.
#[test]
fn sgd_is_that_of_torch_and_has_momentum_only_when_asked() {
    let plain = four(OptimizerConfig::Sgd { momentum: 0.0 }, TensorId::Embed, 0.0, 5);
    close(&plain, &[0.498_2, -1.246_4, 1.994_6, 0.001_000_18], 3e-7);
    let heavy = four(OptimizerConfig::Sgd { momentum: 0.9 }, TensorId::Embed, 0.0, 5);
    close(&heavy, &[0.497_004_18, -1.244_008_2, 1.991_012_5, 0.001_000_299_7], 3e-7);
    let decayed = four(OptimizerConfig::Sgd { momentum: 0.0 }, TensorId::Embed, 0.5, 1);
    close(&decayed[..2], &[0.5 * (1.0 - 1.5e-3) - 3e-4, -1.25 * (1.0 - 1.5e-3) + 6e-4], 1e-6);
}

fn six(id: Part, dim: usize, hidden: usize) -> Vec<f32> {
    let layout = Layout::of(&ModelSpec { heads: 1, kv_heads: 1, head_dim: 2, ..spec(dim, hidden, 4, 1) });
    let tensor = layout.get(TensorId::Layer(0, id)).unwrap().clone();
    let mut params = vec![0.0; layout.len()];
    params[tensor.range.clone()].copy_from_slice(&[0.5, -1.0, 0.25, 2.0, 0.1, -0.3]);
    let mut optimizer = Optimizer::new(OptimizerConfig::muon(), &layout, 0.1);
    for t in 0..3u8 {
        let mut values = vec![0.0; layout.len()];
        let pairs = [0.1f32, -0.2, 0.3, -0.4, 0.5, 0.6].into_iter().zip([0.0, 1.0, 0.0, 0.0, -1.0, 0.0]);
        for (v, (g, h)) in values[tensor.range.clone()].iter_mut().zip(pairs) {
            *v = g * f32::from(1 + t) + h * 0.1 * f32::from(t);
        }
        optimizer.step(&Cpu::new(1), &mut params, &Gradient::Dense { values: &values, scale: 1.0 }, 1e-2);
    }
    params[tensor.range].to_vec()
}

/// Figures of torch.optim.Muon 2.15 (`match_rms_adamw`) with its arithmetic in f32 instead of bf16.
#[test]
fn muon_is_that_of_torch_on_wide_and_on_tall_matrices() {
    close(&six(Part::Q, 3, 5), &[0.494_490_03, -0.990_776_4, 0.241_261_26, 1.997_829_8, 0.095_139_98, -0.303_825_2], 2e-5);
    close(&six(Part::Gate, 2, 3), &[0.497_075_32, -0.994_634_03, 0.244_972_4, 1.999_671_5, 0.093_085_23, -0.307_564_74], 2e-5);
}

/// `x^T x` or `x x^T`, the smaller, in f64.
fn gram(x: &[f32], rows: usize, cols: usize) -> Vec<f64> {
    let at = |i: usize, j: usize| f64::from(if rows <= cols { x[i * cols + j] } else { x[j * cols + i] });
    let (m, n) = (rows.min(cols), rows.max(cols));
    let entry = |i: usize, j: usize| (0..n).map(|l| at(i, l) * at(j, l)).sum::<f64>();
    (0..m * m).map(|e| entry(e / m, e % m)).collect()
}

/// Largest and smallest eigenvalue of a symmetric positive matrix, by Jacobi rotations.
fn eigenvalues(mut a: Vec<f64>, m: usize) -> (f64, f64) {
    for _sweep in 0..30 {
        for p in 0..m {
            for q in p + 1..m {
                rotate(&mut a, m, p, q);
            }
        }
    }
    let diagonal = (0..m).map(|i| a[i * m + i]);
    (diagonal.clone().fold(f64::MIN, f64::max), diagonal.fold(f64::MAX, f64::min))
}

fn rotate(a: &mut [f64], m: usize, p: usize, q: usize) {
    let theta = 0.5 * (2.0 * a[p * m + q]).atan2(a[p * m + p] - a[q * m + q]);
    let (s, c) = theta.sin_cos();
    for k in 0..m {
        let (x, y) = (a[k * m + p], a[k * m + q]);
        (a[k * m + p], a[k * m + q]) = (c * x + s * y, c * y - s * x);
    }
    for k in 0..m {
        let (x, y) = (a[p * m + k], a[q * m + k]);
        (a[p * m + k], a[q * m + k]) = (c * x + s * y, c * y - s * x);
    }
}

#[test]
fn a_muon_update_is_nearly_orthogonal_and_as_large_as_one_of_adamw() {
    let layout = Layout::of(&spec(32, 80, 10, 1));
    let mut values = wave(layout.len(), 7);
    for tensor in layout.tensors() {
        // five steps lift singular values from about 1% of the largest on: keep away from the near-singular
        let cols = tensor.shape[1];
        (0..tensor.shape[0].min(cols)).for_each(|i| values[tensor.range.start + i * cols + i] += 12.0);
    }
    let mut params = vec![0.0; layout.len()];
    let mut optimizer = Optimizer::new(OptimizerConfig::muon(), &layout, 0.0);
    optimizer.step(&Cpu::new(2), &mut params, &Gradient::Dense { values: &values, scale: 1e-6 }, 1.0);
    for part in [Part::Q, Part::K, Part::V, Part::O, Part::Gate, Part::Up, Part::Down] {
        let tensor = layout.get(TensorId::Layer(0, part)).unwrap();
        let [rows, cols] = tensor.shape;
        let update = &params[tensor.range.clone()];
        let factor = 0.2 * (rows.max(cols) as f64).sqrt();
        let (high, low) = eigenvalues(gram(update, rows, cols), rows.min(cols));
        let (high, low) = (high.sqrt() / factor, low.sqrt() / factor);
        assert!(low > 0.5 && high < 1.3, "{part:?}: singular values {low} to {high}");
        let rms = (update.iter().map(|x| f64::from(x * x)).sum::<f64>() / update.len() as f64).sqrt();
        assert!((0.13..0.25).contains(&rms), "{part:?}: rms {rms}");
    }
}

#[test]
fn a_zero_gradient_moves_nothing() {
    let layout = Layout::of(&spec(8, 16, 10, 1));
    let zeros = vec![0.0; layout.len()];
    for config in all_configs() {
        let mut params = wave(layout.len(), 1);
        let before = params.clone();
        let mut optimizer = Optimizer::new(config, &layout, 0.0);
        for _ in 0..3 {
            optimizer.step(&Cpu::new(2), &mut params, &Gradient::Dense { values: &zeros, scale: 1.0 }, 1e-3);
        }
        assert_eq!(params, before, "{config:?}");
    }
}

#[test]
fn moments_do_not_linger_as_subnormal_numbers() {
    let layout = Layout::of(&spec(8, 16, 10, 1));
    let mut optimizer = Optimizer::new(OptimizerConfig::AdamW(AdamWConfig::default()), &layout, 0.1);
    let (mut params, cpu) = (vec![0.5; layout.len()], Cpu::new(1));
    optimizer.step(&cpu, &mut params, &Gradient::Dense { values: &wave(layout.len(), 3), scale: 1e-3 }, 1e-3);
    let zeros = vec![0.0; layout.len()];
    for _ in 0..3000 {
        optimizer.step(&cpu, &mut params, &Gradient::Dense { values: &zeros, scale: 1.0 }, 1e-3);
    }
    optimizer.visit_state(|name, values| assert!(!values.iter().any(|x| x.is_subnormal()), "{name}"));
}

fn train(config: OptimizerConfig, threads: usize, gradient: &Gradient, layout: &Layout) -> Vec<u32> {
    let mut params = wave(layout.len(), 1);
    let mut optimizer = Optimizer::new(config, layout, 0.1);
    let cpu = Cpu::new(threads);
    for _ in 0..3 {
        optimizer.step(&cpu, &mut params, gradient, 1e-3);
    }
    params.iter().map(|x| x.to_bits()).collect()
}

fn noise(seed: u64) -> Noise {
    Noise { seed, distribution: Distribution::Gaussian, isa: Isa::best() }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let layout = Layout::of(&spec(96, 250, 700, 2));
    let values = wave(layout.len(), 5);
    let dense = Gradient::Dense { values: &values, scale: 0.5 };
    let (a, b) = (noise(3), noise(8));
    let terms = [Term { direction: &a, coefficient: 0.5 }, Term { direction: &b, coefficient: -0.25 }];
    let seeded = Gradient::Along { terms: &terms, scale: 0.5 };
    for config in all_configs() {
        for gradient in [&dense, &seeded] {
            let one = train(config, 1, gradient, &layout);
            for threads in [2, 3, 4] {
                assert!(one == train(config, threads, gradient, &layout), "{config:?} on {threads} threads");
            }
        }
    }
}

#[test]
fn a_recipe_is_the_same_as_the_buffer_it_makes() {
    let layout = Layout::of(&spec(16, 48, 300, 1));
    let (a, b) = (noise(3), noise(8));
    let terms = [Term { direction: &a, coefficient: 0.5 }, Term { direction: &b, coefficient: -0.25 }];
    let seeded = Gradient::Along { terms: &terms, scale: 0.5 };
    let mut values = vec![0.0; layout.len()];
    seeded.tiles(0, &vec![0.0; layout.len()], |at, g| values[at..at + g.len()].copy_from_slice(g));
    let dense = Gradient::Dense { values: &values, scale: 0.5 };
    for config in all_configs() {
        assert!(train(config, 2, &dense, &layout) == train(config, 2, &seeded, &layout), "{config:?}");
    }
}

#[test]
fn a_restored_optimizer_goes_on_bit_for_bit() {
    let layout = Layout::of(&spec(16, 48, 60, 2));
    let cpu = Cpu::new(2);
    let gradients: Vec<Vec<f32>> = (0..6).map(|i| wave(layout.len(), i)).collect();
    let run = |optimizer: &mut Optimizer, params: &mut Vec<f32>, part: &[Vec<f32>]| {
        for values in part {
            optimizer.step(&cpu, params, &Gradient::Dense { values, scale: 1.0 }, 1e-3);
        }
    };
    for config in all_configs() {
        let (mut whole, mut params) = (Optimizer::new(config, &layout, 0.1), wave(layout.len(), 9));
        run(&mut whole, &mut params, &gradients[..3]);
        let mut saved = HashMap::new();
        whole.visit_state(|name, values| assert!(saved.insert(name.to_owned(), values.to_vec()).is_none()));
        assert_eq!(saved.values().map(|v| 4 * v.len()).sum::<usize>(), whole.state_len_bytes());
        let (mut again, mut copy) = (Optimizer::new(config, &layout, 0.1), params.clone());
        let restored = again.load_state(whole.t(), |name, values| {
            values.copy_from_slice(saved.get(name).ok_or(())?);
            Ok::<(), ()>(())
        });
        assert_eq!(restored, Ok(()));
        run(&mut whole, &mut params, &gradients[3..]);
        run(&mut again, &mut copy, &gradients[3..]);
        assert_eq!(params, copy, "{config:?}");
        assert_eq!(again.t(), 6);
    }
}

#[test]
fn state_is_as_large_as_needed_and_as_predicted() {
    let layout = Layout::of(&spec(16, 48, 60, 2));
    let hidden: usize = layout.tensors().iter().filter(|t| takes_muon(t)).map(|t| t.range.len()).sum();
    let size = |config| Optimizer::new(config, &layout, 0.1).state_len_bytes() / 4;
    assert_eq!(all_configs().map(size), [2 * layout.len(), 2 * layout.len() - hidden, 0, layout.len()]);
    assert_eq!(all_configs().map(|c| c.moments()), [2, 2, 0, 1]);
    assert_eq!(OptimizerConfig::muon().bytes(&layout), 4 * (2 * layout.len() - hidden + 2 * (16 * 48 + 16 * 16)));
}

/// The original kept moments for ids that never occur and let weight decay pull their rows to zero.
#[test]
fn rows_of_ids_that_never_occur_stay_as_they_were() {
    let layout = Layout::of(&ModelSpec { tied: false, ..spec(8, 16, 10, 1) });
    let row = |i: usize| layout.range(TensorId::Embed).start + 8 * i;
    let idle = [row(0)..row(1), row(4)..row(7)];
    let is_idle = |i: &usize| idle.iter().any(|r| r.contains(i));
    let mut values = wave(layout.len(), 5);
    idle.iter().for_each(|r| values[r.clone()].fill(0.0));
    for config in all_configs() {
        let run = |mut optimizer: Optimizer| {
            let mut params = wave(layout.len(), 1);
            for _ in 0..3 {
                optimizer.step(&Cpu::new(2), &mut params, &Gradient::Dense { values: &values, scale: 1.0 }, 1e-2);
            }
            (params, optimizer.state_len_bytes() / 4)
        };
        let (every, all_state) = run(Optimizer::new(config, &layout, 0.1));
        let (params, state) = run(Optimizer::sparing(config, &layout, 0.1, &idle));
        let before = wave(layout.len(), 1);
        for i in 0..layout.len() {
            let expected = if is_idle(&i) { before[i] } else { every[i] };
            assert_eq!(params[i].to_bits(), expected.to_bits(), "{config:?}: weight {i}");
        }
        let arrays = all_state.div_ceil(layout.len());
        assert_eq!(state, all_state - arrays * 4 * 8, "{config:?}: no state for four idle rows");
    }
}
