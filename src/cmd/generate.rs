//! `autoane generate`: text from a model, streamed.

use std::time::Instant;

use data::Tokenizer;
use engine::SamplingConfig;
use formats::SpecialIds;
use serde_json::{Value as Json, json};

use crate::cli::GenerateArgs;
use crate::exit;
use crate::model_file::{self, OpenModel};
use crate::out::Out;
use crate::sample;

/// Continues `args.prompt`.
pub fn run(args: &GenerateArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    let model = model_file::open_assuming(&args.model, &args.assumed.given(), out)?;
    let tokenizer = model.need_tokenizer(args.tokenizer.as_deref())?;
    let prompt = prompt_ids(&tokenizer, model.file.special(), &args.prompt)?;
    check_prompt(&model, &tokenizer, &prompt, args, out)?;
    let params = model.params()?;
    let speaker = sample::Model { spec: model.spec(), params: &params, tokenizer: &tokenizer, map: None };
    let ends = |id: u32| model.file.special().eos.contains(&id) || tokenizer.eos() == Some(id);
    let known = |id: u32| match &model.map {
        _ if args.all_ids => true,
        Some(map) => map.to_compact(id).is_some(),
        // a released model may have rows that no token stands for
        None => (id as usize) < tokenizer.vocab_size(),
    };
    let config = SamplingConfig {
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        min_p: args.min_p,
        seed: args.seed,
    };
    let (mut ids, mut text, mut stream) = (Vec::new(), String::new(), tokenizer.decode_stream());
    for &id in &prompt {
        // the stream must know what stands before: whether a first space is part of the text depends on it
        stream.push(id);
    }
    let room = args.max_tokens.min(model.spec().context - prompt.len());
    let began = Instant::now();
    let request = sample::Request { prompt: &prompt, config, max_tokens: room };
    let made = sample::generate(&cpu, &speaker, request, known, ends, |id| {
        ids.push(id);
        let piece = stream.push(id);
        text += &piece;
        out.stream(&piece)
    })?;
    let rate = made as f64 / began.elapsed().as_secs_f64();
    let rest = stream.finish();
    text += &rest;
    out.stream(&format!("{rest}\n"))?;
    out.detail(format!("{made} tokens, {rate:.1} tokens/s"));
    if room < args.max_tokens && made == room {
        out.say(format!("stopped: the model's context of {} tokens is full", model.spec().context));
    }
    out.json(&json!({
        "text": text,
        "tokens": made,
        "ids": ids,
        "prompt_tokens": prompt.len(),
        "tokens_per_second": if made > 0 { Json::from(rate) } else { Json::Null },
        "stopped": if made < room { "end" } else if room < args.max_tokens { "context" } else { "length" },
    }))
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
