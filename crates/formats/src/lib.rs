//! Files of other programs, in and out: Hugging Face folders; tokenizers of GGUF and llama2.c files.
//!
//! A reader validates everything at the door, against the real size of the file, and allocates nothing that this size
//! does not justify. A writer streams: it holds no second copy of the model, and its bytes depend on the model alone.
//!
//! A reader of a format ends in a [`Model`], which knows the shape of the model and where each weight lies; a writer asks a
//! [`Source`] for rows.

pub mod adapter;
mod blocks;
pub mod blzt;
mod dtype;
mod encoding;
mod error;
pub mod gguf;
pub mod hf;
mod inspect;
mod json;
pub mod llama2c;
mod load;
mod mapped;
pub mod names;
mod opened;
mod place;
mod rows;
pub mod safetensors;
mod sequence;
mod source;
mod special;
pub mod tokenizer;

pub use dtype::Dtype;
pub use encoding::Encoding;
pub use error::FormatError;
pub use inspect::{Description, TensorEntry, inspect};
pub use mapped::{Mapped, MappedFloats};
pub use opened::{Assumed, Format, Model, open, sniff};
pub use rows::{Fill, VocabRows};
pub use source::{Source, Written, flat};
pub use special::SpecialIds;
