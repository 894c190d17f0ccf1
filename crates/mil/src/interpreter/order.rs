//! Order and running sums along an axis.

use super::RunError;
use super::call::{Call, Kernel};
use super::movement::{Pick, arrange};
use crate::DType;
use crate::tensor::{Data, Real, Tensor, is_int};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of an operation on the order of elements.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "argsort" => argsort,
        "cumsum" => cumsum,
        "topk" => topk,
        _ => return None,
    })
}

/// Lines along an axis: where the first element of each lies, how far the next is, and how many there are.
struct Lines {
    axis: usize,
    extent: usize,
    step: usize,
}

impl Lines {
    fn of<F: Real>(call: &Call<'_, F>, shape: &[usize], default: i64) -> Result<Lines, RunError> {
        let axis = call.axis("axis", default, shape.len())?;
        Ok(Lines { axis, extent: shape[axis], step: shape[axis + 1..].iter().product() })
    }

    fn starts(&self, count: usize) -> impl Iterator<Item = usize> {
        let (step, block) = (self.step, self.step * self.extent);
        (0..count.checked_div(block).unwrap_or(0)).flat_map(move |i| (0..step).map(move |j| i * block + j))
    }
}

/// Of each line the places of its first `k` elements in order; of equal elements the earlier one comes first.
fn first<F: Real>(x: &Tensor<F>, lines: &Lines, k: usize, ascending: bool) -> Vec<Vec<usize>> {
    let order = |mut places: Vec<usize>, compare: &dyn Fn(usize, usize) -> std::cmp::Ordering| {
        places.sort_by(|a, b| if ascending { compare(*a, *b) } else { compare(*b, *a) });
        places.truncate(k);
        places
    };
    let line = |start: usize| {
        let at = move |i: usize| start + i * lines.step;
        let places = (0..lines.extent).collect();
        match &x.data {
            Data::Ints(v) => order(places, &|a, b| v[at(a)].cmp(&v[at(b)])),
            Data::Floats(v) => order(places, &|a, b| (v[at(a)].wide() + 0.0).total_cmp(&(v[at(b)].wide() + 0.0))),
            _ => order(places, &|a, b| a.cmp(&b)),
        }
    };
    lines.starts(x.data.len()).map(line).collect()
}

/// Puts `value(line, place in the line)` at the places of a tensor with `k` elements a line.
fn laid_out<T: Clone + Default>(lines: &Lines, k: usize, found: &[Vec<usize>], value: impl Fn(usize, usize) -> T) -> Vec<T> {
    let mut out = vec![T::default(); found.len() * k];
    for (i, places) in found.iter().enumerate() {
        let start = i / lines.step * lines.step * k + i % lines.step;
        for (j, place) in places.iter().enumerate() {
            out[start + j * lines.step] = value(i, *place);
        }
    }
    out
}

fn argsort<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let lines = Lines::of(call, &x.ty.shape, -1)?;
    let found = first(x, &lines, lines.extent, call.flag("ascending", false)?);
    let places = laid_out(&lines, lines.extent, &found, |_, place| place as i64);
    call.result(indices(call, 0)?, &x.ty.shape, Data::Ints(places))
}

/// The type that the program declares for the indices of result `i`.
fn indices<F: Real>(call: &Call<'_, F>, i: usize) -> Result<DType, RunError> {
    let dtype = call.results.get(i).map_or(DType::Int32, |r| r.ty.dtype);
    if is_int(dtype) { Ok(dtype) } else { Err(call.invalid(format!("places are declared {dtype}"))) }
}

/// The `k` largest or smallest of each line, in order, and where they lie.
fn topk<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let lines = Lines::of(call, &x.ty.shape, -1)?;
    let k = call.int("k")?.unwrap_or(1);
    let k = usize::try_from(k).ok().filter(|k| *k <= lines.extent);
    let k = k.ok_or_else(|| call.invalid(format!("more elements than the {} there are", lines.extent)))?;
    let mut found = first(x, &lines, k, call.flag("ascending", false)?);
    if !call.flag("sort", true)? {
        found.iter_mut().for_each(|places| places.sort_unstable());
    }
    let mut shape = x.ty.shape.clone();
    shape[lines.axis] = k;
    let starts: Vec<usize> = lines.starts(x.data.len()).collect();
    let picked = Pick(laid_out(&lines, k, &found, |i, place| starts[i] + place * lines.step));
    let mut results = call.moved(x.ty.dtype, &shape, arrange(call, &[x], &picked)?)?;
    if call.flag("return_indices", true)? {
        let places = laid_out(&lines, k, &found, |_, place| place as i64);
        results.extend(call.result(indices(call, 1)?, &shape, Data::Ints(places))?);
    }
    Ok(results)
}

/// Each element the sum of those before it and, unless `exclusive`, its own.
fn cumsum<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let lines = Lines::of(call, &x.ty.shape, 0)?;
    let how = (call.flag("exclusive", false)?, call.flag("reverse", false)?);
    let data = match &x.data {
        Data::Floats(v) => Data::Floats(sums(v, &lines, how, F::default(), |a, x| a + x)),
        Data::Ints(v) => Data::Ints(sums(v, &lines, how, 0, i64::wrapping_add)),
        _ => return Err(call.invalid(format!("cannot add up {}", x.ty))),
    };
    call.result(x.ty.dtype, &x.ty.shape, data)
}

fn sums<T: Copy>(x: &[T], lines: &Lines, how: (bool, bool), zero: T, add: impl Fn(T, T) -> T) -> Vec<T> {
    let (exclusive, reverse) = how;
    let mut out = vec![zero; x.len()];
    for start in lines.starts(x.len()) {
        let mut sum = zero;
        for i in 0..lines.extent {
            let i = start + lines.step * if reverse { lines.extent - 1 - i } else { i };
            let before = sum;
            sum = add(sum, x[i]);
            out[i] = if exclusive { before } else { sum };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cover_every_element_once() {
        let lines = Lines { axis: 1, extent: 3, step: 4 };
        let count = 2 * 3 * 4;
        let mut all: Vec<usize> = lines.starts(count).flat_map(|s| (0..3).map(move |i| s + 4 * i)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..count).collect::<Vec<_>>());
    }
}
