//! Runs beside each other: the same charts, and differences in pairs.
//!
//! Two runs with the same data, seed, order and batch saw the same batch at each step, so that the difference of their
//! training losses is free of what the batches add; two groups of runs that share seeds are compared seed by seed. What is not
//! paired (validation losses of two runs) gets the standard errors of both: too wide, for both measured the same windows.

use std::collections::BTreeMap;

use super::page::Page;
use super::record::RunRecord;
use super::run::curves;
use super::svg::{Chart, Series};
use crate::out;

/// Settings that say which batch a step sees.
const SAME_BATCHES: [&str; 10] =
    ["data", "tokenizer", "vocab-size", "data-order", "packing", "val-fraction", "seq-len", "batch-size", "accumulate", "seed"];
/// Settings that do not make two runs of a configuration different.
const NOT_CONFIGURATION: [&str; 3] = ["seed", "out", "threads"];

/// Mean of differences and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Difference {
    mean: f64,
    se: f64,
    pairs: usize,
}

impl Difference {
    fn of(differences: &[f64]) -> Option<Difference> {
        let n = differences.len() as f64;
        if differences.is_empty() {
            return None;
        }
        let mean = differences.iter().sum::<f64>() / n;
        let square = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>();
        let se = if differences.len() > 1 { (square / (n - 1.0) / n).sqrt() } else { f64::NAN };
        Some(Difference { mean, se, pairs: differences.len() })
    }

    fn text(&self) -> String {
        let se = if self.se.is_finite() { format!(" ± {:.4}", self.se) } else { " (one pair)".to_owned() };
        format!("{:+.4}{se}", self.mean)
    }
}

/// The page of several runs; differences are to the first.
pub fn comparison(runs: &[RunRecord]) -> String {
    let names: Vec<&str> = runs.iter().map(|r| r.name.as_str()).collect();
    let mut page = Page::new(format!("Runs {}", names.join(", ")));
    page.section("Results");
    let rows: Vec<_> = runs.iter().map(result).collect();
    page.table(&["run", "status", "steps", "tokens", "seconds", "tokens/s", "peak memory", "validation loss"], &rows);
    for run in runs {
        for why in run.disturbed() {
            page.note(&format!("{} was disturbed: {why}: its times are not to be compared with the others'", run.name));
        }
    }
    differences(runs, &mut page);
    by_seed(runs, &mut page);
    page.section("Curves");
    let mut charts = curves(runs);
    charts.push(over_time(runs));
    charts.push(against_speed(runs));
    page.charts(&charts);
    page.section("Settings that differ");
    let head: Vec<&str> = std::iter::once("setting").chain(names.iter().copied()).collect();
    page.table(&head, &differing(runs));
    page.section("Last samples");
    for run in runs {
        if let Some(sample) = run.samples().last() {
            page.note(&format!("{}, after step {}", run.name, sample.step));
            page.verbatim(&format!("{}{}", sample.prompt, sample.text));
        }
    }
    page.finish()
}

fn over_time(runs: &[RunRecord]) -> Chart {
    let of = |(i, run): (usize, &RunRecord)| {
        let points = run.evals().map(|e| [e.seconds, e.val_loss]).collect();
        Series::band(run.name.clone(), points, run.evals().map(|e| e.val_loss_se).collect(), i)
    };
    let series = runs.iter().enumerate().map(of).collect();
    let (title, x, y) = ("Validation loss over time".into(), "seconds of training".into(), "nats a token".into());
    Chart { title, x, y, series, ..Chart::default() }
}

fn against_speed(runs: &[RunRecord]) -> Chart {
    let of = |(i, run): (usize, &RunRecord)| {
        let point = run.efficiency["tokens_per_second"].as_f64().zip(run.evals().last());
        let name = format!("{}{}", run.name, remark(run));
        Some(Series::dots(name, point.map(|(speed, e)| vec![[speed, e.val_loss]])?, i))
    };
    let series = runs.iter().enumerate().filter_map(of).collect();
    let (title, x, y) = ("Validation loss at the end, and speed".into(), "tokens/s".into(), "nats a token".into());
    Chart { title, x, y, series, ..Chart::default() }
}

fn result(run: &RunRecord) -> Vec<String> {
    let last = run.steps().last();
    let loss = run.evals().last().map_or_else(|| "-".to_owned(), |e| out::estimate(e.val_loss, e.val_loss_se, 4));
    let number = |key: &str| run.efficiency[key].as_f64();
    vec![
        run.name.clone(),
        run.status().to_owned(),
        last.map_or(0, |s| s.step).to_string(),
        out::count(last.map_or(0, |s| s.tokens) as f64),
        format!("{:.1}", last.map_or(0.0, |s| s.seconds)),
        number("tokens_per_second").map_or_else(|| "-".to_owned(), |speed| format!("{}{}", out::count(speed), remark(run))),
        run.efficiency["peak_rss_bytes"].as_u64().map_or_else(|| "-".to_owned(), out::bytes),
        loss,
    ]
}

/// What stands beside each time of a run that should not be compared.
fn remark(run: &RunRecord) -> &'static str {
    if run.disturbed().next().is_some() { " (disturbed)" } else { "" }
}

fn differences(runs: &[RunRecord], page: &mut Page) {
    let Some((first, others)) = runs.split_first() else { return };
    page.section(&format!("Differences to {}", first.name));
    let row = |run: &RunRecord| {
        let training = paired_training(first, run).map_or_else(
            || "not paired: other data, seed or batch".to_owned(),
            |d| format!("{} over {} steps", d.text(), d.pairs),
        );
        vec![run.name.clone(), validation_difference(first, run), training]
    };
    page.table(
        &["run", "validation loss at the end", "training loss, batch by batch"],
        &others.iter().map(row).collect::<Vec<_>>(),
    );
    page.note(
        "Training loss: mean of the differences at the last quarter of the common steps, where both runs saw the same batch. \
         Its error takes steps for independent, which they are not quite.",
    );
}

/// The difference of the last validation losses, if both are over the same tokens.
fn validation_difference(a: &RunRecord, b: &RunRecord) -> String {
    let (Some(x), Some(y)) = (a.evals().last(), b.evals().last()) else { return "-".to_owned() };
    let same = |key: &str| a.data[key] == b.data[key];
    if x.val_tokens != y.val_tokens || !same("tokens_sha256") || a.setting("val-fraction") != b.setting("val-fraction") {
        return "measured on other tokens".to_owned();
    }
    format!("{:+.4} ± {:.4} at most", y.val_loss - x.val_loss, x.val_loss_se.hypot(y.val_loss_se))
}

/// Differences of the losses of the same batches, over the last quarter of the steps that both made.
fn paired_training(a: &RunRecord, b: &RunRecord) -> Option<Difference> {
    if a.data["tokens_sha256"] != b.data["tokens_sha256"] || SAME_BATCHES.iter().any(|k| a.setting(k) != b.setting(k)) {
        return None;
    }
    let losses: BTreeMap<u64, f64> = a.steps().map(|s| (s.step, s.loss)).collect();
    let common: Vec<f64> = b.steps().filter_map(|s| Some(s.loss - losses.get(&s.step)?)).filter(|d| d.is_finite()).collect();
    Difference::of(&common[common.len() - common.len().div_ceil(4)..])
}

/// Runs of one configuration.
struct Group<'a> {
    configuration: Vec<String>,
    /// Last validation loss by seed.
    losses: BTreeMap<String, f64>,
    names: Vec<&'a str>,
}

/// Runs of two configurations, compared seed by seed.
fn by_seed(runs: &[RunRecord], page: &mut Page) {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for run in runs {
        let Some(loss) = run.evals().last().map(|e| e.val_loss).filter(|l| l.is_finite()) else { continue };
        let configuration = configuration(run);
        let seed = run.setting("seed").unwrap_or_default().to_owned();
        match groups.iter_mut().find(|g| g.configuration == configuration) {
            Some(group) => {
                group.losses.insert(seed, loss);
                group.names.push(&run.name);
            }
            None => {
                let losses = BTreeMap::from([(seed, loss)]);
                groups.push(Group { configuration, losses, names: vec![&run.name] });
            }
        }
    }
    let Some((first, others)) = groups.split_first() else { return };
    let row = |group: &Group<'_>| {
        let pairs: Vec<f64> = group.losses.iter().filter_map(|(seed, loss)| Some(loss - first.losses.get(seed)?)).collect();
        let difference = Difference::of(&pairs).filter(|d| d.pairs > 1)?;
        Some(vec![first.names.join(", "), group.names.join(", "), difference.pairs.to_string(), difference.text()])
    };
    let rows: Vec<Vec<String>> = others.iter().filter_map(row).collect();
    if !rows.is_empty() {
        page.section("Configurations, seed by seed");
        page.table(&["these", "against these", "pairs", "difference of validation loss"], &rows);
    }
}

fn configuration(run: &RunRecord) -> Vec<String> {
    let counts = |s: &&[String; 3]| !NOT_CONFIGURATION.contains(&s[0].as_str());
    run.settings.iter().filter(counts).map(|s| format!("{}={}", s[0], s[1])).collect()
}

fn differing(runs: &[RunRecord]) -> Vec<Vec<String>> {
    let Some(first) = runs.first() else { return Vec::new() };
    let value = |run: &RunRecord, key: &str| run.setting(key).unwrap_or("none").to_owned();
    let differs = |key: &&String| runs.iter().any(|r| value(r, key) != value(first, key));
    let keys = first.settings.iter().map(|s| &s[0]).filter(|k| *k != "out").filter(differs);
    keys.map(|k| std::iter::once(k.clone()).chain(runs.iter().map(|r| value(r, k))).collect()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use train::events::{Eval, Event, Step};

    fn run(name: &str, seed: &str, rate: &str, loss: impl Fn(u64) -> f64) -> RunRecord {
        let step = |n: u64| Event::Step(Step { step: n, loss: loss(n), ..Step::default() });
        let mut events: Vec<Event> = (1..=8).map(step).collect();
        events.push(Event::Eval(Eval { step: 8, val_loss: loss(8), val_loss_se: 0.1, ..Eval::default() }));
        let setting = |k: &str, v: &str| [k.to_owned(), v.to_owned(), "flag".to_owned()];
        let settings = vec![setting("seed", seed), setting("learning-rate", rate), setting("out", name)];
        RunRecord { name: name.into(), events, settings, ..RunRecord::default() }
    }

    #[test]
    fn equal_batches_are_paired_and_their_noise_falls_out() {
        let noise = |n: u64| (n as f64 * 12.9).sin();
        let (a, b) = (run("a", "1", "1e-3", noise), run("b", "1", "2e-3", |n| noise(n) - 0.25));
        let d = paired_training(&a, &b).unwrap();
        assert_eq!(d.pairs, 2);
        assert!((d.mean + 0.25).abs() < 1e-12 && d.se < 1e-12, "{d:?}");
        assert_eq!(paired_training(&a, &run("c", "2", "1e-3", noise)), None);
    }

    #[test]
    fn configurations_are_compared_seed_by_seed_and_one_pair_is_no_comparison() {
        let runs: Vec<RunRecord> =
            [("a", "1", "1e-3", 4.0), ("b", "2", "1e-3", 5.0), ("c", "1", "2e-3", 3.9), ("d", "2", "2e-3", 4.9)]
                .map(|(name, seed, rate, loss)| run(name, seed, rate, move |_| loss))
                .into();
        let html = comparison(&runs);
        assert!(html.contains("Configurations, seed by seed") && html.contains("-0.1000 ± 0.0000"), "{html}");
        assert!(!comparison(&runs[1..3]).contains("seed by seed"));
        assert!(html.contains("<td>learning-rate</td>"));
    }
}
