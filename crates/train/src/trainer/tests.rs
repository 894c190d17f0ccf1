#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use data::{Dataset, DatasetOptions, LoaderOptions};
use engine::{CpuEngine, Options, Shape};
use model::{Layout, ModelSpec};

use super::*;
use crate::budget::Limits;
use crate::every::Every;
use crate::optimizer::OptimizerConfig;
use crate::schedule::{Shape as Curve, Warmup};

/// A host whose clock ticks a second a call, and whose disk is memory.
#[derive(Default)]
struct Memory {
    ticks: u64,
    events: Vec<Event>,
    saved: Option<(Vec<f32>, Vec<Vec<f32>>, Progress)>,
    estimator: Vec<Vec<f32>>,
    stop_after: Option<usize>,
    /// The call of [`Host::stopping`] that first says yes.
    stop_at_call: Option<u64>,
    calls: u64,
}

impl Memory {
    fn fill(&self, into: Restore<'_>) -> Result<(), TrainError> {
        let (params, arrays, progress) = self.saved.as_ref().unwrap();
        into.params.copy_from_slice(params);
        let mut arrays = arrays.iter();
        let load = |_: &str, values: &mut [f32]| -> Result<(), ()> {
            values.copy_from_slice(arrays.next().unwrap());
            Ok(())
        };
        into.optimizer.load_state(progress.optimizer_t, load).unwrap();
        if let Some(estimator) = into.estimator {
            estimator.load(&self.estimator);
        }
        *into.progress = progress.clone();
        Ok(())
    }

    fn steps(&self) -> Vec<u64> {
        let number = |e: &Event| if let Event::Step(s) = e { Some(s.step) } else { None };
        self.events.iter().filter_map(number).collect()
    }
}

impl Host for Memory {
    type Error = TrainError;

    fn now(&mut self) -> Duration {
        self.ticks += 1;
        Duration::from_secs(self.ticks)
    }

    fn rss_bytes(&mut self) -> u64 {
        1
    }

    fn interrupt(&mut self) -> Option<Interrupt> {
        let steps = self.steps().len();
        let stopped = self.stop_at_call.is_some_and(|n| self.calls >= n);
        (stopped || self.stop_after.is_some_and(|n| steps >= n)).then_some(Interrupt::Stop(143))
    }

    fn stopping(&mut self) -> bool {
        self.calls += 1;
        self.stop_at_call.is_some_and(|n| self.calls >= n)
    }

    fn emit(&mut self, event: &Event) -> Result<(), TrainError> {
        self.events.push(event.clone());
        Ok(())
    }

    fn save(&mut self, snapshot: &Snapshot<'_>, _best: bool) -> Result<String, TrainError> {
        let mut arrays = Vec::new();
        snapshot.optimizer.visit_state(|_, values| arrays.push(values.to_vec()));
        self.estimator = snapshot.estimator.iter().map(|(_, values)| values.to_vec()).collect();
        self.saved = Some((snapshot.params.to_vec(), arrays, snapshot.progress.clone()));
        Ok(format!("step-{}", snapshot.progress.spent.steps))
    }

    fn recover(&mut self, into: Restore<'_>) -> Result<(), TrainError> {
        self.fill(into)
    }

    fn sample(&mut self, _params: &[f32], _step: u64) -> Result<Option<(String, String)>, TrainError> {
        Ok(None)
    }
}

fn spec() -> ModelSpec {
    let small = model::preset("stories-1m").unwrap().spec;
    ModelSpec { dim: 16, layers: 1, heads: 2, kv_heads: 1, head_dim: 8, hidden: 24, vocab: 30, ..small }
}

fn trainer<'a>(cpu: &'a Cpu, folder: &std::path::Path, steps: u64) -> Trainer<'a> {
    trainer_with(cpu, folder, steps, None)
}

const ESTIMATORS: [&str; 6] = ["mezo", "fzoo", "sparse", "hizoo", "lozo", "conmezo"];

fn zeroth<'a>(which: &str, cpu: &'a Cpu, folder: &std::path::Path, steps: u64) -> Trainer<'a> {
    use crate::estimator::{ConMezo, Fzoo, Hizoo, Line, Lozo, Mezo, SparseMezo};
    let distribution = kernels::direction::Distribution::Gaussian;
    let line = Line { seed: 1, eps: 1e-3, directions: 2, distribution, isa: cpu.isa() };
    let layout = Layout::of(&spec());
    let estimator: Box<dyn Estimator> = match which {
        "fzoo" => Box::new(Fzoo::new(line)),
        "sparse" => Box::new(SparseMezo::new(line, 0.75, &layout)),
        "hizoo" => Box::new(Hizoo::new(line, 1e-2, layout.len())),
        "lozo" => Box::new(Lozo::new(line, 2, 3, &layout)),
        "conmezo" => Box::new(ConMezo::new(line, 1.3, 0.9, layout.len())),
        _ => Box::new(Mezo::new(line)),
    };
    trainer_with(cpu, folder, steps, Some(estimator))
}

fn trainer_with<'a>(
    cpu: &'a Cpu,
    folder: &std::path::Path,
    steps: u64,
    estimator: Option<Box<dyn Estimator + 'a>>,
) -> Trainer<'a> {
    let path = folder.join("tokens.bin");
    let tokens: Vec<u8> = (0..3000u32).flat_map(|i| ((i * i % 30) as u16).to_le_bytes()).collect();
    std::fs::write(&path, tokens).unwrap();
    let options = DatasetOptions { vocab_size: Some(30), compact: false, ..DatasetOptions::default() };
    let data = Arc::new(Dataset::open(&path, options).unwrap());
    let loader = Loader::new(data, LoaderOptions { seq_len: 8, ..LoaderOptions::default() }).unwrap();
    let (spec, shape) = (spec(), Shape { rows: 2, seq: 8 });
    let layout = Layout::of(&spec);
    let adam = OptimizerConfig::AdamW(crate::optimizer::AdamWConfig::default());
    Trainer::new(Parts {
        cpu,
        engine: Box::new(CpuEngine::new(
            cpu,
            &spec,
            shape,
            if estimator.is_some() { Options::INFERENCE } else { Options::TRAINING },
        )),
        loader,
        source: estimator.map_or(GradientSource::Backward, GradientSource::Losses),
        objective: engine::Objective::Loss,
        optimizer: Optimizer::new(adam, &layout, 0.1),
        schedule: Schedule { peak: 1e-2, shape: Curve::Cosine, warmup: Warmup::Steps(2), min_lr_ratio: 0.1 },
        limits: Limits { steps: Some(steps), ..Limits::default() },
        params: engine::init(&spec, &layout, 1),
        batch_size: 2,
        accumulate: 2,
        clip_norm: 1.0,
        early_stop: None,
        eval_every: Every::Steps(4),
        save_every: Every::Steps(3),
        sample_every: Every::Never,
    })
}

fn bits(params: &[f32]) -> Vec<u32> {
    params.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_stopped_and_restored_run_ends_with_the_same_weights() {
    let (cpu, folder) = (Cpu::new(1), tempfile::tempdir().unwrap());
    let mut whole = trainer(&cpu, folder.path(), 9);
    whole.run(&mut Memory::default()).unwrap();
    for stop in 1..9 {
        let mut host = Memory { stop_after: Some(stop), ..Memory::default() };
        let end = trainer(&cpu, folder.path(), 9).run(&mut host).unwrap().end;
        assert_eq!(end, End::Interrupted(143));
        let mut again = trainer(&cpu, folder.path(), 9);
        again.restore("step".into(), |into| host.fill(into)).unwrap();
        assert_eq!(again.step(), stop as u64);
        host.stop_after = None;
        again.run(&mut host).unwrap();
        assert_eq!(host.steps(), (1..=9).collect::<Vec<_>>());
        assert!(bits(again.params()) == bits(whole.params()), "stopped after {stop}");
    }
}

/// A request to stop inside a long step is obeyed between two blocks, and the resumed run makes the step anew.
#[test]
fn a_step_that_is_left_midway_leaves_no_trace() {
    let (cpu, folder) = (Cpu::new(1), tempfile::tempdir().unwrap());
    let mut whole = trainer(&cpu, folder.path(), 3);
    let mut host = Memory::default();
    whole.run(&mut host).unwrap();
    // one layer, two passes: asked before its block forward, before the classifier, and before its block backward
    let (steps, evaluations) = (3 * 2 * 3, host.calls - 3 * 2 * 3);
    for call in 1..=evaluations / 2 + steps {
        let mut host = Memory { stop_at_call: Some(call), ..Memory::default() };
        let end = trainer(&cpu, folder.path(), 3).run(&mut host).unwrap().end;
        // an evaluation that is left is followed by a step that is
        let asked = call + u64::from(call <= evaluations / 2);
        assert_eq!((end, host.calls), (End::Interrupted(143), asked), "obeyed at once");
        let (made, saved) = (host.steps().len(), host.saved.as_ref().unwrap().2.clone());
        assert_eq!((saved.cursor, saved.spent.steps), (made as u64 * 4, made as u64), "stopped at call {call}");
        let mut again = trainer(&cpu, folder.path(), 3);
        again.restore("step".into(), |into| host.fill(into)).unwrap();
        host.stop_at_call = None;
        again.run(&mut host).unwrap();
        assert_eq!(host.steps(), [1, 2, 3], "stopped at call {call}");
        assert!(bits(again.params()) == bits(whole.params()), "stopped at call {call}");
    }
}

/// Directions are functions of the run's seed and the step, so a run from losses alone resumes as any other, on any number of
/// threads.
#[test]
fn a_run_from_losses_resumes_bit_for_bit() {
    let (cpu, two, folder) = (Cpu::new(1), Cpu::new(2), tempfile::tempdir().unwrap());
    for which in ESTIMATORS {
        let mut whole = zeroth(which, &cpu, folder.path(), 6);
        let mut host = Memory::default();
        let outcome = whole.run(&mut host).unwrap();
        assert!(outcome.forward.is_some() && bits(whole.params()) != bits(&engine::init(&spec(), &Layout::of(&spec()), 1)));
        for event in &host.events {
            let Event::Step(step) = event else { continue };
            let measured = step.projected_gradient.is_some_and(f64::is_finite) && step.grad_norm.is_finite();
            assert!(measured && step.loss > 2.0 && step.loss_se > 0.0, "{which}: {step:?}");
        }
        for stop in 1..6 {
            let mut host = Memory { stop_after: Some(stop), ..Memory::default() };
            zeroth(which, &two, folder.path(), 6).run(&mut host).unwrap();
            let mut again = zeroth(which, &cpu, folder.path(), 6);
            again.restore("step".into(), |into| host.fill(into)).unwrap();
            host.stop_after = None;
            again.run(&mut host).unwrap();
            assert!(bits(again.params()) == bits(whole.params()), "{which} stopped after {stop}");
        }
    }
}

#[test]
fn broken_weights_come_back_from_the_last_saved_state() {
    let (cpu, folder, mut host) = (Cpu::new(1), tempfile::tempdir().unwrap(), Memory::default());
    let mut run = trainer(&cpu, folder.path(), 12);
    host.stop_after = Some(6);
    run.run(&mut host).unwrap();
    host.stop_after = None;
    run.params[40] = f32::NAN;
    let outcome = run.run(&mut host).unwrap();
    let back = host.events.iter().find_map(|e| if let Event::Rollback(r) = e { Some(r.clone()) } else { None }).unwrap();
    assert_eq!((back.failed_step, back.step, back.consecutive), (7, 6, 1));
    assert_eq!((outcome.end, outcome.spent.steps), (End::Budget, 12));
    assert!(run.params().iter().all(|x| x.is_finite()));
}

#[test]
fn tokens_are_counted_where_they_are_consumed() {
    let (cpu, folder, mut host) = (Cpu::new(1), tempfile::tempdir().unwrap(), Memory::default());
    let outcome = trainer(&cpu, folder.path(), 5).run(&mut host).unwrap();
    assert_eq!(outcome.spent.tokens, 5 * 2 * 2 * 8);
    let t = outcome.timings;
    assert!(t.gradient + t.optimizer <= t.steps && t.steps <= t.total, "parts add up to the whole: {t:?}");
}
