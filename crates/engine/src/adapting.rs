//! [`Adapting`]: losses and gradients of an adapter on a base that does not change.

use kernels::Cpu;
use model::{AdapterForm, AdapterSpec, Half, Layout, TensorId};

use crate::blocks::{Blocks, OnCpu};
use crate::side_by_side::SideBySide;
use crate::{
    AdapterPlan, Base, BaseWeights, Batch, Engine, EngineError, Goodness, LossSum, Objective, Params, Probe, Ready, See, Walk,
};

/// A walk whose trained weights are those of an adapter.
pub struct Adapting<'a, B> {
    walk: Walk<'a, B>,
    base: BaseWeights,
    /// The base with the adapter multiplied out, in the merged form, and the adapter that it was done for.
    merged: Option<(Vec<f32>, Vec<f32>)>,
    /// The adapter at two points beside it, once they were asked for.
    points: [Vec<f32>; 2],
    side_by_side: SideBySide,
}

impl<'a, B: Blocks> Adapting<'a, B> {
    /// The adapter `adapter` on `walk`, whose weights are `base`, in the order of its layout. The merged form multiplies the
    /// adapter out into a copy in f32.
    pub fn new(walk: Walk<'a, B>, base: impl Into<BaseWeights>, adapter: &AdapterSpec) -> Adapting<'a, B> {
        let base = base.into();
        let merged = (adapter.form == AdapterForm::Merged).then(|| (vec![0.0; base.as_base().len()], Vec::new()));
        Adapting {
            walk: walk.adapted(adapter),
            base,
            merged,
            points: [Vec::new(), Vec::new()],
            side_by_side: SideBySide::default(),
        }
    }
}

impl Engine for Adapting<'_, OnCpu> {
    fn layout(&self) -> &Layout {
        self.walk.trained()
    }

    fn refresh(&mut self, params: &[f32]) -> Ready {
        self.renew(params);
        if let (Some((merged, of)), Some(plan)) = (&mut self.merged, &self.walk.context().adapter) {
            // batch after batch of an evaluation comes with the same adapter
            if !of.is_empty() && of == params {
                return Ready::Now;
            }
            params.clone_into(of);
            for t in self.walk.layout().tensors() {
                let out = &mut merged[t.range.clone()];
                self.base.rows(self.walk.context().cpu, t, 0..t.shape[0], out);
                plan.merge(t, params, 0..t.shape[0], out);
            }
        }
        Ready::Now
    }

    fn evaluate(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.refresh(params);
        let base = self.merged.as_ref().map_or_else(|| self.base.as_base(), |(merged, _)| Base::Flat(merged));
        self.walk.loss(Params { base, adapter: params }, batch)
    }

    fn set_objective(&mut self, objective: Objective) {
        self.walk.set_objective(objective);
    }

    fn score(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.refresh(params);
        let base = self.merged.as_ref().map_or_else(|| self.base.as_base(), |(merged, _)| Base::Flat(merged));
        self.walk.score(Params { base, adapter: params }, batch)
    }

    fn score_seen(&mut self, params: &[f32], batch: &Batch<'_>, see: &mut See<'_>) -> Result<LossSum, EngineError> {
        self.refresh(params);
        let base = self.merged.as_ref().map_or_else(|| self.base.as_base(), |(merged, _)| Base::Flat(merged));
        self.walk.score_seen(Params { base, adapter: params }, batch, see)
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
        self.renew(params);
        let base = self.merged.as_ref().map_or_else(|| self.base.as_base(), |(merged, _)| Base::Flat(merged));
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

    fn losses_along_all(
        &mut self,
        cpu: &Cpu,
        params: &[f32],
        batch: &Batch<'_>,
        probes: &[Probe<'_>],
        losses: &mut [[LossSum; 2]],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, EngineError> {
        let at_once = self.at_once(batch);
        // the first probe last: its token losses are those that stay
        let chunks = losses.chunks_mut(at_once.max(1)).zip(probes.chunks(at_once.max(1))).rev();
        for (losses, probes) in chunks {
            if at_once > 0 {
                if !self.in_one_pass(cpu, params, batch, probes, losses, stop)? {
                    return Ok(false);
                }
                continue;
            }
            let Some(found) = self.losses_along(cpu, params, batch, &probes[0], stop)? else { return Ok(false) };
            losses[0] = found;
        }
        Ok(true)
    }

    fn losses_by_depth(
        &mut self,
        cpu: &Cpu,
        params: &[f32],
        batch: &Batch<'_>,
        probes: &[Probe<'_>],
        losses: &mut [[LossSum; 2]],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, EngineError> {
        let form = self.walk.context().adapter.as_ref().map(|plan| plan.spec().form);
        if self.merged.is_some() || form != Some(AdapterForm::Split) {
            return Err(EngineError::AdapterAlone { what: "losses after each block" });
        }
        let (layers, at_once) = (losses.len() / probes.len().max(1), self.at_once(batch));
        for (losses, probes) in losses.chunks_mut(at_once.max(1) * layers).zip(probes.chunks(at_once.max(1))).rev() {
            let ran = if at_once > 0 {
                self.points(cpu, params, probes);
                let mut counted = vec![LossSum::default(); 2 * losses.len()];
                let base = self.base.as_base();
                let ran = self.side_by_side.count_by_depth(&mut self.walk, base, batch, &mut counted, stop)?;
                turn(losses, &counted, probes.len());
                ran
            } else {
                self.walk.losses_by_depth(self.base.as_base(), params, batch, &probes[0], (cpu, losses), stop)?
            };
            if !ran {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn goodness_units(&mut self, batch: &Batch<'_>) -> Result<Vec<f32>, EngineError> {
        self.walk.goodness_units(self.base.as_base(), batch)
    }

    fn forward_forward(
        &mut self,
        params: &[f32],
        batches: (&Batch<'_>, &[u32]),
        units: &[f32],
        grad: (&mut [f32], bool),
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Goodness>, EngineError> {
        self.walk.forward_forward(Params { base: self.base.as_base(), adapter: params }, batches, units, grad, stop)
    }

    fn token_losses(&self) -> &[f32] {
        self.walk.token_losses()
    }
}

/// From `[layers, probes, 2]` to `[probes, layers, 2]`.
fn turn(losses: &mut [[LossSum; 2]], counted: &[LossSum], probes: usize) {
    let (pairs, layers) = (counted.as_chunks::<2>().0, losses.len() / probes);
    for (i, losses) in losses.iter_mut().enumerate() {
        *losses = pairs[i % layers * probes + i / layers];
    }
}

impl<B: Blocks> Adapting<'_, B> {
    /// Lengths of rows for new values of the adapter, where there are any.
    fn renew(&self, params: &[f32]) {
        if let Some(plan) = &self.walk.context().adapter {
            plan.renew(self.walk.context().cpu, self.base.as_base(), params);
        }
    }

    /// Probes whose points a pass over `batch` has room for; none where the adapter is not beside the weights alone.
    fn at_once(&self, batch: &Batch<'_>) -> usize {
        let beside = |plan: &AdapterPlan| plan.spec().form == AdapterForm::Split && !plan.spec().norms;
        let rows = if self.walk.context().adapter.as_ref().is_some_and(beside) { self.walk.context().shape.rows } else { 0 };
        rows / (2 * batch.rows).max(1)
    }

    /// The adapter at both points of each of `probes`.
    fn points(&mut self, cpu: &Cpu, params: &[f32], probes: &[Probe<'_>]) {
        let adapters = &mut self.side_by_side.adapters;
        adapters.resize(2 * probes.len() * params.len(), 0.0);
        for (probe, points) in probes.iter().zip(adapters.chunks_exact_mut(2 * params.len())) {
            let (a, b) = points.split_at_mut(params.len());
            probe.form_all(cpu, 0, params, [a, b]);
        }
    }

    /// Losses along `probes`, all points in one pass.
    fn in_one_pass(
        &mut self,
        cpu: &Cpu,
        params: &[f32],
        batch: &Batch<'_>,
        probes: &[Probe<'_>],
        losses: &mut [[LossSum; 2]],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, EngineError> {
        self.points(cpu, params, probes);
        self.side_by_side.count(&mut self.walk, self.base.as_base(), batch, losses.as_flattened_mut(), stop)
    }
}

/// Weights of an adapter before the first step: `A` uniform in `±1/sqrt(in)`, `B` zero, gains those of the base, lengths zero
/// until [`AdapterPlan::start_magnitudes`]. A function of
/// the seed and the place in the array alone.
pub fn init_adapter(layout: &Layout, base: (&Layout, Base<'_>), seed: u64) -> Vec<f32> {
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
            id => own.copy_from_slice(base.1.vector(base.0.range(id))),
        }
    }
    values
}
