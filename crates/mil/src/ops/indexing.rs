//! Elements taken from, and put at, places that are values themselves.

use super::shape::axis_of;
use super::{Call, Fallback, Inferred, Operation, Parameter, constant, flag, int, tensor, text};
use crate::{DType, Type};

const X: Parameter = tensor("x");
const DATA: Parameter = tensor("data");
const INDICES: Parameter = tensor("indices");
const UPDATES: Parameter = tensor("updates");
const AXIS: Parameter = int("axis").or(Fallback::Int(0));
const BATCH: Parameter = int("batch_dims").or(Fallback::Int(0));
const VALIDATE: Parameter = flag("validate_indices", false);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("band_part", &[X, int("lower").or(Fallback::Int(-1)), int("upper").or(Fallback::Int(-1))], matrices),
    Operation::new("gather", &[X, INDICES, AXIS, BATCH, VALIDATE], gather),
    Operation::new("gather_along_axis", &[X, INDICES, AXIS, VALIDATE], gather_along_axis),
    Operation::new("gather_nd", &[X, INDICES, BATCH, VALIDATE], gather_nd),
    Operation::new(
        "one_hot",
        &[INDICES, int("one_hot_vector_size"), AXIS, constant("on_value").optional(), constant("off_value").optional()],
        one_hot,
    ),
    Operation::new("scatter", &[DATA, INDICES, UPDATES, AXIS, text("mode", "add"), VALIDATE], scatter),
    Operation::new("scatter_along_axis", &[DATA, INDICES, UPDATES, AXIS, text("mode", "add"), VALIDATE], scatter_along_axis),
    Operation::new("scatter_nd", &[DATA, INDICES, UPDATES, text("mode", "add"), VALIDATE], scatter_nd),
];

/// The type of a tensor of matrices.
fn matrices(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    if x.shape.len() < 2 { Err(format!("`x` must hold matrices; it is {x}")) } else { Ok(vec![x.clone()]) }
}

/// The type of `indices`, which are integers.
fn indices<'a>(call: &Call<'a>) -> Result<&'a Type, String> {
    let ty = call.ty("indices")?;
    let integers = !ty.dtype.is_float() && ty.dtype != DType::Bool;
    if integers { Ok(ty) } else { Err(format!("`indices` must be integers; it is {ty}")) }
}

/// How many first axes `x` and `indices` share.
fn batch(call: &Call<'_>, x: &Type, indices: &Type) -> Result<usize, String> {
    let same = |b: &usize| x.shape.get(..*b).is_some_and(|s| indices.shape.get(..*b) == Some(s));
    let batch = call.int("batch_dims").and_then(|b| usize::try_from(b).ok()).filter(same);
    batch.ok_or_else(|| format!("`batch_dims` first axes of {x} and {indices} must agree"))
}

/// `[..., n, ...]` and indices of any shape: the indices' shape in place of the axis.
fn gather(call: &Call<'_>) -> Inferred {
    let (x, indices) = (call.ty("x")?, indices(call)?);
    let (axis, batch) = (axis_of(call, "axis", x.shape.len())?, batch(call, x, indices)?);
    if batch > axis {
        return Err(format!("`batch_dims` is {batch}: those axes must lie before axis {axis}"));
    }
    let shape = [&x.shape[..axis], &indices.shape[batch..], &x.shape[axis + 1..]].concat();
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// Whether `a` and `b` have one shape but for `axis`.
fn alike_but(a: &Type, b: &Type, axis: usize) -> Result<(), String> {
    let alike = a.shape.len() == b.shape.len() && (0..a.shape.len()).all(|i| i == axis || a.shape[i] == b.shape[i]);
    if alike { Ok(()) } else { Err(format!("{a} and {b} must have one shape but for axis {axis}")) }
}

/// An index an element of the result.
fn gather_along_axis(call: &Call<'_>) -> Inferred {
    let (x, indices) = (call.ty("x")?, indices(call)?);
    alike_but(x, indices, axis_of(call, "axis", x.shape.len())?)?;
    Ok(vec![Type { dtype: x.dtype, shape: indices.shape.clone() }])
}

/// Shape that the last axis of `indices` selects from `x`: the other axes of `indices`, then the axes of `x` not indexed.
fn selected(x: &Type, indices: &Type, batch: usize) -> Result<Vec<usize>, String> {
    let wrong = || format!("the last axis of `indices` must not be longer than `x` has axes; they are {indices} and {x}");
    let (&depth, outer) = indices.shape.split_last().ok_or_else(wrong)?;
    let rest = batch.checked_add(depth).and_then(|from| x.shape.get(from..)).filter(|_| batch <= outer.len());
    Ok([outer, rest.ok_or_else(wrong)?].concat())
}

fn gather_nd(call: &Call<'_>) -> Inferred {
    let (x, indices) = (call.ty("x")?, indices(call)?);
    let shape = selected(x, indices, batch(call, x, indices)?)?;
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// A new axis that is one where the index says.
fn one_hot(call: &Call<'_>) -> Inferred {
    let indices = indices(call)?;
    let axis = axis_of(call, "axis", indices.shape.len() + 1)?;
    let size = call.int("one_hot_vector_size").and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let mut shape = indices.shape.clone();
    shape.insert(axis, size.ok_or("`one_hot_vector_size` must be positive")?);
    let (on, off) = (call.value("on_value"), call.value("off_value"));
    let dtype = on.or(off).map_or(DType::Int32, |v| v.ty.dtype);
    match on.iter().chain(&off).find(|v| v.ty.dtype != dtype || !v.ty.shape.is_empty()) {
        Some(v) => Err(format!("`on_value` and `off_value` must be numbers of one type; one is {}", v.ty)),
        None => Ok(vec![Type { dtype, shape }]),
    }
}

/// The type of `data`, when `updates` has the shape `shape`.
fn updated(call: &Call<'_>, shape: &[usize]) -> Inferred {
    const MODES: [&str; 7] = ["add", "div", "max", "min", "mul", "sub", "update"];
    let (data, updates, mode) = (call.ty("data")?, call.ty("updates")?, call.text("mode"));
    if !MODES.contains(&mode) {
        return Err(format!("`mode` is one of {}; found `{}`", MODES.join(", "), super::shortened(mode)));
    }
    if updates.dtype != data.dtype || updates.shape != shape {
        return Err(format!("`updates` must be {}; it is {updates}", Type::new(data.dtype, shape)));
    }
    Ok(vec![data.clone()])
}

fn scatter(call: &Call<'_>) -> Inferred {
    let (data, indices) = (call.ty("data")?, indices(call)?);
    let axis = axis_of(call, "axis", data.shape.len())?;
    updated(call, &[&data.shape[..axis], indices.shape.as_slice(), &data.shape[axis + 1..]].concat())
}

fn scatter_along_axis(call: &Call<'_>) -> Inferred {
    let (data, indices) = (call.ty("data")?, indices(call)?);
    alike_but(data, indices, axis_of(call, "axis", data.shape.len())?)?;
    updated(call, &indices.shape)
}

fn scatter_nd(call: &Call<'_>) -> Inferred {
    updated(call, &selected(call.ty("data")?, indices(call)?, 0)?)
}
