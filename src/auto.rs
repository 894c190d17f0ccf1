//! `--model auto`: the size that this machine's measured speed makes best for the budget.
//!
//! In a fixed time more steps beat more parameters, until the model is too small for what it has read. A short training
//! step is timed; from its FLOP/s follows how many tokens each rung of the ladder would see, and the largest rung that
//! sees at least [`TOKENS_PER_PARAMETER`] tokens for each of its parameters is taken.

use std::time::{Duration, Instant};

use data::Dataset;
use engine::{Batch, CpuEngine, Options, Shape};
use kernels::Cpu;
use model::{LADDER, Layout, Preset, flops_per_token};

use crate::config::{DEFAULT_TIME, Resolved, TrainConfig};
use crate::exit::{self, Exit};
use crate::out::{self, Out};

/// Tokens that a parameter should see. On the built-in stories a rung at 0.35 loses by half a nat to the one below it at
/// 1.5 (`LOG.md`); where a larger rung begins to pay lies above that.
const TOKENS_PER_PARAMETER: f64 = 1.0;

/// Chooses a rung and settles it in `resolved`.
///
/// # Errors
/// Usage errors of the settings that follow from the choice.
pub fn choose(resolved: &mut Resolved, cpu: &Cpu, data: &Dataset, out: Out) -> anyhow::Result<Preset> {
    let vocab = data.vocab().len();
    let rungs: Vec<Preset> = LADDER.iter().filter_map(|name| model::preset(name)).collect();
    let rate = measure(&rungs[1], vocab, cpu);
    let table: Vec<(Preset, f64, usize)> = rungs.into_iter().map(|rung| expect(rung, vocab, rate, &resolved.config)).collect();
    let good = |(_, tokens, params): &&(Preset, f64, usize)| *tokens >= TOKENS_PER_PARAMETER * *params as f64;
    let Some((preset, tokens, params)) = table.iter().rfind(good).or(table.first()) else {
        return Err(Exit::new(exit::INTERNAL, "the ladder of models is empty").into());
    };
    let enough = *tokens >= TOKENS_PER_PARAMETER * *params as f64;
    let rule = if enough { "the largest size that sees a token for each parameter" } else { "the smallest size there is" };
    let why = format!(
        "auto: {}, {} parameters: {rule}; at the {:.0} GFLOP/s measured here it sees about {} tokens",
        preset.name,
        out::count(*params as f64),
        rate / 1e9,
        out::count(*tokens)
    );
    out.say(&why);
    for (rung, tokens, params) in &table {
        let mark = if rung.name == preset.name { '*' } else { ' ' };
        out.detail(format!(
            "{mark} {:12} {:>8} parameters {:>8} tokens",
            rung.name,
            out::count(*params as f64),
            out::count(*tokens)
        ));
    }
    let preset = preset.clone();
    resolved.decide("model", preset.name, &why)?;
    Ok(preset)
}

/// Tokens that `rung` would see within the budget, and its parameters.
fn expect(rung: Preset, vocab: usize, rate: f64, config: &TrainConfig) -> (Preset, f64, usize) {
    let spec = rung.spec.with_vocab(vocab);
    let step = (rung.seq_len * rung.batch_size * config.accumulate) as f64;
    let time = config.max_time.or((config.steps.is_none() && config.tokens.is_none()).then_some(DEFAULT_TIME));
    let limits = [
        time.map(|t| t.as_secs_f64() * rate / flops_per_token(&spec, rung.seq_len).train),
        config.tokens.map(|n| n as f64),
        config.steps.map(|n| n as f64 * step),
    ];
    let tokens = limits.into_iter().flatten().fold(f64::INFINITY, f64::min);
    let params = Layout::of(&spec).len();
    (rung, tokens, params)
}

/// FLOP/s of a training step of `rung`: the best of several within half a second.
fn measure(rung: &Preset, vocab: usize, cpu: &Cpu) -> f64 {
    let spec = rung.spec.with_vocab(vocab);
    let shape = Shape { rows: rung.batch_size, seq: rung.seq_len };
    let mut engine = CpuEngine::new(cpu, &spec, shape, Options::TRAINING);
    let params = engine::init(&spec, engine.layout(), 0);
    let mut grad = vec![0.0; params.len()];
    let tokens: Vec<u32> = (0..shape.rows * shape.seq).map(|i| (i * 7919 % vocab) as u32).collect();
    let batch = Batch { rows: shape.rows, seq: shape.seq, inputs: &tokens, targets: &tokens, starts: None };
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < Duration::from_millis(500) || best == Duration::MAX {
        let step = Instant::now();
        if engine.loss_and_grad(&params, &batch, &mut grad, false).is_err() {
            break;
        }
        best = best.min(step.elapsed());
    }
    tokens.len() as f64 * flops_per_token(&spec, shape.seq).train / best.as_secs_f64()
}
