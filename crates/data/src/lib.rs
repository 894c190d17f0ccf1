//! Text to tokens to batches.
//!
//! `text | built-in stories -> tokenizer -> token file -> vocabulary map -> loader -> batch`. Every result is a pure
//! function of its inputs and seeds; the thread count is an argument and never changes a result. Nothing is printed.

pub mod chat;
pub mod compact;
pub mod error;
mod example;
pub mod loader;
pub mod mask;
pub mod prepare;
mod rng;
pub mod source;
pub mod stories;
pub mod tokenizer;
pub mod tokens;

pub use chat::ChatTemplate;
pub use compact::VocabMap;
pub use error::{DataError, Place, Result};
pub use loader::{Batch, Dataset, DatasetOptions, Loader, LoaderOptions, Order, Packing};
pub use mask::Mask;
pub use prepare::{
    Manifest, MaskEntry, PrepareOptions, Prepared, TemplateChoice, TokenizerChoice, prepare, prepare_in_cache, sha256_file,
};
pub use source::Source;
pub use stories::Stories;
pub use tokenizer::{DecodeStream, Tokenizer};
pub use tokens::{Scan, TokenFile, Width};

/// A target that carries no loss: masked tokens, padding of document-aligned windows and of short validation windows.
pub const IGNORE: u32 = u32::MAX;

/// The shared data folder beside the workspace, or a loud note that the test is skipped.
#[cfg(test)]
pub(crate) fn test_shared(test: &str) -> Option<std::path::PathBuf> {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("AUTOANE_SHARED").map_or(beside, Into::into);
    if shared.join("data/tinystories").is_dir() {
        return Some(shared);
    }
    eprintln!("SKIPPED: {test}: no {} (set AUTOANE_SHARED)", shared.display());
    None
}

/// An empty folder for one test.
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) fn test_folder(test: &str) -> std::path::PathBuf {
    // Beside the test program, so that nothing is left outside the build folder.
    let folder = std::env::current_exe().unwrap().parent().unwrap().join("test-data").join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
