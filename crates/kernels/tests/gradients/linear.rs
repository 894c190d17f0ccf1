//! The three products of a linear layer: `y = x W'`, `dW = dy' x`, `dx = dy W`.

use kernels::gemm::MatRef;

use crate::check::{added, close, dot, gradient, on_every_cpu, values, wide};

/// `[n, k] x [m, k]' -> [n, m]`
fn reference(x: &[f64], w: &[f64], k: usize) -> Vec<f64> {
    x.chunks_exact(k).flat_map(|x| w.chunks_exact(k).map(move |w| dot(x, w))).collect()
}

/// Columns of `a[rows, cols]` as rows.
fn transposed(a: &[f64], cols: usize) -> Vec<f64> {
    (0..cols).flat_map(|c| a.iter().skip(c).step_by(cols)).copied().collect()
}

/// `y`, `dw` and `dx` on every instruction set against the given ones.
fn check((n, m, k): (usize, usize, usize), x: &[f32], w: &[f32], dy: &[f32], expected: [&[f64]; 3]) {
    let start = [values(n * m, 4), values(m * k, 5), values(n * k, 6)];
    for accumulate in [false, true] {
        let runs = on_every_cpu(|cpu| {
            let mut out = start.to_vec();
            let (x, w, dy) = (MatRef::new(x, n, k), MatRef::new(w, m, k), MatRef::new(dy, n, m));
            cpu.gemm(&mut out[0], m, x, w.t(), accumulate); // [n, k] x [k, m]
            cpu.gemm(&mut out[1], k, dy.t(), x, accumulate); // [m, n] x [n, k]
            cpu.gemm(&mut out[2], k, dy, w, accumulate); // [n, m] x [m, k]
            out
        });
        for (isa, out) in runs {
            for (i, name) in ["y", "dW", "dx"].into_iter().enumerate() {
                let what = format!("{isa:?} {name} of n = {n}, m = {m}, k = {k}, accumulate {accumulate}");
                close(&what, &out[i], &added(&start[i], expected[i], accumulate), 3e-6);
            }
        }
    }
}

#[test]
fn linear_backward_is_the_gradient() {
    for (n, m, k) in [(1, 1, 1), (2, 5, 33), (35, 19, 37)] {
        let (x, w, dy) = (values(n * k, 1), values(m * k, 2), values(n * m, 3));
        let (wx, ww, wdy) = (wide(&x), wide(&w), wide(&dy));
        let y = reference(&wx, &ww, k);
        let dw = gradient(&ww, |w| dot(&reference(&wx, w, k), &wdy));
        let dx = gradient(&wx, |x| dot(&reference(x, &ww, k), &wdy));
        check((n, m, k), &x, &w, &dy, [&y, &dw, &dx]);
    }
}

/// Too large for differences: the formulas themselves.
#[test]
fn linear_of_many_tiles_is_the_formula() {
    let (n, m, k) = (259, 131, 321);
    let (x, w, dy) = (values(n * k, 1), values(m * k, 2), values(n * m, 3));
    let (wx, ww, wdy) = (wide(&x), wide(&w), wide(&dy));
    let y = reference(&wx, &ww, k);
    let dw = reference(&transposed(&wdy, m), &transposed(&wx, k), n);
    let dx = reference(&wdy, &transposed(&ww, k), m);
    check((n, m, k), &x, &w, &dy, [&y, &dw, &dx]);
}
