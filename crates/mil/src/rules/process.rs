//! What a process may have compiled, loaded and allocated when it compiles one more program.

use super::scene::{Findings, Scene};
use super::{Confidence, EVERY, Rule, Severity};

/// Programs that a process may compile.
pub const MOST_COMPILED: u64 = 119;
/// Programs that a client may have loaded at once.
pub const MOST_LOADED: u64 = 128;
/// Bytes of surfaces from which on everything slows down on a machine of 16 GB.
pub const MOST_SURFACES: u64 = 220_000_000;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-52",
        title: "A process compiles at most 119 programs.",
        evidence: "about 119, then failures without an error (mx, Orion, e5fork, libane; M3 to M4 Max); 312 compiled on macOS 26.2 (M1 Pro), 226 loaded at once on macOS 26.3 (field, M3 Max)",
        confidence: Confidence::Conflicting,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: compiled,
    },
    Rule {
        id: "ANE-53",
        title: "At most 128 programs are loaded at once.",
        evidence: "slots of a client, enforced by the kernel extension (hwx, M5 Pro)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Error,
        find: loaded,
    },
    Rule {
        id: "ANE-54",
        title: "Surfaces take at most 220 MB on a machine of 16 GB.",
        evidence: "60 MB are fine, at 220 MB the processor is as fast, at 379 MB everything takes twice as long (auto, M2 Pro)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Warning,
        lenient: Severity::Warning,
        find: surfaces,
    },
];

/// The process is asked about once a program.
fn once(scene: &Scene<'_>) -> bool {
    scene.program.functions.first().is_some_and(|f| std::ptr::eq(f, scene.function))
}

fn compiled(scene: &Scene<'_>, found: &mut Findings) {
    let n = scene.target.process.compiled;
    if once(scene) && n >= MOST_COMPILED {
        found.add(scene.function.span, format!("this process has compiled {n} programs"));
    }
}

fn loaded(scene: &Scene<'_>, found: &mut Findings) {
    let n = scene.target.process.loaded;
    if once(scene) && n >= MOST_LOADED {
        found.add(scene.function.span, format!("{n} programs are loaded"));
    }
}

fn surfaces(scene: &Scene<'_>, found: &mut Findings) {
    let n = scene.target.process.surface_bytes;
    if once(scene) && n > MOST_SURFACES {
        found.add(scene.function.span, format!("this process has {n} bytes of surfaces"));
    }
}
