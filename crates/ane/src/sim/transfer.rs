//! Between the bytes of a surface and the elements of a tensor.

use super::layout;
use super::stub::Tensor;
use crate::Port;

/// Reads the elements of `port`; bytes of padding are not looked at.
pub fn gather(_port: &Port, _bytes: &[u8], _tensor: &mut Tensor) {
    let _ = layout::rows(_port, _bytes);
}

/// Writes the elements of `tensor`; bytes of padding stay as they are.
pub fn scatter(_port: &Port, _tensor: &Tensor, _bytes: &mut [u8]) {}
