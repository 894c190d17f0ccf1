//! What lies in weight files, read back by the container's own reader.

mod reference;

use ane::Baked;
use ane::kernels::weights::{Model, file};
use half::f16;
use mil::blob::{Validation, data, records};
use mil::{DType, Type};
use model::{Part, RopeScaling, TensorId};
use reference::{Reference, cases};

const SEQ: usize = 16;

fn bytes(model: &Reference, what: Baked, layer: usize) -> Vec<u8> {
    let of = Model { spec: &model.spec, layout: &model.layout, params: &model.params, seq: SEQ };
    file(what, &of, layer)
}

/// The fp16 numbers of the only record.
fn halves(model: &Reference, what: Baked, layer: usize) -> Vec<f32> {
    let file = bytes(model, what, layer);
    let record = records(&file).expect("a container")[0];
    assert_eq!((record.at, record.dtype), (64, DType::Fp16));
    let ty = Type::new(DType::Fp16, &[record.bytes / 2]);
    let found = data(&file, 64, &ty, Validation::Strict).expect("the record");
    found.chunks(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
}

#[test]
fn matrices_lie_as_they_are_or_transposed() {
    for model in cases() {
        for (layer, part) in [(0, Part::Q), (1, Part::K), (1, Part::Down)] {
            let [rows, cols] = model.layout.get(TensorId::Layer(layer, part)).expect("a matrix of the block").shape;
            let upright = halves(&model, Baked::Matrix(part), layer);
            let turned = halves(&model, Baked::Transposed(part), layer);
            assert_eq!(upright, model.params[model.layout.part(layer, part)]);
            for (r, c) in [(0, 1), (rows - 1, 2), (3, cols - 1)] {
                assert_eq!(turned[c * rows + r], upright[r * cols + c]);
            }
        }
        assert_eq!(halves(&model, Baked::Vector(Part::FfnNorm), 1), model.params[model.layout.part(1, Part::FfnNorm)]);
        assert_eq!(halves(&model, Baked::FinalNorm, 0), model.params[model.layout.range(TensorId::FinalNorm)]);
        assert_eq!(halves(&model, Baked::Classifier, 0), model.params[model.layout.classifier()]);
    }
}

#[test]
fn numbers_are_rounded_to_the_nearest_even() {
    let mut model = cases().remove(0);
    let at = model.layout.part(0, Part::Q).start;
    let step = 2f32.powi(-10);
    // halfway between neighbours, just above halfway, beyond the largest, smaller than the smallest
    let given =
        [1.0 + 0.5 * step, 1.0 + 1.5 * step, 1.0 + 0.5 * step + f32::EPSILON, 70_000.0, 2f32.powi(-26), 1.5 * 2f32.powi(-24)];
    let expected = [1.0, 1.0 + 2.0 * step, 1.0 + step, f32::INFINITY, 0.0, 2f32.powi(-23)];
    model.params[at..at + 6].copy_from_slice(&given);
    assert_eq!(halves(&model, Baked::Matrix(Part::Q), 0)[..6], expected);
}

#[test]
fn a_query_sees_itself_and_what_was_before() {
    let mask = halves(&cases()[0], Baked::CausalMask, 0);
    for (query, row) in mask.chunks(SEQ).enumerate() {
        assert!(row.iter().enumerate().all(|(key, v)| *v == if key <= query { 0.0 } else { -65504.0 }));
    }
}

#[test]
fn turns_are_those_of_the_rotary_embedding() {
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        original_context: 64,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: 1.25,
        truncate: true,
    };
    for case in cases() {
        for scaling in [RopeScaling::None, yarn] {
            let rope = model::Rope { scaling, ..case.spec.rope };
            let mut model = case.clone();
            model.spec.rope = rope;
            let (cos, sin) = (halves(&model, Baked::RopeCos, 0), halves(&model, Baked::RopeSin, 0));
            let frequencies = rope.frequencies(case.spec.head_dim);
            assert_eq!(cos.len(), frequencies.len() * SEQ);
            for (pair, f) in frequencies.iter().enumerate() {
                for t in 0..SEQ {
                    let (sine, cosine) = (f64::from(*f) * t as f64).sin_cos();
                    let scale = f64::from(rope.attention_factor());
                    let found = (f64::from(cos[pair * SEQ + t]), f64::from(sin[pair * SEQ + t]));
                    assert!((found.0 - scale * cosine).abs() < 1e-3 && (found.1 - scale * sine).abs() < 1e-3);
                }
            }
        }
    }
}

#[test]
fn eight_bit_weights_are_within_half_a_step_of_their_row() {
    let mut model = cases().remove(2);
    let [rows, cols] = model.layout.get(TensorId::Layer(0, Part::O)).expect("a matrix of the block").shape;
    let range = model.layout.part(0, Part::O);
    // a row of zeros, a row that is small throughout
    model.params[range.start..range.start + cols].fill(0.0);
    model.params[range.start + cols..range.start + 2 * cols].iter_mut().for_each(|v| *v *= 0.01);
    let file = bytes(&model, Baked::Int8(Part::O), 0);
    let found = records(&file).expect("a container");
    assert_eq!(found.iter().map(|r| r.dtype).collect::<Vec<_>>(), [DType::Int8, DType::Fp16]);
    let levels = data(&file, 64, &Type::new(DType::Int8, &[rows, cols, 1, 1]), Validation::Strict).expect("the record");
    let scales = data(&file, found[1].at as u64, &Type::new(DType::Fp16, &[rows]), Validation::Strict).expect("the record");
    let weights = &model.params[range];
    for r in 0..rows {
        let scale = f16::from_le_bytes([scales[2 * r], scales[2 * r + 1]]).to_f32();
        let row = &levels[r * cols..(r + 1) * cols];
        for (level, weight) in row.iter().zip(&weights[r * cols..]) {
            assert!((f32::from(*level as i8) * scale - weight).abs() <= 0.5001 * scale);
        }
        let most = row.iter().map(|level| (*level as i8).unsigned_abs()).max().expect("a row");
        assert!(if r == 0 { most == 0 } else { (125..=127).contains(&most) }, "row {r}: {most}");
    }
}
