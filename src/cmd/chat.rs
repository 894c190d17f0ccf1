//! `autoane chat`: a conversation, turn by turn, in the words of the model's chat template.

mod conversation;

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use data::Tokenizer;
use data::chat::{ChatTemplate, Moment, Surroundings};
use engine::{Decoder, Sampler};
use serde_json::json;

use crate::cli::{ChatArgs, WeightsArg};
use crate::exit::{self, Exit};
use crate::model_file::{self, OpenModel};
use crate::out::{self, Out};
use crate::sample;
use conversation::{Conversation, Voice};

/// Longest line of the input, in bytes.
const LONGEST_LINE: u64 = 1 << 20;

/// Talks with `args.model`.
pub fn run(args: &ChatArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    let model = model_file::open_said(&args.model, &args.assumed, out)?;
    let tokenizer = model.need_tokenizer(args.tokenizer.as_deref())?;
    let template = template(args, &tokenizer, &model.path)?;
    let around = surroundings(&tokenizer);
    let weights = sample::weights::read(&model.file, args.weights == WeightsArg::F32)?;
    let capacity = args.context.min(model.spec().context);
    let voice = Voice {
        decoder: Decoder::new(&cpu, model.spec(), &weights, capacity),
        sampler: Sampler::new(args.sampling.config()),
        allowed: allowed(&model, &tokenizer),
        ends: conversation::ends(&model.file.special().eos, &tokenizer, &template, &around),
        max_tokens: args.max_tokens,
        stops: args.stop.clone(),
    };
    let mut conversation = Conversation::new(&tokenizer, &template, around, voice, args.system.as_deref());
    match &args.prompt {
        Some(prompt) => conversation.turn(prompt, out)?,
        None => read_turns(&mut conversation, out)?,
    }
    out.json(&json!({
        "text": conversation.messages().last().map(|m| &m.content),
        "messages": conversation.messages().iter().map(|m| json!({ "role": m.role, "content": m.content })).collect::<Vec<_>>(),
        "turns": conversation.turns(),
    }))
}

/// A turn for each line of the input, until it ends.
fn read_turns(conversation: &mut Conversation<'_>, out: Out) -> anyhow::Result<()> {
    let asks = std::io::stdin().is_terminal();
    let mut input = std::io::stdin().lock();
    if asks {
        out.say("a line is a turn; the end of the input (Ctrl-D) ends the conversation");
    }
    loop {
        if asks {
            out::prompt("> ");
        }
        let mut line = String::new();
        let read = std::io::Read::take(&mut input, LONGEST_LINE).read_line(&mut line);
        let read = read.map_err(|e| Exit::new(exit::code_of_io(&e), format!("standard input: {e}; expected lines of UTF-8")))?;
        if read as u64 == LONGEST_LINE {
            return Err(exit::usage(format!("a line of the input has {LONGEST_LINE} bytes or more")));
        }
        match line.trim_end_matches(['\r', '\n']) {
            _ if read == 0 => return Ok(()),
            "" => {}
            text => conversation.turn(text, out)?,
        }
    }
}

/// The template that was asked for, else the model's own.
fn template(args: &ChatArgs, tokenizer: &Tokenizer, model: &Path) -> anyhow::Result<ChatTemplate> {
    if let Some(path) = &args.template {
        return Ok(ChatTemplate::new(&crate::template_file::read(path)?.source, path)?);
    }
    let Some(source) = tokenizer.chat_template() else {
        let what = format!("{} has no chat template, so it was hardly trained on conversations", model.display());
        return Err(exit::usage(format!("{what}; pass one with --template FILE, or use `autoane generate`")));
    };
    Ok(ChatTemplate::new(&source, &model.join("chat_template"))?)
}

fn surroundings(tokenizer: &Tokenizer) -> Surroundings {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
    Surroundings {
        special: tokenizer.special_texts(),
        now: Moment { seconds: since },
        variables: Vec::new(),
        memory: Some(meter::rss_bytes),
    }
}

/// For each id of the model whether a reply may have it: ids that training never saw, and rows that no token stands for,
/// are never drawn.
fn allowed(model: &OpenModel, tokenizer: &Tokenizer) -> Vec<bool> {
    let known = |id: u32| match &model.map {
        Some(map) => map.to_compact(id).is_some(),
        None => (id as usize) < tokenizer.vocab_size(),
    };
    (0..model.spec().vocab as u32).map(known).collect()
}
