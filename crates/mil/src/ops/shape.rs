//! Operations that move elements without computing: reshape, transpose, slices, joins.

use super::{Call, Fallback, Inferred, Kind, Operation, flag, int, ints, parameter, tensor};
use crate::Type;
use crate::check::RANK;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("concat", &[parameter("values", Kind::Tensors), int("axis"), flag("interleave", false)], concat),
    Operation::new("expand_dims", &[tensor("x"), ints("axes")], expand_dims),
    Operation::new("flatten2d", &[tensor("x"), int("axis").or(Fallback::Int(1))], flatten),
    Operation::new("reshape", &[tensor("x"), ints("shape")], reshape),
    Operation::new("shape", &[tensor("x")], extents),
    Operation::new("squeeze", &[tensor("x"), ints("axes").optional()], squeeze),
    Operation::new(
        "split",
        &[tensor("x"), int("num_splits").optional(), ints("split_sizes").optional(), int("axis").or(Fallback::Int(0))],
        split,
    ),
    Operation::new("stack", &[parameter("values", Kind::Tensors), int("axis")], stack),
    Operation::new("transpose", &[tensor("x"), ints("perm")], transpose),
];

/// `axis`, which may count from the end, as an index below `rank`.
pub(super) fn axis(name: &str, axis: i64, rank: usize) -> Result<usize, String> {
    let signed = rank as i64;
    let index = if axis < 0 { axis.saturating_add(signed) } else { axis };
    if (0..signed).contains(&index) { Ok(index as usize) } else { Err(format!("`{name}` is {axis}: the rank is {rank}")) }
}

/// The axis given for `name`.
pub(super) fn axis_of(call: &Call<'_>, name: &str, rank: usize) -> Result<usize, String> {
    axis(name, call.int(name).unwrap_or_default(), rank)
}

/// The axes given for `name`, each once.
pub(super) fn axes_of(call: &Call<'_>, name: &str, rank: usize) -> Result<Vec<usize>, String> {
    let given = call.ints(name).unwrap_or_default();
    if given.len() > rank || rank > RANK {
        return Err(format!("`{name}` holds {} axes: the rank is {rank}", given.len()));
    }
    let axes: Vec<usize> = given.iter().map(|&a| axis(name, a, rank)).collect::<Result<_, _>>()?;
    match axes.iter().enumerate().find(|(i, a)| axes[..*i].contains(a)) {
        Some((_, twice)) => Err(format!("`{name}` holds axis {twice} twice")),
        None => Ok(axes),
    }
}

fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent))
}

/// `-1` stands for what is left over, `0` for the extent of `x` at that place.
fn reshape(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let wanted = call.ints("shape").unwrap_or_default();
    let wrong = || format!("{x} cannot be given the shape {}", listed(wanted));
    let mut shape = Vec::with_capacity(wanted.len());
    for (i, &extent) in wanted.iter().enumerate() {
        shape.push(match extent {
            -1 => 1,
            0 => *x.shape.get(i).ok_or_else(wrong)?,
            _ => usize::try_from(extent).map_err(|_| wrong())?,
        });
    }
    let (have, mut got) = (x.elements().ok_or_else(wrong)?, count(&shape).ok_or_else(wrong)?);
    let mut open = wanted.iter().enumerate().filter(|(_, e)| **e == -1).map(|(i, _)| i);
    match (open.next(), open.next()) {
        (Some(_), Some(_)) => return Err(format!("`shape` holds -1 twice: {}", listed(wanted))),
        (Some(i), None) if got > 0 => {
            shape[i] = have / got;
            got *= shape[i];
        }
        _ => {}
    }
    if have != got {
        return Err(format!("{}: {have} elements are not {got}", wrong()));
    }
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// A vector for a message, shortened where it is long.
pub(super) fn listed(values: &[i64]) -> String {
    if values.len() <= 8 { format!("{values:?}") } else { format!("{:?} and {} more", &values[..8], values.len() - 8) }
}

fn transpose(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let perm = axes_of(call, "perm", x.shape.len())?;
    if perm.len() != x.shape.len() {
        return Err(format!("`perm` holds {} axes; `x` is {x}", perm.len()));
    }
    Ok(vec![Type { dtype: x.dtype, shape: perm.iter().map(|&a| x.shape[a]).collect() }])
}

/// The values of a tuple, all of one element type and rank.
fn alike<'a>(call: &Call<'a>) -> Result<Vec<&'a Type>, String> {
    let types: Vec<&Type> = call.values("values").iter().map(|v| v.ty).collect();
    let first = types.first().ok_or("`values` is empty")?;
    match types.iter().find(|t| t.dtype != first.dtype || t.shape.len() != first.shape.len()) {
        Some(other) => Err(format!("`values` must have one element type and rank; they hold {first} and {other}")),
        None => Ok(types),
    }
}

fn concat(call: &Call<'_>) -> Inferred {
    let types = alike(call)?;
    let first = types[0];
    let axis = axis_of(call, "axis", first.shape.len())?;
    let apart =
        |t: &&&Type| t.shape.iter().enumerate().any(|(i, &e)| e != first.shape[i] && (i != axis || call.flag("interleave")));
    if let Some(other) = types.iter().find(apart) {
        let except = if call.flag("interleave") { "" } else { " except on the axis" };
        return Err(format!("`values` must have one shape{except}; they hold {first} and {other}, axis {axis}"));
    }
    let mut shape = first.shape.clone();
    let sum = types.iter().try_fold(0usize, |n, t| n.checked_add(t.shape[axis]));
    shape[axis] = sum.ok_or("the axis grows beyond what can be counted")?;
    Ok(vec![Type { dtype: first.dtype, shape }])
}

fn stack(call: &Call<'_>) -> Inferred {
    let types = alike(call)?;
    let first = types[0];
    if let Some(other) = types.iter().find(|t| t.shape != first.shape) {
        return Err(format!("`values` must have one shape; they hold {first} and {other}"));
    }
    let axis = axis_of(call, "axis", first.shape.len() + 1)?;
    let mut shape = first.shape.clone();
    shape.insert(axis, types.len());
    Ok(vec![Type { dtype: first.dtype, shape }])
}

/// The axes before `axis` as one, the others as one.
fn flatten(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let axis = axis_of(call, "axis", x.shape.len() + 1)?;
    let (rows, columns) = x.shape.split_at(axis);
    match (count(rows), count(columns)) {
        (Some(rows), Some(columns)) => Ok(vec![Type::new(x.dtype, &[rows, columns])]),
        _ => Err(format!("{x} has too many elements")),
    }
}

/// A vector with the extents.
fn extents(call: &Call<'_>) -> Inferred {
    Ok(vec![Type::new(crate::DType::Int32, &[call.ty("x")?.shape.len()])])
}

/// Axes count in the result.
fn expand_dims(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let more = call.ints("axes").unwrap_or_default().len();
    let mut axes = axes_of(call, "axes", x.shape.len() + more)?;
    axes.sort_unstable();
    let mut shape = x.shape.clone();
    axes.into_iter().for_each(|axis| shape.insert(axis, 1));
    Ok(vec![Type { dtype: x.dtype, shape }])
}

/// Without axes, all of extent 1 go.
fn squeeze(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let axes = match call.ints("axes") {
        Some(_) => axes_of(call, "axes", x.shape.len())?,
        None => (0..x.shape.len()).filter(|&a| x.shape[a] == 1).collect(),
    };
    if let Some(axis) = axes.iter().find(|&&a| x.shape[a] != 1) {
        return Err(format!("axis {axis} of {x} is not 1"));
    }
    let kept = (0..x.shape.len()).filter(|a| !axes.contains(a));
    Ok(vec![Type { dtype: x.dtype, shape: kept.map(|a| x.shape[a]).collect() }])
}

/// Most parts that a tensor is split into.
const PARTS: usize = 65_536;

fn split(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let axis = axis_of(call, "axis", x.shape.len())?;
    let extent = x.shape[axis];
    let sizes: Vec<usize> = match (call.ints("split_sizes"), call.int("num_splits")) {
        (Some(sizes), _) => sizes.iter().filter_map(|&s| usize::try_from(s).ok().filter(|&s| s > 0)).collect(),
        (None, Some(parts)) => {
            let parts = usize::try_from(parts).ok().filter(|&p| p > 0 && p <= PARTS && extent % p == 0);
            let parts = parts.ok_or_else(|| format!("axis {axis} of {x} cannot be split into equal parts that many"))?;
            vec![extent / parts; parts]
        }
        (None, None) => return Err("`num_splits` or `split_sizes` is missing".into()),
    };
    let given = call.ints("split_sizes").map_or(sizes.len(), <[i64]>::len);
    let total = sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s));
    if given != sizes.len() || total != Some(extent) || call.int("num_splits").is_some_and(|n| n != given as i64) {
        return Err(format!("`split_sizes` must be positive, be `num_splits` many, and add up to {extent}, axis {axis} of {x}"));
    }
    let part = |size| {
        let mut shape = x.shape.clone();
        shape[axis] = size;
        Type { dtype: x.dtype, shape }
    };
    Ok(sizes.into_iter().map(part).collect())
}
