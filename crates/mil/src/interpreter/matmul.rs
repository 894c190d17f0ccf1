//! Matrix products, and what is made of them.

use super::RunError;
use super::call::{Call, Kernel};
use super::product::product;
use super::zip::{broadcast, strides};
use crate::numerics::Product;
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of an operation that is a matrix product.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "matmul" => matmul,
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
