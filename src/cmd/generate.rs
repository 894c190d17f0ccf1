//! `autoane generate`: text from a model, streamed.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context;
use data::{DecodeStream, Tokenizer};
use formats::SpecialIds;
use serde_json::{Value as Json, json};

use crate::cli::{GenerateArgs, WeightsArg};
use crate::exit;
use crate::model_file::{self, OpenModel};
use crate::out::Out;
use crate::sample::{self, stop::StopFilter};

/// Continues the prompt.
pub fn run(args: &GenerateArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    let text = match &args.prompt_file {
        Some(path) => read_prompt(path)?,
        None => args.prompt.clone(),
    };
    let model = model_file::open_said(&args.model, &args.assumed, out)?;
    let tokenizer = model.need_tokenizer(args.tokenizer.as_deref())?;
    let prompt = prompt_ids(&tokenizer, model.file.special(), &text)?;
    check_prompt(&model, &tokenizer, &prompt, args, out)?;
    let weights = sample::weights::read(&model.file, args.weights == WeightsArg::F32)?;
    let speaker = sample::Model { spec: model.spec(), weights: &weights, tokenizer: &tokenizer, map: None };
    let ends = |id: u32| model.file.special().eos.contains(&id) || tokenizer.eos() == Some(id);
    let known = |id: u32| match &model.map {
        _ if args.all_ids => true,
        Some(map) => map.to_compact(id).is_some(),
        // a released model may have rows that no token stands for
        None => (id as usize) < tokenizer.vocab_size(),
    };
    let room = args.max_tokens.min(model.spec().context - prompt.len());
    let request = sample::Request { prompt: &prompt, config: args.sampling.config(), max_tokens: room };
    let mut said = Said::new(&tokenizer, &prompt, &args.stop);
    out.work_begins();
    let made = sample::generate(&cpu, &speaker, request, known, ends, |id| said.take(id, out))?;
    out.work_ends(None, Some(made.tokens as u64));
    said.finish(out)?;
    let why = match (made.ended, said.stopped) {
        (_, true) => "stop",
        (true, _) => "end",
        _ if room < args.max_tokens => "context",
        _ => "length",
    };
    report(&made, &said, why, prompt.len(), out)?;
    if why == "context" {
        out.say(format!("stopped: the model's context of {} tokens is full", model.spec().context));
    }
    Ok(())
}

/// The text so far, as it is streamed.
struct Said<'a> {
    ids: Vec<u32>,
    text: String,
    stream: DecodeStream<'a>,
    filter: Option<StopFilter<'a>>,
    stopped: bool,
}

impl<'a> Said<'a> {
    fn new(tokenizer: &'a Tokenizer, prompt: &[u32], stops: &'a [String]) -> Said<'a> {
        let mut stream = tokenizer.decode_stream();
        for &id in prompt {
            // the stream must know what stands before: whether a first space is part of the text depends on it
            stream.push(id);
        }
        Said { ids: Vec::new(), text: String::new(), stream, filter: Some(StopFilter::new(stops)), stopped: false }
    }

    fn take(&mut self, id: u32, out: Out) -> anyhow::Result<ControlFlow<()>> {
        self.ids.push(id);
        let piece = self.stream.push(id);
        let Some(filter) = &mut self.filter else { return Ok(ControlFlow::Break(())) };
        let (certain, stopped) = filter.push(&piece);
        self.stopped = stopped;
        self.text += &certain;
        out.stream(&certain)?;
        Ok(if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// Brings out what was held back.
    fn finish(&mut self, out: Out) -> anyhow::Result<()> {
        let mut rest = String::new();
        if let Some(mut filter) = self.filter.take().filter(|_| !self.stopped) {
            let (certain, stopped) = filter.push(&self.stream.finish());
            self.stopped = stopped;
            rest = certain + &filter.finish();
        }
        self.text += &rest;
        out.stream(&format!("{rest}\n"))
    }
}

fn report(made: &sample::Made, said: &Said<'_>, why: &str, prompt: usize, out: Out) -> anyhow::Result<()> {
    let rate = |tokens: usize, seconds: f64| if tokens > 0 { Json::from(tokens as f64 / seconds) } else { Json::Null };
    let (before, after) = (made.prompt_time.as_secs_f64(), made.decode_time.as_secs_f64());
    let shown = |tokens: usize, seconds: f64| format!("{tokens} tokens, {:.1} tokens/s", tokens as f64 / seconds);
    out.detail(format!("prompt: {}; decoding: {}", shown(prompt, before), shown(made.decoded, after)));
    out.json(&json!({
        "text": said.text,
        "tokens": made.tokens,
        "ids": said.ids,
        "prompt_tokens": prompt,
        "tokens_per_second": rate(made.tokens, before + after),
        "prompt_tokens_per_second": rate(prompt, before),
        "decode_tokens_per_second": rate(made.decoded, after),
        "stopped": why,
    }))
}

/// The text of a prompt file, without the line break at its end.
fn read_prompt(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let place = data::Place::Byte(e.utf8_error().valid_up_to() as u64);
        data::DataError::bad(path, place, "UTF-8 text", "other bytes")
    })?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// Ids of the prompt, after those that the tokenizer puts before a text. Of no text at all: what begins a text.
fn prompt_ids(tokenizer: &Tokenizer, special: &SpecialIds, prompt: &str) -> anyhow::Result<Vec<u32>> {
    let mut ids = first_ids(tokenizer);
    ids.extend(tokenizer.encode(prompt)?);
    if ids.is_empty() {
        let begin = special.bos.or(tokenizer.eos()).or(special.eos.first().copied());
        ids.push(
            begin.ok_or_else(|| exit::usage("neither model nor tokenizer names a token that begins a text; pass --prompt"))?,
        );
    }
    Ok(ids)
}

/// Special tokens that the template of a `tokenizer.json` puts before a text.
fn first_ids(tokenizer: &Tokenizer) -> Vec<u32> {
    let tree: Json = serde_json::from_slice(tokenizer.json()).unwrap_or_default();
    let processor = &tree["post_processor"];
    let mut all: Vec<&Json> = processor["processors"].as_array().into_iter().flatten().collect();
    all.push(processor);
    let template = all.into_iter().find(|p| p["type"] == "TemplateProcessing");
    let pieces = template.and_then(|p| p["single"].as_array()).into_iter().flatten();
    let names = pieces.map_while(|piece| piece["SpecialToken"]["id"].as_str());
    names.filter_map(|name| tokenizer.token_to_id(name)).collect()
}

fn check_prompt(model: &OpenModel, tokenizer: &Tokenizer, prompt: &[u32], args: &GenerateArgs, out: Out) -> anyhow::Result<()> {
    let (vocab, context) = (model.spec().vocab, model.spec().context);
    let name = |id: u32| tokenizer.id_to_token(id).unwrap_or_default();
    if let Some(&id) = prompt.iter().find(|id| **id as usize >= vocab) {
        let what = format!("the prompt has the token {:?} (id {id}), and the model has ids 0 to {}", name(id), vocab - 1);
        return Err(exit::usage(format!("{what}; pass the model's own tokenizer with --tokenizer")));
    }
    if prompt.len() >= context {
        let what = format!("the prompt has {} tokens, and the model's context is {context}", prompt.len());
        return Err(exit::usage(format!("{what}; shorten it to at most {} tokens", context - 1)));
    }
    let unseen = |id: &&u32| model.map.as_ref().is_some_and(|map| map.to_compact(**id).is_none());
    if let Some(&id) = prompt.iter().find(unseen).filter(|_| !args.all_ids) {
        out.warn(format!("the prompt has tokens that training never saw, such as {:?} (id {id})", name(id)));
    }
    Ok(())
}
