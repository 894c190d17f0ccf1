//! The model card: `README.md` with the hub's front matter beside a Hugging Face folder, `general.*` keys in a GGUF file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use formats::gguf::{self, Array, Value};
use formats::{Format, Model};
use serde_json::{Value as Json, json};

use super::export::Target;
use super::facts::{Facts, Training};
use super::place::{self, cannot_write};
use super::verify::Verified;
use crate::out;

/// Largest difference of logits that the verification found; NaN where there was none.
const DIFFERENCE: &str = "general.verification.largest_difference";

/// Writes `README.md` into the folder `dir`.
///
/// # Errors
/// 73 and 74.
pub fn write(dir: &Path, facts: &Facts, model: &Model, target: Target, verified: Option<&Verified>) -> anyhow::Result<()> {
    let path = dir.join("README.md");
    let mut text = front_matter(facts, model);
    text += &format!("\n# {}\n\n", facts.name);
    text += &format!("{}\n\n| | |\n|---|---|\n", sentence(facts, model));
    for (name, value) in rows(facts, model, target, verified) {
        text += &format!("| {name} | {} |\n", value.replace('|', "\\|").replace('\n', " "));
    }
    place::write(&path, text.as_bytes())
}

fn architecture(model: &Model) -> String {
    format!("{:?}", model.spec().family).to_lowercase()
}

fn tags(model: &Model) -> Vec<String> {
    vec!["text-generation".into(), "autoane".into(), architecture(model)]
}

/// A text as YAML has it; JSON's form is one of them.
fn yaml(text: &str) -> String {
    json!(text).to_string()
}

fn front_matter(facts: &Facts, model: &Model) -> String {
    let mut text = String::from("---\n");
    if let Some(license) = &facts.license {
        text += &format!("license: {license}\n");
    }
    text += "library_name: transformers\npipeline_tag: text-generation\n";
    if let Some(base) = &facts.base {
        text += &format!("base_model: {}\n", yaml(base));
    }
    text += "tags:\n";
    tags(model).iter().for_each(|tag| text += &format!("- {tag}\n"));
    if let Some((data, training)) = facts.training.as_ref().and_then(|t| Some((data_name(t)?, t)))
        && let Some(eval) = &training.state.progress.last
    {
        let value = eval.loss.value;
        text += &format!("model-index:\n- name: {}\n  results:\n  - task:\n      type: text-generation\n", yaml(&facts.name));
        text += &format!("    dataset:\n      name: {0}\n      type: {0}\n    metrics:\n", yaml(&data));
        text += &format!("    - type: loss\n      name: cross-entropy, nats a token\n      value: {value:.4}\n");
    }
    text + "---\n"
}

fn data_name(training: &Training) -> Option<String> {
    let name = training.run.as_ref()?.data["data"].as_str()?;
    // the folder of somebody's machine is nobody's business
    Path::new(name).file_name().map(|n| n.to_string_lossy().into_owned())
}

/// What it is, in one sentence.
fn sentence(facts: &Facts, model: &Model) -> String {
    let params = out::count(model.layout().len() as f64);
    let what = format!("A model of {params} parameters of the architecture {}", architecture(model));
    match (&facts.training, &facts.base) {
        (Some(_), Some(base)) => format!("{what}, fine-tuned from {base} by autoane on a CPU."),
        (Some(_), None) => format!("{what}, trained from scratch by autoane on a CPU."),
        (None, Some(base)) => format!("{what}, converted from {base} by autoane."),
        (None, None) => format!("{what}, converted by autoane."),
    }
}

/// Names and values, for people.
fn rows(facts: &Facts, model: &Model, target: Target, verified: Option<&Verified>) -> Vec<(&'static str, String)> {
    let s = model.spec();
    let shape = format!("{} layers of {}, {} heads ({} for keys), {} tokens", s.layers, s.dim, s.heads, s.kv_heads, s.vocab);
    let mut rows = vec![("shape", shape), ("weights", target.encoding.name().to_owned())];
    if let Some(training) = &facts.training {
        rows.extend(training_rows(training));
    }
    let text = match verified {
        Some(v) => format!("read again and compared with the source: {v}"),
        None => "not verified after conversion".to_owned(),
    };
    rows.push(("conversion", text));
    rows
}

fn training_rows(training: &Training) -> Vec<(&'static str, String)> {
    let progress = &training.state.progress;
    let mut rows = vec![
        ("optimizer steps", training.state.step.to_string()),
        ("tokens seen", progress.spent.tokens.to_string()),
        ("training time", format!("{:.0} s", progress.spent.seconds)),
    ];
    if let Some(eval) = &progress.last {
        let loss = out::estimate(eval.loss.value, eval.loss.se, 4);
        rows.push(("validation loss", format!("{loss} nats a token over {} tokens", eval.tokens)));
        if let Some(bpb) = &eval.bpb {
            rows.push(("bits a byte", out::estimate(bpb.value, bpb.se, 4)));
        }
    }
    if let Some(map) = &training.map {
        let why = "the loss above is over these alone";
        rows.push(("ids seen in training", format!("{} of {}; {why}", map.full_of.len(), map.full_vocab)));
    }
    let Some(run) = &training.run else { return rows };
    rows.extend(data_name(training).map(|name| ("data", name)));
    if let Some(hash) = run.data["tokens_sha256"].as_str() {
        rows.push(("sha256 of the tokens", hash.to_owned()));
    }
    rows.push(("seed", run.config.seed.to_string()));
    rows.push(("hardware", hardware(&run.environment)));
    rows.push(("program", format!("autoane {}", words(&run.environment, &["version", "commit"]))));
    rows
}

fn hardware(environment: &Json) -> String {
    let memory = environment["memory_bytes"].as_u64().map_or_else(String::new, |n| format!(", {} of memory", out::bytes(n)));
    let threads = environment["threads"].as_u64().map_or_else(String::new, |n| format!(", {n} threads"));
    format!("{}{threads}{memory}", words(environment, &["cpu", "os", "arch"]))
}

fn words(environment: &Json, keys: &[&str]) -> String {
    keys.iter().filter_map(|key| environment[*key].as_str()).collect::<Vec<_>>().join(" ")
}

/// The same facts as keys of a GGUF file; with a place for the difference where one will be measured.
pub fn gguf_keys(facts: &Facts, model: &Model, path: &Path, verify: bool) -> gguf::Metadata {
    let mut keys = gguf::Metadata::new(path);
    let mut add = |key: &str, value: Value| _ = keys.insert(key, value);
    let text = |t: &str| Value::Text(t.to_owned());
    for (key, value) in &facts.general {
        add(key, value.clone());
    }
    add("general.name", text(&facts.name));
    add("general.size_label", text(&size_label(model.layout().len())));
    if let Some(license) = &facts.license {
        add("general.license", text(license));
    }
    if let Some(base) = facts.base.as_ref().filter(|_| model.format() != Format::Gguf) {
        add("general.base_model.count", Value::U32(1));
        add("general.base_model.0.name", text(base));
    }
    if let Some(training) = &facts.training {
        if let Some(data) = data_name(training) {
            add("general.dataset.count", Value::U32(1));
            add("general.dataset.0.name", text(&data));
        }
        let facts = training_rows(training).into_iter().map(|(name, value)| format!("{name}: {value}"));
        let facts: Vec<String> = facts.collect();
        add("general.description", text(&facts.join("; ")));
    }
    add("general.tags", Value::List(Array::Text(tags(model).into_iter().collect())));
    if verify {
        add(DIFFERENCE, Value::F64(f64::NAN));
    }
    keys
}

/// Parameters as the hub labels them: 135M, 1.1B.
fn size_label(params: usize) -> String {
    let n = params as f64;
    match n {
        _ if n >= 1e9 => format!("{:.1}B", n / 1e9),
        _ if n >= 1e6 => format!("{:.0}M", n / 1e6),
        _ => format!("{:.0}K", n / 1e3),
    }
}

/// Puts the difference that was measured into the GGUF file at `path`, over the place that was kept for it.
///
/// # Errors
/// 73 and 74.
pub fn note_difference(path: &Path, verified: Option<&Verified>) -> anyhow::Result<()> {
    let Some(verified) = verified else { return Ok(()) };
    let container = gguf::Container::open(path)?;
    let header = container.tensors().first().map_or(0, |t| t.start);
    let mut bytes = vec![0; header as usize];
    let file = File::options().read(true).write(true).open(path).map_err(|e| cannot_write(path, &e))?;
    file.read_exact_at(&mut bytes, 0).map_err(|e| cannot_write(path, &e))?;
    // key, type of the value, value
    let mark = [DIFFERENCE.as_bytes(), &12u32.to_le_bytes(), &f64::NAN.to_le_bytes()].concat();
    let Some(at) = bytes.windows(mark.len()).position(|w| w == mark) else { return Ok(()) };
    let at = (at + mark.len() - 8) as u64;
    let written = file.write_all_at(&verified.largest.to_le_bytes(), at).and_then(|()| file.sync_all());
    written.map_err(|e| cannot_write(path, &e))
}
