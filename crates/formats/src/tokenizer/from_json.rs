//! [`Vocabulary::from_json`]: what a `tokenizer.json` says, in the terms of GGUF.
//!
//! A file that asks for something that the common form cannot say (another model, another normalizer, an expression that is
//! not known) is refused by name: a guess would give other ids.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::merges;
use super::pre;
use super::to_json::SPACE;
use super::vocabulary::{Kind, SpecialTokens, TokenType, Vocabulary, padding};
use crate::error::{FormatError, shown};
use crate::json::{self, Keys, kind};

/// Ids that may be missing in a file with as many tokens again.
const HOLES: usize = 1 << 16;

/// Names of tokens that end a turn, and a message whose turn goes on.
const END_OF_TURN: [&str; 5] = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<EOT>"];
const END_OF_MESSAGE: &str = "<|eom_id|>";

impl Vocabulary {
    /// The vocabulary of a `tokenizer.json` and the `tokenizer_config.json` beside it. `path` is for messages.
    ///
    /// # Errors
    /// `Bad` (65) for what is no tokenizer, `Unsupported` and `Inexpressible` (65) for one that this form cannot say.
    pub fn from_json(tokenizer: &[u8], config: Option<&[u8]>, path: &Path) -> Result<Vocabulary, FormatError> {
        let map = json::parse_object(path, tokenizer)?;
        let beside = path.with_file_name("tokenizer_config.json");
        let config = config.map(|bytes| json::parse_object(&beside, bytes)).transpose()?.unwrap_or_default();
        let keys = Keys { path, within: "", map: &map };
        let Some(model) = keys.object("model")? else {
            return Err(FormatError::bad(path, keys.at("model"), "nothing", "a tokenizer's model"));
        };
        let mut this = words(&keys, &model)?;
        this.read_tokens(&keys, &model)?;
        this.read_special(&keys, &Keys { path: &beside, within: "", map: &config })?;
        let pairs = this.pairs(&keys, &model)?;
        match this.kind {
            Kind::Bpe => {
                let text = |id: u32| this.tokens[id as usize].as_str();
                this.merges = pairs.iter().map(|(left, right)| format!("{} {}", text(*left), text(*right))).collect();
            }
            Kind::SentencePiece => merges::to_scores(&mut this, &pairs, path)?,
        }
        this.check(path)?;
        Ok(this)
    }

    fn read_tokens(&mut self, keys: &Keys, model: &Keys) -> Result<(), FormatError> {
        let Some(vocab) = model.object("vocab")? else {
            return Err(FormatError::bad(keys.path, "key `model.vocab`", "nothing", "an object of tokens to ids"));
        };
        let added = keys.list("added_tokens")?.unwrap_or(&[]);
        let most = 2 * (vocab.map.len() + added.len()) + HOLES;
        let id_of = |at: String, value: &Value| match value.as_u64() {
            Some(id) if id < most as u64 => Ok(id as usize),
            _ => Err(FormatError::bad(keys.path, at, kind(value), format!("an id below {most}"))),
        };
        for (text, id) in vocab.map {
            self.put(id_of(format!("id of {}", shown(text)), id)?, text, TokenType::Normal, keys.path)?;
        }
        if self.kind == Kind::SentencePiece {
            self.mark_bytes();
        }
        for token in added {
            let Some(text) = token["content"].as_str() else {
                return Err(FormatError::bad(keys.path, "key `added_tokens`", kind(&token["content"]), "a text as `content`"));
            };
            let id = id_of(format!("id of the added token {}", shown(text)), &token["id"])?;
            if let Some(flag) = ["lstrip", "rstrip", "single_word"].iter().find(|flag| token[**flag] == true) {
                let why = format!("`{flag}` of an added token has no place in this format");
                return Err(FormatError::inexpressible("tokenizer", format!("the token {}", shown(text)), why));
            }
            let unknown = model.map.get("unk_token").and_then(Value::as_str) == Some(text);
            let special = token["special"] == true || looks_special(text);
            let class = match special {
                true if unknown => TokenType::Unknown,
                true => TokenType::Control,
                false => TokenType::UserDefined,
            };
            self.put(id, text, class, keys.path)?;
        }
        for id in 0..self.tokens.len() {
            if self.tokens[id].is_empty() && self.types[id] == TokenType::Unused {
                self.tokens[id] = padding(id);
            }
        }
        Ok(())
    }

    /// Puts a token in its place; an added token replaces the entry of the same name in the model's vocabulary.
    fn put(&mut self, id: usize, text: &str, class: TokenType, path: &Path) -> Result<(), FormatError> {
        if id >= self.tokens.len() {
            self.tokens.resize(id + 1, String::new());
            self.types.resize(id + 1, TokenType::Unused);
        }
        if self.types[id] != TokenType::Unused && self.tokens[id] != text {
            let found = format!("{} and {}", shown(&self.tokens[id]), shown(text));
            return Err(FormatError::bad(path, format!("id {id}"), found, "one token an id"));
        }
        self.tokens[id] = text.to_owned();
        self.types[id] = class;
        Ok(())
    }

    fn mark_bytes(&mut self) {
        for byte in 0..=255u8 {
            let name = format!("<0x{byte:02X}>");
            if let Some(id) = self.tokens.iter().position(|t| *t == name) {
                self.types[id] = TokenType::Byte;
            }
        }
    }

    /// Ids with a meaning, what is put around a text, and templates.
    fn read_special(&mut self, keys: &Keys, config: &Keys) -> Result<(), FormatError> {
        let ids: HashMap<&str, u32> = self.tokens.iter().zip(0u32..).map(|(text, id)| (text.as_str(), id)).collect();
        let named = |key: &str| -> Result<Option<u32>, FormatError> {
            let Some(value) = config.value(key) else { return Ok(None) };
            let Some(text) = value.as_str().or_else(|| value["content"].as_str()) else {
                return Err(FormatError::bad(config.path, config.at(key), kind(value), "the text of a token"));
            };
            // an unknown token that the vocabulary does not have means that there is none
            Ok(ids.get(text).copied())
        };
        let first = template(keys.map, "SpecialToken", true).and_then(|name| ids.get(name).copied());
        let last = template(keys.map, "SpecialToken", false).and_then(|name| ids.get(name).copied());
        let control = |name: &str| ids.get(name).copied().filter(|id| self.types[*id as usize] == TokenType::Control);
        let unk = keys.map["model"]["unk_token"].as_str().and_then(|name| ids.get(name).copied());
        let (bos, eos) = (named("bos_token")?.or(first), named("eos_token")?.or(last));
        let special = SpecialTokens {
            bos,
            eos,
            unk: named("unk_token")?.or(unk),
            pad: named("pad_token")?,
            eot: END_OF_TURN.iter().find_map(|name| control(name)),
            eom: control(END_OF_MESSAGE),
        };
        // classes of Llama put these around a text themselves, whatever the template says
        let own = config.text("tokenizer_class")?.is_some_and(|class| class.starts_with("Llama"));
        let flag = |key: &str| config.flag(key).map(|flag| flag.filter(|_| own));
        let (add_bos, add_eos) = (flag("add_bos_token")?, flag("add_eos_token")?);
        self.special = special;
        self.add_bos = Some(add_bos.unwrap_or(first.is_some() && first == bos));
        self.add_eos = Some(add_eos.unwrap_or(last.is_some() && last == eos));
        self.read_templates(config)
    }

    fn read_templates(&mut self, config: &Keys) -> Result<(), FormatError> {
        let bad = |value: &Value| {
            let expected = "a text, or a list of objects with `name` and `template`";
            FormatError::bad(config.path, config.at("chat_template"), kind(value), expected)
        };
        match config.value("chat_template") {
            None => {}
            Some(Value::String(text)) => self.chat_template = Some(text.clone()),
            Some(Value::Array(all)) => {
                for entry in all {
                    let (Some(name), Some(text)) = (entry["name"].as_str(), entry["template"].as_str()) else {
                        return Err(bad(entry));
                    };
                    match name {
                        "default" => self.chat_template = Some(text.to_owned()),
                        _ => self.chat_templates.push((name.to_owned(), text.to_owned())),
                    }
                }
            }
            Some(other) => return Err(bad(other)),
        }
        Ok(())
    }

    /// Merges as ids, in either of their two spellings.
    fn pairs(&self, keys: &Keys, model: &Keys) -> Result<Vec<(u32, u32)>, FormatError> {
        let ids: HashMap<&str, u32> = self.tokens.iter().zip(0u32..).map(|(text, id)| (text.as_str(), id)).collect();
        let merges = model.list("merges")?.unwrap_or(&[]);
        let mut pairs = Vec::with_capacity(merges.len());
        for (i, merge) in merges.iter().enumerate() {
            let halves = match merge {
                Value::String(text) => text.split_once(' '),
                Value::Array(two) if two.len() == 2 => two[0].as_str().zip(two[1].as_str()),
                _ => None,
            };
            let found = halves.and_then(|(left, right)| {
                let id = |text: &str| ids.get(text).copied();
                id(&format!("{left}{right}")).and(id(left).zip(id(right)))
            });
            pairs.push(found.ok_or_else(|| {
                let expected = "two tokens (\"a b\" or [\"a\", \"b\"]) that make a third";
                FormatError::bad(keys.path, format!("merge {i}"), shown(&merge.to_string()), expected)
            })?);
        }
        Ok(pairs)
    }
}

/// Tokens that are written like special ones although the file does not mark them.
fn looks_special(text: &str) -> bool {
    let within =
        |open: &str, close: &str| text.len() > open.len() + close.len() && text.starts_with(open) && text.ends_with(close);
    within("<|", "|>") || within("<\u{FF5C}", "\u{FF5C}>")
}

/// The first (or last) piece of the template around a single text, if it is a special token.
fn template<'a>(map: &'a Map<String, Value>, what: &str, first: bool) -> Option<&'a str> {
    let processor = map.get("post_processor")?;
    let mut all: Vec<&Value> = processor["processors"].as_array().into_iter().flatten().collect();
    all.push(processor);
    let pieces = all.into_iter().find(|p| p["type"] == "TemplateProcessing")?["single"].as_array()?;
    let piece = if first { pieces.first() } else { pieces.last() };
    piece?[what]["id"].as_str()
}

/// An empty vocabulary of the right kind: how the file cuts and normalises text must be one of the known ways.
fn words(keys: &Keys, model: &Keys) -> Result<Vocabulary, FormatError> {
    let refuse = |at: &str, value: &Value| {
        let supported = "known are byte-level BPE and SentencePiece-style BPE, as Llama, Mistral, Qwen and SmolLM have them";
        FormatError::unsupported(keys.path, format!("key `{at}`"), shown(&value.to_string()), supported)
    };
    let null = Value::Null;
    let get = |map: &'_ Map<String, Value>, key: &str| map.get(key).unwrap_or(&null).clone();
    let class = get(model.map, "type");
    if !(class == "BPE" || class.is_null() && model.map.contains_key("merges")) {
        return Err(refuse("model.type", &class));
    }
    for key in ["dropout", "continuing_subword_prefix", "end_of_word_suffix"] {
        let value = get(model.map, key);
        if !(value.is_null() || value == "" || value == 0.0) {
            return Err(refuse(&format!("model.{key}"), &value));
        }
    }
    let (normalizer, cutter) = (get(keys.map, "normalizer"), get(keys.map, "pre_tokenizer"));
    let mut this = Vocabulary::empty(Kind::Bpe);
    if get(model.map, "byte_fallback") == true || get(keys.map, "decoder").to_string().contains(SPACE) {
        this.kind = Kind::SentencePiece;
        this.add_space_prefix = Some(space_prefix(&normalizer, &cutter).map_err(|at| refuse(at, &get(keys.map, at)))?);
        return Ok(this);
    }
    let parts = flat(&normalizer, "normalizers");
    let composed = match parts.as_slice() {
        [] => false,
        [one] if one["type"] == "NFC" => true,
        _ => return Err(refuse("normalizer", &normalizer)),
    };
    let ignore_merges = get(model.map, "ignore_merges") == true;
    let pre = pre::recognise(&cutter, composed, ignore_merges).ok_or_else(|| {
        let found = format!("the pre-tokenizer {}", shown(&cutter.to_string()));
        let known = format!("known are those of {}", pre::names());
        FormatError::unsupported(keys.path, "key `pre_tokenizer`", found, known)
    })?;
    this.pre = Some(pre.names[0].to_owned());
    Ok(this)
}

/// Whether a space is put before a text; the key that is not known, where it is not.
fn space_prefix(normalizer: &Value, cutter: &Value) -> Result<bool, &'static str> {
    let parts = flat(normalizer, "normalizers");
    let prepend = |v: &Value| v["type"] == "Prepend" && v["prepend"] == SPACE;
    let replace = |v: &Value| v["type"] == "Replace" && v["pattern"]["String"] == " " && v["content"] == SPACE;
    match (parts.as_slice(), cutter["type"].as_str()) {
        ([a, b], None) if prepend(a) && replace(b) => Ok(true),
        ([a], None) if replace(a) => Ok(false),
        ([], Some("Metaspace")) if cutter["replacement"] == SPACE && cutter["split"] == false => {
            match cutter["prepend_scheme"].as_str() {
                Some("first" | "always") => Ok(true),
                Some("never") => Ok(false),
                _ => Err("pre_tokenizer"),
            }
        }
        ([], _) => Err("pre_tokenizer"),
        _ => Err("normalizer"),
    }
}

/// The steps of a `Sequence`, or the one step that stands alone, or none.
fn flat<'a>(value: &'a Value, list: &str) -> Vec<&'a Value> {
    match value[list].as_array() {
        Some(parts) if value["type"] == "Sequence" => parts.iter().collect(),
        _ if value.is_null() => Vec::new(),
        _ => vec![value],
    }
}
