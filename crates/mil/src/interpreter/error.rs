//! Why a program does not run.

use crate::blob::BlobError;
use crate::tensor::SizeError;
use crate::{Span, Type};

/// Why a program does not run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RunError {
    /// The program has no such function.
    #[error("no function `{name}`; the program has {known}")]
    Function {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The interpreter does not know the operation.
    #[error("{span}: the interpreter has no operation `{op}`")]
    Unsupported {
        /// Name of the operation.
        op: String,
        /// Where it stands.
        span: Span,
    },
    /// An operation was given what it cannot work on; the checker refuses such programs.
    #[error("{span}: {op}: {message}")]
    Invalid {
        /// Name of the operation.
        op: String,
        /// Where it stands.
        span: Span,
        /// What is wrong.
        message: String,
    },
    /// A name that no statement before its use defines.
    #[error("{span}: `{name}` is not defined")]
    Undefined {
        /// The name.
        name: String,
        /// Where it is used.
        span: Span,
    },
    /// The result of an operation is not of the type that the program declares.
    #[error("{span}: {op}: `{name}` is declared {declared}, but is {found}")]
    Declared {
        /// Name of the operation.
        op: String,
        /// Name of the result.
        name: String,
        /// Where it stands.
        span: Span,
        /// What the program says.
        declared: String,
        /// What came out.
        found: String,
    },
    /// A value that is too large to be computed.
    #[error("{span}: {op}: a value of {elements} elements; the interpreter holds at most {limit}")]
    TooLarge {
        /// Name of the operation.
        op: String,
        /// Where it stands.
        span: Span,
        /// How many it would have.
        elements: String,
        /// How many it may have.
        limit: usize,
    },
    /// A weight file that was not given.
    #[error("{span}: no weight file `{path}` was given")]
    NoFile {
        /// Its path in the program.
        path: String,
        /// Where it is named.
        span: Span,
    },
    /// A weight file that does not hold what the program says.
    #[error("{span}: {path}: {error}")]
    Blob {
        /// Its path in the program.
        path: String,
        /// Where it is named.
        span: Span,
        /// What is wrong with it.
        error: BlobError,
    },
    /// A constant whose elements are not those of its type.
    #[error("{span}: {error}")]
    Constant {
        /// Where it stands.
        span: Span,
        /// What is wrong.
        error: SizeError,
    },
    /// Another number of inputs than the function takes.
    #[error("`{function}` takes {expected} inputs, found {found}")]
    Inputs {
        /// The function.
        function: String,
        /// How many it takes.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// An input of another type than the function takes.
    #[error("input `{name}` is {expected}, found {found}")]
    Input {
        /// Its name.
        name: String,
        /// What it is.
        expected: Type,
        /// What was given.
        found: Type,
    },
}
