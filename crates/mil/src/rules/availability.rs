//! Operations that a family lacks, that the private route rejects, or whose results are wrong.

use super::scene::{Findings, Scene, names};
use super::{Confidence, EVERY, M1, M1_M2, M4_M5, M5, Rule, Severity};
use crate::{Chip, Dialect, Statement};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-25",
        title: "scaled_dot_product_attention ignores its mask: add it to the scores before a softmax.",
        evidence: "ignored as literal, blob and input (mx test_ane_sdpa5, Orion, prefill, trainer)",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: mask,
    },
    Rule {
        id: "ANE-26",
        title: "tile is not used.",
        evidence: "after one, every evaluation of the process fails (field, M3 Max); native for factors 2, 3, 4, 8 (guide)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: tile,
    },
    Rule {
        id: "ANE-27",
        title: "The operation is available on no family.",
        evidence: "compiler's tables of operations (guide, appendix A)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: nowhere,
    },
    Rule {
        id: "ANE-28",
        title: "M1 lacks the operation.",
        evidence: "topk, argsort, crop_resize, resample, affine, the resizes and gather_nd are available from M2 on (guide)",
        confidence: Confidence::Single,
        chips: M1,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: from_m2,
    },
    Rule {
        id: "ANE-29",
        title: "M1 and M2 lack the operation.",
        evidence: "sin, cos, random_uniform and reduce_argmin are available from M3 on (guide)",
        confidence: Confidence::Single,
        chips: M1_M2,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: from_m3,
    },
    Rule {
        id: "ANE-30",
        title: "reduce_mean is written as reduce_sum and a multiplication.",
        evidence: "fails on M1 (ane-train), is rejected or avoided on M4 (h3, Espresso), fails at dispatch on M5 (int); native (guide)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: reduce_mean,
    },
    Rule {
        id: "ANE-31",
        title: "rsqrt is written as pow(-0.5), inverse as real_div.",
        evidence: "they do not compile on M1 (ane-train, rane) and M4 (prefill); native (guide)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: inverses,
    },
    Rule {
        id: "ANE-32",
        title: "sqrt does not follow a reduction on M4 and M5: pow(0.5) does.",
        evidence: "fails after a reduction (rustane, M4 Max); no sqrt at all (int, M5); native (guide)",
        confidence: Confidence::Conflicting,
        chips: M4_M5,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: root_of_reduction,
    },
    Rule {
        id: "ANE-33",
        title: "silu and gelu are written out.",
        evidence: "gelu is invalid and silu must be decomposed (Orion, M4 Max); gelu fails above 16,384 elements on M1; silu works on M3 Max (field); native (guide)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: activations,
    },
    Rule {
        id: "ANE-34",
        title: "exp, log, sin, cos and atan are not used on M5.",
        evidence: "no transcendental functions by this route (int, M5); exp is used on M4 (mx); exp and log native (guide)",
        confidence: Confidence::Conflicting,
        chips: M5,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: transcendental,
    },
    Rule {
        id: "ANE-35",
        title: "layer_norm is written out on M2.",
        evidence: "it fails for some sizes and not for larger ones (ANEForge#149, M2 Pro); native (guide)",
        confidence: Confidence::Conflicting,
        chips: &[Chip::M2],
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: layer_norm,
    },
    Rule {
        id: "ANE-36",
        title: "On M1, programs for ios16 of several three-dimensional inputs keep to matmul and elementwise operations.",
        evidence: "there reduce_sum, reduce_max, pow, concat, reshape, transpose and slices fail (ane-train, M1); mx trained with them on M1 Pro, with one input of four dimensions",
        confidence: Confidence::Conflicting,
        chips: M1,
        strict: Severity::Error,
        lenient: Severity::Off,
        find: old_style,
    },
    Rule {
        id: "ANE-37",
        title: "On M1 the result of sqrt is neither broadcast by a mul nor divided by anything.",
        evidence: "sqrt then a broadcasting mul writes channel 0 alone; real_div(sqrt(a), b) computes b / sqrt(a) (ane-train, M1)",
        confidence: Confidence::Single,
        chips: M1,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: fused_root,
    },
];

fn uses(scene: &Scene<'_>, found: &mut Findings, operations: &[&str]) {
    for statement in scene.computing().filter(|s| operations.contains(&s.op.as_str())) {
        found.add(statement.span, format!("`{}`", statement.op));
    }
}

fn mask(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.of_op("scaled_dot_product_attention").filter(|s| s.argument("attn_mask").is_some()) {
        found.add(statement.span, "scaled_dot_product_attention has an attn_mask");
    }
}

fn tile(scene: &Scene<'_>, found: &mut Findings) {
    uses(scene, found, &["tile"]);
}

/// Beside these, every `scatter...` and every `random_...` but `random_uniform`.
const NOWHERE: [&str; 27] = [
    "reduce_prod",
    "mod",
    "one_hot",
    "non_zero",
    "band_part",
    "reverse_sequence",
    "shape",
    "sliding_windows",
    "logical_and",
    "logical_or",
    "logical_xor",
    "gru",
    "lstm",
    "rnn",
    "tan",
    "asin",
    "acos",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "list_read",
    "list_write",
    "make_list",
    "cond",
    "while_loop",
];

fn nowhere(scene: &Scene<'_>, found: &mut Findings) {
    let bad = |op: &str| {
        let random = op.starts_with("random_") && op != "random_uniform";
        NOWHERE.contains(&op) || op.starts_with("scatter") || random || op == "constexpr_cast"
    };
    for statement in scene.function.body.iter().filter(|s| bad(&s.op)) {
        found.add(statement.span, format!("`{}`", statement.op));
    }
}

fn from_m2(scene: &Scene<'_>, found: &mut Findings) {
    let named = ["topk", "argsort", "crop_resize", "resample", "affine", "gather_nd"];
    for statement in scene.computing().filter(|s| named.contains(&s.op.as_str()) || s.op.starts_with("resize")) {
        found.add(statement.span, format!("`{}`", statement.op));
    }
}

fn from_m3(scene: &Scene<'_>, found: &mut Findings) {
    uses(scene, found, &["sin", "cos", "reduce_argmin"]);
    // it may have constant arguments alone
    for statement in scene.of_op("random_uniform") {
        found.add(statement.span, "`random_uniform`");
    }
}

fn reduce_mean(scene: &Scene<'_>, found: &mut Findings) {
    uses(scene, found, &["reduce_mean"]);
}

fn inverses(scene: &Scene<'_>, found: &mut Findings) {
    uses(scene, found, &["rsqrt", "inverse"]);
}

fn activations(scene: &Scene<'_>, found: &mut Findings) {
    uses(scene, found, &["silu", "gelu"]);
}

fn transcendental(scene: &Scene<'_>, found: &mut Findings) {
    uses(scene, found, &["exp", "log", "sin", "cos", "atan"]);
}

fn layer_norm(scene: &Scene<'_>, found: &mut Findings) {
    uses(scene, found, &["layer_norm"]);
}

/// Whether `name` is a reduction, or arithmetic with constants upon one.
fn is_reduced(scene: &Scene<'_>, name: &str) -> bool {
    let mut name = name;
    while let Some(statement) = scene.definition(name) {
        if statement.op.starts_with("reduce_") {
            return true;
        }
        let mut computed = names(statement).filter(|n| !scene.is_constant(n));
        match (statement.op.as_str(), computed.next(), computed.next()) {
            ("mul" | "add" | "sub" | "real_div", Some(only), None) => name = only,
            _ => return false,
        }
    }
    false
}

fn root_of_reduction(scene: &Scene<'_>, found: &mut Findings) {
    for statement in scene.of_op("sqrt") {
        if scene.operand(statement, "x").is_some_and(|x| is_reduced(scene, x)) {
            found.add(statement.span, "`sqrt` of a reduction");
        }
    }
}

fn old_style(scene: &Scene<'_>, found: &mut Findings) {
    let inputs = &scene.function.inputs;
    if scene.program.dialect == Dialect::Ios16 && inputs.len() > 1 && inputs.iter().all(|i| i.ty.shape.len() == 3) {
        let failing = ["reduce_sum", "reduce_max", "pow", "concat", "reshape", "transpose", "slice_by_size", "slice_by_index"];
        uses(scene, found, &failing);
    }
}

fn fused_root(scene: &Scene<'_>, found: &mut Findings) {
    let is_root = |s: &Statement, p: &str| matches!(s.argument(p), Some(crate::Argument::Name(n)) if scene.definition(n).is_some_and(|d| d.op == "sqrt"));
    for statement in scene.of_op("mul").filter(|s| is_root(s, "x") || is_root(s, "y")) {
        let shape = |p| scene.operand_type(statement, p).map(|ty| &ty.shape);
        if shape("x") != shape("y") {
            found.add(statement.span, "`mul` broadcasts a square root");
        }
    }
    for statement in scene.of_op("real_div").filter(|s| is_root(s, "x")) {
        found.add(statement.span, "`real_div` of a square root");
    }
}
