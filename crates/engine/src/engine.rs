//! [`Engine`]: what training asks of whatever computes losses and gradients.

use kernels::Cpu;
use model::Layout;
use serde::{Deserialize, Serialize};

use crate::blocks::OnCpu;
use crate::{Batch, EngineError, Goodness, LossSum, Objective, Probe, See, Walk};

/// Whether steps can be made with new weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Yes.
    Now,
    /// Only in a new process: this one has used up what the device gives to a process.
    AfterRestart,
}

/// What a device did since an engine was opened on it, beside the CPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// The device in words.
    pub device: String,
    /// Programs compiled.
    pub compiles: u64,
    /// Requests evaluated.
    pub dispatches: u64,
    /// Bytes of its memory in use.
    pub surface_bytes: u64,
    /// Bytes written for it: activations, and weights where they are data.
    pub staged_bytes: u64,
    /// Bytes read back.
    pub read_bytes: u64,
    /// Floating-point operations made by it.
    pub flops: f64,
    /// Seconds spent compiling and loading, on the clock of this process.
    pub compile_seconds: f64,
    /// Seconds spent writing for it.
    pub stage_seconds: f64,
    /// Seconds spent evaluating, on the clock of this process.
    pub evaluate_seconds: f64,
    /// Seconds spent reading back.
    pub read_seconds: f64,
    /// Seconds that the hardware would take to compile and to evaluate, by the latency model of a simulated device.
    pub modelled: Option<(f64, f64)>,
    /// Peak of the chip in FLOP/s, where it is known.
    pub peak_flops: Option<f64>,
}

impl DeviceReport {
    /// The same with what the device did for `earlier` engines of a run.
    pub fn after(self, earlier: &DeviceReport) -> DeviceReport {
        let modelled = [earlier.modelled, self.modelled].into_iter().flatten();
        DeviceReport {
            compiles: earlier.compiles + self.compiles,
            dispatches: earlier.dispatches + self.dispatches,
            surface_bytes: earlier.surface_bytes.max(self.surface_bytes),
            staged_bytes: earlier.staged_bytes + self.staged_bytes,
            read_bytes: earlier.read_bytes + self.read_bytes,
            flops: earlier.flops + self.flops,
            compile_seconds: earlier.compile_seconds + self.compile_seconds,
            stage_seconds: earlier.stage_seconds + self.stage_seconds,
            evaluate_seconds: earlier.evaluate_seconds + self.evaluate_seconds,
            read_seconds: earlier.read_seconds + self.read_seconds,
            modelled: modelled.reduce(|(a, b), (c, d)| (a + c, b + d)),
            ..self
        }
    }
}

/// Losses and gradients of a model. Weights are the caller's; an engine that keeps copies elsewhere is told when they change.
pub trait Engine {
    /// Order of the weights in the flat arrays.
    fn layout(&self) -> &Layout;

    /// Gets ready for steps with `params`, which may have changed since the last call.
    fn refresh(&mut self, _params: &[f32]) -> Ready {
        Ready::Now
    }

    /// Loss of a batch in f32 on the CPU, whatever device steps run on: measurements of a model do not depend on it.
    ///
    /// # Errors
    /// When the batch does not fit the buffers or the vocabulary.
    fn evaluate(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError>;

    /// What [`Engine::score`] and [`Engine::losses_along`] count from now on; the loss, where nothing was said.
    fn set_objective(&mut self, _objective: Objective) {}

    /// What is counted of a batch at `params`.
    ///
    /// # Errors
    /// Those of [`Engine::evaluate`].
    fn score(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.evaluate(params, batch)
    }

    /// As [`Engine::score`], with the inputs of every projection, as the CPU computes them, shown to `see`; by default none is.
    ///
    /// # Errors
    /// Those of [`Engine::evaluate`].
    fn score_seen(&mut self, params: &[f32], batch: &Batch<'_>, _see: &mut See<'_>) -> Result<LossSum, EngineError> {
        self.score(params, batch)
    }

    /// As [`Walk::loss_and_grad_unless`].
    ///
    /// # Errors
    /// When the batch does not fit the buffers or the vocabulary, or the engine was opened without gradients.
    fn loss_and_grad_unless(
        &mut self,
        params: &[f32],
        batch: &Batch<'_>,
        grad: &mut [f32],
        accumulate: bool,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<LossSum>, EngineError>;

    /// Losses of a batch at the two points of `probe` beside `params`; none when `stop`, asked now and then, said
    /// yes. Token losses are then those of one of the points. By default from a copy of `params`, which is what little is
    /// trained, on the CPU.
    ///
    /// # Errors
    /// When the batch does not fit the buffers or the vocabulary, or the engine was opened for gradients.
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
        let second = self.score(&b, batch)?;
        if stop() {
            return Ok(None);
        }
        Ok(Some([self.score(&a, batch)?, second]))
    }

    /// [`Engine::losses_along`] each of `probes`, into `losses`; false when `stop` said yes. Token losses are then those along
    /// the first.
    ///
    /// # Errors
    /// Those of [`Engine::losses_along`].
    fn losses_along_all(
        &mut self,
        cpu: &Cpu,
        params: &[f32],
        batch: &Batch<'_>,
        probes: &[Probe<'_>],
        losses: &mut [[LossSum; 2]],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, EngineError> {
        for (losses, probe) in losses.iter_mut().zip(probes).rev() {
            let Some(found) = self.losses_along(cpu, params, batch, probe, stop)? else { return Ok(false) };
            *losses = found;
        }
        Ok(true)
    }

    /// As [`Engine::losses_along_all`], after each block of the model: `losses[probe * layers + l]` are what its final norm and
    /// classifier make of the output of block `l`. Those after the last block are the losses of the model.
    ///
    /// # Errors
    /// Those of [`Engine::losses_along`], and where what is trained is no adapter beside a frozen base.
    fn losses_by_depth(
        &mut self,
        _cpu: &Cpu,
        _params: &[f32],
        _batch: &Batch<'_>,
        _probes: &[Probe<'_>],
        _losses: &mut [[LossSum; 2]],
        _stop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, EngineError> {
        Err(EngineError::AdapterAlone { what: "losses after each block" })
    }

    /// As [`Walk::goodness_units`], of the base that an adapter stands beside.
    ///
    /// # Errors
    /// As there.
    fn goodness_units(&mut self, _batch: &Batch<'_>) -> Result<Vec<f32>, EngineError> {
        Err(EngineError::AdapterAlone { what: "goodness" })
    }

    /// As [`Walk::forward_forward`].
    ///
    /// # Errors
    /// As there.
    fn forward_forward(
        &mut self,
        _params: &[f32],
        (_batch, _corrupted): (&Batch<'_>, &[u32]),
        _units: &[f32],
        (_grad, _accumulate): (&mut [f32], bool),
        _stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Goodness>, EngineError> {
        Err(EngineError::AdapterAlone { what: "goodness" })
    }

    /// Cross-entropy of each token of the last batch, 0 where there was no target.
    fn token_losses(&self) -> &[f32];

    /// Whether the target of each token of the last batch that was evaluated is the most likely one; empty where that is not
    /// known.
    fn token_hits(&self) -> &[bool] {
        &[]
    }

    /// What the user should know, since the last call: what fell back to the CPU, and why.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the device was left for good: everything runs on the CPU, and must after a restart too.
    fn left_device(&self) -> bool {
        false
    }

    /// Parts of the device that failed and are not used any more.
    fn excluded(&self) -> Vec<String> {
        Vec::new()
    }

    /// Does not use these parts, as before a restart.
    fn exclude(&mut self, _names: &[String]) {}

    /// Leaves the device for good.
    fn leave_device(&mut self, _why: &str) {}

    /// Where each block of a step runs.
    fn placement(&self) -> Vec<(&'static str, String)> {
        let parts = ["embedding", "attention block", "ffn block", "classifier and loss", "backward, dx and dW", "optimizer"];
        parts.into_iter().map(|part| (part, "cpu".to_owned())).collect()
    }

    /// What a device did, where there is one beside the CPU.
    fn device(&self) -> Option<DeviceReport> {
        None
    }
}

impl Engine for Walk<'_, OnCpu> {
    fn layout(&self) -> &Layout {
        Walk::layout(self)
    }

    fn evaluate(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        self.loss(params, batch)
    }

    fn set_objective(&mut self, objective: Objective) {
        Walk::set_objective(self, objective);
    }

    fn score(&mut self, params: &[f32], batch: &Batch<'_>) -> Result<LossSum, EngineError> {
        Walk::score(self, params, batch)
    }

    fn token_hits(&self) -> &[bool] {
        Walk::token_hits(self)
    }

    fn score_seen(&mut self, params: &[f32], batch: &Batch<'_>, see: &mut See<'_>) -> Result<LossSum, EngineError> {
        Walk::score_seen(self, params, batch, see)
    }

    fn loss_and_grad_unless(
        &mut self,
        params: &[f32],
        batch: &Batch<'_>,
        grad: &mut [f32],
        accumulate: bool,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<LossSum>, EngineError> {
        Walk::loss_and_grad_unless(self, params, batch, grad, accumulate, stop)
    }

    fn losses_along(
        &mut self,
        _cpu: &Cpu,
        params: &[f32],
        batch: &Batch<'_>,
        probe: &Probe<'_>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<Option<[LossSum; 2]>, EngineError> {
        Walk::losses_along(self, params, batch, probe, stop)
    }

    fn token_losses(&self) -> &[f32] {
        Walk::token_losses(self)
    }
}
