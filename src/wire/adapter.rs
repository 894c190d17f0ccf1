//! Training an adapter: what is adapted, the frozen base, and the model that the two make.

use engine::{AdapterPlan, BaseWeights, DecodeWeights, EngineError};
use formats::FormatError;
use kernels::Cpu;
use kernels::stored::Numbers;
use model::{AdapterForm, AdapterSpec, AdapterTarget, Layout, ModelSpec, TensorId};

use sha2::{Digest, Sha256};

use crate::config::{LoraForm, TrainConfig};
use crate::exit;

/// An adapter of a run and its base.
pub struct Adapter {
    /// What is adapted, and how.
    pub spec: AdapterSpec,
    /// Where its weights lie.
    pub plan: AdapterPlan,
    /// The weights of the base, over the ids that training sees.
    pub base: BaseWeights,
    /// SHA-256 of them: a run goes on with the weights that it began with, or not at all.
    pub base_sha256: String,
}

impl Adapter {
    /// The adapter that the configuration asks for, on a model of `spec` with the weights `base`.
    pub fn new(config: &TrainConfig, spec: &ModelSpec, base: BaseWeights, cpu: &Cpu) -> Adapter {
        let adapter = adapter_spec(config);
        let plan = AdapterPlan::new(spec, &adapter, 0);
        let base_sha256 = digest(&base, &Layout::of(spec), cpu);
        Adapter { spec: adapter, plan, base, base_sha256 }
    }

    /// The weights of base and adapter together, as a writer of files asks for them; nothing is held but what is asked for.
    pub fn merged<'a>(
        &'a self,
        cpu: &'a Cpu,
        layout: &'a Layout,
        values: &'a [f32],
    ) -> impl Fn(TensorId, std::ops::Range<usize>, &mut [f32]) -> Result<(), FormatError> + 'a {
        move |id, rows, out| {
            let Some(t) = layout.get(id).filter(|t| rows.end <= t.shape[0]) else {
                return formats::flat(&[], layout)(id, rows, out);
            };
            self.base.rows(cpu, t, rows.clone(), out);
            self.plan.merge(t, values, rows, out);
            Ok(())
        }
    }

    /// The same for decoding: the base as it lies, with the adapter beside it.
    ///
    /// # Errors
    /// None that a valid model has.
    pub fn decode_weights<'a>(
        &'a self,
        cpu: &Cpu,
        spec: &ModelSpec,
        values: &'a [f32],
    ) -> Result<DecodeWeights<'a>, EngineError> {
        self.plan.renew(cpu, self.base.as_base(), values);
        let own = self.plan.layout();
        let weights = DecodeWeights::read(spec, |t| {
            let trained = own.get(t.id).map(|own| Numbers::F32(values[own.range.clone()].into()));
            Ok(trained.unwrap_or_else(|| self.base.numbers(t)))
        });
        Ok(weights?.adapted(&self.plan, values))
    }
}

/// Of the weights in f32, in whatever type they are held.
fn digest(base: &BaseWeights, layout: &Layout, cpu: &Cpu) -> String {
    /// Rows at a time.
    const ROWS: usize = 64;
    let mut hash = Sha256::new();
    let (mut floats, mut bytes) = (Vec::new(), Vec::new());
    for t in layout.tensors() {
        let [rows, cols] = t.shape;
        for first in (0..rows).step_by(ROWS) {
            let end = rows.min(first + ROWS);
            floats.resize((end - first) * cols, 0.0);
            base.rows(cpu, t, first..end, &mut floats);
            bytes.clear();
            floats.iter().for_each(|w: &f32| bytes.extend(w.to_le_bytes()));
            hash.update(&bytes);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A factor of more columns than any matrix of the model has rows says nothing that one of fewer does not.
///
/// # Errors
/// A usage error where the rank is beyond the width `dim` of the model, which every matrix has as one of its sides.
pub fn check_rank(config: &TrainConfig, dim: usize) -> anyhow::Result<()> {
    if config.lora_rank <= dim {
        return Ok(());
    }
    let why = format!("--lora-rank {}: no matrix of this model has a rank above {dim}, its width", config.lora_rank);
    Err(exit::usage(format!("{why}: give a smaller one, or leave --lora out to train all weights")))
}

/// What the configuration says of an adapter.
pub fn adapter_spec(config: &TrainConfig) -> AdapterSpec {
    AdapterSpec {
        rank: config.lora_rank,
        alpha: config.lora_alpha,
        rank_stabilized: config.lora_rslora,
        // the reader of the setting has checked the names
        targets: AdapterTarget::parse_list(&config.lora_targets).unwrap_or_default(),
        norms: config.lora_norms,
        form: match config.lora_form {
            LoraForm::Split => AdapterForm::Split,
            LoraForm::Merged => AdapterForm::Merged,
            LoraForm::Dora => AdapterForm::Dora,
        },
    }
}
