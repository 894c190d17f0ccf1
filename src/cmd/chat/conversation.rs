//! Turns: the whole conversation through the template, to ids; what the cache holds of them already is not computed again.

use std::time::Instant;

use data::Tokenizer;
use data::chat::{ChatTemplate, Message, Surroundings};
use engine::{Decoder, Sampler};
use serde_json::{Value as Json, json};

use crate::exit;
use crate::out::Out;
use crate::sample::stop::StopFilter;

/// Names of tokens that end a turn wherever they are special, as in llama.cpp.
const ENDS: [&str; 7] = ["<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<EOT>", "<|endoftext|>"];

/// The model, and how it is asked.
pub struct Voice<'a> {
    pub decoder: Decoder<'a>,
    pub sampler: Sampler,
    /// For each id whether it may be drawn.
    pub allowed: Vec<bool>,
    /// Ids that end a reply.
    pub ends: Vec<u32>,
    /// Longest reply.
    pub max_tokens: usize,
    /// Texts that end a reply and are no part of it.
    pub stops: Vec<String>,
}

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At a token that ends one.
    Token,
    /// At a stop text.
    Text,
    /// Where no more fits, or was asked for.
    Room,
}

/// What was said, and what of it the cache holds.
pub struct Conversation<'a> {
    tokenizer: &'a Tokenizer,
    template: &'a ChatTemplate,
    around: Surroundings,
    voice: Voice<'a>,
    messages: Vec<Message>,
    /// Ids in the cache.
    fed: Vec<u32>,
    turns: Vec<Json>,
}

fn message(role: &str, content: &str) -> Message {
    Message { role: role.to_owned(), content: content.to_owned() }
}

impl<'a> Conversation<'a> {
    pub fn new(
        tokenizer: &'a Tokenizer,
        template: &'a ChatTemplate,
        around: Surroundings,
        voice: Voice<'a>,
        system: Option<&str>,
    ) -> Conversation<'a> {
        let messages = system.into_iter().map(|text| message("system", text)).collect();
        Conversation { tokenizer, template, around, voice, messages, fed: Vec::new(), turns: Vec::new() }
    }

    /// Everything that was said.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Figures of each turn.
    pub fn turns(&self) -> &[Json] {
        &self.turns
    }

    /// Says `text` to the model and streams its reply.
    ///
    /// # Errors
    /// 65 when the template refuses the conversation, a usage error when it does not fit into the cache.
    pub fn turn(&mut self, text: &str, out: Out) -> anyhow::Result<()> {
        self.messages.push(message("user", text));
        let ids = self.tokenizer.encode(&self.template.render(&self.messages, true, &self.around)?)?;
        let capacity = self.voice.decoder.len() + self.voice.decoder.room();
        if ids.is_empty() || ids.len() >= capacity {
            let what = format!("the conversation has {} tokens, and there is room for {capacity}", ids.len());
            return Err(exit::usage(format!("{what}; begin a new one, or raise --context up to the model's own")));
        }
        let same = self.fed.iter().zip(&ids).take_while(|(a, b)| a == b).count();
        let kept = same.min(ids.len() - 1);
        self.voice.decoder.truncate(kept);
        let room = self.voice.max_tokens.min(capacity - ids.len());
        let prompt = ids.len();
        let began = Instant::now();
        let (reply, made, end) = self.reply(ids, kept, room, out)?;
        out.stream("\n")?;
        let seconds = began.elapsed().as_secs_f64();
        let stopped = match end {
            End::Token => "end",
            End::Text => "stop",
            End::Room if room < self.voice.max_tokens => "context",
            End::Room => "length",
        };
        out.detail(format!(
            "{prompt} tokens of prompt ({kept} in the cache), {made} tokens of reply in {seconds:.1} s: {stopped}"
        ));
        if stopped == "context" {
            out.say(format!("stopped: the {capacity} tokens of the conversation are full"));
        }
        self.messages.push(message("assistant", &reply));
        self.turns.push(json!({
            "prompt_tokens": prompt, "cached_tokens": kept, "tokens": made, "seconds": seconds, "stopped": stopped,
        }));
        Ok(())
    }

    /// The reply to `ids`, of which the cache holds the first `kept`: its text, its tokens, and how it ended.
    fn reply(&mut self, ids: Vec<u32>, kept: usize, room: usize, out: Out) -> anyhow::Result<(String, usize, End)> {
        let Voice { decoder, sampler, allowed, ends, stops, .. } = &mut self.voice;
        let may = |id: u32| allowed.get(id as usize).copied().unwrap_or(false);
        let (mut text, mut stream, mut filter) = (String::new(), self.tokenizer.decode_stream(), StopFilter::new(stops));
        for &id in &ids {
            // whether a first space is part of the reply depends on what stands before
            stream.push(id);
        }
        stream.finish();
        // an error below leaves the cache with what was fed so far, and nothing is known of it
        self.fed.clear();
        sampler.observe(&ids[kept..]);
        let mut logits = decoder.feed(&ids[kept..])?;
        let (mut fed, mut made) = (ids, 0);
        let mut end = loop {
            let next = sampler.next(logits, may);
            if ends.contains(&next) {
                break End::Token;
            }
            made += 1;
            let (piece, stopped) = filter.push(&stream.push(next));
            text += &piece;
            out.stream(&piece)?;
            if stopped {
                break End::Text;
            }
            if made == room {
                break End::Room;
            }
            logits = decoder.feed(&[next])?;
            fed.push(next);
        };
        self.fed = fed;
        if end != End::Text {
            let (mut rest, stopped) = filter.push(&stream.finish());
            if stopped {
                end = End::Text;
            } else {
                rest += &filter.finish();
            }
            text += &rest;
            out.stream(&rest)?;
        }
        Ok((text, made, end))
    }
}

/// Ids that end a reply: those of the model and its tokenizer, special tokens of a known name, and what the template puts
/// after what the model says.
pub fn ends(model: &[u32], tokenizer: &Tokenizer, template: &ChatTemplate, around: &Surroundings) -> Vec<u32> {
    let special = |id: &u32| tokenizer.is_special(*id);
    let mut ends: Vec<u32> = model.to_vec();
    ends.extend(tokenizer.eos());
    ends.extend(ENDS.iter().filter_map(|name| tokenizer.token_to_id(name)).filter(special));
    ends.extend(end_of_turn(tokenizer, template, around).filter(special));
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// The first token after a reply, as the template writes one.
fn end_of_turn(tokenizer: &Tokenizer, template: &ChatTemplate, around: &Surroundings) -> Option<u32> {
    const WORD: &str = "Sesame";
    let said = [message("user", "Open"), message("assistant", WORD)];
    let text = template.render(&said, false, around).ok()?;
    let after = &text[text.rfind(WORD)? + WORD.len()..];
    tokenizer.encode(after).ok()?.first().copied()
}
