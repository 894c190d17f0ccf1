//! The layers joined: flag > environment > `--config` file > checkpoint or run > preset > built-in default.

use std::path::{Path, PathBuf};

use super::layers::{self, Given, Origin};
use super::{DEFAULT_TIME, ModelChoice, RESOLVED_FILE, SETTINGS, TrainConfig, file, rules, setting};
use crate::exit::{self, Exit, usage};

/// What a configuration is resolved from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Settings that were typed.
    pub flags: Vec<Given>,
    /// The environment, as the process sees it.
    pub env: Vec<(String, String)>,
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--resume`.
    pub resume: Option<PathBuf>,
}

/// A run's configuration: every value, checked, with its origin.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The values.
    pub config: TrainConfig,
    /// The run folder that is continued.
    pub resume: Option<PathBuf>,
    /// Things that the user should know; not errors.
    pub warnings: Vec<String>,
    /// The configuration of the run that is continued, before anything typed beside `--resume`.
    run: Vec<Given>,
    /// Values settled while the program runs, the strongest layer.
    decided: Vec<Given>,
    /// Flags, environment and file, in falling strength.
    asked: Vec<Given>,
    /// Origin of each of [`SETTINGS`].
    origins: Vec<Origin>,
}

/// Settings of which a new value replaces the others of the run that is continued.
const BUDGET: [&str; 3] = ["steps", "tokens", "max-time"];

impl Resolved {
    /// Joins the layers of `sources` and checks the rules between settings.
    ///
    /// # Errors
    /// Usage errors (2) that name the flag, variable, or file and line; 66 and 65 for a missing or damaged run.
    pub fn of(sources: &Sources) -> anyhow::Result<Resolved> {
        let (env, warnings) = layers::from_environment(&sources.env)?;
        let file = sources.file.as_deref().map(file::read_config).transpose()?.unwrap_or_default();
        let run = sources.resume.as_deref().map(read_run).transpose()?.unwrap_or_default();
        let asked: Vec<Given> = sources.flags.iter().cloned().chain(env).chain(file).collect();
        let mut resolved = Resolved {
            config: TrainConfig::default(),
            resume: sources.resume.clone(),
            warnings,
            run,
            decided: Vec::new(),
            asked,
            origins: Vec::new(),
        };
        resolved.join()?;
        Ok(resolved)
    }

    /// Settles `key` at `value` for the reason `why` (the preset that `auto` chose, the run folder, ...); everything that
    /// depends on it follows.
    ///
    /// # Errors
    /// As [`Resolved::of`].
    pub fn decide(&mut self, key: &str, value: &str, why: &str) -> anyhow::Result<()> {
        let Some(setting) = setting(key) else { return Err(Exit::new(exit::INTERNAL, format!("no setting `{key}`")).into()) };
        let given = Given::checked(setting, value.to_owned(), Origin::Decided(why.to_owned())).map_err(usage)?;
        self.decided.retain(|g| g.key != setting.key);
        self.decided.push(given);
        self.join()
    }

    /// Who gave the value of `key`.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        SETTINGS.iter().position(|s| s.key == key).and_then(|i| self.origins.get(i))
    }

    /// Whether a person asked for the value of `key` in this very command.
    pub fn is_explicit(&self, key: &str) -> bool {
        self.origin(key).is_some_and(Origin::is_explicit)
    }

    /// Whether a person chose the value of `key` in this very command: a file that lists every setting chooses none.
    pub fn is_typed(&self, key: &str) -> bool {
        let listed = |o: &Origin| matches!(o, Origin::File(path, _) if path.file_name().is_some_and(|n| n == RESOLVED_FILE));
        self.origin(key).is_some_and(|o| o.is_explicit() && !listed(o))
    }

    /// What the continued run had for `key`, as text.
    pub fn of_run(&self, key: &str) -> Option<&str> {
        self.run.iter().find(|g| g.key == key).map(|g| g.text.as_str())
    }

    fn join(&mut self) -> anyhow::Result<()> {
        let mut stack: Vec<Given> = self.decided.iter().chain(&self.asked).cloned().collect();
        let budget_asked = stack.iter().any(|g| BUDGET.contains(&g.key));
        stack.extend(self.run.iter().filter(|g| !(budget_asked && BUDGET.contains(&g.key))).cloned());
        let (first, _) = apply(&stack)?;
        self.add_model_layers(&first, &mut stack)?;
        (self.config, self.origins) = apply(&stack)?;
        if self.config.steps.is_none() && self.config.tokens.is_none() && self.config.max_time.is_none() {
            self.config.max_time = Some(DEFAULT_TIME);
            self.set_origin("max-time", Origin::Default("a run without --steps and --tokens".to_owned()));
        }
        rules::check(self)
    }

    /// The layers below what was asked for: they depend on model and optimizer.
    fn add_model_layers(&self, first: &TrainConfig, stack: &mut Vec<Given>) -> anyhow::Result<()> {
        let model = if self.resume.is_some() { ModelChoice::Auto } else { ModelChoice::of_config(first)? };
        // a method that is asked for counts for more than what another one trained the checkpoint with
        stack.extend(layers::from_method(first));
        if let ModelChoice::Path(path) = &model {
            let asked = |key: &str| stack.iter().any(|g| g.key == key);
            let stored = layers::from_checkpoint(path, (first, asked("method"), asked("lora")))?;
            stack.extend(stored);
        }
        let (second, _) = apply(stack)?;
        stack.extend(layers::from_optimizer(second.optimizer));
        if second.lora {
            stack.extend(layers::from_adapter());
        }
        match &model {
            ModelChoice::Preset(preset) => stack.extend(layers::from_preset(preset)),
            ModelChoice::Path(_) => stack.extend(layers::from_pretrained()),
            ModelChoice::Auto | ModelChoice::Shape(_) => {}
        }
        Ok(())
    }

    fn set_origin(&mut self, key: &str, origin: Origin) {
        if let Some(slot) = SETTINGS.iter().position(|s| s.key == key).and_then(|i| self.origins.get_mut(i)) {
            *slot = origin;
        }
    }
}

/// The configuration of layers that are listed from the strongest to the weakest.
fn apply(stack: &[Given]) -> anyhow::Result<(TrainConfig, Vec<Origin>)> {
    let (mut config, mut origins) = (TrainConfig::default(), Vec::with_capacity(SETTINGS.len()));
    for setting in SETTINGS {
        let Some(given) = stack.iter().find(|g| g.key == setting.key) else {
            origins.push(Origin::Default(String::new()));
            continue;
        };
        (setting.set)(&mut config, &given.text).map_err(|why| usage(format!("{}: {}: {why}", given.origin, given.key)))?;
        origins.push(given.origin.clone());
    }
    Ok((config, origins))
}

/// The configuration of the run in `folder`.
fn read_run(folder: &Path) -> anyhow::Result<Vec<Given>> {
    let path = folder.join(RESOLVED_FILE);
    if !path.is_file() {
        let message = format!("--resume {}: {}", folder.display(), crate::place::instead_of_run(folder));
        return Err(Exit::new(exit::MISSING, message).into());
    }
    let mut run = file::read_stored(&path, |_| Origin::Run(folder.to_path_buf()))?;
    run.retain(|g| g.key != "out"); // the folder may have been moved
    run.push(Given { key: "out", text: folder.to_string_lossy().into_owned(), origin: Origin::Run(folder.to_path_buf()) });
    Ok(run)
}

#[cfg(test)]
mod tests;
