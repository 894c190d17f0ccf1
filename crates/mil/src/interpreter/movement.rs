//! Operations that move elements and compute nothing.

use super::RunError;
use super::call::{Call, Kernel};
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of an operation that moves elements.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "reshape" => reshape,
        "expand_dims" | "squeeze" | "flatten2d" => as_declared,
        "transpose" => transpose,
        "concat" => concat,
        "split" => split,
        "stack" => stack,
        "tile" => tile,
        _ => return None,
    })
}

/// What makes a vector out of vectors of one kind of element, whatever that kind is.
pub(super) trait Arrange {
    fn arrange<T: Clone + Default>(&self, parts: &[&[T]]) -> Vec<T>;
}

/// The elements of `parts`, which must be of one kind, arranged.
pub(super) fn arrange<F: Real>(call: &Call<'_, F>, parts: &[&Tensor<F>], how: &impl Arrange) -> Result<Data<F>, RunError> {
    let first = parts.first().ok_or_else(|| call.invalid("there is nothing to take elements of"))?;
    let mixed = || call.invalid("values are of different types");
    Ok(match &first.data {
        Data::Floats(_) => {
            let parts: Option<Vec<_>> =
                parts.iter().map(|p| if let Data::Floats(v) = &p.data { Some(&v[..]) } else { None }).collect();
            Data::Floats(how.arrange(&parts.ok_or_else(mixed)?))
        }
        Data::Ints(_) => {
            let parts: Option<Vec<_>> =
                parts.iter().map(|p| if let Data::Ints(v) = &p.data { Some(&v[..]) } else { None }).collect();
            Data::Ints(how.arrange(&parts.ok_or_else(mixed)?))
        }
        Data::Bools(_) => {
            let parts: Option<Vec<_>> =
                parts.iter().map(|p| if let Data::Bools(v) = &p.data { Some(&v[..]) } else { None }).collect();
            Data::Bools(how.arrange(&parts.ok_or_else(mixed)?))
        }
        Data::Strings(_) => return Err(call.invalid("texts cannot be moved")),
    })
}

/// The shape that `sizes` mean for `x`: 0 keeps an extent, -1 is what remains.
fn reshape<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let sizes = call.ints("shape")?.ok_or_else(|| call.invalid("parameter `shape` is missing"))?;
    let mut shape = Vec::with_capacity(sizes.len());
    for (i, size) in sizes.iter().enumerate() {
        shape.push(match size {
            -1 => 1,
            0 => x.ty.shape.get(i).copied().unwrap_or(0),
            size => usize::try_from(*size).map_err(|_| call.invalid(format!("an extent of {size}")))?,
        });
    }
    if let Some(open) = sizes.iter().position(|s| *s == -1) {
        let known = call.elements(&shape)?;
        shape[open] = x.data.len().checked_div(known).unwrap_or(0);
    }
    let count = call.elements(&shape)?;
    call.require(count == x.data.len(), || format!("{} elements do not fill {shape:?}", x.data.len()))?;
    call.moved(x.ty.dtype, &shape, x.data.clone())
}

/// The same elements in the shape that the program declares, which the checker has found to be the right one.
fn as_declared<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let shape = call.results.first().map_or(&x.ty.shape, |r| &r.ty.shape);
    call.moved(x.ty.dtype, shape, x.data.clone())
}

/// Elements at `start + Σ counter[i] * step[i]`, the last counter running fastest.
pub(super) struct Walk {
    pub shape: Vec<usize>,
    pub steps: Vec<isize>,
    pub start: usize,
}

impl Arrange for Walk {
    fn arrange<T: Clone + Default>(&self, parts: &[&[T]]) -> Vec<T> {
        let x = parts[0];
        let count: usize = self.shape.iter().product();
        let mut out = Vec::with_capacity(count);
        let Some((&n, outer)) = self.shape.split_last() else { return x[self.start..=self.start].to_vec() };
        let step = self.steps[outer.len()];
        let mut counters = vec![0; outer.len()];
        let mut at = self.start as isize;
        while out.len() < count {
            if step == 1 {
                out.extend_from_slice(&x[at as usize..at as usize + n]);
            } else {
                out.extend((0..n as isize).map(|i| x[(at + i * step) as usize].clone()));
            }
            for i in (0..outer.len()).rev() {
                counters[i] += 1;
                at += self.steps[i];
                if counters[i] < outer[i] {
                    break;
                }
                counters[i] = 0;
                at -= self.steps[i] * outer[i] as isize;
            }
        }
        out
    }
}

/// Elements from one index along each axis to the next.
pub(super) fn row_major(shape: &[usize]) -> Vec<isize> {
    let mut steps = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        steps[i - 1] = steps[i] * shape[i] as isize;
    }
    steps
}

/// Swaps the last two axes in squares that fit the cache.
struct Swap {
    outer: usize,
    rows: usize,
    cols: usize,
}

/// Side of a square.
const SQUARE: usize = 16;

impl Arrange for Swap {
    fn arrange<T: Clone + Default>(&self, parts: &[&[T]]) -> Vec<T> {
        let (rows, cols) = (self.rows, self.cols);
        let mut out = vec![T::default(); parts[0].len()];
        for (x, y) in parts[0].chunks_exact(rows * cols).zip(out.chunks_exact_mut(rows * cols)).take(self.outer) {
            for r0 in (0..rows).step_by(SQUARE) {
                for c0 in (0..cols).step_by(SQUARE) {
                    for c in c0..(c0 + SQUARE).min(cols) {
                        for r in r0..(r0 + SQUARE).min(rows) {
                            y[c * rows + r] = x[r * cols + c].clone();
                        }
                    }
                }
            }
        }
        out
    }
}

fn transpose<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let rank = x.ty.shape.len();
    let given = call.ints("perm")?.ok_or_else(|| call.invalid("parameter `perm` is missing"))?;
    let perm = given.iter().map(|a| call.place(*a, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    call.require(sorted == (0..rank).collect::<Vec<_>>(), || format!("{given:?} is no order of {rank} axes"))?;
    let shape: Vec<usize> = perm.iter().map(|p| x.ty.shape[*p]).collect();
    let steps = row_major(&x.ty.shape);
    let swaps = rank >= 2 && perm[..rank - 2] == sorted[..rank - 2] && perm[rank - 1] == rank - 2;
    let data = if x.data.is_empty() {
        x.data.clone()
    } else if swaps {
        let (rows, cols) = (x.ty.shape[rank - 2], x.ty.shape[rank - 1]);
        arrange(call, &[x], &Swap { outer: x.data.len() / (rows * cols), rows, cols })?
    } else {
        arrange(call, &[x], &Walk { steps: perm.iter().map(|p| steps[*p]).collect(), shape: shape.clone(), start: 0 })?
    };
    call.moved(x.ty.dtype, &shape, data)
}

/// One run of each part after the other, over and over.
struct Join {
    outer: usize,
    runs: Vec<usize>,
}

impl Arrange for Join {
    fn arrange<T: Clone + Default>(&self, parts: &[&[T]]) -> Vec<T> {
        let mut out = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
        for i in 0..self.outer {
            for (part, run) in parts.iter().zip(&self.runs) {
                out.extend_from_slice(&part[i * run..(i + 1) * run]);
            }
        }
        out
    }
}

fn concat<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let parts = call.many("values");
    let first = parts.first().ok_or_else(|| call.invalid("parameter `values` is missing"))?;
    let rank = first.ty.shape.len();
    let axis = call.axis("axis", 0, rank)?;
    let interleaved = call.flag("interleave", false)?;
    let alike = |t: &&Tensor<F>| -> bool {
        let others = |i: usize| i == axis && !interleaved || t.ty.shape[i] == first.ty.shape[i];
        t.ty.dtype == first.ty.dtype && t.ty.shape.len() == rank && (0..rank).all(others)
    };
    call.require(parts.iter().all(alike), || "shapes differ besides the axis".to_owned())?;
    let mut shape = first.ty.shape.clone();
    shape[axis] = parts.iter().map(|t| t.ty.shape[axis]).sum();
    call.elements(&shape)?;
    let inner: usize = shape[axis + 1..].iter().product();
    let before: usize = shape[..axis].iter().product();
    let join = if interleaved {
        Join { outer: before * first.ty.shape[axis], runs: vec![inner; parts.len()] }
    } else {
        Join { outer: before, runs: parts.iter().map(|t| t.ty.shape[axis] * inner).collect() }
    };
    call.moved(first.ty.dtype, &shape, arrange(call, parts, &join)?)
}

/// A new axis along which `values` lie.
fn stack<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let parts = call.many("values");
    let first = parts.first().ok_or_else(|| call.invalid("parameter `values` is missing"))?;
    call.require(parts.iter().all(|t| t.ty == first.ty), || "values differ in type".to_owned())?;
    let axis = call.axis("axis", 0, first.ty.shape.len() + 1)?;
    let mut shape = first.ty.shape.clone();
    shape.insert(axis, parts.len());
    call.elements(&shape)?;
    let inner: usize = first.ty.shape[axis..].iter().product();
    let join = Join { outer: first.ty.shape[..axis].iter().product(), runs: vec![inner; parts.len()] };
    call.moved(first.ty.dtype, &shape, arrange(call, parts, &join)?)
}

/// The part of `x` from `begin` to `begin + size` along `axis`.
fn part<F: Real>(call: &Call<'_, F>, x: &Tensor<F>, axis: usize, begin: usize, size: usize) -> Result<Tensor<F>, RunError> {
    let mut shape = x.ty.shape.clone();
    shape[axis] = size;
    let steps = row_major(&x.ty.shape);
    let walk = Walk { start: begin * steps[axis] as usize, shape: shape.clone(), steps };
    let data = arrange(call, &[x], &walk)?;
    let mut parts = call.moved(x.ty.dtype, &shape, data)?;
    parts.pop().ok_or_else(|| call.invalid("no part"))
}

fn split<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let axis = call.axis("axis", 0, x.ty.shape.len())?;
    let extent = x.ty.shape[axis];
    let sizes = match (call.sizes("split_sizes")?, call.sizes("num_splits")?.and_then(|v| v.first().copied())) {
        (Some(sizes), _) => sizes,
        (None, Some(n)) if n > 0 && extent % n == 0 => vec![extent / n; n],
        _ => return Err(call.invalid("`num_splits` must divide the extent")),
    };
    let total = sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(*size));
    call.require(total == Some(extent), || format!("{sizes:?} do not add up to {extent}"))?;
    let mut begin = 0;
    let mut parts = Vec::new();
    for size in sizes {
        parts.push(part(call, x, axis, begin, size)?);
        begin += size;
    }
    Ok(parts)
}

/// Elements by their place in the first part.
pub(super) struct Pick(pub Vec<usize>);

impl Arrange for Pick {
    fn arrange<T: Clone + Default>(&self, parts: &[&[T]]) -> Vec<T> {
        self.0.iter().map(|i| parts[0][*i].clone()).collect()
    }
}

/// Repeats each axis.
fn tile<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let reps = call.sizes("reps")?.ok_or_else(|| call.invalid("parameter `reps` is missing"))?;
    call.require(reps.len() == x.ty.shape.len(), || format!("{} repetitions of {} axes", reps.len(), x.ty.shape.len()))?;
    let grown = x.ty.shape.iter().zip(&reps).map(|(extent, n)| extent.checked_mul(*n));
    let shape: Vec<usize> = grown.collect::<Option<_>>().ok_or_else(|| call.invalid("the result is too large"))?;
    call.elements(&shape)?;
    let steps = row_major(&x.ty.shape);
    let mut places = vec![0usize];
    for ((extent, n), step) in x.ty.shape.iter().zip(&reps).zip(steps) {
        let along = |p: usize| (0..extent * n).map(move |i| p + i % extent * step as usize);
        places = places.into_iter().flat_map(along).collect();
    }
    call.moved(x.ty.dtype, &shape, arrange(call, &[x], &Pick(places))?)
}
