//! The attention part on a device, forward and back.

use engine::Batch;
use engine::blocks::{AttentionBackward, AttentionForward, Context, attention_of};
use kernels::attention::attention;
use model::ModelSpec;

use super::OnDevice;
use crate::Device;
use crate::staging::Rows;
use crate::unit::{In, Out};

fn rows(data: &[f32], stride: usize, offset: usize) -> Rows<'_> {
    Rows { data, stride, offset }
}

impl<D: Device> OnDevice<D> {
    /// The forward pass of as many windows as it can; gives how many. `out` says whether the branch was computed too, or
    /// only what it is projected from.
    pub(super) fn attention_windows(
        &mut self,
        at: &Context<'_>,
        windows: usize,
        l: usize,
        io: &mut AttentionForward<'_>,
    ) -> usize {
        let (d, q, kv, qkv) = widths(&at.spec);
        let Some(kernel) = ["fwd_attn", "attn_fwd", "sdpa_fwd"].into_iter().find(|k| self.has(k)) else { return 0 };
        let (field, source): (_, &[f32]) = if kernel == "fwd_attn" { ("x", io.x) } else { ("xnorm", io.norm) };
        let mut outs = vec![out("q", 0, 0), out("k", 0, q), out("v", 0, q + kv), out("attn", 1, 0)];
        if kernel != "sdpa_fwd" {
            outs.push(out("out", 2, 0));
        }
        for w in 0..windows {
            let t = w * self.seq;
            let ins = [In { field, rows: rows(&source[t * d..], d, 0), gradient: false }];
            let mut to = [(&mut io.qkv[t * qkv..], qkv), (&mut io.mixed[t * q..], q), (&mut io.out[t * d..], d)];
            if !self.run(kernel, l, &ins, &outs, &mut to) {
                return w;
            }
        }
        windows
    }

    /// Whether the forward kernel leaves the output projection to be done.
    pub(super) fn leaves_output_projection(&self) -> bool {
        !self.has("fwd_attn") && !self.has("attn_fwd")
    }

    /// The backward pass of as many windows as it can, up to the gradient of rotated queries and keys, or of unrotated ones
    /// where the kernel turns them back itself; gives how many.
    pub(super) fn attention_back_windows(
        &mut self,
        at: &Context<'_>,
        windows: usize,
        l: usize,
        io: &mut AttentionBackward<'_>,
    ) -> usize {
        if self.has("attn_bwd") {
            return self.fused_back(&at.spec, windows, l, io);
        }
        if self.has("sdpa_bwd1") && self.has("sdpa_bwd2") { self.split_back(at, windows, l, io) } else { 0 }
    }

    fn fused_back(&mut self, spec: &ModelSpec, windows: usize, l: usize, io: &mut AttentionBackward<'_>) -> usize {
        let (d, q, kv, qkv) = widths(spec);
        let outs = [gradient("dq", 0, 0), gradient("dk", 0, q), gradient("dv", 0, q + kv)];
        for w in 0..windows {
            let t = w * self.seq;
            let kept = &io.qkv[t * qkv..];
            let ins = [
                In { field: "dout", rows: rows(&io.dout[t * d..], d, 0), gradient: true },
                In { field: "q", rows: rows(kept, qkv, 0), gradient: false },
                In { field: "k", rows: rows(kept, qkv, q), gradient: false },
                In { field: "v", rows: rows(kept, qkv, q + kv), gradient: false },
            ];
            if !self.run("attn_bwd", l, &ins, &outs, &mut [(&mut io.dqkv[t * qkv..], qkv)]) {
                return w;
            }
        }
        windows
    }

    /// The two halves of the published kernels: probabilities and their gradients go from one to the other; keys and values
    /// are repeated for each query head before, and their gradients summed over the heads of a group after.
    fn split_back(&mut self, at: &Context<'_>, windows: usize, l: usize, io: &mut AttentionBackward<'_>) -> usize {
        let spec = &at.spec;
        let (d, q, kv, qkv) = widths(spec);
        let seq = self.seq;
        let mut tiled = vec![0.0; seq * 2 * q]; // k, v: [seq, 2 q]
        let mut full = vec![0.0; seq * 2 * q]; // dk, dv
        for w in 0..windows {
            let t = w * seq;
            let kept = &io.qkv[t * qkv..(t + seq) * qkv];
            repeat_heads(spec, kept, &mut tiled);
            let da = if self.takes("sdpa_bwd1", "da") {
                In { field: "da", rows: rows(&io.dmixed[t * q..], q, 0), gradient: true }
            } else {
                In { field: "dout", rows: rows(&io.dout[t * d..], d, 0), gradient: true }
            };
            let (queries, keys) = (rows(kept, qkv, 0), rows(&tiled, 2 * q, 0));
            let ins = [
                In { field: "q", rows: queries, gradient: false },
                In { field: "k_tiled", rows: keys, gradient: false },
                In { field: "v_tiled", rows: rows(&tiled, 2 * q, q), gradient: false },
                da,
            ];
            // dp crosses to the second half in the scale of da; so does what follows from it
            let scale = self.split_scale(&da.rows, if da.field == "da" { q } else { d });
            let dv = Out { to: 0, ..gradient("dv_full", 0, q) };
            let first = self.run("sdpa_bwd1", l, &ins, &[dv], &mut [(&mut full, 2 * q)]);
            if !first || !self.hand_over("sdpa_bwd1", "sdpa_bwd2", l, &["probs", "dp"]) {
                return w;
            }
            let ins = [In { field: "q", rows: queries, gradient: false }, In { field: "k_tiled", rows: keys, gradient: false }];
            let dqkv = &mut io.dqkv[t * qkv..(t + seq) * qkv];
            let outs = [out("dq", 0, 0), out("dk_full", 1, 0)];
            if !self.run("sdpa_bwd2", l, &ins, &outs, &mut [(&mut *dqkv, qkv), (&mut full, 2 * q)]) {
                return w;
            }
            unscale(dqkv, qkv, q, 1.0 / scale);
            unscale(&mut full, 2 * q, q, 1.0 / scale);
            sum_heads(spec, &full, dqkv, (q, q + kv));
        }
        windows
    }

    pub(super) fn gives(&self, kernel: &str, field: &str) -> bool {
        self.unit(kernel).is_some_and(|i| self.units[i].spec.outputs.iter().any(|p| p.field(field).is_some()))
    }

    pub(super) fn takes(&self, kernel: &str, field: &str) -> bool {
        self.unit(kernel).is_some_and(|i| self.units[i].spec.inputs.iter().any(|p| p.field(field).is_some()))
    }

    fn split_scale(&self, rows: &Rows<'_>, width: usize) -> f32 {
        let window = rows.data.chunks(rows.stride).take(self.seq);
        let largest = window.map(|row| crate::staging::largest(&row[rows.offset..rows.offset + width])).fold(0.0, f32::max);
        crate::staging::gradient_scale(largest)
    }

    /// Log-sum-exps, and mixed values with them, of a forward pass that ran on the device.
    pub(super) fn recover_lse(&mut self, at: &Context<'_>, batch: &Batch<'_>, l: usize, io: &mut AttentionBackward<'_>) {
        if std::mem::take(&mut self.without_lse[l]) {
            attention(at.cpu, &attention_of(&at.spec, batch, l), io.mixed, io.lse, io.qkv);
        }
    }
}

/// `(d, q, kv, q + 2 kv)`.
fn widths(spec: &ModelSpec) -> (usize, usize, usize, usize) {
    (spec.dim, spec.q_dim(), spec.kv_dim(), spec.qkv_dim())
}

fn out(field: &'static str, to: usize, offset: usize) -> Out {
    Out { field, port: None, to, offset, gradient: false, add: false }
}

fn gradient(field: &'static str, to: usize, offset: usize) -> Out {
    Out { gradient: true, ..out(field, to, offset) }
}

/// Each key and value head as often as query heads read it, in their order: `[seq, 2 q]` from `[seq, q + 2 kv]`.
fn repeat_heads(spec: &ModelSpec, kept: &[f32], tiled: &mut [f32]) {
    let (_, q, kv, qkv) = widths(spec);
    let hd = spec.head_dim;
    for (row, to) in kept.chunks_exact(qkv).zip(tiled.chunks_exact_mut(2 * q)) {
        for head in 0..spec.heads {
            let from = q + head / spec.group() * hd;
            to[head * hd..][..hd].copy_from_slice(&row[from..from + hd]);
            to[q + head * hd..][..hd].copy_from_slice(&row[from + kv..from + kv + hd]);
        }
    }
}

/// The other way round: sums over the query heads of a group.
fn sum_heads(spec: &ModelSpec, full: &[f32], dqkv: &mut [f32], (keys, values): (usize, usize)) {
    let (_, q, _, qkv) = widths(spec);
    let (hd, kv) = (spec.head_dim, spec.kv_dim());
    for (from, row) in full.chunks_exact(2 * q).zip(dqkv.chunks_exact_mut(qkv)) {
        row[keys..keys + 2 * kv].fill(0.0);
        for head in 0..spec.heads {
            let at = head / spec.group() * hd;
            for c in 0..hd {
                row[keys + at + c] += from[head * hd + c];
                row[values + at + c] += from[q + head * hd + c];
            }
        }
    }
}

fn unscale(rows: &mut [f32], stride: usize, width: usize, scale: f32) {
    for row in rows.chunks_exact_mut(stride) {
        row[..width].iter_mut().for_each(|v| *v *= scale);
    }
}
