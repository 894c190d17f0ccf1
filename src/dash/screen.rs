//! The screen: what stands where, in any size from 40x10 on.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::app::{App, View};
use super::plots;
use super::tables;
use super::view::RunView;
use crate::out;

/// Columns and lines from which everything fits on one screen.
const WIDE: (u16, u16) = (150, 40);
const KEYS: &str = "q quit  1-5 view  up/down run  space compare  s stop  c save  r resume  ? keys";
const HELP: [&str; 12] = [
    "1 2 3 4 5, Tab    curves, machine, text, log, runs",
    "up, down          the run that is shown",
    "space             draw this run beside the others, or no longer",
    "PgUp, PgDn        scroll log and texts; p: follow the end or stay",
    "c                 the run saves a checkpoint and goes on",
    "s                 the run saves and stops",
    "r                 the run goes on in a process of its own, which stays when this ends",
    "g                 the run's best checkpoint writes a text",
    "?                 these keys",
    "q, Esc, Ctrl-C    leave; runs are not touched",
    "",
    "Only events.jsonl is read: a run does not notice.",
];

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    let [head, body, foot] = Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(header(app)), head);
    let note = if app.message.is_empty() { KEYS } else { &app.message };
    frame.render_widget(Paragraph::new(note).style(dim(app)), foot);
    if app.help {
        let lines: Vec<Line<'_>> = HELP.iter().map(|l| Line::from(*l)).collect();
        frame.render_widget(Paragraph::new(lines).block(Block::bordered().title("keys")), body);
        return;
    }
    match app.run() {
        None => frame.render_widget(Paragraph::new("no run here yet: `autoane train` makes one; this waits for it"), body),
        Some(run) if (body.width, body.height) >= WIDE && body.height >= WIDE.1 => everything(frame, body, app, run),
        Some(run) => one(frame, body, app, run, app.view),
    }
}

fn one(frame: &mut Frame<'_>, area: Rect, app: &App, run: &RunView, view: View) {
    match view {
        View::Curves => curves(frame, area, app, run),
        View::Machine => machine(frame, area, app, run),
        View::Text => text(frame, area, app, run),
        View::Log => log(frame, area, app, run),
        View::Runs => tables::runs(frame, area, app),
    }
}

/// All views beside each other.
fn everything(frame: &mut Frame<'_>, area: Rect, app: &App, run: &RunView) {
    let [left, right] = Layout::horizontal([Constraint::Percentage(60), Constraint::Percentage(40)]).areas(area);
    let [top, middle] = Layout::vertical([Constraint::Percentage(55), Constraint::Percentage(45)]).areas(left);
    curves(frame, top, app, run);
    machine(frame, middle, app, run);
    let sizes = [Constraint::Percentage(30), Constraint::Percentage(40), Constraint::Percentage(30)];
    let [runs, texts, happened] = Layout::vertical(sizes).areas(right);
    tables::runs(frame, runs, app);
    text(frame, texts, app, run);
    log(frame, happened, app, run);
}

fn header(app: &App) -> Vec<Line<'static>> {
    let views = View::ALL.iter().enumerate().map(|(i, (view, name))| {
        let style = if *view == app.view { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
        Span::styled(format!(" {} {name} ", i + 1), style)
    });
    let Some(run) = app.run() else { return vec![Line::from(" autoane dash"), Line::from(views.collect::<Vec<_>>())] };
    let model = run.started.as_ref().map_or_else(String::new, |s| {
        format!("  {}, {} weights, {}, {}", s.model, out::count(s.params as f64), s.method, s.device)
    });
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let title = Line::from(vec![Span::styled(format!(" {} ", run.name), bold), Span::raw(format!("{}{model}", run.status()))]);
    vec![title, Line::from(views.collect::<Vec<_>>())]
}

fn curves(frame: &mut Frame<'_>, area: Rect, app: &App, run: &RunView) {
    let facts = tables::facts(run);
    let beside = area.width >= 76;
    let [chart, side] = if beside {
        Layout::horizontal([Constraint::Min(40), Constraint::Length(30)]).areas(area)
    } else {
        Layout::vertical([Constraint::Min(6), Constraint::Length((facts.len() as u16).min(area.height / 3))]).areas(area)
    };
    let small = chart.height >= 16;
    let [loss, rest] = if small {
        Layout::vertical([Constraint::Percentage(62), Constraint::Percentage(38)]).areas(chart)
    } else {
        Layout::vertical([Constraint::Min(1), Constraint::Length(0)]).areas(chart)
    };
    plots::loss(frame, loss, app);
    if small {
        let thirds = [Constraint::Ratio(1, 3); 3];
        let [speed, rate, norm] = Layout::horizontal(thirds).areas(rest);
        let steps = |f: fn(&train::events::Step) -> f64| run.steps.iter().map(move |s| [s.step as f64, f(s)]);
        plots::small(frame, speed, "tokens/s", steps(|s| s.tokens_per_second), app);
        plots::small(frame, rate, "learning rate", steps(|s| f64::from(s.lr)), app);
        plots::small(frame, norm, "gradient norm", steps(|s| s.grad_norm), app);
    }
    tables::pairs(frame, side, "now", &facts);
}

fn machine(frame: &mut Frame<'_>, area: Rect, app: &App, run: &RunView) {
    let [top, bottom] = Layout::vertical([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(area);
    let [parts, device] = Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(top);
    tables::parts(frame, parts, run);
    tables::pairs(frame, device, "machine and device", &tables::machine(run));
    let [cpu, memory, power] = Layout::horizontal([Constraint::Ratio(1, 3); 3]).areas(bottom);
    let usage = |f: fn(&train::events::Usage) -> Option<f64>| run.usage.iter().filter_map(move |u| Some([u.seconds, f(u)?]));
    plots::small(frame, cpu, "processor, %", usage(|u| u.machine.cpu_percent), app);
    let memory_of = run.steps.iter().map(|s| [s.step as f64, s.rss_bytes as f64 / 1e6]);
    plots::small(frame, memory, "memory, MB", memory_of, app);
    if usage(|u| u.machine.watts).next().is_some() {
        plots::small(frame, power, "power, W", usage(|u| u.machine.watts), app);
    } else {
        plots::small(frame, power, "heat, Celsius", usage(|u| u.machine.celsius), app);
    }
}

fn text(frame: &mut Frame<'_>, area: Rect, app: &App, run: &RunView) {
    let newest = run.samples.len().saturating_sub(1 + app.scroll.min(run.samples.len()));
    let (title, body) = match (&app.generated, run.samples.get(newest)) {
        (Some(text), _) => ("asked for with g".to_owned(), text.clone()),
        (None, Some(s)) => (format!("sample after step {}", s.step), format!("{}{}", s.prompt, s.text.trim())),
        (None, None) => ("samples".to_owned(), "none yet; g lets the best checkpoint write one".to_owned()),
    };
    frame.render_widget(Paragraph::new(body).wrap(Wrap { trim: false }).block(Block::bordered().title(title)), area);
}

fn log(frame: &mut Frame<'_>, area: Rect, app: &App, run: &RunView) {
    let room = area.height.saturating_sub(2) as usize;
    let end = run.log.len().saturating_sub(app.scroll);
    let shown = &run.log[end.saturating_sub(room)..end];
    let lines: Vec<Line<'_>> = shown.iter().map(|l| Line::styled(l.as_str(), tone(l, app))).collect();
    let title = if app.scroll == 0 { "log" } else { "log, not following (p follows)" };
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(title)), area);
}

fn tone(line: &str, app: &App) -> Style {
    if !app.colour {
        return Style::new();
    }
    let warns = line.contains("warning:") || line.contains("back from");
    if warns { Style::new().fg(Color::Yellow) } else { Style::new() }
}

fn dim(app: &App) -> Style {
    if app.colour { Style::new().fg(Color::DarkGray) } else { Style::new() }
}
