//! Products by an equation, as a batch of matrix products: axes that both operands and the result have are the batch, those
//! that the result lacks are summed over, the others are rows or columns.

use super::RunError;
use super::call::Call;
use super::movement::{Walk, arrange, row_major};
use super::product::product;
use crate::numerics::Product;
use crate::tensor::{Data, Real, Tensor};

/// An axis of the equation: its extent and its steps in both operands, none where an operand lacks it.
#[derive(Clone, Copy)]
struct Axis {
    name: char,
    extent: usize,
    steps: [Option<isize>; 2],
}

fn axes<F: Real>(call: &Call<'_, F>, terms: [&str; 2], values: [&Tensor<F>; 2]) -> Result<Vec<Axis>, RunError> {
    let mut axes: Vec<Axis> = Vec::new();
    for (i, (term, value)) in terms.into_iter().zip(values).enumerate() {
        call.require(term.chars().count() == value.ty.shape.len(), || {
            format!("`{term}` does not name the axes of {}", value.ty)
        })?;
        for ((name, &extent), step) in term.chars().zip(&value.ty.shape).zip(row_major(&value.ty.shape)) {
            let place = axes.iter().position(|a| a.name == name).unwrap_or_else(|| {
                axes.push(Axis { name, extent: 1, steps: [None; 2] });
                axes.len() - 1
            });
            let axis = &mut axes[place];
            call.require(axis.extent == 1 || extent == 1 || axis.extent == extent, || format!("axis `{name}` has two extents"))?;
            axis.extent = axis.extent.max(extent);
            let step = if extent == 1 { 0 } else { step };
            axis.steps[i] = Some(axis.steps[i].unwrap_or(0) + step);
        }
    }
    Ok(axes)
}

/// Operand `i` with its elements in the order of `axes`.
fn ordered<F: Real>(call: &Call<'_, F>, value: &Tensor<F>, axes: &[Axis], i: usize) -> Result<Vec<F>, RunError> {
    let shape: Vec<usize> = axes.iter().map(|a| a.extent).collect();
    if call.elements(&shape)? == 0 {
        return Ok(Vec::new());
    }
    let walk = Walk { shape, steps: axes.iter().map(|a| a.steps[i].unwrap_or(0)).collect(), start: 0 };
    match arrange(call, &[value], &walk)? {
        Data::Floats(v) => Ok(v),
        _ => Err(call.invalid(format!("expected floating-point numbers, found {}", value.ty))),
    }
}

pub(super) fn einsum<F: Real>(call: &Call<'_, F>) -> Result<Vec<Tensor<F>>, RunError> {
    let equation = call.text("equation")?.unwrap_or_default();
    let wrong = || call.invalid(format!("equation `{equation}`"));
    let (terms, result) = equation.split_once("->").ok_or_else(wrong)?;
    let (left, right) = terms.split_once(',').ok_or_else(wrong)?;
    let [a, b] = call.many("values") else { return Err(wrong()) };
    let axes = axes(call, [left.trim(), right.trim()], [a, b])?;
    let kept: Vec<&Axis> =
        result.trim().chars().map(|c| axes.iter().find(|a| a.name == c)).collect::<Option<_>>().ok_or_else(wrong)?;
    let is_kept = |axis: &Axis| kept.iter().any(|k| k.name == axis.name);
    let group = |keep: bool, in_a: bool, in_b: bool| -> Vec<Axis> {
        axes.iter()
            .filter(|x| is_kept(x) == keep && x.steps[0].is_some() == in_a && x.steps[1].is_some() == in_b)
            .copied()
            .collect()
    };
    let (batch, rows, cols) = (group(true, true, true), group(true, true, false), group(true, false, true));
    let sums = [group(false, true, true), group(false, true, false), group(false, false, true)].concat();
    let size = |axes: &[Axis]| axes.iter().map(|a| a.extent).product::<usize>();
    let x = ordered(call, a, &[&batch[..], &rows, &sums].concat(), 0)?;
    let y = ordered(call, b, &[&batch[..], &sums, &cols].concat(), 1)?;
    let p = Product { m: size(&rows), n: size(&cols), k: size(&sums), transpose_a: false, transpose_b: false };
    let order = [&batch[..], &rows, &cols].concat();
    let extents: Vec<usize> = order.iter().map(|a| a.extent).collect();
    let mut out = vec![F::default(); call.elements(&extents)?];
    if !out.is_empty() && p.k > 0 {
        let operands = x.chunks_exact(p.m * p.k).zip(y.chunks_exact(p.k * p.n));
        operands.zip(out.chunks_exact_mut(p.m * p.n)).for_each(|((x, y), c)| product(call.numerics, &p, x, y, c));
    }
    let steps = row_major(&extents);
    let place = |k: &&Axis| order.iter().position(|o| o.name == k.name).map_or(0, |i| steps[i]);
    let shape: Vec<usize> = kept.iter().map(|a| a.extent).collect();
    if out.is_empty() {
        return call.result(a.ty.dtype, &shape, Data::Floats(out));
    }
    let walk = Walk { shape: shape.clone(), steps: kept.iter().map(place).collect(), start: 0 };
    let whole = Tensor { ty: crate::Type::new(a.ty.dtype, &extents), data: Data::Floats(out) };
    call.result(a.ty.dtype, &shape, arrange(call, &[&whole], &walk)?)
}
