//! A model on the disk, opened: weights, tokenizer, and what is known of its training.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use data::{Tokenizer, VocabMap};
use formats::tokenizer::Vocabulary;
use formats::{Assumed, Format, gguf};
use model::ModelSpec;
use train::trainer::Evaluation;

use crate::adapter;
use crate::cli::AssumedArgs;
use crate::config::{self, TrainConfig};
use crate::exit;
use crate::out::Out;
use crate::place;
use crate::run::read_state;
use crate::tokenizer_file;

/// A model, or a checkpoint that was verified.
pub struct OpenModel {
    /// Its file or folder.
    pub path: PathBuf,
    /// Shape, special ids, weights.
    pub file: formats::Model,
    /// The tokenizer inside the folder.
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// The ids that training ran over, when they are fewer than the vocabulary.
    pub map: Option<VocabMap>,
    /// How this program trained it, if it did.
    pub trained: Option<Trained>,
}

/// What a checkpoint says of its training.
pub struct Trained {
    /// Every setting.
    pub config: TrainConfig,
    /// The measurement of these very weights, if one was made.
    pub evaluation: Option<Evaluation>,
}

/// Opens the model that `path` means: a file or folder of any format that is read, a checkpoint, or the best checkpoint of a run.
///
/// # Errors
/// 66 when nothing is there, 65 for a bad or damaged model.
pub fn open(path: &Path, out: Out) -> anyhow::Result<OpenModel> {
    open_assuming(path, &Assumed::default(), out)
}

/// As [`open`], with what was said of the model; `path` may also be an adapter.
///
/// # Errors
/// Those of [`open`], of an adapter, and 65 for what the file does say.
pub fn open_said(path: &Path, said: &AssumedArgs, out: Out) -> anyhow::Result<OpenModel> {
    let (path, adapter) = adapter::resolve(path, said.base.as_deref(), out)?;
    let model = open_assuming(&path, &said.given(), out)?;
    // what a checkpoint measured was its own weights, without an adapter
    let trained = model.trained.map(|t| Trained { evaluation: t.evaluation.filter(|_| adapter.is_none()), ..t });
    Ok(OpenModel { file: adapter::merged(model.file, adapter)?, trained, ..model })
}

fn open_assuming(path: &Path, given: &Assumed, out: Out) -> anyhow::Result<OpenModel> {
    let folder = place::model_folder(path, out)?;
    if folder != path {
        out.say(format!("using {}", folder.display()));
    }
    let file = assuming(formats::open(&folder)?, given, out)?;
    let tokenizer = own_tokenizer(&file)?;
    say_tokenizer(&file, tokenizer.is_some(), out);
    let trainer = folder.join("trainer");
    let trained = trainer.join("state.json").is_file().then(|| read_trained(&folder)).transpose()?;
    let map = read_map(&trainer.join("vocab.json"), file.spec())?;
    Ok(OpenModel { path: folder, file, tokenizer, map, trained })
}

fn read_trained(dir: &Path) -> anyhow::Result<Trained> {
    let (state, config) = (read_state(dir)?, config::trained_with(dir)?);
    let config = TrainConfig { seq_len: state.seq_len, ..config.unwrap_or_default() };
    Ok(Trained { config, evaluation: state.progress.last.filter(|e| e.step == state.step) })
}

/// `file` with what it does not say; what was taken instead is said loudly.
///
/// # Errors
/// 65 for what the file does say, or a value that cannot be.
pub fn assuming(file: formats::Model, given: &Assumed, out: Out) -> anyhow::Result<formats::Model> {
    let file = file.assuming(given)?;
    let spec = file.spec();
    let fields = [
        ("rope theta", "--rope-theta", given.rope_theta.is_some(), spec.rope.theta.to_string()),
        ("norm eps", "--norm-eps", given.norm_eps.is_some(), format!("{:e}", spec.norm_eps)),
        ("residual scale", "--residual-scale", given.residual_scale.is_some(), spec.residual_scale.to_string()),
    ];
    let taken: Vec<String> = fields
        .iter()
        .filter(|(name, _, said, _)| !said && file.format().unsaid().contains(name))
        .map(|(name, flag, _, value)| format!("{name} {value} ({flag})"))
        .collect();
    if !taken.is_empty() {
        out.warn(format!("a {} does not say everything; taken: {}", file.format(), taken.join(", ")));
    }
    Ok(file)
}

/// The tokenizer that lies with the weights of `file`, if there is one.
///
/// # Errors
/// Those of reading it.
pub fn own_tokenizer(file: &formats::Model) -> anyhow::Result<Option<Arc<Tokenizer>>> {
    if file.format() == Format::Hf {
        let there = file.path().join("tokenizer.json").is_file();
        return Ok(there.then(|| Tokenizer::load(file.path()).map(Arc::new)).transpose()?);
    }
    let Some(vocabulary) = own_vocabulary(file)? else { return Ok(None) };
    Ok(Some(Arc::new(tokenizer_file::of(&vocabulary, file.path())?)))
}

/// The same in the form of GGUF and llama2.c files.
///
/// # Errors
/// Those of reading it; also for a tokenizer that this form cannot say.
pub fn own_vocabulary(file: &formats::Model) -> anyhow::Result<Option<Vocabulary>> {
    let path = file.path();
    Ok(match file.format() {
        Format::Hf => Vocabulary::from_folder(path)?,
        Format::Gguf => Vocabulary::from_gguf(gguf::Container::open(path)?.metadata())?,
        // one of another model may lie beside it, as in a folder of several
        Format::Llama2c => tokenizer_file::beside_llama2c(path)?.filter(|v| v.tokens.len() == file.spec().vocab),
        Format::Blzt => None,
    })
}

/// The file or folder that has the tokenizer of `file`, if it has one.
pub fn beside_or_inside(file: &formats::Model) -> PathBuf {
    match file.format() {
        Format::Llama2c => file.path().with_file_name("tokenizer.bin"),
        Format::Hf | Format::Gguf | Format::Blzt => file.path().into(),
    }
}

/// Says which file beside a llama2.c model its tokenizer was taken from, or why that one was not.
pub fn say_tokenizer(file: &formats::Model, found: bool, out: Out) {
    let path = beside_or_inside(file);
    if file.format() != Format::Llama2c || !path.exists() {
        return;
    }
    if found {
        out.say(format!("the tokenizer is {}", path.display()));
    } else {
        let vocab = file.spec().vocab;
        out.warn(format!("{}: has another number of tokens than the {vocab} of the model, and is not used", path.display()));
    }
}

/// The ids that training ran over, from `path`, if it is there.
///
/// # Errors
/// 65 for a map that does not fit the model.
pub fn read_map(path: &Path, spec: &ModelSpec) -> anyhow::Result<Option<VocabMap>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let map = VocabMap::from_json(&text, path)?;
    if map.full_vocab > spec.vocab {
        let expected = format!("at most the {} ids of the model", spec.vocab);
        return Err(data::DataError::bad(path, data::Place::File, expected, map.full_vocab.to_string()).into());
    }
    Ok(Some(map))
}

impl OpenModel {
    /// The shape, over the full vocabulary.
    pub fn spec(&self) -> &ModelSpec {
        self.file.spec()
    }

    /// All weights over the full vocabulary.
    ///
    /// # Errors
    /// Those of reading.
    pub fn params(&self) -> anyhow::Result<Vec<f32>> {
        Ok(self.file.load(self.file.layout())?)
    }

    /// The tokenizer that was asked for, else the model's own, if there is one.
    ///
    /// # Errors
    /// Those of reading the one that was asked for.
    pub fn tokenizer_or(&self, given: Option<&Path>) -> anyhow::Result<Option<Arc<Tokenizer>>> {
        match given {
            Some(path) => Ok(Some(Arc::new(tokenizer_file::load(path)?))),
            None => Ok(self.tokenizer.clone()),
        }
    }

    /// As [`OpenModel::tokenizer_or`], for a verb that cannot do without.
    ///
    /// # Errors
    /// A usage error when there is none.
    pub fn need_tokenizer(&self, given: Option<&Path>) -> anyhow::Result<Arc<Tokenizer>> {
        self.tokenizer_or(given)?
            .ok_or_else(|| exit::usage(format!("{} has no tokenizer; pass one with --tokenizer PATH", self.path.display())))
    }
}
