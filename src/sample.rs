//! Text from a model: prompt to ids, ids to the decoder, new ids to text as they come.

pub mod stop;
pub mod weights;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data::{Tokenizer, VocabMap};
use engine::{DecodeWeights, Decoder, Sampler, SamplingConfig};
use kernels::Cpu;
use model::ModelSpec;

use crate::exit;

/// A model that can speak. Its ids are those of the tokenizer, or those of `map` when training ran over fewer.
#[derive(Clone, Copy)]
pub struct Model<'a> {
    /// Shape; its vocabulary is that of `weights`.
    pub spec: &'a ModelSpec,
    /// Weights.
    pub weights: &'a DecodeWeights<'a>,
    /// Text to ids and back.
    pub tokenizer: &'a Arc<Tokenizer>,
    /// Ids of the model to ids of the tokenizer.
    pub map: Option<&'a VocabMap>,
}

/// Ids of a prompt, in the model's own; an empty prompt is the end-of-text id, which begins a text.
///
/// # Errors
/// A usage error for ids that the model does not have, or an empty prompt without an end-of-text id.
pub fn encode(model: &Model<'_>, prompt: &str) -> anyhow::Result<Vec<u32>> {
    let full = if prompt.is_empty() { vec![model.tokenizer.require_eos()?] } else { model.tokenizer.encode(prompt)? };
    let own = |id: u32| {
        let own = model.map.map_or(Some(id), |map| map.to_compact(id)).filter(|own| (*own as usize) < model.spec.vocab);
        own.ok_or_else(|| {
            let token = model.tokenizer.id_to_token(id).unwrap_or_default();
            exit::usage(format!("the prompt has the token {token:?} (id {id}), which the model has never seen"))
        })
    };
    full.into_iter().map(own).collect()
}

/// What to continue, how, and how far.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The model's own ids that stand before.
    pub prompt: &'a [u32],
    /// How to choose.
    pub config: SamplingConfig,
    /// Longest continuation.
    pub max_tokens: usize,
}

/// What was generated, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// New tokens, without the one that ended the text.
    pub tokens: usize,
    /// Whether an id that ends a text came.
    pub ended: bool,
    /// From the prompt to the logits after it.
    pub prompt_time: Duration,
    /// Tokens that went through the model one by one: all new ones but the last.
    pub decoded: usize,
    /// How long that took, the choice of each included.
    pub decode_time: Duration,
}

/// Continues the prompt, handing each new id (in the tokenizer's ids) to `each`, which may stop it.
/// Only ids of the model that are `allowed` are drawn. Ends at an id of the tokenizer for which `ends` is true.
///
/// # Errors
/// Those of `each`, and ids beyond the vocabulary.
pub fn generate(
    cpu: &Cpu,
    model: &Model<'_>,
    request: Request<'_>,
    allowed: impl Fn(u32) -> bool,
    ends: impl Fn(u32) -> bool,
    mut each: impl FnMut(u32) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<Made> {
    let Request { prompt, config, max_tokens } = request;
    let mut decoder = Decoder::new(cpu, model.spec, model.weights, prompt.len() + max_tokens);
    let mut sampler = Sampler::new(config);
    sampler.observe(prompt);
    let full = |own: u32| model.map.and_then(|map| map.to_full(own)).unwrap_or(own);
    let began = Instant::now();
    let logits = decoder.feed(prompt)?;
    let prompt_time = began.elapsed();
    let began = Instant::now();
    let mut next = sampler.next(logits, &allowed);
    let (mut tokens, mut decoded, mut ended) = (0, 0, false);
    while tokens < max_tokens {
        ended = ends(full(next));
        if ended {
            break;
        }
        tokens += 1;
        if each(full(next))?.is_break() || tokens == max_tokens {
            break;
        }
        next = sampler.next(decoder.feed(&[next])?, &allowed);
        decoded += 1;
    }
    Ok(Made { tokens, ended, prompt_time, decoded, decode_time: began.elapsed() })
}

/// The text after `prompt`, up to `max_tokens` tokens or the end of the text.
///
/// # Errors
/// Those of [`encode`] and [`generate`].
pub fn text(cpu: &Cpu, model: &Model<'_>, prompt: &str, config: SamplingConfig, max_tokens: usize) -> anyhow::Result<String> {
    let ids = encode(model, prompt)?;
    let eos = model.tokenizer.eos();
    let mut made = Vec::new();
    let room = max_tokens.min(model.spec.context.saturating_sub(ids.len()));
    generate(
        cpu,
        model,
        Request { prompt: &ids, config, max_tokens: room },
        |_| true,
        |id| Some(id) == eos,
        |id| {
            made.push(id);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(model.tokenizer.decode(&made))
}
