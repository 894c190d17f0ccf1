//! Weight files made from matrices: `rows x cols`, row-major, as fp16 or 8-bit integers.
//!
//! 8-bit weights are symmetric, a scale a row: `w ~ scale[row] * q`, `scale[row] = max |w[row]| / 127`.

use half::f16;
use half::slice::HalfFloatSliceExt;
use mil::{DType, Type};

use crate::error::BridgeError;

/// A weight file of `weights` as fp16, in the order given; beyond the range of fp16 they become infinite.
pub fn fp16(weights: &[f32]) -> Result<Vec<u8>, BridgeError> {
    let mut halves = vec![f16::ZERO; weights.len()];
    halves.convert_from_f32_slice(weights);
    file(DType::Fp16, &halves.iter().flat_map(|h| h.to_le_bytes()).collect::<Vec<u8>>())
}

/// As [`fp16`], stored transposed: element (i, j) of `rows x cols` goes to index `j * rows + i`.
pub fn fp16_transposed(weights: &[f32], rows: usize, cols: usize) -> Result<Vec<u8>, BridgeError> {
    let turned: Vec<f32> = (0..cols).flat_map(|j| (0..rows).map(move |i| weights[i * cols + j])).collect();
    fp16(&turned)
}

/// A weight file of 8-bit integers.
pub fn int8(weights: &[i8]) -> Result<Vec<u8>, BridgeError> {
    file(DType::Int8, &weights.iter().map(|w| w.to_le_bytes()[0]).collect::<Vec<u8>>())
}

/// `weights`, rows of `cols`, rounded to 8-bit integers, and a scale a row.
///
/// # Errors
/// When a weight is not finite.
pub fn quantized(weights: &[f32], cols: usize) -> Result<(Vec<i8>, Vec<f32>), BridgeError> {
    let mut rounded = Vec::with_capacity(weights.len());
    let mut scales = Vec::with_capacity(weights.len() / cols.max(1));
    for (row, values) in weights.chunks(cols.max(1)).enumerate() {
        if let Some(column) = values.iter().position(|w| !w.is_finite()) {
            return Err(BridgeError::NotFinite { row, column, value: values[column] });
        }
        let scale = scale(values);
        // within -127..=127 but for rounding of the quotient; `as` saturates
        rounded.extend(values.iter().map(|w| (w / scale).round_ties_even().max(-127.0) as i8));
        scales.push(scale);
    }
    Ok((rounded, scales))
}

/// 1 for a row of zeros, which every scale fits; never 0, also where the largest weight is next to nothing.
fn scale(row: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    if largest == 0.0 { 1.0 } else { (largest / 127.0).max(f32::MIN_POSITIVE) }
}

/// A file of one record over `data`.
fn file(dtype: DType, data: &[u8]) -> Result<Vec<u8>, BridgeError> {
    let elements = data.len() * 8 / dtype.bits();
    Ok(mil::blob::single(&Type::new(dtype, &[elements]), data)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_a_row_bounds_the_error_of_each_row() {
        let weights = [1.0, -0.5, 0.25, 1000.0, -3.0, 500.0, 0.0, 0.0, 0.0, 1e-44, -1e-44, 0.0];
        let (q, scales) = quantized(&weights, 3).unwrap();
        assert_eq!(scales.len(), 4);
        assert_eq!(q[..3], [127, -64, 32]);
        assert_eq!((scales[2], &q[6..9]), (1.0, &[0i8, 0, 0][..]));
        for (i, w) in weights.iter().enumerate() {
            let back = scales[i / 3] * f32::from(q[i]);
            assert!((back - w).abs() <= 0.501 * scales[i / 3], "{w} came back as {back}");
        }
    }

    #[test]
    fn weights_that_are_no_numbers_are_refused_with_their_place() {
        let error = quantized(&[0.0, 1.0, 2.0, f32::INFINITY], 2).unwrap_err();
        assert_eq!(error, BridgeError::NotFinite { row: 1, column: 1, value: f32::INFINITY });
        assert!(quantized(&[f32::NAN], 1).is_err());
    }

    #[test]
    fn transposition_is_of_elements() {
        let data = |file: Vec<u8>| -> Vec<f32> {
            file[128..].chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        };
        let m = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(data(fp16(&m).unwrap()), m);
        assert_eq!(data(fp16_transposed(&m, 2, 3).unwrap()), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
