//! Inputs and outputs: how many, in which order, how large.

use super::scene::{Findings, Scene};
use super::{Confidence, EVERY, M1, M4, Rule, Severity};
use crate::Type;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-38",
        title: "A program has at most 8 inputs.",
        evidence: "above 8 the binding is scrambled (h3, M4); 98 inputs worked (ane-train, M1), 10 (trainer, M4)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: inputs,
    },
    Rule {
        id: "ANE-39",
        title: "A program has at most 128 inputs and 128 outputs.",
        evidence: "slots of the request in its type encoding (libane)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: slots,
    },
    Rule {
        id: "ANE-40",
        title: "Ports are declared in the order of the alphabet.",
        evidence: "bound by the alphabet (Orion, M4 Max; h3, M4), in an order of its own (bridge-rs, M5), or as declared (trainer, M4)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: alphabet,
    },
    Rule {
        id: "ANE-41",
        title: "Inputs do not shrink and outputs do not grow in the order of their declaration.",
        evidence: "others give zeros (ane-train, M1; mx PR#22); all sizes equal or 0x1d (Orion, M4 Max): allocate the largest for each; any sizes work (trainer, M4)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: sizes,
    },
    Rule {
        id: "ANE-42",
        title: "A program has one input on M4: pack several.",
        evidence: "more end in 0x1d (mx, M4); 10 inputs work (trainer, M4)",
        confidence: Confidence::Conflicting,
        chips: M4,
        strict: Severity::Warning,
        lenient: Severity::Off,
        find: single_input,
    },
    Rule {
        id: "ANE-43",
        title: "On M1 several outputs are not all smaller than the smallest of inputs of mixed sizes.",
        evidence: "two outputs and more fail when much smaller than inputs of mixed sizes (ane-train, M1)",
        confidence: Confidence::Single,
        chips: M1,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: small_outputs,
    },
];

fn inputs(scene: &Scene<'_>, found: &mut Findings) {
    let n = scene.function.inputs.len();
    if (9..=128).contains(&n) {
        found.add(scene.function.span, format!("{n} inputs"));
    }
}

fn slots(scene: &Scene<'_>, found: &mut Findings) {
    for (n, what) in [(scene.function.inputs.len(), "inputs"), (scene.function.outputs.len(), "outputs")] {
        if n > 128 {
            found.add(scene.function.span, format!("{n} {what}"));
        }
    }
}

fn alphabet(scene: &Scene<'_>, found: &mut Findings) {
    let inputs: Vec<&str> = scene.function.inputs.iter().map(|b| b.name.as_str()).collect();
    let outputs: Vec<&str> = scene.function.outputs.iter().map(String::as_str).collect();
    for (names, what) in [(inputs, "input"), (outputs, "output")] {
        if let Some(pair) = names.windows(2).find(|pair| pair[0] > pair[1]) {
            found.add(scene.function.span, format!("{what} `{}` stands before `{}`", pair[0], pair[1]));
        }
    }
}

fn bytes<'a>(types: impl Iterator<Item = &'a Type>) -> Vec<usize> {
    types.map(|ty| ty.bytes().unwrap_or(usize::MAX)).collect()
}

fn sizes(scene: &Scene<'_>, found: &mut Findings) {
    let inputs = bytes(scene.function.inputs.iter().map(|b| &b.ty));
    let outputs = bytes(scene.outputs().map(|(_, ty)| ty));
    if let Some(pair) = inputs.windows(2).find(|pair| pair[0] > pair[1]) {
        found.add(scene.function.span, format!("an input of {} bytes follows one of {}", pair[1], pair[0]));
    }
    if let Some(pair) = outputs.windows(2).find(|pair| pair[0] < pair[1]) {
        found.add(scene.function.span, format!("an output of {} bytes follows one of {}", pair[1], pair[0]));
    }
}

fn single_input(scene: &Scene<'_>, found: &mut Findings) {
    let n = scene.function.inputs.len();
    if (2..9).contains(&n) {
        found.add(scene.function.span, format!("{n} inputs"));
    }
}

fn small_outputs(scene: &Scene<'_>, found: &mut Findings) {
    let inputs = bytes(scene.function.inputs.iter().map(|b| &b.ty));
    let outputs = bytes(scene.outputs().map(|(_, ty)| ty));
    let (Some(least), Some(most)) = (inputs.iter().min(), inputs.iter().max()) else { return };
    if least < most && outputs.len() > 1 && outputs.iter().all(|b| b < least) {
        found.add(scene.function.span, format!("{} outputs are smaller than every input", outputs.len()));
    }
}
