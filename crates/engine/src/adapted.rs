//! Low-rank adapters in the walk: `y = W x + s B A x`, with `W` untouched and no gradient formed for it.
//!
//! In the merged form the product with `W + s B A` is the walk's own, and the gradient of a matrix is formed in a scratch and
//! projected: `dA = s B^T dW`, `dB = s dW A^T`.
//!
//! In the split form, with `t = x A^T`, `[n, r]`: `y += s t B^T`, `dB += s dy^T t`, `dt = s dy B`, `dA += dt^T x`, `dx += dt A`.
//! Legend: n tokens, r rank.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use kernels::Cpu;
use kernels::gemm::MatRef;
use model::{AdapterForm, AdapterSpec, Half, Layout, ModelSpec, Part, TensorId, TensorInfo};

use crate::blocks::{NormAt, Projection};
use crate::params::Place;

/// The adapter of one matrix.
struct Pair {
    /// First row of the matrix in its projection.
    first: usize,
    /// `[rank, in]`
    a: Range<usize>,
    /// `[out, rank]`
    b: Range<usize>,
    inner: usize,
    out: usize,
}

/// Where the adapters of a model lie, and what they need to be applied.
pub struct AdapterPlan {
    spec: AdapterSpec,
    layout: Layout,
    /// Of each block, of each projection.
    pairs: Vec<[Vec<Pair>; 4]>,
    /// `[n, r]`; in the merged form the gradient of the largest matrix
    scratch: Mutex<Vec<f32>>,
}

impl AdapterPlan {
    /// The plan of `adapter` on a model of `spec`, for batches of up to `n` tokens.
    pub fn new(spec: &ModelSpec, adapter: &AdapterSpec, n: usize) -> AdapterPlan {
        let layout = Layout::of_adapter(spec, adapter);
        let pairs: Vec<[Vec<Pair>; 4]> = (0..spec.layers).map(|l| pairs_of(spec, &layout, l)).collect();
        let scratch = match adapter.form {
            AdapterForm::Split => n * adapter.rank,
            AdapterForm::Merged => pairs.iter().flatten().flatten().map(|p| p.out * p.inner).max().unwrap_or(0),
        };
        AdapterPlan { spec: adapter.clone(), layout, pairs, scratch: Mutex::new(vec![0.0; scratch]) }
    }

    /// What is adapted, and how.
    pub fn spec(&self) -> &AdapterSpec {
        &self.spec
    }

    /// Order of the adapter's weights.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether a projection has adapters beside it.
    pub fn adapts(&self, l: usize, which: Projection) -> bool {
        // what is computed elsewhere norms its input by the gain of the model
        let normed = self.spec.norms && matches!(which, Projection::Qkv | Projection::GateUp);
        self.spec.form == AdapterForm::Split && (normed || !self.pairs[l][which as usize].is_empty())
    }

    /// The outputs of a projection that each of its adapters writes.
    pub(crate) fn outputs(&self, l: usize, which: Projection) -> impl Iterator<Item = Range<usize>> {
        self.pairs[l][which as usize].iter().map(|pair| pair.first..pair.first + pair.out)
    }

    /// Where a gain of a norm lies, if it is trained.
    pub(crate) fn gain(&self, which: NormAt) -> Option<Range<usize>> {
        let id = match which {
            NormAt::Attention(l) => TensorId::Layer(l, Part::AttnNorm),
            NormAt::Ffn(l) => TensorId::Layer(l, Part::FfnNorm),
            NormAt::Final => TensorId::FinalNorm,
            NormAt::Queries(l) => TensorId::Layer(l, Part::QNorm),
            NormAt::Keys(l) => TensorId::Layer(l, Part::KNorm),
        };
        self.layout.get(id).map(|t| t.range.clone())
    }

    /// `y += s (x A^T) B^T` for every adapter of the projection. Several adapters one after another in `values` have each its
    /// own part of the rows.
    pub(crate) fn add(&self, cpu: &Cpu, values: &[f32], (l, which): (usize, Projection), x: &[f32], y: &mut [f32], width: usize) {
        if self.spec.form == AdapterForm::Split {
            self.add_beside(cpu, values, (l, which), x, y, width);
        }
    }

    /// The same in either form: beside weights that nothing was multiplied out into.
    pub(crate) fn add_beside(
        &self,
        cpu: &Cpu,
        values: &[f32],
        (l, which): (usize, Projection),
        x: &[f32],
        y: &mut [f32],
        width: usize,
    ) {
        let parts = (values.len() / self.layout.len().max(1)).max(1);
        self.each(l, which, |pair, scratch| {
            let (n, r) = (x.len() / pair.inner / parts, self.spec.rank);
            if scratch.len() < n * r {
                scratch.resize(n * r, 0.0);
            }
            for (i, values) in values.chunks_exact(values.len() / parts).enumerate() {
                let (x, t) = (&x[i * n * pair.inner..(i + 1) * n * pair.inner], &mut scratch[..n * r]);
                let a = MatRef::new(&values[pair.a.clone()], r, pair.inner);
                cpu.gemm(t, r, MatRef::new(x, n, pair.inner), a.t(), false); // [n, in] x [in, r]
                scale(t, self.spec.scale());
                let b = MatRef::new(&values[pair.b.clone()], pair.out, r);
                cpu.gemm(&mut y[i * n * width + pair.first..], width, MatRef::new(t, n, r), b.t(), true); // [n, r] x [r, out]
            }
        });
    }

    /// `dx += s (dy B) A` for every adapter of the projection.
    pub(crate) fn add_back(
        &self,
        cpu: &Cpu,
        values: &[f32],
        (l, which): (usize, Projection),
        dy: &[f32],
        width: usize,
        dx: &mut [f32],
    ) {
        if self.spec.form == AdapterForm::Merged {
            return;
        }
        self.each(l, which, |pair, scratch| {
            let (n, r) = (dy.len() / width, self.spec.rank);
            let dt = self.through_b(cpu, values, pair, dy, width, scratch);
            let a = MatRef::new(&values[pair.a.clone()], r, pair.inner);
            cpu.gemm(dx, pair.inner, MatRef::new(dt, n, r), a, true); // [n, r] x [r, in]
        });
    }

    /// The gradients of every adapter of the projection.
    pub(crate) fn gradient(
        &self,
        cpu: &Cpu,
        values: &[f32],
        (l, which): (usize, Projection),
        (dy, width): (&[f32], usize),
        x: &[f32],
        (grad, accumulate): (&mut [f32], bool),
    ) {
        if self.spec.form == AdapterForm::Merged {
            return self.projected_gradient(cpu, values, (l, which), (dy, width), x, (grad, accumulate));
        }
        self.each(l, which, |pair, scratch| {
            let (n, r) = (dy.len() / width, self.spec.rank);
            let x = MatRef::new(x, n, pair.inner);
            let a = MatRef::new(&values[pair.a.clone()], r, pair.inner);
            cpu.gemm(&mut scratch[..n * r], r, x, a.t(), false); // [n, in] x [in, r]
            scale(&mut scratch[..n * r], self.spec.scale());
            let columns = MatRef::strided(&dy[pair.first..], n, pair.out, width);
            cpu.gemm(&mut grad[pair.b.clone()], r, columns.t(), MatRef::new(scratch, n, r), accumulate); // [out, n] x [n, r]
            let dt = self.through_b(cpu, values, pair, dy, width, scratch);
            cpu.gemm(&mut grad[pair.a.clone()], pair.inner, MatRef::new(dt, n, r).t(), x, accumulate); // [r, n] x [n, in]
        });
    }

    fn projected_gradient(
        &self,
        cpu: &Cpu,
        values: &[f32],
        (l, which): (usize, Projection),
        (dy, width): (&[f32], usize),
        x: &[f32],
        (grad, accumulate): (&mut [f32], bool),
    ) {
        self.each(l, which, |pair, scratch| {
            let (n, r) = (dy.len() / width, self.spec.rank);
            let dw = &mut scratch[..pair.out * pair.inner];
            let columns = MatRef::strided(&dy[pair.first..], n, pair.out, width);
            cpu.gemm(dw, pair.inner, columns.t(), MatRef::new(x, n, pair.inner), false); // [out, n] x [n, in]
            scale(dw, self.spec.scale());
            let dw = MatRef::new(dw, pair.out, pair.inner);
            let a = MatRef::new(&values[pair.a.clone()], r, pair.inner);
            let b = MatRef::new(&values[pair.b.clone()], pair.out, r);
            cpu.gemm(&mut grad[pair.b.clone()], r, dw, a.t(), accumulate); // [out, in] x [in, r]
            cpu.gemm(&mut grad[pair.a.clone()], pair.inner, b.t(), dw, accumulate); // [r, out] x [out, in]
        });
    }

    /// Multiplies the adapter `values` out into `out`, which holds rows `rows` of the weight `of` of the model: they become
    /// `W + s B A`, or the gain that is trained instead of the model's.
    pub fn merge(&self, of: &TensorInfo, values: &[f32], rows: Range<usize>, out: &mut [f32]) {
        let cols = of.shape[1];
        if let Some(own) = self.layout.get(of.id) {
            out.copy_from_slice(&values[own.range.clone()][rows.start * cols..rows.end * cols]);
        }
        let TensorId::Layer(l, part) = of.id else { return };
        let half = |half| self.layout.get(TensorId::Adapter(l, part, half)).map(|t| &values[t.range.clone()]);
        let (Some(a), Some(b), rank) = (half(Half::A), half(Half::B), self.spec.rank) else { return };
        for (row, out) in rows.zip(out.chunks_exact_mut(cols)) {
            for (b, a) in b[row * rank..(row + 1) * rank].iter().zip(a.chunks_exact(cols)) {
                let factor = self.spec.scale() * b;
                out.iter_mut().zip(a).for_each(|(o, a)| *o += factor * a);
            }
        }
    }

    /// `dt = s dy B`, `[n, r]`.
    fn through_b<'s>(
        &self,
        cpu: &Cpu,
        values: &[f32],
        pair: &Pair,
        dy: &[f32],
        width: usize,
        scratch: &'s mut [f32],
    ) -> &'s [f32] {
        let (n, r) = (dy.len() / width, self.spec.rank);
        let columns = MatRef::strided(&dy[pair.first..], n, pair.out, width);
        let b = MatRef::new(&values[pair.b.clone()], pair.out, r);
        let dt = &mut scratch[..n * r];
        cpu.gemm(dt, r, columns, b, false); // [n, out] x [out, r]
        scale(dt, self.spec.scale());
        dt
    }

    fn each(&self, l: usize, which: Projection, mut f: impl FnMut(&Pair, &mut Vec<f32>)) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        for pair in &self.pairs[l][which as usize] {
            f(pair, &mut scratch);
        }
    }
}

fn pairs_of(spec: &ModelSpec, layout: &Layout, l: usize) -> [Vec<Pair>; 4] {
    let (q, kv) = (spec.q_dim(), spec.kv_dim());
    let of = |parts: &[(Part, usize)]| -> Vec<Pair> {
        let pair = |&(part, first): &(Part, usize)| {
            let a = layout.get(TensorId::Adapter(l, part, Half::A))?;
            let b = layout.get(TensorId::Adapter(l, part, Half::B))?;
            Some(Pair { first, a: a.range.clone(), b: b.range.clone(), inner: a.shape[1], out: b.shape[0] })
        };
        parts.iter().filter_map(pair).collect()
    };
    [
        of(&[(Part::Q, 0), (Part::K, q), (Part::V, q + kv)]),
        of(&[(Part::O, 0)]),
        of(&[(Part::Gate, 0), (Part::Up, spec.hidden)]),
        of(&[(Part::Down, 0)]),
    ]
}

fn scale(values: &mut [f32], s: f32) {
    if s != 1.0 {
        values.iter_mut().for_each(|v| *v *= s);
    }
}

/// Where a gain lies: in the adapter, where it is trained there, else in the model.
pub(crate) fn place(plan: Option<&AdapterPlan>, which: NormAt, base: Range<usize>) -> Place {
    plan.and_then(|p| p.gain(which)).map_or(Place::Base(base), Place::Adapter)
}
