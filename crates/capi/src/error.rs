//! Why a function of the bridge failed, and how the caller learns of it: one line on stderr, and the same text from
//! `ane_bridge_last_error` on the same thread.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ane::DeviceError;
use mil::blob::BlobError;

/// Why a function of the bridge failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BridgeError {
    /// A pointer that must not be null is.
    #[error("{0} is null")]
    Null(&'static str),
    /// A number that cannot be.
    #[error("{what}: {found} is not {expected}")]
    Number {
        /// Of what.
        what: &'static str,
        /// What was given.
        found: i64,
        /// What could have been.
        expected: &'static str,
    },
    /// No memory for a result.
    #[error("no memory for {0} bytes")]
    Memory(usize),
    /// Bytes that should be text are not.
    #[error("{0} is not UTF-8")]
    Text(&'static str),
    /// Name of a weight file that is refused.
    #[error("weight file `{name}`: {why}")]
    WeightName {
        /// The name.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The program has other ports than the caller thinks.
    #[error("the program has {expected} {side}, not {found}")]
    Ports {
        /// `inputs` or `outputs`.
        side: &'static str,
        /// How many it has.
        expected: usize,
        /// How many were named.
        found: usize,
    },
    /// Fewer bytes than a port needs.
    #[error("{side} {index} (`{name}`) has {found} bytes, and the program needs {expected}")]
    PortSize {
        /// `input` or `output`.
        side: &'static str,
        /// Its index.
        index: usize,
        /// Its name in the program.
        name: String,
        /// Bytes of its elements.
        expected: usize,
        /// Bytes that the caller named.
        found: usize,
    },
    /// No such port.
    #[error("there is no {side} {index}: the kernel has {count}")]
    Index {
        /// `input` or `output`.
        side: &'static str,
        /// What was asked for.
        index: i64,
        /// How many there are.
        count: usize,
    },
    /// More bytes than a port holds.
    #[error("{bytes} bytes do not fit {side} {index}, which has {size}")]
    Bounds {
        /// `input` or `output`.
        side: &'static str,
        /// Its index.
        index: usize,
        /// Bytes that were to be copied.
        bytes: usize,
        /// Bytes that it has.
        size: usize,
    },
    /// The outputs are those of no evaluation.
    #[error("there is no result: nothing was evaluated, or the last evaluation failed")]
    NoResult,
    /// A handle that was never given out, or was freed.
    #[error("this is no kernel, or it was freed")]
    Handle,
    /// A weight that no 8-bit number stands for.
    #[error("row {row}, column {column} is {value}: only finite weights can be rounded to 8 bits")]
    NotFinite {
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
        /// The weight.
        value: f32,
    },
    /// `ane_bridge_init` was not called, or failed.
    #[error("the bridge is not open: call ane_bridge_init first and check that it returns 0")]
    NotOpen,
    /// The device said no.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A weight file cannot be made.
    #[error("weight file: {0}")]
    Blob(#[from] BlobError),
    /// A defect of this library; it did not reach the caller as a panic.
    #[error("internal error: {0}")]
    Panic(String),
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Runs `call`; its error, or its panic, is reported, and `failed` returned instead.
pub fn guarded<T>(failed: T, call: impl FnOnce() -> Result<T, BridgeError>) -> T {
    let error = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => return value,
        Ok(Err(error)) => error,
        Err(panic) => BridgeError::Panic(words(panic.as_ref())),
    };
    report(&error);
    failed
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

fn report(error: &BridgeError) {
    let text = error.to_string();
    // the contract of the bridge; a closed stderr is no reason to fail twice
    let _ = writeln!(io::stderr(), "ane_bridge: {text}");
    // a NUL would end the text early
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    // not available while the thread ends: then nobody can ask any more
    let _ = LAST.try_with(|last| *last.borrow_mut() = text);
}

/// The text of the last failure on this thread, empty if there was none, ending in a NUL; valid until the next one.
pub fn last() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}
