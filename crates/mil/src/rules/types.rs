//! Types, constants, names and dialect.

use super::scene::{Findings, Scene, is_const};
use super::{Confidence, EVERY, M1_M2, Rule, Severity};
use crate::{Argument, DType, Dialect, Type, ops};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-01",
        title: "A tensor has at most 5 dimensions.",
        evidence: "the compiler's tensors are N, D, C, H, W; in practice four dimensions are used (mx), or three (ane-train)",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: rank,
    },
    Rule {
        id: "ANE-02",
        title: "Only fp16 is computed with; fp32 stands at the boundary, between a port and a cast.",
        evidence: "fp32 arithmetic ends in CompilationFailure (bridge-rs, M5); all working programs compute in fp16 (mx, Orion, ane-train)",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: fp16_only,
    },
    Rule {
        id: "ANE-03",
        title: "M1 and M2 take fp16 ports alone, and no cast.",
        evidence: "cast is unsupported on M1 and M2 (mx PR#6); cast to int32 is rejected on M1",
        confidence: Confidence::Single,
        chips: M1_M2,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: no_cast,
    },
    Rule {
        id: "ANE-04",
        title: "A port is a tensor of fp16 or fp32.",
        evidence: "int8, uint8 and int32 parameters were taken on some machines only (guide, mx); states are rejected (bridge-rs)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: port_types,
    },
    Rule {
        id: "ANE-05",
        title: "Flags, axes, paddings and shapes are given as named constants.",
        evidence: "an inline `transpose_y = true` is invalid (Orion, M4 Max); tests of mx on M4 use inline literals",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: named_constants,
    },
    Rule {
        id: "ANE-06",
        title: "Names have two characters at least and are not those of operations.",
        evidence: "var, diff, mean, std, eps, x, y, mul, add, rsqrt, c gave zeros or failures (ane-train, M1, ios16); mx uses x, eps, k, v on ios18",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Warning,
        lenient: Severity::Off,
        find: plain_names,
    },
    Rule {
        id: "ANE-07",
        title: "M1 and M2 want `program(1.0)` and `ios16`.",
        evidence: "the later dialect failed for several users on M1 and M2; mx trained with it on M1 Pro and M1 Max",
        confidence: Confidence::Conflicting,
        chips: M1_M2,
        strict: Severity::Warning,
        lenient: Severity::Off,
        find: dialect,
    },
];

fn rank(scene: &Scene<'_>, found: &mut Findings) {
    let results = scene.function.body.iter().flat_map(|s| s.results.iter().map(move |r| (s.span, r)));
    let inputs = scene.function.inputs.iter().map(|i| (scene.function.span, i));
    for (span, binding) in inputs.chain(results).filter(|(_, b)| b.ty.shape.len() > 5) {
        found.add(span, format!("`{}` is {}, of {} dimensions", binding.name, binding.ty, binding.ty.shape.len()));
    }
}

fn is_wide(ty: &Type) -> bool {
    ty.dtype.is_float() && ty.dtype != DType::Fp16
}

fn fp16_only(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.computing().filter(|s| s.op != "cast" && s.op != "identity") {
        if let Some(wide) = statement.results.iter().find(|r| is_wide(&r.ty)) {
            found.add(statement.span, format!("`{}` computes {} in {}", statement.op, wide.name, wide.ty.dtype));
        }
    }
}

fn no_cast(scene: &Scene<'_>, found: &mut Findings) {
    for (name, ty) in scene.ports().filter(|(_, ty)| ty.dtype == DType::Fp32) {
        found.add(scene.span(name), format!("port `{name}` is {ty}"));
    }
    for statement in scene.of_op("cast") {
        found.add(statement.span, "a cast");
    }
}

fn port_types(scene: &Scene<'_>, found: &mut Findings) {
    let sound = |ty: &Type| matches!(ty.dtype, DType::Fp16 | DType::Fp32) && !ty.shape.is_empty();
    for (name, ty) in scene.ports().filter(|(_, ty)| !sound(ty)) {
        found.add(scene.span(name), format!("port `{name}` is {ty}"));
    }
}

fn named_constants(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.function.body.iter().filter(|s| !is_const(s)) {
        for (parameter, _) in statement.arguments.iter().filter(|(_, a)| matches!(a, Argument::Literal(_))) {
            found.add(statement.span, format!("`{parameter}` of `{}` is a literal in place", statement.op));
        }
    }
}

/// Names that gave wrong results somewhere and are no operations.
const UNLUCKY: [&str; 5] = ["var", "diff", "mean", "std", "eps"];
fn plain_names(scene: &Scene<'_>, found: &mut Findings) {
    let bad = |name: &str| name.len() < 2 || UNLUCKY.contains(&name) || ops::find(name).is_some();
    let results = scene.function.body.iter().flat_map(|s| s.results.iter().map(move |r| (s.span, r)));
    let inputs = scene.function.inputs.iter().map(|i| (scene.function.span, i));
    for (span, binding) in inputs.chain(results).filter(|(_, b)| bad(&b.name)) {
        found.add(span, format!("a value is named `{}`", binding.name));
    }
}

fn dialect(scene: &Scene<'_>, found: &mut Findings) {
    if scene.program.dialect != Dialect::Ios16 {
        found.add(scene.function.span, format!("program({}) for {}", scene.program.version, scene.function.opset));
    }
}
