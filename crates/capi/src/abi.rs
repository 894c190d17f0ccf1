//! The functions that C calls. Each turns pointers into slices, calls safe code, and reports: no panic leaves this file.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use crate::backend;
use crate::blob;
use crate::bridge::PORTS_MAX;
use crate::error::{self, BridgeError, guarded};
use crate::raw;

/// A program that is compiled and loaded, and the memory of its inputs and outputs.
pub struct ANEKernelHandle {
    _private: [u8; 0],
}

/// Name that the file of `ane_bridge_compile` has in a program.
const ONLY_WEIGHTS: &str = "@model_path/weights/weight.bin";

fn handle(kernel: *mut ANEKernelHandle) -> usize {
    kernel.addr()
}

fn pointer(handle: usize) -> *mut ANEKernelHandle {
    ptr::without_provenance_mut(handle)
}

fn count(what: &'static str, n: c_int, most: usize, expected: &'static str) -> Result<usize, BridgeError> {
    let fits = usize::try_from(n).ok().filter(|n| *n <= most);
    fits.ok_or(BridgeError::Number { what, found: n.into(), expected })
}

/// Opens the device: the Neural Engine on a Mac, its simulator elsewhere, and wherever the environment variable
/// `ANE_BRIDGE_SIM` names a profile of it (`m4`, `m1,strict`, ...). Can be called again.
///
/// Returns 0, or -1 where there is no device.
#[unsafe(no_mangle)]
pub extern "C" fn ane_bridge_init() -> c_int {
    guarded(-1, || backend::open().map(|()| 0))
}

/// Text of the last failure on this thread, empty if there was none. Valid until the next failure on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn ane_bridge_last_error() -> *const c_char {
    error::last()
}

/// Sizes of the ports of one side.
///
/// # Safety
/// As of [`raw::slice`].
unsafe fn sizes<'a>(what: &'static str, n: c_int, sizes: *const usize) -> Result<&'a [usize], BridgeError> {
    let n = count(what, n, PORTS_MAX, "a number of ports from 0 to 128")?;
    // SAFETY: the caller's promise.
    unsafe { raw::slice(what, sizes, n) }
}

/// Compiles and loads a program of at most one weight file, `@model_path/weights/weight.bin`.
///
/// `mil_text` is UTF-8 of `mil_len` bytes; `weight_data` may be null if `weight_len` is 0. `input_sizes` and `output_sizes` are
/// bytes, in the order in which the program declares its inputs and returns its outputs; each at least what the type needs.
///
/// Returns a kernel to be freed with `ane_bridge_free`, or null: the reason is on stderr and in `ane_bridge_last_error`.
///
/// # Safety
/// Each pointer holds as many elements as the length beside it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_compile(
    mil_text: *const c_char,
    mil_len: usize,
    weight_data: *const u8,
    weight_len: usize,
    n_inputs: c_int,
    input_sizes: *const usize,
    n_outputs: c_int,
    output_sizes: *const usize,
) -> *mut ANEKernelHandle {
    guarded(ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        let (data, text, inputs, outputs) = unsafe {
            (
                raw::slice("weight_data", weight_data, weight_len)?,
                raw::slice("mil_text", mil_text.cast::<u8>(), mil_len)?,
                sizes("input_sizes", n_inputs, input_sizes)?,
                sizes("output_sizes", n_outputs, output_sizes)?,
            )
        };
        let blobs = if data.is_empty() { vec![] } else { vec![(ONLY_WEIGHTS.to_owned(), data.to_vec())] };
        compile(text, &blobs, inputs, outputs)
    })
}

/// As `ane_bridge_compile`, with any number of weight files.
///
/// `weight_names` are NUL-terminated and begin with `@model_path/`; names that lead out of that folder are refused.
///
/// # Safety
/// Each pointer holds as many elements as the length beside it says; each name ends in a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_compile_multi_weights(
    mil_text: *const c_char,
    mil_len: usize,
    weight_names: *const *const c_char,
    weight_datas: *const *const u8,
    weight_lens: *const usize,
    n_weights: c_int,
    n_inputs: c_int,
    input_sizes: *const usize,
    n_outputs: c_int,
    output_sizes: *const usize,
) -> *mut ANEKernelHandle {
    guarded(ptr::null_mut(), || {
        // SAFETY: the caller's promise.
        unsafe {
            let text = raw::slice("mil_text", mil_text.cast::<u8>(), mil_len)?;
            let n = count("n_weights", n_weights, c_int::MAX as usize, "a number of files")?;
            let blobs = files(n, weight_names, weight_datas, weight_lens)?;
            let inputs = sizes("input_sizes", n_inputs, input_sizes)?;
            let outputs = sizes("output_sizes", n_outputs, output_sizes)?;
            compile(text, &blobs, inputs, outputs)
        }
    })
}

/// Names and bytes of weight files.
///
/// # Safety
/// As of [`ane_bridge_compile_multi_weights`].
unsafe fn files(
    n: usize,
    names: *const *const c_char,
    datas: *const *const u8,
    lens: *const usize,
) -> Result<Vec<(String, Vec<u8>)>, BridgeError> {
    // SAFETY: the caller's promise.
    let (names, datas, lens) = unsafe {
        (raw::slice("weight_names", names, n)?, raw::slice("weight_datas", datas, n)?, raw::slice("weight_lens", lens, n)?)
    };
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for ((&name, &data), &len) in names.iter().zip(datas).zip(lens) {
        // SAFETY: the caller's promise.
        let (name, data) = unsafe { (raw::text("weight name", name)?, raw::slice("weight data", data, len)?) };
        if files.iter().any(|(other, _)| other == name) {
            return Err(BridgeError::WeightName { name: name.escape_debug().to_string(), why: "it is given twice" });
        }
        files.push((name.to_owned(), data.to_vec()));
    }
    Ok(files)
}

fn compile(
    text: &[u8],
    blobs: &[(String, Vec<u8>)],
    inputs: &[usize],
    outputs: &[usize],
) -> Result<*mut ANEKernelHandle, BridgeError> {
    let text = str::from_utf8(text).map_err(|_| BridgeError::Text("mil_text"))?;
    Ok(pointer(backend::get()?.compile(text, blobs, inputs, outputs)?))
}

/// Runs a kernel and waits for it. Returns false on an error; its outputs then mean nothing and cannot be read.
#[unsafe(no_mangle)]
pub extern "C" fn ane_bridge_eval(kernel: *mut ANEKernelHandle) -> bool {
    guarded(false, || backend::get()?.evaluate(handle(kernel)).map(|()| true))
}

/// Copies `bytes` bytes to the beginning of input `idx`: elements in the type that the program declares, side by side.
///
/// Copies nothing, and reports, where there is no such input or it is smaller.
///
/// # Safety
/// `data` holds `bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_write_input(kernel: *mut ANEKernelHandle, idx: c_int, data: *const c_void, bytes: usize) {
    guarded((), || {
        // SAFETY: the caller's promise.
        let data = unsafe { raw::slice("data", data.cast::<u8>(), bytes)? };
        backend::get()?.write_input(handle(kernel), idx.into(), data)
    });
}

/// Copies `bytes` bytes from the beginning of output `idx`: elements in the type that the program declares, side by side.
///
/// Copies nothing, and reports, where there is no such output, it is smaller, or the last evaluation failed.
///
/// # Safety
/// `data` has room for `bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_read_output(kernel: *mut ANEKernelHandle, idx: c_int, data: *mut c_void, bytes: usize) {
    guarded((), || {
        // SAFETY: the caller's promise.
        let data: &mut [MaybeUninit<u8>] = unsafe { raw::memory("data", data.cast(), bytes)? };
        backend::get()?.read_output(handle(kernel), idx.into(), data)
    });
}

/// Unloads a kernel and releases its memory. Null is nothing; a kernel that was freed is reported.
#[unsafe(no_mangle)]
pub extern "C" fn ane_bridge_free(kernel: *mut ANEKernelHandle) {
    if !kernel.is_null() {
        guarded((), || backend::get()?.free(handle(kernel)));
    }
}

/// Programs compiled and loaded since the start or the last reset.
#[unsafe(no_mangle)]
pub extern "C" fn ane_bridge_get_compile_count() -> c_int {
    guarded(0, || Ok(backend::get().map_or(0, |b| b.compile_count())))
}

/// Counts from 0 again. How many programs the system lets a process compile does not change.
#[unsafe(no_mangle)]
pub extern "C" fn ane_bridge_reset_compile_count() {
    guarded((), || {
        if let Ok(bridge) = backend::get() {
            bridge.reset_compile_count();
        }
        Ok(())
    });
}

/// Extents of a matrix, at least 1, and the number of its elements.
fn extents(rows: c_int, cols: c_int) -> Result<(usize, usize, usize), BridgeError> {
    let positive = |what, n: c_int| match usize::try_from(n) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(BridgeError::Number { what, found: n.into(), expected: "a number from 1" }),
    };
    let (rows, cols) = (positive("rows", rows)?, positive("cols", cols)?);
    let elements = rows.checked_mul(cols).ok_or(BridgeError::Memory(usize::MAX))?;
    Ok((rows, cols, elements))
}

/// Memory of the caller's with `file` in it.
///
/// # Safety
/// `out_len` is null or a place for a `usize`.
unsafe fn hand_over(file: &[u8], out_len: *mut usize) -> Result<*mut u8, BridgeError> {
    // SAFETY: the caller's promise; written first, so that an error leaks nothing.
    unsafe { raw::put("out_len", out_len, file.len())? };
    raw::allocate(file)
}

/// Makes a weight file of a matrix `rows x cols`, row-major, as fp16. Its bytes are `*out_len`; the record in it, which MIL names
/// by its offset, begins at 64.
///
/// Returns memory to be released with `ane_bridge_free_blob` or `free`, or null.
///
/// # Safety
/// `src` holds `rows * cols` floats; `out_len` is a place for a size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_build_weight_blob(src: *const f32, rows: c_int, cols: c_int, out_len: *mut usize) -> *mut u8 {
    guarded(ptr::null_mut(), || {
        let (_, _, elements) = extents(rows, cols)?;
        // SAFETY: the caller's promise.
        unsafe { hand_over(&blob::fp16(raw::slice("src", src, elements)?)?, out_len) }
    })
}

/// As `ane_bridge_build_weight_blob`, stored transposed: element (i, j) lies at index `j * rows + i`.
///
/// # Safety
/// As of `ane_bridge_build_weight_blob`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_build_weight_blob_transposed(
    src: *const f32,
    rows: c_int,
    cols: c_int,
    out_len: *mut usize,
) -> *mut u8 {
    guarded(ptr::null_mut(), || {
        let (rows, cols, elements) = extents(rows, cols)?;
        // SAFETY: the caller's promise.
        unsafe { hand_over(&blob::fp16_transposed(raw::slice("src", src, elements)?, rows, cols)?, out_len) }
    })
}

/// As `ane_bridge_build_weight_blob`, of 8-bit integers.
///
/// # Safety
/// As of `ane_bridge_build_weight_blob`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_build_weight_blob_int8(
    src: *const i8,
    rows: c_int,
    cols: c_int,
    out_len: *mut usize,
) -> *mut u8 {
    guarded(ptr::null_mut(), || {
        let (_, _, elements) = extents(rows, cols)?;
        // SAFETY: the caller's promise.
        unsafe { hand_over(&blob::int8(raw::slice("src", src, elements)?)?, out_len) }
    })
}

/// Rounds a matrix `rows x cols` to 8-bit integers with a scale a row, `src[i][j] ~ out_scales[i] * q[i][j]`, and makes a weight
/// file of the integers.
///
/// `out_scales` has room for `rows` floats. Null, with nothing written, if a weight is infinite or no number.
///
/// # Safety
/// As of `ane_bridge_build_weight_blob`; `out_scales` has room for `rows` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_build_weight_blob_quantized(
    src: *const f32,
    rows: c_int,
    cols: c_int,
    out_scales: *mut f32,
    out_len: *mut usize,
) -> *mut u8 {
    guarded(ptr::null_mut(), || {
        let (rows, cols, elements) = extents(rows, cols)?;
        // SAFETY: the caller's promise.
        unsafe {
            let (rounded, scales) = blob::quantized(raw::slice("src", src, elements)?, cols)?;
            let place = raw::memory::<f32>("out_scales", out_scales, rows)?;
            let memory = hand_over(&blob::int8(&rounded)?, out_len)?;
            place.write_copy_of_slice(&scales);
            Ok(memory)
        }
    })
}

/// Releases what the functions above returned. Null is nothing.
///
/// # Safety
/// `blob` is null, or came from a function above and was not released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ane_bridge_free_blob(blob: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { raw::release(blob) };
}
