//! Each rule is broken by a program that breaks nothing else, and not by one that stays just within it.
#![allow(clippy::unwrap_used)]

mod cases;
mod text;

use std::collections::BTreeSet;

use cases::{Case, cases};
use mil::rules::{self, Severity, Target};

fn broken(case: &Case) -> BTreeSet<&'static str> {
    let program = mil::parse(&case.text()).unwrap_or_else(|e| panic!("{}: {e}\n{}", case.rule, case.text()));
    // rules know operations that the table of operations does not have
    if program.functions[0].body.iter().all(|s| mil::ops::find(&s.op).is_some()) {
        mil::check(&program).unwrap_or_else(|e| panic!("{}: {e}\n{}", case.rule, case.text()));
    }
    let target = Target { chip: case.chip, strict: case.strict, process: case.process };
    let violations = rules::check(&program, &case.blobs, &target);
    violations.iter().for_each(|v| assert!(v.severity > Severity::Off && !v.message.is_empty(), "{v}"));
    violations.iter().map(|v| v.rule.id).collect()
}

#[test]
fn each_rule_is_broken_alone_and_just_kept() {
    for rule in rules::all() {
        let of_rule: Vec<Case> = cases().into_iter().filter(|c| c.rule == rule.id).collect();
        for breaks in [true, false] {
            assert!(of_rule.iter().any(|c| c.breaks == breaks), "{} lacks a program with breaks = {breaks}", rule.id);
        }
        for case in of_rule {
            let expected: BTreeSet<_> = case.breaks.then_some(rule.id).into_iter().collect();
            assert_eq!(broken(&case), expected, "{} with breaks = {} of\n{}", rule.id, case.breaks, case.text());
        }
    }
}

#[test]
fn numbers_are_given_once_and_every_rule_can_be_broken() {
    let all = rules::all();
    let expected: Vec<String> = (1..=all.len()).map(|n| format!("ANE-{n:02}")).collect();
    assert_eq!(all.iter().map(|r| r.id).collect::<Vec<_>>(), expected);
    for rule in all {
        assert!(rule.strict > Severity::Off && rule.strict >= rule.lenient && !rule.chips.is_empty(), "{}", rule.id);
        assert!(rule.title.ends_with('.') && !rule.evidence.is_empty(), "{}", rule.id);
    }
}

#[test]
fn a_lenient_target_passes_doubtful_programs() {
    let case = cases().into_iter().find(|c| c.rule == "ANE-06" && c.breaks).unwrap();
    assert!(broken(&case.lenient()).is_empty());
}

#[test]
fn the_page_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ane-rules.md");
    let page = rules::page();
    if std::env::var_os("AUTOANE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/ane-rules.md is not what the table says: AUTOANE_WRITE_DOCS=1 cargo test -p mil the_page");
}
