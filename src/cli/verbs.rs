//! Arguments of the verbs other than `train`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::numbers::{any_size, fraction, penalty, positive_size, probability, seed, temperature, threads, token, vocabulary};

/// How a machine is used: shared by the verbs that compute.
#[derive(Clone, Debug, Default, Args)]
pub struct MachineArgs {
    /// Worker threads [default: all]
    #[arg(long, value_name = "N", env = "AUTOANE_THREADS", value_parser = threads)]
    pub threads: Option<usize>,
    /// Instruction set of the kernels: auto, scalar, avx2, avx512, amx, neon, accelerate
    #[arg(long, value_name = "NAME", env = "AUTOANE_ISA", default_value = "auto", hide_possible_values = true, value_parser = clap::builder::PossibleValuesParser::new(crate::config::IsaChoice::NAMES))]
    pub isa: String,
}

impl MachineArgs {
    /// The arithmetic that was asked for.
    ///
    /// # Errors
    /// Usage error when this machine lacks the instruction set.
    pub fn cpu(&self) -> anyhow::Result<kernels::Cpu> {
        let isa = kernels::Isa::detect(Some(&self.isa))?;
        Ok(kernels::Cpu::with_isa(self.threads.unwrap_or_else(meter::logical_cpus), isa))
    }
}

/// How the next token is chosen.
#[derive(Clone, Debug, Args)]
pub struct SamplingArgs {
    /// Softmax temperature; 0 takes the likeliest token
    #[arg(long, value_name = "T", default_value = "0.8", allow_negative_numbers = true, value_parser = temperature)]
    pub temperature: f32,
    /// Sample among the K likeliest tokens; 0: all
    #[arg(long, value_name = "K", default_value = "0", value_parser = any_size)]
    pub top_k: usize,
    /// Sample among the likeliest tokens of this total probability
    #[arg(long, value_name = "P", default_value = "0.95", allow_negative_numbers = true, value_parser = probability)]
    pub top_p: f32,
    /// Leave out tokens below this share of the likeliest one's probability
    #[arg(long, value_name = "P", default_value = "0", allow_negative_numbers = true, value_parser = probability)]
    pub min_p: f32,
    /// Divides the positive logits of recent tokens and multiplies their negative ones; 1: off
    #[arg(long, value_name = "R", default_value = "1", allow_negative_numbers = true, value_parser = penalty)]
    pub repetition_penalty: f32,
    /// Recent tokens that the penalty counts, those of the prompt too; 0: all
    #[arg(long, value_name = "N", default_value = "64", value_parser = any_size)]
    pub penalty_window: usize,
    /// Seed of the sampling
    #[arg(long, value_name = "N", default_value = "42", value_parser = seed)]
    pub seed: u64,
}

impl SamplingArgs {
    /// The same for a sampler.
    pub fn config(&self) -> engine::SamplingConfig {
        engine::SamplingConfig {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            penalty_window: self.penalty_window,
            seed: self.seed,
        }
    }
}

/// How weights lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightsArg {
    /// As in the file, where the kernels read its type (f32, f16, bf16, q8_0), else 32 bits. With q8_0 activations are
    /// rounded to 8 bits in single steps, and in prompts to bf16 on AMX: a near tie may go otherwise than in f32
    Stored,
    /// 32 bits
    F32,
}

/// `generate MODEL --prompt TEXT`
#[derive(Clone, Debug, Args)]
pub struct GenerateArgs {
    /// Model folder or a run's checkpoint
    pub model: PathBuf,
    /// Text to continue
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prompt: String,
    /// File whose text is continued
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompt_file: Option<PathBuf>,
    /// Longest continuation, in tokens
    #[arg(long, value_name = "N", default_value = "256", value_parser = positive_size)]
    pub max_tokens: usize,
    /// End before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// How the weights lie in memory
    #[arg(long, value_name = "TYPE", default_value = "stored")]
    pub weights: WeightsArg,
    /// Sample also ids that training never saw
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub all_ids: bool,
    /// Tokenizer: tokenizer.json, a folder with one, GGUF, or llama2.c's tokenizer.bin [default: the model's]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    #[command(flatten)]
    pub assumed: super::AssumedArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// `eval MODEL --data D`: what is not given is as in the run that made the model.
#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// Model folder, a run, or a run's checkpoint: a run is measured as it measured itself
    pub model: PathBuf,
    /// stories, tinystories, a text or JSONL file or folder, a token file or a prepared folder [default: the run's, else stories]
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Tokenizer: tokenizer.json, a folder with one, GGUF, or llama2.c's tokenizer.bin [default: the model's]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Chat template of data with `messages` [default: the run's, else the tokenizer's]
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Share at the end of the data that is read; 1 reads all of it [default: the run's, else 0.1]
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = fraction)]
    pub val_fraction: Option<f64>,
    /// Most tokens to read, in evenly spaced windows [default: the run's, else 32768]
    #[arg(long, value_name = "N", value_parser = positive_size)]
    pub val_tokens: Option<usize>,
    /// Tokens a window [default: the run's, else 256]
    #[arg(long, value_name = "N", value_parser = positive_size)]
    pub seq_len: Option<usize>,
    /// Windows of the token stream, or of whole documents that do not see each other [default: the run's, else stream; documents for data with `prompt` or `messages`]
    #[arg(long, value_name = "HOW", value_parser = clap::builder::PossibleValuesParser::new(crate::config::Packing::NAMES))]
    pub packing: Option<String>,
    /// Windows a pass [default: the run's, else 8]
    #[arg(long, value_name = "N", value_parser = positive_size)]
    pub batch_size: Option<usize>,
    #[command(flatten)]
    pub assumed: super::AssumedArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// `logits MODEL --tokens 1,2,3 --out FILE.npy`
#[derive(Clone, Debug, Args)]
pub struct LogitsArgs {
    /// Model folder or a run's checkpoint
    pub model: PathBuf,
    /// Token ids
    #[arg(long, value_name = "ID,ID,...", required = true, value_delimiter = ',', value_parser = token)]
    pub tokens: Vec<u32>,
    /// File for the f32 array [tokens, vocab]
    #[arg(long, value_name = "FILE.npy")]
    pub out: PathBuf,
    #[command(flatten)]
    pub assumed: super::AssumedArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// `convert IN OUT`
#[derive(Clone, Debug, Args)]
pub struct ConvertArgs {
    /// Model: folder, GGUF, BLZT or llama2.c file, run or checkpoint
    pub input: PathBuf,
    /// Folder (hf) or file to write
    pub output: PathBuf,
    /// Make the steps of a zeroth-order run once more from its trajectory, instead of reading a checkpoint
    #[arg(long)]
    pub replay: bool,
    /// Write the model that an adapter's run began with, once its file is found to hold those weights still
    #[arg(long, conflicts_with = "replay")]
    pub unmerge: bool,
    /// Format to write [default: gguf for a name that ends so, else hf]
    #[arg(long, value_name = "FORMAT")]
    pub to: Option<ConvertTo>,
    /// Type of the weights
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub dtype: DtypeArg,
    /// Tokenizer for an input without one (BLZT, llama2.c): tokenizer.json, a folder with one, GGUF, or llama2.c's tokenizer.bin
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Replace a model that is there
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub overwrite: bool,
    /// Read what was written and compare its logits with the source's [default: for models that were trained here]
    #[arg(long = "verify", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true, overrides_with = "no_verify")]
    pub verify: Option<bool>,
    /// The same as --verify=false
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide_possible_values = true)]
    pub no_verify: Option<bool>,
    #[command(flatten)]
    pub assumed: super::AssumedArgs,
    #[command(flatten)]
    pub machine: MachineArgs,
}

impl ConvertArgs {
    /// What was said of verifying, if anything.
    pub fn verify(&self) -> Option<bool> {
        self.no_verify.map(|no| !no).or(self.verify)
    }
}

/// Formats that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ConvertTo {
    /// Hugging Face folder
    Hf,
    /// GGUF file of llama.cpp
    Gguf,
    /// BLZT v4 checkpoint
    Blzt,
    /// llama2.c file
    Llama2c,
    /// PEFT folder, of an adapter
    Peft,
}

/// Types of weights that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DtypeArg {
    /// 32 bits
    F32,
    /// 16 bits, IEEE half
    F16,
    /// 16 bits, bfloat
    Bf16,
    /// 8 bits in blocks of 32 with a scale
    #[value(name = "q8_0")]
    Q8_0,
}

/// `inspect FILE`
#[derive(Clone, Debug, Args)]
pub struct InspectArgs {
    /// Model folder, safetensors file, checkpoint, run folder, token file, prepared folder or tokenizer.json
    pub path: PathBuf,
}

/// `data ...`
#[derive(Clone, Debug, Subcommand)]
pub enum DataVerb {
    /// Write stories of the built-in corpus as text
    #[command(after_help = super::examples::DATA_STORIES)]
    Stories(StoriesArgs),
    /// Fetch a published data set
    #[command(after_help = super::examples::DATA_DOWNLOAD)]
    Download(DownloadArgs),
    /// Turn text or JSONL into a folder of tokens
    #[command(after_help = super::examples::DATA_TOKENIZE)]
    Tokenize(TokenizeArgs),
    /// Explain a token file or prepared folder
    #[command(after_help = super::examples::DATA_INSPECT)]
    Inspect(DataInspectArgs),
}

/// `data stories`
#[derive(Clone, Debug, Args)]
pub struct StoriesArgs {
    /// Number of stories
    #[arg(long, value_name = "N", default_value = "1000", value_parser = positive_size)]
    pub stories: usize,
    /// Seed of the corpus; 0 is that of `--data stories`
    #[arg(long, value_name = "N", default_value = "0", value_parser = seed)]
    pub seed: u64,
    /// File to write [default: stdout]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `data download NAME`
#[derive(Clone, Debug, Args)]
pub struct DownloadArgs {
    /// Data set
    pub name: DataSetName,
    /// Folder for it [default: where `--data tinystories` looks]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Published data sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DataSetName {
    /// TinyStories (Eldan and Li, 2023)
    Tinystories,
}

/// `data tokenize IN`
#[derive(Clone, Debug, Args)]
pub struct TokenizeArgs {
    /// stories, or a .txt/.jsonl file or folder
    pub input: String,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Tokenizer: tokenizer.json, a folder with one, GGUF, or llama2.c's tokenizer.bin [default: trained on the data]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Chat template of lines with `messages` [default: the tokenizer's]
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Ids of the tokenizer that is trained on the data
    #[arg(long, value_name = "N", default_value = "4096", value_parser = vocabulary, conflicts_with = "tokenizer")]
    pub vocab_size: usize,
    /// Worker threads [default: all]
    #[arg(long, value_name = "N", env = "AUTOANE_THREADS", value_parser = threads)]
    pub threads: Option<usize>,
}

/// `data inspect PATH`
#[derive(Clone, Debug, Args)]
pub struct DataInspectArgs {
    /// Token file or prepared folder; with --mask a text or JSONL file, too
    pub path: PathBuf,
    /// Ids of the vocabulary of a raw token file: larger ones are an error
    #[arg(long, value_name = "N", value_parser = vocabulary)]
    pub vocab_size: Option<usize>,
    /// Type of the tokens of a raw token file
    #[arg(long, value_name = "TYPE", default_value = "auto", value_parser = clap::builder::PossibleValuesParser::new(crate::config::TokenWidth::NAMES))]
    pub token_width: String,
    /// Tokenizer that shows the first tokens as text; with --mask the one that text is tokenized with [default: trained on it]
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,
    /// Show which tokens of the first documents carry loss, and the share of all that do
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub mask: bool,
    /// Chat template of lines with `messages`, with --mask [default: the tokenizer's]
    #[arg(long, value_name = "FILE", requires = "mask")]
    pub template: Option<PathBuf>,
    /// Documents that are shown, with --mask
    #[arg(long, value_name = "N", default_value = "3", value_parser = positive_size)]
    pub records: usize,
}

/// `completions SHELL`
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Shell
    pub shell: clap_complete::Shell,
}

/// What `doctor --probe` probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProbeArg {
    /// The Neural Engine of this Mac
    Ane,
    /// The simulator, refusing what any chip was reported to refuse
    AneSim,
}

/// `doctor`
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Runs every kernel once on this device, compares it with the simulator, and keeps what came of it; a Neural Engine that was never probed is in any case
    #[arg(long, value_name = "DEVICE")]
    pub probe: Option<ProbeArg>,
    #[command(flatten)]
    pub machine: MachineArgs,
}
