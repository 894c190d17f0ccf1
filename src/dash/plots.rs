//! Curves of the dashboard, in braille.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::Span;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType};

use super::app::App;
use crate::report::svg::short;

/// Points that a curve is thinned to: a terminal has fewer columns.
const POINTS: usize = 400;
/// Colours of runs; the validation curve of a run alone has the second.
const COLOURS: [Color; 6] = [Color::Cyan, Color::Yellow, Color::Green, Color::Magenta, Color::LightBlue, Color::Red];

/// A curve: name (empty: none), points, how they are drawn.
type Curve = (String, Vec<(f64, f64)>, GraphType, Marker, Color);

/// Training loss as lines, validation loss as dots with its band of one standard error, for each run that is drawn.
pub fn loss(frame: &mut Frame<'_>, area: Rect, app: &App) {
    let runs = app.drawn();
    let alone = runs.len() == 1;
    let mut curves: Vec<Curve> = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        let name = |what: &str| if alone { what.to_owned() } else { format!("{} {what}", run.name) };
        let train = thinned(run.steps.iter().map(|s| [s.step as f64, s.loss]));
        curves.push((name("train"), train, GraphType::Line, Marker::Braille, COLOURS[i % COLOURS.len()]));
        let colour = if alone { COLOURS[1] } else { COLOURS[i % COLOURS.len()] };
        let band = run.evals.iter().flat_map(|e| [-1.0, 1.0].map(|s| (e.step as f64, e.val_loss + s * e.val_loss_se)));
        let band: Vec<(f64, f64)> = band.filter(|p| p.1.is_finite()).collect();
        let val: Vec<(f64, f64)> = run.evals.iter().map(|e| (e.step as f64, e.val_loss)).filter(|p| p.1.is_finite()).collect();
        curves.push((String::new(), band, GraphType::Scatter, Marker::Braille, colour));
        curves.push((name("validation"), val, GraphType::Scatter, Marker::Dot, colour));
    }
    let datasets = curves.iter().map(|(name, points, kind, marker, colour)| {
        let style = if app.colour { Style::new().fg(*colour) } else { Style::new() };
        let set = Dataset::default().data(points).graph_type(*kind).marker(*marker).style(style);
        if name.is_empty() { set } else { set.name(name.as_str()) }
    });
    let all: Vec<(f64, f64)> = curves.iter().flat_map(|c| c.1.iter().copied()).collect();
    draw(frame, area, "loss, nats a token", datasets.collect(), &all);
}

/// One curve.
pub fn small(frame: &mut Frame<'_>, area: Rect, title: &str, points: impl Iterator<Item = [f64; 2]>, app: &App) {
    let points = thinned(points);
    let style = if app.colour { Style::new().fg(COLOURS[0]) } else { Style::new() };
    let set = Dataset::default().data(&points).graph_type(GraphType::Line).marker(Marker::Braille).style(style);
    draw(frame, area, title, vec![set], &points);
}

fn draw(frame: &mut Frame<'_>, area: Rect, title: &str, sets: Vec<Dataset<'_>>, all: &[(f64, f64)]) {
    let block = Block::bordered().title(title.to_owned());
    let (Some(x), Some(y)) = (bounds(all.iter().map(|p| p.0)), bounds(all.iter().map(|p| p.1))) else {
        frame.render_widget(block, area);
        return;
    };
    let axis = |b: [f64; 2]| Axis::default().bounds(b).labels(b.map(|v| Span::raw(label(v))));
    // names of curves are shown in small windows too: without them a comparison says nothing
    let legend = (Constraint::Percentage(80), Constraint::Percentage(80));
    let chart = Chart::new(sets).block(block).x_axis(axis(x)).y_axis(axis(y)).hidden_legend_constraints(legend);
    frame.render_widget(chart, area);
}

/// A number in the few columns beside a curve.
fn label(v: f64) -> String {
    let size = v.abs();
    if size > 0.0 && size < 0.1 {
        return format!("{v:.0e}");
    }
    let unit = 10f64.powf(size.max(1e-300).log10().floor() - 2.0);
    short((v / unit).round() * unit)
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let pad = if high > low { 0.0 } else { 0.5 * high.abs().max(1e-9) };
    (low <= high).then_some([low - pad, high + pad])
}

/// Finite points, thinned to the mean of equal stretches.
fn thinned(points: impl Iterator<Item = [f64; 2]>) -> Vec<(f64, f64)> {
    let points: Vec<[f64; 2]> = points.filter(|p| p[1].is_finite()).collect();
    let stretch = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[[f64; 2]], i: usize| part.iter().map(|p| p[i]).sum::<f64>() / part.len() as f64;
    points.chunks(stretch).map(|part| (mean(part, 0), mean(part, 1))).collect()
}
