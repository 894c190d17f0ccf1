//! [`Adapting`]: losses and gradients of an adapter on a base that does not change.

use std::sync::Arc;

use kernels::Cpu;
use model::{AdapterForm, AdapterSpec, Half, Layout, TensorId};

use crate::blocks::{Blocks, OnCpu};
use crate::{Batch, Engine, EngineError, LossSum, Objective, Params, Probe, Ready, Walk};

/// A walk whose trained weights are those of an adapter.
pub struct Adapting<'a, B> {
    walk: Walk<'a, B>,
    base: Arc<Vec<f32>>,
    /// The base with the adapter multiplied out, in the merged form, and the adapter that it was done for.
    merged: Option<(Vec<f32>, Vec<f32>)>,
    /// The adapter at two points beside it, once they were asked for.
    points: [Vec<f32>; 2],
}

impl<'a, B: Blocks> Adapting<'a, B> {
    /// The adapter `adapter` on `walk`, whose weights are `base`, in the order of its layout.
    pub fn new(walk: Walk<'a, B>, base: Arc<Vec<f32>>, adapter: &AdapterSpec) -> Adapting<'a, B> {
        let merged = (adapter.form == AdapterForm::Merged).then(|| (base.to_vec(), Vec::new()));
        Adapting { walk: walk.adapted(adapter), base, merged, points: [Vec::new(), Vec::new()] }
    }
}

impl Engine for Adapting<'_, OnCpu> {
    fn layout(&self) -> &Layout {
        self.walk.trained()
    }

    fn refresh(&mut self, params: &[f32]) -> Ready {
        if let (Some((merged, of)), Some(plan)) = (&mut self.merged, &self.walk.context().adapter) {
            // batch after batch of an evaluation comes with the same adapter
            if of == params {
                return Ready::Now;
            }
            params.clone_into(of);
            for t in self.walk.layout().tensors() {
                plan.merge(t, &self.base[t.range.clone()], params, 0..t.shape[0], &mut merged[t.range.clone()]);
            }
        }
        Ready::Now
    }

    fn evaluate(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.refresh(params);
        let base = self.merged.as_ref().map_or(&*self.base, |(merged, _)| merged);
        self.walk.loss(Params { base, adapter: params }, batch)
    }

    fn set_objective(&mut self, objective: Objective) {
        self.walk.set_objective(objective);
    }

    fn score(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.refresh(params);
        let base = self.merged.as_ref().map_or(&*self.base, |(merged, _)| merged);
        self.walk.score(Params { base, adapter: params }, batch)
    }

    fn token_hits(&self) -> &[bool] {
        self.walk.token_hits()
    }

    fn loss_and_grad_unless(
        &mut self,
        params: &[f32],
        batch: &Batch<'_>,
        grad: &mut [f32],
        accumulate: bool,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<LossSum>, EngineError> {
        let base = self.merged.as_ref().map_or(&*self.base, |(merged, _)| merged);
        self.walk.loss_and_grad_unless(Params { base, adapter: params }, batch, grad, accumulate, stop)
    }

    fn losses_along(
        &mut self,
        cpu: &Cpu,
        params: &[f32],
        batch: &Batch<'_>,
        probe: &Probe<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<[LossSum; 2]>, EngineError> {
        let [mut a, mut b] = std::mem::take(&mut self.points);
        a.resize(params.len(), 0.0);
        b.resize(params.len(), 0.0);
        probe.form_all(cpu, 0, params, [&mut a, &mut b]);
        // the first point last: its token losses are those that stay
        let second = self.score(&b, batch)?;
        let first = if stop() { None } else { Some(self.score(&a, batch)?) };
        self.points = [a, b];
        Ok(first.map(|first| [first, second]))
    }

    fn token_losses(&self) -> &[f32] {
        self.walk.token_losses()
    }
}

/// Weights of an adapter before the first step: `A` uniform in `±1/sqrt(in)`, `B` zero, gains those of the base. A function of
/// the seed and the place in the array alone.
pub fn init_adapter(layout: &Layout, base: (&Layout, &[f32]), seed: u64) -> Vec<f32> {
    const PURPOSE: u64 = u64::from_be_bytes(*b"lora\0\0\0\0");
    let mut values = vec![0.0; layout.len()];
    let noise = kernels::noise::Philox::new(seed, PURPOSE);
    for t in layout.tensors() {
        let own = &mut values[t.range.clone()];
        match t.id {
            TensorId::Adapter(_, _, Half::A) => {
                let bound = 1.0 / (t.shape[1] as f32).sqrt();
                noise.fill_uniform(own, t.range.start as u64, -bound, bound);
            }
            TensorId::Adapter(..) => {}
            id => own.copy_from_slice(&base.1[base.0.range(id)]),
        }
    }
    values
}
