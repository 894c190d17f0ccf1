//! What pointers of a caller become: slices, texts, memory that `free` takes. Null and impossible lengths are errors; that a
//! pointer holds as many elements as the caller says is the caller's promise.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

use crate::error::BridgeError;

/// Reads `count` elements at `data`; null is good for none.
///
/// # Safety
/// `data` is null, or points to `count` elements that nothing writes for `'a`.
pub unsafe fn slice<'a, T>(what: &'static str, data: *const T, count: usize) -> Result<&'a [T], BridgeError> {
    if count == 0 {
        return Ok(&[]);
    }
    check(what, data, count)?;
    // SAFETY: not null, aligned and no longer than an object can be; the rest is the caller's promise.
    Ok(unsafe { slice::from_raw_parts(data, count) })
}

/// Memory for `count` elements at `data`, to be written; null is good for none.
///
/// # Safety
/// `data` is null, or points to memory for `count` elements that nothing else touches for `'a`.
pub unsafe fn memory<'a, T>(what: &'static str, data: *mut T, count: usize) -> Result<&'a mut [MaybeUninit<T>], BridgeError> {
    if count == 0 {
        return Ok(&mut []);
    }
    check(what, data.cast_const(), count)?;
    // SAFETY: as in `slice`; the elements may be uninitialised, as their type says.
    Ok(unsafe { slice::from_raw_parts_mut(data.cast(), count) })
}

fn check<T>(what: &'static str, data: *const T, count: usize) -> Result<(), BridgeError> {
    if data.is_null() {
        return Err(BridgeError::Null(what));
    }
    if !data.is_aligned() {
        return Err(BridgeError::Number { what, found: data.addr() as i64, expected: "an aligned address" });
    }
    match count.checked_mul(size_of::<T>()) {
        Some(bytes) if bytes <= isize::MAX as usize => Ok(()),
        _ => Err(BridgeError::Memory(usize::MAX)),
    }
}

/// Writes `value` to `place`.
///
/// # Safety
/// `place` is null, or points to memory for a `T`.
pub unsafe fn put<T>(what: &'static str, place: *mut T, value: T) -> Result<(), BridgeError> {
    check(what, place.cast_const(), 1)?;
    // SAFETY: not null and aligned; the rest is the caller's promise.
    unsafe { place.write(value) };
    Ok(())
}

/// A copy of `bytes` that the caller releases with `free` or `ane_bridge_free_blob`.
pub fn allocate(bytes: &[u8]) -> Result<*mut u8, BridgeError> {
    // SAFETY: malloc takes any size; its result is checked.
    let memory = unsafe { libc::malloc(bytes.len().max(1)) }.cast::<u8>();
    if memory.is_null() {
        return Err(BridgeError::Memory(bytes.len()));
    }
    // SAFETY: new memory of that many bytes, which cannot overlap `bytes`.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len()) };
    Ok(memory)
}

/// Releases what [`allocate`] returned; null is nothing.
///
/// # Safety
/// `memory` is null, or came from [`allocate`] and was not released.
pub unsafe fn release(memory: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { libc::free(memory) };
}

/// A NUL-terminated text.
///
/// # Safety
/// `text` is null, or points to bytes that end in a NUL and that nothing writes for `'a`.
pub unsafe fn text<'a>(what: &'static str, text: *const c_char) -> Result<&'a str, BridgeError> {
    if text.is_null() {
        return Err(BridgeError::Null(what));
    }
    // SAFETY: not null; the rest is the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| BridgeError::Text(what))
}
