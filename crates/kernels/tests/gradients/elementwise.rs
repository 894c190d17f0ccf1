//! SwiGLU, embedding, bias, and the scaled sums of the residual stream.

use kernels::embedding::{add_bias, add_to, bias_backward, bias_partials, embed, embed_backward, scaled};
use kernels::swiglu::{swiglu, swiglu_backward};

use crate::check::{added, close, dot, gradient, on_every_cpu, values, wide};

/// Rows and width: rows cross the pieces of 8 and 64.
const SHAPES: [(usize, usize); 4] = [(1, 1), (9, 37), (67, 16), (131, 19)];

fn swiglu_of(gu: &[f64], ff: usize) -> Vec<f64> {
    let row = |gu: &[f64]| -> Vec<f64> { (0..ff).map(|i| gu[i] / (1.0 + (-gu[i]).exp()) * gu[ff + i]).collect() };
    gu.chunks_exact(2 * ff).flat_map(row).collect()
}

#[test]
fn swiglu_is_the_formula_and_its_backward_the_gradient() {
    for (n, ff) in SHAPES {
        let gu: Vec<f32> = values(n * 2 * ff, 1).iter().map(|x| 6.0 * x).collect();
        let dact = values(n * ff, 2);
        let act = swiglu_of(&wide(&gu), ff);
        let dgu = gradient(&wide(&gu), |gu| dot(&swiglu_of(gu, ff), &wide(&dact)));
        let runs = on_every_cpu(|cpu| {
            let (mut act, mut dgu) = (vec![f32::NAN; n * ff], gu.clone());
            swiglu(cpu, &mut act, &gu, ff);
            swiglu_backward(cpu, &mut dgu, &dact, ff);
            vec![act, dgu]
        });
        for (isa, out) in runs {
            close(&format!("{isa:?} act[{n}, {ff}]"), &out[0], &act, 1e-6);
            close(&format!("{isa:?} dgu[{n}, 2 x {ff}]"), &out[1], &dgu, 3e-6);
        }
    }
}

#[test]
fn swiglu_saturates_without_overflow() {
    let gu = [-1e4f32, -100.0, 100.0, 1e4, 2.0, 2.0, 2.0, 2.0];
    for (isa, out) in on_every_cpu(|cpu| {
        let (mut act, mut dgu) = (vec![f32::NAN; 4], gu.to_vec());
        swiglu(cpu, &mut act, &gu, 4);
        swiglu_backward(cpu, &mut dgu, &[1.0; 4], 4);
        vec![act, dgu]
    }) {
        close(&format!("{isa:?} act"), &out[0], &[0.0, 0.0, 200.0, 2e4], 1e-6);
        close(&format!("{isa:?} dgu"), &out[1], &[0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 100.0, 1e4], 1e-6);
    }
}

/// Ids of which most occur many times, the last row of the table among them.
fn ids(n: usize, v: usize) -> Vec<u32> {
    (0..n).map(|i| if i % 3 == 0 { v - 1 } else { i * 7 % v } as u32).collect()
}

fn embed_of(table: &[f64], ids: &[u32], d: usize) -> Vec<f64> {
    ids.iter().flat_map(|&id| &table[id as usize * d..][..d]).copied().collect()
}

#[test]
fn embed_takes_rows_and_its_backward_adds_up_repeated_ids() {
    for (n, d) in SHAPES {
        let v = 11;
        let (table, dy, start, ids) = (values(v * d, 1), values(n * d, 2), values(v * d, 3), ids(n, v));
        let y = embed_of(&wide(&table), &ids, d);
        let dtable = gradient(&wide(&table), |table| dot(&embed_of(table, &ids, d), &wide(&dy)));
        let runs = on_every_cpu(|cpu| {
            let (mut y, mut dtable) = (vec![f32::NAN; n * d], start.clone());
            embed(cpu, &mut y, &table, &ids, d);
            embed_backward(cpu, &mut dtable, &dy, &ids, d);
            vec![y, dtable]
        });
        for (isa, out) in runs {
            assert_eq!(wide(&out[0]), y, "{isa:?} y[{n}, {d}]");
            close(&format!("{isa:?} dtable[{v}, {d}] of {n}"), &out[1], &added(&start, &dtable, true), 3e-6);
        }
    }
}

fn biased(x: &[f64], bias: &[f64], stride: usize) -> Vec<f64> {
    x.iter().enumerate().map(|(i, x)| x + bias.get(i % stride).unwrap_or(&0.0)).collect()
}

#[test]
fn bias_is_added_to_its_columns_and_its_gradient_is_their_sum() {
    for (n, d) in SHAPES {
        for stride in [d, d + 4] {
            let (x, bias) = (values(n * stride, 1), values(d, 2));
            let (dy, start) = (values(n * stride, 3), values(d, 4));
            let y = biased(&wide(&x), &wide(&bias), stride);
            let dbias = gradient(&wide(&bias), |bias| dot(&biased(&wide(&x), bias, stride), &wide(&dy)));
            for accumulate in [false, true] {
                let runs = on_every_cpu(|cpu| {
                    let (mut y, mut dbias) = (x.clone(), start.clone());
                    add_bias(cpu, &mut y, &bias, stride);
                    let mut partial = vec![f32::NAN; bias_partials(n) * d];
                    bias_backward(cpu, &mut dbias, &dy, stride, &mut partial, accumulate);
                    vec![y, dbias]
                });
                for (isa, out) in runs {
                    close(&format!("{isa:?} y[{n}, {d} of {stride}]"), &out[0], &y, 1e-6);
                    let expected = added(&start, &dbias, accumulate);
                    close(&format!("{isa:?} dbias[{d}] of {n} x {stride}, {accumulate}"), &out[1], &expected, 3e-6);
                }
            }
        }
    }
}

#[test]
fn scaled_and_add_to_are_their_formulas() {
    for n in [1, 37, (1 << 14) + 37] {
        let (x, b, a) = (values(n, 1), values(n, 2), -0.35f32);
        let scaled_x: Vec<f64> = x.iter().map(|x| f64::from(a) * f64::from(*x)).collect();
        let sum: Vec<f64> = x.iter().zip(&b).map(|(x, b)| f64::from(*x) + f64::from(a) * f64::from(*b)).collect();
        let runs = on_every_cpu(|cpu| {
            let (mut y, mut z) = (vec![f32::NAN; n], vec![f32::NAN; n]);
            scaled(cpu, &mut y, &x, a);
            add_to(cpu, &mut z, &x, &b, a);
            vec![y, z]
        });
        for (isa, out) in runs {
            close(&format!("{isa:?} scaled [{n}]"), &out[0], &scaled_x, 1e-6);
            close(&format!("{isa:?} sum [{n}]"), &out[1], &sum, 1e-6);
        }
    }
}
