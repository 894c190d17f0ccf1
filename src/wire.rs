//! Configuration -> trainer: which data, which model, and the parts joined.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use data::{Dataset, DatasetOptions, Loader, LoaderOptions, VocabMap};
use engine::{DecodeWeights, EngineError, Options, Shape};
use formats::{Assumed, SpecialIds, hf};
use kernels::{Cpu, Isa};
use model::{Layout, ModelSpec};
use train::budget::Limits;
use train::trainer::Parts;

use crate::config::{self, DataOrder, IsaChoice, Method, ModelChoice, Packing, Resolved, TrainConfig};
use crate::corpus::{self, Tok};
use crate::exit;
use crate::model_file::{self, own_tokenizer};
use crate::out::Out;
use crate::tokenizer_file;

mod adapter;
mod estimator;
mod initial;
mod memory;
mod place;
mod update;

pub use adapter::Adapter;
pub use estimator::of as estimator;
pub use initial::initial_params;
pub use memory::{check_base, check_memory, planned_bytes};
pub use place::engine;
pub use update::{optimizer, schedule};

/// Ids of the tokenizer that is trained on text when none is given.
const PRESET_VOCAB: usize = config::TRAINED_VOCAB;

/// The model and the data of a run.
pub struct Wired {
    /// What the user calls the model.
    pub name: String,
    /// The model over the full vocabulary: what is exported.
    pub full: ModelSpec,
    /// The model over the ids that training sees.
    pub spec: ModelSpec,
    /// The released model that training starts from.
    pub base: Option<formats::Model>,
    /// Tokens and vocabulary map.
    pub data: Arc<Dataset>,
    /// Special ids of exports, in the full vocabulary.
    pub special: SpecialIds,
    /// What is trained instead of the weights.
    pub adapter: Option<Adapter>,
}

impl Wired {
    /// Order of the weights that are trained.
    pub fn trained(&self) -> Layout {
        self.adapter.as_ref().map_or_else(|| Layout::of(&self.spec), |a| a.plan.layout().clone())
    }

    /// The weights of the model for decoding: those that are trained, or those of base and adapter together.
    ///
    /// # Errors
    /// When `params` are not the trained weights.
    pub fn decode_weights<'w>(&'w self, cpu: &Cpu, params: &'w [f32]) -> Result<DecodeWeights<'w>, EngineError> {
        match &self.adapter {
            Some(adapter) => adapter.decode_weights(cpu, &self.spec, params),
            None => DecodeWeights::borrowed(&self.spec, params),
        }
    }
}

/// Opens the data and settles the model of a run. `map` is that of the run that is continued.
///
/// # Errors
/// Those of the files involved, and usage errors where they do not fit each other.
pub fn open(resolved: &mut Resolved, cpu: &Cpu, map: Option<VocabMap>, out: Out) -> anyhow::Result<Wired> {
    let choice = ModelChoice::of_config(&resolved.config)?;
    let base = match &choice {
        ModelChoice::Path(path) => Some(open_base(path, &resolved.config, out)?),
        _ => None,
    };
    let data = Arc::new(open_data(&resolved.config, &choice, base.as_ref(), map, cpu, out)?);
    for note in data.notes() {
        out.say(note);
    }
    settle_packing(resolved, &data, out);
    let choice = match choice {
        ModelChoice::Auto => ModelChoice::Preset(Box::new(crate::auto::choose(resolved, cpu, &data, out)?)),
        other => other,
    };
    let shape = match &choice {
        ModelChoice::Preset(preset) => preset.spec.clone(),
        ModelChoice::Shape(path) => hf::config::read(path)?.spec,
        ModelChoice::Path(_) | ModelChoice::Auto => base.as_ref().map(|b| b.spec().clone()).context("no model")?,
    };
    let full = ModelSpec {
        residual_scale: resolved.config.residual_scale.unwrap_or(shape.residual_scale),
        rope: model::Rope { theta: resolved.config.rope_theta.map_or(shape.rope.theta, f64::from), ..shape.rope },
        norm_eps: resolved.config.norm_eps.unwrap_or(shape.norm_eps),
        vocab: full_vocab(base.as_ref(), &shape, &data)?,
        ..shape
    };
    full.validate()?;
    let full = fitted(full, resolved.config.seq_len, base.is_some(), out);
    let name = match &choice {
        ModelChoice::Preset(preset) => preset.name.to_owned(),
        ModelChoice::Shape(path) | ModelChoice::Path(path) => stem(path),
        ModelChoice::Auto => "auto".to_owned(),
    };
    settle_val_tokens(resolved, &full.with_vocab(data.vocab().len()))?;
    // data that no window fits into ends here, before anything is built for it
    loader(&resolved.config, &data)?;
    let spec = full.with_vocab(data.vocab().len());
    let special = special_ids(base.as_ref(), &data);
    let mut wired = Wired { special, name, full, spec, base, data, adapter: None };
    if resolved.config.lora {
        let Some(base) = &wired.base else {
            let why =
                "--lora adapts a model that is there: name a folder, GGUF or checkpoint; a preset begins with random weights";
            return Err(exit::usage(why));
        };
        adapter::check_rank(&resolved.config, wired.spec.dim)?;
        let weights = initial::frozen_base(base, &wired, &resolved.config, out)?;
        wired.adapter = Some(Adapter::new(&resolved.config, &wired.spec, weights, cpu));
    }
    Ok(wired)
}

/// The model with the positions that windows of `seq` tokens have; a released one says itself what it was made for.
fn fitted(full: ModelSpec, seq: usize, released: bool, out: Out) -> ModelSpec {
    if seq > full.context && released {
        let made = full.context;
        out.warn(format!("windows of {seq} tokens are longer than the {made} positions that the model was made for"));
        return full;
    }
    ModelSpec { context: full.context.max(seq), ..full }
}

/// The model at `path`, with what its file does not say.
fn open_base(path: &Path, config: &TrainConfig, out: Out) -> anyhow::Result<formats::Model> {
    if formats::adapter::is_one(path) {
        let merge = format!("autoane convert {} MERGED --base BASE", path.display());
        return Err(exit::usage(format!("{} is an adapter; merge it into its base first: {merge}", path.display())));
    }
    let file = formats::open(&crate::place::model_folder(path, out)?)?;
    // any model can be given another residual scale; its base and epsilon are facts
    let scale = config.residual_scale.filter(|_| file.format().unsaid().contains(&"residual scale"));
    let given = Assumed { rope_theta: config.rope_theta.map(f64::from), norm_eps: config.norm_eps, residual_scale: scale };
    model_file::assuming(file, &given, out)
}

/// FLOPs of an evaluation by default: some seconds on two cores.
const EVAL_FLOPS: f64 = 1.3e12;

/// A large model is measured on fewer tokens, unless a number is asked for: a function of the model alone, so that every
/// seed and every machine measures the same windows.
fn settle_val_tokens(resolved: &mut Resolved, spec: &ModelSpec) -> anyhow::Result<()> {
    let asked = !matches!(resolved.origin("val-tokens"), Some(config::Origin::Default(_)));
    let (seq, most) = (resolved.config.seq_len, resolved.config.val_tokens);
    let affordable = EVAL_FLOPS / model::flops_per_token(spec, seq).forward;
    if asked || affordable >= most as f64 {
        return Ok(());
    }
    let tokens = ((affordable as usize) / seq).max(8) * seq;
    resolved.decide("val-tokens", &tokens.to_string(), "what this model is measured on in seconds")
}

/// Prompts with completions do not see each other, unless something else was asked for or the rest of the run cannot do it.
fn settle_packing(resolved: &mut Resolved, data: &Dataset, out: Out) {
    let asked = resolved.is_typed("packing") || resolved.resume.is_some();
    if asked || data.mask().is_none() || resolved.config.packing == Packing::Documents {
        return;
    }
    let mut apart = resolved.clone();
    match apart.decide("packing", Packing::Documents.name(), "what the data holds are examples") {
        Ok(()) => *resolved = apart,
        Err(why) => out.say(format!("examples share windows and see each other (--packing stream): {why}")),
    }
}

/// Rows of the exported embedding: those of the released model, or what the data's tokenizer has.
fn full_vocab(base: Option<&formats::Model>, shape: &ModelSpec, data: &Dataset) -> anyhow::Result<usize> {
    let of_data = data.vocab().full_vocab;
    match base {
        Some(_) if of_data > shape.vocab => {
            let why = format!("the tokenizer of the data has {of_data} ids, the model has rows for {}", shape.vocab);
            Err(exit::usage(format!("{why}; prepare the data with the model's own tokenizer")))
        }
        Some(_) => Ok(shape.vocab),
        None => Ok(of_data),
    }
}

fn special_ids(base: Option<&formats::Model>, data: &Dataset) -> SpecialIds {
    match base {
        Some(base) => base.special().clone(),
        None => SpecialIds { bos: data.eot(), eos: data.eot().into_iter().collect(), pad: None },
    }
}

fn stem(path: &Path) -> String {
    let path = if path.ends_with("config.json") { path.parent().unwrap_or(path) } else { path };
    path.file_stem().map_or_else(|| "model".to_owned(), |s| s.to_string_lossy().into_owned())
}

fn open_data(
    config: &TrainConfig,
    choice: &ModelChoice,
    base: Option<&formats::Model>,
    map: Option<VocabMap>,
    cpu: &Cpu,
    out: Out,
) -> anyhow::Result<Dataset> {
    let given = match (&config.tokenizer, base) {
        (Some(path), _) => Some(Arc::new(tokenizer_file::load(path)?)),
        (None, Some(base)) => own_tokenizer(base)?,
        (None, None) => None,
    };
    if base.is_some() && given.is_none() && corpus::is_text(&config.data) {
        let why = format!("{} has no tokenizer, and {} is text", config.model, config.data);
        return Err(exit::usage(format!("{why}; name the model's tokenizer with --tokenizer")));
    }
    let tok = match (&given, base) {
        (Some(tokenizer), _) => Some(Tok::Given(tokenizer.clone())),
        (None, Some(_)) => None,
        (None, None) => Some(Tok::Train(config.vocab_size.unwrap_or(PRESET_VOCAB))),
    };
    let corpus = corpus::locate(&config.data, tok, config.template.as_deref(), cpu.pool().threads(), out)?;
    let raw = corpus.tokenizer.is_none();
    let declared = match choice {
        _ if !raw => None,
        ModelChoice::Path(_) => base.map(|b| b.spec().vocab),
        _ if config.vocab_size.is_some() => config.vocab_size,
        ModelChoice::Preset(preset) => Some(preset.spec.vocab),
        ModelChoice::Shape(path) => Some(hf::config::read(path)?.spec.vocab),
        ModelChoice::Auto => None,
    };
    // a released model has rows beyond its tokenizer's ids, and a raw file only what is declared
    let declared = base.map(|b| b.spec().vocab).filter(|_| !raw).or(declared);
    let vocab = declared.or(corpus.tokenizer.as_ref().map(|t| t.vocab_size()));
    let raw_file = corpus.path.is_file();
    let width = raw_file.then(|| crate::place::token_width(&corpus.path, config.token_width, vocab)).transpose()?;
    let tokenizer = corpus.tokenizer.clone();
    corpus.open(DatasetOptions { width, vocab_size: declared, tokenizer, compact: config.compact_vocab, map })
}

/// The processor as the configuration wants it.
pub fn cpu(config: &TrainConfig) -> anyhow::Result<Cpu> {
    let isa = match config.isa {
        IsaChoice::Auto => Isa::best(),
        named => Isa::detect(Some(named.name())).map_err(|e| exit::usage(e.to_string()))?,
    };
    if !isa.is_available() {
        let best = Isa::best().name();
        return Err(exit::usage(format!("this processor has no {}; the best it has is {best}", isa.name())));
    }
    let all = meter::logical_cpus();
    let threads = if config.polite { (all / 2).max(1) } else { all };
    Ok(Cpu::with_isa(config.threads.unwrap_or(threads), isa))
}

/// The loader of a run.
///
/// # Errors
/// When the data is too short for a window.
pub fn loader(config: &TrainConfig, data: &Arc<Dataset>) -> anyhow::Result<Loader> {
    let options = LoaderOptions {
        seq_len: config.seq_len,
        order: match config.data_order {
            DataOrder::Sequential => data::Order::Sequential,
            DataOrder::Shuffled => data::Order::Shuffled,
        },
        packing: match config.packing {
            Packing::Stream => data::Packing::Stream,
            Packing::Documents => data::Packing::Documents,
        },
        val_fraction: config.val_fraction,
        max_val_windows: Some(config.val_tokens.div_ceil(config.seq_len)),
        seed: config.seed,
    };
    Ok(Loader::new(data.clone(), options)?)
}

/// Shape and options of the engine of a run.
pub fn engine_shape(config: &TrainConfig) -> (Shape, Options) {
    let options = match config.method {
        Method::Backprop => Options { gradient: true, recompute: config.recompute },
        _ => Options::INFERENCE,
    };
    (Shape { rows: config.batch_size, seq: config.seq_len }, options)
}

/// Everything joined.
///
/// # Errors
/// Those of the data and of the base's files.
pub fn parts<'a>(config: &TrainConfig, wired: &Wired, cpu: &'a Cpu, out: Out) -> anyhow::Result<Parts<'a>> {
    let layout = wired.trained();
    let loader = loader(config, &wired.data)?;
    Ok(Parts {
        cpu,
        engine: place::engine(config, wired, cpu)?,
        loader,
        source: estimator::source(config, &wired.spec, &layout, cpu),
        objective: match config.objective {
            config::ObjectiveKind::Loss => engine::Objective::Loss,
            config::ObjectiveKind::Accuracy => engine::Objective::Accuracy,
            config::ObjectiveKind::ExactMatch => engine::Objective::ExactMatch,
        },
        optimizer: initial::optimizer_of(config, wired, &layout, out)?,
        schedule: schedule(config),
        limits: Limits { steps: config.steps, tokens: config.tokens, time: config.max_time },
        params: initial_params(wired, &layout, config.seed, cpu)?,
        batch_size: config.batch_size,
        accumulate: config.accumulate,
        clip_norm: f64::from(config.clip_norm),
        early_stop: config.early_stop,
        eval_every: config.eval_every,
        save_every: config.save_every,
        sample_every: config.sample_every,
    })
}
