//! Rotation of the pairs `(i, hd/2 + i)` by `position * frequency_i`.

use kernels::rope::{RopeTable, Turn, rope};

use crate::check::{close, dot, gradient, on_every_cpu, values, wide};

/// Rows, heads, pairs of a head, and columns after the heads.
const SHAPES: [(usize, usize, usize, usize); 3] = [(1, 1, 1, 0), (19, 3, 5, 4), (37, 2, 9, 18)];
const FIRST: usize = 3;
const SEQ: usize = 7;

fn frequencies(half: usize) -> Vec<f32> {
    (0..half).map(|i| 0.9f32.powi(i as i32) * 1.3).collect()
}

fn reference(x: &[f64], stride: usize, heads: usize, frequencies: &[f32], scale: f64) -> Vec<f64> {
    let half = frequencies.len();
    let mut y = x.to_vec();
    for (t, row) in y.chunks_exact_mut(stride).enumerate() {
        for head in row[..heads * 2 * half].chunks_exact_mut(2 * half) {
            for (i, f) in frequencies.iter().enumerate() {
                let (sin, cos) = f64::from((FIRST + t % SEQ) as f32 * f).sin_cos();
                let (sin, cos) = (scale * sin, scale * cos);
                (head[i], head[half + i]) = (head[i] * cos - head[half + i] * sin, head[half + i] * cos + head[i] * sin);
            }
        }
    }
    y
}

#[test]
fn rope_is_the_rotation_and_back_its_gradient_and_transpose() {
    for ((n, heads, half, rest), scale) in SHAPES.into_iter().flat_map(|shape| [(shape, 1.0), (shape, 1.25)]) {
        let stride = heads * 2 * half + rest;
        let (x, dy, f) = (values(n * stride, 1), values(n * stride, 2), frequencies(half));
        let y = reference(&wide(&x), stride, heads, &f, scale);
        let dx = gradient(&wide(&x), |x| dot(&reference(x, stride, heads, &f, scale), &wide(&dy)));
        let runs = on_every_cpu(|cpu| {
            let table = RopeTable::new(&f, scale as f32, FIRST + SEQ);
            let turned = |x: &[f32], turn| {
                let mut x = x.to_vec();
                rope(cpu, &mut x, stride, heads, &table, FIRST, SEQ, turn);
                x
            };
            let y = turned(&x, Turn::Forward);
            let there_and_back = turned(&y, Turn::Back);
            vec![y, turned(&dy, Turn::Back), there_and_back]
        });
        for (isa, out) in runs {
            let what = format!("{isa:?} [{n}, {heads}, {half}] x {scale}");
            close(&format!("{what} forward"), &out[0], &y, 1e-6);
            close(&format!("{what} back"), &out[1], &dx, 1e-6);
            if scale == 1.0 {
                close(&format!("{what} forward and back"), &out[2], &wide(&x), 1e-6);
            }
            // <R x, dy> = <x, R' dy>
            let (left, right) = (dot(&wide(&out[0]), &wide(&dy)), dot(&wide(&x), &wide(&out[1])));
            assert!((left - right).abs() < 1e-5, "{what}: {left} {right}");
        }
    }
}
