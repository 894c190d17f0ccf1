//! Run folders: what was trained, how far it came, which checkpoints are whole.

use std::path::Path;

use serde_json::{Value as Json, json};
use train::checkpoint::{CheckpointStore, verify};
use train::events::{Event, read};

use super::Report;
use crate::config::{Resolved, SETTINGS, Sources};
use crate::{exit, place};

/// Describes the run in `folder`.
pub fn describe(folder: &Path) -> anyhow::Result<Report> {
    let mut report = Report::new("run");
    let resolved = Resolved::of(&Sources { resume: Some(folder.to_path_buf()), ..Sources::default() })?;
    report.fact("model", resolved.config.model.clone());
    report.fact("data", resolved.config.data.clone());
    report.fact("seed", resolved.config.seed);
    add_events(&mut report, &folder.join("events.jsonl"))?;
    add_checkpoints(&mut report, folder)?;
    let settings = SETTINGS.iter().map(|s| (s.key.to_owned(), (s.get)(&resolved.config)));
    report.fact("config", Json::Object(settings.collect()));
    Ok(report)
}

fn add_events(report: &mut Report, path: &Path) -> anyhow::Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let record = read(path)?;
    report.fact("events", record.events.len());
    if record.skipped > 0 {
        report.fact("unreadable_events", record.skipped);
    }
    let finished = matches!(record.events.last(), Some(Event::Finished(_)));
    report.fact("finished", finished);
    let step = record.events.iter().rev().find_map(|e| if let Event::Step(s) = e { Some(s) } else { None });
    if let Some(s) = step {
        report.fact("steps", s.step);
        report.fact("tokens", s.tokens);
        report.fact("seconds", s.seconds);
        report.fact("train_loss", s.loss);
    }
    let eval = record.events.iter().rev().find_map(|e| if let Event::Eval(e) = e { Some(e) } else { None });
    if let Some(e) = eval {
        report.fact("val_loss", e.val_loss);
        report.fact("val_loss_se", e.val_loss_se);
        report.fact("val_bpb", json!(e.val_bpb));
    }
    Ok(())
}

fn add_checkpoints(report: &mut Report, folder: &Path) -> anyhow::Result<()> {
    let dir = folder.join(place::CHECKPOINTS);
    if !dir.is_dir() {
        report.fact("checkpoints", json!([]));
        return Ok(());
    }
    let store = CheckpointStore::view(&dir);
    let (mut rows, mut list, mut whole) = (Vec::new(), Vec::new(), 0);
    for step in store.steps()? {
        let problem = verify(&store.path_of(step)).err().map(|e| e.to_string());
        let marks: Vec<&str> = [(store.best() == Some(step), "best"), (store.last() == Some(step), "last")]
            .iter()
            .filter(|m| m.0)
            .map(|m| m.1)
            .collect();
        whole += usize::from(problem.is_none());
        rows.push(vec![step.to_string(), marks.join(", "), problem.clone().unwrap_or_else(|| "whole".to_owned())]);
        list.push(json!({ "step": step, "marks": marks, "whole": problem.is_none(), "problem": problem }));
    }
    report.fact("best_step", json!(store.best()));
    report.fact("last_step", json!(store.last()));
    if !rows.is_empty() {
        report.more.push(crate::out::align(&["checkpoint", "is", "integrity"], &rows));
        if whole < rows.len() {
            let what = match whole {
                0 => "no checkpoint is whole".to_owned(),
                _ => format!("{} of {} checkpoints are damaged: a resume passes over them", rows.len() - whole, rows.len()),
            };
            report.problem = Some((exit::BAD_DATA, format!("{}: {what}", dir.display())));
        }
    }
    report.fact("checkpoints", json!(list));
    Ok(())
}
