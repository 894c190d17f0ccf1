//! `autoane data`: the built-in corpus, published sets, text to tokens.

mod download;
#[cfg(feature = "download")]
mod fetch;
mod mask;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use ::data::{DataError, PrepareOptions, Source, Stories, TokenizerChoice, prepare};
use serde_json::json;

use super::inspect::{TokensOptions, describe_tokens};
use crate::cli::{DataInspectArgs, DataVerb, StoriesArgs, TokenizeArgs};
use crate::config::TokenWidth;
use crate::corpus;
use crate::exit::{self, Exit, usage};
use crate::out::{self, Out};

/// Does one of them.
pub fn run(verb: &DataVerb, out: Out) -> anyhow::Result<()> {
    match verb {
        DataVerb::Stories(args) => stories(args, out),
        DataVerb::Download(args) => download::run(args, out),
        DataVerb::Tokenize(args) => tokenize(args, out),
        DataVerb::Inspect(args) => inspect(args, out),
    }
}

/// Stories that are made before they are written.
const BLOCK: usize = 1000;

fn stories(args: &StoriesArgs, out: Out) -> anyhow::Result<()> {
    if out.is_json() && args.out.is_none() {
        return Err(usage("--json needs --out FILE: the stories themselves would go to stdout"));
    }
    let create = |path: &Path| File::create(path).map_err(|e| DataError::writing(path, e));
    let mut file = args.out.as_deref().map(create).transpose()?.map(BufWriter::new);
    let generator = Stories::new(args.seed);
    let mut progress = out.progress("stories", args.stories as u64);
    let (mut block, mut bytes) = (String::new(), 0u64);
    for i in 0..args.stories {
        generator.write(i as u64, &mut block);
        block.push_str("\n<|endoftext|>\n");
        if (i + 1) % BLOCK != 0 && i + 1 != args.stories {
            continue;
        }
        match (&mut file, &args.out) {
            (Some(file), Some(path)) => file.write_all(block.as_bytes()).map_err(|e| DataError::writing(path, e))?,
            _ => out.stream(&block)?,
        }
        bytes += block.len() as u64;
        block.clear();
        progress.update(i as u64 + 1, out::bytes(bytes));
    }
    if let (Some(mut file), Some(path)) = (file, &args.out) {
        file.flush().map_err(|e| DataError::writing(path, e))?;
        drop(progress);
        out.say(format!("{} stories, {} in {}", args.stories, out::bytes(bytes), path.display()));
    }
    out.json(&json!({ "stories": args.stories, "seed": args.seed, "bytes": bytes, "out": args.out }))
}

fn tokenize(args: &TokenizeArgs, out: Out) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    let tokenizer = match &args.tokenizer {
        Some(path) => TokenizerChoice::Given(Arc::new(crate::tokenizer_file::load(path)?)),
        None => TokenizerChoice::Train { vocab: args.vocab_size },
    };
    let source =
        if args.input == "stories" { Source::stories(corpus::STORIES_SEED) } else { Source::open(Path::new(&args.input))? };
    let threads = args.threads.unwrap_or_else(meter::logical_cpus);
    let mut progress = out.progress("tokenizing", 0);
    let template = args.template.as_deref().map(crate::template_file::read).transpose()?;
    let options = PrepareOptions { source, tokenizer, template, threads };
    let prepared = prepare(&options, &args.out, &mut |documents, tokens| {
        progress.update(0, format!("{} documents, {} tokens", out::count(documents as f64), out::count(tokens as f64)));
    })?;
    drop(progress);
    let m = &prepared.manifest;
    let seconds = began.elapsed().as_secs_f64();
    let how = if prepared.reused { "already there, made from the same inputs" } else { "written" };
    out.line(format!("{}: {how}: {} documents, {} tokens, {} ids", args.out.display(), m.documents, m.tokens, m.vocab_size))?;
    out.say(format!("train on it with: autoane train --data {}", args.out.display()));
    out.json(&json!({
        "out": args.out, "reused": prepared.reused, "documents": m.documents, "tokens": m.tokens, "text_bytes": m.text_bytes,
        "vocab_size": m.vocab_size, "end_of_text_id": m.eot, "tokens_sha256": m.tokens_sha256, "loss_tokens": m.mask.as_ref().map_or(m.tokens, |mask| mask.loss_tokens),
        "seconds": seconds,
    }))
}

fn inspect(args: &DataInspectArgs, out: Out) -> anyhow::Result<()> {
    let width = TokenWidth::parse(&args.token_width).map_err(usage)?;
    let options = TokensOptions { vocab: args.vocab_size, width, tokenizer: args.tokenizer.clone() };
    if !args.path.exists() {
        return Err(Exit::new(exit::MISSING, format!("{}: no such file or folder", args.path.display())).into());
    }
    if args.mask {
        return mask::show(args, out);
    }
    describe_tokens(&args.path, &options, out)?.print(&args.path, out)
}
