//! `search report`: a study as one self-contained page: history, trials, importance, calibration, final comparison.

use std::path::Path;

use search::Config;
use search::importance::importance;
use search::journal::{State, Trial};
use search::stats;
use serde_json::{Value as Json, json};

use super::kept::kept;
use super::{Desk, show, verdict};
use crate::out::Out;
use crate::report::page::Page;
use crate::report::parallel::{Parallel, Scale, Strand};
use crate::report::svg::{Chart, Mark, Series, short};

/// Verdicts, what they are called on the page, and their colours.
const VERDICTS: [(&str, &str, usize); 3] = [("Keep", "kept", 2), ("Inconclusive", "inconclusive", 5), ("Revert", "reverted", 7)];
/// Trials without a verdict: what Optuna said itself, and those that run.
const OTHER: (&str, usize) = ("not judged", 0);

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

fn page(desk: &Desk, state: &State) -> String {
    let mut page = Page::new(format!("Study {}", desk.study.name));
    page.text(&verdict(desk, state).unwrap_or_else(|| "the noise is not measured yet".into()));
    page.text(&rules(desk));
    page.section("History");
    page.chart(&history(desk, state));
    page.note(
        "The band is the 95% interval of the incumbent's mean over the study's seeds. Seeds are shared by all trials, so two trials \
         differ with more certainty than their bands suggest: verdicts are of paired differences.",
    );
    calibration(desk, state, &mut page);
    final_part(desk, state, &mut page);
    page.section("Parallel coordinates");
    let keys: Vec<(usize, &str)> = VERDICTS.iter().map(|v| (v.2, v.1)).chain([(OTHER.1, OTHER.0)]).collect();
    page.figure("All trials with a value", &parallel(desk, state).svg("parallel coordinates"), &keys);
    shares(desk, state, &mut page);
    page.section("Trials");
    page.table(
        &["trial", "value", "verdict", "below the baseline, same seeds (95%)", "changes to the baseline", "why"],
        &rows(desk, state),
    );
    page.section("Every run");
    page.verbatim(&format!("autoane train {}", desk.study.train.join(" ")));
    page.finish()
}

fn rules(desk: &Desk) -> String {
    let r = &desk.study.rules;
    format!(
        "{}, lower is better; {} seeds a trial, at most {} fresh pairs in {} looks; chance of any false keep at most {}; smallest \
         effect worth a change {}; budget of a run {}.",
        desk.study.objective.name(),
        r.seeds,
        r.max_pairs,
        r.looks,
        r.alpha,
        r.min_effect,
        show::budget_text(&desk.study),
    )
}

/// Values of a trial's own runs on the shared seeds.
fn values(desk: &Desk, trial: &Trial) -> Vec<f64> {
    let seed = |i| desk.study.screening_seed(i);
    let of = |i| trial.attrs.get(&format!("run:candidate:{}", seed(i))).and_then(|r| r.get("value")).and_then(Json::as_f64);
    (0..desk.study.rules.seeds).filter_map(of).collect()
}

/// Trials with finite values.
fn valued(state: &State) -> Vec<(&Trial, f64)> {
    state.trials.iter().filter_map(|t| Some((t, t.value.filter(|v| v.is_finite())?))).collect()
}

fn history(desk: &Desk, state: &State) -> Chart {
    let known = valued(state);
    // a far outlier would press all others onto one line
    let mut sorted: Vec<f64> = known.iter().map(|(_, v)| *v).collect();
    sorted.sort_by(f64::total_cmp);
    let ends = sorted.first().zip(sorted.get((sorted.len().max(1) - 1) * 9 / 10));
    let high = ends.map_or(f64::INFINITY, |(low, most)| most + 0.3 * (most - low) + 1e-9);
    let mut series = vec![incumbents(desk, state, high)];
    let dots = |name: &str, colour: usize, of: &dyn Fn(&Trial, f64) -> bool| {
        let points = known.iter().filter(|(t, v)| of(t, *v)).map(|(t, v)| [t.number as f64, v.min(high)]);
        Series::dots(name, points.collect(), colour)
    };
    for (word, name, colour) in VERDICTS {
        series.push(dots(name, colour, &|t, v| v <= high && t.text("verdict") == Some(word)));
    }
    series.push(dots(OTHER.0, OTHER.1, &|t, v| v <= high && VERDICTS.iter().all(|w| t.text("verdict") != Some(w.0))));
    series.push(dots("higher than shown", 1, &|_, v| v > high));
    series.retain(|s| !s.points.is_empty());
    let y = desk.study.objective.name().to_owned();
    Chart { title: "Mean over the study's seeds".into(), x: "trial".into(), y, series, ..Chart::default() }
}

/// The incumbent at each trial, with the interval of its mean; it steps where another is kept.
fn incumbents(desk: &Desk, state: &State, high: f64) -> Series {
    let (mut points, mut band) = (Vec::new(), Vec::new());
    let mut push = |x: f64, y: f64, half: f64| {
        points.push([x, y]);
        band.push(half);
    };
    let kept = kept(state);
    let numbers: Vec<usize> = kept.iter().map(|t| t.number).collect();
    for (trial, (from, until)) in kept.iter().zip(reigns(&numbers, state.trials.len())) {
        let (mean, low, _) = stats::interval(&values(desk, trial), 0.95);
        let half = (mean - low).min((high - mean).max(0.0));
        push(from as f64, mean, half);
        push(until as f64, mean, half);
        push(f64::NAN, f64::NAN, 0.0);
    }
    Series { mark: Mark::Line, ..Series::band("incumbent, 95% interval", points, band, 2) }
}

/// From and until which trial each of the kept ones was the incumbent. They come in the order in which they were kept; one that was
/// begun before the one it replaced, as a proposal before the baseline, takes over where that one stands.
fn reigns(kept: &[usize], trials: usize) -> Vec<(usize, usize)> {
    let mut begins: Vec<usize> = kept.to_vec();
    for i in 1..begins.len() {
        begins[i] = begins[i].max(begins[i - 1]);
    }
    begins.iter().zip(begins.iter().skip(1).chain([&trials])).map(|(from, until)| (*from, *until)).collect()
}

fn calibration(desk: &Desk, state: &State, page: &mut Page) {
    let Some(found) = desk.calibration(state) else { return };
    page.section("Calibration");
    page.verbatim(&show::calibration_text(&found, desk.study.objective.name()));
    let over = |name: String, values: &[f64], colour| {
        let points = values.iter().enumerate().map(|(i, v)| [desk.study.screening_seed(i) as f64, *v]).collect();
        Series { mark: Mark::Dotted, ..Series::line(name, points, colour) }
    };
    let series = vec![over("baseline".into(), &found.baseline, 0), over(format!("with {}", found.tweak), &found.tweaked, 1)];
    let y = desk.study.objective.name().to_owned();
    page.chart(&Chart {
        title: "The noise of seeds, and how much of it is shared".into(),
        x: "seed".into(),
        y,
        series,
        ..Chart::default()
    });
}

fn parallel(desk: &Desk, state: &State) -> Parallel {
    let space = &desk.study.space;
    let known: Vec<(&Trial, Config, f64)> =
        valued(state).into_iter().filter_map(|(t, v)| Some((t, t.config(space)?, v))).collect();
    let low = known.iter().map(|k| k.2).fold(f64::INFINITY, f64::min);
    let high = known.iter().map(|k| k.2).fold(f64::NEG_INFINITY, f64::max);
    let strand = |(trial, config, value): &(&Trial, Config, f64)| {
        let mut places = space.unit(config);
        places.push(if high > low { (value - low) / (high - low) } else { 0.5 });
        let verdict = VERDICTS.iter().find(|v| trial.text("verdict") == Some(v.0));
        Strand { places, colour: verdict.map_or(OTHER.1, |v| v.2), strong: trial.text("verdict") == Some("Keep") }
    };
    let end = |p: &search::Param, u: f64| match p.range {
        search::space::Range::Choice(_) => p.text(p.at(u)),
        _ => short(p.at(u)),
    };
    let scale = |p: &search::Param| Scale { name: p.name.clone(), low: end(p, 0.0), high: end(p, 1.0) };
    let value = Scale { name: desk.study.objective.name().into(), low: short(low), high: short(high) };
    Parallel { axes: space.params.iter().map(scale).chain([value]).collect(), strands: known.iter().map(strand).collect() }
}

fn shares(desk: &Desk, state: &State, page: &mut Page) {
    let space = &desk.study.space;
    let known: Vec<(Config, f64)> = valued(state).into_iter().filter_map(|(t, v)| Some((t.config(space)?, v))).collect();
    page.section("Importance");
    if known.len() < 8 {
        page.note("fewer than 8 trials have a value");
        return;
    }
    let rows: Vec<Vec<String>> = space
        .params
        .iter()
        .zip(importance(space, &known))
        .map(|(p, share)| vec![p.name.clone(), format!("{:.0}%", 100.0 * share)])
        .collect();
    page.table(&["parameter", "share of the variance over trials that goes with it alone"], &rows);
    page.note("a guide for the eye, no test: trials are not spread evenly");
}

fn final_part(desk: &Desk, state: &State, page: &mut Page) {
    let Some(found) = state.attrs.get("final") else { return };
    page.section("Final comparison");
    page.text(found.get("verdict").and_then(Json::as_str).unwrap_or_default());
    let values = |key: &str| -> Vec<f64> {
        found.get(key).and_then(Json::as_array).map_or_else(Vec::new, |all| all.iter().filter_map(Json::as_f64).collect())
    };
    let over = |name: &str, colour| {
        let points = values(if colour == 0 { "baseline" } else { "values" });
        let points = points.iter().enumerate().map(|(i, v)| [i as f64 + 1.0, *v]).collect();
        Series { mark: Mark::Dotted, ..Series::line(name, points, colour) }
    };
    let y = desk.study.objective.name().to_owned();
    let series = vec![over("baseline", 0), over("winner", 2)];
    page.chart(&Chart { title: "Fresh pairs, on the text of the test".into(), x: "pair".into(), y, series, ..Chart::default() });
    let number = |v: &Json, key: &str| v.get(key).and_then(Json::as_f64).unwrap_or(f64::NAN);
    let between = |v: &Json, key: &str| format!("{:.4} ({:.4} to {:.4})", number(v, key), number(v, "low"), number(v, "high"));
    let word = |v: Option<&Json>| v.map_or_else(String::new, |v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    let row = |c: &Json| {
        let supported = if c.get("supported").and_then(Json::as_bool) == Some(true) { "yes" } else { "not shown" };
        vec![word(c.get("param")), word(c.get("from")), word(c.get("to")), between(c, "effect"), supported.into()]
    };
    let changes = found.get("changes").and_then(Json::as_array).cloned().unwrap_or_default();
    let mut rows = vec![vec!["all changes".into(), String::new(), String::new(), between(found, "gain"), String::new()]];
    rows.extend(changes.iter().map(row));
    page.table(&["change", "from", "to", "loss without it (95%)", "supported"], &rows);
}

fn rows(desk: &Desk, state: &State) -> Vec<Vec<String>> {
    let baseline = state.attrs.get("baseline").and_then(Json::as_u64).and_then(|n| state.trials.get(n as usize));
    let row = |t: &Trial| {
        let config = t.config(&desk.study.space).map(|c| desk.study.space.changes(&desk.study.baseline, &c));
        let value = t.value.map_or_else(|| "-".into(), |v| format!("{v:.5}"));
        let why = t.text("why").or(t.text("hypothesis")).unwrap_or_default();
        let below = baseline.map_or_else(String::new, |b| below(&values(desk, b), &values(desk, t)));
        vec![t.number.to_string(), value, t.text("verdict").unwrap_or("-").into(), below, config.unwrap_or_default(), why.into()]
    };
    state.trials.iter().map(row).collect()
}

/// How far `values` lie below those of the baseline with the same seeds; nothing for the baseline itself.
fn below(baseline: &[f64], values: &[f64]) -> String {
    let gains: Vec<f64> = baseline.iter().zip(values).map(|(a, b)| a - b).collect();
    if gains.len() < 2 || gains.iter().all(|g| *g == 0.0) {
        return String::new();
    }
    let (mean, low, high) = stats::interval(&gains, 0.95);
    format!("{mean:+.4} ({low:+.4} to {high:+.4})")
}

#[cfg(test)]
mod tests {
    use super::reigns;

    #[test]
    fn an_incumbent_reigns_from_when_it_was_kept_whatever_its_number() {
        assert_eq!(reigns(&[0, 2, 5], 8), [(0, 2), (2, 5), (5, 8)]);
        assert_eq!(reigns(&[1, 0], 4), [(1, 1), (1, 4)], "a proposal before the baseline");
        assert_eq!(reigns(&[0, 4, 3], 6), [(0, 4), (4, 4), (4, 6)], "two workers");
        assert!(reigns(&[], 3).is_empty());
    }
}
