//! What a configuration will take, known before it is run: the memory that `train` itself would foresee (weights, gradient,
//! moments, activations, logits), and the arithmetic of a token, by which runs of different sizes are given equal work.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::ModelSpec;
use search::{Config, Shape, Study, shape};
use serde_json::{Value as Json, json};

use super::new::resolve;
use crate::config::{Resolved, SETTINGS};
use crate::out::Out;
use crate::run::flops_of;
use crate::wire;

/// What a run needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Need {
    /// Bytes at the peak, beyond what the program itself holds.
    pub bytes: u64,
    /// FLOPs of a token: of all passes of its step.
    pub flops_per_token: f64,
}

/// Foresees configurations of one study.
#[derive(Debug)]
pub struct Foresight {
    /// Arguments of `train` that every run has, the model among them.
    words: Vec<String>,
    /// `config.json` that shapes start from.
    base: Option<Json>,
    /// Models as training sees them, by what decides on their data.
    specs: Mutex<HashMap<String, ModelSpec>>,
}

impl Foresight {
    /// For `study`; `model` is the argument that names what shapes start from, and `base` its `config.json`.
    pub fn new(study: &Study, model: Option<String>, base: Option<Json>) -> Foresight {
        let words = study.train.iter().cloned().chain(model).collect();
        Foresight { words, base, specs: Mutex::default() }
    }

    /// What a run of `config` needs.
    ///
    /// # Errors
    /// Those of `train` with these arguments: rules between settings, and its data.
    pub fn of(&self, study: &Study, config: &Config) -> anyhow::Result<Need> {
        let words: Vec<String> = self.words.iter().cloned().chain(flags(study, config)).collect();
        let resolved = resolve(&words, Vec::new())?;
        let cpu = wire::cpu(&resolved.config)?;
        let mut spec = self.spec(&resolved, &cpu)?;
        if let (Some(base), Some(shape)) = (&self.base, study.shape) {
            spec = shaped(base, shape.with(&study.space, config))?.with_vocab(spec.vocab);
        }
        Ok(Need { bytes: wire::planned_bytes(&resolved.config, &spec, &cpu), flops_per_token: flops_of(&spec, &resolved.config) })
    }

    /// The model over the ids that training sees. Data are opened once for each way to prepare them.
    fn spec(&self, resolved: &Resolved, cpu: &kernels::Cpu) -> anyhow::Result<ModelSpec> {
        let group = SETTINGS[0].group;
        let key: String =
            SETTINGS.iter().filter(|s| s.group == group).map(|s| format!("{} ", (s.get)(&resolved.config))).collect();
        if let Some(spec) = self.specs.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(spec.clone());
        }
        let spec = wire::open(&mut resolved.clone(), cpu, None, Out::new(false, true, false))?.spec;
        self.specs.lock().unwrap_or_else(PoisonError::into_inner).insert(key, spec.clone());
        Ok(spec)
    }
}

/// `base`, a `config.json`, with the sizes of `shape`.
pub fn sized(base: &Json, shape: Shape) -> Json {
    let mut config = base.clone();
    let sizes = [
        ("hidden_size", shape.dim),
        ("num_hidden_layers", shape.depth),
        ("num_attention_heads", shape.heads),
        ("num_key_value_heads", shape.kv_heads),
        ("head_dim", shape.head_dim),
        ("intermediate_size", shape.hidden),
    ];
    for (key, value) in sizes {
        config[key] = json!(value);
    }
    config
}

fn shaped(base: &Json, shape: Shape) -> anyhow::Result<ModelSpec> {
    let text = sized(base, shape).to_string();
    Ok(formats::hf::config::from_slice("base.json".as_ref(), text.as_bytes())?.spec)
}

/// Flags of `train` that `config` decides; what shapes the model is none.
pub fn flags(study: &Study, config: &Config) -> Vec<String> {
    let plain = study.space.params.iter().zip(config).filter(|(p, _)| !shape::NAMES.contains(&p.name.as_str()));
    plain.map(|(p, &value)| format!("--{}={}", p.name, p.text(value))).collect()
}
