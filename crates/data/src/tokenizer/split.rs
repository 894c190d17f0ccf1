//! GPT-2's word splitting by hand, for the text it can decide exactly.
//!
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`, optionally after splitting off each
//! digit. A text with a character whose class is not certain here, or with the name of an added token, is left to the
//! library; so the result is always the library's, only an order of magnitude sooner because words repeat.

use serde_json::Value;

#[derive(Clone, Copy, PartialEq, Debug)]
enum Class {
    Letter,
    Digit,
    Space,
    Other,
    Unsure,
}

/// How a tokenizer splits text into words.
#[derive(Debug)]
pub(super) struct Split {
    digits: bool,
    added: Vec<String>,
    /// Bytes that may begin an added token.
    suspect: [bool; 256],
}

impl Split {
    /// `None` when the tokenizer splits in a way that is not known here.
    pub(super) fn detect(inner: &tokenizers::Tokenizer, tree: &Value) -> Option<Self> {
        let plain = tree["normalizer"].is_null() && tree["model"]["type"] == "BPE" && tree["model"]["dropout"].is_null();
        let pre = &tree["pre_tokenizer"];
        let byte_level = |v: &Value| v["type"] == "ByteLevel" && v["add_prefix_space"] == false && v["use_regex"] != false;
        let digits = if byte_level(pre) {
            false
        } else {
            let parts = pre["pretokenizers"].as_array().filter(|_| pre["type"] == "Sequence")?;
            let is_digits = |v: &Value| v["type"] == "Digits" && v["individual_digits"] == true;
            (parts.len() == 2 && is_digits(&parts[0]) && byte_level(&parts[1])).then_some(true)?
        };
        let added: Vec<String> = inner.get_added_tokens_decoder().values().map(|t| t.content.clone()).collect();
        plain.then(|| Self::new(digits, added))
    }

    pub(super) fn new(digits: bool, added: Vec<String>) -> Self {
        let mut suspect = [false; 256];
        for byte in added.iter().filter_map(|t| t.bytes().next()) {
            suspect[byte as usize] = true;
        }
        Self { digits, added, suspect }
    }

    /// True when [`Split::words`] may be asked about `text`.
    pub(super) fn decides(&self, text: &str) -> bool {
        let suspicious = text.bytes().any(|b| self.suspect[b as usize]);
        let named = suspicious && self.added.iter().any(|token| text.contains(token.as_str()));
        let certain = |c: char| class(c) != Class::Unsure;
        !named && (text.is_ascii() && text.bytes().all(|b| certain(b as char)) || text.chars().all(certain))
    }

    /// Calls `f` with each word of `text`, in order; [`Split::decides`] must hold.
    pub(super) fn words<'t>(&self, text: &'t str, mut f: impl FnMut(&'t str)) {
        if !self.digits {
            return words(text, &mut f);
        }
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|b| b.is_ascii_digit()) {
            words(&rest[..at], &mut f);
            f(&rest[at..=at]);
            rest = &rest[at + 1..];
        }
        words(rest, &mut f);
    }
}

/// Classes that are certain: ASCII, the letters of Latin-1 and Latin Extended, general punctuation.
fn class(c: char) -> Class {
    match c {
        'a'..='z' | 'A'..='Z' => Class::Letter,
        ' ' | '\n' | '\t' | '\r' => Class::Space,
        '0'..='9' => Class::Digit,
        '!'..='~' => Class::Other,
        '\u{D7}' | '\u{F7}' => Class::Other,
        '\u{C0}'..='\u{24F}' => Class::Letter,
        '\u{2010}'..='\u{2027}' => Class::Other,
        _ => Class::Unsure,
    }
}

fn class_at(text: &str, at: usize) -> Option<(Class, usize)> {
    let byte = *text.as_bytes().get(at)?;
    if byte < 0x80 {
        return Some((class(byte as char), 1));
    }
    text[at..].chars().next().map(|c| (class(c), c.len_utf8()))
}

fn run_end(text: &str, mut at: usize, wanted: Class) -> usize {
    while let Some((class, n)) = class_at(text, at) {
        if class != wanted {
            break;
        }
        at += n;
    }
    at
}

fn words<'t>(text: &'t str, f: &mut impl FnMut(&'t str)) {
    let mut at = 0;
    while let Some((first, _)) = class_at(text, at) {
        let end = word_end(text, at, first);
        f(&text[at..end]);
        at = end;
    }
}

fn word_end(text: &str, at: usize, first: Class) -> usize {
    const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];
    let rest = &text[at..];
    if rest.starts_with('\'')
        && let Some(tail) = CONTRACTIONS.iter().find(|c| rest.starts_with(**c))
    {
        return at + tail.len();
    }
    if first != Class::Space {
        return run_end(text, at, first);
    }
    if rest.starts_with(' ')
        && let Some((next, _)) = class_at(text, at + 1)
        && next != Class::Space
    {
        return run_end(text, at + 1, next);
    }
    // A run of spaces leaves its last one to the word that follows.
    let end = run_end(text, at, Class::Space);
    if end == text.len() || end == at + 1 { end } else { end - 1 }
}
