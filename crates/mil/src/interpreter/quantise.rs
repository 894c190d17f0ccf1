//! Numbers stored in few bits, and back: `q = clip(round(x / scale) + zero_point)`, `x = scale (q - zero_point)`.

use super::RunError;
use super::call::{Call, Kernel};
use super::zip::zip;
use crate::DType;
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of a quantising operation.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "quantize" => quantize,
        "dequantize" => |c| dequantize(c, "input"),
        "constexpr_affine_dequantize" => |c| dequantize(c, "quantized_data"),
        "constexpr_blockwise_shift_scale" => blockwise,
        "constexpr_cast" => |c| {
            let x = c.tensor("source_val")?;
            c.moved(DType::Fp32, &x.ty.shape, x.data.clone())
        },
        "constexpr_lut_to_dense" => palette,
        "constexpr_sparse_to_dense" => sparse,
        _ => return None,
    })
}

/// The numbers of a tensor, whatever their type.
fn numbers<F: Real>(call: &Call<'_, F>, tensor: &Tensor<F>) -> Result<Vec<F>, RunError> {
    match &tensor.data {
        Data::Floats(v) => Ok(v.clone()),
        Data::Ints(v) => Ok(v.iter().map(|x| F::of(*x as f64)).collect()),
        _ => Err(call.invalid(format!("expected numbers, found {}", tensor.ty))),
    }
}

/// What is given for `name`, a number or one an index along `axis`, as a shape that goes with `shape` and its elements.
fn along<F: Real>(call: &Call<'_, F>, name: &str, shape: &[usize]) -> Result<(Vec<usize>, Vec<F>), RunError> {
    let Some(given) = call.optional(name) else { return Ok((Vec::new(), vec![F::default()])) };
    let values = numbers(call, given)?;
    if given.ty.shape.is_empty() {
        return Ok((Vec::new(), values));
    }
    let axis = call.axis("axis", 0, shape.len())?;
    call.require(values.len() == shape[axis], || format!("`{name}` is {}, axis {axis} has {}", given.ty, shape[axis]))?;
    let mut own = vec![1; shape.len()];
    own[axis] = values.len();
    Ok((own, values))
}

fn quantize<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("input")?;
    let (low, high, dtype) = match call.text("output_dtype")? {
        Some("int8") => (-128.0, 127.0, DType::Int8),
        Some("uint8") => (0.0, 255.0, DType::Uint8),
        other => return Err(call.invalid(format!("output_dtype {other:?}"))),
    };
    let shape = &x.ty.shape;
    let (scale, zero) = (along(call, "scale", shape)?, along(call, "zero_point", shape)?);
    let steps = zip((shape, call.floats(x)?), (&scale.0, &scale.1), shape, |x, s| {
        (x / s).apply(f32::round_ties_even, f64::round_ties_even)
    });
    // a NaN becomes 0 in the conversion
    let values = zip((shape, &steps), (&zero.0, &zero.1), shape, |q, z| (q + z).wide().clamp(low, high) as i64);
    call.result(dtype, shape, Data::Ints(values))
}

fn dequantize<F: Real>(call: &Call<'_, F>, name: &str) -> Outcome<F> {
    let x = call.tensor(name)?;
    let shape = &x.ty.shape;
    let (scale, zero) = (along(call, "scale", shape)?, along(call, "zero_point", shape)?);
    let shifted = zip((shape, &numbers(call, x)?), (&zero.0, &zero.1), shape, |q, z| q - z);
    let values = zip((shape, &shifted), (&scale.0, &scale.1), shape, |q, s| q * s);
    let dtype = call.tensor("scale")?.ty.dtype;
    call.require(dtype.is_float(), || format!("`scale` is {dtype}"))?;
    call.result(dtype, shape, Data::Floats(values))
}

/// A scale, and an offset, for each block of `data.shape / scale.shape` elements.
fn blockwise<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (x, scale) = (call.tensor("data")?, call.tensor("scale")?);
    let divides = |(d, s): (&usize, &usize)| *s > 0 && d.is_multiple_of(*s);
    let fits = x.ty.shape.len() == scale.ty.shape.len() && x.ty.shape.iter().zip(&scale.ty.shape).all(divides);
    call.require(fits && scale.ty.dtype.is_float(), || format!("data is {}, scale {}", x.ty, scale.ty))?;
    let (values, scales) = (numbers(call, x)?, numbers(call, scale)?);
    let offsets = call.optional("offset").map(|o| numbers(call, o)).transpose()?;
    let offsets = offsets.unwrap_or_else(|| vec![F::default(); scales.len()]);
    call.require(offsets.len() == scales.len(), || "`offset` differs from `scale` in shape".to_owned())?;
    let mut blocks = vec![0usize];
    for (d, s) in x.ty.shape.iter().zip(&scale.ty.shape) {
        blocks = blocks.into_iter().flat_map(|b| (0..*d).map(move |i| b * s + i / (d / s))).collect();
    }
    let values = values.iter().zip(blocks).map(|(x, b)| scales[b] * (*x - offsets[b])).collect();
    call.result(scale.ty.dtype, &x.ty.shape, Data::Floats(values))
}

/// Numbers of `bits` bits each, one after the other from the lowest bit of the first byte on.
fn unpacked<F: Real>(call: &Call<'_, F>, name: &str, bits: usize, count: usize) -> Result<Vec<usize>, RunError> {
    let bytes = call.ints(name)?.unwrap_or_default();
    let enough = count.checked_mul(bits).is_some_and(|n| n.div_ceil(8) <= bytes.len());
    call.require(enough, || format!("`{name}` holds {} bytes for {count} elements of {bits} bits", bytes.len()))?;
    let bit = |i: usize| (bytes[i / 8] >> (i % 8) & 1) as usize;
    Ok((0..count).map(|i| (0..bits).map(|b| bit(i * bits + b) << b).sum()).collect())
}

fn dense<F: Real>(call: &Call<'_, F>) -> Result<(Vec<usize>, usize), RunError> {
    let shape = call.sizes("shape")?.unwrap_or_default();
    let count = call.elements(&shape)?;
    Ok((shape, count))
}

/// Elements by their index in a table.
fn palette<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let lut = call.tensor("lut")?;
    let (shape, count) = dense(call)?;
    let bits = lut.data.len().checked_ilog2().unwrap_or(0) as usize;
    call.require(lut.data.len() == 1 << bits, || format!("`lut` is {}", lut.ty))?;
    let picked = super::movement::Pick(unpacked(call, "indices", bits, count)?);
    call.moved(lut.ty.dtype, &shape, super::movement::arrange(call, &[lut], &picked)?)
}

/// Elements where a bit of the mask says so, zeros elsewhere.
fn sparse<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    struct Spread(Vec<usize>);
    impl super::movement::Arrange for Spread {
        fn arrange<T: Clone + Default>(&self, parts: &[&[T]]) -> Vec<T> {
            let mut values = parts[0].iter();
            let next = |bit: &usize| if *bit == 1 { values.next().cloned().unwrap_or_default() } else { T::default() };
            self.0.iter().map(next).collect()
        }
    }
    let values = call.tensor("nonzero_data")?;
    let (shape, count) = dense(call)?;
    let mask = Spread(unpacked(call, "mask", 1, count)?);
    let ones = mask.0.iter().sum::<usize>();
    call.require(ones == values.data.len(), || format!("the mask has {ones} ones for {} elements", values.data.len()))?;
    call.moved(values.ty.dtype, &shape, super::movement::arrange(call, &[values], &mask)?)
}
