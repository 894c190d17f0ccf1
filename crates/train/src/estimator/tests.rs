#![allow(clippy::unwrap_used)]

use engine::{Batch, CpuEngine, Options, Shape};
use kernels::direction::{Distribution, Noise};
use kernels::{Cpu, Isa};
use model::{Layout, ModelSpec};

use super::*;
use crate::Gradient;
use crate::optimizer::{Optimizer, OptimizerConfig};

mod dszo;
mod subspace;

const INPUTS: [u32; 6] = [1, 4, 2, 7, 7, 3];
const TARGETS: [u32; 6] = [4, 2, 7, 7, 3, 0];

/// A model of a few hundred weights, and its gradient of the mean loss.
pub(super) struct Tiny {
    pub cpu: Cpu,
    pub spec: ModelSpec,
    pub layout: Layout,
    pub params: Vec<f32>,
    pub gradient: Vec<f32>,
}

pub(super) fn batch() -> Batch<'static> {
    Batch { rows: 1, seq: 6, inputs: &INPUTS, targets: &TARGETS, starts: None }
}

impl Tiny {
    pub fn new() -> Tiny {
        let small = model::preset("stories-1m").unwrap().spec;
        Tiny::of(ModelSpec { dim: 8, layers: 1, heads: 1, kv_heads: 1, head_dim: 4, hidden: 5, vocab: 9, ..small })
    }

    pub fn of(spec: ModelSpec) -> Tiny {
        let cpu = Cpu::new(1);
        let layout = Layout::of(&spec);
        // larger than at the start of training: a gradient that is not all in the embedding
        let params: Vec<f32> = engine::init(&spec, &layout, 3).iter().map(|w| w * 4.0).collect();
        let mut gradient = vec![0.0; layout.len()];
        let mut engine = CpuEngine::new(&cpu, &spec, Shape { rows: 1, seq: 6 }, Options::TRAINING);
        let loss = engine.loss_and_grad(&params, &batch(), &mut gradient, false).unwrap();
        gradient.iter_mut().for_each(|g| *g /= loss.tokens as f32);
        drop(engine);
        Tiny { cpu, spec, layout, params, gradient }
    }

    pub fn walk(&self) -> CpuEngine<'_> {
        CpuEngine::new(&self.cpu, &self.spec, Shape { rows: 1, seq: 6 }, Options::INFERENCE)
    }

    /// One step's estimate: begun, measured, concluded.
    pub fn estimate(&self, walk: &mut CpuEngine<'_>, estimator: &mut dyn Estimator, step: u64) {
        estimator.begin(&self.cpu, step, &self.params);
        let mut see = |l, which, inputs: &[f32]| estimator.see(&self.cpu, l, which, inputs);
        let base = walk.score_seen(&self.params, &batch(), &mut see).unwrap().mean();
        let losses = |i| walk.losses_along(&self.params, &batch(), &estimator.probe(i), &mut || false).unwrap().unwrap();
        let pairs: Vec<[f64; 2]> = (0..estimator.probes()).map(losses).map(|p| p.map(|l| l.mean())).collect();
        estimator.conclude(&Measured { base, pairs: &pairs, depths: &[] }, &self.params);
    }

    /// The estimate as a buffer, added to `sum`.
    pub fn add(&self, estimator: &dyn Estimator, sum: &mut [f64]) {
        let terms = estimator.terms();
        Gradient::Along { terms: &terms, scale: 1.0 }.tiles(0, &self.params, |at, g| {
            sum[at..].iter_mut().zip(g).for_each(|(s, g)| *s += f64::from(*g));
        });
    }

    /// Mean estimate over `count` steps.
    pub fn mean(&self, estimator: &mut dyn Estimator, count: u64) -> Vec<f64> {
        let (mut walk, mut sum) = (self.walk(), vec![0.0; self.layout.len()]);
        for step in 1..=count {
            self.estimate(&mut walk, estimator, step);
            self.add(estimator, &mut sum);
        }
        sum.iter().map(|s| s / count as f64).collect()
    }
}

/// `(<a, b> / |b|^2, |a - b| / |b|)`: the share of `b` that `a` has, and how far it is from it.
pub(super) fn against(a: &[f64], b: &[f32]) -> (f64, f64) {
    let norm: f64 = b.iter().map(|b| f64::from(*b).powi(2)).sum();
    let along: f64 = a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum();
    let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - f64::from(*b)).powi(2)).sum();
    (along / norm, (apart / norm).sqrt())
}

pub(super) fn line(distribution: Distribution) -> Line {
    Line { seed: 5, eps: 2e-3, directions: 1, distribution, isa: Isa::best() }
}

/// Over N directions the mean of an estimator of n weights is sqrt(n / N) of the gradient's length away from it.
#[test]
fn the_mean_of_many_directions_is_the_gradient() {
    let tiny = Tiny::new();
    for distribution in [Distribution::Gaussian, Distribution::Rademacher] {
        let mean = tiny.mean(&mut Mezo::new(line(distribution)), 10_000);
        let (share, apart) = against(&mean, &tiny.gradient);
        let expected = (tiny.layout.len() as f64 / 1e4).sqrt();
        assert!((share - 1.0).abs() < 0.06, "{distribution:?}: {share} of the gradient");
        assert!((0.8..1.3).contains(&(apart / expected)), "{distribution:?}: {apart} away, expected {expected}");
    }
}

#[test]
fn more_directions_a_step_are_their_mean() {
    let tiny = Tiny::new();
    let mean = |directions, count| {
        let estimate = tiny.mean(&mut Mezo::new(Line { directions, ..line(Distribution::Gaussian) }), count);
        against(&estimate, &tiny.gradient)
    };
    let ((share, apart), expected) = (mean(8, 500), (tiny.layout.len() as f64 / 4000.0).sqrt());
    assert!((share - 1.0).abs() < 0.1 && (0.8..1.3).contains(&(apart / expected)), "{share} {apart} {expected}");
}

#[test]
fn directions_are_those_of_seed_and_step_and_all_different() {
    let mut seen: Vec<u64> = Vec::new();
    for (seed, step, k) in [(1, 1, 0), (1, 1, 1), (1, 2, 0), (2, 1, 0), (1, 1 << 32, 0), (1, 2, 1)] {
        assert_eq!(direction_seed(seed, step, k), direction_seed(seed, step, k));
        seen.push(direction_seed(seed, step, k));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[test]
fn a_step_with_coefficient_0_leaves_every_bit() {
    let tiny = Tiny::new();
    let mut mezo = Mezo::new(line(Distribution::Gaussian));
    mezo.begin(&tiny.cpu, 1, &tiny.params);
    mezo.conclude(&Measured { base: 2.0, pairs: &[[1.5, 1.5]], depths: &[] }, &tiny.params);
    let mut params = tiny.params.clone();
    let mut sgd = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, &tiny.layout, 0.0);
    sgd.step(&tiny.cpu, &mut params, &Gradient::Along { terms: &mezo.terms(), scale: 1.0 }, 0.1);
    assert!(params.iter().zip(&tiny.params).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn descent_is_w_minus_lr_g_z() {
    let tiny = Tiny::new();
    let mut mezo = Mezo::new(line(Distribution::Rademacher));
    mezo.begin(&tiny.cpu, 7, &tiny.params);
    mezo.conclude(&Measured { base: f64::NAN, pairs: &[[2.5, 2.0]], depths: &[] }, &tiny.params);
    let g = 0.5 / (2.0 * 2e-3);
    assert!((mezo.projected() - g).abs() < 1e-5 * g, "{}", mezo.projected());
    assert!((mezo.norm(tiny.layout.len()) - g * (tiny.layout.len() as f64).sqrt()).abs() < 1e-3 * g);
    let mut params = tiny.params.clone();
    let mut sgd = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, &tiny.layout, 0.0);
    sgd.step(&tiny.cpu, &mut params, &Gradient::Along { terms: &mezo.terms(), scale: 1.0 }, 1e-4);
    let mut z = vec![0.0; params.len()];
    mezo.probe(0).direction.fill(0, &tiny.params, &mut z);
    for ((now, before), z) in params.iter().zip(&tiny.params).zip(z) {
        assert!((now - (before - 1e-4 * g as f32 * z)).abs() < 1e-6);
    }
}

/// What the mean of an estimator should be: `apart` of its length away at most, where chance alone makes `sqrt(n / N)`.
fn agrees(name: &str, mean: &[f64], want: &[f32], apart: f64) {
    let (share, found) = against(mean, want);
    assert!((share - 1.0).abs() < 0.08 && found < apart, "{name}: {share} of what it estimates, {found} away");
}

#[test]
fn the_mean_of_sparse_mezo_is_the_gradient_of_small_weights() {
    let tiny = Tiny::new();
    let mut sparse = SparseMezo::new(line(Distribution::Gaussian), 0.75, &tiny.layout);
    let mean = tiny.mean(&mut sparse, 10_000);
    let mut want = tiny.gradient.clone();
    for t in tiny.layout.tensors() {
        let mut magnitudes: Vec<f32> = tiny.params[t.range.clone()].iter().map(|w| w.abs()).collect();
        magnitudes.sort_by(f32::total_cmp);
        let kept = (magnitudes.len() as f64 * 0.25).round() as usize;
        for i in t.range.clone() {
            if kept == 0 || tiny.params[i].abs() > magnitudes[kept - 1] {
                want[i] = 0.0;
                assert_eq!(mean[i], 0.0, "a large weight moved");
            }
        }
    }
    agrees("sparse", &mean, &want, 0.15);
}

#[test]
fn the_mean_of_hizoo_is_the_gradient_over_the_hessian() {
    let tiny = Tiny::new();
    let mut hizoo = Hizoo::new(line(Distribution::Gaussian), 1e-2, tiny.layout.len());
    let hessian: Vec<f32> = (0..tiny.layout.len()).map(|i| 0.5 + (i % 5) as f32).collect();
    hizoo.load(std::slice::from_ref(&hessian));
    let mean = tiny.mean(&mut hizoo, 10_000);
    let want: Vec<f32> = tiny.gradient.iter().zip(&hessian).map(|(g, h)| g / h).collect();
    agrees("hizoo", &mean, &want, 0.35);
    // only a finished step changes H, upwards where the loss curves
    assert_eq!(hizoo.state()[0].1, hessian);
    hizoo.finish(&tiny.cpu);
    assert!(hizoo.state()[0].1 != hessian && hizoo.state()[0].1.iter().all(|h| *h > 0.4));
}

#[test]
fn the_mean_of_lozo_is_the_gradient_and_of_one_epoch_lies_in_its_rows() {
    let tiny = Tiny::new();
    let mean = tiny.mean(&mut Lozo::new(line(Distribution::Gaussian), 2, 1, &tiny.layout), 10_000);
    agrees("lozo", &mean, &tiny.gradient, 0.35);
    // rank 1: while V stays, every row of a matrix is a multiple of it
    let mean = tiny.mean(&mut Lozo::new(line(Distribution::Gaussian), 1, 100, &tiny.layout), 100);
    let t = tiny.layout.tensors().iter().find(|t| t.shape[0] > 1).unwrap();
    let rows: Vec<&[f64]> = mean[t.range.clone()].chunks(t.shape[1]).collect();
    let cosine = |a: &[f64], b: &[f64]| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    assert!(rows[1..].iter().all(|row| (cosine(row, rows[0]).abs() - 1.0).abs() < 1e-4));
}

#[test]
fn the_mean_of_conmezo_is_the_gradient_stretched_along_the_momentum() {
    let (tiny, angle) = (Tiny::new(), 1.3f64);
    let n = tiny.layout.len();
    let mut cone = ConMezo::new(line(Distribution::Gaussian), angle, 0.9, n);
    let momentum: Vec<f32> = tiny.gradient.iter().enumerate().map(|(i, g)| g + 0.02 * ((i % 3) as f32 - 1.0)).collect();
    cone.load(std::slice::from_ref(&momentum));
    let mean = tiny.mean(&mut cone, 10_000);
    let square: f64 = momentum.iter().map(|m| f64::from(*m).powi(2)).sum();
    let along: f64 = momentum.iter().zip(&tiny.gradient).map(|(m, g)| f64::from(m * g)).sum();
    let stretch = angle.cos().powi(2) * n as f64 * along / square;
    let across = angle.sin().powi(2);
    let want = |(m, g): (&f32, &f32)| (stretch * f64::from(*m) + across * f64::from(*g)) as f32;
    let want: Vec<f32> = momentum.iter().zip(&tiny.gradient).map(want).collect();
    agrees("conmezo", &mean, &want, 0.35);
}

/// The original left the division out.
#[test]
fn fzoo_divides_by_the_deviation_of_its_losses() {
    let tiny = Tiny::new();
    for directions in [4, 5] {
        let mut fzoo = Fzoo::new(Line { directions, eps: 1e-3, ..line(Distribution::Rademacher) });
        let mut walk = tiny.walk();
        tiny.estimate(&mut walk, &mut fzoo, 1);
        let base = walk.loss(&tiny.params, &batch()).unwrap().mean();
        let mut losses = Vec::new();
        for term in fzoo.terms() {
            let mut z = vec![0.0; tiny.params.len()];
            term.direction.fill(0, &tiny.params, &mut z);
            let moved: Vec<f32> = tiny.params.iter().zip(&z).map(|(w, z)| w + 1e-3 * z).collect();
            losses.push(walk.loss(&moved, &batch()).unwrap().mean());
        }
        let (n, mean) = (directions as f64, losses.iter().sum::<f64>() / directions as f64);
        let sigma = (losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / n).sqrt();
        for (term, loss) in fzoo.terms().iter().zip(&losses) {
            let want = (loss - base) / (1e-3 * n * sigma);
            assert!((f64::from(term.coefficient) - want).abs() < 2e-2 * want.abs() + 1.0, "{} {want}", term.coefficient);
        }
        fzoo.conclude(&Measured { base: 1.0, pairs: &[[1.5; 2], [1.5; 2], [1.5; 2]], depths: &[] }, &tiny.params);
        assert!(directions == 5 || fzoo.terms().iter().all(|t| t.coefficient == 0.0), "equal losses");
    }
}

#[test]
fn the_mean_of_fzoo_points_along_the_gradient() {
    let tiny = Tiny::new();
    let mean = tiny.mean(&mut Fzoo::new(Line { directions: 8, eps: 1e-3, ..line(Distribution::Rademacher) }), 2_000);
    let dot: f64 = mean.iter().zip(&tiny.gradient).map(|(a, b)| a * f64::from(*b)).sum();
    let length = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let (a, b) = (length(&mut mean.iter().copied()), length(&mut tiny.gradient.iter().map(|g| f64::from(*g))));
    assert!(dot / (a * b) > 0.95, "cosine {}", dot / (a * b));
    // normalised: about as long as a step in every direction at once is wide
    assert!(a * 1e-3 > 0.1, "{a}");
}

#[test]
fn a_state_that_is_loaded_is_the_state() {
    let tiny = Tiny::new();
    let n = tiny.layout.len();
    let make: [&dyn Fn() -> Box<dyn Estimator>; 4] = [
        &|| Box::new(SparseMezo::new(line(Distribution::Gaussian), 0.5, &tiny.layout)),
        &|| Box::new(Hizoo::new(line(Distribution::Gaussian), 1e-2, n)),
        &|| Box::new(ConMezo::new(line(Distribution::Gaussian), 1.3, 0.9, n)),
        &|| Box::new(Pgap::new(line(Distribution::Gaussian), 2, 5, 2.0, &tiny.layout)),
    ];
    for make in make {
        let (mut a, mut b, mut walk) = (make(), make(), tiny.walk());
        tiny.estimate(&mut walk, &mut *a, 1);
        a.finish(&tiny.cpu);
        let state: Vec<Vec<f32>> = a.state().iter().map(|(_, values)| values.to_vec()).collect();
        b.load(&state);
        assert!(a.state().iter().zip(b.state()).all(|(a, b)| a.1 == b.1));
        a.reset();
        let (fresh, forgot) = (make(), a.state());
        assert!(fresh.state().iter().zip(forgot).all(|(a, b)| a.1.iter().zip(b.1).all(|(a, b)| a.to_bits() == b.to_bits())));
    }
}
