//! [`DeviceEngine`]: losses and gradients with the blocks of a pipeline on a device.

use std::sync::Arc;

use engine::{
    Base, Batch, DeviceReport, Engine, EngineError, Goodness, LossSum, Objective, Options, Params, Probe, Ready, See, Shape, Walk,
};
use kernels::Cpu;
use model::{AdapterSpec, Layout, ModelSpec};

use crate::kernels::weights::Model;
use crate::{Device, OnDevice, PipelineOptions};

/// The walk with blocks on a device.
pub struct DeviceEngine<'a, D: Device> {
    walk: Walk<'a, OnDevice<D>>,
    /// Weights that do not change, where an adapter is trained.
    base: Option<Arc<Vec<f32>>>,
    /// Whether the device has weights beside those that it was last asked to get ready for.
    beside: bool,
}

impl<'a, D: Device> DeviceEngine<'a, D> {
    /// An engine for batches of up to `shape`, whose blocks run on `device` as `pipeline` says; programs are compiled when
    /// weights come.
    pub fn new(
        cpu: &'a Cpu,
        spec: &ModelSpec,
        shape: Shape,
        options: Options,
        device: D,
        pipeline: PipelineOptions,
    ) -> DeviceEngine<'a, D> {
        let blocks = OnDevice::new(device, spec, shape.seq, pipeline);
        let mut walk = Walk::with_blocks(cpu, spec, shape, options, blocks);
        let chunk = walk.context().sizes.chunk;
        for name in ["classifier", "softmax"].iter().filter(|_| chunk < shape.seq) {
            let why = format!("logits exist for {chunk} tokens at a time, fewer than a window of {}", shape.seq);
            walk.blocks_mut().exclude(name, &why);
        }
        DeviceEngine { walk, base: None, beside: false }
    }

    /// The same, for an adapter on weights that do not change.
    pub fn adapted(self, base: Arc<Vec<f32>>, adapter: &AdapterSpec) -> DeviceEngine<'a, D> {
        DeviceEngine { walk: self.walk.adapted(adapter), base: Some(base), beside: false }
    }

    /// The walk.
    pub fn walk(&self) -> &Walk<'a, OnDevice<D>> {
        &self.walk
    }

    /// Brings weights to the device, those of the base where they do not change.
    fn place(&mut self, params: &[f32]) -> Ready {
        let (at, blocks) = self.walk.split();
        let weights = self.base.as_deref().map_or(params, Vec::as_slice);
        blocks.refresh(&Model { spec: &at.spec, layout: &at.layout, params: weights, seq: at.shape.seq }, self.base.is_some())
    }

    /// The walk. Call [`Engine::refresh`] before it computes with other weights.
    pub fn walk_mut(&mut self) -> &mut Walk<'a, OnDevice<D>> {
        &mut self.walk
    }
}

/// The weights of the model and of its adapter.
fn all<'p>(base: Option<&'p Vec<f32>>, trained: &'p [f32]) -> Params<'p> {
    match base {
        Some(base) => Params { base: Base::Flat(base), adapter: trained },
        None => trained.into(),
    }
}

impl<D: Device> Engine for DeviceEngine<'_, D> {
    fn layout(&self) -> &Layout {
        self.walk.trained()
    }

    fn refresh(&mut self, params: &[f32]) -> Ready {
        self.beside = false;
        self.place(params)
    }

    fn evaluate(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.walk.loss_on_cpu(all(self.base.as_deref(), params), batch)
    }

    fn set_objective(&mut self, objective: Objective) {
        self.walk.set_objective(objective);
    }

    /// On the device, as the losses beside the weights, which it is held against.
    fn score(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        if std::mem::take(&mut self.beside) {
            self.place(params);
        }
        self.walk.score(all(self.base.as_deref(), params), batch)
    }

    /// Inputs are those of a pass on the CPU, since a device does not show what its matrices multiply; what is counted is from
    /// the device, as at the points that it is held against.
    fn score_seen(&mut self, params: &[f32], batch: &Batch<'_>, see: &mut See<'_>) -> Result<LossSum, EngineError> {
        self.walk.score_seen(all(self.base.as_deref(), params), batch, see)?;
        self.score(params, batch)
    }

    fn loss_and_grad_unless(
        &mut self,
        params: &[f32],
        batch: &Batch<'_>,
        grad: &mut [f32],
        accumulate: bool,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<LossSum>, EngineError> {
        let params = all(self.base.as_deref(), params);
        self.walk.loss_and_grad_unless(params, batch, grad, accumulate, stop)
    }

    /// On the device. Where no base stays as it is, the weights of each point are brought there first: for pipelines whose weights
    /// are data.
    fn losses_along(
        &mut self,
        cpu: &Cpu,
        params: &[f32],
        batch: &Batch<'_>,
        probe: &Probe<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<[LossSum; 2]>, EngineError> {
        let (mut a, mut b) = (vec![0.0; params.len()], vec![0.0; params.len()]);
        probe.form_all(cpu, 0, params, [&mut a, &mut b]);
        let mut losses = [LossSum::default(); 2];
        // the first point last: its token losses are those that stay
        for (loss, point) in losses.iter_mut().zip([&a, &b]).rev() {
            if stop() {
                return Ok(None);
            }
            if self.base.is_none() {
                self.beside = true;
                self.place(point);
            }
            *loss = self.walk.score(all(self.base.as_deref(), point), batch)?;
        }
        Ok(Some(losses))
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
        let Some(base) = &self.base else { return Err(EngineError::AdapterAlone { what: "losses after each block" }) };
        let layers = losses.len() / probes.len().max(1);
        for (probe, losses) in probes.iter().zip(losses.chunks_mut(layers.max(1))).rev() {
            if !self.walk.losses_by_depth(Base::Flat(base), params, batch, probe, (cpu, losses), stop)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn goodness_units(&mut self, batch: &Batch<'_>) -> Result<Vec<f32>, EngineError> {
        let Some(base) = &self.base else { return Err(EngineError::AdapterAlone { what: "goodness" }) };
        self.walk.goodness_units(Base::Flat(base), batch)
    }

    fn forward_forward(
        &mut self,
        params: &[f32],
        batches: (&Batch<'_>, &[u32]),
        units: &[f32],
        grad: (&mut [f32], bool),
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Goodness>, EngineError> {
        self.walk.forward_forward(all(self.base.as_deref(), params), batches, units, grad, stop)
    }

    fn token_losses(&self) -> &[f32] {
        self.walk.token_losses()
    }

    fn token_hits(&self) -> &[bool] {
        self.walk.token_hits()
    }

    fn notes(&mut self) -> Vec<String> {
        self.walk.blocks_mut().take_notes()
    }

    fn placement(&self) -> Vec<(&'static str, String)> {
        self.walk.blocks().placement()
    }

    fn device(&self) -> Option<DeviceReport> {
        Some(self.walk.blocks().report())
    }

    fn left_device(&self) -> bool {
        self.walk.blocks().overflowed()
    }

    fn excluded(&self) -> Vec<String> {
        self.walk.blocks().excluded()
    }

    fn exclude(&mut self, names: &[String]) {
        for name in names {
            self.walk.blocks_mut().exclude(name, "failed before this checkpoint");
        }
    }

    fn leave_device(&mut self, why: &str) {
        self.walk.blocks_mut().give_up(why);
    }
}
