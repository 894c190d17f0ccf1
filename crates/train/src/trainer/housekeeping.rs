//! Around the steps: the first and last measurement, evaluations, checkpoints, samples, rolling back.

use std::time::Duration;

use engine::Objective;

use super::evaluation::Measures;
use super::{End, Evaluation, Host, Interrupt, Outcome, Trainer, view};
use crate::TrainError;
use crate::events::{self, Event};
use crate::gradient::global_norm;
use crate::guard::Incident;

/// An evaluation by time waits at least this many times as long as the last one took.
const EVAL_REST: u32 = 10;
/// Time between two looks at what the session uses.
const USAGE_EVERY: Duration = Duration::from_secs(2);

impl Trainer<'_> {
    /// Measures the model as it is, unless a resumed run has done so, and starts the clock of the budget.
    pub(super) fn begin<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        self.session_start = host.now();
        if self.step() == 0 {
            self.evaluate_now(host)?;
        }
        self.session_start = host.now();
        self.reset_triggers(host);
        Ok(())
    }

    fn reset_triggers<H: Host>(&mut self, host: &mut H) {
        let now = host.now();
        self.evaluate.reset(now);
        self.save.reset(now);
        self.sample.reset(now);
    }

    /// Whatever is due after a step; says why the run should end, if it should.
    pub(super) fn after_step<H: Host>(&mut self, host: &mut H) -> Result<Option<End>, H::Error> {
        let (step, now) = (self.step(), host.now());
        let over = self.budget.next(self.session(host)).is_none();
        // at the end of the budget all of this is done anyway
        if !over && self.evaluate.due(step, now) {
            self.evaluate_now(host)?;
            let took = host.now() - now;
            self.evaluate.reset(now + took * EVAL_REST);
            if self.is_best() {
                self.save_now(host)?;
            }
            if self.early_stop.is_some_and(|n| self.progress.stale >= n) {
                return Ok(Some(End::EarlyStop));
            }
        }
        if !over && self.save.due(step, now) && self.saved_step() != Some(step) {
            self.save_now(host)?;
        }
        if !over && self.sample.due(step, now) {
            self.sample_now(host)?;
        }
        match host.interrupt() {
            Some(Interrupt::Stop(code)) => Ok(Some(End::Interrupted(code))),
            Some(Interrupt::Save) => self.save_now(host).map(|()| None),
            None => Ok(None),
        }
    }

    /// Last measurement, checkpoint and sample; an interrupted run only saves, to be gone soon.
    pub(super) fn finish<H: Host>(&mut self, host: &mut H, end: End) -> Result<Outcome, H::Error> {
        let interrupted = matches!(end, End::Interrupted(_) | End::Restart);
        self.timings.total = self.session(host);
        if !interrupted && self.last_eval.is_none_or(|e| e.step != self.step()) {
            self.evaluate_now(host)?;
        }
        if self.saved_step() != Some(self.step()) {
            self.save_now(host)?;
        }
        if !interrupted {
            self.sample_now(host)?;
        }
        self.emit_usage(host)?;
        let session = self.session(host);
        host.emit(&self.finished(end.status(), session))?;
        Ok(Outcome {
            end,
            spent: self.budget.spent(),
            train_loss: self.last_loss,
            evaluation: self.last_eval,
            best: self.progress.best,
            checkpoint: self.saved.as_ref().map(|s| s.1.clone()),
            timings: self.timings,
            forward: self.median_forward(),
            device: self.engine.device(),
        })
    }

    /// Every few seconds, what the session has used so far.
    pub(super) fn note_usage<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        let now = host.now();
        if now.saturating_sub(self.looked) < USAGE_EVERY {
            return Ok(());
        }
        self.looked = now;
        self.emit_usage(host)
    }

    fn emit_usage<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        let now = host.now();
        let (t, session) = (&self.timings, now.saturating_sub(self.session_start));
        let usage = events::Usage {
            step: self.step(),
            seconds: self.budget.seconds(session),
            steps: t.counted,
            step_seconds: t.steps.as_secs_f64(),
            gradient_seconds: t.gradient.as_secs_f64(),
            data_seconds: t.data.as_secs_f64(),
            refresh_seconds: t.refresh.as_secs_f64(),
            optimizer_seconds: t.optimizer.as_secs_f64(),
            evaluation_seconds: t.evaluation.as_secs_f64(),
            saving_seconds: t.saving.as_secs_f64(),
            sampling_seconds: t.sampling.as_secs_f64(),
            machine: host.machine(),
            device: self.engine.device().map(|d| events::DeviceUse {
                compiles: d.compiles,
                dispatches: d.dispatches,
                compile_seconds: d.compile_seconds,
                stage_seconds: d.stage_seconds,
                evaluate_seconds: d.evaluate_seconds,
                read_seconds: d.read_seconds,
                flops: d.flops,
            }),
        };
        host.emit(&Event::Usage(usage))
    }

    /// What the engine has to say: which part fell back to the CPU, and why.
    pub(super) fn pass_on_notes<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        for message in self.engine.notes() {
            let seconds = self.budget.seconds(self.session(host));
            host.emit(&Event::Warning(events::Warning { step: self.step(), seconds, message }))?;
        }
        Ok(())
    }

    fn finished(&self, status: &str, session: Duration) -> Event {
        let spent = self.budget.spent();
        Event::Finished(events::Finished {
            step: spent.steps,
            seconds: self.budget.seconds(session),
            tokens: spent.tokens,
            status: status.into(),
            val_loss: self.last_eval.map(|e| e.loss.value),
            val_loss_se: self.last_eval.map(|e| e.loss.se),
            val_bpb: self.last_eval.and_then(|e| e.bpb).map(|b| b.value),
            train_loss: self.last_loss.map(|l| l.value),
            checkpoint: self.saved.as_ref().map(|s| s.1.clone()),
        })
    }

    /// Ends a run that rolling back did not help. A checkpoint of a good state is left in any case: the update that would
    /// have broken the weights was never made, and where they are broken already, the state before them is saved.
    pub(super) fn give_up<H: Host>(&mut self, host: &mut H, incident: Incident) -> Result<Outcome, H::Error> {
        if !global_norm(self.cpu, &self.params).is_finite() {
            self.recover(host)?;
        }
        if self.saved_step().is_none() {
            self.save_now(host)?;
        }
        let session = self.session(host);
        host.emit(&self.finished("diverged", session))?;
        Err(TrainError::Diverged(incident).into())
    }

    /// The last saved state, or that before the first step.
    fn recover<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        host.recover(self.restorable())?;
        self.adopt_progress();
        Ok(())
    }

    /// Measures the fixed validation windows; nothing to do without any.
    fn evaluate_now<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        if self.loader.val_windows() == 0 {
            return Ok(());
        }
        let began = host.now();
        let mut measures = Measures::default();
        let rows = self.batch.rows;
        let mut batches = self.loader.val_batches(rows);
        while batches.next_into(&mut self.val_batch) {
            if host.stopping() {
                return Ok(());
            }
            let batch = view(&self.val_batch);
            self.engine.evaluate(&self.params, &batch).map_err(TrainError::from)?;
            let hits = if self.objective == Objective::Loss { &[] } else { self.engine.token_hits() };
            measures.add(self.engine.token_losses(), hits, &batch);
        }
        let evaluation = Evaluation::new(self.step(), &measures, self.val_bytes, self.objective);
        self.note_evaluation(evaluation);
        self.timings.evaluation += host.now() - began;
        // the clock of the run starts with its first step
        let session = if self.step() == 0 { Duration::ZERO } else { self.session(host) };
        let spent = self.budget.spent();
        host.emit(&Event::Eval(events::Eval {
            step: evaluation.step,
            seconds: self.budget.seconds(session),
            tokens: spent.tokens,
            val_loss: evaluation.loss.value,
            val_loss_se: evaluation.loss.se,
            val_bpb: evaluation.bpb.map(|b| b.value),
            val_bpb_se: evaluation.bpb.map(|b| b.se),
            val_perplexity: evaluation.perplexity.value,
            val_perplexity_se: evaluation.perplexity.se,
            val_tokens: evaluation.tokens,
            val_accuracy: evaluation.errors.map(|[tokens, _]| 1.0 - tokens.value),
            val_accuracy_se: evaluation.errors.map(|[tokens, _]| tokens.se),
            val_exact_match: evaluation.errors.map(|[_, answers]| 1.0 - answers.value),
            val_exact_match_se: evaluation.errors.map(|[_, answers]| answers.se),
        }))
    }

    fn note_evaluation(&mut self, evaluation: Evaluation) {
        let (measure, _) = evaluation.rank(self.objective);
        let before = self.progress.reference;
        if before.is_none_or(|b| measure.value < b.value - if b.se.is_finite() { b.se } else { 0.0 }) {
            self.progress.reference = Some(measure);
            self.progress.stale = 0;
        } else {
            self.progress.stale += 1;
        }
        self.last_eval = Some(evaluation);
        self.progress.last = Some(evaluation);
    }

    /// Whether the last evaluation is of the present step and better than any that has a checkpoint.
    fn is_best(&self) -> bool {
        let Some(last) = self.last_eval.filter(|e| e.step == self.step() && e.loss.value.is_finite()) else { return false };
        let rank = |e: &Evaluation| {
            let (measure, loss) = e.rank(self.objective);
            (measure.value, loss)
        };
        self.progress.best.is_none_or(|b| rank(&last) < rank(&b))
    }

    fn saved_step(&self) -> Option<u64> {
        self.saved.as_ref().map(|s| s.0)
    }

    /// Writes a checkpoint. A state that was not measured is never called the best.
    fn save_now<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        let (began, session, best) = (host.now(), self.session(host), self.is_best());
        if best {
            self.progress.best = self.last_eval;
        }
        self.progress.spent = self.budget.spent_at(session);
        self.progress.cursor = self.loader.cursor();
        self.progress.optimizer_t = self.optimizer.t();
        self.progress.left_device = self.engine.left_device();
        self.progress.device_excluded = self.engine.excluded();
        let path = host.save(&self.snapshot(), best)?;
        self.saved = Some((self.step(), path.clone()));
        self.timings.saving += host.now() - began;
        self.save.reset(host.now());
        let (step, seconds) = (self.step(), self.budget.seconds(self.session(host)));
        host.emit(&Event::Saved(events::Saved { step, seconds, path, best }))
    }

    fn sample_now<H: Host>(&mut self, host: &mut H) -> Result<(), H::Error> {
        let (began, step) = (host.now(), self.step());
        let Some((prompt, text)) = host.sample(&self.params, step)? else { return Ok(()) };
        self.timings.sampling += host.now() - began;
        let seconds = self.budget.seconds(self.session(host));
        host.emit(&Event::Sample(events::Sample { step, seconds, prompt, text }))
    }

    /// Skips a batch whose loss or gradient is not finite. The update was not made, so the weights are still those of the
    /// last good step; only when they are broken themselves, or the next batch fails too, the last saved state comes back.
    pub(super) fn roll_back<H: Host>(&mut self, host: &mut H, incident: Incident) -> Result<(), H::Error> {
        let after = self.loader.cursor();
        let weights_good = global_norm(self.cpu, &self.params).is_finite();
        if !weights_good || self.progress.guard.consecutive() > 1 {
            let (guard, seconds) = (self.progress.guard.clone(), self.budget.seconds(self.session(host)));
            self.recover(host)?;
            // time goes on, rollbacks are not forgotten, and the batch that failed is behind us
            self.progress.guard = guard;
            self.progress.cursor = self.progress.cursor.max(after);
            self.progress.spent.seconds = seconds;
            self.adopt_progress();
            self.session_start = host.now();
        }
        let (step, session) = (self.step(), self.session(host));
        host.emit(&Event::Rollback(events::Rollback {
            step,
            seconds: self.budget.seconds(session),
            failed_step: incident.step,
            skipped_cursor: incident.cursor,
            consecutive: self.progress.guard.consecutive(),
            reason: format!("{:?} is not finite", incident.what).to_lowercase(),
        }))
    }
}
