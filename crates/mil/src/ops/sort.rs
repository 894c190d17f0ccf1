//! Order and running sums along an axis.

use super::shape::axis_of;
use super::{Call, Fallback, Inferred, Operation, Parameter, flag, int, tensor, text};
use crate::{DType, Type};

const X: Parameter = tensor("x");
const LAST: Parameter = int("axis").or(Fallback::Int(-1));
const ASCENDING: Parameter = flag("ascending", false);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("argsort", &[X, LAST, ASCENDING, text("output_dtype", "int32")], argsort),
    Operation::new("cumsum", &[X, int("axis").or(Fallback::Int(0)), flag("exclusive", false), flag("reverse", false)], cumsum),
    Operation::new(
        "topk",
        &[
            X,
            int("k").or(Fallback::Int(1)),
            LAST,
            ASCENDING,
            flag("sort", true),
            flag("return_indices", true),
            text("output_indices_dtype", "int32"),
        ],
        topk,
    ),
];

/// The type of indices that the text for `name` names.
pub(super) fn index_type(call: &Call<'_>, name: &str) -> Result<DType, String> {
    match call.text(name) {
        "int32" => Ok(DType::Int32),
        "uint16" => Ok(DType::Uint16),
        other => Err(format!("`{name}` is int32 or uint16; found `{}`", super::shortened(other))),
    }
}

fn argsort(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    axis_of(call, "axis", x.shape.len())?;
    Ok(vec![Type { dtype: index_type(call, "output_dtype")?, shape: x.shape.clone() }])
}

fn cumsum(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    axis_of(call, "axis", x.shape.len())?;
    if x.dtype == DType::Bool { Err(format!("`x` must hold numbers; it is {x}")) } else { Ok(vec![x.clone()]) }
}

/// The `k` largest, or smallest, and where they lie.
fn topk(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let axis = axis_of(call, "axis", x.shape.len())?;
    let (k, mut shape) = (call.int("k").unwrap_or_default(), x.shape.clone());
    let count = usize::try_from(k).ok().filter(|k| (1..=shape[axis]).contains(k));
    shape[axis] = count.ok_or_else(|| format!("axis {axis} of {x} has no {k} elements"))?;
    let indices = Type { dtype: index_type(call, "output_indices_dtype")?, shape: shape.clone() };
    let mut types = vec![Type { dtype: x.dtype, shape }];
    types.extend(call.flag("return_indices").then_some(indices));
    Ok(types)
}
