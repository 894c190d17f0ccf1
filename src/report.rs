//! Reports: one self-contained HTML file of runs, with charts as inline SVG.

mod compare;
pub mod page;
pub mod parallel;
pub mod record;
mod run;
pub mod svg;

use std::path::Path;

pub use compare::comparison;
pub use record::RunRecord;
pub use run::single;

/// Name of the report in a run folder.
pub const FILE: &str = "report.html";

/// The page of one run, or that of several beside each other.
///
/// # Errors
/// 66 for what is no run, 65 for one whose record cannot be read.
pub fn of_runs(paths: &[&Path]) -> anyhow::Result<String> {
    let runs = paths.iter().map(|p| RunRecord::read(p)).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(match runs.as_slice() {
        [one] => single(one),
        many => comparison(many),
    })
}
