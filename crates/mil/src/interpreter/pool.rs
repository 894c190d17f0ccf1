//! Windows that move over the spatial axes and keep a number of each.

use super::RunError;
use super::call::{Call, Kernel};
use super::windows::{axes, positions};
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of a pooling operation.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "avg_pool" => |c| {
            let present = c.flag("exclude_padding_from_average", false)?;
            pool(c, 0.0, |a, x| a + x, move |a, inside, window| a / F::of(if present { inside } else { window } as f64))
        },
        "l2_pool" => |c| pool(c, 0.0, |a, x| a + x * x, |a, _, _| a.apply(f32::sqrt, f64::sqrt)),
        "max_pool" => |c| pool(c, f64::NEG_INFINITY, |a, x| if x > a { x } else { a }, |a, _, _| a),
        _ => return None,
    })
}

/// `last(what step makes of a window's elements, how many there are, how many with padding)`.
fn pool<F: Real>(call: &Call<'_, F>, initial: f64, step: impl Fn(F, F) -> F, last: impl Fn(F, usize, usize) -> F) -> Outcome<F> {
    let x = call.tensor("x")?;
    let kernel = call.sizes("kernel_sizes")?.unwrap_or_default();
    let fits = x.ty.shape.len() >= 3 && kernel.len() == x.ty.shape.len() - 2;
    call.require(fits && !call.flag("ceil_mode", false)?, || format!("windows of {kernel:?} over {}", x.ty))?;
    let axes = axes(call, &x.ty.shape[2..], &kernel)?;
    let mut shape = x.ty.shape[..2].to_vec();
    shape.extend(axes.iter().map(|a| a.output));
    call.elements(&shape)?;
    let window: usize = kernel.iter().product();
    call.elements(&[window])?;
    let inputs: usize = axes.iter().map(|a| a.input).product();
    let outputs: Vec<usize> = axes.iter().map(|a| a.output).collect();
    let mut out = Vec::new();
    for plane in call.floats(x)?.chunks_exact(inputs.max(1)) {
        for o in positions(&outputs) {
            let (mut value, mut inside) = (F::of(initial), 0);
            for k in positions(&kernel) {
                let mut along = axes.iter().zip(o.iter().zip(&k));
                if let Some(i) = along.try_fold(0, |at, (axis, (o, k))| Some(at * axis.input + axis.at(*o, *k)?)) {
                    value = step(value, plane[i]);
                    inside += 1;
                }
            }
            out.push(last(value, inside, window));
        }
    }
    call.result(x.ty.dtype, &shape, Data::Floats(out))
}
