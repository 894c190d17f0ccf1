//! Tokenizers of other files: what a GGUF or a llama2.c `tokenizer.bin` says of one, and the Hugging Face `tokenizer.json`
//! that gives the same ids.
//!
//! [`Vocabulary`] is the common form. Its fields are those of the `tokenizer.ggml.*` keys of a GGUF file (named at each
//! field), since that is the format with the least redundancy: token texts, their types, and either ranked merges
//! (byte-level BPE) or a score for each piece (SentencePiece).

mod vocabulary;

pub use vocabulary::{Kind, SpecialTokens, TokenType, Vocabulary};
