//! Normalisations over axes.

use super::elementwise::floats;
use super::shape::axis_of;
use super::{Call, Fallback, Inferred, Operation, int, tensor};

pub(super) const OPERATIONS: &[Operation] =
    &[Operation::new("softmax", &[tensor("x"), int("axis").or(Fallback::Int(-1))], along_axis)];

/// The type of `x`, which has the axis.
fn along_axis(call: &Call<'_>) -> Inferred {
    let x = floats(call, "x")?;
    axis_of(call, "axis", x.shape.len())?;
    Ok(vec![x.clone()])
}
