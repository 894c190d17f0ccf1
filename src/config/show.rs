//! A resolved configuration as people and programs read it: table, JSON, TOML.

use serde_json::{Map, Value as Json, json};

use super::layers::plain;
use super::{Resolved, SETTINGS, file};
use crate::out;

impl Resolved {
    /// One line a setting: name, value, origin.
    pub fn table(&self) -> String {
        let row = |s: &super::Setting| {
            let origin = self.origin(s.key).map(ToString::to_string).unwrap_or_default();
            // a leading space keeps the column of values left-aligned, numbers or not
            vec![s.key.to_owned(), format!(" {}", plain((s.get)(&self.config))), origin]
        };
        out::align(&["setting", " value", "origin"], &SETTINGS.iter().map(row).collect::<Vec<_>>())
    }

    /// `{"settings": {NAME: {"value", "origin"}}}`.
    pub fn to_json(&self) -> Json {
        let entry = |s: &super::Setting| {
            let origin = self.origin(s.key).map(ToString::to_string);
            (s.key.to_owned(), json!({ "value": (s.get)(&self.config), "origin": origin }))
        };
        json!({ "settings": SETTINGS.iter().map(entry).collect::<Map<_, _>>() })
    }

    /// The text of `config.resolved.toml`: reading it back gives the same configuration to the bit.
    pub fn to_toml(&self) -> String {
        let origins: Vec<_> = SETTINGS.iter().filter_map(|s| Some((s.key, self.origin(s.key)?.to_string()))).collect();
        file::write(&self.config, &origins)
    }

    /// What differs from the run that is continued: `(setting, run's value, value now)`.
    pub fn changes_to_run(&self) -> Vec<(&'static str, String, String)> {
        let change = |s: &'static super::Setting| {
            let now = plain((s.get)(&self.config));
            let before = self.of_run(s.key)?;
            (before != now).then(|| (s.key, before.to_owned(), now))
        };
        SETTINGS.iter().filter_map(change).collect()
    }
}
