//! The world that a trainer sees: clock, signals, files, terminal.

mod beside;
mod signals;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use train::checkpoint::free_bytes;
use train::events::{Event, EventLog, Machine};
use train::tensorboard::TensorBoard;
use train::trainer::{Host, Interrupt, Restore, Snapshot};

use signals::Signals;

use super::manners::Manners;
use super::switch::Switch;
use super::tracker::Tracker;
use super::{Files, RunFolder};
use crate::exit::{self, Exit};
use crate::out::{self, Out, Progress};

/// Tokens of a sample.
const SAMPLE_TOKENS: usize = 160;

/// File of a run with the numbers that its steps were decided by.
pub const TRAJECTORY: &str = "trajectory.bin";

/// Limits that the progress bar shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// Steps.
    pub steps: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Time.
    pub time: Option<Duration>,
}

/// Host of one session of a run.
pub struct RunHost<'a> {
    folder: RunFolder,
    files: Files<'a>,
    keep: usize,
    seed: u64,
    started: Instant,
    signals: Signals,
    events: EventLog,
    tensorboard: TensorBoard,
    bar: Progress,
    out: Out,
    shown: Shown,
    smooth_loss: f64,
    /// Seconds of training so far, and of each step of this session.
    trained: f64,
    step_seconds: Vec<f64>,
    last_sample: Option<String>,
    looked: (Instant, f64),
    recording: Duration,
    manners: Option<Manners>,
    tracker: Option<Tracker>,
    /// Time that the clock stood still for, when it was last started, and the last step.
    away: Duration,
    rested: Duration,
    step: u64,
    switch: Switch,
    initial: Box<dyn Fn() -> anyhow::Result<Vec<f32>> + 'a>,
}

impl<'a> RunHost<'a> {
    /// A host for a run that continues after `step` (0: a new run). `initial` gives the weights before step 1.
    ///
    /// # Errors
    /// 73 and 74 when the logs cannot be written.
    pub fn new(
        folder: RunFolder,
        files: Files<'a>,
        step: u64,
        (keep, seed): (usize, u64),
        shown: Shown,
        out: Out,
        initial: Box<dyn Fn() -> anyhow::Result<Vec<f32>> + 'a>,
    ) -> anyhow::Result<RunHost<'a>> {
        let log = folder.path.join("events.jsonl");
        let events = if step == 0 { EventLog::create(&log)? } else { EventLog::resume(&log, step)? };
        let (now, host) = (unix_seconds(), std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".into()));
        let tensorboard = TensorBoard::create(&folder.path.join("tensorboard"), now, &host, std::process::id())?;
        let total = shown.steps.or(shown.tokens).unwrap_or_else(|| shown.time.map_or(0, |t| t.as_millis() as u64));
        Ok(RunHost {
            folder,
            files,
            keep,
            seed,
            started: Instant::now(),
            signals: Signals::listen()?,
            events,
            tensorboard,
            bar: out.progress("training", total),
            out,
            shown,
            smooth_loss: f64::NAN,
            trained: 0.0,
            step_seconds: Vec::new(),
            last_sample: None,
            looked: (Instant::now(), meter::cpu_seconds().unwrap_or(0.0)),
            recording: Duration::ZERO,
            manners: None,
            tracker: None,
            away: Duration::ZERO,
            rested: Duration::ZERO,
            step,
            switch: Switch::of_environment(),
            initial,
        })
    }

    /// Notes the settings of the run where TensorBoard compares runs by them.
    ///
    /// # Errors
    /// 74 when the log cannot be written.
    pub fn note_settings(&mut self, settings: &[(&str, serde_json::Value)]) -> anyhow::Result<()> {
        Ok(self.tensorboard.settings(unix_seconds(), settings)?)
    }

    /// The run folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// The files of its checkpoints.
    pub fn files(&self) -> &Files<'a> {
        &self.files
    }

    /// Time that events, TensorBoard and the terminal have taken.
    pub fn recording(&self) -> Duration {
        self.recording
    }

    /// The last text that was generated.
    pub fn last_sample(&self) -> Option<&str> {
        self.last_sample.as_deref()
    }

    /// Called at named points of a save, for tests that kill a run there.
    pub fn set_hook(&mut self, hook: Option<fn(&'static str)>) {
        self.folder.store.hook = hook;
    }

    /// Seconds that each step of this session took.
    pub fn step_seconds(&self) -> &[f64] {
        &self.step_seconds
    }

    /// Of each step whether it was written down, where that is switched on and off from outside.
    pub fn recorded_steps(&self) -> Option<&[bool]> {
        self.switch.recorded()
    }

    /// Notes how long the step took.
    fn time(&mut self, event: &Event) {
        match event {
            Event::Started(at) | Event::Resumed(at) => self.trained = at.seconds,
            Event::Step(step) => {
                self.step = step.step;
                self.step_seconds.push(step.seconds - self.trained);
                self.trained = step.seconds;
            }
            _ => {}
        }
    }

    fn show(&mut self, event: &Event) {
        match event {
            Event::Step(step) => {
                let known = self.smooth_loss.is_finite();
                self.smooth_loss = if known { 0.95 * self.smooth_loss + 0.05 * step.loss } else { step.loss };
                let position = match (self.shown.steps, self.shown.tokens) {
                    (Some(_), _) => step.step,
                    (None, Some(_)) => step.tokens,
                    _ => (step.seconds * 1e3) as u64,
                };
                let speed = out::count(step.tokens_per_second);
                let left = self.seconds_left(step).map_or_else(String::new, |s| format!("  {} left", clock(s)));
                let line = format!("step {}  loss {:.3}  {speed} tok/s  lr {:.1e}{left}", step.step, self.smooth_loss, step.lr);
                self.bar.update(position, line);
            }
            Event::Eval(eval) => {
                let bpb = eval.val_bpb.map_or_else(String::new, |b| {
                    let b = out::estimate(b, eval.val_bpb_se.unwrap_or(f64::NAN), 3);
                    format!(", {b} bits per byte")
                });
                let loss = out::estimate(eval.val_loss, eval.val_loss_se, 4);
                let line = format!("step {}: validation loss {loss}{bpb}", eval.step);
                self.bar.say(line);
            }
            Event::Saved(saved) => {
                let best = if saved.best { ", the best that is saved" } else { "" };
                self.bar.say(format!("step {}: saved {}{best}", saved.step, saved.path));
            }
            Event::Rollback(back) => self.warn(format!(
                "step {}: {}; the batch is skipped, training goes on from step {}",
                back.failed_step, back.reason, back.step
            )),
            Event::Warning(warning) => self.warn(format!("step {}: {}", warning.step, warning.message)),
            _ => {}
        }
    }

    /// A warning is said in any case, above the progress bar where there is one.
    fn warn(&self, message: String) {
        if self.out.is_quiet() { self.out.warn(message) } else { self.bar.say(format!("warning: {message}")) }
    }

    fn seconds_left(&self, step: &train::events::Step) -> Option<f64> {
        let share = match (self.shown.steps, self.shown.tokens, self.shown.time) {
            (Some(n), _, _) => step.step as f64 / n as f64,
            (None, Some(n), _) => step.tokens as f64 / n as f64,
            (None, None, Some(t)) => return Some((t.as_secs_f64() - step.seconds).max(0.0)),
            _ => return None,
        };
        (share > 0.0).then(|| step.seconds * (1.0 - share) / share)
    }

    fn check_space(&self, optimizer: usize) -> anyhow::Result<()> {
        let (dir, needed) = (self.folder.store.dir(), self.files.bytes(optimizer) as u64);
        match free_bytes(dir).filter(|free| *free < needed) {
            Some(free) => {
                let (needed, free) = (out::bytes(needed), out::bytes(free));
                let what = format!("{}: a checkpoint needs {needed}, {free} are free", dir.display());
                let next = format!("free some space and go on with `autoane train --resume {}`", self.folder.path.display());
                Err(Exit::new(exit::IO, format!("{what}; earlier checkpoints are as they were; {next}")).into())
            }
            None => Ok(()),
        }
    }
}

impl Host for RunHost<'_> {
    type Error = anyhow::Error;

    fn now(&mut self) -> Duration {
        self.started.elapsed().saturating_sub(self.away)
    }

    fn rest(&mut self) -> anyhow::Result<()> {
        self.give_way()
    }

    fn rss_bytes(&mut self) -> u64 {
        meter::rss_bytes().unwrap_or(0)
    }

    fn machine(&mut self) -> Machine {
        let cpu = meter::cpu_seconds();
        let (since, before) = self.looked;
        let seconds = since.elapsed().as_secs_f64().max(1e-6);
        self.looked = (Instant::now(), cpu.unwrap_or(0.0));
        let thermal = meter::thermal();
        Machine {
            cpu_percent: cpu.map(|c| 100.0 * (c - before) / seconds),
            celsius: thermal.and_then(|t| t.celsius),
            thermal: thermal.and_then(|t| t.level).map(str::to_owned),
            watts: self.watts(),
        }
    }

    fn interrupt(&mut self) -> Option<Interrupt> {
        if self.signals.interrupt.load(Ordering::SeqCst) {
            return Some(Interrupt::Stop(130));
        }
        if self.signals.terminate.load(Ordering::SeqCst) {
            return Some(Interrupt::Stop(143));
        }
        self.signals.save.swap(false, Ordering::SeqCst).then_some(Interrupt::Save)
    }

    fn stopping(&mut self) -> bool {
        self.signals.interrupt.load(Ordering::SeqCst) || self.signals.terminate.load(Ordering::SeqCst)
    }

    fn emit(&mut self, event: &Event) -> anyhow::Result<()> {
        let began = Instant::now();
        // what a step came to is no record but part of the model
        if let Event::Step(step) = event
            && !step.decided.is_empty()
        {
            train::trajectory::write(&self.folder.path.join(TRAJECTORY), step.step, &step.decided)?;
        }
        if !self.switch.recording(event) {
            self.time(event);
            return Ok(());
        }
        self.events.append(event)?;
        self.tensorboard.record(unix_seconds(), event)?;
        self.time(event);
        self.show(event);
        if let Some(warning) = self.tracker.as_mut().and_then(|tracker| tracker.send(event)) {
            self.warn(warning);
        }
        self.recording += began.elapsed();
        Ok(())
    }

    fn save(&mut self, snapshot: &Snapshot<'_>, best: bool) -> anyhow::Result<String> {
        self.check_space(snapshot.optimizer.state_len_bytes())?;
        let (step, files) = (snapshot.progress.spent.steps, &self.files);
        self.events.sync()?;
        let path = self.folder.store.save(step, |dir| files.write(dir, snapshot))?;
        if best {
            self.folder.store.set_best(step)?;
        }
        self.folder.store.prune(self.keep)?;
        Ok(self.folder.relative(&path))
    }

    fn recover(&mut self, into: Restore<'_>) -> anyhow::Result<()> {
        match self.folder.last()? {
            Some(loaded) => {
                self.files.read(&loaded.path, into)?;
                // each step has one line: those that are taken back go
                self.events = EventLog::resume(&self.folder.path.join("events.jsonl"), loaded.step)?;
                Ok(())
            }
            None => {
                self.events = EventLog::resume(&self.folder.path.join("events.jsonl"), 0)?;
                into.params.copy_from_slice(&(self.initial)()?);
                into.optimizer.load_state(0, |_, values| {
                    values.fill(0.0);
                    anyhow::Ok(())
                })?;
                if let Some(estimator) = into.estimator {
                    estimator.reset();
                }
                *into.progress = train::trainer::Progress::default();
                Ok(())
            }
        }
    }

    fn sample(&mut self, params: &[f32], step: u64) -> anyhow::Result<Option<(String, String)>> {
        let wired = self.files.wired;
        let Some(tokenizer) = wired.data.tokenizer() else { return Ok(None) };
        if wired.data.eot().is_none() {
            return Ok(None);
        }
        let config =
            engine::SamplingConfig { temperature: 0.8, top_p: 0.95, seed: self.seed, ..engine::SamplingConfig::default() };
        let weights = &wired.decode_weights(self.files.cpu, params)?;
        let model = crate::sample::Model { spec: &wired.spec, weights, tokenizer, map: Some(wired.data.vocab()) };
        let text = crate::sample::text(self.files.cpu, &model, "", config, SAMPLE_TOKENS)?;
        let folder = self.folder.path.join("samples");
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let path = folder.join(format!("step-{step:08}.txt"));
        std::fs::write(&path, format!("{text}\n")).with_context(|| path.display().to_string())?;
        self.last_sample = Some(text.clone());
        Ok(Some((String::new(), text)))
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// `1:05` for 65 seconds.
fn clock(seconds: f64) -> String {
    let s = seconds.round() as u64;
    if s >= 3600 { format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60) } else { format!("{}:{:02}", s / 60, s % 60) }
}
