//! Claims about gradients from losses alone: what the mean of many estimates is, by the paper of each method, and that looking
//! moves nothing. Along a gradient the variance of one estimate is about 2, so that the mean of [`COUNT`] is known to 0.03;
//! beside it chance leaves `sqrt(n / COUNT)` of its length for `n` weights that move.

use engine::{Batch, CpuEngine, Direction, LossSum, Options, Projection, Shape};
use kernels::Isa;
use kernels::direction::{Distribution, Noise};
use model::{Layout, ModelSpec, Part, Role, TensorId};
use train::Gradient;
use train::estimator::{Agzo, ConMezo, Estimator, Fzoo, Hizoo, Line, Lozo, Measured, Mezo, Pgap, SparseMezo, ZoMuon};
use train::optimizer::{Optimizer, OptimizerConfig};

use crate::{Broken, Found, Outcome, Row, Tamper, World, so, within};

pub const CLAIMS: &[Row] = &[
    ("estimators/mezo", "the mean of MeZO's estimates is the gradient", "0.15 along it, 0.55 in all", mezo),
    (
        "estimators/fzoo",
        "FZOO's estimate is that of its differences over their deviation, and leans along the gradient",
        "2e-2; cosine 0.9",
        fzoo,
    ),
    (
        "estimators/sparse-mezo",
        "the mean of Sparse-MeZO's is the gradient of the small weights, and large ones stay",
        "0.15 along it, 0.55 in all",
        sparse,
    ),
    ("estimators/hizoo", "the mean of HiZOO's is the gradient over the Hessian", "0.15 along it, 0.55 in all", hizoo),
    ("estimators/lozo", "the mean of LOZO's is the gradient, by directions of low rank", "0.15 along it, 0.55 in all", lozo),
    (
        "estimators/p-gap",
        "the mean of P-GAP's is the gradient in its spaces, and delta times it along their own",
        "0.15 along it, 0.55 in all",
        pgap,
    ),
    (
        "estimators/agzo",
        "the mean of AGZO's is the gradient projected onto what matrices multiply",
        "0.15 along it, 0.55 in all",
        agzo,
    ),
    (
        "estimators/untouched",
        "whatever the method, looking at losses leaves the weights as they are, and equal losses move nothing",
        "none",
        untouched,
    ),
];

/// Estimates whose mean is taken.
const COUNT: u64 = 2500;
const INPUTS: [u32; 6] = [1, 4, 2, 7, 7, 3];
const TARGETS: [u32; 6] = [4, 2, 7, 7, 3, 0];
const SHAPE: Shape = Shape { rows: 1, seq: 6 };
/// Of directions of few dimensions.
const RANK: usize = 2;

fn batch() -> Batch<'static> {
    Batch { rows: 1, seq: 6, inputs: &INPUTS, targets: &TARGETS, starts: None }
}

/// A model of a few hundred weights, with its gradient of the mean loss.
struct Tiny<'w> {
    world: &'w World<'w>,
    spec: ModelSpec,
    layout: Layout,
    params: Vec<f32>,
    gradient: Vec<f32>,
}

impl<'w> Tiny<'w> {
    fn new(world: &'w World<'w>) -> Result<Tiny<'w>, Broken> {
        let tricky = crate::subject::Tricky::new().spec;
        let small =
            ModelSpec { dim: 8, layers: 1, heads: 1, kv_heads: 1, head_dim: 4, hidden: 5, vocab: 9, tied: true, ..tricky };
        let spec = ModelSpec { residual_scale: 1.0, rope: model::Rope::plain(1e4), ..small };
        let layout = Layout::of(&spec);
        // larger than at the start of training: a gradient that is not all in the embedding
        let params: Vec<f32> = engine::init(&spec, &layout, 3).iter().map(|w| w * 4.0).collect();
        let mut gradient = vec![0.0; layout.len()];
        let mut engine = CpuEngine::new(world.cpu, &spec, SHAPE, Options::TRAINING);
        let loss = engine.loss_and_grad(&params, &batch(), &mut gradient, false).map_err(Broken::of)?;
        gradient.iter_mut().for_each(|g| *g /= loss.tokens as f32);
        Ok(Tiny { world, spec, layout, params, gradient })
    }

    fn line(&self, directions: usize, distribution: Distribution) -> Line {
        Line { seed: 5, eps: 2e-3, directions, distribution, isa: self.world.cpu.isa() }
    }

    fn walk(&self) -> CpuEngine<'_> {
        CpuEngine::new(self.world.cpu, &self.spec, SHAPE, Options::INFERENCE)
    }

    /// One step's estimate: begun, measured, concluded.
    fn estimate(&self, walk: &mut CpuEngine<'_>, estimator: &mut dyn Estimator, step: u64) -> Result<(), Broken> {
        estimator.begin(self.world.cpu, step, &self.params);
        let mut see = |l, which, inputs: &[f32]| estimator.see(self.world.cpu, l, which, inputs);
        let base = walk.score_seen(&self.params, &batch(), &mut see).map_err(Broken::of)?.mean();
        let mut pairs = Vec::new();
        for i in 0..estimator.probes() {
            let found = walk.losses_along(&self.params, &batch(), &estimator.probe(i), &mut || false);
            let pair = found.map_err(Broken::of)?.unwrap_or_default().map(LossSum::mean);
            let wrong = self.world.broken(Tamper::Slope);
            pairs.push(if wrong { pair.map(|loss| base + 2.0 * (loss - base)) } else { pair });
        }
        estimator.conclude(&Measured { base, pairs: &pairs, depths: &[] }, &self.params);
        Ok(())
    }

    /// Mean estimate of `count` steps from step `first` on.
    fn mean(&self, estimator: &mut dyn Estimator, first: u64, count: u64) -> Result<Vec<f64>, Broken> {
        let (mut walk, mut sum) = (self.walk(), vec![0.0; self.layout.len()]);
        for step in first..first + count {
            self.estimate(&mut walk, estimator, step)?;
            let terms = estimator.terms();
            Gradient::Along { terms: &terms, scale: 1.0 }.tiles(0, &self.params, |at, g| {
                sum[at..].iter_mut().zip(g).for_each(|(s, g): (&mut f64, _)| *s += f64::from(*g));
            });
        }
        Ok(sum.iter().map(|s| s / count as f64).collect())
    }
}

fn dot(a: &[f64], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum()
}

/// Whether `mean` is `want`.
fn agrees(mean: &[f64], want: &[f32]) -> Found {
    let square: f64 = want.iter().map(|w| f64::from(*w).powi(2)).sum();
    let apart: f64 = mean.iter().zip(want).map(|(m, w)| (m - f64::from(*w)).powi(2)).sum();
    let (share, apart) = (dot(mean, want) / square, (apart / square).sqrt());
    so((share - 1.0).abs() < 0.15 && apart < 0.55, format!("{share:.3} of it, {apart:.2} of its length away"))
}

fn mezo(world: &World<'_>) -> Found {
    let tiny = Tiny::new(world)?;
    let mean = tiny.mean(&mut Mezo::new(tiny.line(1, Distribution::Rademacher)), 1, COUNT)?;
    agrees(&mean, &tiny.gradient)
}

fn fzoo(world: &World<'_>) -> Found {
    let tiny = Tiny::new(world)?;
    let mut fzoo = Fzoo::new(tiny.line(8, Distribution::Rademacher));
    let (mut walk, eps) = (tiny.walk(), f64::from(tiny.line(8, Distribution::Rademacher).eps));
    tiny.estimate(&mut walk, &mut fzoo, 1)?;
    let base = walk.loss(&tiny.params, &batch()).map_err(Broken::of)?.mean();
    let mut losses = Vec::new();
    for term in fzoo.terms() {
        let mut moved = tiny.params.clone();
        moved_along(&mut moved, term.direction, eps as f32);
        losses.push(walk.loss(&moved, &batch()).map_err(Broken::of)?.mean());
    }
    let mean = losses.iter().sum::<f64>() / 8.0;
    let sigma = (losses.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / 8.0).sqrt();
    let undone = if world.broken(Tamper::Undivided) { sigma } else { 1.0 };
    let off = fzoo.terms().into_iter().zip(&losses).map(|(term, loss)| {
        let want = (loss - base) / (8.0 * eps * sigma);
        (f64::from(term.coefficient) * undone - want).abs() / want.abs().max(10.0)
    });
    let off = off.fold(0.0, f64::max);
    let mean = tiny.mean(&mut fzoo, 2, COUNT / 4)?;
    let length = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let lengths = length(&mut mean.iter().copied()) * length(&mut tiny.gradient.iter().map(|g| f64::from(*g)));
    let cosine = dot(&mean, &tiny.gradient) / lengths;
    if cosine > 0.9 {
        within(off, 2e-2, &format!("cosine {cosine:.3}; off by"))
    } else {
        so(false, format!("cosine {cosine:.3}"))
    }
}

/// `weights + eps z`.
fn moved_along(weights: &mut [f32], direction: &dyn Direction, eps: f32) {
    let mut z = vec![0.0; weights.len()];
    direction.fill(0, weights, &mut z);
    weights.iter_mut().zip(z).for_each(|(w, z)| *w += eps * z);
}

fn sparse(world: &World<'_>) -> Found {
    let tiny = Tiny::new(world)?;
    let mut sparse = SparseMezo::new(tiny.line(1, Distribution::Gaussian), 0.75, &tiny.layout);
    let mean = tiny.mean(&mut sparse, 1, COUNT)?;
    let (mut want, mut still) = (tiny.gradient.clone(), true);
    for t in tiny.layout.tensors() {
        let mut magnitudes: Vec<f32> = tiny.params[t.range.clone()].iter().map(|w| w.abs()).collect();
        magnitudes.sort_by(f32::total_cmp);
        let kept = (magnitudes.len() as f64 * 0.25).round() as usize;
        for i in t.range.clone().filter(|i| kept == 0 || tiny.params[*i].abs() > magnitudes[kept - 1]) {
            want[i] = 0.0;
            still &= mean[i] == 0.0;
        }
    }
    if still { agrees(&mean, &want) } else { so(false, "a large weight moved") }
}

fn hizoo(world: &World<'_>) -> Found {
    let tiny = Tiny::new(world)?;
    let n = tiny.layout.len();
    let mut hizoo = Hizoo::new(tiny.line(1, Distribution::Gaussian), 1e-2, n);
    let hessian: Vec<f32> = (0..n).map(|i| 0.5 + (i % 5) as f32).collect();
    if !world.broken(Tamper::Flat) {
        hizoo.load(std::slice::from_ref(&hessian));
    }
    let mean = tiny.mean(&mut hizoo, 1, COUNT)?;
    let want: Vec<f32> = tiny.gradient.iter().zip(&hessian).map(|(g, h)| g / h).collect();
    agrees(&mean, &want)
}

fn lozo(world: &World<'_>) -> Found {
    let tiny = Tiny::new(world)?;
    let mut lozo = Lozo::new(tiny.line(1, Distribution::Gaussian), RANK, 1, &tiny.layout);
    let mean = tiny.mean(&mut lozo, 1, COUNT)?;
    agrees(&mean, &tiny.gradient)
}

/// `a b`, `a` `[n, k]`, `b` `[k, m]`.
fn product(a: &[f32], b: &[f32], [n, k, m]: [usize; 3]) -> Vec<f32> {
    let at = |i: usize, j: usize| (0..k).map(|x| a[i * k + x] * b[x * m + j]).sum();
    (0..n * m).map(|i| at(i / m, i % m)).collect()
}

fn transposed(a: &[f32], rows: usize, cols: usize) -> Vec<f32> {
    (0..rows * cols).map(|i| a[i % rows * cols + i / rows]).collect()
}

fn pgap(world: &World<'_>) -> Found {
    let (tiny, delta) = (Tiny::new(world)?, 3.0);
    let mut pgap = Pgap::new(tiny.line(6, Distribution::Gaussian), RANK, 1 << 40, delta, &tiny.layout);
    // the first step settles the spaces
    tiny.estimate(&mut tiny.walk(), &mut pgap, 1)?;
    pgap.finish(world.cpu);
    let mean = tiny.mean(&mut pgap, 2, COUNT)?;
    let state = pgap.state();
    let [(_, u), (_, v), (_, core)] = state[..] else { return so(false, "the state is not three arrays") };
    let (mut want, [mut from_u, mut from_v, mut from_core]) = (tiny.gradient.clone(), [0; 3]);
    for t in tiny.layout.tensors().iter().filter(|t| t.shape[0] > 1 && t.role != Role::Embedding) {
        let ([m, n], r) = (t.shape, RANK.min(t.shape[0]).min(t.shape[1]));
        let (u, v, core) = (&u[from_u..][..m * r], &v[from_v..][..r * n], &core[from_core..][..r * r]);
        let g = &tiny.gradient[t.range.clone()];
        let mut inside = product(&product(&transposed(u, m, r), g, [r, m, n]), &transposed(v, r, n), [r, n, r]);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let factor = (delta as f32 - 1.0) * dot(&inside, core) / dot(core, core);
        inside.iter_mut().zip(core).for_each(|(g, m)| *g += factor * m);
        want[t.range.clone()].copy_from_slice(&product(&product(u, &inside, [m, r, r]), v, [m, r, n]));
        (from_u, from_v, from_core) = (from_u + m * r, from_v + r * n, from_core + r * r);
    }
    agrees(&mean, &want)
}

fn agzo(world: &World<'_>) -> Found {
    let tiny = Tiny::new(world)?;
    let mut inputs: Vec<(Projection, Vec<f32>)> = Vec::new();
    let mut see = |_, which, x: &[f32]| inputs.push((which, x.to_vec()));
    tiny.walk().score_seen(&tiny.params, &batch(), &mut see).map_err(Broken::of)?;
    let mut agzo = Agzo::new(Line { eps: 1e-3, ..tiny.line(2, Distribution::Gaussian) }, RANK, &tiny.layout);
    let mean = tiny.mean(&mut agzo, 1, COUNT)?;
    let mut want = tiny.gradient.clone();
    for t in tiny.layout.tensors() {
        let TensorId::Layer(_, part) = t.id else { continue };
        let which = match part {
            Part::Q | Part::K | Part::V => Projection::Qkv,
            Part::O => Projection::O,
            Part::Gate | Part::Up => Projection::GateUp,
            Part::Down => Projection::Down,
            _ => continue,
        };
        let Some((_, x)) = inputs.iter().find(|(w, _)| *w == which) else { return so(false, "an input was not shown") };
        let [rows, cols] = t.shape;
        let a = dominant(x, cols, RANK);
        let inside = product(&want[t.range.clone()], &a, [rows, cols, RANK]);
        want[t.range.clone()].copy_from_slice(&product(&inside, &transposed(&a, cols, RANK), [rows, RANK, cols]));
    }
    agrees(&mean, &want)
}

/// Orthonormal basis of the `rank` largest singular values of the rows of `x`, `[cols, rank]`, by many iterations.
fn dominant(x: &[f32], cols: usize, rank: usize) -> Vec<f32> {
    let (n, mut a) = (x.len() / cols, vec![0.0; cols * rank]);
    Noise { seed: 9, distribution: Distribution::Gaussian, isa: Isa::Scalar }.fill(0, &mut a);
    for _ in 0..200 {
        a = product(&transposed(x, n, cols), &product(x, &a, [n, cols, rank]), [cols, n, rank]);
        for k in 0..rank {
            for j in 0..k {
                let along: f32 = (0..cols).map(|i| a[i * rank + j] * a[i * rank + k]).sum();
                (0..cols).for_each(|i| a[i * rank + k] -= along * a[i * rank + j]);
            }
            let length = (0..cols).map(|i| a[i * rank + k].powi(2)).sum::<f32>().sqrt();
            (0..cols).for_each(|i| a[i * rank + k] /= length);
        }
    }
    a
}

/// Every method with its name.
fn all(tiny: &Tiny<'_>) -> Vec<(&'static str, Box<dyn Estimator>)> {
    let (layout, n) = (&tiny.layout, tiny.layout.len());
    let (one, many) = (tiny.line(1, Distribution::Gaussian), tiny.line(3, Distribution::Gaussian));
    vec![
        ("mezo", Box::new(Mezo::new(one))),
        ("fzoo", Box::new(Fzoo::new(many))),
        ("sparse-mezo", Box::new(SparseMezo::new(one, 0.5, layout))),
        ("hizoo", Box::new(Hizoo::new(one, 1e-2, n))),
        ("lozo", Box::new(Lozo::new(one, RANK, 2, layout))),
        ("conmezo", Box::new(ConMezo::new(one, 1.3, 0.9, n))),
        ("p-gap", Box::new(Pgap::new(many, RANK, 2, 2.0, layout))),
        ("agzo", Box::new(Agzo::new(many, RANK, layout))),
        ("zo-muon", Box::new(ZoMuon::new(many, RANK, 2, layout))),
    ]
}

fn untouched(world: &World<'_>) -> Found {
    let tiny = Tiny::new(world)?;
    let methods = all(&tiny);
    let count = methods.len();
    for (name, mut method) in methods {
        for step in 1..=2 {
            let mut params = tiny.params.clone();
            tiny.estimate(&mut tiny.walk(), &mut *method, step)?;
            if world.broken(Tamper::Restored) {
                let direction = method.probe(0).direction;
                [1.0, -2.0, 1.0].iter().for_each(|times| moved_along(&mut params, direction, times * 2e-3));
            }
            let pairs = vec![[1.5; 2]; method.probes()];
            method.conclude(&Measured { base: 1.5, pairs: &pairs, depths: &[] }, &params);
            let mut sgd = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, &tiny.layout, 0.0);
            sgd.step(world.cpu, &mut params, &Gradient::Along { terms: &method.terms(), scale: 1.0 }, 0.1);
            if params.iter().zip(&tiny.params).any(|(a, b)| a.to_bits() != b.to_bits()) {
                return Ok(Outcome::Failed(format!("{name} moved weights in step {step}")));
            }
            method.finish(world.cpu);
        }
    }
    so(true, format!("{count} methods, bit for bit"))
}
