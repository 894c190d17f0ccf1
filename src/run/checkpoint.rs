//! What a checkpoint of a run holds, written and read back.
//!
//! At its root it is a Hugging Face folder over the full vocabulary; below `trainer/` lies what only a resume needs.

use std::fs;
use std::path::Path;

use anyhow::Context;
use formats::hf::{self, WriteOptions};
use formats::safetensors::{Container, write_f32};
use formats::{Dtype, Fill, VocabRows};
use kernels::Cpu;
use model::{Layout, Part, TensorId};
use serde::{Deserialize, Serialize};
use train::trainer::{Progress, Restore, Snapshot};

use super::silence;
use crate::config::RESOLVED_FILE;
use crate::exit::{self, Exit};
use crate::wire::Wired;

/// Version of `trainer/state.json`.
const FORMAT: u32 = 1;

/// `trainer/state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedState {
    /// Version of this file.
    pub format: u32,
    /// Optimizer step.
    pub step: u64,
    /// Tokens a window.
    pub seq_len: usize,
    /// Residual scale of training; the weights at the root have it folded in.
    pub residual_scale: f32,
    /// Nats a token that ids which training never saw add to the loss of the exported model, as far as was tried.
    #[serde(default)]
    pub unseen_ids_cost: Option<f64>,
    /// Everything else.
    pub progress: Progress,
}

/// What is written beside the weights; the same for every checkpoint of a run.
pub struct Files<'a> {
    /// Model and data.
    pub wired: &'a Wired,
    /// Threads, for the rows of unseen ids.
    pub cpu: &'a Cpu,
    /// Layout of the weights in training.
    pub layout: Layout,
    /// `config.resolved.toml`.
    pub config: String,
    /// Tokens a window.
    pub seq_len: usize,
    /// Windows of text, in training ids.
    pub probe: Vec<Vec<u32>>,
}

impl Files<'_> {
    /// Writes a checkpoint into `dir`.
    ///
    /// # Errors
    /// 73 and 74 with the path.
    pub fn write(&self, dir: &Path, snapshot: &Snapshot<'_>) -> anyhow::Result<()> {
        let cost = self.write_model(dir, snapshot.params)?;
        if let Some(tokenizer) = self.wired.data.tokenizer() {
            tokenizer.save(dir)?;
        }
        let trainer = dir.join("trainer");
        fs::create_dir_all(&trainer).map_err(|e| Exit::new(exit::CANNOT_WRITE, format!("{}: {e}", trainer.display())))?;
        self.write_arrays(&trainer.join("optimizer.safetensors"), snapshot)?;
        let state = SavedState {
            format: FORMAT,
            step: snapshot.progress.spent.steps,
            seq_len: self.seq_len,
            residual_scale: self.wired.spec.residual_scale,
            unseen_ids_cost: cost,
            progress: snapshot.progress.clone(),
        };
        put(&trainer.join("state.json"), &format!("{}\n", serde_json::to_string_pretty(&state)?))?;
        put(&trainer.join(RESOLVED_FILE), &self.config)?;
        if !self.is_whole() {
            put(&trainer.join("vocab.json"), &self.wired.data.vocab().to_json())?;
        }
        Ok(())
    }

    /// Bytes that a checkpoint takes on the disk, nearly.
    pub fn bytes(&self, optimizer: usize) -> usize {
        4 * Layout::of(&self.wired.full).len() + optimizer + (1 << 20)
    }

    /// Whether training runs over every id of the exported model.
    fn is_whole(&self) -> bool {
        self.wired.spec.vocab == self.wired.full.vocab
    }

    fn write_model(&self, dir: &Path, params: &[f32]) -> anyhow::Result<Option<f64>> {
        let (wired, map) = (self.wired, self.wired.data.vocab());
        let source = formats::flat(params, &self.layout);
        let options = |rows| WriteOptions { dtype: Dtype::F32, special: &wired.special, rows };
        if self.is_whole() {
            hf::write(dir, &wired.full, &source, &options(None))?;
            return Ok(None);
        }
        let (row, cost) = match &wired.base {
            Some(_) => (Vec::new(), None),
            None => {
                let unseen = wired.full.vocab - map.len();
                let silent = silence::row(self.cpu, &wired.spec, params, &self.probe, &map.counts, unseen)?;
                (silent.row, Some(silent.cost))
            }
        };
        let fill = wired.base.as_ref().map_or(Fill::Row(&row), Fill::Base);
        let rows = VocabRows { full_of: &map.full_of, vocab: wired.full.vocab, fill };
        hf::write(dir, &wired.full, &source, &options(Some(rows)))?;
        Ok(cost)
    }

    /// Optimizer arrays, and the weights that the export changes.
    fn write_arrays(&self, path: &Path, snapshot: &Snapshot<'_>) -> anyhow::Result<()> {
        let folded = self.folded();
        write_f32(path, |put| {
            for (name, id) in &folded {
                put(name, &snapshot.params[self.layout.range(*id)]);
            }
            snapshot.optimizer.visit_state(|name, values| put(name, values));
        })?;
        Ok(())
    }

    /// Weights that a residual scale is folded into on export, so that the file at the root does not have them bit for bit.
    fn folded(&self) -> Vec<(String, TensorId)> {
        if self.wired.spec.residual_scale == 1.0 {
            return Vec::new();
        }
        let changed = |id: &TensorId| matches!(id, TensorId::Layer(_, Part::O | Part::OBias | Part::Down));
        let ids = self.layout.tensors().iter().map(|t| t.id).filter(changed);
        ids.map(|id| (format!("weights.{}", formats::names::hf(id)), id)).collect()
    }

    /// Fills a trainer's state from the checkpoint in `dir`.
    ///
    /// # Errors
    /// 65 and 66 with the file.
    pub fn read(&self, dir: &Path, into: Restore<'_>) -> anyhow::Result<()> {
        let state = read_state(dir)?;
        let saved = hf::open(dir)?;
        let weights = if self.is_whole() {
            saved.load(&self.layout)?
        } else {
            saved.load_rows(&self.layout, &self.wired.data.vocab().full_of)?
        };
        into.params.copy_from_slice(&weights);
        drop(weights);
        let path = dir.join("trainer/optimizer.safetensors");
        let arrays = Container::open(&path)?;
        for (name, id) in self.folded() {
            arrays.read_f32(&name, &mut into.params[self.layout.range(id)])?;
        }
        into.optimizer.load_state(state.progress.optimizer_t, |name, values| arrays.read_f32(name, values))?;
        *into.progress = state.progress;
        Ok(())
    }
}

/// `trainer/state.json` of the checkpoint in `dir`.
///
/// # Errors
/// 66 when it is not there, 65 when it cannot be read.
pub fn read_state(dir: &Path) -> anyhow::Result<SavedState> {
    let path = dir.join("trainer/state.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let bad =
        |found: String| Exit::new(exit::BAD_DATA, format!("{}: expected the state of a trainer, found {found}", path.display()));
    let state: SavedState =
        serde_json::from_str(&text).map_err(|e| bad(format!("{:.300}", e.to_string().escape_debug().to_string())))?;
    if state.format != FORMAT {
        return Err(bad(format!("version {}", state.format)).into());
    }
    Ok(state)
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).map_err(|e| Exit::new(exit::code_of_io(&e), format!("{}: cannot write: {e}", path.display())).into())
}
