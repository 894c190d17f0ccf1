//! Blocks of space moved into channels or batch, and back. Tensors are `[n, c, h, w]`.

use super::{Call, Inferred, Kind, Operation, int, ints, parameter, tensor};
use crate::{Elements, Type};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("batch_to_space", &[tensor("x"), ints("block_shape"), parameter("crops", Kind::Constant)], batch_to_space),
    Operation::new("depth_to_space", &[tensor("x"), int("block_size")], |call| to_space(call, "block_size")),
    Operation::new("pixel_shuffle", &[tensor("x"), int("upscale_factor")], |call| to_space(call, "upscale_factor")),
    Operation::new("pixel_unshuffle", &[tensor("x"), int("downscale_factor")], |call| to_depth(call, "downscale_factor")),
    Operation::new("space_to_batch", &[tensor("x"), ints("block_shape"), parameter("paddings", Kind::Constant)], space_to_batch),
    Operation::new("space_to_depth", &[tensor("x"), int("block_size")], |call| to_depth(call, "block_size")),
];

/// `x` as `[n, c, h, w]`, and the side of a block.
fn blocks<'a>(call: &Call<'a>, name: &str) -> Result<(&'a Type, [usize; 4], usize), String> {
    let x = call.ty("x")?;
    let shape = x.shape.as_slice().try_into().map_err(|_| format!("`x` must be [n, c, h, w]; it is {x}"))?;
    let side = call.int(name).and_then(|b| usize::try_from(b).ok()).filter(|b| (1..=1 << 16).contains(b));
    Ok((x, shape, side.ok_or_else(|| format!("`{name}` must be positive"))?))
}

/// `[n, c, h, w]` to `[n, c / b^2, h b, w b]`.
fn to_space(call: &Call<'_>, name: &str) -> Inferred {
    let (x, [n, c, h, w], b) = blocks(call, name)?;
    match (c % (b * b), h.checked_mul(b), w.checked_mul(b)) {
        (0, Some(h), Some(w)) => Ok(vec![Type::new(x.dtype, &[n, c / (b * b), h, w])]),
        _ => Err(format!("channels of {x} are no multiple of {b} squared")),
    }
}

/// `[n, c, h, w]` to `[n, c b^2, h / b, w / b]`.
fn to_depth(call: &Call<'_>, name: &str) -> Inferred {
    let (x, [n, c, h, w], b) = blocks(call, name)?;
    match (h % b, w % b, c.checked_mul(b * b)) {
        (0, 0, Some(c)) => Ok(vec![Type::new(x.dtype, &[n, c, h / b, w / b])]),
        _ => Err(format!("height and width of {x} are no multiples of {b}")),
    }
}

/// Sides of the blocks, and what is added or cut before and after the spatial axes: `[2]`, `[2, 2]`.
fn sides(call: &Call<'_>, name: &str) -> Result<([usize; 2], [usize; 4]), String> {
    let block = call.ints("block_shape").unwrap_or_default().iter().map(|&b| usize::try_from(b).unwrap_or(0)).collect::<Vec<_>>();
    let block = block.try_into().ok().filter(|b: &[usize; 2]| b.iter().all(|s| (1..=1 << 16).contains(s)));
    let block = block.ok_or("`block_shape` holds two positive numbers")?;
    let value = call.value(name).and_then(|v| v.literal).filter(|l| l.ty.shape == [2, 2]);
    let numbers = match value.map(|l| &l.elements) {
        Some(Elements::Ints(values)) => values.iter().map(|&v| usize::try_from(v).ok()).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    let numbers = numbers.and_then(|n| n.try_into().ok());
    Ok((block, numbers.ok_or_else(|| format!("`{name}` is a constant tensor<int32, [2, 2]> without negative numbers"))?))
}

/// `[n, c, h, w]` padded, to `[n bh bw, c, h / bh, w / bw]`.
fn space_to_batch(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let ([bh, bw], [top, bottom, left, right]) = sides(call, "paddings")?;
    let [n, c, h, w] = x.shape[..] else { return Err(format!("`x` must be [n, c, h, w]; it is {x}")) };
    let part = |extent: usize, before: usize, after: usize, block: usize| {
        let whole = extent.checked_add(before)?.checked_add(after)?;
        (whole % block == 0).then_some(whole / block)
    };
    match (n.checked_mul(bh * bw), part(h, top, bottom, bh), part(w, left, right, bw)) {
        (Some(n), Some(h), Some(w)) => Ok(vec![Type::new(x.dtype, &[n, c, h, w])]),
        _ => Err(format!("{x} with its paddings is no multiple of blocks of {bh} by {bw}")),
    }
}

/// `[n, c, h, w]` to `[n / (bh bw), c, h bh, w bw]`, cropped.
fn batch_to_space(call: &Call<'_>) -> Inferred {
    let x = call.ty("x")?;
    let ([bh, bw], [top, bottom, left, right]) = sides(call, "crops")?;
    let [n, c, h, w] = x.shape[..] else { return Err(format!("`x` must be [n, c, h, w]; it is {x}")) };
    let grown = |extent: usize, before: usize, after: usize, block: usize| {
        extent.checked_mul(block)?.checked_sub(before)?.checked_sub(after).filter(|&e| e > 0)
    };
    match (n % (bh * bw), grown(h, top, bottom, bh), grown(w, left, right, bw)) {
        (0, Some(h), Some(w)) => Ok(vec![Type::new(x.dtype, &[n / (bh * bw), c, h, w])]),
        _ => Err(format!("the batch of {x} is no multiple of {bh} by {bw}, or the crops leave nothing")),
    }
}
