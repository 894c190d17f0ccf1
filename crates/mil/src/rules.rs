//! What the engine and the private route to it refuse, garble or were seen to mishandle: one table of numbered rules.
//!
//! A rule says where it was seen ([`Rule::evidence`]), how sure that is, for which chips it holds, and how much breaking it
//! matters to a strict target (nothing that anybody saw fail) and to a lenient one (what surely fails). The programs that a
//! rule is asked about have passed the checker: names are defined, types and shapes agree.

mod availability;
mod convolutions;
mod graph;
mod numerics;
mod page;
mod ports;
mod process;
mod scene;
mod shapes;
mod types;
mod weights;

use std::fmt;

use crate::{Chip, Program, Span};
pub use page::page;
use scene::{Findings, Scene};

/// How sure a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confidence {
    /// Several independent sources agree.
    Settled,
    /// One source.
    Single,
    /// Sources contradict each other.
    Conflicting,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Confidence::Settled => "settled",
            Confidence::Single => "single source",
            Confidence::Conflicting => "sources conflict",
        })
    }
}

/// How much breaking a rule matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is not looked at.
    Off,
    /// It is said.
    Warning,
    /// The program is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Off => "off",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A limit of the engine.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `ANE-01`, ...; a number is never given again.
    pub id: &'static str,
    /// The limit, as a sentence.
    pub title: &'static str,
    /// Who saw what happen, on which chip.
    pub evidence: &'static str,
    /// How sure that is.
    pub confidence: Confidence,
    /// Chips that it holds for.
    pub chips: &'static [Chip],
    /// What breaking it means to a strict target.
    pub strict: Severity,
    /// What breaking it means to a lenient target.
    pub lenient: Severity,
    find: fn(&Scene<'_>, &mut Findings),
}

impl Rule {
    /// What breaking it means to `target`: nothing on chips that it does not hold for.
    pub fn severity(&self, target: &Target) -> Severity {
        match (self.chips.contains(&target.chip), target.strict) {
            (false, _) => Severity::Off,
            (true, true) => self.strict,
            (true, false) => self.lenient,
        }
    }
}

/// What the process that compiles has used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Programs compiled so far.
    pub compiled: u64,
    /// Programs loaded now.
    pub loaded: u64,
    /// Bytes of the surfaces that are alive.
    pub surface_bytes: u64,
}

/// What a program is checked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Chip.
    pub chip: Chip,
    /// Whether doubtful limits count.
    pub strict: bool,
    /// The process that compiles.
    pub process: Process,
}

/// A rule broken at a place.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub rule: &'static Rule,
    /// What it means to the target that was asked about: never [`Severity::Off`].
    pub severity: Severity,
    /// Where; that of the function where the program as a whole breaks it.
    pub span: Span,
    /// What was found.
    pub message: String,
}

/// `warning: ANE-08 (single source): ...; evidence`
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { rule, severity, message, .. } = self;
        write!(f, "{severity}: {} ({}): {message}. {} Evidence: {}", rule.id, rule.confidence, rule.title, rule.evidence)
    }
}

/// Every rule, by number.
pub fn all() -> Vec<&'static Rule> {
    let groups: [&'static [Rule]; 9] = [
        types::RULES,
        shapes::RULES,
        convolutions::RULES,
        availability::RULES,
        ports::RULES,
        weights::RULES,
        graph::RULES,
        numerics::RULES,
        process::RULES,
    ];
    let mut rules: Vec<&'static Rule> = groups.into_iter().flatten().collect();
    rules.sort_by_key(|rule| rule.id);
    rules
}

/// The rules that `program`, which has passed the checker, breaks on `target`, in the order of the text. `blobs` are its
/// weight files by their path in the program; a file that is not among them is not looked at.
pub fn check(program: &Program, blobs: &[(String, Vec<u8>)], target: &Target) -> Vec<Violation> {
    let rules: Vec<_> = all().into_iter().map(|r| (r, r.severity(target))).filter(|(_, s)| *s > Severity::Off).collect();
    let mut violations = Vec::new();
    for function in &program.functions {
        let scene = Scene::new(program, function, blobs, target);
        for &(rule, severity) in &rules {
            let mut found = Findings::default();
            (rule.find)(&scene, &mut found);
            violations.extend(found.0.into_iter().map(|(span, message)| Violation { rule, severity, span, message }));
        }
    }
    violations.sort_by_key(|v| (v.span.line, v.span.column));
    violations
}

const EVERY: &[Chip] = &Chip::ALL;
const M1: &[Chip] = &[Chip::M1];
const M1_M2: &[Chip] = &[Chip::M1, Chip::M2];
const M1_TO_M3: &[Chip] = &[Chip::M1, Chip::M2, Chip::M3];
const M3: &[Chip] = &[Chip::M3];
const M4: &[Chip] = &[Chip::M4];
const M4_M5: &[Chip] = &[Chip::M4, Chip::M5];
const M5: &[Chip] = &[Chip::M5];
