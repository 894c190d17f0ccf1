//! Operations of one or two tensors, element by element, with NumPy's broadcasting between two.

use super::{Call, Inferred, Operation, float, tensor};
use crate::{DType, Type};

const X: &[super::Parameter] = &[tensor("x")];
const XY: &[super::Parameter] = &[tensor("x"), tensor("y")];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("abs", X, same),
    Operation::new("acos", X, float_same),
    Operation::new("acosh", X, float_same),
    Operation::new("add", XY, arithmetic),
    Operation::new("asin", X, float_same),
    Operation::new("asinh", X, float_same),
    Operation::new("atan", X, float_same),
    Operation::new("atanh", X, float_same),
    Operation::new("ceil", X, float_same),
    Operation::new("clip", &[tensor("x"), float("alpha", f64::MIN), float("beta", f64::MAX)], float_same),
    Operation::new("cos", X, float_same),
    Operation::new("cosh", X, float_same),
    Operation::new("equal", XY, comparison),
    Operation::new("erf", X, float_same),
    Operation::new("exp", X, float_same),
    Operation::new("exp2", X, float_same),
    Operation::new("floor", X, float_same),
    Operation::new("floor_div", XY, arithmetic),
    Operation::new("greater", XY, comparison),
    Operation::new("greater_equal", XY, comparison),
    Operation::new("identity", X, any_same),
    Operation::new("inverse", &[tensor("x"), float("epsilon", 1e-4)], float_same),
    Operation::new("less", XY, comparison),
    Operation::new("less_equal", XY, comparison),
    Operation::new("log", &[tensor("x"), float("epsilon", 1e-45)], float_same),
    Operation::new("logical_and", XY, logical),
    Operation::new("logical_not", X, logical_not),
    Operation::new("logical_or", XY, logical),
    Operation::new("logical_xor", XY, logical),
    Operation::new("maximum", XY, arithmetic),
    Operation::new("minimum", XY, arithmetic),
    Operation::new("mod", XY, arithmetic),
    Operation::new("mul", XY, arithmetic),
    Operation::new("not_equal", XY, comparison),
    Operation::new("pow", XY, arithmetic),
    Operation::new("real_div", XY, arithmetic),
    Operation::new("round", X, float_same),
    Operation::new("rsqrt", &[tensor("x"), float("epsilon", 1e-12)], float_same),
    Operation::new("select", &[tensor("cond"), tensor("a"), tensor("b")], select),
    Operation::new("sign", X, same),
    Operation::new("sin", X, float_same),
    Operation::new("sinh", X, float_same),
    Operation::new("sqrt", X, float_same),
    Operation::new("square", X, same),
    Operation::new("sub", XY, arithmetic),
    Operation::new("tan", X, float_same),
    Operation::new("threshold", &[tensor("x"), float("alpha", f64::MIN)], float_same),
];

fn any_same(call: &Call<'_>) -> Inferred {
    Ok(vec![call.ty("x")?.clone()])
}

/// The type of a tensor of numbers.
fn same(call: &Call<'_>) -> Inferred {
    let ty = call.ty("x")?;
    if ty.dtype == DType::Bool { Err(format!("`x` must hold numbers; it is {ty}")) } else { Ok(vec![ty.clone()]) }
}

/// The type of `x`, which is floating-point, as are the numbers beside it.
pub(super) fn float_same(call: &Call<'_>) -> Inferred {
    let x = floats(call, "x")?;
    match call.numbers().find(|(_, ty)| ty.dtype != x.dtype) {
        Some((name, ty)) => Err(format!("`{name}` must be {} as `x` is; it is {ty}", x.dtype)),
        None => Ok(vec![x.clone()]),
    }
}

/// The type of a floating-point argument.
pub(super) fn floats<'a>(call: &Call<'a>, name: &str) -> Result<&'a Type, String> {
    let ty = call.ty(name)?;
    if ty.dtype.is_float() { Ok(ty) } else { Err(format!("`{name}` must be floating-point; it is {ty}")) }
}

/// Two arguments of one element type, and the shape of both together.
fn pair<'a>(call: &Call<'a>, a: &str, b: &str) -> Result<(&'a Type, Type), String> {
    let (x, y) = (call.ty(a)?, call.ty(b)?);
    if x.dtype != y.dtype {
        return Err(format!("`{a}` is {x} and `{b}` is {y}: element types are not converted; `cast` one of them"));
    }
    let shape = broadcast(&x.shape, &y.shape).ok_or_else(|| format!("shapes do not go together: `{a}` is {x}, `{b}` is {y}"))?;
    Ok((x, Type { dtype: x.dtype, shape }))
}

fn arithmetic(call: &Call<'_>) -> Inferred {
    let (x, ty) = pair(call, "x", "y")?;
    if x.dtype == DType::Bool { Err(format!("`x` must hold numbers; it is {x}")) } else { Ok(vec![ty]) }
}

fn comparison(call: &Call<'_>) -> Inferred {
    let (_, ty) = pair(call, "x", "y")?;
    Ok(vec![Type { dtype: DType::Bool, ..ty }])
}

fn logical(call: &Call<'_>) -> Inferred {
    let (x, ty) = pair(call, "x", "y")?;
    if x.dtype == DType::Bool { Ok(vec![ty]) } else { Err(format!("`x` must hold truth values; it is {x}")) }
}

fn logical_not(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    if x.dtype == DType::Bool { Ok(vec![x.clone()]) } else { Err(format!("`x` must hold truth values; it is {x}")) }
}

fn select(call: &Call<'_>) -> Inferred {
    let condition = call.ty("cond")?;
    if condition.dtype != DType::Bool {
        return Err(format!("`cond` must hold truth values; it is {condition}"));
    }
    let (_, ty) = pair(call, "a", "b")?;
    let shape = broadcast(&condition.shape, &ty.shape);
    let shape = shape.ok_or_else(|| format!("shapes do not go together: `cond` is {condition}, `a` and `b` are {ty}"))?;
    Ok(vec![Type { dtype: ty.dtype, shape }])
}

/// Shape of two tensors of shapes `a` and `b` together: aligned at the last axis, extents equal or one of them 1.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let extent = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    let together = |axis| match (extent(a, axis), extent(b, axis)) {
        (x, y) if x == y || y == 1 => Some(x),
        (1, y) => Some(y),
        _ => None,
    };
    (0..rank).map(together).collect()
}
