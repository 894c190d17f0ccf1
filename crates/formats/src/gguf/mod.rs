//! GGUF, the file of llama.cpp: magic, version, counts, metadata, tensor table, then the tensors, each at a multiple of the
//! alignment. Versions 2 and 3, little-endian. Source: `docs/gguf.md` of ggml.

mod arch;
mod container;
mod cursor;
mod inspect;
mod metadata;
mod open;
mod rope;
mod spec;
mod types;
mod value;
mod vocabulary;
mod write;

pub use container::Container;
pub use inspect::inspect;
pub use metadata::Metadata;
pub use open::open;
pub use value::{Array, Strings, Value, ValueType};
pub use write::{WriteOptions, write};
