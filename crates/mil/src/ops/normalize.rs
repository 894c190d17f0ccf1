//! Normalisations over axes or channels.

use super::elementwise::floats;
use super::shape::{axes_of, axis_of};
use super::{Call, Fallback, Inferred, Operation, constant, float, int, ints, tensor};
use crate::Type;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        "batch_norm",
        &[
            tensor("x"),
            constant("mean"),
            constant("variance"),
            constant("gamma").optional(),
            constant("beta").optional(),
            float("epsilon", 1e-5),
        ],
        per_channel,
    ),
    Operation::new(
        "instance_norm",
        &[tensor("x"), constant("gamma").optional(), constant("beta").optional(), float("epsilon", 1e-5)],
        per_channel,
    ),
    Operation::new("l2_norm", &[tensor("x"), float("epsilon", 1e-6)], of_space),
    Operation::new(
        "layer_norm",
        &[
            tensor("x"),
            ints("axes").optional(),
            constant("gamma").optional(),
            constant("beta").optional(),
            float("epsilon", 1e-5),
        ],
        layer_norm,
    ),
    Operation::new(
        "local_response_norm",
        &[tensor("x"), int("size"), float("alpha", 1e-4), float("beta", 0.75), float("k", 1.0)],
        of_space,
    ),
    Operation::new("softmax", &[tensor("x"), int("axis").or(Fallback::Int(-1))], along_axis),
];

/// The type of `x`, which has the axis.
fn along_axis(call: &Call<'_>) -> Inferred {
    let x = floats(call, "x")?;
    axis_of(call, "axis", x.shape.len())?;
    Ok(vec![x.clone()])
}

/// The type of `x`, which has channels and an axis of space.
fn of_space(call: &Call<'_>) -> Inferred {
    let x = floats(call, "x")?;
    if x.shape.len() < 3 { Err(format!("`x` must have rank 3 or more; it is {x}")) } else { Ok(vec![x.clone()]) }
}

/// Whether what is given for `names` has the element type of `x` and the shape `shape`.
fn agree(call: &Call<'_>, names: &[&str], x: &Type, shape: &[usize]) -> Result<(), String> {
    for name in names {
        if let Some(ty) = call.value(name).map(|v| v.ty).filter(|t| t.dtype != x.dtype || t.shape != shape) {
            return Err(format!("`{name}` must be {}; it is {ty}", Type::new(x.dtype, shape)));
        }
    }
    let epsilon = call.value("epsilon").map(|v| v.ty).filter(|t| t.dtype != x.dtype);
    epsilon.map_or(Ok(()), |ty| Err(format!("`epsilon` must be {} as `x` is; it is {ty}", x.dtype)))
}

/// `x` is `[n, c, ...]`, parameters are `[c]`.
fn per_channel(call: &Call<'_>) -> Inferred {
    of_space(call)?;
    let x = call.ty("x")?;
    agree(call, &["mean", "variance", "gamma", "beta"], x, &x.shape[1..2])?;
    Ok(vec![x.clone()])
}

/// Parameters have the extents of `x` along the axes.
fn layer_norm(call: &Call<'_>) -> Inferred {
    let x = floats(call, "x")?;
    let axes = match call.ints("axes") {
        Some(_) => axes_of(call, "axes", x.shape.len())?,
        None => (0..x.shape.len()).collect(),
    };
    let shape: Vec<usize> = axes.iter().map(|&a| x.shape[a]).collect();
    agree(call, &["gamma", "beta"], x, &shape)?;
    Ok(vec![x.clone()])
}
