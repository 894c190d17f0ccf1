//! Convolutions in 8 bits through the interpreter, against f64.

mod reference;
mod runner;

use ane::kernels::products;
use ane::{BlockShape, KernelForm};
use model::{Part, TensorId};
use reference::{cases, noise};
use runner::run;

const S: usize = 16;
const LAYER: usize = 0;

/// Root mean square of the error over that of the values. Half a step of 127 on either side is `1 / (254 sqrt(3))` of the
/// largest magnitude of a token or row, which is three times the usual one: 0.7 % each, 1 % together; twice that for the few
/// values of a token.
const TOLERANCE: f64 = 0.02;

fn error(found: &[f64], expected: &[f64]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    square(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / square(&mut expected.iter().copied())
}

#[test]
fn a_product_has_a_scale_a_row_and_a_scale_a_token() {
    for model in cases() {
        let shape = BlockShape::of(&model.spec, S);
        for part in [Part::Q, Part::K, Part::V, Part::O, Part::Gate, Part::Up, Part::Down] {
            let cols = model.layout.get(TensorId::Layer(LAYER, part)).expect("a matrix of the block").shape[1];
            // tokens of very different sizes, one of them zero: a scale for all would lose the small ones
            let mut x = noise(3, S * cols, 1.0);
            for (t, token) in x.chunks_mut(cols).enumerate() {
                token.iter_mut().for_each(|v| *v *= if t == 5 { 0.0 } else { 2f64.powi(t as i32 - 8) });
            }
            let y = model.project(LAYER, part, &x);
            let inputs = ["xnorm", "x2norm", "attn", "act"].map(|field| (field, x.as_slice()));
            let found = run(&products::conv(&shape, part, true).expect("a kernel"), &model, LAYER, &inputs);
            let rows = y.len() / S;
            for (t, (found, expected)) in found.get("y").chunks(rows).zip(y.chunks(rows)).enumerate() {
                if t == 5 {
                    assert!(found.iter().all(|v| *v == 0.0));
                } else {
                    let off = error(found, expected);
                    assert!(off > 1e-4 && off < TOLERANCE, "{part:?}: token {t} is off by {off:.2e}");
                }
            }
        }
    }
}

#[test]
fn a_feed_forward_part_in_eight_bits() {
    for model in cases() {
        let shape = BlockShape::of(&model.spec, S);
        let (x, x2) = (noise(4, S * model.spec.dim, 1.0), noise(5, S * model.spec.dim, 1.0));
        let part = model.ffn_from_norm(LAYER, x.clone());
        let inputs = [("x2norm", x.as_slice()), ("x2", &x2)];
        let found = run(&products::ffn_conv(&shape, KernelForm::Fused, true).expect("a kernel"), &model, LAYER, &inputs);
        let fields = [("h1", &part.h1, TOLERANCE), ("h3", &part.h3, TOLERANCE), ("out", &part.out, 2.0 * TOLERANCE)];
        for (field, expected, tolerance) in fields {
            let off = error(found.get(field), expected);
            assert!(off < tolerance, "{field} is off by {off:.2e}");
        }
        let found = run(&products::ffn_conv(&shape, KernelForm::Original, true).expect("a kernel"), &model, LAYER, &inputs);
        let off = error(found.get("x_next"), &model.add_branch(&x2, &part.out));
        assert!(off < TOLERANCE, "x_next is off by {off:.2e}");
    }
}
