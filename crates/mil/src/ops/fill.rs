//! Tensors made of a number.

use super::{Call, Inferred, Operation, Opset, constant, int, ints, tensor};
use crate::{DType, Elements, Type};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("fill", &[ints("shape"), constant("value")], fill),
    Operation::new("fill_like", &[tensor("ref_tensor"), constant("value")], fill_like).since(Opset::Ios16),
    Operation::new(
        "random_uniform",
        &[ints("shape"), constant("low").optional(), constant("high").optional(), int("seed").optional()],
        random,
    ),
    Operation::new("range_1d", &[constant("start"), constant("end"), constant("step")], range),
];

/// Type of the number `value`.
fn number(call: &Call<'_>) -> Result<DType, String> {
    let ty = call.ty("value")?;
    if ty.shape.is_empty() { Ok(ty.dtype) } else { Err(format!("`value` must be a number; it is {ty}")) }
}

fn positive(call: &Call<'_>) -> Result<Vec<usize>, String> {
    let shape = call.ints("shape").unwrap_or_default().iter().map(|&e| usize::try_from(e).ok().filter(|&e| e > 0));
    shape.collect::<Option<Vec<_>>>().ok_or_else(|| "`shape` must hold positive numbers".to_owned())
}

fn fill(call: &Call<'_>) -> Inferred {
    Ok(vec![Type { dtype: number(call)?, shape: positive(call)? }])
}

/// Of the type of its bounds.
fn random(call: &Call<'_>) -> Inferred {
    let (low, high) = (call.value("low"), call.value("high"));
    let dtype = low.or(high).map_or(DType::Fp32, |v| v.ty.dtype);
    match low.iter().chain(&high).find(|v| v.ty.dtype != dtype || !v.ty.shape.is_empty() || !dtype.is_float()) {
        Some(v) => Err(format!("`low` and `high` must be floating-point numbers of one type; one is {}", v.ty)),
        None => Ok(vec![Type { dtype, shape: positive(call)? }]),
    }
}

fn fill_like(call: &Call<'_>) -> Inferred {
    Ok(vec![Type { dtype: number(call)?, shape: call.ty("ref_tensor")?.shape.clone() }])
}

/// Longest range.
const LONGEST: f64 = 4_294_967_296.0;

/// `start, start + step, ...` before `end`
fn range(call: &Call<'_>) -> Inferred {
    let value = |name: &str| {
        let literal = call.value(name).and_then(|v| v.literal).filter(|l| l.ty.shape.is_empty());
        let number = match literal.map(|l| &l.elements) {
            Some(Elements::Ints(values)) => values.first().map(|&v| v as f64),
            Some(Elements::Floats(values)) => values.first().copied(),
            _ => None,
        };
        number.ok_or_else(|| format!("`{name}` must be a number in the text"))
    };
    let (start, end, step) = (value("start")?, value("end")?, value("step")?);
    let (ty, others) = (call.ty("start")?, [call.ty("end")?, call.ty("step")?]);
    if others.iter().any(|t| *t != ty) {
        return Err(format!("`start`, `end` and `step` must have one type; they are {ty}, {}, {}", others[0], others[1]));
    }
    let count = ((end - start) / step).ceil();
    if (1.0..=LONGEST).contains(&count) {
        Ok(vec![Type::new(ty.dtype, &[count as usize])])
    } else {
        Err(format!("from {start} to {end} by {step} there is nothing, or too much"))
    }
}
