//! Streaming decoding.

use super::Tokenizer;

/// Turns tokens into text one by one; bytes of an unfinished character are held back until the next token.
#[derive(Debug, Clone)]
pub struct DecodeStream<'a> {
    tokenizer: &'a Tokenizer,
    pending: Vec<u8>,
    started: bool,
}

impl<'a> DecodeStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new(), started: false }
    }

    /// Takes one token and returns the text that is now complete, often one token's, sometimes none.
    pub fn push(&mut self, id: u32) -> String {
        let mut bytes = self.tokenizer.bytes.of(id);
        if !self.started && !bytes.is_empty() {
            self.started = true;
            if self.tokenizer.bytes.strips_first_space {
                bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
            }
        }
        self.pending.extend_from_slice(bytes);
        self.take(false)
    }

    /// Ends the text: what is still held back comes out, unfinished characters as U+FFFD.
    pub fn finish(&mut self) -> String {
        self.take(true)
    }

    fn take(&mut self, end: bool) -> String {
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.pending) {
                Ok(rest) => {
                    text.push_str(rest);
                    self.pending.clear();
                    return text;
                }
                Err(e) => {
                    let valid = e.valid_up_to();
                    text.push_str(std::str::from_utf8(&self.pending[..valid]).unwrap_or_default());
                    let broken = match e.error_len() {
                        Some(n) => n,
                        None if end => self.pending.len() - valid,
                        None => {
                            self.pending.drain(..valid);
                            return text;
                        }
                    };
                    text.push('\u{FFFD}');
                    self.pending.drain(..valid + broken);
                }
            }
        }
    }
}
