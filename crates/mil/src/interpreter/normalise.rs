//! Softmax and norms.

use super::RunError;
use super::call::{Call, Kernel};
use super::reduce::{accumulate, reduced};
use super::zip::zip;
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of a normalising operation.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "softmax" => softmax,
        "layer_norm" => layer_norm,
        "batch_norm" => batch_norm,
        "instance_norm" => instance_norm,
        "l2_norm" => l2_norm,
        "local_response_norm" => local_response_norm,
        _ => return None,
    })
}

/// `exp(x - max) / Σ exp(x - max)` along an axis.
fn softmax<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let axis = call.axis("axis", -1, x.ty.shape.len())?;
    let mut values = call.floats(x)?.to_vec();
    let (n, inner) = (x.ty.shape[axis], x.ty.shape[axis + 1..].iter().product::<usize>());
    if inner == 1 {
        values.chunks_exact_mut(n.max(1)).for_each(softmax_row);
    } else {
        let mut row = vec![F::default(); n];
        for block in values.chunks_exact_mut((n * inner).max(1)) {
            for j in 0..inner {
                row.iter_mut().enumerate().for_each(|(i, x)| *x = block[i * inner + j]);
                softmax_row(&mut row);
                row.iter().enumerate().for_each(|(i, x)| block[i * inner + j] = *x);
            }
        }
    }
    call.result(x.ty.dtype, &x.ty.shape, Data::Floats(values))
}

/// Softmax of one row. Elements as large as the largest count 1, even where that is infinite.
pub(super) fn softmax_row<F: Real>(row: &mut [F]) {
    let most = row.iter().fold(F::of(f64::NEG_INFINITY), |a, x| if *x > a { *x } else { a });
    let mut sum = F::of(0.0);
    for x in row.iter_mut() {
        let distance = if *x == most { F::of(0.0) } else { *x - most };
        *x = distance.apply(f32::exp, f64::exp);
        sum += *x;
    }
    row.iter_mut().for_each(|x| *x = *x / sum);
}

/// What is given for `name`, in a shape that goes with the tensor whose extents along `axes` it has.
fn parameter<F: Real>(call: &Call<'_, F>, name: &str, shape: &[usize], axes: &[usize]) -> Result<Option<Shaped<F>>, RunError> {
    let Some(given) = call.optional(name) else { return Ok(None) };
    let own: Vec<usize> = (0..shape.len()).map(|i| if axes.contains(&i) { shape[i] } else { 1 }).collect();
    let values = call.floats(given)?.to_vec();
    call.require(values.len() == own.iter().product::<usize>(), || format!("`{name}` is {}", given.ty))?;
    Ok(Some((own, values)))
}

type Shaped<F> = (Vec<usize>, Vec<F>);

/// `x gamma + beta`, each where it is given.
fn scaled<F: Real>(call: &Call<'_, F>, mut x: Vec<F>, shape: &[usize], axes: &[usize]) -> Result<Vec<F>, RunError> {
    if let Some((own, gamma)) = parameter(call, "gamma", shape, axes)? {
        x = zip((shape, &x), (&own, &gamma), shape, |x, g| x * g);
    }
    if let Some((own, beta)) = parameter(call, "beta", shape, axes)? {
        x = zip((shape, &x), (&own, &beta), shape, |x, b| x + b);
    }
    Ok(x)
}

/// `(x - mean) / sqrt(variance + epsilon)` over `axes`.
fn standardised<F: Real>(x: &[F], shape: &[usize], axes: &[usize], epsilon: F) -> Vec<F> {
    let kept = reduced(shape, axes, true);
    let count = F::of(axes.iter().map(|a| shape[*a]).product::<usize>() as f64);
    let mean: Vec<F> = accumulate(shape, axes, x, F::of(0.0), |a, x| a + x).into_iter().map(|s| s / count).collect();
    let centred = zip((shape, x), (&kept, &mean), shape, |x, m| x - m);
    let squares = accumulate(shape, axes, &centred, F::of(0.0), |a, x| a + x * x);
    let inverse = |s: F| F::of(1.0) / (s / count + epsilon).apply(f32::sqrt, f64::sqrt);
    let inverse: Vec<F> = squares.into_iter().map(inverse).collect();
    zip((shape, &centred), (&kept, &inverse), shape, |x, i| x * i)
}

fn layer_norm<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let axes = call.axes("axes", x.ty.shape.len())?;
    let epsilon = F::of(call.number("epsilon", 1e-5)?);
    let values = standardised(call.floats(x)?, &x.ty.shape, &axes, epsilon);
    call.result(x.ty.dtype, &x.ty.shape, Data::Floats(scaled(call, values, &x.ty.shape, &axes)?))
}

/// Over the spatial axes of each channel.
fn instance_norm<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    call.require(x.ty.shape.len() >= 3, || format!("x is {}", x.ty))?;
    let axes: Vec<usize> = (2..x.ty.shape.len()).collect();
    let values = standardised(call.floats(x)?, &x.ty.shape, &axes, F::of(call.number("epsilon", 1e-5)?));
    call.result(x.ty.dtype, &x.ty.shape, Data::Floats(scaled(call, values, &x.ty.shape, &[1])?))
}

/// With a mean and a variance that are given for each channel.
fn batch_norm<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let shape = &x.ty.shape;
    call.require(shape.len() >= 3, || format!("x is {}", x.ty))?;
    let epsilon = F::of(call.number("epsilon", 1e-5)?);
    let missing = || call.invalid("`mean` and `variance` must be given");
    let (own, mean) = parameter(call, "mean", shape, &[1])?.ok_or_else(missing)?;
    let (_, variance) = parameter(call, "variance", shape, &[1])?.ok_or_else(missing)?;
    let inverse: Vec<F> = variance.iter().map(|v| F::of(1.0) / (*v + epsilon).apply(f32::sqrt, f64::sqrt)).collect();
    let centred = zip((shape, call.floats(x)?), (&own, &mean), shape, |x, m| x - m);
    let values = zip((shape, &centred), (&own, &inverse), shape, |x, i| x * i);
    call.result(x.ty.dtype, shape, Data::Floats(scaled(call, values, shape, &[1])?))
}

/// `x / sqrt(Σ x² + epsilon)` over the last three axes.
fn l2_norm<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let shape = &x.ty.shape;
    let first = shape.len().checked_sub(3).ok_or_else(|| call.invalid(format!("x is {}", x.ty)))?;
    let axes: Vec<usize> = (first..shape.len()).collect();
    let epsilon = F::of(call.number("epsilon", 1e-6)?);
    let values = call.floats(x)?;
    let sums = accumulate(shape, &axes, values, F::of(0.0), |a, x| a + x * x);
    let norms: Vec<F> = sums.into_iter().map(|s| (s + epsilon).apply(f32::sqrt, f64::sqrt)).collect();
    let values = zip((shape, values), (&reduced(shape, &axes, true), &norms), shape, |x, n| x / n);
    call.result(x.ty.dtype, shape, Data::Floats(values))
}

/// `x / (k + alpha / size Σ x²)^beta`, the sum over `size` channels around each.
fn local_response_norm<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    call.require(x.ty.shape.len() >= 3, || format!("x is {}", x.ty))?;
    let size = call.int("size")?.and_then(|s| usize::try_from(s).ok()).filter(|s| *s > 0);
    let size = size.ok_or_else(|| call.invalid("`size` must be positive"))?;
    let (alpha, beta, k) = (call.number("alpha", 1e-4)?, call.number("beta", 0.75)?, call.number("k", 1.0)?);
    let (alpha, beta, k) = (F::of(alpha / size as f64), F::of(beta), F::of(k));
    let (channels, plane) = (x.ty.shape[1], x.ty.shape[2..].iter().product::<usize>());
    let values = call.floats(x)?;
    let norm = |i: usize| {
        let (c, base) = (i / plane % channels, i / (plane * channels) * plane * channels + i % plane);
        let around = c.saturating_sub(size / 2)..(c + size.div_ceil(2)).min(channels);
        let sum = around.map(|j| values[base + j * plane]).fold(F::of(0.0), |a, x| a + x * x);
        values[i] / (k + alpha * sum).powf(beta)
    };
    call.result(x.ty.dtype, &x.ty.shape, Data::Floats((0..values.len()).map(norm).collect()))
}
