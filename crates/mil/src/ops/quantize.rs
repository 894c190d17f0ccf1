//! Constants, conversions of element types, quantisation.

use super::shape::axis;
use super::{Call, Inferred, Kind, Operation, Opset, constant, int, parameter, tensor};
use crate::{DType, Type};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("const", &[parameter("val", Kind::Literal)], value),
    Operation::new("cast", &[tensor("x"), parameter("dtype", Kind::Text)], cast),
    Operation::new(
        "dequantize",
        &[tensor("input"), constant("scale"), constant("zero_point").optional(), int("axis").optional()],
        dequantize,
    )
    .since(Opset::Ios17),
    Operation::new(
        "quantize",
        &[
            tensor("input"),
            constant("scale"),
            constant("zero_point").optional(),
            int("axis").optional(),
            parameter("output_dtype", Kind::Text),
        ],
        quantize,
    )
    .since(Opset::Ios17),
];

fn value(call: &Call<'_>) -> Inferred {
    Ok(vec![call.ty("val")?.clone()])
}

/// The type that the text for `name` names, one of `allowed`.
fn named(call: &Call<'_>, name: &str, allowed: &[DType]) -> Result<DType, String> {
    let text = call.text(name);
    DType::of_name(text).filter(|t| allowed.contains(t)).ok_or_else(|| {
        let names: Vec<&str> = allowed.iter().map(|t| t.name()).collect();
        format!("`{name}` is one of {}; found `{}`", names.join(", "), super::shortened(text))
    })
}

const CASTS: &[DType] =
    &[DType::Fp16, DType::Fp32, DType::Int8, DType::Uint8, DType::Int16, DType::Uint16, DType::Int32, DType::Bool];

fn cast(call: &Call<'_>) -> Inferred {
    let dtype = named(call, "dtype", CASTS)?;
    Ok(vec![Type { dtype, shape: call.ty("x")?.shape.clone() }])
}

const BYTES: &[DType] = &[DType::Int8, DType::Uint8];

/// A scale for the whole tensor, or one an index along `axis`; so is the zero point, of type `zero`.
pub(super) fn scales(call: &Call<'_>, data: &Type, zero: &[DType]) -> Result<(), String> {
    let along = call.int("axis").map(|a| axis("axis", a, data.shape.len())).transpose()?;
    for name in ["scale", "zero_point"] {
        let Some(ty) = call.value(name).map(|v| v.ty) else { continue };
        let fits = match (ty.shape.as_slice(), along) {
            ([], _) => true,
            ([n], Some(axis)) => *n == data.shape[axis],
            ([_], None) => return Err(format!("`{name}` is {ty}: a vector needs `axis`")),
            _ => false,
        };
        if !fits {
            return Err(format!("`{name}` must be a number, or a vector as long as axis {along:?} of {data}; it is {ty}"));
        }
        if name == "zero_point" && !zero.contains(&ty.dtype) {
            return Err(format!("`zero_point` is {ty}; it must have the type of the quantised elements"));
        }
    }
    let scale = call.ty("scale")?;
    if matches!(scale.dtype, DType::Fp16 | DType::Fp32) {
        Ok(())
    } else {
        Err(format!("`scale` must be fp16 or fp32; it is {scale}"))
    }
}

/// `clip(round(input / scale) + zero_point)`
fn quantize(call: &Call<'_>) -> Inferred {
    let (input, scale) = (call.ty("input")?, call.ty("scale")?);
    if !input.dtype.is_float() || input.dtype != scale.dtype {
        return Err(format!("`input` and `scale` must have one floating-point type; they are {input} and {scale}"));
    }
    let dtype = named(call, "output_dtype", BYTES)?;
    scales(call, input, &[dtype])?;
    Ok(vec![Type { dtype, shape: input.shape.clone() }])
}

/// `scale (input - zero_point)`
fn dequantize(call: &Call<'_>) -> Inferred {
    let input = call.ty("input")?;
    if !BYTES.contains(&input.dtype) {
        return Err(format!("`input` must be int8 or uint8; it is {input}"));
    }
    scales(call, input, &[input.dtype])?;
    Ok(vec![Type { dtype: call.ty("scale")?.dtype, shape: input.shape.clone() }])
}
