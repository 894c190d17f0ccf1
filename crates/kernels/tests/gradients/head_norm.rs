//! RMSNorm of heads that are columns of a wider array; the columns beside them stay as they are.

use kernels::head_norm::{Heads, head_norm, head_norm_backward, head_partials};

use crate::check::{added, close, dot, gains, gradient, on_every_cpu, values, wide};

const EPS: f32 = 0.01;
/// Tokens, heads and width of a head: tokens cross the pieces of 64, widths are no whole vectors.
const SHAPES: [(usize, usize, usize); 4] = [(1, 1, 2), (5, 3, 18), (67, 2, 7), (131, 3, 5)];

/// The heads of `[n, h hd]`, normed one by one.
fn reference(x: &[f64], w: &[f64]) -> Vec<f64> {
    let norm = |head: &[f64]| -> Vec<f64> {
        let r = 1.0 / (dot(head, head) / w.len() as f64 + f64::from(EPS)).sqrt();
        head.iter().zip(w).map(|(x, w)| x * r * w).collect()
    };
    x.chunks_exact(w.len()).flat_map(norm).collect()
}

/// Columns `first..first + width` of `x[n, stride]`, side by side.
fn columns(x: &[f32], stride: usize, first: usize, width: usize) -> Vec<f32> {
    x.chunks_exact(stride).flat_map(|row| &row[first..first + width]).copied().collect()
}

/// `x` with those columns zeroed: all that a kernel must leave alone.
fn beside(x: &[f32], stride: usize, first: usize, width: usize) -> Vec<f32> {
    let mut x = x.to_vec();
    x.chunks_exact_mut(stride).for_each(|row| row[first..first + width].fill(0.0));
    x
}

#[test]
fn head_norm_is_the_formula_head_by_head() {
    for (n, h, hd) in SHAPES {
        let (first, width) = (3, h * hd);
        let heads = Heads { stride: width + 5, first, heads: h };
        let (x, w) = (values(n * heads.stride, 1), gains(hd, 2));
        let inner = wide(&columns(&x, heads.stride, first, width));
        let y = reference(&inner, &wide(&w));
        let r: Vec<f64> = inner.chunks_exact(hd).map(|x| 1.0 / (dot(x, x) / hd as f64 + f64::from(EPS)).sqrt()).collect();
        let runs = on_every_cpu(|cpu| {
            let (mut out, mut r) = (x.clone(), vec![f32::NAN; n * h]);
            head_norm(cpu, &mut out, heads, &mut r, &w, EPS);
            vec![out, r]
        });
        for (isa, out) in runs {
            close(&format!("{isa:?} y[{n}, {h}, {hd}]"), &columns(&out[0], heads.stride, first, width), &y, 1e-6);
            close(&format!("{isa:?} r[{n}, {h}, {hd}]"), &out[1], &r, 1e-6);
            assert_eq!(beside(&out[0], heads.stride, first, width), beside(&x, heads.stride, first, width));
        }
    }
}

#[test]
fn head_norm_backward_is_the_gradient() {
    for (n, h, hd) in SHAPES {
        // the gradient and the kept input lie in arrays of different widths
        let (first, width, x_stride, x_first) = (3, h * hd, h * hd + 2, 1);
        let heads = Heads { stride: width + 5, first, heads: h };
        let (x, w, g) = (values(n * x_stride, 1), gains(hd, 2), values(n * heads.stride, 3));
        let dw0 = values(hd, 4);
        let inner = columns(&x, x_stride, x_first, width);
        let (wx, ww, dy) = (wide(&inner), wide(&w), wide(&columns(&g, heads.stride, first, width)));
        let dx = gradient(&wx, |x| dot(&reference(x, &ww), &dy));
        let dw = gradient(&ww, |w| dot(&reference(&wx, w), &dy));
        for accumulate in [false, true] {
            let runs = on_every_cpu(|cpu| {
                let (mut normed, mut r) = (inner.clone(), vec![0.0; n * h]);
                head_norm(cpu, &mut normed, Heads { stride: width, first: 0, heads: h }, &mut r, &w, EPS);
                let (mut g, mut dw) = (g.clone(), dw0.clone());
                let mut partial = vec![f32::NAN; head_partials(n) * hd];
                head_norm_backward(cpu, &mut g, heads, &mut dw, (&x, x_stride, x_first), &r, &w, &mut partial, accumulate);
                vec![g, dw]
            });
            for (isa, out) in runs {
                close(&format!("{isa:?} dx[{n}, {h}, {hd}]"), &columns(&out[0], heads.stride, first, width), &dx, 3e-6);
                close(&format!("{isa:?} dw[{hd}], accumulate {accumulate}"), &out[1], &added(&dw0, &dw, accumulate), 3e-6);
                assert_eq!(beside(&out[0], heads.stride, first, width), beside(&g, heads.stride, first, width));
            }
        }
    }
}
