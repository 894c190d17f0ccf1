//! Several layers as one program: their forward pass is made when the walk reaches the first of them, and handed out layer by
//! layer as the walk asks for it.

use engine::Batch;
use engine::blocks::{AttentionForward, Context, FfnForward, Projection};

use super::OnDevice;
use crate::Device;
use crate::staging::Rows;
use crate::unit::{In, Out};

/// The program.
const KERNEL: &str = "layers_fwd";

/// What a program of several layers says of one of them; `[n, ...]` for the whole batch.
#[derive(Clone, Debug, Default)]
pub struct Ahead {
    /// Stream between attention and feed-forward part `[n, d]`.
    middle: Vec<f32>,
    /// Stream after the layer `[n, d]`.
    next: Vec<f32>,
    /// `[n, q + 2 kv]`
    qkv: Vec<f32>,
    /// `[n, q]`
    mixed: Vec<f32>,
    /// `[n, 2 ff]`
    gate_up: Vec<f32>,
}

impl Ahead {
    fn sized(at: &Context<'_>, n: usize) -> Ahead {
        let (spec, zeros) = (&at.spec, |width: usize| vec![0.0; n * width]);
        let (middle, next) = (zeros(spec.dim), zeros(spec.dim));
        Ahead { middle, next, qkv: zeros(spec.qkv_dim()), mixed: zeros(spec.q_dim()), gate_up: zeros(2 * spec.hidden) }
    }
}

impl<D: Device> OnDevice<D> {
    /// The attention part of layer `l`, if the program of its group has it; runs the program at the group's first layer.
    pub(super) fn attention_ahead(
        &mut self,
        at: &Context<'_>,
        batch: &Batch<'_>,
        l: usize,
        io: &mut AttentionForward<'_>,
    ) -> bool {
        let Some(unit) = self.unit(KERNEL) else { return false };
        let (first, span) = (l / self.units[unit].span * self.units[unit].span, self.units[unit].span);
        let adapted =
            |l: usize| [Projection::Qkv, Projection::O, Projection::GateUp, Projection::Down].map(|p| at.has_adapter(l, p));
        if at.options.recompute || (first..first + span).any(|l| adapted(l).contains(&true)) {
            return false;
        }
        if l == first && !self.look_ahead(at, batch, l, span, io.x) {
            self.ahead.clear();
        }
        let Some(ahead) = self.ahead.get(l - first).filter(|a| a.mixed.len() >= io.mixed.len()) else { return false };
        io.qkv.copy_from_slice(&ahead.qkv[..io.qkv.len()]);
        io.mixed.copy_from_slice(&ahead.mixed[..io.mixed.len()]);
        branch(io.out, &ahead.middle, io.x, at.spec.residual_scale);
        true
    }

    /// The feed-forward part of layer `l`, if the program of its group has it.
    pub(super) fn ffn_ahead(&self, at: &Context<'_>, l: usize, io: &mut FfnForward<'_>) -> bool {
        let Some(unit) = self.unit(KERNEL) else { return false };
        let ahead = self.ahead.get(l % self.units[unit].span).filter(|a| a.gate_up.len() >= io.gate_up.len());
        let Some(ahead) = ahead.filter(|_| !at.options.recompute) else { return false };
        io.gate_up.copy_from_slice(&ahead.gate_up[..io.gate_up.len()]);
        if let Some(out) = io.out.as_deref_mut() {
            branch(out, &ahead.next, io.x, at.spec.residual_scale);
        }
        true
    }

    /// Runs the program on every window of the stream `x` `[n, d]`.
    fn look_ahead(&mut self, at: &Context<'_>, batch: &Batch<'_>, l: usize, span: usize, x: &[f32]) -> bool {
        let (spec, n) = (&at.spec, batch.len());
        let (d, q, kv, qkv, ff) = (spec.dim, spec.q_dim(), spec.kv_dim(), spec.qkv_dim(), spec.hidden);
        let mut ahead = std::mem::take(&mut self.ahead);
        if ahead.len() != span || ahead[0].mixed.len() < n * q {
            ahead = vec![Ahead::sized(at, n); span];
        }
        let fields = [
            ("x2", 0, 0),
            ("x_next", 1, 0),
            ("q", 2, 0),
            ("k", 2, q),
            ("v", 2, q + kv),
            ("attn", 3, 0),
            ("h1", 4, 0),
            ("h3", 4, ff),
        ];
        let outs: Vec<Out> = (0..span)
            .flat_map(|port| fields.map(|(field, to, offset)| (field, port, to, offset)))
            .map(|(field, port, to, offset)| Out {
                field,
                port: Some(port),
                to: 5 * port + to,
                offset,
                gradient: false,
                add: false,
            })
            .collect();
        let whole = (0..batch.rows).all(|w| {
            let t = w * self.seq;
            let ins = [In { field: "x", rows: Rows { data: &x[t * d..], stride: d, offset: 0 }, gradient: false }];
            let mut to: Vec<(&mut [f32], usize)> = Vec::with_capacity(5 * span);
            for a in &mut ahead {
                to.push((&mut a.middle[t * d..], d));
                to.push((&mut a.next[t * d..], d));
                to.push((&mut a.qkv[t * qkv..], qkv));
                to.push((&mut a.mixed[t * q..], q));
                to.push((&mut a.gate_up[t * 2 * ff..], 2 * ff));
            }
            self.run(KERNEL, l, &ins, &outs, &mut to)
        });
        self.ahead = ahead;
        whole
    }
}

/// What was added to `before` to make `after`, before the residual scale.
fn branch(out: &mut [f32], after: &[f32], before: &[f32], a: f32) {
    for ((out, after), before) in out.iter_mut().zip(after).zip(before) {
        *out = (after - before) / a;
    }
}
