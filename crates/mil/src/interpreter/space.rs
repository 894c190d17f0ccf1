//! Blocks of space moved into channels or batch, and back. Tensors are `[n, c, h, w]`, blocks `[bh, bw]`.

use super::RunError;
use super::call::{Call, Kernel};
use super::movement::{Walk, arrange, row_major};
use super::parts::{cut, padded};
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of an operation that moves blocks.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        // channels are [block row, block column, channel] here, [channel, block row, block column] in the pixel forms
        "depth_to_space" => |c| to_space(c, "block_size", true),
        "pixel_shuffle" => |c| to_space(c, "upscale_factor", false),
        "space_to_depth" => |c| to_depth(c, "block_size", true),
        "pixel_unshuffle" => |c| to_depth(c, "downscale_factor", false),
        "space_to_batch" => space_to_batch,
        "batch_to_space" => batch_to_space,
        _ => return None,
    })
}

/// `x` seen as `view`, its axes in the order `perm`.
fn permuted<F: Real>(call: &Call<'_, F>, x: &Tensor<F>, view: [usize; 6], perm: [usize; 6]) -> Result<Data<F>, RunError> {
    let count = call.elements(&view)?;
    call.require(count == x.data.len(), || format!("{} elements are not {view:?}", x.data.len()))?;
    let steps = row_major(&view);
    let walk = Walk { shape: perm.map(|p| view[p]).to_vec(), steps: perm.map(|p| steps[p]).to_vec(), start: 0 };
    if count == 0 { Ok(x.data.clone()) } else { arrange(call, &[x], &walk) }
}

fn four<F: Real>(call: &Call<'_, F>, x: &Tensor<F>) -> Result<[usize; 4], RunError> {
    x.ty.shape.as_slice().try_into().map_err(|_| call.invalid(format!("x is {}, not [n, c, h, w]", x.ty)))
}

fn side<F: Real>(call: &Call<'_, F>, name: &str) -> Result<usize, RunError> {
    let side = call.int(name)?.and_then(|b| usize::try_from(b).ok()).filter(|b| (1..1 << 16).contains(b));
    side.ok_or_else(|| call.invalid(format!("`{name}` must be positive")))
}

fn to_space<F: Real>(call: &Call<'_, F>, name: &str, block_first: bool) -> Outcome<F> {
    let (x, b) = (call.tensor("x")?, side(call, name)?);
    let [n, c, h, w] = four(call, x)?;
    let inner = c / (b * b);
    let data = if block_first {
        permuted(call, x, [n, b, b, inner, h, w], [0, 3, 4, 1, 5, 2])?
    } else {
        permuted(call, x, [n, inner, b, b, h, w], [0, 1, 4, 2, 5, 3])?
    };
    call.moved(x.ty.dtype, &[n, inner, h * b, w * b], data)
}

fn to_depth<F: Real>(call: &Call<'_, F>, name: &str, block_first: bool) -> Outcome<F> {
    let (x, b) = (call.tensor("x")?, side(call, name)?);
    let [n, c, h, w] = four(call, x)?;
    let perm = if block_first { [0, 3, 5, 1, 2, 4] } else { [0, 1, 3, 5, 2, 4] };
    let data = permuted(call, x, [n, c, h / b, b, w / b, b], perm)?;
    call.moved(x.ty.dtype, &[n, c * b * b, h / b, w / b], data)
}

/// Sides of the blocks, and what is added or cut at the edges of the two last axes.
type Frame = ([usize; 2], [[usize; 2]; 2]);

fn frame<F: Real>(call: &Call<'_, F>, name: &str) -> Result<Frame, RunError> {
    let numbers = |name: &str| call.sizes(name).map(Option::unwrap_or_default);
    let small = |v: &[usize]| v.iter().all(|n| *n < 1 << 24);
    match (&numbers("block_shape")?[..], &numbers(name)?[..]) {
        (&[bh, bw], &[a, b, c, d]) if bh > 0 && bw > 0 && small(&[bh, bw, a, b, c, d]) => Ok(([bh, bw], [[a, b], [c, d]])),
        _ => Err(call.invalid(format!("`block_shape` takes two numbers, `{name}` four"))),
    }
}

fn space_to_batch<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    four(call, x)?;
    let ([bh, bw], edges) = frame(call, "paddings")?;
    let x = padded(call, x, &[[0, 0], [0, 0], edges[0], edges[1]])?;
    let [n, c, h, w] = four(call, &x)?;
    let data = permuted(call, &x, [n, c, h / bh, bh, w / bw, bw], [3, 5, 0, 1, 2, 4])?;
    call.moved(x.ty.dtype, &[n * bh * bw, c, h / bh, w / bw], data)
}

fn batch_to_space<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let [n, c, h, w] = four(call, x)?;
    let ([bh, bw], edges) = frame(call, "crops")?;
    let batch = n / (bh * bw);
    let data = permuted(call, x, [bh, bw, batch, c, h, w], [2, 3, 4, 0, 5, 1])?;
    let whole = call.moved(x.ty.dtype, &[batch, c, h * bh, w * bw], data)?;
    cut(call, &whole[0], &[[0, 0], [0, 0], edges[0], edges[1]])
}
