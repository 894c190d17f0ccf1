//! `adapter_config.json` of PEFT and of mlx-lm: ranks and scales, and what is refused by name.

use std::path::PathBuf;

use serde_json::Value;

use crate::error::{FormatError, shown};
use crate::json::{Keys, kind};

/// Rank and scale of every module.
#[derive(Debug)]
pub(super) struct Scales {
    path: PathBuf,
    rank: usize,
    alpha: f64,
    /// Scale is alpha / sqrt(rank) instead of alpha / rank.
    rslora: bool,
    /// Whether rows have lengths of their own.
    pub dora: bool,
    /// Scale where the file says it and not alpha.
    scale: Option<f64>,
    ranks: Vec<(String, f64)>,
    alphas: Vec<(String, f64)>,
}

impl Scales {
    /// Rank and scale of the module of this full name.
    pub fn of(&self, module: &str) -> Result<(usize, f32), FormatError> {
        let rank = first_match(&self.ranks, module).unwrap_or(self.rank as f64);
        let alpha = first_match(&self.alphas, module).unwrap_or(self.alpha);
        let scale = self.scale.unwrap_or(if self.rslora { alpha / rank.sqrt() } else { alpha / rank });
        if rank < 1.0 || rank.fract() != 0.0 || !scale.is_finite() {
            let found = format!("rank {rank}, alpha {alpha} for {}", shown(module));
            return Err(FormatError::bad(&self.path, "rank and alpha", found, "a whole rank of 1 or more and a finite alpha"));
        }
        Ok((rank as usize, scale as f32))
    }
}

/// The first pattern wins, as in peft; each is the end of a module's name, from a dot on, or from `^` on all of it.
fn first_match(patterns: &[(String, f64)], module: &str) -> Option<f64> {
    let fits = |pattern: &str| match pattern.strip_prefix('^') {
        Some(whole) => whole == module,
        None => module.strip_suffix(pattern).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
    };
    patterns.iter().find(|(pattern, _)| fits(pattern)).map(|(_, value)| *value)
}

fn refuse(keys: &Keys, key: &str, found: String, only: &str) -> FormatError {
    FormatError::unsupported(keys.path, keys.at(key), found, only)
}

pub(super) fn peft(keys: &Keys) -> Result<Scales, FormatError> {
    if let Some(other) = keys.text("peft_type")?.filter(|t| *t != "LORA") {
        return Err(refuse(keys, "peft_type", shown(other), "only LORA is"));
    }
    if let Some(bias) = keys.text("bias")?.filter(|b| *b != "none") {
        return Err(refuse(keys, "bias", shown(bias), "only none is"));
    }
    for key in ["fan_in_fan_out", "lora_bias", "use_qalora"] {
        if keys.value(key).is_some_and(|v| *v != Value::Bool(false)) {
            return Err(refuse(keys, key, "a value other than false".into(), "plain low-rank adapters are"));
        }
    }
    // pissa, olora, corda and the like change the base before they add to it
    let plain = |v: &Value| v.is_null() || v.is_boolean() || matches!(v.as_str(), Some("gaussian" | "orthogonal" | "eva"));
    if let Some(value) = keys.value("init_lora_weights").filter(|v| !plain(v)) {
        let found = value.as_str().map_or_else(|| kind(value), shown);
        return Err(refuse(keys, "init_lora_weights", found, "initialisations that leave the base as it is are"));
    }
    let empty = |v: &Value| match v {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    for key in ["modules_to_save", "layer_replication", "trainable_token_indices", "target_parameters", "alora_invocation_tokens"]
    {
        if let Some(value) = keys.value(key).filter(|v| !empty(v)) {
            return Err(refuse(keys, key, kind(value), "plain low-rank adapters are"));
        }
    }
    Ok(Scales {
        path: keys.path.into(),
        rank: keys.need_size("r")?,
        alpha: keys.need_number("lora_alpha")?,
        rslora: keys.flag("use_rslora")?.unwrap_or(false),
        dora: keys.flag("use_dora")?.unwrap_or(false),
        scale: None,
        ranks: patterns(keys, "rank_pattern")?,
        alphas: patterns(keys, "alpha_pattern")?,
    })
}

fn patterns(keys: &Keys, key: &str) -> Result<Vec<(String, f64)>, FormatError> {
    let Some(object) = keys.value(key).and_then(Value::as_object) else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (pattern, value) in object {
        // a dot stands for itself here; what else a regular expression may hold is not guessed at
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !pattern.strip_prefix('^').unwrap_or(pattern).chars().all(plain) {
            return Err(refuse(keys, key, shown(pattern), "names of modules and ends of such names are"));
        }
        let number = value.as_f64();
        let number = number.ok_or_else(|| FormatError::bad(keys.path, keys.at(key), kind(value), "a number for each module"))?;
        all.push((pattern.clone(), number));
    }
    Ok(all)
}

pub(super) fn mlx(keys: &Keys) -> Result<Scales, FormatError> {
    if let Some(other) = keys.text("fine_tune_type")?.filter(|t| *t != "lora") {
        return Err(refuse(keys, "fine_tune_type", shown(other), "only lora is"));
    }
    let Some(inner) = keys.object("lora_parameters")? else {
        return Err(FormatError::bad(keys.path, keys.at("lora_parameters"), "nothing", "an object with rank and scale"));
    };
    Ok(Scales {
        path: keys.path.into(),
        rank: inner.need_size("rank")?,
        alpha: 0.0,
        rslora: false,
        dora: false,
        scale: Some(inner.need_number("scale")?),
        ranks: Vec::new(),
        alphas: Vec::new(),
    })
}
