//! [`Vocabulary::to_json`]: the `tokenizer.json` and `tokenizer_config.json` that give the ids of a vocabulary.
//!
//! Layout: `tokenizers` 0.23 (`normalizer`, `pre_tokenizer`, `model`, `post_processor`, `decoder`, `added_tokens`). A
//! SentencePiece vocabulary becomes what transformers' converter of Llama makes of it.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::merges;
use super::pre::{self, Pre};
use super::vocabulary::{Kind, TokenType, Vocabulary};
use crate::error::{FormatError, shown};

/// U+2581, which stands for a space in SentencePiece vocabularies.
pub(super) const SPACE: &str = "\u{2581}";

/// The two files of a Hugging Face tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFiles {
    /// `tokenizer.json`
    pub tokenizer: Vec<u8>,
    /// `tokenizer_config.json`
    pub config: Vec<u8>,
}

impl Vocabulary {
    /// The files of a Hugging Face tokenizer that gives the same ids. Padding at the end of the vocabulary is left out.
    ///
    /// # Errors
    /// `Unsupported` (65) for a `pre` that is not known here, `Bad` (65) for a token that occurs twice, a merge of tokens
    /// that are not there, or pieces that are no SentencePiece vocabulary. `path` is for messages.
    pub fn to_json(&self, path: &Path) -> Result<TokenizerFiles, FormatError> {
        self.check(path)?;
        let ids = self.ids(path)?;
        let tree = match self.kind {
            Kind::Bpe => self.bpe(&ids, path)?,
            Kind::SentencePiece => self.sentencepiece(&ids, path)?,
        };
        Ok(TokenizerFiles { tokenizer: tree.to_string().into_bytes(), config: self.config().to_string().into_bytes() })
    }

    /// Whether a begin token stands before a text: what the file says, else what its kind does.
    pub fn adds_bos(&self) -> bool {
        let kind = match self.kind {
            Kind::SentencePiece => true,
            Kind::Bpe => self.pre.as_deref().and_then(pre::find).is_some_and(|pre| pre.adds_bos),
        };
        self.add_bos.unwrap_or(kind)
    }

    fn ids(&self, path: &Path) -> Result<HashMap<&str, u32>, FormatError> {
        let mut ids = HashMap::with_capacity(self.used());
        for (id, text) in self.tokens[..self.used()].iter().enumerate() {
            if let Some(first) = ids.insert(text.as_str(), id as u32) {
                let found = format!("{}, which token {first} is already", shown(text));
                return Err(FormatError::bad(path, format!("token {id}"), found, "every token once"));
            }
        }
        Ok(ids)
    }

    fn bpe(&self, ids: &HashMap<&str, u32>, path: &Path) -> Result<Value, FormatError> {
        let pre = self.known_pre(path)?;
        let mut pairs = Vec::with_capacity(self.merges.len());
        for (i, merge) in self.merges.iter().enumerate() {
            pairs.push(pair(merge, ids).ok_or_else(|| {
                let expected = "two tokens, joined by a space, that make a third";
                FormatError::bad(path, format!("merge {i}"), shown(merge), expected)
            })?);
        }
        let model = self.model(&pairs, pre.ignore_merges);
        let normalizer = if pre.composed { json!({ "type": "NFC" }) } else { Value::Null };
        Ok(self.tree(normalizer, pre.json(), model, pre::byte_level(true)))
    }

    fn known_pre(&self, path: &Path) -> Result<&'static Pre, FormatError> {
        // a file without the key is older than it, and llama.cpp then cuts as this name says
        let name = self.pre.as_deref().unwrap_or("default");
        pre::find(name).ok_or_else(|| {
            let known = format!("known are {}", pre::names());
            FormatError::unsupported(path, "key `tokenizer.ggml.pre`", format!("the pre-tokenizer {}", shown(name)), known)
        })
    }

    fn sentencepiece(&self, ids: &HashMap<&str, u32>, path: &Path) -> Result<Value, FormatError> {
        let ranked = merges::from_scores(self, path)?;
        let text = |id: u32| self.tokens[id as usize].as_str();
        let pairs: Vec<(&str, &str)> = ranked.into_iter().map(|(left, right)| (text(left), text(right))).collect();
        let mut model = self.model(&pairs, false);
        let unk = self.special.unk.or_else(|| self.first_of(TokenType::Unknown)).or_else(|| ids.get("<unk>").copied());
        model["unk_token"] = json!(unk.map(text));
        model["fuse_unk"] = json!(true);
        model["byte_fallback"] = json!(self.types.contains(&TokenType::Byte));
        let replace = json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE });
        let back = json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " });
        let (mut normalizers, mut decoders) = (vec![], vec![back, json!({ "type": "ByteFallback" }), json!({ "type": "Fuse" })]);
        if self.add_space_prefix.unwrap_or(true) {
            normalizers.push(json!({ "type": "Prepend", "prepend": SPACE }));
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        normalizers.push(replace);
        let normalizer = json!({ "type": "Sequence", "normalizers": normalizers });
        Ok(self.tree(normalizer, Value::Null, model, json!({ "type": "Sequence", "decoders": decoders })))
    }

    fn first_of(&self, kind: TokenType) -> Option<u32> {
        self.types.iter().position(|t| *t == kind).map(|id| id as u32)
    }

    fn model(&self, merges: &[(&str, &str)], ignore_merges: bool) -> Value {
        let vocab: Map<String, Value> =
            self.tokens[..self.used()].iter().zip(0u32..).map(|(t, id)| (t.clone(), id.into())).collect();
        // the older way of writing merges, which every version reads, cannot say a token with a space
        let spaced = merges.iter().any(|(left, right)| left.contains(' ') || right.contains(' '));
        let merge = |(left, right): &(&str, &str)| if spaced { json!([left, right]) } else { json!(format!("{left} {right}")) };
        json!({
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": ignore_merges,
            "vocab": vocab,
            "merges": merges.iter().map(merge).collect::<Vec<_>>(),
        })
    }

    fn tree(&self, normalizer: Value, pre_tokenizer: Value, model: Value, decoder: Value) -> Value {
        json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": self.added(),
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": self.post_processor(),
            "decoder": decoder,
            "model": model,
        })
    }

    /// Tokens that are found in text before it is cut into words.
    fn added(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for (id, kind) in self.types[..self.used()].iter().enumerate() {
            let special = matches!(kind, TokenType::Control | TokenType::Unknown);
            if special || *kind == TokenType::UserDefined {
                all.push(json!({
                    "id": id,
                    "content": self.tokens[id],
                    "single_word": false,
                    "lstrip": false,
                    "rstrip": false,
                    "normalized": false,
                    "special": special,
                }));
            }
        }
        all
    }

    /// The template that puts begin and end around a text, where the vocabulary asks for it.
    fn post_processor(&self) -> Value {
        let bos = self.special.bos.filter(|_| self.adds_bos());
        let eos = self.special.eos.filter(|_| self.add_eos == Some(true));
        if bos.is_none() && eos.is_none() {
            return Value::Null;
        }
        let name = |id: u32| self.tokens[id as usize].clone();
        let token = |id: Option<u32>, part: u32| id.map(|id| json!({ "SpecialToken": { "id": name(id), "type_id": part } }));
        let text = |name: &str, part: u32| Some(json!({ "Sequence": { "id": name, "type_id": part } }));
        let part = |text_name: &str, part: u32| [token(bos, part), text(text_name, part), token(eos, part)];
        let single: Vec<Value> = part("A", 0).into_iter().flatten().collect();
        let pair: Vec<Value> = part("A", 0).into_iter().chain(part("B", 1)).flatten().collect();
        let entry = |id: u32| (name(id), json!({ "id": name(id), "ids": [id], "tokens": [name(id)] }));
        let specials: Map<String, Value> = bos.into_iter().chain(eos).map(entry).collect();
        json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials })
    }

    fn config(&self) -> Value {
        let mut map = Map::new();
        let s = self.special;
        for (key, id) in [("bos_token", s.bos), ("eos_token", s.eos), ("unk_token", s.unk), ("pad_token", s.pad)] {
            map.insert(key.into(), json!(id.map(|id| &self.tokens[id as usize])));
        }
        map.insert("add_bos_token".into(), json!(self.adds_bos()));
        map.insert("add_eos_token".into(), json!(self.add_eos == Some(true)));
        if self.kind == Kind::SentencePiece {
            map.insert("add_prefix_space".into(), json!(self.add_space_prefix.unwrap_or(true)));
        }
        map.insert("clean_up_tokenization_spaces".into(), json!(false));
        map.insert("model_max_length".into(), json!(1_000_000_000u64));
        map.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
        if let Some(template) = self.template_json() {
            map.insert("chat_template".into(), template);
        }
        Value::Object(map)
    }

    fn template_json(&self) -> Option<Value> {
        if self.chat_templates.is_empty() {
            return self.chat_template.as_ref().map(|t| json!(t));
        }
        let default = self.chat_template.iter().map(|t| ("default", t));
        let named = self.chat_templates.iter().filter(|(name, _)| name != "default").map(|(n, t)| (n.as_str(), t));
        let all = default.chain(named).map(|(name, template)| json!({ "name": name, "template": template }));
        Some(Value::Array(all.collect()))
    }
}

/// The halves of a merge. Tokens of byte-level BPE hold no space, so the first one parts them.
fn pair<'a>(merge: &'a str, ids: &HashMap<&str, u32>) -> Option<(&'a str, &'a str)> {
    let (left, right) = merge.split_once(' ')?;
    let known = |text: &str| ids.contains_key(text);
    (known(left) && known(right) && known(&format!("{left}{right}"))).then_some((left, right))
}
