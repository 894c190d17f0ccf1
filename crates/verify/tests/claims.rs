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

/// A claim passes where nothing is broken, and fails where this part is.
fn found_by(tamper: Tamper, ids: &[&str]) {
    let cpu = Cpu::new(2);
    for id in ids {
        let claim = claims().into_iter().find(|c| c.id == *id).unwrap();
        for broken in [None, Some(tamper)] {
            let scratch = tempfile::tempdir().unwrap();
            let outcome = claim.check(&World { cpu: &cpu, scratch: scratch.path(), tamper: broken });
            let right = match broken {
                None => matches!(outcome, Outcome::Passed(_)),
                Some(_) => matches!(outcome, Outcome::Failed(_)),
            };
            assert!(right, "{id} with {broken:?}: {outcome:?}");
        }
    }
}

/// A published check allowed a loss to be off by 0.5 and passed a forward pass with another base of the rotations.
#[test]
fn a_forward_pass_with_another_theta_does_not_pass_for_a_weak_tolerance() {
    found_by(Tamper::Theta, &["forward/logits", "forward/loss", "forward/cache", "gradients/pytorch"]);
}

/// A published test of resuming never resumed.
#[test]
fn a_resume_that_does_not_resume_fails() {
    found_by(Tamper::Resume, &["training/resume"]);
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
