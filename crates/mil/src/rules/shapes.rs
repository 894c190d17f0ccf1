//! Extents: of tensors, of surfaces, of contractions.

use super::scene::{Findings, Scene, result};
use super::{Confidence, EVERY, M1, M3, Rule, Severity};
use crate::{Chip, Statement, Type};

/// Smallest surface that worked everywhere, in bytes.
const LEAST_SURFACE: usize = 49_152;
/// Widths that no source saw fail.
const WIDTH: usize = 32;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-08",
        title: "The last two extents are at most 16,384 on M1 to M3, 65,536 from M4 on.",
        evidence: "tables of the compiler (guide); width 16,384 passes and 17,920 fails on M3 Ultra (rustane#13); flat [1, N] with N > 16,384 fails or hangs on M1 (ane-train)",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: extents,
    },
    Rule {
        id: "ANE-09",
        title: "Batch and channels are at most 65,536.",
        evidence: "tables of the compiler (guide)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: channels,
    },
    Rule {
        id: "ANE-10",
        title: "The last extent of a port is a multiple of 32.",
        evidence: "below 32 silently wrong (field, M3 Max); rows lie at the next multiple of 32 while the schema says the requested width (bridge-rs, M5); 64-byte rows (libane, M3 Pro); widths 14,593 to 14,622 end in 0x1d (prefill, M4); 16 is said to suffice (rustane, M4 Max)",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: port_width,
    },
    Rule {
        id: "ANE-11",
        title: "A surface has 49,152 bytes at least: allocate that for a smaller port.",
        evidence: "smaller ones end in 0x1d (Orion, M4 Max); 2,048 bytes (ane-train, M1) or 1,024 elements (luengnat/rustane) are said to suffice",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Warning,
        lenient: Severity::Off,
        find: least_surface,
    },
    Rule {
        id: "ANE-12",
        title: "The contracted extent of a matmul of two computed operands is a multiple of 32 on M1.",
        evidence: "16, 48, 80 and 112 give zeros (ane-train, M1)",
        confidence: Confidence::Single,
        chips: M1,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: contraction,
    },
    Rule {
        id: "ANE-13",
        title: "The axis of a softmax is a power of two long.",
        evidence: "others end in InvalidMILProgram (Espresso, M3 Max); mx runs softmax over 32,000 channels",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Warning,
        lenient: Severity::Off,
        find: softmax_axis,
    },
    Rule {
        id: "ANE-14",
        title: "On M1 two computed operands of three dimensions have the same shape.",
        evidence: "[1, C, S] * [1, C, 1] and [C, 1, S] * [C, 1, 1] give 0, [1, 1, 1] is broadcast wrongly (ane-train, M1); four dimensions work (mx, M1 Pro)",
        confidence: Confidence::Single,
        chips: M1,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: broadcast_of_three,
    },
    Rule {
        id: "ANE-15",
        title: "On M3 a `mul` does not broadcast along the batch in a program of several operations.",
        evidence: "unreliable (field, M3 Max)",
        confidence: Confidence::Single,
        chips: M3,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: broadcast_of_batch,
    },
];

/// Computed values and inputs with their places.
fn values<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = (crate::Span, &'a str, &'a Type)> {
    let inputs = scene.function.inputs.iter().map(|i| (scene.function.span, i));
    let results = scene.computing().flat_map(|s| s.results.iter().map(move |r| (s.span, r)));
    inputs.chain(results).map(|(span, b)| (span, b.name.as_str(), &b.ty))
}

fn extents(scene: &Scene<'_>, found: &mut Findings) {
    let most = if scene.target.chip >= Chip::M4 { 65_536 } else { 16_384 };
    for (span, name, ty) in values(scene) {
        if ty.shape.iter().rev().take(2).any(|&extent| extent > most) {
            found.add(span, format!("`{name}` is {ty}; on {} an extent is at most {most}", scene.target.chip));
        }
    }
}

fn channels(scene: &Scene<'_>, found: &mut Findings) {
    for (span, name, ty) in values(scene) {
        if ty.shape.iter().rev().skip(2).any(|&extent| extent > 65_536) {
            found.add(span, format!("`{name}` is {ty}"));
        }
    }
}

fn port_width(scene: &Scene<'_>, found: &mut Findings) {
    for (name, ty) in scene.ports() {
        let width = ty.shape.last().copied().unwrap_or(WIDTH);
        if width % WIDTH != 0 {
            found.add(
                scene.span(name),
                format!("port `{name}` is {width} wide; the next multiple is {}", width.next_multiple_of(WIDTH)),
            );
        }
    }
}

fn least_surface(scene: &Scene<'_>, found: &mut Findings) {
    for (name, ty) in scene.ports() {
        if let Some(bytes) = ty.bytes().filter(|b| *b < LEAST_SURFACE) {
            found.add(scene.span(name), format!("port `{name}` has {bytes} bytes"));
        }
    }
}

fn contraction(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.of_op("matmul") {
        let computed = |p| scene.operand(statement, p).is_some_and(|n| !scene.is_constant(n));
        let Some(ty) = scene.operand_type(statement, "x").filter(|_| computed("x") && computed("y")) else { continue };
        let from_end = if scene.flag(statement, "transpose_x") { 1 } else { 0 };
        let extent = ty.shape.iter().rev().nth(from_end).copied().unwrap_or(WIDTH);
        if extent % WIDTH != 0 {
            found.add(statement.span, format!("matmul `{}` contracts {extent} elements", result(statement)));
        }
    }
}

fn softmax_axis(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.of_op("softmax") {
        let Some(ty) = scene.operand_type(statement, "x") else { continue };
        let axis = scene.ints(statement, "axis").and_then(|a| a.first().copied()).unwrap_or(-1);
        let axis = if axis < 0 { axis + ty.shape.len() as i64 } else { axis };
        let extent = usize::try_from(axis).ok().and_then(|a| ty.shape.get(a));
        if let Some(extent) = extent.filter(|e| !e.is_power_of_two()) {
            found.add(statement.span, format!("softmax over {extent} elements"));
        }
    }
}

const BINARY: [&str; 7] = ["mul", "add", "sub", "real_div", "maximum", "minimum", "pow"];

/// Types of the operands of an elementwise operation when both are computed and their shapes differ.
fn broadcast<'a>(scene: &Scene<'a>, statement: &'a Statement) -> Option<(&'a Type, &'a Type)> {
    let computed = |p| scene.operand(statement, p).filter(|n| !scene.is_constant(n)).and_then(|n| scene.ty(n));
    let (x, y) = (computed("x")?, computed("y")?);
    (x.shape != y.shape).then_some((x, y))
}

fn broadcast_of_three(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.computing().filter(|s| BINARY.contains(&s.op.as_str())) {
        if let Some((x, y)) = broadcast(scene, statement).filter(|(x, y)| x.shape.len() == 3 && y.shape.len() == 3) {
            found.add(statement.span, format!("`{}` of {x} and {y}", statement.op));
        }
    }
}

fn broadcast_of_batch(scene: &Scene<'_>, found: &mut Findings) {
    if scene.computing().count() < 2 {
        return;
    }
    for statement in scene.of_op("mul") {
        if let Some((x, y)) =
            broadcast(scene, statement).filter(|(x, y)| x.shape.len() == y.shape.len() && x.shape.first() != y.shape.first())
        {
            found.add(statement.span, format!("`mul` of {x} and {y}"));
        }
    }
}
