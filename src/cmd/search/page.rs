//! `search report`: a study as one self-contained page: history, trials, importance, calibration, final comparison.

use std::fmt::Write;
use std::path::Path;

use search::Config;
use search::importance::importance;
use search::journal::{State, Trial};
use serde_json::{Value as Json, json};

use super::{Desk, show, verdict};
use crate::out::Out;

/// Size of a chart, in units of the page.
const SIZE: (f64, f64) = (900.0, 320.0);
/// Space around it.
const MARGIN: f64 = 50.0;

/// Writes `report.html` into the study's folder, or the file that was named.
pub fn run(folder: &Path, file: Option<&Path>, out: Out) -> anyhow::Result<()> {
    let desk = Desk::open(folder)?;
    let state = desk.journal.state()?;
    let html = page(&desk, &state);
    let path = file.map_or_else(|| folder.join("report.html"), Path::to_path_buf);
    std::fs::write(&path, &html)?;
    out.line(format!("{}: opens in any browser, loads nothing", path.display()))?;
    out.json(&json!({ "report": path, "bytes": html.len() }))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn colour(trial: &Trial) -> &'static str {
    match trial.text("verdict") {
        Some("Keep") => "#009e73",
        Some("Revert") => "#999999",
        Some("Inconclusive") => "#e69f00",
        Some("Crash") => "#d55e00",
        _ => "#0072b2",
    }
}

fn page(desk: &Desk, state: &State) -> String {
    let objective = desk.study.objective.name();
    let said = verdict(desk, state).unwrap_or_else(|| "the noise is not measured yet".into());
    let noise = desk.calibration(state).map_or_else(String::new, |c| show::calibration_text(&c, objective));
    let mut html = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>");
    let name = escape(&desk.study.name);
    let _ = write!(
        html,
        "{name}</title>\n<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}}\
         table{{border-collapse:collapse;font-size:13px}}td,th{{padding:2px 10px;border-bottom:1px solid #ddd;text-align:left}}\
         svg{{width:100%;height:auto}}text{{font:12px sans-serif;fill:#444}}</style></head><body>\n<h1>Study {name}</h1>\n\
         <p><b>{}</b></p>\n<p>{}</p>\n",
        escape(&said),
        escape(&noise).replace('\n', "<br>"),
    );
    let r = &desk.study.rules;
    let _ = writeln!(
        html,
        "<p>{objective}, lower is better; {} seeds a trial, at most {} fresh pairs in {} looks; chance of any false keep at most \
         {}; smallest effect worth a change {}.</p>",
        r.seeds, r.max_pairs, r.looks, r.alpha, r.min_effect
    );
    let _ = write!(html, "<h2>History</h2>\n{}\n", history(desk, state));
    html.push_str(
        "<p>green Keep, grey Revert, orange Inconclusive, red Crash; line: incumbent with its 95% interval over seeds</p>\n",
    );
    let _ = write!(html, "<h2>Parallel coordinates</h2>\n{}\n", parallel(desk, state));
    let _ = write!(html, "<h2>Importance</h2>\n{}\n", shares(desk, state));
    html.push_str(&final_part(state));
    let _ = write!(html, "<h2>Trials</h2>\n{}\n</body></html>\n", trials(desk, state));
    html
}

/// Values of a trial's own runs on the shared seeds.
fn values(desk: &Desk, trial: &Trial) -> Vec<f64> {
    let seed = |i| desk.study.screening_seed(i);
    let of = |i| trial.attrs.get(&format!("run:candidate:{}", seed(i))).and_then(|r| r.get("value")).and_then(Json::as_f64);
    (0..desk.study.rules.seeds).filter_map(of).collect()
}

fn history(desk: &Desk, state: &State) -> String {
    let known: Vec<(&Trial, f64)> = state.trials.iter().filter_map(|t| Some((t, t.value.filter(|v| v.is_finite())?))).collect();
    if known.is_empty() {
        return "<p>no trial has a value yet</p>".into();
    }
    // a far outlier would press all others onto one line
    let mut sorted: Vec<f64> = known.iter().map(|(_, v)| *v).collect();
    sorted.sort_by(f64::total_cmp);
    let (low, most) = (sorted[0], sorted[(sorted.len() - 1) * 9 / 10]);
    let high = if most > low { most + 0.3 * (most - low) } else { low + 0.01 };
    let low = low - 0.1 * (high - low);
    let count = state.trials.len().max(2) as f64 - 1.0;
    let x = |n: usize| MARGIN + (SIZE.0 - 2.0 * MARGIN) * n as f64 / count;
    let y = |v: f64| SIZE.1 - MARGIN - (SIZE.1 - 2.0 * MARGIN) * ((v - low) / (high - low)).clamp(0.0, 1.0);
    let mut svg = start();
    let mut incumbent: Option<&Trial> = None;
    for trial in &state.trials {
        if trial.text("verdict") == Some("Keep") {
            incumbent = Some(trial);
        }
        let Some(best) = incumbent else { continue };
        let (mean, a, b) = search::stats::interval(&values(desk, best), 0.95);
        let (left, right) = (x(trial.number), x(trial.number + 1).min(SIZE.0 - MARGIN));
        let (top, bottom) = (y(b.min(high)), y(a.max(low)));
        let _ = write!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#009e73\" opacity=\"0.12\"/>\
             <line x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{2:.1}\" y2=\"{2:.1}\" stroke=\"#009e73\"/>",
            (right - left).max(0.0),
            (bottom - top).max(0.0),
            y(mean)
        );
    }
    for (trial, value) in &known {
        let _ = write!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{}\"><title>trial {}: {value:.5}</title></circle>",
            x(trial.number),
            y(*value),
            colour(trial),
            trial.number
        );
    }
    for v in [low, (low + high) / 2.0, high] {
        let _ = write!(svg, "<text x=\"2\" y=\"{:.1}\">{v:.4}</text>", y(v) + 4.0);
    }
    let (cx, cy) = (SIZE.0 / 2.0, SIZE.1 - 8.0);
    let _ = write!(svg, "<text x=\"{cx}\" y=\"{cy}\">trial</text></svg>");
    svg
}

fn start() -> String {
    format!("<svg viewBox=\"0 0 {} {}\" role=\"img\">", SIZE.0, SIZE.1)
}

fn parallel(desk: &Desk, state: &State) -> String {
    let space = &desk.study.space;
    let axes = space.params.len() + 1;
    let x = |i: usize| MARGIN + (SIZE.0 - 2.0 * MARGIN) * i as f64 / (axes - 1) as f64;
    let y = |u: f64| SIZE.1 - MARGIN - (SIZE.1 - 2.0 * MARGIN) * u.clamp(0.0, 1.0);
    let known: Vec<(&Trial, Config, f64)> =
        state.trials.iter().filter_map(|t| Some((t, t.config(space)?, t.value.filter(|v| v.is_finite())?))).collect();
    let low = known.iter().map(|k| k.2).fold(f64::INFINITY, f64::min);
    let high = known.iter().map(|k| k.2).fold(f64::NEG_INFINITY, f64::max);
    let mut svg = start();
    for (trial, config, value) in &known {
        let mut places = space.unit(config);
        places.push(if high > low { (value - low) / (high - low) } else { 0.5 });
        let points: Vec<String> = places.iter().enumerate().map(|(i, &u)| format!("{:.1},{:.1}", x(i), y(u))).collect();
        let (kept, c) = (trial.text("verdict") == Some("Keep"), colour(trial));
        let (width, opacity) = if kept { (2.5, 1.0) } else { (1.0, 0.5) };
        let points = points.join(" ");
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{c}\" stroke-width=\"{width}\" opacity=\"{opacity}\" points=\"{points}\"/>"
        );
    }
    let names = space.params.iter().map(|p| (p.name.as_str(), p.text(p.at(0.0)), p.text(p.at(1.0))));
    let last = (desk.study.objective.name(), format!("{low:.4}"), format!("{high:.4}"));
    for (i, (name, bottom, top)) in names.chain([last]).enumerate() {
        let _ = write!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1}\" y2=\"{2}\" stroke=\"#888\"/>\
             <text x=\"{0:.1}\" y=\"20\" text-anchor=\"middle\">{3}</text><text x=\"{0:.1}\" y=\"38\" text-anchor=\"middle\">{4}</text>\
             <text x=\"{0:.1}\" y=\"{5}\" text-anchor=\"middle\">{6}</text>",
            x(i),
            MARGIN,
            SIZE.1 - MARGIN,
            escape(name),
            escape(&top),
            SIZE.1 - MARGIN + 18.0,
            escape(&bottom)
        );
    }
    svg + "</svg>"
}

fn shares(desk: &Desk, state: &State) -> String {
    let space = &desk.study.space;
    let known: Vec<(Config, f64)> = state.trials.iter().filter_map(|t| Some((t.config(space)?, t.value?))).collect();
    if known.len() < 8 {
        return "<p>fewer than 8 trials have a value</p>".into();
    }
    let row = |(p, share): (&search::Param, f64)| format!("<tr><td>{}</td><td>{:.0}%</td></tr>", escape(&p.name), 100.0 * share);
    let rows: String = space.params.iter().zip(importance(space, &known)).map(row).collect();
    format!("<table><tr><th>parameter</th><th>share of the variance over trials, alone</th></tr>{rows}</table>")
}

fn final_part(state: &State) -> String {
    let Some(found) = state.attrs.get("final") else { return String::new() };
    let number = |v: &Json, key: &str| v.get(key).and_then(Json::as_f64).unwrap_or(f64::NAN);
    let changes = found.get("changes").and_then(Json::as_array).cloned().unwrap_or_default();
    let row = |c: &Json| {
        let text =
            |key: &str| escape(&c.get(key).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default());
        let (effect, low, high) = (number(c, "effect"), number(c, "low"), number(c, "high"));
        format!(
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{effect:.4} ({low:.4} to {high:.4})</td></tr>",
            text("param"),
            text("from"),
            text("to")
        )
    };
    let rows: String = changes.iter().map(row).collect();
    format!(
        "<h2>Final comparison</h2><p>{}</p><table><tr><th>change</th><th>from</th><th>to</th><th>loss without it</th></tr>{rows}</table>\n",
        escape(found.get("verdict").and_then(Json::as_str).unwrap_or_default())
    )
}

fn trials(desk: &Desk, state: &State) -> String {
    let row = |t: &Trial| {
        let config = t.config(&desk.study.space).map(|c| desk.study.space.changes(&desk.study.baseline, &c));
        let value = t.value.map_or_else(|| "-".into(), |v| format!("{v:.5}"));
        let why = t.text("why").or(t.text("hypothesis")).unwrap_or_default();
        let verdict = t.text("verdict").unwrap_or("-");
        let (changes, why) = (escape(&config.unwrap_or_default()), escape(why));
        format!("<tr><td>{}</td><td>{value}</td><td>{verdict}</td><td>{changes}</td><td>{why}</td></tr>", t.number)
    };
    let rows: String = state.trials.iter().map(row).collect();
    format!("<table><tr><th>trial</th><th>value</th><th>verdict</th><th>changes to the baseline</th><th></th></tr>{rows}</table>")
}
