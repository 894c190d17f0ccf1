//! AdamW as `torch.optim.AdamW` computes it (Loshchilov & Hutter, arXiv 1711.05101):
//!
//! ```text
//! w *= 1 - lr wd        m += (1 - b1)(g - m)        v = b2 v + (1 - b2) g^2
//! w -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
//! ```
//!
//! One pass over gradient, moments and weights: bound by memory, so plain loops that LLVM vectorises at any width are
//! enough, and without fused multiply-adds the bits are the same on every machine.

use kernels::gemm::Cpu;

use super::plan::Plan;
use super::{AdamWConfig, Rates};
use crate::Gradient;

pub(super) struct AdamW {
    config: AdamWConfig,
    plan: Plan,
    m: Vec<f32>,
    v: Vec<f32>,
}

/// The constants of one step, corrections folded in.
#[derive(Clone, Copy)]
struct Coefficients {
    scale: f32,
    keep: f32,
    take1: f32,
    beta2: f32,
    take2: f32,
    rate: f32,
    root: f32,
    eps: f32,
}

impl AdamW {
    pub(super) fn new(config: AdamWConfig, plan: Plan) -> AdamW {
        let zeros = || vec![0.0; plan.len()];
        AdamW { config, m: zeros(), v: zeros(), plan }
    }

    pub(super) fn step(&mut self, cpu: &Cpu, params: &mut [f32], gradient: &Gradient, rates: Rates) {
        let with = |decays| coefficients(&self.config, gradient.scale(), rates, decays);
        let (plain, decayed) = (with(false), with(true));
        self.plan.each(cpu, params, [&mut self.m, &mut self.v], |piece, w, m, v| {
            let c = if piece.decays { decayed } else { plain };
            gradient.update(piece.start, w, |at, w, g| {
                let part = at..at + g.len();
                update(w, &mut m[part.clone()], &mut v[part], g, c);
            });
        });
    }

    pub(super) fn visit(&self, f: &mut impl FnMut(&str, &[f32])) {
        f("exp_avg", &self.m);
        f("exp_avg_sq", &self.v);
    }

    pub(super) fn visit_mut<E>(&mut self, f: &mut impl FnMut(&str, &mut [f32]) -> Result<(), E>) -> Result<(), E> {
        f("exp_avg", &mut self.m)?;
        f("exp_avg_sq", &mut self.v)
    }
}

fn coefficients(config: &AdamWConfig, scale: f32, rates: Rates, decays: bool) -> Coefficients {
    let correction = |beta: f64| 1.0 - beta.powf(rates.t as f64);
    Coefficients {
        scale,
        keep: rates.keep(decays),
        take1: (1.0 - config.beta1) as f32,
        beta2: config.beta2 as f32,
        take2: (1.0 - config.beta2) as f32,
        rate: (rates.lr / correction(config.beta1)) as f32,
        root: (1.0 / correction(config.beta2).sqrt()) as f32,
        eps: config.eps as f32,
    }
}

/// Moments of a weight that gets no gradient would decay into subnormal numbers and stay there, which is slow arithmetic
/// for nothing.
#[inline(always)]
fn normal(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

fn update(w: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], c: Coefficients) {
    for (((w, m), v), g) in w.iter_mut().zip(m).zip(v).zip(g) {
        let g = g * c.scale;
        *m = normal(*m + c.take1 * (g - *m));
        *v = normal(*v * c.beta2 + c.take2 * g * g);
        let denominator = v.sqrt() * c.root + c.eps;
        *w = *w * c.keep - c.rate * *m / denominator;
    }
}
