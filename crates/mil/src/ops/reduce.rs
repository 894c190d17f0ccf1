//! Reductions along axes.

use super::shape::{axes_of, axis_of};
use super::sort::index_type;
use super::{Call, Fallback, Inferred, Operation, Parameter, flag, int, ints, tensor, text};
use crate::{DType, Type};

const OVER: &[Parameter] = &[tensor("x"), ints("axes").optional(), flag("keep_dims", false)];
const PLACE: &[Parameter] =
    &[tensor("x"), int("axis").or(Fallback::Int(-1)), flag("keep_dims", false), text("output_dtype", "int32")];

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("reduce_argmax", PLACE, place),
    Operation::new("reduce_argmin", PLACE, place),
    Operation::new("reduce_l1_norm", OVER, reduce),
    Operation::new("reduce_l2_norm", OVER, reduce),
    Operation::new("reduce_log_sum", OVER, reduce),
    Operation::new("reduce_log_sum_exp", OVER, reduce),
    Operation::new("reduce_max", OVER, reduce),
    Operation::new("reduce_mean", OVER, reduce),
    Operation::new("reduce_min", OVER, reduce),
    Operation::new("reduce_prod", OVER, reduce),
    Operation::new("reduce_sum", OVER, reduce),
    Operation::new("reduce_sum_square", OVER, reduce),
];

/// `shape` without `axes`, or with 1 in their place.
fn without(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let reduced = |axis: usize| axes.contains(&axis);
    let kept = shape.iter().enumerate().map(|(axis, &extent)| (reduced(axis), if reduced(axis) { 1 } else { extent }));
    kept.filter(|(reduced, _)| keep || !reduced).map(|(_, extent)| extent).collect()
}

fn reduce(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    if x.dtype == DType::Bool {
        return Err(format!("`x` must hold numbers; it is {x}"));
    }
    let axes = match call.ints("axes") {
        Some(_) => axes_of(call, "axes", x.shape.len())?,
        None => (0..x.shape.len()).collect(),
    };
    Ok(vec![Type { dtype: x.dtype, shape: without(&x.shape, &axes, call.flag("keep_dims")) }])
}

/// Where the largest or smallest element lies.
fn place(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let axis = axis_of(call, "axis", x.shape.len())?;
    let dtype = index_type(call, "output_dtype")?;
    Ok(vec![Type { dtype, shape: without(&x.shape, &[axis], call.flag("keep_dims")) }])
}
