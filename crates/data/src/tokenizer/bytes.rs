//! The bytes that each token stands for.
//!
//! Byte-level BPE writes each byte as one printable character (the table of GPT-2's `bytes_to_unicode`);
//! sentencepiece-style BPE writes a space as U+2581 and single bytes as `<0xNN>`.

use serde_json::Value;

/// Bytes of all tokens in one buffer.
#[derive(Debug)]
pub(super) struct TokenBytes {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    special: Vec<bool>,
    /// The decoder drops one leading space of a text (sentencepiece's dummy prefix).
    pub(super) strips_first_space: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Style {
    ByteLevel,
    SentencePiece,
    Plain,
}

impl TokenBytes {
    pub(super) fn new(inner: &tokenizers::Tokenizer, tree: &Value, vocab_size: usize) -> Self {
        let decoder = tree["decoder"].to_string();
        let style = if decoder.contains("\"ByteLevel\"") {
            Style::ByteLevel
        } else if decoder.contains('\u{2581}') || decoder.contains("\"Metaspace\"") {
            Style::SentencePiece
        } else {
            Style::Plain
        };
        let added = inner.get_added_tokens_decoder();
        let table = char_bytes();
        let mut this = Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(vocab_size),
            special: vec![false; vocab_size],
            strips_first_space: style == Style::SentencePiece && decoder.contains("\"Strip\"")
                || decoder.contains("\"Metaspace\""),
        };
        for id in 0..vocab_size as u32 {
            match (added.get(&id), inner.id_to_token(id)) {
                (Some(token), _) if token.special => this.special[id as usize] = true,
                (Some(token), _) => this.bytes.extend_from_slice(token.content.as_bytes()),
                (None, Some(token)) => push(&mut this.bytes, &token, style, &table),
                (None, None) => {}
            }
            this.ends.push(this.bytes.len() as u32);
        }
        this
    }

    pub(super) fn of(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let Some(&end) = self.ends.get(id) else { return &[] };
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.bytes[start as usize..end as usize]
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(false)
    }
}

fn push(out: &mut Vec<u8>, token: &str, style: Style, table: &[u16; 512]) {
    match style {
        Style::ByteLevel => {
            let byte = |c: char| table.get(c as usize).copied().filter(|&b| b < 256);
            if token.chars().all(|c| byte(c).is_some()) {
                out.extend(token.chars().filter_map(byte).map(|b| b as u8));
            } else {
                out.extend_from_slice(token.as_bytes());
            }
        }
        Style::SentencePiece => match byte_fallback(token) {
            Some(byte) => out.push(byte),
            None => out.extend_from_slice(token.replace('\u{2581}', " ").as_bytes()),
        },
        Style::Plain => out.extend_from_slice(token.as_bytes()),
    }
}

/// `<0xNN>` with exactly two hex digits.
fn byte_fallback(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// `table[character] = byte`, 256 for characters that stand for no byte.
fn char_bytes() -> [u16; 512] {
    let mut table = [256u16; 512];
    let mut next = 256;
    for byte in 0..=255u16 {
        if matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) {
            table[byte as usize] = byte;
        } else {
            table[next] = byte;
            next += 1;
        }
    }
    table
}

/// The character that stands for each byte: the inverse of [`char_bytes`].
pub(super) fn byte_chars() -> [char; 256] {
    let mut letters = ['\0'; 256];
    for (code, byte) in char_bytes().into_iter().enumerate() {
        if let (Some(letter), Some(c)) = (letters.get_mut(byte as usize), char::from_u32(code as u32)) {
            *letter = c;
        }
    }
    letters
}
