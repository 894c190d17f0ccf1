//! Figures of the dashboard: names and values, parts of a step, the list of runs.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table};

use super::app::App;
use super::view::RunView;
use crate::out;

/// A name and a value.
pub type Fact = (&'static str, String);

/// What stands beside the curves.
pub fn facts(run: &RunView) -> Vec<Fact> {
    let mut facts: Vec<Fact> = Vec::new();
    if let Some(s) = run.last() {
        facts.push(("step", s.step.to_string()));
        facts.push(("loss", format!("{:.4}", s.loss)));
    }
    if let Some(e) = run.evals.last() {
        facts.push(("validation", format!("{:.4} ± {:.4}", e.val_loss, e.val_loss_se)));
    }
    if let Some(e) = run.best() {
        facts.push(("best", format!("{:.4} at {}", e.val_loss, e.step)));
    }
    if let Some(b) = run.evals.last().and_then(|e| e.val_bpb) {
        facts.push(("bits a byte", format!("{b:.4}")));
    }
    if let Some(s) = run.last() {
        let recent = &run.steps[run.steps.len().saturating_sub(20)..];
        let speed = recent.iter().map(|s| s.tokens_per_second).filter(|v| v.is_finite()).sum::<f64>() / recent.len() as f64;
        facts.push(("tokens/s", out::count(speed)));
        facts.push(("tokens", out::count(s.tokens as f64)));
        facts.push(("elapsed", format!("{:.0} s", s.seconds)));
        facts.push(("learning rate", format!("{:.2e}", s.lr)));
        facts.push(("gradient norm", format!("{:.3}", s.grad_norm)));
        facts.push(("memory", out::bytes(s.rss_bytes)));
    }
    facts
}

/// What the machine and a device say.
pub fn machine(run: &RunView) -> Vec<Fact> {
    let m = run.machine();
    let or_not = |v: Option<String>| v.unwrap_or_else(|| "not told here".to_owned());
    let mut facts = vec![
        ("processor", or_not(m.cpu_percent.map(|p| format!("{p:.0}% of one")))),
        ("heat", or_not(m.celsius.map(|c| format!("{c:.0} Celsius")).or(m.thermal))),
        ("power", or_not(m.watts.map(|w| format!("{w:.1} W")))),
    ];
    let usage = run.usage.last();
    if let Some(u) = usage {
        facts.push(("evaluations", format!("{:.1} s", u.evaluation_seconds)));
        facts.push(("checkpoints", format!("{:.1} s", u.saving_seconds)));
    }
    if let Some(d) = usage.and_then(|u| u.device.as_ref()) {
        facts.push(("programs", format!("{} in {:.1} s", d.compiles, d.compile_seconds)));
        facts.push(("dispatches", d.dispatches.to_string()));
        facts.push(("staging, read", format!("{:.1} s, {:.1} s", d.stage_seconds, d.read_seconds)));
        let speed = d.flops / d.evaluate_seconds.max(1e-9) / 1e12;
        facts.push(("evaluate", format!("{:.1} s, {speed:.3} TFLOP/s", d.evaluate_seconds)));
    }
    facts
}

/// Names and values in a box.
pub fn pairs(frame: &mut Frame<'_>, area: Rect, title: &str, facts: &[Fact]) {
    let lines: Vec<Line<'_>> = facts.iter().map(|(name, value)| Line::from(format!("{name:<14}{value}"))).collect();
    let block = if area.height > 3 { Block::bordered().title(title.to_owned()) } else { Block::new() };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// Where the time of a step goes, with bars.
pub fn parts(frame: &mut Frame<'_>, area: Rect, run: &RunView) {
    let parts = run.parts_of_step();
    let whole = parts.first().map_or(1.0, |p| p.1).max(1e-9);
    let room = f64::from(area.width.saturating_sub(34));
    let line = |(name, ms): &(&str, f64)| {
        let bar = "#".repeat((ms / whole * room).clamp(0.0, room) as usize);
        Line::from(format!("{name:<18}{ms:>9.1} ms {bar}"))
    };
    let lines: Vec<Line<'_>> =
        if parts.is_empty() { vec![Line::from("not measured yet (every 2 s)")] } else { parts.iter().map(line).collect() };
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("a step")), area);
}

/// All runs, with the difference of their last validation loss to the one that is shown.
pub fn runs(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let reference = app.run().and_then(|r| r.evals.last()).map(|e| e.val_loss);
    let row = |(i, run): (usize, &RunView)| {
        let mark = if app.compared.contains(&run.path) { "*" } else { " " };
        let eval = run.evals.last();
        let loss = eval.map_or_else(|| "-".to_owned(), |e| format!("{:.4} ± {:.4}", e.val_loss, e.val_loss_se));
        let difference = eval.zip(reference).map_or_else(String::new, |(e, r)| format!("{:+.4}", e.val_loss - r));
        let step = run.last().map_or(0, |s| s.step).to_string();
        let row = Row::new([format!("{mark} {}", run.name), run.status().to_owned(), step, loss, difference]);
        if i == app.selected { row.style(Style::new().add_modifier(Modifier::REVERSED)) } else { row }
    };
    // the selected run is always in sight
    let room = area.height.saturating_sub(3).max(1) as usize;
    let first = (app.selected + 1).saturating_sub(room);
    let rows: Vec<Row<'_>> = app.runs.iter().enumerate().skip(first).take(room).map(row).collect();
    let widths =
        [Constraint::Min(16), Constraint::Length(11), Constraint::Length(8), Constraint::Length(17), Constraint::Length(9)];
    let head = Row::new(["  run", "state", "step", "validation", "to shown"]);
    let title = "runs (space compares)";
    frame.render_widget(Table::new(rows, widths).header(head).block(Block::bordered().title(title)), area);
}
