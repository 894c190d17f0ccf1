//! Every claim on this machine, and every part that is broken on purpose found out by one of them.
#![allow(clippy::unwrap_used)]

use kernels::Cpu;
use verify::{Outcome, Tamper, World, claims};

#[test]
fn every_claim_holds_or_says_why_it_could_not_be_checked() {
    let cpu = Cpu::new(2);
    let mut failed = Vec::new();
    for claim in claims() {
        let scratch = tempfile::tempdir().unwrap();
        match claim.check(&World { cpu: &cpu, scratch: scratch.path(), tamper: None }) {
            Outcome::Failed(why) => failed.push(format!("{}: {why}", claim.id)),
            Outcome::Skipped(why) => println!("SKIPPED {}: {why}", claim.id),
            Outcome::Passed(_) => {}
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Each claim and the wrong implementations that make it fail, those that were published among them: a forward pass with another
/// base of the rotations, which a tolerance of 0.5 let pass; a resume that never resumed; adapters counted twice.
const FOUND_BY: &[(&str, &[Tamper])] = &[
    ("numbers/products", &[Tamper::Rounded]),
    ("numbers/cross-entropy", &[Tamper::Guard]),
    ("numbers/rotation", &[Tamper::Pairs]),
    ("numbers/noise", &[Tamper::Pieces]),
    ("forward/logits", &[Tamper::Classifier, Tamper::Theta]),
    ("forward/loss", &[Tamper::Classifier, Tamper::Theta]),
    ("forward/cache", &[Tamper::Theta]),
    ("forward/threads", &[Tamper::Threads]),
    ("gradients/pytorch", &[Tamper::NormBackward, Tamper::FfnBackward, Tamper::Theta]),
    ("gradients/finite-differences", &[Tamper::NormBackward]),
    ("gradients/recompute", &[Tamper::FfnBackward]),
    ("gradients/adapter", &[Tamper::Twice]),
    ("gradients/adapter-at-start", &[Tamper::Warm]),
    ("training/adamw", &[Tamper::Coupled, Tamper::Uncorrected]),
    ("training/schedule", &[Tamper::Horizon]),
    ("training/resume", &[Tamper::Resume]),
    ("training/checkpoints", &[Tamper::Manifest]),
    ("training/interrupted-save", &[Tamper::InPlace]),
    ("estimators/mezo", &[Tamper::Slope]),
    ("estimators/fzoo", &[Tamper::Undivided]),
    ("estimators/sparse-mezo", &[Tamper::Slope]),
    ("estimators/hizoo", &[Tamper::Slope, Tamper::Flat]),
    ("estimators/lozo", &[Tamper::Slope]),
    ("estimators/p-gap", &[Tamper::Slope]),
    ("estimators/agzo", &[Tamper::Slope]),
    ("estimators/untouched", &[Tamper::Restored]),
    ("data/stories", &[Tamper::Seedless]),
    ("data/tokenizer", &[Tamper::Spaces]),
    ("data/windows", &[Tamper::Unshifted]),
    ("data/refused", &[Tamper::Unbounded]),
    ("formats/round-trips", &[Tamper::Rounded, Tamper::Pairs]),
    ("formats/truncated", &[Tamper::Padded]),
    ("neural/programs", &[Tamper::Printed]),
    ("neural/kernels", &[Tamper::Doubled]),
    ("neural/pipelines", &[Tamper::Doubled, Tamper::Residual, Tamper::Theta]),
    ("neural/faults", &[Tamper::Unheard]),
    // a Mac is needed
    ("neural/hardware", &[]),
];

#[test]
fn every_claim_fails_where_what_it_speaks_of_is_broken() {
    let (cpu, mut passed) = (Cpu::new(2), Vec::new());
    for claim in claims() {
        let (_, faults) = FOUND_BY.iter().find(|(id, _)| *id == claim.id).unwrap_or_else(|| panic!("no fault for {}", claim.id));
        for tamper in *faults {
            let scratch = tempfile::tempdir().unwrap();
            let outcome = claim.check(&World { cpu: &cpu, scratch: scratch.path(), tamper: Some(*tamper) });
            match outcome {
                Outcome::Failed(why) => println!("{} with {tamper:?}: {why}", claim.id),
                other => passed.push(format!("{} with {tamper:?}: {other:?}", claim.id)),
            }
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn every_fault_has_a_name_and_a_claim_that_finds_it() {
    for (name, tamper) in Tamper::ALL {
        assert_eq!(Tamper::parse(name), Some(tamper));
        assert!(FOUND_BY.iter().any(|(_, faults)| faults.contains(&tamper)), "nothing finds {name}");
    }
}

#[test]
fn claims_are_named_once() {
    let mut ids: Vec<_> = claims().iter().map(|c| c.id).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
    assert!(all >= 27, "{all} claims");
}
