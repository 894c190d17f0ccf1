//! Products by an equation: `nchw,nwhu->nchu` names the axes; those that the result lacks are summed over.

use super::{Call, Inferred, shortened};
use crate::Type;

pub(super) fn einsum(call: &Call<'_>) -> Inferred {
    let equation = call.text("equation");
    let shown = || format!("`equation` must look like `nchw,nwhu->nchu`; it is `{}`", shortened(equation));
    let (terms, result) = equation.split_once("->").ok_or_else(shown)?;
    let terms: Vec<&str> = terms.split(',').take(3).map(str::trim).collect();
    let result = result.trim();
    let values = call.values("values");
    if terms.len() != values.len() || values.len() != 2 {
        return Err(format!("{} and name the axes of two values; {} are given", shown(), values.len()));
    }
    let mut extents = [0usize; 128];
    for (term, value) in terms.iter().zip(values) {
        if term.chars().count() != value.ty.shape.len() {
            return Err(format!("`{}` does not name the axes of {}", shortened(term), value.ty));
        }
        for (axis, &extent) in term.chars().zip(&value.ty.shape) {
            let known = extents.get_mut(axis as usize).filter(|_| axis.is_ascii_alphabetic()).ok_or_else(shown)?;
            match *known {
                0 => *known = extent,
                // an axis of 1 goes with any extent
                1 => *known = extent,
                other if other == extent || extent == 1 => {}
                other => return Err(format!("axis `{axis}` is {other} and {extent}")),
            }
        }
    }
    if values[0].ty.dtype != values[1].ty.dtype {
        return Err(format!("`values` must have one element type; they are {} and {}", values[0].ty, values[1].ty));
    }
    let extent = |c: char| extents.get(c as usize).copied().filter(|&e| e > 0);
    let shape: Option<Vec<usize>> = result.chars().map(extent).collect();
    let shape = shape.ok_or_else(|| format!("{}, with axes in the result that the values have", shown()))?;
    Ok(vec![Type { dtype: values[0].ty.dtype, shape }])
}
