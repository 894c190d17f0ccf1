//! Gradient descent: `w = (1 - lr wd) w - lr g`, or with heavy-ball momentum `b = mu b + g`, `w = (1 - lr wd) w - lr b`.

use kernels::gemm::Cpu;

use super::Rates;
use super::plan::Plan;
use crate::Gradient;

pub(super) struct Sgd {
    momentum: f32,
    plan: Plan,
    /// Empty without momentum.
    buffer: Vec<f32>,
}

impl Sgd {
    pub(super) fn new(momentum: f64, plan: Plan) -> Sgd {
        Sgd { momentum: momentum as f32, buffer: vec![0.0; if momentum == 0.0 { 0 } else { plan.len() }], plan }
    }

    pub(super) fn step(&mut self, cpu: &Cpu, params: &mut [f32], gradient: &Gradient, rates: Rates) {
        let (rate, scale, mu, without) = (rates.lr as f32, gradient.scale(), self.momentum, self.buffer.is_empty());
        self.plan.each(cpu, params, [&mut self.buffer, &mut []], |piece, w, b, _| {
            let keep = rates.keep(piece.decays);
            gradient.update(piece.start, w, |at, w, g| {
                if without {
                    plain(w, g, keep, rate * scale);
                } else {
                    heavy(w, &mut b[at..at + g.len()], g, [keep, rate, scale, mu]);
                }
            });
        });
    }

    pub(super) fn visit(&self, f: &mut impl FnMut(&str, &[f32])) {
        if !self.buffer.is_empty() {
            f("momentum_buffer", &self.buffer);
        }
    }

    pub(super) fn visit_mut<E>(&mut self, f: &mut impl FnMut(&str, &mut [f32]) -> Result<(), E>) -> Result<(), E> {
        if self.buffer.is_empty() { Ok(()) } else { f("momentum_buffer", &mut self.buffer) }
    }
}

fn plain(w: &mut [f32], g: &[f32], keep: f32, rate: f32) {
    for (w, g) in w.iter_mut().zip(g) {
        *w = *w * keep - rate * g;
    }
}

fn heavy(w: &mut [f32], b: &mut [f32], g: &[f32], [keep, rate, scale, mu]: [f32; 4]) {
    for ((w, b), g) in w.iter_mut().zip(b).zip(g) {
        *b = *b * mu + g * scale;
        *w = *w * keep - rate * *b;
    }
}
