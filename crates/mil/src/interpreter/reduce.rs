//! Reductions over axes.

use super::RunError;
use super::call::{Call, Kernel};
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of a reduction.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "reduce_sum" => |c| fold(c, 0.0, |x| x, |a, x| a + x, |a, _| a),
        "reduce_mean" => |c| fold(c, 0.0, |x| x, |a, x| a + x, |a, n| a / F::of(n as f64)),
        "reduce_max" => |c| fold(c, f64::NEG_INFINITY, |x| x, larger, |a, _| a),
        "reduce_min" => |c| fold(c, f64::INFINITY, |x| x, smaller, |a, _| a),
        "reduce_prod" => |c| fold(c, 1.0, |x| x, |a, x| a * x, |a, _| a),
        "reduce_sum_square" => |c| fold(c, 0.0, |x| x * x, |a, x| a + x, |a, _| a),
        "reduce_l1_norm" => |c| fold(c, 0.0, |x| x.apply(f32::abs, f64::abs), |a, x| a + x, |a, _| a),
        "reduce_l2_norm" => |c| fold(c, 0.0, |x| x * x, |a, x| a + x, |a, _| a.apply(f32::sqrt, f64::sqrt)),
        "reduce_log_sum" => |c| fold(c, 0.0, |x| x, |a, x| a + x, |a, _| a.apply(f32::ln, f64::ln)),
        "reduce_log_sum_exp" => log_sum_exp,
        "reduce_argmax" => |c| extreme(c, |x, best| x > best, |x, best| x > best),
        "reduce_argmin" => |c| extreme(c, |x, best| x < best, |x, best| x < best),
        _ => return None,
    })
}

fn larger<F: Real>(a: F, x: F) -> F {
    if x > a || x.wide().is_nan() { x } else { a }
}

fn smaller<F: Real>(a: F, x: F) -> F {
    if x < a || x.wide().is_nan() { x } else { a }
}

/// The shape of `x` without `axes`, or with extent 1 there.
pub(super) fn reduced(shape: &[usize], axes: &[usize], keep: bool) -> Vec<usize> {
    let kept = shape.iter().enumerate().filter(|(i, _)| keep || !axes.contains(i));
    kept.map(|(i, extent)| if axes.contains(&i) { 1 } else { *extent }).collect()
}

/// Calls `f(place in the result, elements of x beside each other that go there or go one after the other)`.
///
/// Sums take the elements of a place in the order in which they lie in memory: it depends on nothing but the shape.
pub(super) fn accumulate<T: Copy, A: Copy>(
    shape: &[usize],
    axes: &[usize],
    x: &[T],
    initial: A,
    f: impl Fn(A, T) -> A,
) -> Vec<A> {
    let out: usize = reduced(shape, axes, true).iter().product();
    let mut sums = vec![initial; out];
    let Some((&n, outer)) = shape.split_last() else {
        return sums.into_iter().zip(x).map(|(a, x)| f(a, *x)).collect();
    };
    let along = axes.contains(&outer.len());
    let mut steps = vec![0; outer.len()];
    let mut step = if along { 1 } else { n };
    for i in (0..outer.len()).rev().filter(|i| !axes.contains(i)) {
        steps[i] = step;
        step *= outer[i];
    }
    let mut counters = vec![0; outer.len()];
    let mut at = 0;
    for row in x.chunks_exact(n.max(1)) {
        if along {
            sums[at] = row.iter().fold(sums[at], |a, x| f(a, *x));
        } else {
            sums[at..at + n].iter_mut().zip(row).for_each(|(a, x)| *a = f(*a, *x));
        }
        for i in (0..outer.len()).rev() {
            counters[i] += 1;
            at += steps[i];
            if counters[i] < outer[i] {
                break;
            }
            counters[i] = 0;
            at -= steps[i] * outer[i];
        }
    }
    sums
}

/// `last(Σ first(x), n)` for another operation than the sum where `step` is one.
fn fold<F: Real>(
    call: &Call<'_, F>,
    initial: f64,
    first: impl Fn(F) -> F,
    step: impl Fn(F, F) -> F,
    last: impl Fn(F, usize) -> F,
) -> Outcome<F> {
    let x = call.tensor("x")?;
    let axes = call.axes("axes", x.ty.shape.len())?;
    let shape = reduced(&x.ty.shape, &axes, call.flag("keep_dims", false)?);
    let count = axes.iter().map(|a| x.ty.shape[*a]).product();
    if let Data::Ints(values) = &x.data {
        return integers(call, values, &axes, &shape);
    }
    let sums = accumulate(&x.ty.shape, &axes, call.floats(x)?, F::of(initial), |a, x| step(a, first(x)));
    let values = sums.into_iter().map(|a| last(a, count)).collect();
    call.result(x.ty.dtype, &shape, Data::Floats(values))
}

fn integers<F: Real>(call: &Call<'_, F>, x: &[i64], axes: &[usize], shape: &[usize]) -> Outcome<F> {
    let ty = &call.tensor("x")?.ty;
    let all = |initial: i64, f: fn(i64, i64) -> i64| accumulate(&ty.shape, axes, x, initial, f);
    let values = match call.op {
        "reduce_sum" => all(0, i64::wrapping_add),
        "reduce_max" => all(i64::MIN, i64::max),
        "reduce_min" => all(i64::MAX, i64::min),
        "reduce_prod" => all(1, i64::wrapping_mul),
        "reduce_sum_square" => all(0, |a, x| a.wrapping_add(x.wrapping_mul(x))),
        "reduce_l1_norm" => all(0, |a, x| a.wrapping_add(x.wrapping_abs())),
        _ => return Err(call.invalid(format!("cannot work on {ty}"))),
    };
    call.result(ty.dtype, shape, Data::Ints(values))
}

/// `log Σ exp(x)`, the largest element taken out first.
fn log_sum_exp<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let axes = call.axes("axes", x.ty.shape.len())?;
    let values = call.floats(x)?;
    let most = accumulate(&x.ty.shape, &axes, values, F::of(f64::NEG_INFINITY), larger);
    let kept = reduced(&x.ty.shape, &axes, true);
    let shifted = super::zip::zip((&x.ty.shape, values), (&kept, &most), &x.ty.shape, |x, m| {
        let distance = if x == m { F::of(0.0) } else { x - m };
        distance.apply(f32::exp, f64::exp)
    });
    let sums = accumulate(&x.ty.shape, &axes, &shifted, F::of(0.0), |a, x| a + x);
    let logs = sums.into_iter().zip(most).map(|(s, m)| s.apply(f32::ln, f64::ln) + m).collect();
    call.result(x.ty.dtype, &reduced(&x.ty.shape, &axes, call.flag("keep_dims", false)?), Data::Floats(logs))
}

/// The first place along an axis that no other is better than.
fn extreme<F: Real>(call: &Call<'_, F>, better: impl Fn(F, F) -> bool, better_int: impl Fn(i64, i64) -> bool) -> Outcome<F> {
    let x = call.tensor("x")?;
    let axis = call.axis("axis", -1, x.ty.shape.len())?;
    let shape = reduced(&x.ty.shape, &[axis], call.flag("keep_dims", false)?);
    let dtype = call.results.first().map_or(crate::DType::Int32, |r| r.ty.dtype);
    let places = match &x.data {
        Data::Floats(v) => first_best(&x.ty.shape, axis, v, better),
        Data::Ints(v) => first_best(&x.ty.shape, axis, v, better_int),
        _ => return Err(call.invalid(format!("cannot order {}", x.ty))),
    };
    call.require(crate::tensor::is_int(dtype), || "places are integers".to_owned())?;
    call.result(dtype, &shape, Data::Ints(places))
}

fn first_best<T: Copy>(shape: &[usize], axis: usize, x: &[T], better: impl Fn(T, T) -> bool) -> Vec<i64> {
    let indices: Vec<Option<usize>> = (0..x.len()).map(Some).collect();
    let pick = |a: Option<usize>, i: Option<usize>| match (a, i) {
        (Some(a), Some(i)) if !better(x[i], x[a]) => Some(a),
        (_, i) => i,
    };
    let inner: usize = shape[axis + 1..].iter().product();
    let best = accumulate(shape, &[axis], &indices, None, pick);
    best.into_iter().map(|i| i.map_or(0, |i| (i / inner % shape[axis]) as i64)).collect()
}
