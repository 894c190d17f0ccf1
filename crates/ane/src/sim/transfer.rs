//! Between the bytes of a surface and the elements of a tensor: fp16 row by row through the processor's conversion, which is
//! what kernels mostly have; every other type by way of packed bytes.

use half::f16;
use half::slice::HalfFloatSliceExt;
use mil::{DType, Data, Tensor};

use super::layout;
use crate::Port;

/// Reads the elements of `port` into `tensor`, which has its type; bytes of padding are not looked at.
pub fn gather(port: &Port, bytes: &[u8], tensor: &mut Tensor) {
    match &mut tensor.data {
        Data::Floats(values) if tensor.ty.dtype == DType::Fp16 => gather_halves(port, bytes, values),
        _ => {
            let packed: Vec<u8> = layout::rows(port, bytes).flatten().copied().collect();
            if let Ok(read) = Tensor::from_bytes(&tensor.ty, &packed) {
                *tensor = read;
            }
        }
    }
}

fn gather_halves(port: &Port, bytes: &[u8], values: &mut [f32]) {
    let width = port.shape[3];
    let mut halves = vec![f16::ZERO; width];
    for (row, out) in layout::rows(port, bytes).zip(values.chunks_exact_mut(width.max(1))) {
        for (half, pair) in halves.iter_mut().zip(row.as_chunks::<2>().0) {
            *half = f16::from_le_bytes(*pair);
        }
        halves.convert_to_f32_slice(out);
    }
}

/// Writes the elements of `tensor`, which has the type of `port`; bytes of padding stay as they are.
pub fn scatter(port: &Port, tensor: &Tensor, bytes: &mut [u8]) {
    match &tensor.data {
        Data::Floats(values) if tensor.ty.dtype == DType::Fp16 => scatter_halves(port, values, bytes),
        _ => {
            let packed = tensor.to_bytes();
            let width = (port.shape[3] * port.element_bytes).max(1);
            for (row, part) in layout::rows_mut(port, bytes).zip(packed.chunks_exact(width)) {
                row.copy_from_slice(part);
            }
        }
    }
}

fn scatter_halves(port: &Port, values: &[f32], bytes: &mut [u8]) {
    let width = port.shape[3];
    let mut halves = vec![f16::ZERO; width];
    for (row, part) in layout::rows_mut(port, bytes).zip(values.chunks_exact(width.max(1))) {
        halves.convert_from_f32_slice(part);
        for (pair, half) in row.as_chunks_mut::<2>().0.iter_mut().zip(&halves) {
            *pair = half.to_le_bytes();
        }
    }
}
