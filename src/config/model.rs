//! What the MODEL of a command line means, and names that are near to what was typed.

use std::path::{Path, PathBuf};

use super::TrainConfig;
use crate::exit::{self, Exit};

/// What a model argument names.
#[derive(Clone, Debug)]
pub enum ModelChoice {
    /// The preset that suits machine and budget.
    Auto,
    /// A preset.
    Preset(Box<model::Preset>),
    /// The shape in a `config.json`, with new weights.
    Shape(PathBuf),
    /// A model on disk.
    Path(PathBuf),
}

impl ModelChoice {
    /// What `config` asks for.
    ///
    /// # Errors
    /// As [`ModelChoice::of`].
    pub fn of_config(config: &TrainConfig) -> anyhow::Result<ModelChoice> {
        match &config.model_config {
            Some(path) if path.exists() => Ok(ModelChoice::Shape(path.clone())),
            Some(path) => Err(Exit::new(exit::MISSING, format!("--model-config {}: no such file", path.display())).into()),
            None => ModelChoice::of(&config.model),
        }
    }

    /// What `name` means: `auto`, a preset (it wins over a file of that name), or a path that exists.
    ///
    /// # Errors
    /// A usage error that suggests the nearest preset; 66 for what looks like a path but is not there.
    pub fn of(name: &str) -> anyhow::Result<ModelChoice> {
        if name == "auto" {
            return Ok(ModelChoice::Auto);
        }
        if let Some(preset) = model::preset(name) {
            return Ok(ModelChoice::Preset(Box::new(preset)));
        }
        let path = Path::new(name);
        if path.exists() {
            return Ok(ModelChoice::Path(path.to_path_buf()));
        }
        if name.contains(['/', '\\'])
            || path.extension().is_some_and(|e| e.len() > 1 && e.to_str().is_some_and(is_model_extension))
        {
            let message = crate::place::instead_of_model(path).unwrap_or_else(|| format!("{name}: no such file or folder"));
            return Err(Exit::new(exit::MISSING, message).into());
        }
        let presets = model::presets();
        let names: Vec<&str> = presets.iter().map(|p| p.name).collect();
        let hint = nearest(name, names.iter().copied()).map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
        let list = names.join(", ");
        Err(exit::usage(format!("`{name}` is neither a preset nor a path{hint}\n  presets: auto, {list}")))
    }
}

fn is_model_extension(extension: &str) -> bool {
    matches!(extension, "safetensors" | "gguf" | "bin" | "blzt" | "json")
}

/// The name that `typed` was probably meant to be.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase().replace('_', "-");
    let scored = names.map(|n| (strsim::jaro_winkler(&typed, &n.to_ascii_lowercase().replace('_', "-")), n));
    scored.filter(|(score, _)| *score > 0.75).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, n)| n)
}

/// The first of `runs/NAME-1`, `runs/NAME-2`, ... that is not there yet.
pub fn free_run_folder(name: &str) -> PathBuf {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' }).collect();
    let runs = Path::new("runs");
    (1u32..).map(|i| runs.join(format!("{name}-{i}"))).find(|p| !p.exists()).unwrap_or_else(|| runs.join(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_misspelt_preset_is_suggested() {
        let error = ModelChoice::of("storys-36m").unwrap_err();
        assert_eq!(exit::code_of(&error), exit::USAGE);
        assert!(error.to_string().contains("did you mean `stories-36m`?"), "{error}");
        assert_eq!(exit::code_of(&ModelChoice::of("no/such/folder").unwrap_err()), exit::MISSING);
    }

    #[test]
    fn presets_and_auto() {
        assert!(matches!(ModelChoice::of("auto"), Ok(ModelChoice::Auto)));
        assert!(matches!(ModelChoice::of("smollm2-135m"), Ok(ModelChoice::Preset(p)) if p.spec.layers == 30));
    }
}
