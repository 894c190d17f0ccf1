//! Windows that move over the spatial axes and keep a number of each.

use super::elementwise::floats;
use super::linear::Window;
use super::{Call, Inferred, Operation, Parameter, flag, ints, tensor, text};
use crate::Type;

const X: Parameter = tensor("x");
const SIZES: Parameter = ints("kernel_sizes");
const STRIDES: Parameter = ints("strides").optional();
const PAD_TYPE: Parameter = text("pad_type", "valid");
const PAD: Parameter = ints("pad").optional();
const CEIL: Parameter = flag("ceil_mode", false);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("avg_pool", &[X, SIZES, STRIDES, PAD_TYPE, PAD, flag("exclude_padding_from_average", false), CEIL], pool),
    Operation::new("l2_pool", &[X, SIZES, STRIDES, PAD_TYPE, PAD, CEIL], pool),
    Operation::new("max_pool", &[X, SIZES, STRIDES, PAD_TYPE, PAD, CEIL], pool),
];

/// `[n, c, d...]` to `[n, c, out...]`.
fn pool(call: &Call<'_>) -> Inferred {
    let x = floats(call, "x")?;
    let sizes = call.ints("kernel_sizes").unwrap_or_default();
    if !(3..=5).contains(&x.shape.len()) || sizes.len() != x.shape.len() - 2 {
        return Err(format!("`kernel_sizes` holds {} numbers, one a spatial axis; `x` is {x}", sizes.len()));
    }
    let sizes: Vec<usize> = sizes.iter().map(|&s| usize::try_from(s).unwrap_or(0)).collect();
    if call.flag("ceil_mode") {
        return Err("`ceil_mode` is not supported: give the `pad` that it stands for".into());
    }
    let window = Window::of(call, &sizes)?;
    let mut shape = x.shape[..2].to_vec();
    shape.extend(window.out(&x.shape[2..])?);
    Ok(vec![Type { dtype: x.dtype, shape }])
}
