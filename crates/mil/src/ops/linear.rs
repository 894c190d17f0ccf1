//! Products of matrices and convolutions.

use super::elementwise::{broadcast, floats};
use super::{Call, Fallback, Inferred, Kind, Operation, Opset, flag, int, ints, parameter, tensor, text};
use crate::{DType, Type};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        "conv",
        &[
            tensor("x"),
            tensor("weight"),
            tensor("bias").optional(),
            ints("strides").optional(),
            text("pad_type", "valid"),
            ints("pad").optional(),
            ints("dilations").optional(),
            int("groups").or(Fallback::Int(1)),
        ],
        conv,
    ),
    Operation::new(
        "conv_transpose",
        &[
            tensor("x"),
            tensor("weight"),
            tensor("bias").optional(),
            ints("strides").optional(),
            text("pad_type", "valid"),
            ints("pad").optional(),
            ints("dilations").optional(),
            int("groups").or(Fallback::Int(1)),
            ints("output_shape").optional(),
        ],
        conv_transpose,
    ),
    Operation::new("einsum", &[parameter("values", Kind::Tensors), text("equation", "")], super::einsum::einsum),
    Operation::new("linear", &[tensor("x"), tensor("weight"), tensor("bias").optional()], linear),
    Operation::new("matmul", &[tensor("x"), tensor("y"), flag("transpose_x", false), flag("transpose_y", false)], matmul),
    Operation::new(
        "scaled_dot_product_attention",
        &[tensor("query"), tensor("key"), tensor("value"), tensor("attn_mask").optional()],
        attention,
    )
    .since(Opset::Ios18),
];

/// `[n, cin, d...]` and `[cout, cin / groups, k...]` to `[n, cout, out...]`.
fn conv(call: &Call<'_>) -> Inferred {
    let (x, weight) = (floats(call, "x")?, one_type(call, "x", "weight")?);
    let rank = x.shape.len();
    if !(3..=5).contains(&rank) || weight.shape.len() != rank {
        return Err(format!("`x` and `weight` must have one rank of 3 to 5; they are {x} and {weight}"));
    }
    let groups = groups(call)?;
    let (cin, cout) = (x.shape[1], weight.shape[0]);
    if weight.shape[1].checked_mul(groups) != Some(cin) || cout % groups != 0 {
        let expected = format!("`weight` must be [cout, {cin} / groups, ...] with `groups` dividing both");
        return Err(format!("{expected}; it is {weight} with groups {groups} and `x` is {x}"));
    }
    bias(call, x.dtype, cout)?;
    let window = Window::of(call, &weight.shape[2..])?;
    let mut shape = vec![x.shape[0], cout];
    shape.extend(window.out(&x.shape[2..])?);
    Ok(vec![Type { dtype: x.dtype, shape }])
}

fn groups(call: &Call<'_>) -> Result<usize, String> {
    let groups = call.int("groups").and_then(|g| usize::try_from(g).ok()).filter(|&g| g > 0);
    groups.ok_or_else(|| "`groups` must be 1 or more".to_owned())
}

/// `[n, cin, d...]` and `[cin, cout / groups, k...]` to `[n, cout, out...]`.
fn conv_transpose(call: &Call<'_>) -> Inferred {
    let (x, weight) = (floats(call, "x")?, one_type(call, "x", "weight")?);
    let (rank, groups) = (x.shape.len(), groups(call)?);
    let fits = (3..=5).contains(&rank) && weight.shape.len() == rank && weight.shape[0] == x.shape[1];
    let cout = weight.shape.get(1).and_then(|c| c.checked_mul(groups)).filter(|_| fits && x.shape[1] % groups == 0);
    let wrong = || format!("`weight` must be [cin, cout / groups, ...]; it is {weight} with groups {groups} and `x` is {x}");
    let cout = cout.ok_or_else(wrong)?;
    bias(call, x.dtype, cout)?;
    let mut shape = vec![x.shape[0], cout];
    shape.extend(Window::of(call, &weight.shape[2..])?.back(&x.shape[2..])?);
    let agrees = |s: &[i64]| s.len() == rank && s.iter().zip(&shape).all(|(&s, &e)| usize::try_from(s) == Ok(e));
    if call.ints("output_shape").is_some_and(|s| !agrees(s)) {
        return Err(format!("`output_shape` does not agree with the shape {shape:?} that the other arguments give"));
    }
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// What `name` is, when it has the element type of `x`.
fn one_type<'a>(call: &Call<'a>, x: &str, name: &str) -> Result<&'a Type, String> {
    let (first, ty) = (call.ty(x)?, call.ty(name)?);
    if first.dtype == ty.dtype { Ok(ty) } else { Err(format!("`{x}` is {first} and `{name}` is {ty}: element types must agree")) }
}

fn bias(call: &Call<'_>, dtype: DType, channels: usize) -> Result<(), String> {
    match call.value("bias").filter(|b| b.ty.dtype != dtype || b.ty.shape != [channels]) {
        Some(bias) => Err(format!("`bias` must be tensor<{dtype}, [{channels}]>, an element an output; it is {}", bias.ty)),
        None => Ok(()),
    }
}

/// A window that moves over the spatial axes.
pub(super) struct Window {
    kernel: Vec<usize>,
    strides: Vec<usize>,
    dilations: Vec<usize>,
    pad: Vec<usize>,
    same: bool,
}

impl Window {
    /// The window of extents `kernel` that `strides`, `dilations`, `pad_type` and `pad` describe.
    pub(super) fn of(call: &Call<'_>, kernel: &[usize]) -> Result<Window, String> {
        let axes = kernel.len();
        if kernel.contains(&0) {
            return Err(format!("the window has extents {kernel:?}: none may be 0"));
        }
        let strides = positive(call, "strides", axes)?;
        let dilations = positive(call, "dilations", axes)?;
        let (same, custom) = match call.text("pad_type") {
            "valid" => (false, false),
            "custom" => (false, true),
            "same" | "same_lower" => (true, false),
            other => return Err(format!("`pad_type` is valid, custom, same or same_lower; found `{}`", super::shortened(other))),
        };
        let pad = match call.ints("pad") {
            Some(pad) if pad.len() != 2 * axes => {
                return Err(format!("`pad` must hold {} numbers, before and after each axis; it holds {}", 2 * axes, pad.len()));
            }
            Some(pad) if custom => {
                pad.iter().map(|&p| usize::try_from(p)).collect::<Result<_, _>>().map_err(|_| "`pad` is negative")?
            }
            None if custom => return Err("`pad` is missing: `pad_type` custom needs it".into()),
            _ => vec![0; 2 * axes],
        };
        Ok(Window { kernel: kernel.to_vec(), strides, dilations, pad, same })
    }

    /// Extents of what it makes of `input`.
    pub(super) fn out(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        input.iter().enumerate().map(|(axis, &extent)| self.out_axis(axis, extent)).collect()
    }

    /// Extents of what gives `input` when the window moves over it.
    fn back(&self, input: &[usize]) -> Result<Vec<usize>, String> {
        let axis = |(axis, &extent): (usize, &usize)| {
            if self.same {
                return extent.checked_mul(self.strides[axis]);
            }
            let moved = extent.checked_sub(1)?.checked_mul(self.strides[axis])?;
            let covered = (self.kernel[axis] - 1).checked_mul(self.dilations[axis])?.checked_add(1)?;
            let whole = moved.checked_add(covered)?.checked_sub(self.pad[2 * axis])?.checked_sub(self.pad[2 * axis + 1])?;
            Some(whole).filter(|&e| e > 0)
        };
        let extents: Option<Vec<usize>> = input.iter().enumerate().map(axis).collect();
        extents.ok_or_else(|| "the padding leaves nothing".to_owned())
    }

    fn out_axis(&self, axis: usize, extent: usize) -> Result<usize, String> {
        let stride = self.strides[axis];
        if self.same {
            return Ok(extent.div_ceil(stride));
        }
        let padded = || extent.checked_add(self.pad[2 * axis])?.checked_add(self.pad[2 * axis + 1]);
        let covered = || (self.kernel[axis] - 1).checked_mul(self.dilations[axis])?.checked_add(1);
        let free = padded().zip(covered()).and_then(|(padded, covered)| padded.checked_sub(covered));
        free.map(|free| free / stride + 1)
            .ok_or_else(|| format!("the window of {} does not fit spatial axis {axis}, which has {extent}", self.kernel[axis]))
    }
}

/// `axes` positive numbers; ones where nothing is given.
pub(super) fn positive(call: &Call<'_>, name: &str, axes: usize) -> Result<Vec<usize>, String> {
    let Some(values) = call.ints(name) else { return Ok(vec![1; axes]) };
    let numbers: Vec<usize> = values.iter().filter_map(|&v| usize::try_from(v).ok().filter(|&v| v > 0)).collect();
    if values.len() == axes && numbers.len() == axes {
        return Ok(numbers);
    }
    Err(format!("`{name}` must hold {axes} positive numbers, one a spatial axis; it holds {} in all", values.len()))
}

/// `y = x W^T + b`: `[..., in]` and `[out, in]` to `[..., out]`.
fn linear(call: &Call<'_>) -> Inferred {
    let (x, weight) = (floats(call, "x")?, one_type(call, "x", "weight")?);
    let (Some((&inner, outer)), [out, columns]) = (x.shape.split_last(), weight.shape.as_slice()) else {
        return Err(format!("`x` must be [..., in] and `weight` [out, in]; they are {x} and {weight}"));
    };
    if inner != *columns {
        return Err(format!("`x` ends in {inner} and `weight` in {columns}: they must agree; they are {x} and {weight}"));
    }
    bias(call, x.dtype, *out)?;
    let mut shape = outer.to_vec();
    shape.push(*out);
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// A matrix and the axes before it; a vector counts as a matrix with one row, or, on the right, one column.
fn matrix(ty: &Type, transposed: bool, right: bool) -> Option<(&[usize], usize, usize)> {
    match ty.shape.as_slice() {
        [] => None,
        [n] => Some(if right { (&[], *n, 1) } else { (&[], 1, *n) }),
        [batch @ .., a, b] => Some(if transposed { (batch, *b, *a) } else { (batch, *a, *b) }),
    }
}

/// `[..., m, k]` and `[..., k, n]` to `[..., m, n]`.
fn matmul(call: &Call<'_>) -> Inferred {
    let (x, y) = (call.ty("x")?, one_type(call, "x", "y")?);
    if x.dtype == DType::Bool {
        return Err(format!("`x` must hold numbers; it is {x}"));
    }
    let (left, right) = (matrix(x, call.flag("transpose_x"), false), matrix(y, call.flag("transpose_y"), true));
    let (Some((xb, m, k)), Some((yb, k2, n))) = (left, right) else {
        return Err(format!("`x` and `y` must be vectors or matrices; they are {x} and {y}"));
    };
    if k != k2 {
        let flags = format!("transpose_x {}, transpose_y {}", call.flag("transpose_x"), call.flag("transpose_y"));
        return Err(format!("`x` has {k} columns and `y` has {k2} rows: they must agree; they are {x} and {y} with {flags}"));
    }
    let batch = broadcast(xb, yb);
    let mut shape = batch.ok_or_else(|| format!("the axes before the matrices do not go together: {x} and {y}"))?;
    shape.extend((x.shape.len() > 1).then_some(m));
    shape.extend((y.shape.len() > 1).then_some(n));
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// `query [b, *, l, e]`, `key [b, *, s, e]`, `value [b, *, s, ev]` to `[b, *, l, ev]`.
fn attention(call: &Call<'_>) -> Inferred {
    let query = floats(call, "query")?;
    let (key, value) = (one_type(call, "query", "key")?, one_type(call, "query", "value")?);
    let wrong = || {
        format!("`query`, `key` and `value` must be [b, *, l, e], [b, *, s, e], [b, *, s, ev]; they are {query}, {key}, {value}")
    };
    let rows = |ty: &'_ Type| ty.shape.len().checked_sub(2).filter(|&n| n > 0).ok_or_else(wrong);
    let (q, k, v) = (rows(query)?, rows(key)?, rows(value)?);
    let leading = query.shape[..q] == key.shape[..k] && key.shape[..k] == value.shape[..v];
    if !leading || query.shape[q + 1] != key.shape[k + 1] || key.shape[k] != value.shape[v] {
        return Err(wrong());
    }
    if let Some(mask) = call.value("attn_mask") {
        let scores: Vec<usize> = [&query.shape[..=q], &[key.shape[k]]].concat();
        let fits = broadcast(&mask.ty.shape, &scores).is_some_and(|s| s == scores);
        if !fits || (mask.ty.dtype != DType::Bool && mask.ty.dtype != query.dtype) {
            return Err(format!("`attn_mask` must be bool or {} and broadcast to {scores:?}; it is {}", query.dtype, mask.ty));
        }
    }
    let mut shape = query.shape.clone();
    shape[q + 1] = value.shape[v + 1];
    Ok(vec![Type { dtype: query.dtype, shape }])
}
