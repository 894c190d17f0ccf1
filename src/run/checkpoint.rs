//! What a checkpoint of a run holds, written and read back.
//!
//! At its root it is a Hugging Face folder over the full vocabulary; below `trainer/` lies what only a resume needs.

use std::fs;
use std::path::Path;

use anyhow::Context;
use formats::adapter::Factors;
use formats::hf::{self, WriteOptions};
use formats::safetensors::{Container, write_f32};
use formats::{Dtype, Fill, VocabRows};
use kernels::Cpu;
use model::{Half, Layout, Part, TensorId};
use serde::{Deserialize, Serialize};
use train::trainer::{Progress, Restore, Snapshot};

use super::silence;
use crate::config::RESOLVED_FILE;
use crate::exit::{self, Exit};
use crate::wire::{Adapter, Wired};

/// The adapter in `trainer/optimizer.safetensors`, as it lies in training.
const ADAPTER: &str = "adapter";

/// The name of an array of the estimator there.
fn of_estimator(name: &str) -> String {
    format!("estimator.{name}")
}

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
    /// SHA-256 of the frozen weights of an adapter's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_sha256: Option<String>,
    /// Everything else.
    pub progress: Progress,
}

/// What is written beside the weights; the same for every checkpoint of a run.
pub struct Files<'a> {
    /// Model and data.
    pub wired: &'a Wired,
    /// Threads, for the rows of unseen ids.
    pub cpu: &'a Cpu,
    /// Layout of the weights of the model in training.
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
        // what peft would read has no place for gains: without them it would be another model
        if let Some(adapter) = self.wired.adapter.as_ref().filter(|a| !a.spec.norms) {
            self.write_adapter(&dir.join("adapter"), adapter, snapshot.params)?;
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
            base_sha256: self.wired.adapter.as_ref().map(|a| a.base_sha256.clone()),
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
        let source: Box<formats::Source<'_>> = match &wired.adapter {
            Some(adapter) => Box::new(adapter.merged(self.cpu, &self.layout, params)),
            None => Box::new(formats::flat(params, &self.layout)),
        };
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

    /// The adapter as peft reads it.
    fn write_adapter(&self, dir: &Path, adapter: &Adapter, params: &[f32]) -> anyhow::Result<()> {
        let own = adapter.plan.layout();
        let values = |id| params[own.range(id)].to_vec();
        let factors = |t: &model::TensorInfo| match t.id {
            TensorId::Adapter(l, part, Half::A) => {
                let (a, b) = (values(t.id), values(TensorId::Adapter(l, part, Half::B)));
                let scale = adapter.spec.scale() * self.fold(part);
                let lengths = own.get(TensorId::Adapter(l, part, Half::M));
                let magnitude = lengths.map(|t| values(t.id).iter().map(|m| m * self.fold(part)).collect());
                Some((TensorId::Layer(l, part), Factors { rank: adapter.spec.rank, a, b, scale, magnitude }))
            }
            _ => None,
        };
        let written = formats::adapter::Adapter {
            path: dir.to_owned(),
            kind: formats::adapter::Kind::Peft,
            base: self.wired.base.as_ref().map(|b| b.path().to_string_lossy().into_owned()),
            targets: own.tensors().iter().filter_map(factors).collect(),
            copies: std::collections::BTreeMap::new(),
        };
        formats::adapter::write_peft(dir, &written)?;
        Ok(())
    }

    /// Factor on what `part` writes in exports that cannot say a residual scale.
    fn fold(&self, part: Part) -> f32 {
        if matches!(part, Part::O | Part::Down) { self.wired.spec.residual_scale } else { 1.0 }
    }

    /// Optimizer arrays, the adapter, and the weights that the export changes.
    fn write_arrays(&self, path: &Path, snapshot: &Snapshot<'_>) -> anyhow::Result<()> {
        let folded = self.folded();
        write_f32(path, |put| {
            for (name, id) in &folded {
                put(name, &snapshot.params[self.layout.range(*id)]);
            }
            if self.wired.adapter.is_some() {
                put(ADAPTER, snapshot.params);
            }
            snapshot.optimizer.visit_state(|name, values| put(name, values));
            for (name, values) in &snapshot.estimator {
                put(&of_estimator(name), values);
            }
        })?;
        Ok(())
    }

    /// Weights that a residual scale is folded into on export, so that the file at the root does not have them bit for bit.
    fn folded(&self) -> Vec<(String, TensorId)> {
        if self.wired.spec.residual_scale == 1.0 || self.wired.adapter.is_some() {
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
        let base = self.wired.adapter.as_ref().map(|a| &a.base_sha256);
        if base.zip(state.base_sha256.as_ref()).is_some_and(|(now, then)| now != then) {
            let path = self.wired.base.as_ref().map_or_else(String::new, |b| b.path().display().to_string());
            let why = "its weights are not those that this adapter was trained on: bring them back, or begin a new run";
            return Err(Exit::new(exit::BAD_DATA, format!("{path}: {why}")).into());
        }
        let path = dir.join("trainer/optimizer.safetensors");
        let arrays = Container::open(&path)?;
        if self.wired.adapter.is_some() {
            arrays.read_f32(ADAPTER, into.params)?;
        } else {
            self.read_weights(dir, &arrays, into.params)?;
        }
        into.optimizer.load_state(state.progress.optimizer_t, |name, values| arrays.read_f32(name, values))?;
        if let Some(estimator) = into.estimator {
            let shapes: Vec<_> = estimator.state().iter().map(|(name, values)| (of_estimator(name), values.len())).collect();
            let read = |(name, len): &(String, usize)| {
                let mut values = vec![0.0; *len];
                arrays.read_f32(name, &mut values).map(|_| values)
            };
            estimator.load(&shapes.iter().map(read).collect::<Result<Vec<_>, _>>()?);
        }
        *into.progress = state.progress;
        Ok(())
    }

    fn read_weights(&self, dir: &Path, arrays: &Container, into: &mut [f32]) -> anyhow::Result<()> {
        let saved = hf::open(dir)?;
        let weights = if self.is_whole() {
            saved.load(&self.layout)?
        } else {
            saved.load_rows(&self.layout, &self.wired.data.vocab().full_of)?
        };
        into.copy_from_slice(&weights);
        for (name, id) in self.folded() {
            arrays.read_f32(&name, &mut into[self.layout.range(id)])?;
        }
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
