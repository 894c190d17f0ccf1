//! Softmax and norms.

use super::RunError;
use super::call::{Call, Kernel};
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of a normalising operation.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "softmax" => softmax,
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
