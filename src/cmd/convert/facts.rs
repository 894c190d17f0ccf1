//! What is known of a model beside its weights: its name, its licence, what it was made from, and how it was trained.

use std::fs;
use std::path::{Path, PathBuf};

use data::VocabMap;
use formats::safetensors::Container;
use formats::{Format, Model, gguf};
use serde_json::Value as Json;

use crate::config::{ModelChoice, RESOLVED_FILE, Resolved, Sources, TrainConfig};
use crate::model_file;
use crate::run::{SavedState, read_state};

/// Largest card that is read for its licence.
const CARD_LIMIT: u64 = 1 << 20;

/// What is known of a model.
#[derive(Debug)]
pub struct Facts {
    /// What to call it.
    pub name: String,
    /// Licence, as the hub spells it.
    pub license: Option<String>,
    /// The model that it was made from.
    pub base: Option<String>,
    /// How this program trained it.
    pub training: Option<Training>,
    /// `general.*` keys of the GGUF file that it comes from.
    pub general: Vec<(String, gguf::Value)>,
}

/// A checkpoint of ours.
#[derive(Debug)]
pub struct Training {
    dir: PathBuf,
    /// Its state.
    pub state: SavedState,
    /// The ids that training saw, if they are fewer than all.
    pub map: Option<VocabMap>,
    /// Its run, if it still lies in one.
    pub run: Option<RunRecord>,
}

/// What a run folder says.
#[derive(Debug)]
pub struct RunRecord {
    /// Settings.
    pub config: TrainConfig,
    /// `data.manifest.json`.
    pub data: Json,
    /// `environment.json`.
    pub environment: Json,
}

impl Facts {
    /// Gathers them for the model in `input`.
    ///
    /// # Errors
    /// Those of reading a checkpoint's state.
    pub fn of(input: &Path, model: &Model) -> anyhow::Result<Facts> {
        let training = Training::of(input, model)?;
        let run = training.as_ref().and_then(|t| t.run.as_ref());
        let choice = run.and_then(|run| ModelChoice::of_config(&run.config).ok());
        let trained_on = match (&training, choice) {
            (Some(_), Some(ModelChoice::Path(base))) => Some(base),
            (Some(_), _) => None,
            (None, _) => Some(input.to_path_buf()),
        };
        let general = general(input, model.format())?;
        let text = |key: &str| {
            let of = |value: &gguf::Value| if let gguf::Value::Text(t) = value { Some(t.clone()) } else { None };
            general.iter().find(|(k, _)| k == key).and_then(|(_, v)| of(v))
        };
        let own_name = match training.as_ref().and_then(Training::run_dir) {
            Some(run) => stem(&run),
            None => stem(input),
        };
        Ok(Facts {
            name: text("general.name").unwrap_or(own_name),
            license: text("general.license").or_else(|| trained_on.as_deref().and_then(license_of)),
            base: trained_on.map(|path| hub_name(&path)),
            training,
            general,
        })
    }
}

impl Training {
    fn of(input: &Path, model: &Model) -> anyhow::Result<Option<Training>> {
        // what a base went through says nothing of what an adapter made of it
        if model.adapter().is_some() || !input.join("trainer/state.json").is_file() {
            return Ok(None);
        }
        let state = read_state(input)?;
        let map = model_file::read_map(&input.join("trainer/vocab.json"), model.spec())?;
        let mut training = Training { dir: input.into(), state, map, run: None };
        training.run = training.run_dir().map(|run| record(&run)).transpose()?;
        Ok(Some(training))
    }

    /// The run folder around the checkpoint.
    fn run_dir(&self) -> Option<PathBuf> {
        let dir = self.dir.canonicalize().ok()?;
        let run = dir.parent()?.parent()?;
        run.join(RESOLVED_FILE).is_file().then(|| run.to_path_buf())
    }

    /// The arrays of its optimizer.
    pub fn arrays(&self) -> PathBuf {
        self.dir.join("trainer/optimizer.safetensors")
    }

    /// Whether they are those of Adam.
    pub fn has_moments(&self) -> bool {
        let names = ["exp_avg", "exp_avg_sq"];
        let has = |file: Container| names.iter().all(|name| file.tensors().iter().any(|t| t.name == *name));
        Container::open(&self.arrays()).is_ok_and(has)
    }
}

fn record(run: &Path) -> anyhow::Result<RunRecord> {
    let resolved = Resolved::of(&Sources { resume: Some(run.into()), ..Sources::default() })?;
    // a run that lost one of its side files has less to say
    let json = |name: &str| {
        let text = fs::read_to_string(run.join(name)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Json::Null)
    };
    Ok(RunRecord { config: resolved.config, data: json("data.manifest.json"), environment: json("environment.json") })
}

/// The `general.*` keys that stay true of the model in another encoding.
fn general(path: &Path, format: Format) -> anyhow::Result<Vec<(String, gguf::Value)>> {
    const OF_THE_FILE: [&str; 5] = ["architecture", "type", "file_type", "quantization_version", "alignment"];
    if format != Format::Gguf {
        return Ok(Vec::new());
    }
    let file = gguf::Container::open(path)?;
    let stays = |key: &str| key.strip_prefix("general.").is_some_and(|rest| !OF_THE_FILE.contains(&rest));
    let keys = file.metadata().iter().filter(|(key, _)| stays(key));
    Ok(keys.map(|(key, value)| (key.to_owned(), value.clone())).collect())
}

/// The licence that the card in the folder, or the GGUF file, names.
fn license_of(path: &Path) -> Option<String> {
    if path.is_file() {
        let file = gguf::Container::open(path).ok()?;
        return file.metadata().text("general.license").ok()?.map(str::to_owned);
    }
    let card = path.join("README.md");
    if fs::metadata(&card).ok()?.len() > CARD_LIMIT {
        return None;
    }
    license_in(&fs::read_to_string(card).ok()?)
}

/// The key `license` of the front matter.
fn license_in(card: &str) -> Option<String> {
    let mut lines = card.lines();
    if lines.next()?.trim_end() != "---" {
        return None;
    }
    let front = lines.take_while(|line| line.trim_end() != "---");
    let value = front.into_iter().find_map(|line| line.strip_prefix("license:"))?;
    let value = value.trim().trim_matches(['"', '\'']);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (!value.is_empty() && value.chars().all(plain)).then(|| value.to_owned())
}

/// What the hub calls the model at `path`, if its cache says so; else the last name of the path.
fn hub_name(path: &Path) -> String {
    let parts = path.components().filter_map(|c| c.as_os_str().to_str());
    let cached = parts.filter_map(|part| part.strip_prefix("models--")).next_back();
    cached.map_or_else(|| stem(path), |name| name.replace("--", "/"))
}

fn stem(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or(path.into());
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map_or_else(|| "model".to_owned(), |s| s.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_is_that_of_the_front_matter() {
        let card = "---\nlanguage: en\nlicense: \"apache-2.0\"\n---\nlicense: mit\n";
        assert_eq!(license_in(card).as_deref(), Some("apache-2.0"));
        for card in ["license: mit\n", "---\nx: 1\n---\nlicense: mit\n", "---\nlicense: [a, b]\n---\n", ""] {
            assert_eq!(license_in(card), None, "{card}");
        }
    }

    #[test]
    fn a_snapshot_of_the_hub_has_its_name() {
        let path = Path::new("cache/models--org--name/snapshots/abc");
        assert_eq!(hub_name(path), "org/name");
        assert_eq!(hub_name(Path::new("somewhere/my-model")), "my-model");
    }
}
