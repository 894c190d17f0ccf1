//! What a study may search: the settings that make a recipe. Those that decide what is measured, how long a run is, where it is
//! worked and what is kept of it are the same for all trials, or their values would not be compared with one another.

use search::{Param, shape};

use crate::config::{SETTINGS, SUBJECT, nearest, setting};
use crate::exit::usage;

/// What [`SUBJECT`] decides, and some more.
const MEASURED: &str = "what is measured: losses over other text, other tokens or another vocabulary are not comparable";

/// Settings beside [`SUBJECT`] that are no part of a recipe, and what they decide instead.
const OTHERS: [(&str, &[&str]); 5] = [
    (MEASURED, &["packing", "val-fraction", "val-tokens"]),
    ("its seed: every trial runs over the seeds of the study", &["seed"]),
    ("how long a run is, for all trials alike (--trial-tokens, --trial-time)", &["steps", "tokens", "max-time", "early-stop"]),
    ("what is kept and shown of a run", &["out", "eval-every", "save-every", "keep", "sample-every", "report-to"]),
    (
        "where and how fast a run is worked",
        &["device", "ane-chip", "ane-numerics", "ane-probe", "threads", "polite", "speed", "isa"],
    ),
];

/// Refuses a parameter that is no flag of `train` and no shape of the model, that is no part of a recipe, or whose ends and
/// middle are no values of that flag.
pub fn check(param: &Param) -> anyhow::Result<()> {
    let name = param.name.as_str();
    if shape::NAMES.contains(&name) {
        return Ok(());
    }
    let Some(setting) = setting(name) else {
        let names = SETTINGS.iter().map(|s| s.key).filter(|key| decides(key).is_none()).chain(shape::NAMES.iter().copied());
        let hint = nearest(name, names).map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
        return Err(usage(format!("--param {name}: not a flag of `train` that can be searched{hint}")));
    };
    if let Some(what) = decides(setting.key) {
        return Err(usage(format!("--param {name}: no part of a recipe; it decides {what}")));
    }
    for u in [0.0, 0.5, 1.0] {
        let text = param.text(param.at(u));
        setting.check(&text).map_err(|e| usage(format!("--param {name}: {e}")))?;
    }
    Ok(())
}

/// What a setting decides that is no part of a recipe.
fn decides(key: &str) -> Option<&'static str> {
    if SUBJECT.contains(&key) {
        return Some(MEASURED);
    }
    OTHERS.iter().find(|(_, keys)| keys.contains(&key)).map(|(what, _)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of a recipe: how the weights change, and from what. A new setting is put here or above.
    const RECIPE: &str = "compact-vocab data-order residual-scale rope-theta norm-eps seq-len batch-size accumulate learning-rate \
        schedule warmup min-lr-ratio optimizer weight-decay beta1 beta2 momentum clip-norm method mezo-eps objective \
        zo-directions zo-distribution zo-sparsity zo-hessian zo-rank zo-interval zo-delta zo-angle zo-momentum ff-corrupt lora \
        lora-rank lora-alpha lora-targets lora-form lora-rslora lora-norms pipeline ane-kernels ane-weights ane-layers ane-int8 \
        recompute";

    #[test]
    fn every_setting_is_a_part_of_a_recipe_or_is_refused() {
        let recipe: Vec<&str> = RECIPE.split_whitespace().collect();
        for setting in SETTINGS {
            assert_ne!(recipe.contains(&setting.key), decides(setting.key).is_some(), "{}", setting.key);
        }
        let known = |key: &&&str| SETTINGS.iter().any(|s| s.key == **key);
        let all: Vec<&str> = recipe.into_iter().chain(OTHERS.iter().flat_map(|(_, keys)| keys.iter().copied())).collect();
        assert_eq!(all.iter().filter(known).count(), all.len(), "only settings that there are");
    }
}
