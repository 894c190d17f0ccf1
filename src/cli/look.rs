//! Arguments of the verbs that look at runs and at the program itself.

use std::path::PathBuf;

use clap::Args;

/// `report RUN [RUN ...]`
#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// Run folders; several are compared with the first
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// File to write [default: report.html in the run folder; comparison.html here for several]
    #[arg(long, value_name = "FILE.html")]
    pub out: Option<PathBuf>,
}

/// `dash [RUN|RUNS-FOLDER]`
#[derive(Clone, Debug, Args)]
pub struct DashArgs {
    /// A run, or a folder of runs
    #[arg(default_value = "runs", value_name = "RUN")]
    pub path: PathBuf,
    /// Print one screen and leave, as where there is no terminal
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub once: bool,
}

/// `explain CODE`
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// Exit code of the program; none: all of them
    pub code: Option<u8>,
}

/// `man --out DIR`
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Folder for the pages
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
