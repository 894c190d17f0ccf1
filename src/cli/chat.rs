//! Arguments of `chat`.

use std::path::PathBuf;

use clap::Args;

use super::AssumedArgs;
use super::numbers::positive_size;
use super::verbs::{MachineArgs, SamplingArgs, WeightsArg};

/// `chat MODEL`
#[derive(Clone, Debug, Args)]
pub struct ChatArgs {
    /// Model file or folder, or a run's checkpoint
    pub model: PathBuf,
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT")]
    pub system: Option<String>,
    /// One turn, and no more [default: a turn for each line of the input]
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Chat template [default: the model's]
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Longest reply, in tokens
    #[arg(long, value_name = "N", default_value = "512", value_parser = positive_size)]
    pub max_tokens: usize,
    /// Tokens that a conversation may have, at most the model's context
    #[arg(long, value_name = "N", default_value = "4096", value_parser = positive_size)]
    pub context: usize,
    /// End a reply before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// How the weights lie in memory
    #[arg(long, value_name = "TYPE", default_value = "stored")]
    pub weights: WeightsArg,
    /// Tokenizer: tokenizer.json, a folder with one, GGUF, or llama2.c's tokenizer.bin [default: the model's]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    #[command(flatten)]
    pub assumed: AssumedArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}
