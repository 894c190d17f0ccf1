//! What a path that is not the wanted thing is instead, and what to type: said in place of "no config.json".

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{CHECKPOINTS, is_checkpoint, is_run};
use crate::config::nearest;

/// Runs that a message lists at most.
const LISTED: usize = 8;

/// Why `path` is no model and what to pass instead; none when it may be one.
pub fn instead_of_model(path: &Path) -> Option<String> {
    if !path.exists() {
        return Some(format!("{}: no such file or folder{}", path.display(), like(path)));
    }
    if !path.is_dir() || path.join("config.json").exists() {
        return None;
    }
    if data::Prepared::is_one(path) {
        let what = "is a prepared folder of tokens, not a model";
        return Some(format!("{} {what}; pass it as --data, and a run or a model folder as MODEL", path.display()));
    }
    if let Some(run) = run_around(path) {
        let what = "is a part of a run, not a model";
        return Some(format!("{} {what}; pass the run, {}, or one of its {CHECKPOINTS}", path.display(), run.display()));
    }
    let runs = runs_inside(path);
    if runs.is_empty() {
        let wanted = "expected a run, a checkpoint, or a model folder with config.json and model.safetensors";
        return Some(format!("{}: {wanted}; found {}", path.display(), contents(path)));
    }
    Some(listed(path, "not a model", &runs))
}

/// Why `path` is no run, and what to pass instead.
pub fn instead_of_run(path: &Path) -> String {
    if !path.exists() {
        return format!("expected a run folder, found nothing there{}", like(path));
    }
    if let Some(run) = run_around(path) {
        return format!("expected a run folder, found a part of one; pass {}", run.display());
    }
    if is_checkpoint(path) || path.join("config.json").is_file() {
        return "expected a run folder, found a model; `autoane train MODEL` trains it further in a new run".to_owned();
    }
    let runs = runs_inside(path);
    if runs.is_empty() {
        let found = format!("a folder without {}", crate::config::RESOLVED_FILE);
        return format!("expected a run folder, found {}", if path.is_dir() { found } else { "a file".to_owned() });
    }
    format!("expected a run folder, found that {}", listed(path, "not a run", &runs))
}

/// The run that `path` lies in.
pub(super) fn run_around(path: &Path) -> Option<PathBuf> {
    let whole = std::path::absolute(path).ok()?;
    whole.ancestors().skip(1).take(3).find(|p| is_run(p)).map(|run| {
        // as it was typed, where that is possible
        path.ancestors().find(|p| std::path::absolute(p).is_ok_and(|p| p == run)).unwrap_or(run).to_path_buf()
    })
}

/// Runs directly in `folder`, the newest first.
fn runs_inside(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let written = |run: &Path| fs::metadata(run.join(crate::config::RESOLVED_FILE)).and_then(|m| m.modified());
    let mut runs: Vec<(SystemTime, PathBuf)> =
        entries.filter(|p| is_run(p)).map(|p| (written(&p).unwrap_or(SystemTime::UNIX_EPOCH), p)).collect();
    runs.sort_by(|a, b| b.cmp(a));
    runs.into_iter().map(|(_, path)| path).collect()
}

fn listed(path: &Path, is_not: &str, runs: &[PathBuf]) -> String {
    let number = if runs.len() == 1 { "a run".to_owned() } else { format!("{} runs", runs.len()) };
    let mut text = format!("{} holds {number} and is {is_not}; pass one of them, the newest first:", path.display());
    runs.iter().take(LISTED).for_each(|run| text += &format!("\n  {}", run.display()));
    if runs.len() > LISTED {
        text += &format!("\n  and {} more", runs.len() - LISTED);
    }
    text
}

/// A few names in a folder.
fn contents(folder: &Path) -> String {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    match names.len() {
        0 => "an empty folder".to_owned(),
        1..=4 => names.join(", "),
        n => format!("{} and {} more", names[..3].join(", "), n - 3),
    }
}

/// What may have been meant by a path where nothing is.
fn like(path: &Path) -> String {
    let typed = path.to_string_lossy();
    if model::preset(&typed).is_some() {
        return format!("; {typed} is a preset, which has no weights: `autoane train {typed}` makes a run with some");
    }
    let in_runs = Path::new("runs").join(path);
    if path.is_relative() && in_runs.exists() {
        return format!("; did you mean {}?", in_runs.display());
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let (names, name) = (names.collect::<Vec<_>>(), path.file_name().unwrap_or_default().to_string_lossy());
    let near = nearest(&name, names.iter().map(String::as_str)).map(|n| folder.join(n));
    near.map_or_else(String::new, |near| format!("; did you mean {}?", near.strip_prefix(".").unwrap_or(&near).display()))
}
