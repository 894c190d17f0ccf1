//! Matrix products, and what is made of them.

use super::RunError;
use super::call::{Call, Kernel};
use super::einsum::einsum;
use super::normalise::softmax_row;
use super::product::product;
use super::windows::add_bias;
use super::zip::{broadcast, strides, zip};
use crate::numerics::Product;
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of an operation that is a matrix product.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "matmul" => matmul,
        "linear" => linear,
        "einsum" => einsum,
        "scaled_dot_product_attention" => attention,
        _ => return None,
    })
}

/// Rows and columns of the last two axes.
fn last_two(shape: &[usize]) -> (usize, usize) {
    match shape {
        [.., rows, cols] => (*rows, *cols),
        [cols] => (1, *cols),
        [] => (1, 1),
    }
}

/// A batch of products, outer axes broadcast.
fn matmul<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (x, y) = (call.tensor("x")?, call.tensor("y")?);
    let (a, b) = (call.floats(x)?, call.floats(y)?);
    call.require(!x.ty.shape.is_empty() && !y.ty.shape.is_empty(), || "scalars have no product".to_owned())?;
    // vectors are a row on the left and a column on the right
    let vectors = (x.ty.shape.len() == 1, y.ty.shape.len() == 1);
    let transpose_a = call.flag("transpose_x", false)? && !vectors.0;
    let transpose_b = call.flag("transpose_y", false)? && !vectors.1;
    let (rows, cols) = last_two(&x.ty.shape);
    let (m, k) = if transpose_a { (cols, rows) } else { (rows, cols) };
    let (rows, cols) = if vectors.1 { (y.ty.shape[0], 1) } else { last_two(&y.ty.shape) };
    let (inner, n) = if transpose_b { (cols, rows) } else { (rows, cols) };
    call.require(k == inner, || format!("rows of {k} and columns of {inner}: {} times {}", x.ty, y.ty))?;
    let outer = |shape: &[usize]| shape[..shape.len().saturating_sub(2)].to_vec();
    let (outer_x, outer_y) = (outer(&x.ty.shape), outer(&y.ty.shape));
    let batch = broadcast(&outer_x, &outer_y).ok_or_else(|| call.invalid(format!("{} times {}", x.ty, y.ty)))?;
    let mut shape = batch.clone();
    shape.extend((!vectors.0).then_some(m));
    shape.extend((!vectors.1).then_some(n));
    let count = call.elements(&shape)?;
    let mut out = vec![F::default(); count];
    let p = Product { m, n, k, transpose_a, transpose_b };
    if m * n > 0 {
        let places = offsets(&outer_x, &batch).into_iter().zip(offsets(&outer_y, &batch));
        for (c, (i, j)) in out.chunks_exact_mut(m * n).zip(places) {
            product(call.numerics, &p, &a[i * m * k..(i + 1) * m * k], &b[j * k * n..(j + 1) * k * n], c);
        }
    }
    call.result(x.ty.dtype, &shape, Data::Floats(out))
}

/// Which matrix of an operand each matrix of the result is made of.
fn offsets(shape: &[usize], batch: &[usize]) -> Vec<usize> {
    let mut places = vec![0];
    for (extent, step) in batch.iter().zip(strides(shape, batch)) {
        places = places.into_iter().flat_map(|p| (0..*extent).map(move |i| p + i * step)).collect();
    }
    places
}

/// `x W^T + b`: `[..., k]` and `[n, k]` to `[..., n]`.
fn linear<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (x, weight) = (call.tensor("x")?, call.tensor("weight")?);
    let (Some((&k, outer)), &[n, inner]) = (x.ty.shape.split_last(), &weight.ty.shape[..]) else {
        return Err(call.invalid(format!("x is {}, weight {}", x.ty, weight.ty)));
    };
    call.require(k == inner, || format!("x is {}, weight {}", x.ty, weight.ty))?;
    let m = outer.iter().product();
    let shape = [outer, &[n]].concat();
    let mut out = vec![F::default(); call.elements(&shape)?];
    let p = Product { m, n, k, transpose_a: false, transpose_b: true };
    product(call.numerics, &p, call.floats(x)?, call.floats(weight)?, &mut out);
    add_bias(call, &mut out, n, 1)?;
    call.result(x.ty.dtype, &shape, Data::Floats(out))
}

/// `softmax(q k^T / sqrt(e) + mask) v`, a head at a time; intermediates are not rounded.
fn attention<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (q, k, v) = (call.tensor("query")?, call.tensor("key")?, call.tensor("value")?);
    let ([outer @ .., l, e], [outer_k @ .., s, e_k], [outer_v @ .., s_v, ev]) =
        (&q.ty.shape[..], &k.ty.shape[..], &v.ty.shape[..])
    else {
        return Err(call.invalid(format!("query is {}", q.ty)));
    };
    let (l, e, s, ev) = (*l, *e, *s, *ev);
    let fits = outer == outer_k && outer == outer_v && e == *e_k && s == *s_v;
    call.require(fits, || format!("query is {}, key {}, value {}", q.ty, k.ty, v.ty))?;
    let shape = [outer, &[l, ev]].concat();
    let mut out = vec![F::default(); call.elements(&shape)?];
    let (a, b, c) = (call.floats(q)?, call.floats(k)?, call.floats(v)?);
    let masks = masks(call, &[outer, &[l, s]].concat())?;
    let scale = F::of(1.0 / (e as f64).sqrt());
    let scored = Product { m: l, n: s, k: e, transpose_a: false, transpose_b: true };
    let mixed = Product { m: l, n: ev, k: s, transpose_a: false, transpose_b: false };
    let mut scores = vec![F::default(); call.elements(&[l, s])?];
    if scores.is_empty() {
        return call.result(q.ty.dtype, &shape, Data::Floats(out));
    }
    for i in 0..outer.iter().product() {
        product(call.numerics, &scored, &a[i * l * e..(i + 1) * l * e], &b[i * s * e..(i + 1) * s * e], &mut scores);
        scores.iter_mut().for_each(|x| *x = *x * scale);
        if let Some(masks) = &masks {
            scores.iter_mut().zip(&masks[i * l * s..]).for_each(|(x, m)| *x += *m);
        }
        scores.chunks_exact_mut(s).for_each(softmax_row);
        product(call.numerics, &mixed, &scores, &c[i * s * ev..(i + 1) * s * ev], &mut out[i * l * ev..(i + 1) * l * ev]);
    }
    call.result(q.ty.dtype, &shape, Data::Floats(out))
}

/// What is added to the scores, of shape `scores`; none where there is no mask, or the engine does not look at it.
fn masks<F: Real>(call: &Call<'_, F>, scores: &[usize]) -> Result<Option<Vec<F>>, RunError> {
    let Some(mask) = call.optional("attn_mask").filter(|_| !call.numerics.ignores_masks) else { return Ok(None) };
    let fits = broadcast(&mask.ty.shape, scores).is_some_and(|s| s == scores);
    call.require(fits, || format!("the mask is {}, scores are {scores:?}", mask.ty))?;
    call.elements(scores)?;
    let values: Vec<F> = match &mask.data {
        Data::Bools(v) => v.iter().map(|seen| F::of(if *seen { 0.0 } else { f64::NEG_INFINITY })).collect(),
        _ => call.floats(mask)?.to_vec(),
    };
    let nothing = [F::default()];
    Ok(Some(zip((&mask.ty.shape, &values), (&[], &nothing), scores, |m, _| m)))
}
