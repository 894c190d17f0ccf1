//! Weight files.

use std::collections::HashSet;

use super::scene::{Findings, Scene};
use super::{Confidence, EVERY, Rule, Severity};
use crate::blob::{self, Validation};
use crate::{Elements, Literal, Span};

/// Most bytes of constants that compiled.
const MOST_BAKED: u64 = 1_500_000_000;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-44",
        title: "A program holds at most 1.5 GB of constants.",
        evidence: "1.5 GB compiles, 3.4 GB fails with `Not implemented` (ANEForge#45)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: baked,
    },
    Rule {
        id: "ANE-45",
        title: "The record of a blob says what lies there: sentinel, type, bytes, and the offset of the data from the start of the file.",
        evidence: "storage format of coremltools; macOS 15 checks the size, so that files of mx with a fixed one compiled for 512 channels alone; macOS 26 is lenient",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: records,
    },
];

/// Every constant that lies in a file.
fn blobs<'a>(scene: &Scene<'a>) -> impl Iterator<Item = (Span, &'a Literal, &'a str, u64)> {
    let attributes = scene.function.body.iter().flat_map(|s| s.attributes.iter().map(move |(_, l)| (s.span, l)));
    attributes.filter_map(|(span, literal)| match &literal.elements {
        Elements::Blob { path, offset } => Some((span, literal, path.as_str(), *offset)),
        _ => None,
    })
}

fn baked(scene: &Scene<'_>, found: &mut Findings) {
    let mut seen = HashSet::new();
    let distinct = blobs(scene).filter(|(_, _, path, offset)| seen.insert((*path, *offset)));
    let total = distinct.fold(0u64, |sum, (_, l, ..)| sum.saturating_add(l.ty.bytes().map_or(u64::MAX, |b| b as u64)));
    if total > MOST_BAKED {
        found.add(scene.function.span, format!("the weight files hold {total} bytes"));
    }
}

fn records(scene: &Scene<'_>, found: &mut Findings) {
    for (span, literal, path, offset) in blobs(scene) {
        let Some((_, file)) = scene.blobs.iter().find(|(name, _)| name == path) else { continue };
        if let Err(error) = blob::data(file, offset, &literal.ty, Validation::Strict) {
            found.add(span, format!("{path} at {offset}: {error}"));
        }
    }
}
