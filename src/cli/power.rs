//! Arguments of `power`.

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
    /// Divide by this number: tokens, or steps, of the command
    #[arg(long, value_name = "N", value_parser = count)]
    pub per: Option<f64>,
    /// What to run
    #[arg(required = true, last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

fn count(text: &str) -> Result<f64, String> {
    let found: Option<f64> = text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    found.ok_or_else(|| format!("found `{text}`, expected a number above 0"))
}
