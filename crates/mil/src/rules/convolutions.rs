//! Convolutions.

use super::scene::{Findings, Scene, result};
use super::{Confidence, EVERY, M1_TO_M3, Rule, Severity};
use crate::{Chip, Statement, Type};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-16",
        title: "A convolution of 32,000 input channels is rejected; as many output channels are not.",
        evidence: "the classifier's backward pass as a convolution is rejected, its forward pass compiles (mx, M4)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: rejected_channels,
    },
    Rule {
        id: "ANE-17",
        title: "Convolutions of more than 16,384 input channels were not seen to work.",
        evidence: "between the widest that ran (16,384) and the narrowest that was rejected (32,000, mx on M4) nobody tried",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: untried_channels,
    },
    Rule {
        id: "ANE-18",
        title: "A window is at most 13 wide on M1, 15 later.",
        evidence: "13 on M1 and 16 later by the compiler's tables (guide); 16 fails on M5 (bridge-rs)",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: window_width,
    },
    Rule {
        id: "ANE-19",
        title: "A window is at most 29 high on M1, 32 later.",
        evidence: "tables of the compiler (guide)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: window_height,
    },
    Rule {
        id: "ANE-20",
        title: "Convolutions run over two axes, not three.",
        evidence: "3-D convolutions are available on no family (guide)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: three_axes,
    },
    Rule {
        id: "ANE-21",
        title: "The weight of a convolution is a constant on M1 to M3.",
        evidence: "a computed weight works on M4 (trainer), for small sizes only on M1 (ane-train), and is ignored on M3 Max (field)",
        confidence: Confidence::Conflicting,
        chips: M1_TO_M3,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: computed_weight,
    },
    Rule {
        id: "ANE-22",
        title: "A convolution with a computed weight has a batch of one.",
        evidence: "from 2 on it does not compile or ends the compile service (guide)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: batch_of_computed_weight,
    },
    Rule {
        id: "ANE-23",
        title: "A convolution has no bias; add it.",
        evidence: "`bias` is unsupported (Orion, M4 Max); bridge-rs emits it (M5)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: bias,
    },
    Rule {
        id: "ANE-24",
        title: "Convolutions of 5,120 channels and more are slow.",
        evidence: "4.7 times slower from there on (rustane, M4 Max); single convolutions of 5,120 and 6,144 channels are not (e5fork, M4 Max)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Warning,
        lenient: Severity::Off,
        find: slow_channels,
    },
];

/// Convolutions with the type of their weight `[out, in / groups, height, width]`.
fn convolutions<'a>(scene: &Scene<'a>) -> impl Iterator<Item = (&'a Statement, &'a Type)> {
    scene.of_op("conv").filter_map(|s| Some((s, scene.operand_type(s, "weight")?)))
}

fn extent_of_input<'a>(scene: &Scene<'a>, statement: &'a Statement, axis: usize) -> usize {
    scene.operand_type(statement, "x").and_then(|ty| ty.shape.get(axis).copied()).unwrap_or(0)
}

fn input_channels<'a>(scene: &Scene<'a>, statement: &'a Statement) -> usize {
    extent_of_input(scene, statement, 1)
}

fn with_channels(scene: &Scene<'_>, found: &mut Findings, is_bad: impl Fn(usize) -> bool) {
    for (statement, _) in convolutions(scene) {
        let channels = input_channels(scene, statement);
        if is_bad(channels) {
            found.add(statement.span, format!("conv `{}` has {channels} input channels", result(statement)));
        }
    }
}

fn rejected_channels(scene: &Scene<'_>, found: &mut Findings) {
    with_channels(scene, found, |channels| channels >= 32_000);
}

fn untried_channels(scene: &Scene<'_>, found: &mut Findings) {
    with_channels(scene, found, |channels| (16_385..32_000).contains(&channels));
}

fn window(scene: &Scene<'_>, found: &mut Findings, from_end: usize, most: usize, what: &str) {
    for (statement, weight) in convolutions(scene).filter(|(_, w)| w.shape.len() == 4) {
        let extent = weight.shape[3 - from_end];
        if extent > most {
            found.add(
                statement.span,
                format!("the window of conv `{}` is {extent} {what}, and {most} is the most", result(statement)),
            );
        }
    }
}

fn window_width(scene: &Scene<'_>, found: &mut Findings) {
    window(scene, found, 0, if scene.target.chip == Chip::M1 { 13 } else { 15 }, "wide");
}

fn window_height(scene: &Scene<'_>, found: &mut Findings) {
    window(scene, found, 1, if scene.target.chip == Chip::M1 { 29 } else { 32 }, "high");
}

fn three_axes(scene: &Scene<'_>, found: &mut Findings) {
    for (statement, weight) in convolutions(scene).filter(|(_, w)| w.shape.len() > 4) {
        found.add(statement.span, format!("the weight of conv `{}` is {weight}", result(statement)));
    }
}

fn computed_weights<'a>(scene: &Scene<'a>) -> impl Iterator<Item = &'a Statement> {
    scene.of_op("conv").filter(|s| scene.operand(s, "weight").is_some_and(|w| !scene.is_constant(w)))
}

fn batch<'a>(scene: &Scene<'a>, statement: &'a Statement) -> usize {
    extent_of_input(scene, statement, 0)
}

fn computed_weight(scene: &Scene<'_>, found: &mut Findings) {
    for statement in computed_weights(scene).filter(|s| batch(scene, s) <= 1) {
        found.add(statement.span, format!("the weight of conv `{}` is computed", result(statement)));
    }
}

fn batch_of_computed_weight(scene: &Scene<'_>, found: &mut Findings) {
    for statement in computed_weights(scene).filter(|s| batch(scene, s) > 1) {
        found.add(
            statement.span,
            format!("conv `{}` has a computed weight and a batch of {}", result(statement), batch(scene, statement)),
        );
    }
}

fn bias(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.of_op("conv").filter(|s| s.argument("bias").is_some()) {
        found.add(statement.span, format!("conv `{}` has a bias", result(statement)));
    }
}

fn slow_channels(scene: &Scene<'_>, found: &mut Findings) {
    for (statement, weight) in convolutions(scene) {
        let most = weight.shape.first().copied().unwrap_or(0).max(input_channels(scene, statement));
        if (5_120..=16_384).contains(&most) {
            found.add(statement.span, format!("conv `{}` has {most} channels", result(statement)));
        }
    }
}
