//! The writers of each format, with the tokenizer that goes with the weights.

use std::ops::Range;
use std::path::Path;

use formats::safetensors::Container;
use formats::{Encoding, Fill, Format, FormatError, Model, VocabRows, Written, blzt, gguf, hf, llama2c};
use model::{Layout, TensorId};

use super::card;
use super::facts::{Facts, Training};
use super::tokenizer;
use crate::stop::Stop;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Format.
    pub format: Format,
    /// Encoding of the matrices.
    pub encoding: Encoding,
}

/// What goes with the weights.
pub struct Beside<'a> {
    /// What is known of the model.
    pub facts: &'a Facts,
    /// Its tokenizer.
    pub tokenizer: &'a tokenizer::Source,
    /// A GGUF file keeps a place for what a verification will find.
    pub verify: bool,
}

/// Writes `model` at `path`, with its tokenizer where the format has a place for one, until `stop` says otherwise.
///
/// # Errors
/// 65 for what the format cannot say; 73 and 74.
pub fn write(model: &Model, beside: &Beside, path: &Path, target: Target, stop: &Stop) -> anyhow::Result<Written> {
    let (spec, facts) = (model.spec(), beside.facts);
    let source = |id, rows, out: &mut [f32]| {
        let stopped = |source| FormatError::Io { path: model.path().into(), doing: "reading", source };
        stop.check_io().map_err(stopped)?;
        model.read_rows(id, rows, out)
    };
    let plain =
        |bytes| Written { bytes, folded: spec.residual_scale != 1.0, notes: unsaid(model, beside.tokenizer, target.format) };
    Ok(match target.format {
        Format::Hf => {
            let dtype = target.encoding.dtype().unwrap_or_default();
            let options = hf::WriteOptions { dtype, special: model.special(), rows: None };
            let written = hf::write(path, spec, &source, &options)?;
            beside.tokenizer.write_files(path)?;
            written
        }
        Format::Gguf => {
            let mut extra = card::gguf_keys(facts, model, path, beside.verify);
            if let Some(mut vocabulary) = beside.tokenizer.vocabulary()? {
                vocabulary.pad_to(spec.vocab, beside.tokenizer.path().unwrap_or(model.path()))?;
                vocabulary.to_gguf(&mut extra);
            }
            let options = gguf::WriteOptions { encoding: target.encoding, special: model.special(), rows: None, extra: &extra };
            gguf::write(path, spec, &source, &options)?
        }
        Format::Llama2c => plain(llama2c::write(path, spec, &source, &llama2c::WriteOptions::default())?),
        Format::Blzt => match &facts.training {
            Some(training) if training.has_moments() => plain(checkpoint(model, &source, training, path)?),
            _ => plain(blzt::write(path, spec, &source, &blzt::WriteOptions::default())?),
        },
    })
}

/// What a reader of the format will have to know from elsewhere.
fn unsaid(model: &Model, tokenizer: &tokenizer::Source, format: Format) -> Vec<String> {
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
    let told = "whoever reads it must be told, here with --rope-theta and --norm-eps";
    let tokenizer = match (format, tokenizer.vocabulary()) {
        (Format::Llama2c, Ok(Some(v))) if v.to_llama2c().is_ok() => "the tokenizer is a file beside it",
        _ => "nor the tokenizer, which generate, eval and train take with --tokenizer",
    };
    vec![format!("a {format} does not say the {}: {told}; {tokenizer}", list.join(", "))]
}

/// A checkpoint of a run as BLZT, with the moments of Adam, which are over the ids that training saw and knew the residual
/// scale as such.
fn checkpoint(model: &Model, source: &formats::Source, training: &Training, path: &Path) -> anyhow::Result<u64> {
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
    Ok(blzt::write(path, spec, source, &options)?)
}
