//! Tokenizers of other files: what a GGUF or a llama2.c `tokenizer.bin` says of one, and the Hugging Face `tokenizer.json`
//! that gives the same ids.
//!
//! [`Vocabulary`] is the common form. Its fields are those of the `tokenizer.ggml.*` keys of a GGUF file (named at each
//! field), since that is the format with the least redundancy: token texts, their types, and either ranked merges
//! (byte-level BPE) or a score for each piece (SentencePiece).

mod folder;
mod from_json;
mod llama2c;
mod merges;
mod pre;
mod to_json;
mod vocabulary;

pub use llama2c::is_llama2c;
pub use to_json::TokenizerFiles;
pub use vocabulary::{Kind, SpecialTokens, TokenType, Vocabulary};

#[cfg(test)]
mod tests;
