//! `--model auto`: the size that this machine's measured speed makes best for the budget.
//!
//! In a fixed time more steps beat more parameters, until the model is too small for what it has read. Training steps of
//! the rungs of a ladder are timed; from their FLOP/s follows how many tokens each would see, and the largest rung that sees
//! at least [`TOKENS_PER_PARAMETER`] tokens for each of its parameters is taken.

use std::time::{Duration, Instant};

use data::Dataset;
use engine::{Batch, CpuEngine, Options, Shape};
use kernels::Cpu;
use model::{LADDER, Layout, Preset, flops_per_token};

use crate::config::{DEFAULT_TIME, Resolved, TrainConfig};
use crate::exit::{self, Exit};
use crate::out::{self, Out};

/// Tokens that a parameter should see. On the built-in stories rungs at 0.3 to 1.5 lose to the one below them, in 60, 120 and
/// 300 s (`LOG.md`); where a larger rung begins to pay lies above that.
const TOKENS_PER_PARAMETER: f64 = 2.0;

/// A rung and what it would see within the budget.
struct Expectation {
    rung: Preset,
    params: usize,
    /// FLOP/s measured; of the last rung that was measured, where this one was not.
    rate: f64,
    tokens: f64,
}

impl Expectation {
    fn new(rung: Preset, vocab: usize, rate: f64, config: &TrainConfig) -> Expectation {
        let spec = rung.spec.with_vocab(vocab);
        let step = (rung.seq_len * rung.batch_size * config.accumulate) as f64;
        let time = config.max_time.or((config.steps.is_none() && config.tokens.is_none()).then_some(DEFAULT_TIME));
        let limits = [
            time.map(|t| t.as_secs_f64() * rate / flops_per_token(&spec, rung.seq_len).train),
            config.tokens.map(|n| n as f64),
            config.steps.map(|n| n as f64 * step),
        ];
        let tokens = limits.into_iter().flatten().fold(f64::INFINITY, f64::min);
        Expectation { params: Layout::of(&spec).len(), rung, rate, tokens }
    }

    fn suffices(&self) -> bool {
        self.tokens >= TOKENS_PER_PARAMETER * self.params as f64
    }
}

/// Chooses a rung and settles it in `resolved`.
///
/// # Errors
/// Usage errors of the settings that follow from the choice.
pub fn choose(resolved: &mut Resolved, cpu: &Cpu, data: &Dataset, out: Out) -> anyhow::Result<Preset> {
    let table = ladder(data.vocab().len(), cpu, &resolved.config);
    let Some(chosen) = table.iter().rfind(|row| row.suffices()).or(table.first()) else {
        return Err(Exit::new(exit::INTERNAL, "the ladder of models is empty").into());
    };
    let rule =
        if chosen.suffices() { "the largest size that sees two tokens for each parameter" } else { "the smallest size there is" };
    let why = format!(
        "auto: {}, {} parameters: {rule}; at the {:.0} GFLOP/s measured here it sees about {} tokens",
        chosen.rung.name,
        out::count(chosen.params as f64),
        chosen.rate / 1e9,
        out::count(chosen.tokens)
    );
    out.say(&why);
    for row in &table {
        let mark = if row.rung.name == chosen.rung.name { '*' } else { ' ' };
        let (params, tokens) = (out::count(row.params as f64), out::count(row.tokens));
        out.detail(format!("{mark} {:12} {params:>8} parameters {tokens:>8} tokens", row.rung.name));
    }
    resolved.decide("model", chosen.rung.name, &why)?;
    Ok(chosen.rung.clone())
}

/// Every rung, smallest first. Rungs differ in speed, so each is measured, until two in a row would see too little.
fn ladder(vocab: usize, cpu: &Cpu, config: &TrainConfig) -> Vec<Expectation> {
    let (mut rate, mut short) = (0.0, 0);
    let mut expect = |rung: Preset| {
        if short < 2 {
            rate = measure(&rung, vocab, cpu);
        }
        let row = Expectation::new(rung, vocab, rate, config);
        short = if row.suffices() { 0 } else { short + 1 };
        row
    };
    LADDER.iter().filter_map(|name| model::preset(name)).map(&mut expect).collect()
}

/// FLOP/s of a training step of `rung`: the best of several within a moment.
fn measure(rung: &Preset, vocab: usize, cpu: &Cpu) -> f64 {
    let spec = rung.spec.with_vocab(vocab);
    let shape = Shape { rows: rung.batch_size, seq: rung.seq_len };
    let mut engine = CpuEngine::new(cpu, &spec, shape, Options::TRAINING);
    let params = engine::init(&spec, engine.layout(), 0);
    let mut grad = vec![0.0; params.len()];
    let tokens: Vec<u32> = (0..shape.rows * shape.seq).map(|i| (i * 7919 % vocab) as u32).collect();
    let batch = Batch { rows: shape.rows, seq: shape.seq, inputs: &tokens, targets: &tokens, starts: None };
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_millis(250) || best == Duration::MAX {
        let step = Instant::now();
        if engine.loss_and_grad(&params, &batch, &mut grad, false).is_err() {
            break;
        }
        best = best.min(step.elapsed());
    }
    tokens.len() as f64 * flops_per_token(&spec, shape.seq).train / best.as_secs_f64()
}
