//! Errors as the framework words them (ane-facts 2.15), so that what reads the hardware's reads the simulator's.

use std::fmt::Display;

use crate::{DeviceError, Stage};

/// Who refuses a program.
pub const COMPILER_DOMAIN: &str = "com.apple.appleneuralengine.compiler";
/// Who reports a failed evaluation.
pub const DOMAIN: &str = "com.apple.appleneuralengine";
/// A surface or the program broke a rule of the hardware.
pub const INFERENCE_ERROR: i64 = 0x1d;
/// No memory for the request.
pub const NO_MEMORY: i64 = 0x2;

fn failed(kernel: &str, stage: Stage, domain: &str, code: i64, text: String) -> DeviceError {
    DeviceError::Failed { kernel: kernel.into(), stage, domain: domain.into(), code, text }
}

fn not_compiled(kernel: &str, class: &str, why: impl Display) -> DeviceError {
    let text = format!("_ANECompiler : ANECCompile() FAILED: err=({class}): {why}");
    failed(kernel, Stage::Compile, COMPILER_DOMAIN, 1, text)
}

/// The text is no program: a word, a name, a type or a shape is wrong.
pub fn invalid_program(kernel: &str, why: impl Display) -> DeviceError {
    not_compiled(kernel, "InvalidMILProgram", why)
}

/// A program that the device does not take.
pub fn compilation_failure(kernel: &str, why: impl Display) -> DeviceError {
    not_compiled(kernel, "CompilationFailure", why)
}

/// An evaluation that did not happen.
pub fn evaluation(kernel: &str, code: i64, why: impl Display) -> DeviceError {
    let text =
        format!("ANEProgramProcessRequestDirect() Failed with status={code:#x} : statusType=0x9: Program Inference error: {why}");
    failed(kernel, Stage::Evaluate, DOMAIN, code, text)
}

/// A program that was unloaded.
pub fn not_loaded(kernel: &str) -> DeviceError {
    failed(kernel, Stage::Evaluate, DOMAIN, 5, "the program is not loaded".into())
}

/// A surface that cannot be had.
pub fn no_surface(bytes: usize, why: &str) -> DeviceError {
    failed("surface", Stage::Surface, DOMAIN, 13, format!("no surface of {bytes} bytes: {why}"))
}
