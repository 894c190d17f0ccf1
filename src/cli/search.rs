//! Arguments of `search`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::numbers::{positive_size, seed};

/// `search VERB`
#[derive(Clone, Debug, Subcommand)]
pub enum SearchVerb {
    /// Declare a study: what is searched, by what measure, with which error rate
    #[command(after_help = super::examples::SEARCH_NEW)]
    New(Box<SearchNewArgs>),
    /// Run trials: the baseline and its noise first
    #[command(after_help = super::examples::SEARCH_RUN)]
    Run(SearchRunArgs),
    /// Run trials beside other workers of the same study, also on other machines that share the folder
    #[command(after_help = super::examples::SEARCH_WORKER)]
    Worker(SearchWorkerArgs),
    /// Submit a configuration as the next trial; it is judged like any other
    #[command(after_help = super::examples::SEARCH_PROPOSE)]
    Propose(SearchProposeArgs),
    /// Where a study stands
    #[command(after_help = super::examples::SEARCH_STATUS)]
    Status(SearchStudyArgs),
    /// Every trial, and the verdict
    #[command(after_help = super::examples::SEARCH_SHOW)]
    Show(SearchStudyArgs),
    /// Baseline against winner on fresh seeds and the locked test text, once, and each change left out
    #[command(after_help = super::examples::SEARCH_FINAL)]
    Final(SearchStudyArgs),
    /// One self-contained HTML page
    #[command(after_help = super::examples::SEARCH_REPORT)]
    Report(SearchStudyArgs),
}

/// `search show STUDY` and the like
#[derive(Clone, Debug, Args)]
pub struct SearchStudyArgs {
    /// Folder of the study
    pub study: PathBuf,
}

/// `search new STUDY ... -- TRAIN ARGUMENTS`
#[derive(Clone, Debug, Args)]
pub struct SearchNewArgs {
    /// Folder of the new study
    pub study: PathBuf,
    /// What is searched: NAME=LOW..HIGH, with :log or :STEP, or NAME=a|b|c. NAME is a flag of `train`, or depth, dim, hidden, heads, kv-heads, head-dim
    #[arg(long = "param", value_name = "NAME=RANGE")]
    pub params: Vec<String>,
    /// Ranges of the original's search, or its grids
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(["original", "original-lr", "original-arch"]))]
    pub preset: Option<String>,
    /// Where a parameter starts [default: what the arguments of `train` say, else the middle of its range]
    #[arg(long = "baseline", value_name = "NAME=VALUE")]
    pub baseline: Vec<String>,
    /// Seeds that every trial is measured on first
    #[arg(long, value_name = "K", default_value = "4", value_parser = positive_size)]
    pub seeds: usize,
    /// What is made small [default: val_bpb; val_loss for raw token files, whose bytes nobody knows]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::PossibleValuesParser::new(["val_bpb", "val_loss"]))]
    pub objective: Option<String>,
    /// Budget of a run: the tokens that the baseline trains on in this time, the same for every run
    #[arg(long, value_name = "TIME", conflicts_with_all = ["trial_tokens", "trial_clock"])]
    pub trial_time: Option<String>,
    /// Budget of a run in training tokens
    #[arg(long, value_name = "N", conflicts_with = "trial_clock", value_parser = positive_size)]
    pub trial_tokens: Option<usize>,
    /// What every run has the same of: training tokens, or arithmetic (a model twice as large trains on half of the tokens)
    #[arg(long, value_name = "WHAT", default_value = "tokens", value_parser = clap::builder::PossibleValuesParser::new(["tokens", "flops"]))]
    pub equal: String,
    /// Budget of a run by the clock: not repeatable, for questions of size at a fixed time
    #[arg(long, value_name = "TIME")]
    pub trial_clock: Option<String>,
    /// Smallest gain worth a change, in units of the objective
    #[arg(long, value_name = "GAIN", default_value = "0")]
    pub min_effect: f64,
    /// Chance that the whole search keeps anything that is no better
    #[arg(long, value_name = "A", default_value = "0.05")]
    pub alpha: f64,
    /// Looks at a candidate's confirmation
    #[arg(long, value_name = "N", default_value = "3", value_parser = positive_size)]
    pub looks: usize,
    /// Most pairs of a confirmation
    #[arg(long, value_name = "N", default_value = "12", value_parser = positive_size)]
    pub max_pairs: usize,
    /// Fresh pairs of the final comparison, at least 8
    #[arg(long, value_name = "N", default_value = "8", value_parser = positive_size)]
    pub final_pairs: usize,
    /// Trials of the whole study
    #[arg(long, value_name = "N", default_value = "100", overrides_with = "trials", value_parser = positive_size)]
    pub trials: usize,
    /// Where trials come from
    #[arg(long, value_name = "NAME", default_value = "tpe", value_parser = clap::builder::PossibleValuesParser::new(search::samplers::SamplerKind::NAMES))]
    pub sampler: String,
    /// Seed of the sampler
    #[arg(long, value_name = "N", default_value = "0", value_parser = seed)]
    pub sampler_seed: u64,
    /// A run that takes more processor time is stopped and has crashed; so is one after ten times as long by the clock, at least ten minutes [default: ten times the baseline's, at least a minute]
    #[arg(long, value_name = "TIME")]
    pub time_limit: Option<String>,
    /// Most memory that a run may be foreseen to take, as `train` foresees it, in MB; no other is proposed
    #[arg(long, value_name = "MB", value_parser = positive_size)]
    pub max_memory: Option<usize>,
    /// Text of the locked test, opened once by `search final` [default: other built-in stories for --data stories]
    #[arg(long, value_name = "FILE")]
    pub test_data: Option<String>,
    /// Commit kept configurations to this branch; your files and your branch are not touched
    #[arg(long, value_name = "BRANCH", num_args = 0..=1, default_missing_value = "")]
    pub git: Option<String>,
    /// Write program.md: the rules of the study for a coding agent
    #[arg(long)]
    pub agent: bool,
    /// Arguments of `train` that every run has
    #[arg(last = true, value_name = "TRAIN ARGUMENTS", allow_hyphen_values = true)]
    pub train: Vec<String>,
}

/// `search run STUDY`
#[derive(Clone, Debug, Args)]
pub struct SearchRunArgs {
    /// Folder of the study
    pub study: PathBuf,
    /// Trials to run now, the baseline among them [default: all that the study has left]
    #[arg(long, value_name = "N", overrides_with = "trials", value_parser = positive_size)]
    pub trials: Option<usize>,
    /// Trials at a time
    #[arg(long, value_name = "W", default_value = "1", value_parser = positive_size)]
    pub workers: usize,
    /// Trials give way to others: lower priority, half the threads, a wait on battery and in heat; results are the same but for time
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub polite: bool,
}

/// `search worker STUDY`
#[derive(Clone, Debug, Args)]
pub struct SearchWorkerArgs {
    /// Folder of the study
    pub study: PathBuf,
    /// Trials to run [default: all that the study has left]
    #[arg(long, value_name = "N", value_parser = positive_size)]
    pub trials: Option<usize>,
}

/// `search propose STUDY`
#[derive(Clone, Debug, Args)]
pub struct SearchProposeArgs {
    /// Folder of the study
    pub study: PathBuf,
    /// A parameter and its value; the others are the incumbent's
    #[arg(long = "set", value_name = "NAME=VALUE", required = true)]
    pub set: Vec<String>,
    /// Why it should help: kept with the trial
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub why: String,
}
