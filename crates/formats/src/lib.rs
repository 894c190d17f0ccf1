//! Files of other programs, in and out: Hugging Face folders; tokenizers of GGUF and llama2.c files.
//!
//! A reader validates everything at the door, against the real size of the file, and allocates nothing that this size
//! does not justify. A writer streams: it holds no second copy of the model, and its bytes depend on the model alone.

mod dtype;
mod error;
pub mod hf;
mod json;
pub mod names;
mod place;
pub mod safetensors;
pub mod tokenizer;

pub use dtype::Dtype;
pub use error::FormatError;
