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

#[test]
fn what_is_broken_is_found_out() {
    let cpu = Cpu::new(2);
    for (tamper, finders) in [
        (Tamper::NormBackward, &["gradients/pytorch", "gradients/finite-differences"][..]),
        (Tamper::FfnBackward, &["gradients/pytorch"]),
        (Tamper::Classifier, &["forward/logits", "forward/loss"]),
    ] {
        for claim in claims().into_iter().filter(|c| finders.contains(&c.id)) {
            let scratch = tempfile::tempdir().unwrap();
            let outcome = claim.check(&World { cpu: &cpu, scratch: scratch.path(), tamper: Some(tamper) });
            assert!(matches!(outcome, Outcome::Failed(_)), "{tamper:?} passes {}: {outcome:?}", claim.id);
        }
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
