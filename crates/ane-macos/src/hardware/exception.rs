//! Objective-C exceptions as errors.
//!
//! A failed evaluation makes the framework send `getUUID` to an object that does not have it, which raises. Rust cannot
//! catch that, and a helper in Objective-C would need a C compiler in every build; the one function that it would hold is
//! `exception.s`, in the form a compiler gives it: a call, a landing pad, and the table that leads the unwinder there (the
//! language-specific data area of the Itanium C++ ABI, with Objective-C's personality). Panics pass through it.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ptr;

use objc2::exception::Exception;
use objc2::rc::Retained;
use objc2::runtime::AnyObject;

std::arch::global_asm!(include_str!("exception.s"));

unsafe extern "C-unwind" {
    fn autoane_try(f: extern "C-unwind" fn(*mut c_void), context: *mut c_void, thrown: *mut *mut AnyObject) -> i32;
}

/// An exception that was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised(pub String);

/// Runs `f`; what it raises is an error. What `f` holds is released on the way out.
pub fn guarded<R>(f: impl FnOnce() -> R) -> Result<R, Raised> {
    let mut task = Task { f: Some(f), result: None };
    let mut thrown = ptr::null_mut();
    // SAFETY: `call::<R, F>` is given the task of the same type, which outlives the call; `thrown` is valid to write to.
    let raised = unsafe { autoane_try(call_of(&task), (&raw mut task).cast(), &mut thrown) } != 0;
    match task.result {
        Some(result) if !raised => Ok(result),
        _ => Err(Raised(words(thrown))),
    }
}

struct Task<R, F> {
    f: Option<F>,
    result: Option<R>,
}

fn call_of<R, F: FnOnce() -> R>(_: &Task<R, F>) -> extern "C-unwind" fn(*mut c_void) {
    call::<R, F>
}

extern "C-unwind" fn call<R, F: FnOnce() -> R>(task: *mut c_void) {
    // SAFETY: `guarded` gives its task, of this type, and touches it again only after this returned.
    let task = unsafe { &mut *task.cast::<Task<R, F>>() };
    task.result = task.f.take().map(|f| f());
}

fn words(thrown: *mut AnyObject) -> String {
    // SAFETY: null, or an object that `autoane_try` retained for us.
    let exception: Option<Retained<Exception>> = unsafe { Retained::from_raw(thrown.cast()) };
    exception.map_or_else(|| "an exception without an object".to_owned(), |e| format!("{e:?}"))
}
