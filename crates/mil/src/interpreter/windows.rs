//! Convolutions.

use super::RunError;
use super::call::{Call, Kernel};
use super::product::product;
use crate::numerics::Product;
use crate::tensor::{Data, Real, Tensor};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of an operation on windows.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "conv" => conv,
        "conv_transpose" => conv_transpose,
        _ => return None,
    })
}

/// One spatial axis of a window operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub input: usize,
    pub output: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub before: usize,
    pub after: usize,
}

impl Axis {
    /// Place in the input that element `k` of the window of output `o` reads; none in the padding.
    pub fn at(&self, o: usize, k: usize) -> Option<usize> {
        (o * self.stride + k * self.dilation).checked_sub(self.before).filter(|i| *i < self.input)
    }
}

/// What a call says of its windows, for `spatial` axes.
pub(super) fn axes<F: Real>(call: &Call<'_, F>, input: &[usize], kernel: &[usize]) -> Result<Vec<Axis>, RunError> {
    let n = input.len();
    let per_axis = |name: &str| -> Result<Vec<usize>, RunError> {
        let given = call.sizes(name)?.unwrap_or_else(|| vec![1; n]);
        let fine = given.len() == n && given.iter().all(|v| (1..1 << 24).contains(v));
        if fine { Ok(given) } else { Err(call.invalid(format!("`{name}` takes {n} positive numbers"))) }
    };
    let (strides, dilations) = (per_axis("strides")?, per_axis("dilations")?);
    let kind = call.text("pad_type")?.unwrap_or("valid");
    let pads = call.sizes("pad")?.unwrap_or_else(|| vec![0; 2 * n]);
    call.require(kernel.iter().all(|k| (1..1 << 24).contains(k)), || format!("a window of {kernel:?}"))?;
    let mut axes = Vec::new();
    for i in 0..n {
        let mut axis = Axis {
            input: input[i],
            output: 0,
            kernel: kernel[i],
            stride: strides[i],
            dilation: dilations[i],
            before: 0,
            after: 0,
        };
        let span = (kernel[i] - 1) * dilations[i] + 1;
        match kind {
            "valid" => {}
            "custom" => {
                let pair = pads.get(2 * i).zip(pads.get(2 * i + 1)).filter(|(b, a)| **b < 1 << 24 && **a < 1 << 24);
                let (before, after) = pair.ok_or_else(|| call.invalid(format!("`pad` takes {} numbers", 2 * n)))?;
                (axis.before, axis.after) = (*before, *after);
            }
            "same" | "same_lower" => {
                let total = ((input[i].div_ceil(strides[i]).max(1) - 1) * strides[i] + span).saturating_sub(input[i]);
                let less = total / 2;
                (axis.before, axis.after) = if kind == "same" { (less, total - less) } else { (total - less, less) };
            }
            other => return Err(call.invalid(format!("pad_type `{other}`"))),
        }
        let padded = input[i].saturating_add(axis.before + axis.after);
        let room = padded.checked_sub(span);
        axis.output = room.ok_or_else(|| call.invalid(format!("a window of {span} in {padded} elements")))? / axis.stride + 1;
        axes.push(axis);
    }
    Ok(axes)
}

/// Places of every combination of counters below `extents`, as the counters themselves.
pub(super) fn positions(extents: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let count: usize = extents.iter().product();
    (0..count).map(move |mut i| {
        let mut counters = vec![0; extents.len()];
        for (counter, extent) in counters.iter_mut().zip(extents).rev() {
            *counter = i % extent;
            i /= extent;
        }
        counters
    })
}

/// Columns [channels * window, outputs]: for every element of the window the elements that it meets.
fn columns<F: Real>(x: &[F], axes: &[Axis], out: &mut [F]) {
    let inputs: usize = axes.iter().map(|a| a.input).product();
    let windows: Vec<usize> = axes.iter().map(|a| a.kernel).collect();
    let (window, outputs): (usize, usize) = (windows.iter().product(), axes.iter().map(|a| a.output).product());
    for (w, counters) in positions(&windows).enumerate() {
        let met = met(axes, &counters);
        for (plane, block) in x.chunks_exact(inputs.max(1)).zip(out.chunks_exact_mut(window * outputs)) {
            let row = &mut block[w * outputs..(w + 1) * outputs];
            row.iter_mut().zip(&met).for_each(|(y, place)| *y = place.map_or(F::default(), |i| plane[i]));
        }
    }
}

/// Where in the input the element `window` of each output's window lies; none in the padding.
fn met(axes: &[Axis], window: &[usize]) -> Vec<Option<usize>> {
    let outputs: Vec<usize> = axes.iter().map(|a| a.output).collect();
    let place = |o: Vec<usize>| {
        let mut along = axes.iter().zip(o.iter().zip(window));
        along.try_fold(0, |at, (axis, (o, k))| Some(at * axis.input + axis.at(*o, *k)?))
    };
    positions(&outputs).map(place).collect()
}

/// Shapes of a convolution: batch, groups, channels in and out of a group, axes.
struct Shapes {
    batch: usize,
    groups: usize,
    cin: usize,
    cout: usize,
    axes: Vec<Axis>,
}

fn shapes<F: Real>(call: &Call<'_, F>, x: &[usize], w: &[usize]) -> Result<Shapes, RunError> {
    call.require((3..=5).contains(&x.len()) && w.len() == x.len(), || format!("x is {x:?}, weight {w:?}"))?;
    let groups = call.int("groups")?.unwrap_or(1);
    let groups = usize::try_from(groups).ok().filter(|g| *g > 0).ok_or_else(|| call.invalid(format!("{groups} groups")))?;
    let fits = x[1].is_multiple_of(groups) && w[0].is_multiple_of(groups) && w[1] == x[1] / groups;
    call.require(fits, || format!("{groups} groups, x is {x:?}, weight {w:?}"))?;
    Ok(Shapes { batch: x[0], groups, cin: w[1], cout: w[0] / groups, axes: axes(call, &x[2..], &w[2..])? })
}

/// Windows of `x` [n, c, ...] times `weight` [o, c / groups, ...], plus `bias` [o].
fn conv<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (x, w) = (call.tensor("x")?, call.tensor("weight")?);
    let (values, weight) = (call.floats(x)?, call.floats(w)?);
    let s = shapes(call, &x.ty.shape, &w.ty.shape)?;
    let (inputs, outputs) =
        (s.axes.iter().map(|a| a.input).product::<usize>(), s.axes.iter().map(|a| a.output).product::<usize>());
    let window: usize = s.axes.iter().map(|a| a.kernel).product();
    let mut shape = vec![s.batch, s.groups * s.cout];
    shape.extend(s.axes.iter().map(|a| a.output));
    let mut out = vec![F::default(); call.elements(&shape)?];
    let size = call.elements(&[s.cin, window, outputs])?;
    // a window of one element that steps by one reads x as it lies
    let pointwise = window == 1 && s.axes.iter().all(|a| a.stride == 1 && a.before + a.after == 0);
    let p = Product { m: s.cout, n: outputs, k: s.cin * window, transpose_a: false, transpose_b: false };
    let mut scratch = vec![F::default(); if pointwise { 0 } else { size }];
    if !out.is_empty() && p.k > 0 {
        for (i, c) in out.chunks_exact_mut(p.m * p.n).enumerate() {
            let planes = &values[i * s.cin * inputs..(i + 1) * s.cin * inputs];
            let a = &weight[i % s.groups * p.m * p.k..][..p.m * p.k];
            if pointwise {
                product(call.numerics, &p, a, planes, c);
            } else {
                columns(planes, &s.axes, &mut scratch);
                product(call.numerics, &p, a, &scratch, c);
            }
        }
    }
    add_bias(call, &mut out, s.groups * s.cout, outputs)?;
    call.result(x.ty.dtype, &shape, Data::Floats(out))
}

/// Adds `bias`, where there is one, to every plane.
pub(super) fn add_bias<F: Real>(call: &Call<'_, F>, out: &mut [F], channels: usize, plane: usize) -> Result<(), RunError> {
    let Some(bias) = call.optional("bias") else { return Ok(()) };
    let bias = call.floats(bias)?;
    call.require(bias.len() == channels, || format!("{} biases for {channels} channels", bias.len()))?;
    for (i, plane) in out.chunks_exact_mut(plane.max(1)).enumerate() {
        plane.iter_mut().for_each(|x| *x += bias[i % channels]);
    }
    Ok(())
}

/// The axes of the convolution that this one undoes: from `output` back to `input`.
fn undone<F: Real>(call: &Call<'_, F>, input: &[usize], kernel: &[usize]) -> Result<Vec<Axis>, RunError> {
    // a window over itself says nothing of padding, and checks what is given
    let same = matches!(call.text("pad_type")?, Some("same" | "same_lower"));
    let given = axes(call, &vec![1 << 26; input.len()], kernel)?;
    let undo = |(axis, &extent): (&Axis, &usize)| {
        let full = extent.checked_sub(1)?.checked_mul(axis.stride)?.checked_add((axis.kernel - 1) * axis.dilation + 1)?;
        let (before, after) = if same {
            let total = full.saturating_sub(extent.checked_mul(axis.stride)?);
            (total / 2, total - total / 2)
        } else {
            (axis.before, axis.after)
        };
        let large = if same { extent.checked_mul(axis.stride)? } else { full.checked_sub(before)?.checked_sub(after)? };
        Some(Axis { input: large, output: extent, before, after, ..*axis })
    };
    let axes: Option<Vec<Axis>> = given.iter().zip(input).map(undo).collect();
    axes.ok_or_else(|| call.invalid("the padding leaves nothing"))
}

/// Every element of `x` [n, c, ...] times `weight` [c, o / groups, ...], added up where the windows overlap.
fn conv_transpose<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (x, w) = (call.tensor("x")?, call.tensor("weight")?);
    let (values, weight) = (call.floats(x)?, call.floats(w)?);
    let (a, b) = (&x.ty.shape, &w.ty.shape);
    let groups = call.int("groups")?.unwrap_or(1);
    let groups = usize::try_from(groups).ok().filter(|g| *g > 0).ok_or_else(|| call.invalid(format!("{groups} groups")))?;
    let fits = (3..=5).contains(&a.len()) && b.len() == a.len() && b[0] == a[1] && a[1].is_multiple_of(groups);
    call.require(fits, || format!("{groups} groups, x is {}, weight {}", x.ty, w.ty))?;
    let axes = undone(call, &a[2..], &b[2..])?;
    let (cin, cout) = (a[1] / groups, b[1]);
    let mut shape = vec![a[0], cout * groups];
    shape.extend(axes.iter().map(|x| x.input));
    let mut out = vec![F::default(); call.elements(&shape)?];
    let window: usize = b[2..].iter().product();
    let (small, large) = (a[2..].iter().product::<usize>(), axes.iter().map(|x| x.input).product::<usize>());
    // [o * window, c] x [c, small], each row then added where its element of the window lies
    let p = Product { m: cout * window, n: small, k: cin, transpose_a: true, transpose_b: false };
    let mut spread = vec![F::default(); call.elements(&[cout, window, small])?];
    if !out.is_empty() && !spread.is_empty() && cin > 0 {
        for (i, out) in out.chunks_exact_mut(cout * large).enumerate() {
            let group = &weight[i % groups * cin * cout * window..][..cin * cout * window];
            product(call.numerics, &p, group, &values[i * cin * small..(i + 1) * cin * small], &mut spread);
            gather_up(&axes, &spread, out);
        }
    }
    add_bias(call, &mut out, groups * cout, large)?;
    call.result(x.ty.dtype, &shape, Data::Floats(out))
}

/// Adds what every element of the window contributes, `spread` [channels * window, small], where it lies in `out`.
fn gather_up<F: Real>(axes: &[Axis], spread: &[F], out: &mut [F]) {
    let windows: Vec<usize> = axes.iter().map(|a| a.kernel).collect();
    let (window, small): (usize, usize) = (windows.iter().product(), axes.iter().map(|a| a.output).product());
    let large: usize = axes.iter().map(|a| a.input).product();
    for (w, counters) in positions(&windows).enumerate() {
        let met = met(axes, &counters);
        for (block, plane) in spread.chunks_exact(window * small).zip(out.chunks_exact_mut(large)) {
            let row = &block[w * small..(w + 1) * small];
            row.iter().zip(&met).for_each(|(x, place)| place.iter().for_each(|i| plane[*i] += *x));
        }
    }
}
