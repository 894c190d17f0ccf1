//! Slices.

use super::RunError;
use super::call::{Call, Kernel};
use super::movement::{Walk, arrange, row_major};
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of a slicing operation.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "slice_by_size" => by_size,
        "slice_by_index" => by_index,
        _ => return None,
    })
}

/// One axis of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    /// First index.
    pub begin: usize,
    /// How many elements.
    pub size: usize,
    /// From one index to the next.
    pub step: isize,
}

/// Largest magnitude that passes the multiplication by 16 of an engine that slices along its rows.
const MOST_SLICED: f64 = 4094.0;

/// The part of `x` that `ranges` say, without the axes that are squeezed.
pub(super) fn slice<F: Real>(call: &Call<'_, F>, x: &Tensor<F>, ranges: &[Range], squeezed: &[bool]) -> Outcome<F> {
    let shape: Vec<usize> = ranges.iter().map(|r| r.size).collect();
    let steps = row_major(&x.ty.shape);
    let kept: Vec<usize> = shape.iter().zip(squeezed).filter(|(_, s)| !**s).map(|(n, _)| *n).collect();
    call.elements(&shape)?;
    let walk = Walk {
        start: ranges.iter().zip(&steps).map(|(r, s)| r.begin * *s as usize).sum(),
        steps: ranges.iter().zip(&steps).map(|(r, s)| r.step * s).collect(),
        shape: shape.clone(),
    };
    let mut data = if shape.contains(&0) { empty(&x.data) } else { arrange(call, &[x], &walk)? };
    let shifted = ranges.last().is_some_and(|r| r.begin != 0);
    if let (Data::Floats(values), true) = (&mut data, shifted && call.numerics.slice_gain) {
        let limit = F::of(MOST_SLICED);
        let overflow = |x: F| {
            if x > limit {
                F::of(f64::INFINITY)
            } else if x < -limit {
                F::of(f64::NEG_INFINITY)
            } else {
                x
            }
        };
        values.iter_mut().for_each(|x| *x = overflow(*x));
    }
    call.moved(x.ty.dtype, &kept, data)
}

fn empty<F>(data: &Data<F>) -> Data<F> {
    match data {
        Data::Floats(_) => Data::Floats(Vec::new()),
        Data::Ints(_) => Data::Ints(Vec::new()),
        Data::Bools(_) => Data::Bools(Vec::new()),
        Data::Strings(_) => Data::Strings(Vec::new()),
    }
}

/// `size` elements from `begin` on along each axis; -1 is all that remain.
fn by_size<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let rank = x.ty.shape.len();
    let begin = call.ints("begin")?.filter(|v| v.len() == rank);
    let size = call.ints("size")?.filter(|v| v.len() == rank);
    let (Some(begin), Some(size)) = (begin, size) else {
        return Err(call.invalid(format!("`begin` and `size` take {rank} numbers")));
    };
    let mut ranges = Vec::with_capacity(rank);
    for ((extent, begin), size) in x.ty.shape.iter().zip(begin).zip(size) {
        let outside = || call.invalid(format!("{size} elements from {begin} on of {extent}"));
        let from = if *begin < 0 { begin.checked_add(*extent as i64) } else { Some(*begin) };
        let from = from.and_then(|b| usize::try_from(b).ok()).filter(|b| b <= extent).ok_or_else(outside)?;
        let count = if *size == -1 { Some(extent - from) } else { usize::try_from(*size).ok() };
        let count = count.filter(|n| *n <= extent - from).ok_or_else(outside)?;
        ranges.push(Range { begin: from, size: count, step: 1 });
    }
    slice(call, x, &ranges, &vec![false; rank])
}

/// NumPy's `x[begin:end:stride]`.
fn by_index<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let (ranges, squeezed) = index_ranges(call, &x.ty.shape)?;
    slice(call, x, &ranges, &squeezed)
}

/// What `begin`, `end`, `stride` and the masks take of each axis, and which axes go.
pub(super) fn index_ranges<F: Real>(call: &Call<'_, F>, shape: &[usize]) -> Result<(Vec<Range>, Vec<bool>), RunError> {
    let rank = shape.len();
    let numbers = |name: &str, default: i64| -> Result<Vec<i64>, RunError> {
        let given = call.ints(name)?.map_or(vec![default; rank], <[i64]>::to_vec);
        if given.len() == rank { Ok(given) } else { Err(call.invalid(format!("`{name}` takes {rank} numbers"))) }
    };
    let masks = |name: &str| -> Result<Vec<bool>, RunError> {
        let given = call.flags(name)?.map_or(vec![false; rank], <[bool]>::to_vec);
        if given.len() == rank { Ok(given) } else { Err(call.invalid(format!("`{name}` takes {rank} truth values"))) }
    };
    let (begin, end, stride) = (numbers("begin", 0)?, numbers("end", 0)?, numbers("stride", 1)?);
    let (begin_mask, end_mask, squeezed) = (masks("begin_mask")?, masks("end_mask")?, masks("squeeze_mask")?);
    let mut ranges = Vec::with_capacity(rank);
    for i in 0..rank {
        let extent = shape[i];
        if squeezed[i] {
            let begin = if begin_mask[i] { 0 } else { begin[i] };
            ranges.push(Range { begin: call.place(begin, extent)?, size: 1, step: 1 });
            continue;
        }
        let from = (!begin_mask[i]).then_some(begin[i]);
        let to = (!end_mask[i]).then_some(end[i]);
        call.require(stride[i] != 0, || "a stride of 0".to_owned())?;
        ranges.push(range(extent as i64, from, to, stride[i]));
    }
    Ok((ranges, squeezed))
}

/// As Python resolves `begin:end:step` for a sequence of `extent` elements.
fn range(extent: i64, begin: Option<i64>, end: Option<i64>, step: i64) -> Range {
    let (low, high) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
    let resolve = |i: i64| if i < 0 { i.saturating_add(extent).max(low) } else { i.min(high) };
    let from = begin.map_or(if step > 0 { low } else { high }, resolve);
    let to = end.map_or(if step > 0 { high } else { low }, resolve);
    let distance = if step > 0 { to - from } else { from - to };
    let size = if distance > 0 { (distance as u64).div_ceil(step.unsigned_abs()) as usize } else { 0 };
    Range { begin: from.max(0) as usize, size, step: step as isize }
}
