//! From what was typed to a run's configuration: layers, their order, the rules between settings, and how it is shown.
//!
//! [`SETTINGS`] is the one list: flags of `train`, `AUTOANE_...` variables, keys of a `--config` file, the table of
//! `--dry-run` and `config.resolved.toml` are all read from it.

mod file;
mod layers;
mod model;
mod readers;
mod resolve;
mod rules;
mod settings;
mod show;
mod values;

use ane::{KernelForm, Pipeline, WeightForm};
use std::path::PathBuf;
use std::time::Duration;

pub use file::RESOLVED_FILE;
pub use layers::{Given, Origin, SUBJECT, trained_with, zeroth};
pub use model::{ModelChoice, free_run_folder, nearest};
pub use resolve::{Resolved, Sources};
pub use settings::{SETTINGS, Setting, setting};
pub use values::{
    AneNumerics, AneProbe, DataOrder, Device, Every, IsaChoice, LoraForm, Method, ObjectiveKind, OptimizerKind, Packing,
    Schedule, TokenWidth, Tracking, Warmup, ZoDistribution, duration, integer, positive, real, size,
};

/// Vocabulary of a tokenizer that is trained on the data when `--vocab-size` is not given.
pub const TRAINED_VOCAB: usize = 4096;

/// Budget of a run when none is given.
pub const DEFAULT_TIME: Duration = Duration::from_secs(120);

/// Everything that decides a training run. [`Default`] holds the built-in defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainConfig {
    /// `auto`, a preset, or the path of a model.
    pub model: String,
    /// A `config.json` in the form of Hugging Face that gives the shape of a new model.
    pub model_config: Option<PathBuf>,
    /// `stories`, `tinystories`, or a path.
    pub data: String,
    /// `tokenizer.json` or a folder with one; otherwise the model's or prepared data's, else trained on the data.
    pub tokenizer: Option<PathBuf>,
    /// Chat template of conversations; otherwise the tokenizer's.
    pub template: Option<PathBuf>,
    /// Ids of a raw token file, or of the tokenizer trained on the data ([`TRAINED_VOCAB`] when not given).
    pub vocab_size: Option<usize>,
    /// Width of the tokens of a raw token file.
    pub token_width: TokenWidth,
    /// Run folder.
    pub out: Option<PathBuf>,
    /// Budget in optimizer steps.
    pub steps: Option<u64>,
    /// Budget in training tokens.
    pub tokens: Option<u64>,
    /// Budget in wall time.
    pub max_time: Option<Duration>,
    /// Tokens a window.
    pub seq_len: usize,
    /// Windows a pass.
    pub batch_size: usize,
    /// Passes an optimizer step.
    pub accumulate: usize,
    /// Peak learning rate.
    pub learning_rate: f32,
    /// Its course over the budget.
    pub schedule: Schedule,
    /// Its rise at the start.
    pub warmup: Warmup,
    /// Last learning rate / peak.
    pub min_lr_ratio: f32,
    /// Update rule.
    pub optimizer: OptimizerKind,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f32,
    /// Decay of Adam's first moment.
    pub beta1: f32,
    /// Decay of Adam's second moment.
    pub beta2: f32,
    /// Largest gradient norm; 0 does not clip.
    pub clip_norm: f32,
    /// Momentum of Muon and SGD.
    pub momentum: f32,
    /// Gradient estimator.
    pub method: Method,
    /// How far beside the weights zeroth-order methods look.
    pub mezo_eps: f32,
    /// What losses beside the weights are.
    pub objective: ObjectiveKind,
    /// Directions that they look along in a step.
    pub zo_directions: usize,
    /// Elements of the directions.
    pub zo_distribution: ZoDistribution,
    /// Share of the weights that Sparse-MeZO leaves alone.
    pub zo_sparsity: f64,
    /// Weight of a step in HiZOO's mean of the Hessian.
    pub zo_hessian: f64,
    /// Rank of the directions of LOZO, P-GAP, AGZO and ZO-Muon.
    pub zo_rank: usize,
    /// Steps that a factor of them stays for, or a basis.
    pub zo_interval: u64,
    /// Share of the gradient in its space that P-GAP's directions keep along it.
    pub zo_delta: f64,
    /// Half the opening of ConMeZO's cone, in radians.
    pub zo_angle: f64,
    /// Decay of the mean that it lies around.
    pub zo_momentum: f32,
    /// Share of the tokens that Forward-Forward corrupts.
    pub ff_corrupt: f32,
    /// Train an adapter instead of the weights.
    pub lora: bool,
    /// Its rank.
    pub lora_rank: usize,
    /// Numerator of its scale.
    pub lora_alpha: f32,
    /// Matrices that have one, as they were named.
    pub lora_targets: String,
    /// How it is applied.
    pub lora_form: LoraForm,
    /// Scale by the root of the rank.
    pub lora_rslora: bool,
    /// Train the gains of norms too.
    pub lora_norms: bool,
    /// Where the arithmetic runs.
    pub device: Device,
    /// Which blocks run on the Neural Engine.
    pub pipeline: Pipeline,
    /// By which kernels.
    pub ane_kernels: KernelForm,
    /// Where their weights are.
    pub ane_weights: WeightForm,
    /// Layers whose forward pass is one program.
    pub ane_layers: usize,
    /// Convolutions in 8 bits.
    pub ane_int8: bool,
    /// Chip that is simulated.
    pub ane_chip: String,
    /// Arithmetic of the simulator.
    pub ane_numerics: AneNumerics,
    /// When kernels are compared with the simulator.
    pub ane_probe: AneProbe,
    /// Classify over the ids that occur only.
    pub compact_vocab: bool,
    /// Order of the training windows.
    pub data_order: DataOrder,
    /// Share of the tokens that is held out.
    pub val_fraction: f64,
    /// Tokens of the fixed validation windows.
    pub val_tokens: usize,
    /// How windows are cut.
    pub packing: Packing,
    /// When to evaluate.
    pub eval_every: Every,
    /// When to save a checkpoint.
    pub save_every: Every,
    /// Checkpoints that are kept beside the best and the last.
    pub keep: usize,
    /// When to write a sample of text.
    pub sample_every: Every,
    /// Seed of weights, data order and samples.
    pub seed: u64,
    /// Worker threads; all of them when `None`, half of them of a polite run.
    pub threads: Option<usize>,
    /// Give way to others, and wait on battery and in heat.
    pub polite: bool,
    /// Share of the time that it works.
    pub speed: f64,
    /// Where events go beside the run folder.
    pub report_to: Tracking,
    /// Recompute activations in the backward pass: less memory, more time.
    pub recompute: bool,
    /// Factor on both branches of every block; the model's when `None`.
    pub residual_scale: Option<f32>,
    /// Base of the rotations; the model's when `None`.
    pub rope_theta: Option<f32>,
    /// Epsilon of the norms; the model's when `None`.
    pub norm_eps: Option<f32>,
    /// Stop after so many evaluations without an improvement beyond the standard error.
    pub early_stop: Option<usize>,
    /// Instruction set of the kernels.
    pub isa: IsaChoice,
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainConfig {
            model: "auto".into(),
            model_config: None,
            data: "stories".into(),
            tokenizer: None,
            template: None,
            vocab_size: None,
            token_width: TokenWidth::Auto,
            out: None,
            steps: None,
            tokens: None,
            max_time: None,
            seq_len: 256,
            batch_size: 8,
            accumulate: 1,
            learning_rate: 1e-3,
            schedule: Schedule::Cosine,
            warmup: Warmup::Percent(5.0),
            min_lr_ratio: 0.1,
            optimizer: OptimizerKind::Adamw,
            weight_decay: 0.1,
            beta1: 0.9,
            beta2: 0.95,
            clip_norm: 1.0,
            momentum: 0.0,
            method: Method::Backprop,
            mezo_eps: 1e-3,
            objective: ObjectiveKind::Loss,
            zo_directions: 1,
            zo_distribution: ZoDistribution::Rademacher,
            zo_sparsity: 0.75,
            zo_hessian: 1e-6,
            zo_rank: 2,
            zo_interval: 50,
            zo_delta: 2.0,
            zo_angle: 1.35,
            zo_momentum: 0.95,
            ff_corrupt: 0.3,
            lora: false,
            lora_rank: 8,
            lora_alpha: 16.0,
            lora_targets: "all".into(),
            lora_form: LoraForm::Split,
            lora_rslora: false,
            lora_norms: false,
            device: Device::Cpu,
            pipeline: Pipeline::default(),
            ane_kernels: KernelForm::default(),
            ane_weights: WeightForm::default(),
            ane_layers: 1,
            ane_int8: false,
            ane_chip: "m4".into(),
            ane_numerics: AneNumerics::Exact,
            ane_probe: AneProbe::Hardware,
            compact_vocab: true,
            data_order: DataOrder::Shuffled,
            val_fraction: 0.1,
            val_tokens: 32_768,
            packing: Packing::Stream,
            eval_every: Every::Time(Duration::from_secs(30)),
            save_every: Every::Time(Duration::from_secs(120)),
            keep: 2,
            sample_every: Every::Time(Duration::from_secs(60)),
            seed: 42,
            threads: None,
            polite: false,
            speed: 1.0,
            report_to: Tracking::None,
            recompute: false,
            residual_scale: None,
            rope_theta: None,
            norm_eps: None,
            early_stop: None,
            isa: IsaChoice::Auto,
        }
    }
}
