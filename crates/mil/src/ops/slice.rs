//! Parts of tensors, and tensors made larger by what they hold.

use super::linear::positive;
use super::shape::{axes_of, axis_of};
use super::{Call, Fallback, Inferred, Kind, Operation, Opset, Parameter, int, ints, parameter, tensor, text};
use crate::Type;

const fn flags(name: &'static str) -> Parameter {
    parameter(name, Kind::Bools).optional()
}

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("crop", &[tensor("x"), ints("crop_height"), ints("crop_width")], crop),
    Operation::new("pad", &[tensor("x"), ints("pad"), text("mode", "constant"), tensor("constant_val").optional()], pad),
    Operation::new("reverse", &[tensor("x"), ints("axes").optional()], reverse),
    Operation::new(
        "slice_by_index",
        &[
            tensor("x"),
            ints("begin"),
            ints("end"),
            ints("stride").optional(),
            flags("begin_mask"),
            flags("end_mask"),
            flags("squeeze_mask"),
        ],
        slice_by_index,
    ),
    Operation::new(
        "reverse_sequence",
        &[tensor("x"), tensor("lengths"), int("seq_axis").or(Fallback::Int(0)), int("batch_axis").or(Fallback::Int(0))],
        reverse_sequence,
    ),
    Operation::new("slice_by_size", &[tensor("x"), ints("begin"), ints("size")], slice_by_size),
    Operation::new(
        "slice_update",
        &[
            tensor("x"),
            tensor("update"),
            ints("begin"),
            ints("end"),
            ints("stride").optional(),
            flags("begin_mask"),
            flags("end_mask"),
            flags("squeeze_mask"),
        ],
        slice_update,
    )
    .since(Opset::Ios18),
    Operation::new("sliding_windows", &[tensor("x"), int("axis"), int("size"), int("stride").or(Fallback::Int(1))], windows),
    Operation::new("tile", &[tensor("x"), ints("reps")], tile),
];

/// Size -1 stands for the rest of the axis.
fn slice_by_size(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let (begin, size) = (call.ints("begin").unwrap_or_default(), call.ints("size").unwrap_or_default());
    if begin.len() != x.shape.len() || size.len() != x.shape.len() {
        return Err(format!("`begin` holds {} and `size` {} numbers; `x` is {x}", begin.len(), size.len()));
    }
    let extent = |axis: usize| {
        let (from, take, extent) = (begin[axis], size[axis], x.shape[axis]);
        let rest = usize::try_from(from).ok().and_then(|from| extent.checked_sub(from));
        let taken = if take == -1 { rest } else { usize::try_from(take).ok().filter(|&t| rest.is_some_and(|rest| t <= rest)) };
        taken.filter(|&t| t > 0).ok_or_else(|| format!("axis {axis} of {x} has no {take} elements from {from} on"))
    };
    let shape = (0..x.shape.len()).map(extent).collect::<Result<_, _>>()?;
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// What a slice takes of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// First index.
    pub begin: usize,
    /// Distance of one to the next.
    pub stride: i64,
    /// How many.
    pub count: usize,
    /// Whether the axis goes.
    pub squeezed: bool,
}

/// What `begin`, `end`, `stride` and the masks of a slice by index take of a tensor of `shape`.
///
/// Negative places count from the end; a mask stands for the end of the axis in the direction of the stride.
pub(crate) fn ranges(call: &Call<'_>, shape: &[usize]) -> Result<Vec<Range>, String> {
    let rank = shape.len();
    for name in ["begin", "end", "stride"] {
        if let Some(values) = call.ints(name).filter(|v| v.len() != rank) {
            return Err(format!("`{name}` holds {} numbers; the rank is {rank}", values.len()));
        }
    }
    for name in ["begin_mask", "end_mask", "squeeze_mask"] {
        if let Some(values) = call.flags(name).filter(|v| v.len() != rank) {
            return Err(format!("`{name}` holds {} truth values; the rank is {rank}", values.len()));
        }
    }
    (0..rank).map(|axis| range(call, axis, shape[axis])).collect()
}

fn range(call: &Call<'_>, axis: usize, extent: usize) -> Result<Range, String> {
    let number = |name: &str, default| call.ints(name).map_or(default, |v| v[axis]);
    let masked = |name: &str| call.flags(name).is_some_and(|v| v[axis]);
    let (begin, end, stride) = (number("begin", 0), number("end", 0), number("stride", 1));
    let extent = i64::try_from(extent).unwrap_or(i64::MAX);
    if stride == 0 {
        return Err(format!("`stride` is 0 for axis {axis}"));
    }
    // as NumPy has it: a place beyond an end is that end
    let (low, high) = if stride > 0 { (0, extent) } else { (-1, extent - 1) };
    let place = |p: i64| (if p < 0 { p.saturating_add(extent) } else { p }).clamp(low, high);
    if masked("squeeze_mask") {
        let index = if begin < 0 { begin.saturating_add(extent) } else { begin };
        let index = if masked("begin_mask") { 0 } else { index };
        return match usize::try_from(index) {
            Ok(begin) if index < extent => Ok(Range { begin, stride: 1, count: 1, squeezed: true }),
            _ => Err(format!("index {begin} of axis {axis} lies outside its {extent} elements")),
        };
    }
    let from = if masked("begin_mask") { if stride > 0 { low } else { high } } else { place(begin) };
    let to = if masked("end_mask") { if stride > 0 { high } else { low } } else { place(end) };
    let distance = if stride > 0 { to - from } else { from - to };
    let count = if distance > 0 { (distance as u64).div_ceil(stride.unsigned_abs()) } else { 0 };
    match (usize::try_from(from), usize::try_from(count)) {
        (Ok(begin), Ok(count)) if count > 0 => Ok(Range { begin, stride, count, squeezed: false }),
        _ => Err(format!("nothing lies from {begin} to {end} by {stride} in axis {axis}, which has {extent}")),
    }
}

fn slice_by_index(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let taken = ranges(call, &x.shape)?;
    let shape = taken.iter().filter(|r| !r.squeezed).map(|r| r.count).collect();
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// `x` with `update` in place of a slice.
fn slice_update(call: &Call<'_>) -> Inferred {
    let (x, update) = (call.ty("x")?, call.ty("update")?);
    let taken = ranges(call, &x.shape)?;
    let shape: Vec<usize> = taken.iter().filter(|r| !r.squeezed).map(|r| r.count).collect();
    if update.dtype != x.dtype || update.shape != shape {
        return Err(format!("`update` must be {}; it is {update}", Type { dtype: x.dtype, shape }));
    }
    Ok(vec![x.clone()])
}

/// `pad` holds what comes before and after each of the last axes.
fn pad(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let pad = call.ints("pad").unwrap_or_default();
    let first = x.shape.len().checked_sub(pad.len() / 2).filter(|_| pad.len().is_multiple_of(2));
    let first = first.ok_or_else(|| format!("`pad` holds {} numbers, two an axis; `x` is {x}", pad.len()))?;
    let mode = call.text("mode");
    if !["constant", "reflect", "replicate"].contains(&mode) {
        return Err(format!("`mode` is constant, reflect or replicate; found `{}`", super::shortened(mode)));
    }
    if let Some(value) = call.value("constant_val").filter(|v| v.ty.dtype != x.dtype || !v.ty.shape.is_empty()) {
        return Err(format!("`constant_val` must be {}; it is {}", x.dtype, value.ty));
    }
    let mut shape = x.shape.clone();
    for (axis, sides) in pad.chunks_exact(2).enumerate() {
        let extent = &mut shape[first + axis];
        for &side in sides {
            let side = usize::try_from(side).map_err(|_| format!("`pad` holds {side}: it must not be negative"))?;
            if mode == "reflect" && side >= x.shape[first + axis] {
                return Err(format!("reflecting {side} elements needs more than {} of them", x.shape[first + axis]));
            }
            *extent = extent.checked_add(side).ok_or("the axis grows beyond what can be counted")?;
        }
    }
    Ok(vec![Type { dtype: x.dtype, shape }])
}

fn reverse(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    axes_of(call, "axes", x.shape.len())?;
    Ok(vec![x.clone()])
}

/// Each sequence of a batch has a length of its own.
fn reverse_sequence(call: &Call<'_>) -> Inferred {
    let (x, lengths) = (call.ty("x")?, call.ty("lengths")?);
    axis_of(call, "seq_axis", x.shape.len())?;
    let batch = axis_of(call, "batch_axis", x.shape.len())?;
    if lengths.shape != [x.shape[batch]] {
        return Err(format!("`lengths` must hold a number for each of axis {batch} of {x}; it is {lengths}"));
    }
    Ok(vec![x.clone()])
}

/// `[..., n, ...]` to `[..., windows, size, ...]`.
fn windows(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let axis = axis_of(call, "axis", x.shape.len())?;
    let positive = |name: &str| call.int(name).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
    let (size, stride) = positive("size").zip(positive("stride")).ok_or("`size` and `stride` must be positive")?;
    let free = x.shape[axis].checked_sub(size).ok_or_else(|| format!("axis {axis} of {x} has no {size} elements"))?;
    let mut shape = x.shape.clone();
    shape.splice(axis..=axis, [free / stride + 1, size]);
    Ok(vec![Type { dtype: x.dtype, shape }])
}

fn tile(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let reps = positive(call, "reps", x.shape.len())?;
    let shape: Option<Vec<usize>> = x.shape.iter().zip(&reps).map(|(&e, &n)| e.checked_mul(n)).collect();
    let shape = shape.ok_or_else(|| format!("{x} repeated {reps:?} times is too large"))?;
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// `[n, c, h, w]` without rows and columns at its edges.
fn crop(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let mut shape = x.shape.clone();
    let [.., h, w] = shape.as_mut_slice() else { return Err(format!("`x` must be [n, c, h, w]; it is {x}")) };
    for (extent, name) in [(h, "crop_height"), (w, "crop_width")] {
        let [before, after] = call.ints(name).unwrap_or_default() else { return Err(format!("`{name}` holds two numbers")) };
        let sides = [*before, *after].map(usize::try_from);
        let left = sides.into_iter().try_fold(*extent, |left, side| left.checked_sub(side.ok()?));
        *extent = left.filter(|&n| n > 0).ok_or_else(|| format!("`{name}` leaves nothing of {x}"))?;
    }
    Ok(vec![Type { dtype: x.dtype, shape }])
}
