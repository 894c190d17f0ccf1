//! Arguments of `verify`.

use clap::Args;
use verify::Tamper;

use super::verbs::MachineArgs;

/// `verify [CLAIM...]`
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Claims, or parts of them: gradients, formats/truncated [default: all]
    #[arg(value_name = "CLAIM")]
    pub claims: Vec<String>,
    /// Say what is claimed, and check nothing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub list: bool,
    /// Breaks a part on purpose, to see that it is found out
    #[arg(long, value_name = "PART", hide = true, value_parser = tamper)]
    pub tamper: Option<Tamper>,
    #[command(flatten)]
    pub machine: MachineArgs,
}

fn tamper(text: &str) -> Result<Tamper, String> {
    Tamper::parse(text).ok_or_else(|| format!("found `{text}`, expected {}", Tamper::ALL.map(|(name, _)| name).join(", ")))
}
