//! Numbers of the command line and their ranges.

use crate::config::{integer, real, size};

pub(super) fn positive_size(text: &str) -> Result<usize, String> {
    size(text, 1, 1 << 40)
}

/// As many as have a variance.
pub(super) fn several(text: &str) -> Result<usize, String> {
    size(text, 2, 1 << 40)
}

pub(super) fn any_size(text: &str) -> Result<usize, String> {
    size(text, 0, 1 << 40)
}

pub(super) fn vocabulary(text: &str) -> Result<usize, String> {
    size(text, 2, 1 << 24)
}

pub(super) fn threads(text: &str) -> Result<usize, String> {
    size(text, 1, 1024)
}

pub(super) fn seed(text: &str) -> Result<u64, String> {
    integer(text, 0, i64::MAX as u64)
}

pub(super) fn token(text: &str) -> Result<u32, String> {
    size(text.trim(), 0, (1 << 24) - 1).map(|v| v as u32)
}

pub(super) fn positive_real(text: &str) -> Result<f32, String> {
    let value = real(text, 0.0, f64::from(f32::MAX)).map(|v| v as f32)?;
    if value > 0.0 { Ok(value) } else { Err(format!("found `{text}`, expected a number above 0")) }
}

pub(super) fn temperature(text: &str) -> Result<f32, String> {
    real(text, 0.0, 100.0).map(|v| v as f32)
}

pub(super) fn penalty(text: &str) -> Result<f32, String> {
    real(text, 0.01, 100.0).map(|v| v as f32)
}

pub(super) fn probability(text: &str) -> Result<f32, String> {
    real(text, 0.0, 1.0).map(|v| v as f32)
}

pub(super) fn fraction(text: &str) -> Result<f64, String> {
    real(text, 0.0, 1.0).and_then(|v| if v > 0.0 { Ok(v) } else { Err("found `0`, expected a share above 0".into()) })
}
