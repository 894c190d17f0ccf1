//! Where gradients go: to the weights that are trained, the model's or its adapters'.

use kernels::gemm::MatRef;

use crate::blocks::{Context, NormAt, Projection};
use crate::params::Params;

/// Where the gradient of every weight goes.
pub(crate) struct Gradient<'g> {
    pub grad: &'g mut [f32],
    /// Whether it is added to.
    pub accumulate: bool,
}

impl Gradient<'_> {
    /// The gradient of a matrix, or of its adapters where it is frozen.  `dy` `[n, out]`, `x` `[n, in]`.
    pub fn weight(&mut self, at: &Context<'_>, params: Params<'_>, (l, which): (usize, Projection), dy: &[f32], x: &[f32]) {
        let (out, inner) = which.shape(&at.spec);
        match &at.adapter {
            Some(plan) => {
                plan.gradient(
                    at.cpu,
                    (params.base, params.adapter),
                    (l, which),
                    (dy, out),
                    x,
                    (&mut *self.grad, self.accumulate),
                );
            }
            None => {
                let (n, into) = (x.len() / inner, &mut self.grad[which.range(&at.ranges.blocks[l])]);
                at.cpu.gemm(into, inner, MatRef::new(dy, n, out).t(), MatRef::new(x, n, inner), self.accumulate);
            }
        }
    }

    /// Where the gradient of a gain goes: into `spare` where it is frozen.
    pub fn gain<'s>(&'s mut self, at: &Context<'_>, which: NormAt, spare: &'s mut [f32]) -> &'s mut [f32] {
        match at.gain_gradient(which) {
            Some(range) => &mut self.grad[range],
            None if matches!(which, NormAt::Queries(_) | NormAt::Keys(_)) => &mut spare[..at.spec.head_dim],
            None => &mut spare[..at.spec.dim],
        }
    }
}
