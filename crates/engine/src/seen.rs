//! A forward pass on the CPU that shows what its matrices multiply.

use crate::blocks::{Blocks, Context, Projection, project_on_cpu};
use crate::params::Params;
use crate::{Batch, EngineError, LossSum, Walk};

/// What is shown: the block, the projection, and its inputs `[tokens, in]`.
pub type See<'s> = dyn FnMut(usize, Projection, &[f32]) + 's;

/// The CPU's bodies, each projection of which is shown its inputs first.
struct Shown<'s, 'f>(&'s mut See<'f>);

impl Blocks for Shown<'_, '_> {
    fn project(&mut self, at: &Context<'_>, params: Params<'_>, l: usize, which: Projection, x: &[f32], y: &mut [f32]) {
        (self.0)(l, which, x);
        project_on_cpu(at, params, l, which, x, y);
    }
}

impl<B: Blocks> Walk<'_, B> {
    /// As [`Walk::score`], every block on the CPU, with the inputs of every projection shown to `see`.
    ///
    /// # Errors
    /// As [`Walk::loss`].
    pub fn score_seen<'p>(
        &mut self,
        params: impl Into<Params<'p>>,
        batch: &Batch<'_>,
        see: &mut See<'_>,
    ) -> Result<LossSum, EngineError> {
        let params = params.into();
        self.at.check(params, batch)?;
        let mut shown = Shown(see);
        self.buffers.forward(&mut shown, &self.at, params, batch, &mut || false);
        Ok(self.buffers.classify(&mut shown, &self.at, params, batch, self.objective))
    }
}
