//! Text to tokens to batches.
//!
//! `text | built-in stories -> tokenizer -> token file -> vocabulary map -> loader -> batch`. Every result is a pure
//! function of its inputs and seeds; the thread count is an argument and never changes a result. Nothing is printed.

pub mod compact;
pub mod error;
pub mod loader;
pub mod prepare;
mod rng;
pub mod source;
pub mod stories;
pub mod tokenizer;
pub mod tokens;

pub use compact::VocabMap;
pub use error::{DataError, Place, Result};
pub use loader::{Batch, Dataset, DatasetOptions, Loader, LoaderOptions, Order, Packing};
pub use prepare::{Manifest, Prepared, PrepareOptions, TokenizerChoice, prepare, prepare_in_cache};
pub use source::Source;
pub use stories::Stories;
pub use tokenizer::{DecodeStream, Tokenizer};
pub use tokens::{Scan, TokenFile, Width};

/// A target that carries no loss: padding of document-aligned windows and of short validation windows.
pub const IGNORE: u32 = u32::MAX;
