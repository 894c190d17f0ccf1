//! What the dashboard knows of one run: made from its events alone.

use std::path::{Path, PathBuf};

use train::events::{Eval, Event, Finished, Machine, Sample, Started, Step, Usage};

use super::follow::Follow;

/// Lines of the log that are kept.
const KEPT_LINES: usize = 2000;

/// One run.
#[derive(Debug)]
pub struct RunView {
    /// Its folder.
    pub path: PathBuf,
    /// Name of the folder.
    pub name: String,
    follow: Follow,
    /// Its beginning.
    pub started: Option<Started>,
    /// Its end, unless it goes on.
    pub finished: Option<Finished>,
    /// Whether it waits for the machine.
    pub paused: bool,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Its evaluations.
    pub evals: Vec<Eval>,
    /// What it used, every few seconds.
    pub usage: Vec<Usage>,
    /// Its samples.
    pub samples: Vec<Sample>,
    /// One line for each other thing that happened.
    pub log: Vec<String>,
}

impl RunView {
    /// The run in `path`, not yet looked at.
    pub fn new(path: &Path) -> RunView {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let name = absolute.file_name().unwrap_or(absolute.as_os_str()).to_string_lossy().into_owned();
        RunView {
            path: path.to_owned(),
            name: clean(&name),
            follow: Follow::new(path),
            started: None,
            finished: None,
            paused: false,
            steps: Vec::new(),
            evals: Vec::new(),
            usage: Vec::new(),
            samples: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Takes in what is new; true while there is more at once.
    pub fn look(&mut self) -> bool {
        let found = self.follow.look();
        if found.anew {
            let follow = std::mem::replace(&mut self.follow, Follow::new(&self.path));
            *self = RunView { follow, ..RunView::new(&self.path) };
        }
        found.events.into_iter().for_each(|event| self.take(event));
        found.more
    }

    fn take(&mut self, event: Event) {
        if let Some(line) = told(&event) {
            if self.log.len() == KEPT_LINES {
                self.log.remove(0);
            }
            self.log.push(clean(&line));
        }
        match event {
            Event::Started(s) | Event::Resumed(s) => (self.started, self.finished, self.paused) = (Some(s), None, false),
            Event::Paused(_) => self.paused = true,
            Event::Continued(_) => self.paused = false,
            Event::Step(s) => self.steps.push(s),
            Event::Eval(e) => self.evals.push(e),
            Event::Usage(u) => self.usage.push(u),
            Event::Sample(s) => self.samples.push(Sample { text: clean(&s.text), prompt: clean(&s.prompt), ..s }),
            Event::Finished(f) => self.finished = Some(f),
            Event::Rollback(r) => self.steps.retain(|s| s.step <= r.step),
            _ => {}
        }
    }

    /// `running` or `paused`, or the word it ended with.
    pub fn status(&self) -> &str {
        self.finished.as_ref().map_or(if self.paused { "paused" } else { "running" }, |f| &f.status)
    }

    /// The last step.
    pub fn last(&self) -> Option<&Step> {
        self.steps.last()
    }

    /// The lowest validation loss.
    pub fn best(&self) -> Option<&Eval> {
        self.evals.iter().filter(|e| e.val_loss.is_finite()).min_by(|a, b| a.val_loss.total_cmp(&b.val_loss))
    }

    /// What the machine last said.
    pub fn machine(&self) -> Machine {
        self.usage.last().map(|u| u.machine.clone()).unwrap_or_default()
    }

    /// Parts of a step in milliseconds, over the last stretch that was measured.
    pub fn parts_of_step(&self) -> Vec<(&'static str, f64)> {
        let Some(now) = self.usage.last() else { return Vec::new() };
        let none = Usage::default();
        let earlier = self.usage.len().checked_sub(2).and_then(|i| self.usage.get(i));
        // a new session counts from zero again
        let before = earlier.filter(|b| b.steps < now.steps).unwrap_or(&none);
        let steps = (now.steps - before.steps).max(1) as f64;
        let ms = |f: fn(&Usage) -> f64| 1e3 * (f(now) - f(before)) / steps;
        let (whole, gradient, data) = (ms(|u| u.step_seconds), ms(|u| u.gradient_seconds), ms(|u| u.data_seconds));
        let (refresh, optimizer) = (ms(|u| u.refresh_seconds), ms(|u| u.optimizer_seconds));
        vec![
            ("whole step", whole),
            ("forward, backward", gradient - data),
            ("reading data", data),
            ("weights to device", refresh),
            ("optimizer", optimizer),
            ("the rest", (whole - gradient - refresh - optimizer).max(0.0)),
        ]
    }
}

/// The line of an event in the log; steps have none, there are too many.
fn told(event: &Event) -> Option<String> {
    let text = match event {
        Event::Started(s) => format!("started {}, {} weights, {}", s.model, s.params, s.device),
        Event::Resumed(_) => "resumed".to_owned(),
        Event::Eval(e) => format!("validation loss {:.4} ± {:.4}", e.val_loss, e.val_loss_se),
        Event::Saved(s) => format!("saved {}{}", s.path, if s.best { ", the best" } else { "" }),
        Event::Sample(_) => "wrote a sample".to_owned(),
        Event::Rollback(r) => format!("back from step {}: {}", r.failed_step, r.reason),
        Event::Warning(w) => format!("warning: {}", w.message),
        Event::Paused(p) => format!("paused: {}", p.reason),
        Event::Continued(c) => format!("goes on after {:.0} s", c.paused_seconds),
        Event::Finished(f) => format!("ended: {}", f.status),
        Event::Step(_) | Event::Usage(_) => return None,
    };
    Some(format!("step {}: {text}", event.step()))
}

/// Text of a model without what would move the cursor or turn the direction of a terminal.
pub fn clean(text: &str) -> String {
    let bad = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if bad(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// Runs that `path` means: itself, or those in it, the last one changed first.
pub fn runs_at(path: &Path) -> Vec<PathBuf> {
    let is_run = |p: &Path| p.join("events.jsonl").is_file();
    if is_run(path) {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).map(|e| e.path());
    let changed = |p: &Path| p.join("events.jsonl").metadata().and_then(|m| m.modified()).ok();
    let mut runs: Vec<PathBuf> = entries.filter(|p| is_run(p)).collect();
    runs.sort_by_key(|p| std::cmp::Reverse(changed(p)));
    runs
}
