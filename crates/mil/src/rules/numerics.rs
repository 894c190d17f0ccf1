//! Values that the arithmetic of the engine loses. What can be seen in the text is said here; the rest is seen when the
//! interpreter runs a program with the engine's numerics.

use half::f16;

use super::scene::{Findings, Scene, result};
use super::{Confidence, EVERY, M1, M1_M2, Rule, Severity};
use crate::blob::Validation;
use crate::{DType, Elements, Literal};

/// Magnitude from which on a multiply-accumulate of M1 gives infinity.
const MAC_LIMIT: f64 = 32_768.0;
/// Magnitude from which on a number rounds to infinity in fp16.
const FP16_LIMIT: f64 = 65_520.0;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-49",
        title: "On M1 and M2 a slice that begins inside the last axis takes magnitudes up to 4,094.",
        evidence: "the slice multiplies by 16 inside: larger values come out infinite (guide, M1 and M2); fixed from M3 on",
        confidence: Confidence::Single,
        chips: M1_M2,
        strict: Severity::Warning,
        lenient: Severity::Warning,
        find: slice_gain,
    },
    Rule {
        id: "ANE-50",
        title: "On M1 a constant of magnitude 32,768 or more is no operand of matmul or conv.",
        evidence: "a multiply-accumulate passes 32,752 and turns 32,768 into infinity (guide, M1)",
        confidence: Confidence::Single,
        chips: M1,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: saturation,
    },
    Rule {
        id: "ANE-51",
        title: "Constants are finite in fp16: a mask holds -65,504.",
        evidence: "no working program holds an infinity (mx, Orion); inf - inf gives 0 and NaN becomes infinity on the engine (guide)",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: infinite,
    },
];

fn slice_gain(scene: &Scene<'_>, found: &mut Findings) {
    for op in ["slice_by_size", "slice_by_index"] {
        for statement in scene.of_op(op) {
            let begin = scene.ints(statement, "begin").and_then(|b| b.last().copied()).unwrap_or(0);
            if begin != 0 {
                found.add(statement.span, format!("`{}` begins at {begin} of the last axis", result(statement)));
            }
        }
    }
}

/// The first element of a constant that is as large as `limit`, or not a number.
fn too_large(scene: &Scene<'_>, literal: &Literal, limit: f64) -> Option<f64> {
    let is_bad = |v: &f64| v.is_nan() || v.abs() >= limit;
    match &literal.elements {
        Elements::Floats(values) => values.iter().copied().find(is_bad),
        Elements::Blob { path, offset } if literal.ty.dtype == DType::Fp16 => {
            let (_, file) = scene.blobs.iter().find(|(name, _)| name == path)?;
            let data = crate::blob::data(file, *offset, &literal.ty, Validation::Strict).ok()?;
            data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f64()).find(is_bad)
        }
        _ => None,
    }
}

fn saturation(scene: &Scene<'_>, found: &mut Findings) {
    for (op, parameters) in [("matmul", ["x", "y"]), ("conv", ["weight", "bias"])] {
        for statement in scene.of_op(op) {
            let constants = parameters.iter().filter_map(|p| scene.literal(statement, p));
            for value in constants.filter_map(|l| too_large(scene, l, MAC_LIMIT)) {
                found.add(statement.span, format!("an operand of `{op}` holds {value}"));
            }
        }
    }
}

fn infinite(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.of_op("const") {
        let literal = statement.attribute("val").filter(|l| l.ty.dtype == DType::Fp16);
        if let Some(value) = literal.and_then(|l| too_large(scene, l, FP16_LIMIT)) {
            found.add(statement.span, format!("constant `{}` holds {value}", result(statement)));
        }
    }
}
