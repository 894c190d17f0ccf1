//! The seam of the walk: each part as far as the device does it, and the rest on the CPU.

use engine::blocks::{
    AttentionBackward, AttentionForward, Blocks, Context, FfnBackward, FfnForward, NormAt, NormBackward, Projection,
    attention_back_on_cpu, attention_on_cpu, classify_on_cpu, cross_entropy_on_cpu, ffn_back_on_cpu, ffn_on_cpu,
    norm_back_on_cpu, project_back_on_cpu, project_on_cpu,
};
use engine::{Batch, Params};
use kernels::rmsnorm::rmsnorm;
use kernels::rope::Turn;

use super::OnDevice;
use crate::Device;
use crate::staging::Rows;
use crate::unit::{In, Out};

fn input<'d>(field: &'static str, data: &'d [f32], stride: usize, offset: usize, gradient: bool) -> In<'d> {
    In { field, rows: Rows { data, stride, offset }, gradient }
}

fn output(field: &'static str, to: usize, offset: usize, gradient: bool) -> Out {
    Out { field, port: None, to, offset, gradient, add: false }
}

/// Whether the gains of norms are an adapter's: programs hold those of the base.
fn trains_norms(at: &Context<'_>) -> bool {
    at.adapter.as_ref().is_some_and(|plan| plan.spec().norms)
}

impl<D: Device> Blocks for OnDevice<D> {
    fn project(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, which: Projection, x: &[f32], y: &mut [f32]) {
        let (out, inner) = which.shape(&at.spec);
        let done = self.project_windows(&at.spec, l, which, x, y) * self.seq;
        at.add_adapter(params, l, which, &x[..done * inner], &mut y[..done * out]);
        if done * inner < x.len() {
            project_on_cpu(at, params, l, which, &x[done * inner..], &mut y[done * out..]);
        }
    }

    fn project_back(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, which: Projection, dy: &[f32], dx: &mut [f32]) {
        let (out, inner) = which.shape(&at.spec);
        let done = self.project_back_windows(&at.spec, l, which, dy, dx) * self.seq;
        at.add_adapter_back(params, l, which, &dy[..done * out], &mut dx[..done * inner]);
        if done * out < dy.len() {
            project_back_on_cpu(at, params, l, which, &dy[done * out..], &mut dx[done * inner..]);
        }
    }

    fn attention(&mut self, at: &Context<'_>, params: Params<'_>, batch: &Batch<'_>, l: usize, mut io: AttentionForward<'_>) {
        self.without_lse[l] = false;
        let plain = !at.has_adapter(l, Projection::Qkv) && !at.has_adapter(l, Projection::O);
        if plain && self.whole_windows(batch) {
            // the backward pass of the norm needs 1/rms whoever norms
            rmsnorm(at.cpu, io.norm, io.r, io.x, at.gain(params, NormAt::Attention(l)), at.spec.norm_eps);
            if self.attention_ahead(at, batch, l, &mut io) {
                self.without_lse[l] = true;
                return;
            }
            let projected = !self.leaves_output_projection();
            if self.attention_windows(at, batch.rows, l, &mut io) == batch.rows {
                self.without_lse[l] = true;
                if !projected {
                    self.project(at, params, l, Projection::O, io.mixed, io.out);
                }
                return;
            }
        }
        attention_on_cpu(self, at, params, batch, l, io);
    }

    fn attention_back(
        &mut self,
        at: &Context<'_>,
        params: Params<'_>,
        batch: &Batch<'_>,
        l: usize,
        mut io: AttentionBackward<'_>,
    ) {
        let spec = &at.spec;
        let plain = !at.has_adapter(l, Projection::O);
        if plain && self.whole_windows(batch) {
            if self.takes_projected_gradient() {
                self.project_back(at, params, l, Projection::O, io.dout, io.dmixed);
            }
            let turns = self.has("attn_bwd");
            if self.attention_back_windows(at, batch.rows, l, &mut io) == batch.rows {
                if !turns && spec.rotates(l) {
                    at.rotate(io.dqkv, batch.seq, Turn::Back);
                }
                return;
            }
        }
        self.recover_lse(at, batch, l, &mut io);
        attention_back_on_cpu(self, at, params, batch, l, io);
    }

    fn ffn(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, mut io: FfnForward<'_>) {
        if self.without_lse[l] && self.ffn_ahead(at, l, &mut io) {
            return;
        }
        let (d, ff, a) = (at.spec.dim, at.spec.hidden, at.spec.residual_scale);
        let plain = !at.has_adapter(l, Projection::GateUp) && !at.has_adapter(l, Projection::Down);
        let kernel = ["fwd_ffn", "ffn_fwd", "ffn_fused", "ffn_conv"].into_iter().find(|k| plain && self.has(k));
        let windows = if (io.x.len() / d).is_multiple_of(self.seq) { io.x.len() / d / self.seq } else { 0 };
        let mut done = 0;
        while let Some(kernel) = kernel.filter(|_| done < windows) {
            let t = done * self.seq;
            let ins = [input("x2", &io.x[t * d..], d, 0, false), input("x2norm", &io.norm[t * d..], d, 0, false)];
            let adds_residual = self.gives(kernel, "x_next");
            let keeps = self.gives(kernel, "h1");
            let branch = if adds_residual { "x_next" } else { "out" };
            let mut outs = if keeps { vec![output("h1", 0, 0, false), output("h3", 0, ff, false)] } else { Vec::new() };
            let mut to = vec![(&mut io.gate_up[t * 2 * ff..], 2 * ff)];
            if let Some(out) = io.out.as_deref_mut() {
                outs.push(output(branch, 1, 0, false));
                to.push((&mut out[t * d..], d));
            }
            if !self.run(kernel, l, &ins, &outs, &mut to) {
                break;
            }
            if !keeps && at.options.gradient {
                let window = t * 2 * ff..(t + self.seq) * 2 * ff;
                self.project(at, params, l, Projection::GateUp, &io.norm[t * d..(t + self.seq) * d], &mut io.gate_up[window]);
            }
            if let Some(out) = io.out.as_deref_mut().filter(|_| adds_residual) {
                // the published kernel adds the residual itself: the walk wants the branch
                for (y, x) in out[t * d..][..self.seq * d].iter_mut().zip(&io.x[t * d..]) {
                    *y = (*y - x) / a;
                }
            }
            done += 1;
        }
        let t = done * self.seq;
        if t * d < io.x.len() {
            let rest = FfnForward {
                x: &io.x[t * d..],
                norm: &io.norm[t * d..],
                gate_up: &mut io.gate_up[t * 2 * ff..],
                act: &mut io.act[t * ff..],
                out: io.out.map(|out| &mut out[t * d..]),
            };
            ffn_on_cpu(self, at, params, l, rest);
        }
    }

    fn ffn_back(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, io: FfnBackward<'_>) {
        let (d, ff) = (at.spec.dim, at.spec.hidden);
        let windows = if (io.dout.len() / d).is_multiple_of(self.seq) { io.dout.len() / d / self.seq } else { 0 };
        let mut done = 0;
        let plain = !at.has_adapter(l, Projection::GateUp) && !at.has_adapter(l, Projection::Down);
        while plain && done < windows && self.has("ffn_bwd") {
            let t = done * self.seq;
            let gate_up = &mut io.gate_up[t * 2 * ff..];
            let outs = [output("dh1", 0, 0, true), output("dh3", 0, ff, true), output("dx", 1, 0, true)];
            // read and written in place, one after the other: a copy of the window keeps the borrows apart
            let kept = gate_up[..self.seq * 2 * ff].to_vec();
            let ins = [
                input("dffn", &io.dout[t * d..], d, 0, true),
                input("h1", &kept, 2 * ff, 0, false),
                input("h3", &kept, 2 * ff, ff, false),
            ];
            if !self.run("ffn_bwd", l, &ins, &outs, &mut [(gate_up, 2 * ff), (&mut io.dnorm[t * d..], d)]) {
                break;
            }
            done += 1;
        }
        let t = done * self.seq;
        if t * d < io.dout.len() {
            let rest = FfnBackward {
                dout: &io.dout[t * d..],
                gate_up: &mut io.gate_up[t * 2 * ff..],
                dact: &mut io.dact[t * ff..],
                dnorm: &mut io.dnorm[t * d..],
            };
            ffn_back_on_cpu(self, at, params, l, rest);
        }
    }

    fn norm_back(&mut self, at: &Context<'_>, params: Params<'_>, which: NormAt, io: NormBackward<'_>) {
        let (name, l) = match which {
            NormAt::Attention(l) => ("attn_norm_bwd", l),
            NormAt::Ffn(l) => ("ffn_norm_bwd", l),
            _ => return norm_back_on_cpu(at, params, which, io),
        };
        let d = at.spec.dim;
        if !self.has(name) || trains_norms(at) || !(io.x.len() / d).is_multiple_of(self.seq) {
            return norm_back_on_cpu(at, params, which, io);
        }
        let mut through = vec![0.0; io.x.len()];
        for t in (0..io.x.len() / d).step_by(self.seq) {
            let ins = [input("dy", &io.dnorm[t * d..], d, 0, true), input("x", &io.x[t * d..], d, 0, false)];
            if !self.run(name, l, &ins, &[output("dx", 0, 0, true)], &mut [(&mut through[t * d..], d)]) {
                return norm_back_on_cpu(at, params, which, io);
            }
        }
        // the gradient of the gain is the CPU's; its own dx is left in a copy
        let mut own = io.dx.to_vec();
        for (dx, through) in io.dx.iter_mut().zip(&through) {
            *dx += through;
        }
        norm_back_on_cpu(at, params, which, NormBackward { dx: &mut own, ..io });
    }

    fn final_norm(&mut self, at: &Context<'_>, _params: Params<'_>, x: &[f32], norm: &mut [f32]) {
        let d = at.spec.dim;
        if self.has("final_norm") && !trains_norms(at) && (x.len() / d).is_multiple_of(self.seq) {
            for t in (0..x.len() / d).step_by(self.seq) {
                let ins = [input("x", &x[t * d..], d, 0, false)];
                if !self.run("final_norm", 0, &ins, &[output("xnorm", 0, 0, false)], &mut [(&mut norm[t * d..], d)]) {
                    return; // what is there is the CPU's
                }
            }
        }
    }

    fn classify(&mut self, at: &Context<'_>, params: Params<'_>, x: &[f32], logits: &mut [f32]) {
        let (d, v) = (at.spec.dim, at.spec.vocab);
        let tokens = x.len() / d;
        let mut t = 0;
        while self.has("classifier") && t + self.seq <= tokens {
            let ins = [input("x", &x[t * d..], d, 0, false)];
            if !self.run("classifier", 0, &ins, &[output("logits", 0, 0, false)], &mut [(&mut logits[t * v..], v)]) {
                break;
            }
            t += self.seq;
        }
        if t < tokens {
            classify_on_cpu(at, params, &x[t * d..], &mut logits[t * v..]);
        }
    }

    fn cross_entropy(&mut self, at: &Context<'_>, losses: &mut [f32], logits: &mut [f32], targets: &[u32], gradient: bool) {
        let v = at.spec.vocab;
        if !gradient || !self.has("softmax") || !targets.len().is_multiple_of(self.seq) {
            return cross_entropy_on_cpu(at, losses, logits, targets, gradient);
        }
        for t in (0..targets.len()).step_by(self.seq) {
            let (kept, end) = (logits[t * v..(t + self.seq) * v].to_vec(), t + self.seq);
            // the loss by log-sum-exp in f32: a probability that fp16 rounds to 0 has a finite loss
            cross_entropy_on_cpu(at, &mut losses[t..end], &mut logits[t * v..end * v], &targets[t..end], false);
            let ins = [input("logits", &kept, v, 0, false)];
            if !self.run("softmax", 0, &ins, &[output("probs", 0, 0, false)], &mut [(&mut logits[t * v..], v)]) {
                logits[t * v..end * v].copy_from_slice(&kept);
                let rest = &mut losses[t..];
                return cross_entropy_on_cpu(at, rest, &mut logits[t * v..], &targets[t..], true);
            }
            for (row, &target) in logits[t * v..].chunks_exact_mut(v).zip(&targets[t..t + self.seq]) {
                match row.get_mut(target as usize).filter(|_| target != engine::IGNORE) {
                    Some(p) => *p -= 1.0,
                    None => row.fill(0.0),
                }
            }
        }
    }
}

impl<D: Device> OnDevice<D> {
    /// Whether the windows of a batch are what the kernels were made for: of their length, each one document.
    fn whole_windows(&self, batch: &Batch<'_>) -> bool {
        batch.seq == self.seq && batch.starts.is_none()
    }

    fn takes_projected_gradient(&self) -> bool {
        self.has("sdpa_bwd1") && self.takes("sdpa_bwd1", "da")
    }
}
