//! An adapter as a folder that peft loads.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use model::TensorId;
use serde_json::{Map, Value, json};

use super::{Adapter, CONFIG, Factors, MAGNITUDE, PEFT_FILE, PEFT_PREFIX};
use crate::dtype::Dtype;
use crate::error::FormatError;
use crate::{names, place};

/// Writes `adapter_config.json` and `adapter_model.safetensors` (f32) into `dir`, which is made if it is not there. The bytes
/// depend on the adapter alone. Returns the size of the tensors' file.
///
/// # Errors
/// `Create` (73), `Io` (74).
pub fn write_peft(dir: &Path, adapter: &Adapter) -> Result<u64, FormatError> {
    fs::create_dir_all(dir).map_err(|e| FormatError::create(dir, e))?;
    let mut written = 0;
    place::replace(&dir.join(PEFT_FILE), &mut |path, file| {
        written = tensors(path, file, adapter)?;
        Ok(())
    })?;
    let text = format!("{:#}\n", config(adapter));
    let fill = |path: &Path, file: &mut File| file.write_all(text.as_bytes()).map_err(|e| FormatError::write(path, e));
    place::replace(&dir.join(CONFIG), &mut { fill })?;
    place::sync_dir(dir)?;
    Ok(written)
}

/// The full name of a module: `model.layers.0.self_attn.q_proj`.
fn module(id: TensorId) -> String {
    let name = names::hf(id);
    name.strip_suffix(".weight").unwrap_or(&name).to_owned()
}

fn tensors(path: &Path, file: &mut File, adapter: &Adapter) -> Result<u64, FormatError> {
    let (mut header, mut at, mut data) =
        (Map::from_iter([("__metadata__".to_owned(), json!({ "format": "pt" }))]), 0, Vec::new());
    for (id, f) in &adapter.targets {
        let [rows, cols] = f.shape();
        for (half, values, shape) in [("A", &f.a, [f.rank, cols]), ("B", &f.b, [rows, f.rank])] {
            let end = at + 4 * values.len();
            let entry = json!({ "dtype": "F32", "shape": shape, "data_offsets": [at, end] });
            header.insert(format!("{PEFT_PREFIX}{}.lora_{half}.weight", module(*id)), entry);
            data.push(values);
            at = end;
        }
        if let Some(lengths) = &f.magnitude {
            let end = at + 4 * lengths.len();
            let entry = json!({ "dtype": "F32", "shape": [lengths.len()], "data_offsets": [at, end] });
            header.insert(format!("{PEFT_PREFIX}{}{MAGNITUDE}", module(*id)), entry);
            data.push(lengths);
            at = end;
        }
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = BufWriter::new(file);
    let mut put = |bytes: &[u8]| out.write_all(bytes).map_err(|e| FormatError::write(path, e));
    put(&(text.len() as u64).to_le_bytes())?;
    put(&text)?;
    let mut bytes = Vec::new();
    for values in data {
        bytes.clear();
        Dtype::F32.encode(values, &mut bytes);
        put(&bytes)?;
    }
    out.flush().map_err(|e| FormatError::write(path, e))?;
    Ok((8 + text.len() + at) as u64)
}

fn config(adapter: &Adapter) -> Value {
    let rank = commonest(adapter.targets.values().map(|f| f.rank)).unwrap_or(1);
    let alpha_of = |f: &Factors| f64::from(f.scale) * f.rank as f64;
    let alpha = commonest(adapter.targets.values().map(|f| alpha_of(f).to_bits())).map_or(0.0, f64::from_bits);
    let mut config = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "lora_dropout": 0.0,
        "r": rank,
        "lora_alpha": number(alpha),
        "use_rslora": false,
        "use_dora": adapter.targets.values().any(|f| f.magnitude.is_some()),
        "modules_to_save": null,
        "target_modules": target_modules(adapter),
    });
    let others = |differs: &dyn Fn(&Factors) -> Option<Value>| -> Value {
        let found = adapter.targets.iter().filter_map(|(id, f)| differs(f).map(|v| (format!("^{}", module(*id)), v)));
        Value::Object(found.collect())
    };
    config["rank_pattern"] = others(&|f| (f.rank != rank).then(|| json!(f.rank)));
    config["alpha_pattern"] = others(&|f| (alpha_of(f) != alpha).then(|| number(alpha_of(f))));
    config
}

/// Whole numbers without a point, as peft's own are.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

fn commonest<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut counts = BTreeMap::new();
    values.for_each(|v| *counts.entry(v).or_insert(0usize) += 1);
    counts.into_iter().max_by_key(|(_, n)| *n).map(|(v, _)| v)
}

/// `q_proj` and the like where each of the first layers has the same, else every module by its full name.
fn target_modules(adapter: &Adapter) -> Vec<String> {
    let mut by_layer: BTreeMap<usize, BTreeSet<_>> = BTreeMap::new();
    let mut others = false;
    for id in adapter.targets.keys() {
        match id {
            TensorId::Layer(l, part) => drop(by_layer.entry(*l).or_default().insert(*part)),
            _ => others = true,
        }
    }
    let same = by_layer.values().all(|parts| Some(parts) == by_layer.values().next());
    let from_first = by_layer.keys().enumerate().all(|(i, l)| i == *l);
    let full = adapter.targets.keys().map(|id| module(*id));
    if !(same && from_first) || others {
        return full.collect();
    }
    let short: BTreeSet<String> = full.filter_map(|name| name.rsplit('.').next().map(str::to_owned)).collect();
    short.into_iter().collect()
}
