//! Where values come from: one [`Given`] is the text of one setting with its origin; a layer is a list of them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Method, OptimizerKind, SETTINGS, Schedule, Setting, TrainConfig, Warmup, nearest};
use crate::exit::{self, Exit, usage};

/// Who gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Settled by the program while it runs, for this reason.
    Decided(String),
    /// Typed.
    Flag,
    /// This environment variable.
    Variable(String),
    /// This line of a `--config` file.
    File(PathBuf, usize),
    /// The configuration of the run that is continued.
    Run(PathBuf),
    /// The configuration stored in the checkpoint that is trained further.
    Checkpoint(PathBuf),
    /// The preset of this name.
    Preset(String),
    /// Built in; says for what, if not for everything.
    Default(String),
}

impl Origin {
    /// Whether a person asked for the value in this very command.
    pub fn is_explicit(&self) -> bool {
        matches!(self, Origin::Flag | Origin::Variable(_) | Origin::File(..))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Decided(why) => write!(f, "decided: {why}"),
            Origin::Flag => write!(f, "flag"),
            Origin::Variable(name) => write!(f, "environment {name}"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Run(path) => write!(f, "run {}", path.display()),
            Origin::Checkpoint(path) => write!(f, "checkpoint {}", path.display()),
            Origin::Preset(name) => write!(f, "preset {name}"),
            Origin::Default(what) if what.is_empty() => write!(f, "default"),
            Origin::Default(what) => write!(f, "default of {what}"),
        }
    }
}

/// The text of one setting, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Name of the setting.
    pub key: &'static str,
    /// Its value as text.
    pub text: String,
    /// Who gave it.
    pub origin: Origin,
}

impl Given {
    /// Checked against the setting's own range.
    ///
    /// # Errors
    /// The setting's message, after the place that the value stands in.
    pub fn checked(setting: &'static Setting, text: String, origin: Origin) -> Result<Given, String> {
        setting.check(&text).map_err(|why| match &origin {
            Origin::Flag => format!("--{}: {why}", setting.key),
            Origin::Variable(name) => format!("{name}: {why}"),
            _ => format!("{origin}: {}: {why}", setting.key),
        })?;
        Ok(Given { key: setting.key, text, origin })
    }
}

/// Variables that are read elsewhere.
const OTHER_VARIABLES: [&str; 7] = [
    "AUTOANE_SHARED",
    "AUTOANE_CACHE",
    "AUTOANE_CRASH_AT",
    "AUTOANE_SYS",
    "AUTOANE_PYTHON",
    "AUTOANE_UNRECORDED",
    crate::circumstances::MEASURED,
];

/// The settings in `AUTOANE_...` variables, and a warning for each such variable that is not a setting.
///
/// # Errors
/// Usage error for a value out of range.
pub fn from_environment(env: &[(String, String)]) -> anyhow::Result<(Vec<Given>, Vec<String>)> {
    let (mut given, mut warnings) = (Vec::new(), Vec::new());
    for (name, text) in env.iter().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        // cargo hands the build's own variables on to what it runs
        if OTHER_VARIABLES.contains(&name.as_str()) || name.starts_with("AUTOANE_BUILD_") {
            continue;
        }
        if let Some(setting) = SETTINGS.iter().find(|s| s.variable() == *name) {
            given.push(Given::checked(setting, text.clone(), Origin::Variable(name.clone())).map_err(usage)?);
            continue;
        }
        let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        let hint = nearest(name, known.iter().map(String::as_str)).map_or_else(String::new, |n| format!("; did you mean {n}?"));
        warnings.push(format!("the environment variable {name} is not a setting and is ignored{hint}"));
    }
    Ok((given, warnings))
}

/// What a preset says.
pub fn from_preset(preset: &model::Preset) -> Vec<Given> {
    let config = TrainConfig {
        seq_len: preset.seq_len,
        batch_size: preset.batch_size,
        learning_rate: preset.learning_rate,
        ..TrainConfig::default()
    };
    let keys = ["seq-len", "batch-size", "learning-rate"];
    from_config(&config, &keys, Origin::Preset(preset.name.to_owned()))
}

/// What an optimizer needs other than the built-in defaults. A preset's learning rate is that of AdamW, which Muon
/// shares by its scaling of the update; plain gradient descent needs a larger one.
pub fn from_optimizer(kind: super::OptimizerKind) -> Vec<Given> {
    let origin = Origin::Default(kind.name().to_owned());
    let with = |config: &TrainConfig, keys: &[&'static str]| from_config(config, keys, origin.clone());
    match kind {
        super::OptimizerKind::Adamw => Vec::new(),
        super::OptimizerKind::Muon => with(&TrainConfig { momentum: 0.95, ..TrainConfig::default() }, &["momentum"]),
        super::OptimizerKind::Sgd => with(&TrainConfig { learning_rate: 0.1, ..TrainConfig::default() }, &["learning-rate"]),
    }
}

/// What estimates from losses need: plain descent without clipping or decay at a constant rate, as in the paper of MeZO, and
/// rates that are small where many weights are moved at once.
pub fn from_method(config: &TrainConfig) -> Vec<Given> {
    if !config.method.is_zeroth_order() {
        return Vec::new();
    }
    let keys = [
        "optimizer",
        "learning-rate",
        "schedule",
        "warmup",
        "weight-decay",
        "clip-norm",
        "zo-directions",
        "zo-rank",
        "zo-interval",
    ];
    from_config(&zeroth(config.method, config.lora), &keys, Origin::Default(config.method.name().to_owned()))
}

/// The defaults of a method that needs losses alone.
pub fn zeroth(method: Method, lora: bool) -> TrainConfig {
    TrainConfig {
        method,
        optimizer: OptimizerKind::Sgd,
        // what FZOO divides by makes its steps as long as the rate says, over eps
        learning_rate: match (method, lora) {
            (Method::Fzoo, true) => 1e-6,
            (Method::Fzoo, false) => 1e-8,
            // a step has singular values of 1
            (Method::ZoMuon, _) => 1e-3,
            (_, true) => 1e-4,
            (_, false) => 1e-6,
        },
        zo_directions: match method {
            Method::Fzoo => 8,
            Method::Pgap => 10,
            Method::ZoMuon => 4,
            Method::Agzo => 2,
            _ => 1,
        },
        zo_rank: if method == Method::Pgap { 8 } else { 2 },
        zo_interval: if matches!(method, Method::Pgap | Method::ZoMuon) { 100 } else { 50 },
        schedule: Schedule::Constant,
        warmup: Warmup::Steps(0),
        weight_decay: 0.0,
        clip_norm: 0.0,
        ..TrainConfig::default()
    }
}

/// Built-in defaults for a model that already knows something.
pub fn from_pretrained() -> Vec<Given> {
    let config = TrainConfig { learning_rate: 1e-4, batch_size: 4, ..TrainConfig::default() };
    from_config(&config, &["learning-rate", "batch-size"], Origin::Default("a pretrained model".to_owned()))
}

/// Built-in defaults for an adapter: the classifier is frozen, so every id it knows counts; adapters bear larger steps than
/// weights, and nothing pulls them to zero.
pub fn from_adapter() -> Vec<Given> {
    let config = TrainConfig { compact_vocab: false, learning_rate: 1e-3, weight_decay: 0.0, ..TrainConfig::default() };
    from_config(&config, &["compact-vocab", "learning-rate", "weight-decay"], Origin::Default("an adapter".to_owned()))
}

fn from_config(config: &TrainConfig, keys: &[&str], origin: Origin) -> Vec<Given> {
    let chosen = SETTINGS.iter().filter(|s| keys.contains(&s.key));
    chosen.map(|s| Given { key: s.key, text: plain((s.get)(config)), origin: origin.clone() }).collect()
}

/// The text of a shown value.
pub fn plain(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Settings that say which model learns from which tokens.
pub const SUBJECT: [&str; 7] = ["model", "model-config", "data", "tokenizer", "template", "vocab-size", "token-width"];

/// Settings beside [`SUBJECT`] that do not pass from a checkpoint to the next training of its model.
const OF_ONE_RUN: [&str; 10] =
    ["out", "steps", "tokens", "max-time", "threads", "isa", "report-to", "residual-scale", "rope-theta", "norm-eps"];

/// Settings that were right for what the checkpoint was trained by: another method, or an adapter where there was none, has its
/// own. (Else an adapter would decay as the weights did.)
const OF_ONE_METHOD: [&str; 12] = [
    "optimizer",
    "learning-rate",
    "schedule",
    "warmup",
    "min-lr-ratio",
    "weight-decay",
    "beta1",
    "beta2",
    "momentum",
    "clip-norm",
    "compact-vocab",
    "zo-directions",
];

/// The settings stored in a checkpoint, if `model` is one of ours. `asked` is what was asked for, and whether a method and an
/// adapter, or none, were.
///
/// # Errors
/// A stored configuration that cannot be read.
pub fn from_checkpoint(model: &Path, (asked, method, lora): (&TrainConfig, bool, bool)) -> anyhow::Result<Vec<Given>> {
    let stored = stored(model)?;
    let before = config_of(&stored)?;
    let another = method && asked.method != before.method || lora && asked.lora != before.lora;
    let passes = |key: &&str| !(SUBJECT.contains(key) || OF_ONE_RUN.contains(key) || another && OF_ONE_METHOD.contains(key));
    Ok(stored.into_iter().filter(|g| passes(&g.key)).collect())
}

/// The configuration that trained the checkpoint or run `model`, if it is one of ours.
///
/// # Errors
/// A stored configuration that cannot be read.
pub fn trained_with(model: &Path) -> anyhow::Result<Option<TrainConfig>> {
    let stored = stored(model)?;
    let config = config_of(&stored)?;
    Ok((!stored.is_empty()).then_some(config))
}

fn config_of(stored: &[Given]) -> anyhow::Result<TrainConfig> {
    let mut config = TrainConfig::default();
    for given in stored {
        let setting = SETTINGS.iter().find(|s| s.key == given.key);
        if let Some(Err(why)) = setting.map(|s| (s.set)(&mut config, &given.text)) {
            return Err(Exit::new(exit::BAD_DATA, format!("{}: {}: {why}", given.origin, given.key)).into());
        }
    }
    Ok(config)
}

fn stored(model: &Path) -> anyhow::Result<Vec<Given>> {
    let places = [model.join("trainer").join(super::RESOLVED_FILE), model.join(super::RESOLVED_FILE)];
    let Some(path) = places.into_iter().find(|p| p.is_file()) else { return Ok(Vec::new()) };
    super::file::read_stored(&path, |_| Origin::Checkpoint(model.to_path_buf()))
}
