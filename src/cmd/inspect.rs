//! `autoane inspect`: what a file or folder is, and whether it is whole.

mod adapter;
mod model;
mod run;
mod tokens;

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use crate::cli::InspectArgs;
use crate::exit::{self, Exit};
use crate::out::Out;
use crate::place;

pub use tokens::{TokensOptions, describe as describe_tokens};

/// What is known of a file: facts for people and the same for programs.
#[derive(Debug, Default)]
pub struct Report {
    /// What it is.
    kind: &'static str,
    /// Names and values.
    facts: Vec<(&'static str, Json)>,
    /// Tables and texts that follow the facts, for people.
    more: Vec<String>,
    /// What is wrong, and with which exit code.
    problem: Option<(u8, String)>,
}

impl Report {
    fn new(kind: &'static str) -> Report {
        Report { kind, ..Report::default() }
    }

    fn fact(&mut self, name: &'static str, value: impl Into<Json>) {
        self.facts.push((name, value.into()));
    }

    /// Prints it.
    ///
    /// # Errors
    /// The problem that was found, if it makes the file useless.
    pub fn print(self, path: &Path, out: Out) -> anyhow::Result<()> {
        out.line(format!("{}: {}", path.display(), self.kind))?;
        for (name, value) in self.facts.iter().filter(|(_, v)| !v.is_array() && !v.is_object() && !v.is_null()) {
            out.line(format!("  {:<22}{}", name.replace('_', " "), plain(value)))?;
        }
        for text in &self.more {
            out.line(format!("\n{text}"))?;
        }
        let mut object =
            Map::from_iter([("path".to_owned(), json!(path.display().to_string())), ("kind".to_owned(), json!(self.kind))]);
        object.extend(self.facts.into_iter().map(|(name, value)| (name.to_owned(), value)));
        object.insert("problem".to_owned(), json!(self.problem.as_ref().map(|(_, text)| text)));
        out.json(&Json::Object(object))?;
        match self.problem {
            Some((0, text)) => {
                out.warn(format!("not usable as a model: {text}"));
                Ok(())
            }
            Some((code, text)) => Err(Exit::new(code, text).into()),
            None => Ok(()),
        }
    }
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(s) => s.clone(),
        other => other.to_string(),
    }
}

/// Says what `args.path` is.
pub fn run(args: &InspectArgs, out: Out) -> anyhow::Result<()> {
    let path = &args.path;
    let report = describe(path, out).map_err(|error| match exit::code_of(&error) {
        // what is there and is nothing that is known is bad data, whatever of it is missing
        exit::MISSING if path.exists() => Exit::new(exit::BAD_DATA, exit::explain(&error)).into(),
        _ => error,
    })?;
    report.print(path, out)
}

fn describe(path: &Path, out: Out) -> anyhow::Result<Report> {
    if place::is_run(path) {
        return run::describe(path);
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let tokens = |path: &Path| tokens::describe(path, &TokensOptions::default(), out);
    if name.ends_with(".bin") && crate::tokenizer_file::llama2c(path)?.is_some() {
        return tokenizer(path);
    }
    if formats::adapter::is_one(path) {
        return adapter::describe(path);
    }
    if let Some(model) = model::of_one_file(path, name)? {
        return Ok(model);
    }
    if data::Prepared::is_one(path) || (path.is_file() && name.ends_with(".bin")) {
        if path.is_file() && path.metadata().is_ok_and(|m| m.len() == 0) {
            return Err(Exit::new(
                exit::BAD_DATA,
                format!("{}: expected tokens or a model, found an empty file", path.display()),
            )
            .into());
        }
        let mut report = tokens(path)?;
        report.problem = model::almost_llama2c(path).map(|text| (0, text));
        return Ok(report);
    }
    if path.is_file() && name.starts_with("tokenizer") && name.ends_with(".json") {
        return tokenizer(path);
    }
    if let Some(message) = place::instead_of_model(path) {
        return Err(Exit::new(exit::MISSING, message).into());
    }
    if path.is_dir() || name.ends_with(".safetensors") || name.ends_with(".json") || model::is_gguf(path) {
        return model::describe(path);
    }
    let known = "a model folder, .safetensors, config.json, tokenizer.json, a checkpoint, a run folder, a GGUF, llama2.c or BLZT file, a token file (.bin) or a prepared folder";
    Err(Exit::new(exit::BAD_DATA, format!("{}: expected {known}, found a file of another kind", path.display())).into())
}

fn tokenizer(path: &Path) -> anyhow::Result<Report> {
    let tokenizer = crate::tokenizer_file::load(path)?;
    let mut report = Report::new("tokenizer");
    report.fact("vocab_size", tokenizer.vocab_size());
    report.fact("end_of_text_id", json!(tokenizer.eos()));
    report.fact("end_of_text", json!(tokenizer.eos().and_then(|id| tokenizer.id_to_token(id))));
    report.fact("chat_template", tokenizer.chat_template().is_some());
    report.fact("sha256", tokenizer.sha256());
    Ok(report)
}
