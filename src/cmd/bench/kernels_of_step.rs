//! Every kernel of a training step, timed by itself at the step's shapes.
//! Legend: n tokens, d dim, q and kv widths of query and key heads, ff hidden, v vocabulary, m tokens of a classifier chunk.

use std::time::{Duration, Instant};

use engine::Sizes;
use kernels::attention::{Attention, attention, attention_backward};
use kernels::cross_entropy::cross_entropy_backward;
use kernels::embedding::{add_to, embed, embed_backward};
use kernels::gemm::{Cpu, MatRef};
use kernels::head_norm::{Heads, head_norm, head_norm_backward, head_partials};
use kernels::noise::Philox;
use kernels::rmsnorm::{add_rmsnorm, dw_partials, rmsnorm, rmsnorm_again, rmsnorm_backward};
use kernels::rope::{RopeTable, Turn, rope};
use kernels::swiglu::{swiglu, swiglu_backward};
use model::ModelSpec;

use super::{Job, median};
use crate::out::Out;
use crate::wire;

/// Calls of a kernel that are timed at least.
const LEAST_CALLS: usize = 3;
/// Kernels in the table, nearly.
const KERNELS: u32 = 28;

/// What one call of a kernel does.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// Floating-point operations.
    Flops(f64),
    /// Bytes read and written.
    Bytes(f64),
}

/// One kernel of a step.
pub(super) struct Row {
    pub name: String,
    /// Calls in a step.
    pub calls: usize,
    /// Seconds a call, the median.
    pub seconds: f64,
    pub work: Work,
}

/// Shapes, operands and the table so far. `x`, `y` are inputs `[n, widest]` that stay as they are; `z` takes results.
struct Bench<'a> {
    cpu: &'a Cpu,
    spec: &'a ModelSpec,
    seq: usize,
    n: usize,
    /// Passes over the blocks that only look back: 1 when activations are recomputed.
    again: usize,
    params: &'a [f32],
    grad: &'a mut [f32],
    tokens: &'a [u32],
    x: Vec<f32>,
    y: Vec<f32>,
    z: Vec<f32>,
    time: Duration,
    rows: Vec<Row>,
}

/// Times every kernel, for `time` altogether.
pub(super) fn measure(
    job: &Job,
    cpu: &Cpu,
    params: &[f32],
    grad: &mut [f32],
    tokens: &[u32],
    time: Duration,
    out: Out,
) -> Vec<Row> {
    let spec = &job.spec;
    let n = job.config.batch_size * job.config.seq_len;
    let widest = (2 * spec.hidden).max(spec.qkv_dim()).max(spec.dim);
    let noise = |stream| {
        let mut values = vec![0.0; n * widest];
        Philox::new(1, stream).fill_normal(&mut values, 0);
        values
    };
    let mut bench = Bench {
        cpu,
        spec,
        seq: job.config.seq_len,
        n,
        again: usize::from(job.config.recompute),
        params,
        grad,
        tokens,
        x: noise(1),
        y: noise(2),
        z: vec![0.0; n * widest],
        time: time / KERNELS,
        rows: Vec::new(),
    };
    out.detail("timing each kernel");
    bench.products();
    let (shape, options) = wire::engine_shape(&job.config);
    let sizes = Sizes::of(spec, shape, options, cpu.pool().threads());
    bench.classifier(sizes.chunk);
    bench.attention();
    bench.norms();
    bench.head_norms();
    bench.elementwise();
    bench.rows
}

/// Median seconds of `run` on `z`, which is `from` before each call.
fn timed(time: Duration, z: &mut [f32], from: &[f32], mut run: impl FnMut(&mut [f32])) -> f64 {
    let (begin, mut seconds) = (Instant::now(), Vec::new());
    while seconds.len() <= LEAST_CALLS || begin.elapsed() < time {
        let part = from.len().min(z.len());
        z[..part].copy_from_slice(&from[..part]);
        let start = Instant::now();
        run(z);
        seconds.push(start.elapsed().as_secs_f64());
    }
    // the first call finds cold caches and fresh pages
    median(&seconds[1..])
}

impl Bench<'_> {
    fn push(&mut self, name: impl Into<String>, calls: usize, seconds: f64, work: Work) {
        if calls > 0 {
            self.rows.push(Row { name: name.into(), calls, seconds, work });
        }
    }

    /// Adds a kernel that reads and writes so many floats a token.
    fn streaming(&mut self, name: &str, calls: usize, seconds: f64, floats: usize) {
        self.push(name, calls, seconds, Work::Bytes(4.0 * (self.n * floats) as f64));
    }

    /// The matrix products of the blocks: forward, weight gradient, input gradient.
    fn products(&mut self) {
        let s = self.spec;
        let (d, q, qkv, ff, layers) = (s.dim, s.q_dim(), s.qkv_dim(), s.hidden, s.layers);
        let more = 1 + self.again;
        let shapes = [("qkv", d, qkv, more), ("out", q, d, more), ("gate up", d, 2 * ff, more), ("down", ff, d, 1)];
        for (name, rows_in, rows_out, forward) in shapes {
            self.product(name, self.n, rows_in, rows_out, [forward * layers, layers, layers]);
        }
    }

    /// `[m, i] x [i, o]` and its two gradients, called so often each.
    fn product(&mut self, name: &str, m: usize, i: usize, o: usize, calls: [usize; 3]) {
        let (cpu, time) = (self.cpu, self.time);
        let w = MatRef::new(self.params, o, i);
        let (x, y) = (MatRef::new(&self.x, m, i), MatRef::new(&self.y, m, o));
        let forward = timed(time, &mut self.z, &[], |z| cpu.gemm(z, o, x, w.t(), false)); // [m, i] x [i, o]
        let weight = timed(time, self.grad, &[], |g| cpu.gemm(g, i, y.t(), x, false)); // [o, m] x [m, i]
        let input = timed(time, &mut self.z, &[], |z| cpu.gemm(z, i, y, w, false)); // [m, o] x [o, i]
        let work = Work::Flops(2.0 * (m * i) as f64 * o as f64);
        self.push(format!("{name}, forward"), calls[0], forward, work);
        self.push(format!("{name}, weight gradient"), calls[1], weight, work);
        self.push(format!("{name}, input gradient"), calls[2], input, work);
    }

    /// Classifier and cross-entropy, in chunks of `m` tokens.
    fn classifier(&mut self, m: usize) {
        let (cpu, time, d, v) = (self.cpu, self.time, self.spec.dim, self.spec.vocab);
        let chunks = self.n.div_ceil(m);
        let mut logits = vec![0.0; m * v];
        let mut losses = vec![0.0; m];
        let (w, x, targets) = (MatRef::new(self.params, v, d), MatRef::new(&self.x, m, d), &self.tokens[..m]);
        let forward = timed(time, &mut logits, &[], |z| cpu.gemm(z, v, x, w.t(), false)); // [m, d] x [d, v]
        let loss = timed(time, &mut logits, &[], |z| cross_entropy_backward(cpu, &mut losses, z, targets, v));
        let y = MatRef::new(&logits, m, v);
        let weight = timed(time, self.grad, &[], |g| cpu.gemm(g, d, y.t(), x, chunks > 1)); // [v, m] x [m, d]
        let input = timed(time, &mut self.z, &[], |z| cpu.gemm(z, d, y, w, false)); // [m, v] x [v, d]
        let work = Work::Flops(2.0 * (m * d) as f64 * v as f64);
        self.push("classifier, forward", chunks, forward, work);
        self.push("classifier, weight gradient", chunks, weight, work);
        self.push("classifier, input gradient", chunks, input, work);
        self.push("cross-entropy", chunks, loss, Work::Bytes(8.0 * (m * v) as f64));
    }

    fn attention(&mut self) {
        let (cpu, time, s, n) = (self.cpu, self.time, self.spec, self.n);
        let (q, qkv) = (s.q_dim(), s.qkv_dim());
        let (mut lse, mut mixed) = (vec![0.0; n * s.heads], vec![0.0; n * q]);
        let input = &self.x[..n * qkv];
        let (mut forward, mut backward, mut flops) = (0.0, 0.0, 0.0);
        // blocks with another window take another time; as a rule all have the same
        let mut known: Vec<(usize, f64, f64)> = Vec::new();
        for l in 0..s.layers {
            let window = s.window_of(l);
            let shape =
                Attention { t: self.seq, heads: s.heads, kv_heads: s.kv_heads, head_dim: s.head_dim, window, starts: None };
            if !known.iter().any(|(w, ..)| *w == window) {
                let f = timed(time, &mut mixed, &[], |o| attention(cpu, &shape, o, &mut lse, input));
                let (dout, z) = (&self.y[..n * q], &mut self.z[..n * qkv]);
                let b = timed(time, z, &[], |z| attention_backward(cpu, &shape, z, dout, &mixed, &lse, input));
                known.push((window, f, b));
            }
            let (f, b) = known.iter().find(|(w, ..)| *w == window).map_or((0.0, 0.0), |(_, f, b)| (*f, *b));
            (forward, backward) = (forward + f, backward + b);
            flops += 4.0 * (n * q) as f64 * (self.seq as f64 / 2.0).min(window as f64);
        }
        let layers = s.layers as f64;
        let calls = s.layers * (1 + self.again);
        self.push("attention, forward", calls, forward / layers, Work::Flops(flops / layers));
        self.push("attention, backward", s.layers, backward / layers, Work::Flops(2.0 * flops / layers));
    }

    fn norms(&mut self) {
        let (cpu, time, n, layers) = (self.cpu, self.time, self.n, self.spec.layers);
        let (d, eps, scale) = (self.spec.dim, self.spec.norm_eps, self.spec.residual_scale);
        let (gain, mut r) = (vec![1.0; d], vec![1.0; n]);
        let (mut partial, mut dgain, mut sum) = (vec![0.0; dw_partials(n) * d], vec![0.0; d], vec![0.0; n * d]);
        let (x, y, z) = (&self.x[..n * d], &self.y[..n * d], &mut self.z[..n * d]);
        let plain = timed(time, z, &[], |z| rmsnorm(cpu, z, &mut r, x, &gain, eps));
        let added = timed(time, z, &[], |z| add_rmsnorm(cpu, &mut sum, z, &mut r, x, y, scale, &gain, eps));
        let again = timed(time, z, &[], |z| rmsnorm_again(cpu, z, x, &r, &gain));
        let back = timed(time, z, x, |z| rmsnorm_backward(cpu, z, &mut dgain, y, x, &r, &gain, &mut partial, false));
        let add = timed(time, z, &[], |z| add_to(cpu, z, x, y, scale));
        self.streaming("norm", layers * (1 + self.again), plain, 2 * d);
        self.streaming("residual and norm", layers * (1 + self.again) + 1, added, 4 * d);
        self.streaming("norm, again", 2 * layers, again, 2 * d);
        self.streaming("norm, backward", 2 * layers + 1, back, 4 * d);
        self.streaming("residual", layers.saturating_sub(1), add, 3 * d);
    }

    /// Norms of query and key heads, where the model has them.
    fn head_norms(&mut self) {
        let (cpu, time, s, n) = (self.cpu, self.time, self.spec, self.n);
        if !s.qk_norm {
            return;
        }
        let (hd, q, qkv) = (s.head_dim, s.q_dim(), s.qkv_dim());
        let (gain, mut dgain) = (vec![1.0; hd], vec![0.0; hd]);
        let (mut r, mut partial) = (vec![1.0; n * s.heads], vec![0.0; head_partials(n) * hd]);
        let columns = [Heads { stride: qkv, first: 0, heads: s.heads }, Heads { stride: qkv, first: q, heads: s.kv_heads }];
        let (from, raw, z) = (&self.x[..n * qkv], &self.y[..n * qkv], &mut self.z[..n * qkv]);
        let forward = timed(time, z, from, |z| {
            for heads in columns {
                head_norm(cpu, z, heads, &mut r[..n * heads.heads], &gain, s.norm_eps);
            }
        });
        let backward = timed(time, z, from, |z| {
            for heads in columns {
                let (raw, r) = ((raw, qkv, heads.first), &r[..n * heads.heads]);
                head_norm_backward(cpu, z, heads, &mut dgain, raw, r, &gain, &mut partial, false);
            }
        });
        let width = q + s.kv_dim();
        self.streaming("head norms", s.layers * (1 + self.again), forward, 2 * width);
        self.streaming("head norms, backward", s.layers, backward, 3 * width);
    }

    fn elementwise(&mut self) {
        let (cpu, time, s, n) = (self.cpu, self.time, self.spec, self.n);
        let (d, ff, qkv, layers, seq) = (s.dim, s.hidden, s.qkv_dim(), s.layers, self.seq);
        let table = RopeTable::new(&s.rope.frequencies(s.head_dim), s.rope.attention_factor(), seq);
        let heads = s.heads + s.kv_heads;
        let (x, y, z) = (&self.x, &self.y, &mut self.z);
        let gate_up = &x[..n * 2 * ff];
        let act = timed(time, &mut z[..n * ff], &[], |z| swiglu(cpu, z, gate_up, ff));
        let dact = timed(time, &mut z[..n * 2 * ff], gate_up, |z| swiglu_backward(cpu, z, &y[..n * ff], ff));
        let turn = timed(time, &mut z[..n * qkv], x, |z| rope(cpu, z, qkv, heads, &table, 0, seq, Turn::Forward));
        let (ids, params) = (&self.tokens[..n], self.params);
        let look = timed(time, &mut z[..n * d], &[], |z| embed(cpu, z, params, ids, d));
        let scatter = timed(time, self.grad, &[], |g| embed_backward(cpu, g, &x[..n * d], ids, d));
        self.streaming("SwiGLU", layers * (2 + self.again), act, 3 * ff);
        self.streaming("SwiGLU, backward", layers, dact, 5 * ff);
        self.streaming("rotation", layers * (2 + self.again), turn, 2 * heads * s.head_dim);
        self.streaming("embedding", 1, look, 2 * d);
        self.streaming("embedding, backward", 1, scatter, 3 * d);
    }
}
