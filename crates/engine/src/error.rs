//! Why an engine cannot do what it is asked.

/// Why a batch cannot be run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    /// The batch does not fit the buffers.
    #[error("a batch of {rows} x {seq} tokens does not fit an engine opened for {max_rows} x {max_seq}")]
    Shape {
        /// Windows of the batch.
        rows: usize,
        /// Tokens a window.
        seq: usize,
        /// Windows the engine was opened for.
        max_rows: usize,
        /// Tokens a window the engine was opened for.
        max_seq: usize,
    },
    /// A token id has no row in the embedding.
    #[error("token id {id} at position {at} is not below the vocabulary of {vocab}")]
    Token {
        /// The id.
        id: u32,
        /// Its place in the batch.
        at: usize,
        /// Rows of the embedding.
        vocab: usize,
    },
    /// What is asked for is not there.
    #[error("{what}: only of an adapter beside a frozen base (--lora-form split)")]
    AdapterAlone {
        /// What.
        what: &'static str,
    },
    /// An array has the wrong length.
    #[error("{what} has {found} elements, expected {expected}")]
    Length {
        /// Which array.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
}
