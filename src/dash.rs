//! The dashboard: follows `events.jsonl` of runs and knows nothing of training. It can start and end at any time; a run does
//! not notice it.

mod app;
mod control;
mod follow;
mod plots;
mod screen;
mod tables;
mod view;

#[cfg(test)]
mod tests;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use serde_json::{Value as Json, json};

use app::App;

use crate::exit::{self, Exit};
use crate::out::Out;
use crate::stop::Stop;

/// Time between two looks at the runs: each reads, thinks and draws, on a machine that has better things to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Time between two looks at whether a signal came.
const LISTEN_EVERY: Duration = Duration::from_millis(250);
/// Columns and lines of the one screen that is printed where there is no terminal.
const PLAIN: (u16, u16) = (80, 24);

/// Shows the run, or the runs in the folder, `path`.
///
/// # Errors
/// 66 when there is nothing; those of the terminal.
pub fn run(path: &Path, once: bool, out: Out) -> anyhow::Result<()> {
    if !path.exists() {
        let next = "`autoane train` makes runs/NAME; pass a run, or a folder of runs";
        let what = format!("{}: expected a run or a folder of runs, found nothing there; {next}", path.display());
        return Err(Exit::new(exit::MISSING, what).into());
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb");
    let mut app = App::new(path, !set("NO_COLOR"));
    while app.look() {}
    if once || out.is_json() || dumb || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        out.line(plain(&app, size())?)?;
        return out.json(&json!({ "runs": app.runs.iter().map(state).collect::<Vec<_>>() }));
    }
    let stop = Stop::listen()?;
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    let shown = follow(&mut app, &mut terminal, &stop);
    ratatui::restore();
    shown?;
    stop.check()
}

/// Draws, looks, hears keys, until one of them or a signal says to leave.
fn follow(app: &mut App, terminal: &mut ratatui::DefaultTerminal, stop: &Stop) -> anyhow::Result<()> {
    while stop.check().is_ok() {
        terminal.draw(|frame| screen::draw(frame, app))?;
        let looked = Instant::now();
        let mut heard = false;
        while !heard && looked.elapsed() < LOOK_EVERY && stop.check().is_ok() {
            heard = event::poll(LISTEN_EVERY)?;
        }
        if heard
            && let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && !app.key(key)
        {
            break;
        }
        app.look();
    }
    Ok(())
}

/// `COLUMNS` and `LINES` where they are set, within reason.
fn size() -> (u16, u16) {
    let of = |name: &str, or: u16| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or).clamp(40, 400);
    (of("COLUMNS", PLAIN.0), of("LINES", PLAIN.1).max(10))
}

/// One screen as text.
fn plain(app: &App, (columns, lines): (u16, u16)) -> anyhow::Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines))?;
    terminal.draw(|frame| screen::draw(frame, app))?;
    let mut text = Vec::new();
    let buffer = terminal.backend().buffer();
    for y in 0..lines {
        let line: String = (0..columns).map(|x| buffer[(x, y)].symbol()).collect();
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// A run for programs.
fn state(run: &view::RunView) -> Json {
    let last = run.last();
    json!({
        "run": run.path, "status": run.status(), "step": last.map(|s| s.step), "loss": last.map(|s| s.loss),
        "tokens_per_second": last.map(|s| s.tokens_per_second), "val_loss": run.evals.last().map(|e| e.val_loss),
        "best_val_loss": run.best().map(|e| e.val_loss), "rss_bytes": last.map(|s| s.rss_bytes),
        "machine": run.machine(), "usage": run.usage.last(),
    })
}
