//! The shape of the graph: what is unused, how deep and how wide it is.

use std::collections::{BTreeSet, HashMap};

use super::scene::{Findings, Scene, names, result};
use super::{Confidence, EVERY, Rule, Severity};

/// Longest chain of convolutions that compiled.
const DEEPEST: usize = 256;
/// Branches from which on compiling takes seconds.
const BRANCHES: usize = 12;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-46",
        title: "Every value that is computed is used.",
        evidence: "unused values may be compiled all the same, and one that reduces to width 1 fails (bridge-rs, M5)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: unused,
    },
    Rule {
        id: "ANE-47",
        title: "At most 256 convolutions lie on one path.",
        evidence: "512 end the compile service, 256 compile (libane, M3 Pro)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: depth,
    },
    Rule {
        id: "ANE-48",
        title: "Fewer than 12 branches of one value meet again.",
        evidence: "12 and more take 9.2 s to compile (guide)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Warning,
        lenient: Severity::Off,
        find: branches,
    },
];

fn unused(scene: &Scene<'_>, found: &mut Findings) {
    let outputs = &scene.function.outputs;
    for statement in scene.computing() {
        for binding in statement.results.iter().filter(|r| scene.users(&r.name).is_empty() && !outputs.contains(&r.name)) {
            found.add(statement.span, format!("nothing reads `{}`", binding.name));
        }
    }
}

fn depth(scene: &Scene<'_>, found: &mut Findings) {
    let mut depths: HashMap<&str, usize> = HashMap::new();
    for statement in scene.computing() {
        let above = names(statement).filter_map(|n| depths.get(n)).max().copied().unwrap_or(0);
        let depth = above + usize::from(statement.op == "conv");
        if depth == DEEPEST + 1 && above == DEEPEST {
            found.add(statement.span, format!("conv `{}` is number {depth} on its path", result(statement)));
        }
        depths.extend(statement.results.iter().map(|r| (r.name.as_str(), depth)));
    }
}

fn branches(scene: &Scene<'_>, found: &mut Findings) {
    let inputs = scene.function.inputs.iter();
    let values = inputs.chain(scene.computing().flat_map(|s| &s.results)).map(|b| b.name.as_str());
    for name in values.filter(|n| scene.users(n).len() >= BRANCHES) {
        if let Some(place) = meeting(scene, name) {
            found.add(place, format!("{BRANCHES} branches of `{name}` meet"));
        }
    }
}

/// Where [`BRANCHES`] of the statements that read `name` come together.
fn meeting(scene: &Scene<'_>, name: &str) -> Option<crate::Span> {
    let mut reached: HashMap<&str, BTreeSet<usize>> = HashMap::new();
    for (number, statement) in scene.computing().enumerate() {
        let mut from = BTreeSet::new();
        for operand in names(statement) {
            if operand == name {
                from.insert(number);
            }
            from.extend(reached.get(operand).into_iter().flatten());
        }
        if from.len() >= BRANCHES {
            return Some(statement.span);
        }
        reached.extend(statement.results.iter().filter(|_| !from.is_empty()).map(|r| (r.name.as_str(), from.clone())));
    }
    None
}
