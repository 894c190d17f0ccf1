//! What the program claims, as a list: each claim a sentence, a tolerance, and what it takes to see whether it is so on this
//! machine. The tests of this crate and `autoane verify` run the same list.

mod device;
mod estimators;
mod files;
mod forward;
mod gradients;
mod neural;
mod numbers;
mod subject;
mod tamper;
mod training;

use std::fmt::Display;
use std::path::Path;

use kernels::Cpu;

pub use tamper::Tamper;

/// What a claim is checked with.
pub struct World<'w> {
    /// Threads and vector units.
    pub cpu: &'w Cpu,
    /// An empty folder that may be written to.
    pub scratch: &'w Path,
    /// A part that is broken on purpose, to see that it is found out.
    pub tamper: Option<Tamper>,
}

impl World<'_> {
    /// Whether this is broken.
    fn broken(&self, tamper: Tamper) -> bool {
        self.tamper == Some(tamper)
    }
}

/// How it went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is so, and what was measured.
    Passed(String),
    /// It is not so, and what was found.
    Failed(String),
    /// It could not be checked here, and why.
    Skipped(String),
}

/// A check that could not even be made counts as failed, with its reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broken(String);

impl Broken {
    fn of(why: impl Display) -> Broken {
        Broken(why.to_string())
    }
}

type Found = Result<Outcome, Broken>;

/// Something that the program claims.
pub struct Claim {
    /// Part and name: `gradients/finite-differences`.
    pub id: &'static str,
    /// The claim.
    pub sentence: &'static str,
    /// What passes.
    pub tolerance: &'static str,
    run: fn(&World<'_>) -> Found,
}

impl Claim {
    /// Sees whether it is so.
    pub fn check(&self, world: &World<'_>) -> Outcome {
        (self.run)(world).unwrap_or_else(|broken| Outcome::Failed(broken.to_string()))
    }
}

/// Every claim, part by part.
pub fn claims() -> Vec<Claim> {
    let parts: [&[Row]; 7] = [
        numbers::CLAIMS,
        forward::CLAIMS,
        gradients::CLAIMS,
        training::CLAIMS,
        estimators::CLAIMS,
        files::CLAIMS,
        neural::CLAIMS,
    ];
    let claim = |&(id, sentence, tolerance, run): &Row| Claim { id, sentence, tolerance, run };
    parts.into_iter().flatten().map(claim).collect()
}

/// Id, sentence, tolerance, check.
type Row = (&'static str, &'static str, &'static str, fn(&World<'_>) -> Found);

/// Passed if `off` is at most `limit`; NaN is not.
fn within(off: f64, limit: f64, what: &str) -> Found {
    let said = format!("{what} {off:.1e}");
    Ok(if off <= limit { Outcome::Passed(said) } else { Outcome::Failed(format!("{said}, at most {limit:.0e} is allowed")) })
}

/// Passed if `so`.
fn so(so: bool, said: impl Into<String>) -> Found {
    Ok(if so { Outcome::Passed(said.into()) } else { Outcome::Failed(said.into()) })
}

/// Largest difference; NaN where there is one.
fn farthest(a: &[f32], b: &[f32]) -> f64 {
    let differences = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs()));
    if a.len() == b.len() { differences.fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m }) } else { f64::NAN }
}
