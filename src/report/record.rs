//! What a run folder says, as a report and the dashboard read it. Only the events have to be there.

use std::path::Path;

use anyhow::Context;
use serde_json::Value as Json;
use train::events::{self, Eval, Event, Sample, Started, Step};

use crate::config::RESOLVED_FILE;
use crate::exit::{self, Exit};

/// Largest side file that is read: these are small, and a damaged one must not fill the memory.
const LARGEST: u64 = 8 << 20;

/// A run.
#[derive(Clone, Debug, Default)]
pub struct RunRecord {
    /// Name of its folder.
    pub name: String,
    /// Its events.
    pub events: Vec<Event>,
    /// Lines of the log that are no events.
    pub skipped: usize,
    /// Name, value and origin of each setting.
    pub settings: Vec<[String; 3]>,
    /// `environment.json`.
    pub environment: Json,
    /// `data.manifest.json`.
    pub data: Json,
    /// `efficiency.json`, of the last session that ended.
    pub efficiency: Json,
}

impl RunRecord {
    /// Reads the folder of a run, also of one that is running.
    ///
    /// # Errors
    /// 66 when there is no run.
    pub fn read(path: &Path) -> anyhow::Result<RunRecord> {
        let log = path.join("events.jsonl");
        if !log.is_file() {
            let found = if path.exists() { "no events.jsonl in it" } else { "nothing there" };
            let next = "pass the folder of a run, such as runs/NAME";
            return Err(Exit::new(exit::MISSING, format!("{}: expected a run, found {found}; {next}", path.display())).into());
        }
        let record = events::read(&log)?;
        Ok(RunRecord {
            name: name_of(path),
            events: record.events,
            skipped: record.skipped,
            settings: settings(&path.join(RESOLVED_FILE))?,
            environment: side_file(&path.join("environment.json")),
            data: side_file(&path.join("data.manifest.json")),
            efficiency: side_file(&path.join("efficiency.json")),
        })
    }

    /// Its optimizer steps.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.events.iter().filter_map(|e| if let Event::Step(s) = e { Some(s) } else { None })
    }

    /// Its evaluations.
    pub fn evals(&self) -> impl Iterator<Item = &Eval> {
        self.events.iter().filter_map(|e| if let Event::Eval(e) = e { Some(e) } else { None })
    }

    /// Its samples.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.events.iter().filter_map(|e| if let Event::Sample(s) = e { Some(s) } else { None })
    }

    /// Its beginning.
    pub fn started(&self) -> Option<&Started> {
        self.events.iter().find_map(|e| if let Event::Started(s) | Event::Resumed(s) = e { Some(s) } else { None })
    }

    /// The word it ended with.
    pub fn status(&self) -> &str {
        match self.events.last() {
            Some(Event::Finished(f)) => &f.status,
            _ => "running or cut off",
        }
    }

    /// Why its times should not be compared with others.
    pub fn disturbed(&self) -> impl Iterator<Item = &str> {
        self.efficiency["circumstances"]["disturbed"].as_array().into_iter().flatten().filter_map(Json::as_str)
    }

    /// The value of a setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|s| s[0] == key).map(|s| s[1].as_str()).filter(|v| *v != "none")
    }
}

fn name_of(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.file_name().unwrap_or(absolute.as_os_str()).to_string_lossy().into_owned()
}

/// A JSON file beside the events; null where it is missing or damaged: a report of the rest is worth more than none.
fn side_file(path: &Path) -> Json {
    let small = path.metadata().is_ok_and(|m| m.len() <= LARGEST);
    let text = if small { std::fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    serde_json::from_str(&text).unwrap_or(Json::Null)
}

fn settings(path: &Path) -> anyhow::Result<Vec<[String; 3]>> {
    if !path.metadata().is_ok_and(|m| m.len() <= LARGEST) {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|e| Exit::new(exit::BAD_DATA, format!("{}: expected the settings of a run: {e}", path.display())))?;
    let origins = table.get("origin").and_then(toml::Value::as_table);
    let plain = |v: &toml::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let origin = |key: &str| origins.and_then(|o| o.get(key)).map(plain).unwrap_or_default();
    Ok(table.iter().filter(|(k, _)| *k != "origin").map(|(k, v)| [k.clone(), plain(v), origin(k)]).collect())
}
