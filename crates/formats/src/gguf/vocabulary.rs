//! The `tokenizer.*` keys of a file, in and out.

use super::metadata::Metadata;
use super::value::{Array, Strings, Value};
use crate::error::{FormatError, shown};
use crate::tokenizer::{Kind, SpecialTokens, TokenType, Vocabulary};

const MODEL: &str = "tokenizer.ggml.model";
const TYPES: &str = "tokenizer.ggml.token_type";
const TEMPLATE: &str = "tokenizer.chat_template";
const TEMPLATES: &str = "tokenizer.chat_templates";

fn id_key(name: &str) -> String {
    format!("tokenizer.ggml.{name}_token_id")
}

impl Vocabulary {
    /// The tokenizer inside a GGUF file; `None` where it has none.
    ///
    /// # Errors
    /// `Unsupported` (65) for another kind than byte-level BPE and SentencePiece, `Bad` (65) with the key.
    pub fn from_gguf(meta: &Metadata) -> Result<Option<Vocabulary>, FormatError> {
        let Some(name) = meta.text(MODEL)?.filter(|name| !["none", "no_vocab"].contains(name)) else { return Ok(None) };
        let Some(kind) = Kind::from_gguf(name) else {
            let only = "gpt2 (byte-level BPE) and llama (SentencePiece) are";
            return Err(FormatError::unsupported(meta.path(), meta.at(MODEL), shown(name), only));
        };
        let texts = |key: &str| Ok::<_, FormatError>(meta.texts(key)?.map(|t| t.iter().map(str::to_owned).collect::<Vec<_>>()));
        let tokens = texts("tokenizer.ggml.tokens")?.unwrap_or_default();
        let text = |key: &str| Ok::<_, FormatError>(meta.text(key)?.map(str::to_owned));
        let this = Vocabulary {
            kind,
            scores: if kind == Kind::SentencePiece { scores(meta)? } else { Vec::new() },
            types: types(meta, tokens.len())?,
            merges: if kind == Kind::Bpe { texts("tokenizer.ggml.merges")?.unwrap_or_default() } else { Vec::new() },
            tokens,
            pre: text("tokenizer.ggml.pre")?,
            special: SpecialTokens {
                bos: meta.id(&id_key("bos"))?,
                eos: meta.id(&id_key("eos"))?,
                unk: meta.id(&id_key("unknown"))?,
                pad: meta.id(&id_key("padding"))?,
                eot: meta.id(&id_key("eot"))?,
                eom: meta.id(&id_key("eom"))?,
            },
            add_bos: meta.flag("tokenizer.ggml.add_bos_token")?,
            add_eos: meta.flag("tokenizer.ggml.add_eos_token")?,
            add_space_prefix: meta.flag("tokenizer.ggml.add_space_prefix")?,
            chat_template: text(TEMPLATE)?,
            chat_templates: templates(meta)?,
        };
        this.check(meta.path())?;
        Ok(Some(this))
    }

    /// Adds the `tokenizer.*` keys; one that is there already stays as it is.
    pub fn to_gguf(&self, meta: &mut Metadata) {
        let mut add = |key: &str, value: Value| _ = meta.insert(key, value);
        let text = |t: &str| Value::Text(t.to_owned());
        let texts = |list: &[String]| Value::List(Array::Text(list.iter().collect::<Strings>()));
        add(MODEL, text(self.kind.gguf()));
        if let Some(pre) = &self.pre {
            add("tokenizer.ggml.pre", text(pre));
        }
        add("tokenizer.ggml.tokens", texts(&self.tokens));
        if self.kind == Kind::SentencePiece {
            add("tokenizer.ggml.scores", Value::List(Array::F32(self.scores.clone())));
        }
        add(TYPES, Value::List(Array::I32(self.types.iter().map(|t| *t as i32).collect())));
        if self.kind == Kind::Bpe {
            add("tokenizer.ggml.merges", texts(&self.merges));
        }
        let s = self.special;
        let ids = [("bos", s.bos), ("eos", s.eos), ("unknown", s.unk), ("padding", s.pad), ("eot", s.eot), ("eom", s.eom)];
        for (name, id) in ids {
            id.into_iter().for_each(|id| add(&id_key(name), Value::U32(id)));
        }
        let flags = [
            ("tokenizer.ggml.add_bos_token", self.add_bos),
            ("tokenizer.ggml.add_eos_token", self.add_eos),
            ("tokenizer.ggml.add_space_prefix", self.add_space_prefix),
        ];
        for (key, flag) in flags {
            flag.into_iter().for_each(|flag| add(key, Value::Bool(flag)));
        }
        if let Some(template) = &self.chat_template {
            add(TEMPLATE, text(template));
        }
        if !self.chat_templates.is_empty() {
            let names: Vec<String> = self.chat_templates.iter().map(|(name, _)| name.clone()).collect();
            add(TEMPLATES, texts(&names));
        }
        for (name, template) in &self.chat_templates {
            add(&format!("{TEMPLATE}.{name}"), text(template));
        }
    }
}

fn scores(meta: &Metadata) -> Result<Vec<f32>, FormatError> {
    const KEY: &str = "tokenizer.ggml.scores";
    match meta.list(KEY)? {
        Some(Array::F32(scores)) => Ok(scores.clone()),
        Some(other) => Err(FormatError::bad(meta.path(), meta.at(KEY), other.to_string(), "a list of f32")),
        None => Ok(Vec::new()),
    }
}

/// A file without types has normal tokens only.
fn types(meta: &Metadata, tokens: usize) -> Result<Vec<TokenType>, FormatError> {
    let Some(list) = meta.list(TYPES)? else { return Ok(vec![TokenType::Normal; tokens]) };
    let one = |i: usize| {
        let number = list.get(i).and_then(|v| v.as_integer());
        let kind = number.and_then(|n| i64::try_from(n).ok()).and_then(TokenType::from_gguf);
        kind.ok_or_else(|| {
            let found = list.get(i).map_or_else(String::new, |v| v.to_string());
            FormatError::bad(meta.path(), format!("{}, item {i}", meta.at(TYPES)), found, "a token type, 1 to 6")
        })
    };
    (0..list.len()).map(one).collect()
}

/// The templates that have names.
fn templates(meta: &Metadata) -> Result<Vec<(String, String)>, FormatError> {
    let Some(names) = meta.texts(TEMPLATES)? else { return Ok(Vec::new()) };
    let mut out = Vec::with_capacity(names.len());
    for name in names.iter() {
        // a name without its template is a list that was not kept up
        if let Some(template) = meta.text(&format!("{TEMPLATE}.{name}"))? {
            out.push((name.to_owned(), template.to_owned()));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    #[test]
    fn a_vocabulary_comes_back_from_its_keys() {
        for kind in [Kind::Bpe, Kind::SentencePiece] {
            let mut vocabulary = Vocabulary::empty(kind);
            vocabulary.tokens = ["<s>", "a", "b", "ab"].map(String::from).to_vec();
            vocabulary.types = vec![TokenType::Control, TokenType::Normal, TokenType::Byte, TokenType::Unused];
            match kind {
                Kind::Bpe => vocabulary.merges = vec!["a b".into()],
                Kind::SentencePiece => vocabulary.scores = vec![0.0, -1.0, -2.5, -3.0],
            }
            vocabulary.pre = (kind == Kind::Bpe).then(|| "smollm".into());
            vocabulary.special = SpecialTokens { bos: Some(0), eos: Some(1), unk: None, pad: Some(2), eot: Some(3), eom: None };
            (vocabulary.add_bos, vocabulary.add_space_prefix) = (Some(true), Some(false));
            vocabulary.chat_template = Some("{{ x }}".into());
            vocabulary.chat_templates = vec![("tool".into(), "{{ y }}".into())];
            let mut meta = Metadata::new(Path::new("m.gguf"));
            vocabulary.to_gguf(&mut meta);
            assert_eq!(Vocabulary::from_gguf(&meta).unwrap(), Some(vocabulary));
        }
    }

    #[test]
    fn other_kinds_and_lists_that_do_not_fit_are_named() {
        let mut meta = Metadata::new(Path::new("m.gguf"));
        assert_eq!(Vocabulary::from_gguf(&meta).unwrap(), None);
        assert!(meta.insert(MODEL, Value::Text("bert".into())));
        assert!(Vocabulary::from_gguf(&meta).unwrap_err().to_string().contains("`bert`"));
        let mut meta = Metadata::new(Path::new("m.gguf"));
        assert!(meta.insert(MODEL, Value::Text("gpt2".into())));
        assert_eq!(Vocabulary::from_gguf(&meta).unwrap_err().exit_code(), 65, "no tokens");
        assert!(meta.insert("tokenizer.ggml.tokens", Value::List(Array::Text(["a"].into_iter().collect()))));
        assert!(meta.insert(TYPES, Value::List(Array::I32(vec![9]))));
        assert!(Vocabulary::from_gguf(&meta).unwrap_err().to_string().contains("item 0"));
    }
}
