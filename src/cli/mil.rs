//! Arguments of what has to do with the Neural Engine without training on it: `mil`, and the prediction of `bench`.

use ane::cost::Machine;
use ane::{KernelForm, Pipeline, PipelineOptions, WeightForm};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mil::Chip;

use super::examples;
use super::numbers::{positive_size, vocabulary};

pub(super) fn machine(text: &str) -> Result<Machine, String> {
    Machine::of_name(text).ok_or_else(|| format!("found `{text}`, expected m1, m2, m3, m4 or m5, with -pro, -max or -ultra"))
}

fn chip(text: &str) -> Result<Chip, String> {
    machine(text).map(|machine| machine.chip)
}

/// `NAME=FILE.npy`
fn port(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err(format!("found `{text}`, expected NAME=FILE.npy")),
    }
}

/// Programs of the Neural Engine.
#[derive(Clone, Debug, Subcommand)]
pub enum MilVerb {
    /// Write the programs of a model and pipeline with their weight files
    #[command(after_help = examples::MIL_PRINT)]
    Print(MilPrintArgs),
    /// Check programs: grammar, types and shapes, then what the engine is known to refuse or garble
    #[command(after_help = examples::MIL_CHECK)]
    Check(MilCheckArgs),
    /// Run a program on the interpreter
    #[command(after_help = examples::MIL_RUN)]
    Run(MilRunArgs),
    /// The numbered rules that `mil check` knows, with their evidence
    #[command(after_help = examples::MIL_RULES)]
    Rules,
}

/// Dialect of printed programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DialectArg {
    /// program(1.3), main<ios18>: macOS 15 and later
    #[default]
    Ios18,
    /// program(1.0), main<ios16>: what M1 and M2 were seen to take
    Ios16,
}

impl DialectArg {
    /// As the language has it.
    pub fn dialect(self) -> mil::Dialect {
        match self {
            DialectArg::Ios18 => mil::Dialect::Ios18,
            DialectArg::Ios16 => mil::Dialect::Ios16,
        }
    }
}

/// `mil print MODEL --pipeline P --out DIR`
#[derive(Clone, Debug, Args)]
pub struct MilPrintArgs {
    /// Preset, or model file or folder; a preset gets initial weights
    pub model: String,
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// Tokens a window [default: the preset's, else 256]
    #[arg(long, value_name = "N", value_parser = positive_size)]
    pub seq_len: Option<usize>,
    /// Ids of the classifier of a preset [default: the preset's]
    #[arg(long, value_name = "N", value_parser = vocabulary)]
    pub vocab_size: Option<usize>,
    /// Dialect of the programs
    #[arg(long, value_name = "NAME", default_value = "ios18")]
    pub dialect: DialectArg,
    /// Folder for the programs; it must not exist, or be empty
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub out: PathBuf,
}

/// `mil check FILE...`
#[derive(Clone, Debug, Args)]
pub struct MilCheckArgs {
    /// Programs; `@model_path` in them is the folder that they lie in
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Chip that the rules are those of: m1 to m5
    #[arg(long, value_name = "CHIP", default_value = "m4", value_parser = chip)]
    pub chip: Chip,
    /// Doubtful limits count too: nothing passes that anybody saw fail
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub strict: bool,
}

/// Arithmetic of the interpreter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum NumericsArg {
    /// 32 bits, rounded to the type of each value
    #[default]
    Exact,
    /// As the engine of --chip was seen to compute
    Ane,
    /// 64 bits, nothing rounded
    F64,
}

/// `mil run FILE --input x=x.npy --output y=y.npy`
#[derive(Clone, Debug, Args)]
pub struct MilRunArgs {
    /// Program; `@model_path` in it is the folder that it lies in
    pub file: PathBuf,
    /// Value of an input; once for each
    #[arg(long, value_name = "NAME=FILE.npy", value_parser = port)]
    pub input: Vec<(String, PathBuf)>,
    /// File for an output
    #[arg(long, value_name = "NAME=FILE.npy", value_parser = port)]
    pub output: Vec<(String, PathBuf)>,
    /// Function of the program [default: its first]
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// Arithmetic
    #[arg(long, value_name = "NAME", default_value = "exact")]
    pub numerics: NumericsArg,
    /// Chip whose arithmetic `--numerics ane` is: m1 to m5
    #[arg(long, value_name = "CHIP", default_value = "m4", value_parser = chip)]
    pub chip: Chip,
}

/// A pipeline of the Neural Engine.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Neural Engine")]
pub struct PipelineArgs {
    /// Pipeline: matmul-only, static, static-extras, dynamic, dynamic-cpu-bwd, conv, conv-fused
    #[arg(long, value_name = "P")]
    pub pipeline: Option<Pipeline>,
    /// Kernels of the pipeline
    #[arg(long, value_name = "SET", default_value = "fused", requires = "pipeline")]
    pub ane_kernels: KernelForm,
    /// Where the weights of a dynamic pipeline lie
    #[arg(long, value_name = "WHERE", default_value = "packed", requires = "pipeline")]
    pub ane_weights: WeightForm,
    /// Layers whose forward pass is one program, with --pipeline static
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive_size, requires = "pipeline")]
    pub ane_layers: usize,
    /// Weights and activations of convolutions in 8 bits
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, requires = "pipeline")]
    pub ane_int8: bool,
}

impl PipelineArgs {
    /// The pipeline with its options, if one was asked for.
    pub fn options(&self) -> Option<PipelineOptions> {
        Some(PipelineOptions {
            pipeline: self.pipeline?,
            kernels: self.ane_kernels,
            weights: self.ane_weights,
            layers_per_program: self.ane_layers,
            int8: self.ane_int8,
        })
    }
}
