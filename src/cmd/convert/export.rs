//! The writers of each format, with the tokenizer that goes with the weights.

use std::fs;
use std::ops::Range;
use std::path::Path;

use formats::safetensors::Container;
use formats::{Encoding, Fill, Format, FormatError, Model, VocabRows, Written, blzt, gguf, hf, llama2c};
use model::{Layout, TensorId};

use super::card;
use super::facts::{Facts, Training};
use super::place::cannot_write;
use crate::model_file::own_vocabulary;
use crate::out::Out;

/// Files of a tokenizer, copied as they are.
pub const TOKENIZER: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
];

/// What is written.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Format.
    pub format: Format,
    /// Encoding of the matrices.
    pub encoding: Encoding,
}

/// Writes `model` at `path`, with its tokenizer where the format has a place for one. `verify`: a GGUF file keeps a place for
/// what the verification will find.
///
/// # Errors
/// 65 for what the format cannot say; 73 and 74.
pub fn write(model: &Model, facts: &Facts, path: &Path, target: Target, verify: bool) -> anyhow::Result<Written> {
    let spec = model.spec();
    let plain = |bytes| Written { bytes, folded: spec.residual_scale != 1.0, notes: unsaid(model, target.format) };
    Ok(match target.format {
        Format::Hf => {
            let dtype = target.encoding.dtype().unwrap_or_default();
            let options = hf::WriteOptions { dtype, special: model.special(), rows: None };
            let written = hf::write(path, spec, &model.source(), &options)?;
            tokenizer_files(model, path)?;
            written
        }
        Format::Gguf => {
            let mut extra = card::gguf_keys(facts, model, path, verify);
            if let Some(mut vocabulary) = own_vocabulary(model)? {
                vocabulary.pad_to(spec.vocab, model.path())?;
                vocabulary.to_gguf(&mut extra);
            }
            let options = gguf::WriteOptions { encoding: target.encoding, special: model.special(), rows: None, extra: &extra };
            gguf::write(path, spec, &model.source(), &options)?
        }
        Format::Llama2c => plain(llama2c::write(path, spec, &model.source(), &llama2c::WriteOptions::default())?),
        Format::Blzt => match &facts.training {
            Some(training) if training.has_moments() => plain(checkpoint(model, training, path)?),
            _ => plain(blzt::write(path, spec, &model.source(), &blzt::WriteOptions::default())?),
        },
    })
}

/// What a reader of the format will have to know from elsewhere.
fn unsaid(model: &Model, format: Format) -> Vec<String> {
    let spec = model.spec();
    let values = [
        ("rope theta", spec.rope.theta.to_string()),
        ("norm eps", format!("{:e}", spec.norm_eps)),
        ("residual scale", "1, it is inside the weights".to_owned()),
    ];
    let names = values.iter().filter(|(name, _)| format.unsaid().contains(name));
    let list: Vec<String> = names.map(|(name, value)| format!("{name} ({value})")).collect();
    if list.is_empty() {
        return Vec::new();
    }
    let told = "whoever reads it must be told, here with --rope-theta and --norm-eps, and --tokenizer to generate, eval or train";
    vec![format!("a {format} does not say the {}, nor the tokenizer: {told}", list.join(", "))]
}

/// The tokenizer of a Hugging Face folder: its files as they are, or made from what the other format says.
fn tokenizer_files(model: &Model, to: &Path) -> anyhow::Result<()> {
    if model.format() == Format::Hf {
        if model.path().join("tokenizer.json").is_file() {
            // a broken one would be found only by whoever loads the copy
            crate::tokenizer_file::load(model.path())?;
        }
        for name in TOKENIZER.iter().filter(|name| model.path().join(name).is_file()) {
            fs::copy(model.path().join(name), to.join(name)).map_err(|e| cannot_write(&to.join(name), &e))?;
        }
        return Ok(());
    }
    let Some(vocabulary) = own_vocabulary(model)? else { return Ok(()) };
    let files = vocabulary.to_json(model.path())?;
    for (name, bytes) in [("tokenizer.json", files.tokenizer), ("tokenizer_config.json", files.config)] {
        fs::write(to.join(name), bytes).map_err(|e| cannot_write(&to.join(name), &e))?;
    }
    Ok(())
}

/// The `tokenizer.bin` beside a llama2.c file. One that is there and is another stays, unless it may be replaced and lies
/// elsewhere than the input.
///
/// # Errors
/// 73 and 74.
pub fn tokenizer_bin(model: &Model, output: &Path, overwrite: bool, out: Out) -> anyhow::Result<()> {
    let Some(vocabulary) = own_vocabulary(model)? else { return Ok(()) };
    let bytes = match vocabulary.to_llama2c() {
        Ok(bytes) => bytes,
        Err(error) => {
            out.warn(format!("no tokenizer.bin: {error}"));
            return Ok(());
        }
    };
    let path = output.with_file_name("tokenizer.bin");
    let folder = |path: &Path| path.canonicalize().ok().and_then(|p| p.parent().map(Path::to_path_buf));
    let of_input = folder(&path).is_some() && folder(&path) == folder(model.path());
    if path.exists() && (!overwrite || of_input) {
        let same = fs::read(&path).is_ok_and(|there| there == bytes);
        if !same {
            out.warn(format!("{}: is there already and is another tokenizer; it stays as it is", path.display()));
        }
        return Ok(());
    }
    let temporary = path.with_file_name(format!(".tokenizer.bin.tmp-{}", std::process::id()));
    let written = fs::write(&temporary, bytes).and_then(|()| fs::File::open(&temporary)?.sync_all());
    written.and_then(|()| fs::rename(&temporary, &path)).map_err(|e| {
        super::place::remove(&temporary);
        cannot_write(&path, &e)
    })
}

/// A checkpoint of a run as BLZT, with the moments of Adam, which are over the ids that training saw and knew the residual
/// scale as such.
fn checkpoint(model: &Model, training: &Training, path: &Path) -> anyhow::Result<u64> {
    let (state, spec) = (&training.state, model.spec());
    let arrays = Container::open(&training.arrays())?;
    let layout = Layout::of(&spec.with_vocab(training.map.as_ref().map_or(spec.vocab, |m| m.len())));
    let array = |name: &str, id: TensorId, rows: Range<usize>, out: &mut [f32]| {
        let Some(info) = layout.get(id) else {
            let (at, found) = (formats::names::hf(id), "nothing".to_owned());
            return Err(FormatError::Inexpressible { at, found, why: "training did not have it".into() });
        };
        arrays.read_f32_from(name, info.range.start + rows.start * info.shape[1], out)
    };
    let first = |id, rows, out: &mut [f32]| array("exp_avg", id, rows, out);
    let second = |id, rows, out: &mut [f32]| array("exp_avg_sq", id, rows, out);
    let zeros = vec![0.0; spec.dim];
    let fill = Fill::Row(&zeros);
    let rows = training.map.as_ref().map(|m| VocabRows { full_of: &m.full_of, vocab: spec.vocab, fill });
    let (t, residual_scale) = (state.progress.optimizer_t, state.residual_scale);
    let options = blzt::WriteOptions {
        step: state.step,
        total_steps: state.step,
        loss: state.progress.last.as_ref().map_or(0.0, |e| e.loss.value as f32),
        adam: Some(blzt::Adam { t, first: &first, second: &second, rows, residual_scale }),
        ..blzt::WriteOptions::default()
    };
    Ok(blzt::write(path, spec, &model.source(), &options)?)
}
