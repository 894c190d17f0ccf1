//! What a user says of a model whose file does not.

use std::path::PathBuf;

use clap::Args;

use super::numbers::positive_real;

/// `--base`, `--rope-theta`, `--norm-eps`, `--residual-scale`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "For files that do not say it (adapters, llama2.c, BLZT)")]
pub struct AssumedArgs {
    /// The model that an adapter is for [default: the folder that the adapter names]
    #[arg(long, value_name = "MODEL")]
    pub base: Option<PathBuf>,
    /// Base of the rotations [default: 10000]
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = positive_real)]
    pub rope_theta: Option<f32>,
    /// Epsilon of the norms [default: 1e-5]
    #[arg(long, value_name = "E", allow_negative_numbers = true, value_parser = positive_real)]
    pub norm_eps: Option<f32>,
    /// Factor on both branches of every block (BLZT) [default: 1]
    #[arg(long, value_name = "A", allow_negative_numbers = true, value_parser = positive_real)]
    pub residual_scale: Option<f32>,
}

impl AssumedArgs {
    /// For a reader.
    pub fn given(&self) -> formats::Assumed {
        formats::Assumed {
            rope_theta: self.rope_theta.map(f64::from),
            norm_eps: self.norm_eps,
            residual_scale: self.residual_scale,
        }
    }
}
