//! Constants that are stored small and made large when the program is compiled. Their parameters are attributes.

use super::quantize::scales;
use super::{Call, Inferred, Kind, Operation, Opset, constant, int, ints, parameter};
use crate::{DType, Type};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        "constexpr_affine_dequantize",
        &[constant("quantized_data"), constant("scale"), constant("zero_point"), int("axis")],
        affine,
    )
    .since(Opset::Ios16),
    Operation::new(
        "constexpr_blockwise_shift_scale",
        &[constant("data"), constant("scale"), constant("offset").optional()],
        blockwise,
    )
    .since(Opset::Ios18),
    Operation::new("constexpr_cast", &[constant("source_val"), parameter("output_dtype", Kind::Text)], cast).since(Opset::Ios16),
    Operation::new("constexpr_lut_to_dense", &[constant("indices"), constant("lut"), ints("shape")], palette).since(Opset::Ios16),
    Operation::new("constexpr_sparse_to_dense", &[constant("nonzero_data"), constant("mask"), ints("shape")], sparse)
        .since(Opset::Ios16),
];

/// `scale (quantized_data - zero_point)`
fn affine(call: &Call<'_>) -> Inferred {
    let data = call.ty("quantized_data")?;
    if !matches!(data.dtype, DType::Int8 | DType::Uint8) {
        return Err(format!("`quantized_data` must be int8 or uint8; it is {data}"));
    }
    scales(call, data, &[data.dtype, DType::Fp32])?;
    Ok(vec![Type { dtype: call.ty("scale")?.dtype, shape: data.shape.clone() }])
}

/// `scale[b] (data - offset[b])`, with a scale a block of `data.shape / scale.shape` elements.
fn blockwise(call: &Call<'_>) -> Inferred {
    let (data, scale) = (call.ty("data")?, call.ty("scale")?);
    if data.dtype.bits() > 16 || matches!(data.dtype, DType::Bool) || !matches!(scale.dtype, DType::Fp16 | DType::Fp32) {
        return Err(format!("`data` must hold 4 to 16 bits an element, `scale` fp16 or fp32; they are {data} and {scale}"));
    }
    let divides = |(&d, &s): (&usize, &usize)| s > 0 && d % s == 0;
    if data.shape.len() != scale.shape.len() || !data.shape.iter().zip(&scale.shape).all(divides) {
        return Err(format!("every extent of `scale` must divide that of `data`; they are {scale} and {data}"));
    }
    if let Some(offset) = call.value("offset").filter(|o| o.ty.shape != scale.shape || o.ty.dtype != data.dtype) {
        return Err(format!("`offset` must be {}; it is {}", Type { dtype: data.dtype, shape: scale.shape.clone() }, offset.ty));
    }
    Ok(vec![Type { dtype: scale.dtype, shape: data.shape.clone() }])
}

fn cast(call: &Call<'_>) -> Inferred {
    let source = call.ty("source_val")?;
    match (source.dtype, call.text("output_dtype")) {
        (DType::Fp16, "fp32") => Ok(vec![Type { dtype: DType::Fp32, shape: source.shape.clone() }]),
        (_, other) => Err(format!("it makes fp32 of fp16; found `{}` of {source}", super::shortened(other))),
    }
}

/// The shape that is given, and how many elements it has.
fn dense(call: &Call<'_>) -> Result<(Vec<usize>, usize), String> {
    let shape = call.ints("shape").unwrap_or_default().iter().map(|&e| usize::try_from(e).ok().filter(|&e| e > 0));
    let shape = shape.collect::<Option<Vec<_>>>().ok_or("`shape` must hold positive numbers")?;
    let count = shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e)).ok_or("`shape` is too large")?;
    Ok((shape, count))
}

/// Bytes of `bits` bits an element, which begin with the lowest.
fn packed(call: &Call<'_>, name: &str, count: usize, bits: usize) -> Result<(), String> {
    let ty = call.ty(name)?;
    let bytes = count.checked_mul(bits).map(|n| n.div_ceil(8));
    if ty.dtype == DType::Uint8 && ty.shape.len() == 1 && ty.elements() == bytes {
        return Ok(());
    }
    Err(format!("`{name}` must be uint8 with {bits} bits for each of {count} elements; it is {ty}"))
}

/// Elements by their index in a table.
fn palette(call: &Call<'_>) -> Inferred {
    let (lut, (shape, count)) = (call.ty("lut")?, dense(call)?);
    let bits = match lut.shape[..] {
        [2] => 1,
        [4] => 2,
        [16] => 4,
        [64] => 6,
        [256] => 8,
        _ => return Err(format!("`lut` must be a vector of 2, 4, 16, 64 or 256; it is {lut}")),
    };
    packed(call, "indices", count, bits)?;
    Ok(vec![Type { dtype: lut.dtype, shape }])
}

/// Elements where a bit of the mask says so, zeros elsewhere.
fn sparse(call: &Call<'_>) -> Inferred {
    let (data, (shape, count)) = (call.ty("nonzero_data")?, dense(call)?);
    packed(call, "mask", count, 1)?;
    if data.shape.len() != 1 || data.shape[0] > count {
        return Err(format!("`nonzero_data` must be a vector of at most {count} elements; it is {data}"));
    }
    Ok(vec![Type { dtype: data.dtype, shape }])
}
