//! Tensors cut, padded, filled, and elements picked by index.

use super::RunError;
use super::call::{Call, Kernel};
use super::movement::{Arrange, Pick, arrange, row_major};
use super::slice::{Range, index_ranges, slice};
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of an operation that takes parts of tensors.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "crop" => crop,
        "gather" => gather,
        "pad" => pad,
        "reverse" => reverse,
        "slice_update" => slice_update,
        "fill" => |c| {
            let shape = c.sizes("shape")?.unwrap_or_default();
            filled(c, &shape)
        },
        "fill_like" => |c| filled(c, &c.tensor("ref_tensor")?.ty.shape),
        "range_1d" => range_1d,
        _ => return None,
    })
}

/// Places of the elements of `shape` in a tensor of these steps, given where each index along each axis leads.
fn places(shape: &[usize], steps: &[isize], along: impl Fn(usize, usize) -> usize) -> Vec<usize> {
    let mut places = vec![0];
    for (axis, (extent, step)) in shape.iter().zip(steps).enumerate() {
        let line: Vec<usize> = (0..*extent).map(|i| along(axis, i) * *step as usize).collect();
        places = places.into_iter().flat_map(|p| line.iter().map(move |i| p + i)).collect();
    }
    places
}

/// `x` without so many elements before and after along each axis.
pub(super) fn cut<F: Real>(call: &Call<'_, F>, x: &Tensor<F>, edges: &[[usize; 2]]) -> Outcome<F> {
    let mut ranges = Vec::new();
    for (extent, [before, after]) in x.ty.shape.iter().zip(edges) {
        let size = extent.checked_sub(*before).and_then(|left| left.checked_sub(*after));
        let size = size.ok_or_else(|| call.invalid(format!("cutting {before} and {after} of {extent}")))?;
        ranges.push(Range { begin: *before, size, step: 1 });
    }
    slice(call, x, &ranges, &vec![false; ranges.len()])
}

fn crop<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let pair = |name: &str| -> Result<[usize; 2], RunError> {
        let given = call.sizes(name)?.unwrap_or_default();
        given.try_into().map_err(|_| call.invalid(format!("`{name}` takes two numbers")))
    };
    let (height, width) = (pair("crop_height")?, pair("crop_width")?);
    let outer = x.ty.shape.len().checked_sub(2).ok_or_else(|| call.invalid("x has no height and width"))?;
    let mut edges = vec![[0, 0]; outer];
    edges.extend([height, width]);
    cut(call, x, &edges)
}

/// `x` with zeros before and after along each axis.
pub(super) fn padded<F: Real>(call: &Call<'_, F>, x: &Tensor<F>, edges: &[[usize; 2]]) -> Result<Tensor<F>, RunError> {
    let zero = match &x.data {
        Data::Floats(_) => Data::Floats(vec![F::default()]),
        Data::Ints(_) => Data::Ints(vec![0]),
        Data::Bools(_) => Data::Bools(vec![false]),
        Data::Strings(_) => return Err(call.invalid("texts cannot be padded")),
    };
    framed(call, x, edges, &Tensor { ty: crate::Type::scalar(x.ty.dtype), data: zero })
}

/// Elements of the first part by their place, those without one the first element of the second.
struct Framed(Vec<Option<usize>>);

impl Arrange for Framed {
    fn arrange<T: Clone + Default>(&self, parts: &[&[T]]) -> Vec<T> {
        let value = parts.get(1).and_then(|p| p.first()).cloned().unwrap_or_default();
        self.0.iter().map(|p| p.map_or_else(|| value.clone(), |i| parts[0][i].clone())).collect()
    }
}

fn grown<F: Real>(call: &Call<'_, F>, shape: &[usize], edges: &[[usize; 2]]) -> Result<Vec<usize>, RunError> {
    let sums = shape.iter().zip(edges).map(|(extent, [before, after])| extent.checked_add(*before)?.checked_add(*after));
    let shape: Vec<usize> = sums.collect::<Option<_>>().ok_or_else(|| call.invalid("the result is too large"))?;
    call.elements(&shape)?;
    Ok(shape)
}

fn framed<F: Real>(call: &Call<'_, F>, x: &Tensor<F>, edges: &[[usize; 2]], value: &Tensor<F>) -> Result<Tensor<F>, RunError> {
    let shape = grown(call, &x.ty.shape, edges)?;
    let mut places = vec![Some(0)];
    for ((extent, inner), ([before, _], step)) in shape.iter().zip(&x.ty.shape).zip(edges.iter().zip(row_major(&x.ty.shape))) {
        let line = |i: usize| i.checked_sub(*before).filter(|i| i < inner).map(|i| i * step as usize);
        let line: Vec<Option<usize>> = (0..*extent).map(line).collect();
        places = places.into_iter().flat_map(|p: Option<usize>| line.iter().map(move |i| Some(p? + (*i)?))).collect();
    }
    let data = arrange(call, &[x, value], &Framed(places))?;
    let mut results = call.moved(x.ty.dtype, &shape, data)?;
    results.pop().ok_or_else(|| call.invalid("nothing to pad"))
}

/// What `pad` adds to the last axes.
fn pad<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let given = call.sizes("pad")?.unwrap_or_default();
    let rank = x.ty.shape.len();
    call.require(given.len().is_multiple_of(2) && given.len() / 2 <= rank, || format!("{given:?} of {rank} axes"))?;
    let mut edges = vec![[0, 0]; rank - given.len() / 2];
    edges.extend(given.as_chunks::<2>().0);
    let mode = call.text("mode")?.unwrap_or("constant");
    if mode == "constant" {
        return Ok(vec![match call.optional("constant_val") {
            Some(value) => framed(call, x, &edges, value)?,
            None => padded(call, x, &edges)?,
        }]);
    }
    let reflects = mode == "reflect";
    let enough = |(extent, [before, after]): (&usize, &[usize; 2])| {
        before + after == 0 || *extent > if reflects { *before.max(after) } else { 0 }
    };
    call.require(x.ty.shape.iter().zip(&edges).all(enough), || "the padding is wider than x".to_owned())?;
    let shape = grown(call, &x.ty.shape, &edges)?;
    let source = |axis: usize, i: usize| {
        let (before, last) = (edges[axis][0], x.ty.shape[axis].saturating_sub(1));
        match (i.checked_sub(before), reflects) {
            (Some(i), _) if i <= last => i,
            (Some(i), true) => 2 * last - i,
            (Some(_), false) => last,
            (None, true) => before - i,
            (None, false) => 0,
        }
    };
    let picked = Pick(places(&shape, &row_major(&x.ty.shape), source));
    call.moved(x.ty.dtype, &shape, arrange(call, &[x], &picked)?)
}

fn reverse<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let axes = call.axes("axes", x.ty.shape.len())?;
    let shape = &x.ty.shape;
    let source = |axis: usize, i: usize| if axes.contains(&axis) { shape[axis] - 1 - i } else { i };
    let picked = Pick(places(shape, &row_major(shape), source));
    call.moved(x.ty.dtype, shape, arrange(call, &[x], &picked)?)
}

/// The first part with elements of the second at these places.
struct Update(Vec<usize>);

impl Arrange for Update {
    fn arrange<T: Clone + Default>(&self, parts: &[&[T]]) -> Vec<T> {
        let mut out = parts[0].to_vec();
        for (place, value) in self.0.iter().zip(parts[1]) {
            out[*place] = value.clone();
        }
        out
    }
}

fn slice_update<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (x, update) = (call.tensor("x")?, call.tensor("update")?);
    let (ranges, _) = index_ranges(call, &x.ty.shape)?;
    let shape: Vec<usize> = ranges.iter().map(|r| r.size).collect();
    let source = |axis: usize, i: usize| (ranges[axis].begin as isize + i as isize * ranges[axis].step) as usize;
    let places = places(&shape, &row_major(&x.ty.shape), source);
    call.require(places.len() == update.data.len(), || format!("{} does not fill {shape:?}", update.ty))?;
    call.moved(x.ty.dtype, &x.ty.shape, arrange(call, &[x, update], &Update(places))?)
}

/// Along an axis the elements whose indices are given; the first axes of both may be a batch.
fn gather<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (x, indices) = (call.tensor("x")?, call.tensor("indices")?);
    let axis = call.axis("axis", 0, x.ty.shape.len())?;
    let batch = call.int("batch_dims")?.unwrap_or(0);
    let batch = usize::try_from(batch).ok().filter(|b| *b <= axis && x.ty.shape.get(..*b) == indices.ty.shape.get(..*b));
    let batch = batch.ok_or_else(|| call.invalid(format!("{} and {} have no such batch", x.ty, indices.ty)))?;
    let extent = x.ty.shape[axis];
    let wanted = call.ints("indices")?.unwrap_or_default();
    let wanted = wanted.iter().map(|i| call.place(*i, extent)).collect::<Result<Vec<usize>, _>>()?;
    let shape = [&x.ty.shape[..axis], &indices.ty.shape[batch..], &x.ty.shape[axis + 1..]].concat();
    let count = call.elements(&shape)?;
    let inner: usize = x.ty.shape[axis + 1..].iter().product();
    let middle: usize = x.ty.shape[batch..axis].iter().product();
    let a_batch: usize = indices.ty.shape[batch..].iter().product();
    let mut places = Vec::with_capacity(count);
    for outer in 0..x.ty.shape[..axis].iter().product() {
        let first = outer / middle * a_batch;
        for i in &wanted[first..first + a_batch] {
            let begin = (outer * extent + i) * inner;
            places.extend(begin..begin + inner);
        }
    }
    call.moved(x.ty.dtype, &shape, arrange(call, &[x], &Pick(places))?)
}

fn filled<F: Real>(call: &Call<'_, F>, shape: &[usize]) -> Outcome<F> {
    let value = call.tensor("value")?;
    call.require(value.data.len() == 1, || format!("`value` is {}", value.ty))?;
    let picked = Pick(vec![0; call.elements(shape)?]);
    call.moved(value.ty.dtype, shape, arrange(call, &[value], &picked)?)
}

/// `start, start + step, ...` before `end`.
fn range_1d<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (start, end, step) = (call.number("start", 0.0)?, call.number("end", 0.0)?, call.number("step", 1.0)?);
    let count = ((end - start) / step).ceil();
    call.require(count.is_finite() && count < 4e9, || format!("from {start} to {end} by {step}"))?;
    let count = call.elements(&[count.max(0.0) as usize])?;
    let values = (0..count).map(|i| start + i as f64 * step);
    let dtype = call.tensor("start")?.ty.dtype;
    let data =
        if dtype.is_float() { Data::Floats(values.map(F::of).collect()) } else { Data::Ints(values.map(|v| v as i64).collect()) };
    call.result(dtype, &[count], data)
}
