//! The rotary embedding of a `config.json`: `rope_theta` + `rope_scaling` (transformers 4) or `rope_parameters` (5).

use model::{Rope, RopeScaling};
use serde_json::{Map, Value, json};

use crate::error::{FormatError, shown};
use crate::json::Keys;

/// What holds where the file is silent.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    /// Base of the family.
    pub theta: f64,
    /// `max_position_embeddings`.
    pub context: usize,
}

pub(super) fn parse(keys: &Keys, defaults: Defaults) -> Result<Rope, FormatError> {
    whole_heads(keys)?;
    // phi3 keeps it outside, and transformers lets that one rule
    let original = keys.size("original_max_position_embeddings")?;
    let (new, old) = (keys.object("rope_parameters")?, keys.object("rope_scaling")?);
    let read = |k: Option<&Keys>| {
        k.map(|k| Ok::<_, FormatError>((scaling(k, original, defaults.context)?, k.number("rope_theta")?))).transpose()
    };
    let (new, old) = (read(new.as_ref())?, read(old.as_ref())?);
    if let (Some((new, _)), Some((old, _))) = (&new, &old)
        && new != old
    {
        let found = format!("{new} there and {old} in `rope_scaling`");
        return Err(FormatError::bad(keys.path, keys.at("rope_parameters"), found, "the same rope in both"));
    }
    let thetas = [keys.number("rope_theta")?, new.and_then(|n| n.1), old.and_then(|o| o.1)];
    let mut named = thetas.into_iter().flatten();
    let theta = named.next().unwrap_or(defaults.theta);
    if let Some(other) = named.find(|t| *t != theta) {
        let found = format!("both {theta} and {other}");
        return Err(FormatError::bad(keys.path, keys.at("rope_theta"), found, "one value"));
    }
    Ok(Rope { theta, scaling: new.or(old).map_or(RopeScaling::None, |r| r.0) })
}

/// Rotating a part of each head is not implemented.
fn whole_heads(keys: &Keys) -> Result<(), FormatError> {
    match keys.number("partial_rotary_factor")? {
        Some(part) if part != 1.0 => {
            Err(FormatError::unsupported(keys.path, keys.at("partial_rotary_factor"), part.to_string(), "only 1 is"))
        }
        _ => Ok(()),
    }
}

/// `original` overrules the key of the same name in the object; `context` stands in where neither is there.
fn scaling(keys: &Keys, original: Option<usize>, context: usize) -> Result<RopeScaling, FormatError> {
    whole_heads(keys)?;
    let (new, old) = (keys.text("rope_type")?, keys.text("type")?);
    if let (Some(new), Some(old)) = (new, old)
        && new != old
    {
        let found = format!("{} and `type` {}", shown(new), shown(old));
        return Err(FormatError::bad(keys.path, keys.at("rope_type"), found, "one rope type"));
    }
    let inner = keys.size("original_max_position_embeddings")?;
    let original_context = original.or(inner).unwrap_or(context);
    match new.or(old) {
        Some("default") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: keys.need_number("factor")? }),
        Some("llama3") => Ok(RopeScaling::Llama3 {
            factor: keys.need_number("factor")?,
            low_freq_factor: keys.need_number("low_freq_factor")?,
            high_freq_factor: keys.need_number("high_freq_factor")?,
            original_context,
        }),
        Some("yarn") => yarn(keys, original_context, context),
        Some(other) => {
            let only = "rope types are default, linear, llama3 and yarn";
            Err(FormatError::unsupported(keys.path, keys.at("rope_type"), shown(other), only))
        }
        // transformers 5 writes {"rope_theta": ..} alone for the default type; anything more needs a type
        None if keys.map.keys().all(|k| k == "rope_theta" || k == "partial_rotary_factor") => Ok(RopeScaling::None),
        None => Err(FormatError::bad(keys.path, keys.at("rope_type"), "nothing", "default, linear, llama3 or yarn")),
    }
}

/// The defaults, and what zero and `null` mean, are those of transformers 5.
fn yarn(keys: &Keys, original_context: usize, context: usize) -> Result<RopeScaling, FormatError> {
    let set = |key: &str| Ok::<_, FormatError>(keys.number(key)?.filter(|v| *v != 0.0));
    let factor = match keys.number("factor")? {
        None if keys.map.contains_key("factor") => context as f64 / original_context as f64,
        _ => keys.need_number("factor")?,
    };
    let advised = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 };
    let attention_factor = match (keys.number("attention_factor")?, set("mscale")?, set("mscale_all_dim")?) {
        (Some(given), ..) => given,
        (None, Some(mscale), Some(all)) => advised(mscale) / advised(all),
        _ => RopeScaling::yarn_attention(factor),
    };
    Ok(RopeScaling::Yarn {
        factor,
        original_context,
        beta_fast: set("beta_fast")?.unwrap_or(32.0),
        beta_slow: set("beta_slow")?.unwrap_or(1.0),
        attention_factor,
        truncate: keys.flag("truncate")?.unwrap_or(true),
    })
}

/// `rope_scaling` (null when there is none) and `rope_parameters`, which say the same to transformers 4 and 5.
pub(super) fn write(rope: &Rope) -> (Value, Value) {
    let old = match rope.scaling {
        RopeScaling::None => Value::Null,
        RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_context,
        }),
        RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, attention_factor, truncate } => json!({
            "rope_type": "yarn",
            "factor": factor,
            "original_max_position_embeddings": original_context,
            "beta_fast": beta_fast,
            "beta_slow": beta_slow,
            "attention_factor": attention_factor,
            "truncate": truncate,
        }),
    };
    let mut new = match &old {
        Value::Object(map) => map.clone(),
        _ => Map::from_iter([("rope_type".to_owned(), json!("default"))]),
    };
    new.insert("rope_theta".into(), json!(rope.theta));
    (old, Value::Object(new))
}
