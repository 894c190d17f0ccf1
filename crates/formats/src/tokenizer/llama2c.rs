//! `tokenizer.bin` of llama2.c: a SentencePiece vocabulary without types.
//!
//! `u32 longest`, then for each token until the end of the file `f32 score, u32 length, bytes`, little-endian. A space stands
//! for U+2581. The ids of begin (1), end (2) and of the bytes (3 and on) are built into the program that reads it.

use std::path::Path;

use super::to_json::SPACE;
use super::vocabulary::{Kind, SpecialTokens, TokenType, Vocabulary};
use crate::error::{FormatError, shown};

/// Largest file; that of a vocabulary of 256,000 pieces has 5 MB.
const LIMIT: usize = 64 << 20;

/// Longest token, in bytes.
const LONGEST: u32 = 4096;

const BOS: u32 = 1;
const EOS: u32 = 2;
const FIRST_BYTE: usize = 3;

/// How begin and end are written, so that no text merges into them.
const MARKS: [(&str, &str); 2] = [("\n<s>\n", "<s>"), ("\n</s>\n", "</s>")];

/// Whether `bytes` is a whole `tokenizer.bin`.
pub fn is_llama2c(bytes: &[u8]) -> bool {
    records(bytes, Path::new("")).is_ok_and(|tokens| !tokens.is_empty())
}

impl Vocabulary {
    /// The vocabulary of a `tokenizer.bin`; `path` is for messages.
    ///
    /// # Errors
    /// `Bad` (65) with the offset.
    pub fn from_llama2c(bytes: &[u8], path: &Path) -> Result<Vocabulary, FormatError> {
        let mut this = Vocabulary::empty(Kind::SentencePiece);
        for (id, (score, text)) in records(bytes, path)?.into_iter().enumerate() {
            let mark = MARKS.iter().find(|(written, _)| *written == text);
            let byte = id.checked_sub(FIRST_BYTE).filter(|byte| *byte < 256 && text == byte_name(*byte));
            this.types.push(match (mark, byte) {
                (Some(_), _) => TokenType::Control,
                (_, Some(_)) => TokenType::Byte,
                _ if id == 0 && text == "<unk>" => TokenType::Unknown,
                _ => TokenType::Normal,
            });
            this.tokens.push(mark.map_or_else(|| text.replace(' ', SPACE), |(_, name)| (*name).to_owned()));
            this.scores.push(score);
        }
        let id = |id: u32, kind: TokenType| Some(id).filter(|id| this.types.get(*id as usize) == Some(&kind));
        let (bos, eos) = (id(BOS, TokenType::Control), id(EOS, TokenType::Control));
        this.special = SpecialTokens { bos, eos, unk: id(0, TokenType::Unknown), ..SpecialTokens::default() };
        (this.add_bos, this.add_space_prefix) = (Some(true), Some(true));
        this.check(path)?;
        Ok(this)
    }

    /// The bytes of a `tokenizer.bin`, padding at the end included.
    ///
    /// # Errors
    /// `Inexpressible` (65) for byte-level BPE, or ids of begin, end and bytes other than those of the format.
    pub fn to_llama2c(&self) -> Result<Vec<u8>, FormatError> {
        let refuse = |found: String, why: &str| Err(FormatError::inexpressible("tokenizer", found, why));
        if self.kind != Kind::SentencePiece {
            return refuse("byte-level BPE".into(), "a tokenizer.bin holds a SentencePiece vocabulary");
        }
        if (self.special.bos, self.special.eos) != (Some(BOS), Some(EOS)) {
            let found = format!("begin {}, end {}", named(self.special.bos), named(self.special.eos));
            return refuse(found, "readers of a tokenizer.bin have 1 and 2 built in");
        }
        if let Some(byte) = (0..256).find(|byte| self.tokens.get(FIRST_BYTE + byte) != Some(&byte_name(*byte))) {
            let found = format!("{} as id {}", shown(self.tokens.get(FIRST_BYTE + byte).map_or("", |t| t)), FIRST_BYTE + byte);
            return refuse(found, "readers of a tokenizer.bin expect the bytes from id 3 on");
        }
        let written = |id: usize| match id as u32 {
            BOS => MARKS[0].0.to_owned(),
            EOS => MARKS[1].0.to_owned(),
            _ => self.tokens[id].replace(SPACE, " "),
        };
        let texts: Vec<String> = (0..self.tokens.len()).map(written).collect();
        let longest = texts.iter().map(String::len).max().unwrap_or(0);
        let mut out = (longest as u32).to_le_bytes().to_vec();
        for (text, score) in texts.iter().zip(&self.scores) {
            out.extend_from_slice(&score.to_le_bytes());
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        Ok(out)
    }
}

/// An id for people.
fn named(id: Option<u32>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| id.to_string())
}

fn byte_name(byte: usize) -> String {
    format!("<0x{byte:02X}>")
}

/// Scores and texts of all tokens.
fn records<'a>(bytes: &'a [u8], path: &Path) -> Result<Vec<(f32, &'a str)>, FormatError> {
    let bad = |at: usize, found: String, expected: &str| FormatError::bad(path, format!("offset {at}"), found, expected);
    if bytes.len() > LIMIT {
        return Err(bad(0, format!("{} bytes", bytes.len()), "a tokenizer.bin of at most 64 MiB"));
    }
    let (Some(longest), mut at) = (word(bytes, 0).map(u32::from_le_bytes), 4) else {
        return Err(bad(0, format!("{} bytes", bytes.len()), "the length of the longest token"));
    };
    if longest == 0 || longest > LONGEST {
        return Err(bad(0, longest.to_string(), "the length of the longest token, 1 to 4096"));
    }
    let mut all = Vec::new();
    while at < bytes.len() {
        let (Some(score), Some(len)) = (word(bytes, at).map(f32::from_le_bytes), word(bytes, at + 4).map(u32::from_le_bytes))
        else {
            return Err(bad(at, format!("{} bytes", bytes.len() - at), "a score and a length (8 bytes)"));
        };
        let text = &bytes[at + 8..];
        if len == 0 || len > longest || len as usize > text.len() {
            let expected = "1 or more, at most the longest token's, and within the file";
            return Err(bad(at + 4, format!("a token of {len} bytes ({} follow)", text.len()), expected));
        }
        let text = std::str::from_utf8(&text[..len as usize]);
        let text = text.map_err(|e| bad(at + 8 + e.valid_up_to(), "bytes that are not UTF-8".into(), "the text of a token"))?;
        if score.is_nan() {
            return Err(bad(at, "NaN".into(), "a score"));
        }
        all.push((score, text));
        at += 8 + len as usize;
    }
    Ok(all)
}

fn word(bytes: &[u8], at: usize) -> Option<[u8; 4]> {
    bytes.get(at..)?.first_chunk::<4>().copied()
}
