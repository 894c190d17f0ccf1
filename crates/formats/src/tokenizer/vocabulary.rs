//! [`Vocabulary`]: tokens, their types, and the rules that join characters to tokens.

use std::path::Path;

use crate::error::{FormatError, shown};

/// Most tokens of a vocabulary: what fits the ids of token files.
const MOST: usize = 1 << 24;

/// How text becomes tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Byte-level BPE: words by a regular expression, bytes as printable characters, ranked merges. `gpt2` in GGUF.
    Bpe,
    /// SentencePiece's BPE: spaces as U+2581, joins by the score of the result, bytes `<0xNN>` for what has no piece.
    /// `llama` in GGUF.
    SentencePiece,
}

impl Kind {
    /// The value of `tokenizer.ggml.model`.
    pub fn gguf(self) -> &'static str {
        match self {
            Kind::Bpe => "gpt2",
            Kind::SentencePiece => "llama",
        }
    }

    /// The kind that `tokenizer.ggml.model` names, if it is one that is known here.
    pub fn from_gguf(name: &str) -> Option<Kind> {
        [Kind::Bpe, Kind::SentencePiece].into_iter().find(|kind| kind.gguf() == name)
    }
}

/// What a token is for; the numbers are those of `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// A piece of text.
    Normal = 1,
    /// Stands for what cannot be said.
    Unknown = 2,
    /// Has a meaning of its own and no text: begin, end, turns.
    Control = 3,
    /// A text that is always one token, whatever stands around it.
    UserDefined = 4,
    /// Never made from text; also padding of the vocabulary.
    Unused = 5,
    /// One byte, `<0xNN>`.
    Byte = 6,
}

impl TokenType {
    /// The type of a number in `tokenizer.ggml.token_type`.
    pub fn from_gguf(number: i64) -> Option<TokenType> {
        use TokenType as T;
        [T::Normal, T::Unknown, T::Control, T::UserDefined, T::Unused, T::Byte].into_iter().find(|t| *t as i64 == number)
    }
}

/// Ids with a meaning: `tokenizer.ggml.{bos,eos,unknown,padding,eot,eom}_token_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<u32>,
    /// Ends a text.
    pub eos: Option<u32>,
    /// Stands for what cannot be said.
    pub unk: Option<u32>,
    /// Fills a batch.
    pub pad: Option<u32>,
    /// Ends a turn of a conversation.
    pub eot: Option<u32>,
    /// Ends a message of a conversation whose turn goes on.
    pub eom: Option<u32>,
}

/// A tokenizer as GGUF and llama2.c files hold it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    /// `tokenizer.ggml.model`
    pub kind: Kind,
    /// `tokenizer.ggml.tokens`; the index is the id. In the alphabet of the kind: a space is `Ġ` or U+2581.
    pub tokens: Vec<String>,
    /// `tokenizer.ggml.scores`; one for each token of a SentencePiece vocabulary, empty for BPE.
    pub scores: Vec<f32>,
    /// `tokenizer.ggml.token_type`; one for each token.
    pub types: Vec<TokenType>,
    /// `tokenizer.ggml.merges`, left and right half joined by one space, the first applied first; empty for SentencePiece.
    pub merges: Vec<String>,
    /// `tokenizer.ggml.pre`: which regular expression cuts text into words. BPE only.
    pub pre: Option<String>,
    /// `tokenizer.ggml.*_token_id`
    pub special: SpecialTokens,
    /// `tokenizer.ggml.add_bos_token`; `None` leaves it to the kind.
    pub add_bos: Option<bool>,
    /// `tokenizer.ggml.add_eos_token`
    pub add_eos: Option<bool>,
    /// `tokenizer.ggml.add_space_prefix`; `None` is true. SentencePiece only.
    pub add_space_prefix: Option<bool>,
    /// `tokenizer.chat_template`
    pub chat_template: Option<String>,
    /// `tokenizer.chat_template.NAME`, in the order of `tokenizer.chat_templates`.
    pub chat_templates: Vec<(String, String)>,
}

impl Vocabulary {
    /// A vocabulary of `kind` without tokens, which leaves everything open.
    pub fn empty(kind: Kind) -> Vocabulary {
        Vocabulary {
            kind,
            tokens: Vec::new(),
            scores: Vec::new(),
            types: Vec::new(),
            merges: Vec::new(),
            pre: None,
            special: SpecialTokens::default(),
            add_bos: None,
            add_eos: None,
            add_space_prefix: None,
            chat_template: None,
            chat_templates: Vec::new(),
        }
    }

    /// Checks that lists have one entry a token, scores are numbers and special ids in range. Readers call it at the door;
    /// `path` is for messages.
    ///
    /// # Errors
    /// `Bad` (65) with the key and the token.
    pub fn check(&self, path: &Path) -> Result<(), FormatError> {
        let n = self.tokens.len();
        if n == 0 || n > MOST {
            return Err(FormatError::bad(path, "tokens", format!("{n} tokens"), format!("1 to {MOST}")));
        }
        let scores = if self.kind == Kind::SentencePiece { n } else { 0 };
        for (name, len, expected) in [("token types", self.types.len(), n), ("scores", self.scores.len(), scores)] {
            if len != expected {
                return Err(FormatError::bad(path, name, format!("{len} entries"), format!("{expected} for {n} tokens")));
            }
        }
        if let Some(at) = self.scores.iter().position(|s| s.is_nan()) {
            return Err(FormatError::bad(path, format!("score of token {at}"), "NaN", "a number"));
        }
        self.check_special(path)
    }

    fn check_special(&self, path: &Path) -> Result<(), FormatError> {
        let s = self.special;
        let ids = [("bos", s.bos), ("eos", s.eos), ("unknown", s.unk), ("padding", s.pad), ("eot", s.eot), ("eom", s.eom)];
        for (name, id) in ids {
            if let Some(id) = id.filter(|id| *id as usize >= self.tokens.len()) {
                let expected = format!("an id below {}", self.tokens.len());
                return Err(FormatError::bad(path, format!("{name} token"), format!("id {id}"), expected));
            }
        }
        Ok(())
    }

    /// Fits the vocabulary to the `rows` of an embedding: a shorter one is filled up with unused tokens `[PADn]`, as the
    /// rows of an embedding are often padded to a round number.
    ///
    /// # Errors
    /// `Bad` (65) when there are more tokens than rows.
    pub fn pad_to(&mut self, rows: usize, path: &Path) -> Result<(), FormatError> {
        if self.tokens.len() > rows {
            let found = format!("{} tokens, the last {}", self.tokens.len(), shown(self.tokens.last().map_or("", |t| t)));
            return Err(FormatError::bad(path, "tokens", found, format!("at most the {rows} rows of the embedding")));
        }
        for id in self.tokens.len()..rows {
            self.tokens.push(padding(id));
            self.types.push(TokenType::Unused);
            if self.kind == Kind::SentencePiece {
                self.scores.push(PAD_SCORE);
            }
        }
        Ok(())
    }

    /// Tokens without the padding at the end.
    pub fn used(&self) -> usize {
        let is_padding = |id: usize| self.types.get(id) == Some(&TokenType::Unused) && self.tokens[id] == padding(id);
        (0..self.tokens.len()).rev().find(|id| !is_padding(*id)).map_or(0, |last| last + 1)
    }
}

/// The score of tokens that no join makes.
pub(super) const PAD_SCORE: f32 = -1000.0;

pub(super) fn padding(id: usize) -> String {
    format!("[PAD{id}]")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn two() -> Vocabulary {
        Vocabulary {
            tokens: vec!["a".into(), "b".into()],
            types: vec![TokenType::Normal; 2],
            pre: Some("gpt-2".into()),
            ..Vocabulary::empty(Kind::Bpe)
        }
    }

    #[test]
    fn lists_and_ids_are_checked() {
        let path = Path::new("m.gguf");
        two().check(path).unwrap();
        type Spoil = fn(&mut Vocabulary);
        let wrong: [(&str, Spoil); 5] = [
            ("tokens", |v| v.tokens.clear()),
            ("token types", |v| v.types.clear()),
            ("scores", |v| v.kind = Kind::SentencePiece),
            ("score of token 1", |v| (v.kind, v.scores) = (Kind::SentencePiece, vec![0.0, f32::NAN])),
            ("eos token", |v| v.special.eos = Some(2)),
        ];
        for (expected, spoil) in wrong {
            let mut vocabulary = two();
            spoil(&mut vocabulary);
            let error = vocabulary.check(path).unwrap_err();
            assert!(error.exit_code() == 65 && error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn padding_fills_an_embedding_and_is_told_from_tokens() {
        let path = Path::new("m.gguf");
        let mut vocabulary = two();
        vocabulary.pad_to(5, path).unwrap();
        assert_eq!((vocabulary.tokens[4].as_str(), vocabulary.types[4], vocabulary.used()), ("[PAD4]", TokenType::Unused, 2));
        vocabulary.check(path).unwrap();
        assert_eq!(vocabulary.pad_to(4, path).unwrap_err().exit_code(), 65);
    }
}
