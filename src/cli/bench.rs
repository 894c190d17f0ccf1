//! Arguments of `bench`.

use clap::Args;

use super::numbers::{positive_size, several, vocabulary};
use super::verbs::{MachineArgs, WeightsArg};
use crate::config::{self, Method};

/// `bench [MODEL]`
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// Preset or model folder
    #[arg(default_value = "stories-36m")]
    pub model: String,
    /// Tokens a window [default: the preset's]
    #[arg(long, value_name = "N", value_parser = positive_size)]
    pub seq_len: Option<usize>,
    /// Windows a pass [default: the preset's]
    #[arg(long, value_name = "N", value_parser = positive_size)]
    pub batch_size: Option<usize>,
    /// Ids of the classifier [default: the preset's]
    #[arg(long, value_name = "N", value_parser = vocabulary)]
    pub vocab_size: Option<usize>,
    /// Update rule
    #[arg(long, value_name = "NAME", default_value = "adamw", value_parser = clap::builder::PossibleValuesParser::new(config::OptimizerKind::NAMES))]
    pub optimizer: String,
    /// Time to measure for, after the machine's ceilings
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = config::duration)]
    pub max_time: std::time::Duration,
    /// Recompute activations in the backward pass
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub recompute: bool,
    /// Hold gradients that are estimated from losses against the true one: mezo, fzoo, sparse-mezo, hizoo, lozo, conmezo, p-gap, agzo, zo-muon, dszo, or all
    #[arg(long, value_name = "METHOD", value_parser = estimators, conflicts_with_all = ["decode", "pipeline"])]
    pub estimator: Option<Estimators>,
    /// Text of the batch, with --estimator: as --data of train [default: that of a run folder, else random tokens]
    #[arg(long, value_name = "DATA", requires = "estimator")]
    pub data: Option<String>,
    /// Look at a new adapter of MODEL, with --estimator and --data; the run folder of an adapter is one that is trained
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub lora: bool,
    /// Estimates of each method, with --estimator [default: as many as --max-time has room for]
    #[arg(long, value_name = "N", value_parser = several, requires = "estimator")]
    pub samples: Option<usize>,
    /// How far beside the weights losses are measured, with --estimator
    #[arg(long, value_name = "E", default_value = "1e-3", value_parser = eps, requires = "estimator")]
    pub mezo_eps: f32,
    /// Write this machine's figures into a small file to share; nothing is sent
    #[arg(long, value_name = "FILE.json", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["decode", "pipeline"])]
    pub submit_file: Option<std::path::PathBuf>,
    /// Measure prompts and decoding instead of training steps
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub decode: bool,
    /// Tokens of the prompt, with --decode
    #[arg(long, value_name = "N", default_value = "256", value_parser = positive_size)]
    pub prompt_tokens: usize,
    /// Tokens that are decoded after it, with --decode
    #[arg(long, value_name = "N", default_value = "64", value_parser = positive_size)]
    pub max_tokens: usize,
    /// How the weights lie in memory, with --decode
    #[arg(long, value_name = "TYPE", default_value = "stored")]
    pub weights: WeightsArg,
    #[command(flatten)]
    pub pipeline: super::PipelineArgs,
    /// Apple's chip that --pipeline is predicted for: m1 to m5, with -pro, -max or -ultra
    #[arg(long, value_name = "CHIP", default_value = "m4", value_parser = super::mil::machine, requires = "pipeline")]
    pub chip: ane::cost::Machine,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Methods that `bench --estimator` looks at.
#[derive(Clone, Debug)]
pub struct Estimators(pub Vec<Method>);

fn estimators(text: &str) -> Result<Estimators, String> {
    let all = || Method::NAMES.iter().filter_map(|name| Method::parse(name).ok()).filter(|m| m.is_zeroth_order());
    if text == "all" {
        return Ok(Estimators(all().collect()));
    }
    let names: Vec<&str> = all().map(Method::name).collect();
    let found = all().find(|m| m.name() == text);
    found.map(|m| Estimators(vec![m])).ok_or_else(|| format!("found `{text}`, expected {} or all", names.join(", ")))
}

fn eps(text: &str) -> Result<f32, String> {
    config::positive(text, 1e3)
}
