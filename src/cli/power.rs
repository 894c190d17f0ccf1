//! Arguments of `power`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config;

/// `power -- COMMAND`
#[derive(Clone, Debug, Args)]
pub struct PowerArgs {
    /// How long the machine is measured at rest before
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = config::duration)]
    pub idle: Duration,
    /// Time between samples
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = config::duration)]
    pub interval: Duration,
    /// Steps of the command: joules of each are said
    #[arg(long, value_name = "N", value_parser = count)]
    pub steps: Option<u64>,
    /// Tokens of the command: joules of each are said
    #[arg(long, value_name = "N", value_parser = count)]
    pub tokens: Option<u64>,
    /// Append every reading to this file, a JSON object a line
    #[arg(long, value_name = "FILE")]
    pub readings: Option<PathBuf>,
    /// What to run
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

fn count(text: &str) -> Result<u64, String> {
    config::integer(text, 1, i64::MAX as u64)
}
