//! `y = x * r * w`, `r = 1 / sqrt(mean(x^2) + eps)`.

use kernels::Cpu;
use kernels::rmsnorm::{add_rmsnorm, dw_partials, rmsnorm, rmsnorm_again, rmsnorm_backward};

use crate::check::{added, close, dot, gains, gradient, on_every_cpu, values, wide};

/// Rows and width: rows cross the pieces of a forward pass (16) and of a gain's gradient (128).
const SHAPES: [(usize, usize); 5] = [(1, 1), (3, 67), (17, 16), (131, 37), (259, 5)];
/// Large enough to show where it is forgotten.
const EPS: f32 = 0.01;

fn reference(x: &[f64], w: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let d = w.len();
    let scale = |row: &[f64]| 1.0 / (dot(row, row) / d as f64 + f64::from(EPS)).sqrt();
    let r: Vec<f64> = x.chunks_exact(d).map(scale).collect();
    let y = x.iter().enumerate().map(|(i, x)| x * r[i / d] * w[i % d]).collect();
    (y, r)
}

#[test]
fn rmsnorm_is_the_formula() {
    for (n, d) in SHAPES {
        let (x, w) = (values(n * d, 1), gains(d, 2));
        let (y, r) = reference(&wide(&x), &wide(&w));
        let runs = on_every_cpu(|cpu| {
            let mut out = vec![vec![f32::NAN; n * d], vec![f32::NAN; n], vec![f32::NAN; n * d]];
            let [y, r, again] = &mut out[..] else { unreachable!() };
            rmsnorm(cpu, y, r, &x, &w, EPS);
            rmsnorm_again(cpu, again, &x, r, &w);
            out
        });
        for (isa, out) in runs {
            close(&format!("{isa:?} y[{n}, {d}]"), &out[0], &y, 1e-6);
            close(&format!("{isa:?} r[{n}, {d}]"), &out[1], &r, 1e-6);
            assert_eq!(out[0], out[2], "{isa:?}: what is computed again differs");
        }
    }
}

#[test]
fn add_rmsnorm_is_the_sum_and_its_norm() {
    for (n, d) in SHAPES {
        let (x, branch, w, a) = (values(n * d, 1), values(n * d, 3), gains(d, 2), 0.35f32);
        let sum: Vec<f64> = x.iter().zip(&branch).map(|(x, b)| f64::from(*x) + f64::from(a) * f64::from(*b)).collect();
        let (y, r) = reference(&sum, &wide(&w));
        let runs = on_every_cpu(|cpu| {
            let mut out = vec![vec![f32::NAN; n * d], vec![f32::NAN; n * d], vec![f32::NAN; n]];
            let [sum, y, r] = &mut out[..] else { unreachable!() };
            add_rmsnorm(cpu, sum, y, r, &x, &branch, a, &w, EPS);
            out
        });
        for (isa, out) in runs {
            close(&format!("{isa:?} sum[{n}, {d}]"), &out[0], &sum, 1e-6);
            close(&format!("{isa:?} y[{n}, {d}]"), &out[1], &y, 1e-6);
            close(&format!("{isa:?} r[{n}, {d}]"), &out[2], &r, 1e-6);
        }
    }
}

/// `dx` and `dw` of the kernel, each started from the given numbers.
fn backward(cpu: &Cpu, start: (&[f32], &[f32]), dy: &[f32], x: &[f32], w: &[f32], accumulate: bool) -> Vec<Vec<f32>> {
    let (n, d) = (x.len() / w.len(), w.len());
    let (mut y, mut r) = (vec![0.0; n * d], vec![0.0; n]);
    rmsnorm(cpu, &mut y, &mut r, x, w, EPS);
    let (mut dx, mut dw) = (start.0.to_vec(), start.1.to_vec());
    let mut partial = vec![f32::NAN; dw_partials(n) * d];
    rmsnorm_backward(cpu, &mut dx, &mut dw, dy, x, &r, w, &mut partial, accumulate);
    vec![dx, dw]
}

#[test]
fn rmsnorm_backward_is_the_gradient() {
    for (n, d) in SHAPES {
        let (x, w, dy) = (values(n * d, 1), gains(d, 2), values(n * d, 3));
        let (dx0, dw0) = (values(n * d, 4), values(d, 5));
        let (wx, ww, wdy) = (wide(&x), wide(&w), wide(&dy));
        let dx = gradient(&wx, |x| dot(&reference(x, &ww).0, &wdy));
        let dw = gradient(&ww, |w| dot(&reference(&wx, w).0, &wdy));
        for accumulate in [false, true] {
            for (isa, out) in on_every_cpu(|cpu| backward(cpu, (&dx0, &dw0), &dy, &x, &w, accumulate)) {
                close(&format!("{isa:?} dx[{n}, {d}]"), &out[0], &added(&dx0, &dx, true), 3e-6);
                close(&format!("{isa:?} dw[{n}, {d}], accumulate {accumulate}"), &out[1], &added(&dw0, &dw, accumulate), 3e-6);
            }
        }
    }
}

/// `dx` is linear in the gain and `dw` does not know it: a second factor of `w` shows as nine times where three belong.
#[test]
fn rmsnorm_backward_has_no_extra_gain_factor() {
    let (n, d) = (21, 37);
    let (x, dy) = (values(n * d, 1), values(n * d, 3));
    let (dx0, dw0) = (vec![0.0; n * d], vec![0.0; d]);
    let cpu = Cpu::new(2);
    let one = backward(&cpu, (&dx0, &dw0), &dy, &x, &vec![1.0; d], false);
    let three = backward(&cpu, (&dx0, &dw0), &dy, &x, &vec![3.0; d], false);
    let tripled: Vec<f64> = one[0].iter().map(|g| 3.0 * f64::from(*g)).collect();
    close("dx at gain 3", &three[0], &tripled, 2e-6);
    close("dw at gain 3", &three[1], &wide(&one[1]), 2e-6);
}
