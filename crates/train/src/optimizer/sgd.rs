//! Gradient descent: `w = (1 - lr wd) w - lr g`, or with heavy-ball momentum `b = mu b + g`, `w = (1 - lr wd) w - lr b`.

use kernels::gemm::Cpu;
use model::Layout;

use super::{CHUNK, Rates, Segment, segments};
use crate::Gradient;

pub(super) struct Sgd {
    momentum: f32,
    segments: Vec<Segment>,
    /// Empty without momentum.
    buffer: Vec<f32>,
}

impl Sgd {
    pub(super) fn new(momentum: f64, layout: &Layout) -> Sgd {
        let (segments, len) = segments(layout.tensors().iter());
        Sgd { momentum: momentum as f32, segments, buffer: vec![0.0; if momentum == 0.0 { 0 } else { len }] }
    }

    pub(super) fn step(&mut self, cpu: &Cpu, params: &mut [f32], gradient: &Gradient, rates: Rates) {
        for segment in &self.segments {
            let (keep, rate, scale) = (rates.keep(segment.decays), rates.lr as f32, gradient.scale());
            let start = segment.params.start;
            let weights = &mut params[segment.params.clone()];
            if self.buffer.is_empty() {
                cpu.pool().chunks_mut(weights, CHUNK, |i, w| {
                    gradient.tiles(start + i * CHUNK, w.len(), |at, g| plain(&mut w[at..at + g.len()], g, keep, rate * scale));
                });
                continue;
            }
            let buffer = &mut self.buffer[segment.state..segment.state + segment.params.len()];
            let mu = self.momentum;
            cpu.pool().chunks_mut2((weights, CHUNK), (buffer, CHUNK), |i, w, b| {
                gradient.tiles(start + i * CHUNK, w.len(), |at, g| {
                    let part = at..at + g.len();
                    heavy(&mut w[part.clone()], &mut b[part], g, [keep, rate, scale, mu]);
                });
            });
        }
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
