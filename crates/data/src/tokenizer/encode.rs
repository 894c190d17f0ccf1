//! Encoding, with a cache of words, and in parallel over documents.

use super::Tokenizer;
use crate::error::Result;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Words kept before the cache starts over; bounds its memory to some tens of megabytes.
const CACHE_WORDS: usize = 1 << 18;

/// Longer words (runs of one letter, of dashes) are not worth remembering.
const MAX_WORD: usize = 64;

/// Encodes one text after the other; remembers the ids of words it has seen.
#[derive(Debug)]
pub(crate) struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    cache: HashMap<Box<str>, (u32, u32), BuildHasherDefault<WordHasher>>,
    ids: Vec<u32>,
}

impl<'a> Encoder<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, cache: HashMap::default(), ids: Vec::new() }
    }

    /// Appends the ids of `text` to `out`.
    pub(crate) fn encode_into(&mut self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        let tokenizer = self.tokenizer;
        match tokenizer.split.as_ref().filter(|split| split.decides(text)) {
            None => library(tokenizer, text, out),
            Some(split) => {
                let mut result = Ok(());
                split.words(text, |word| {
                    if result.is_ok() {
                        result = self.word(word, out);
                    }
                });
                result
            }
        }
    }

    fn word(&mut self, word: &str, out: &mut Vec<u32>) -> Result<()> {
        if let Some(&(start, end)) = self.cache.get(word) {
            out.extend_from_slice(&self.ids[start as usize..end as usize]);
            return Ok(());
        }
        if word.len() > MAX_WORD {
            return library(self.tokenizer, word, out);
        }
        if self.cache.len() >= CACHE_WORDS {
            self.cache.clear();
            self.ids.clear();
        }
        let start = self.ids.len() as u32;
        library(self.tokenizer, word, &mut self.ids)?;
        out.extend_from_slice(&self.ids[start as usize..]);
        self.cache.insert(word.into(), (start, self.ids.len() as u32));
        Ok(())
    }
}

fn library(tokenizer: &Tokenizer, text: &str, out: &mut Vec<u32>) -> Result<()> {
    let encoding = tokenizer.inner.encode_fast(text, false).map_err(|e| tokenizer.fail(e))?;
    out.extend_from_slice(encoding.get_ids());
    Ok(())
}

/// Encodes documents on `threads` threads; the result does not depend on their number.
///
/// # Errors
/// The first failing document's error, see [`Tokenizer::encode`].
pub fn encode_documents(tokenizer: &Tokenizer, documents: &[String], threads: usize) -> Result<Vec<Vec<u32>>> {
    let per_thread = documents.len().div_ceil(threads.max(1)).max(1);
    let encode = |part: &[String]| -> Result<Vec<Vec<u32>>> {
        let mut encoder = Encoder::new(tokenizer);
        let one = |text: &String| {
            let mut ids = Vec::new();
            encoder.encode_into(text, &mut ids).map(|()| ids)
        };
        part.iter().map(one).collect()
    };
    let parts: Vec<Result<Vec<Vec<u32>>>> = std::thread::scope(|scope| {
        let handles: Vec<_> = documents.chunks(per_thread).map(|part| scope.spawn(|| encode(part))).collect();
        handles.into_iter().map(join).collect()
    });
    let mut all = Vec::with_capacity(documents.len());
    for part in parts {
        all.extend(part?);
    }
    Ok(all)
}

/// The result of a scoped thread; its panic goes on in the caller.
pub(crate) fn join<T>(handle: std::thread::ScopedJoinHandle<'_, T>) -> T {
    match handle.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Multiply-rotate over eight bytes at a time; words are short and not adversarial enough to matter beyond speed.
#[derive(Debug, Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (chunks, rest) = bytes.as_chunks::<8>();
        for chunk in chunks {
            self.add(u64::from_le_bytes(*chunk));
        }
        let mut last = [0u8; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last) ^ ((rest.len() as u64) << 56));
    }

    fn finish(&self) -> u64 {
        crate::rng::mix(self.0)
    }
}

impl WordHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }
}
