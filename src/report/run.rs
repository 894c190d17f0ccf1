//! The page of one run.

use serde_json::Value as Json;

use super::page::Page;
use super::record::RunRecord;
use super::svg::{Chart, Series};
use crate::out;

/// Samples that are shown in full; earlier ones are folded away.
const SHOWN_SAMPLES: usize = 2;

/// The page of a run.
pub fn single(run: &RunRecord) -> String {
    let mut page = Page::new(format!("Run {}", run.name));
    headline(run, &mut page);
    page.section("Curves");
    page.charts(&curves(std::slice::from_ref(run)));
    page.section("Evaluations");
    page.table(&["step", "tokens", "validation loss", "bits per byte", "perplexity"], &evaluations(run));
    efficiency(run, &mut page);
    samples(run, &mut page);
    page.section("Configuration");
    page.table(&["setting", "value", "origin"], &chosen(run));
    let all: Vec<Vec<String>> = run.settings.iter().map(|s| s.to_vec()).collect();
    page.folded("every setting, defaults too", |p| p.table(&["setting", "value", "origin"], &all));
    page.section("Data");
    page.table(&["field", "value"], &flat(&run.data));
    page.section("Environment");
    page.table(&["field", "value"], &flat(&run.environment));
    page.finish()
}

fn headline(run: &RunRecord, page: &mut Page) {
    let last = run.steps().last();
    let mut facts = Vec::new();
    if let Some(s) = run.started() {
        let params = out::count(s.params as f64);
        facts.push(format!("{}, {params} trained weights, {}, {}, seed {}", s.model, s.method, s.device, s.seed));
    }
    if let Some(s) = last {
        let (tokens, time) = (out::count(s.tokens as f64), s.seconds);
        facts.push(format!("{}: {} steps, {tokens} tokens, {time:.1} s of training", run.status(), s.step));
    }
    if let Some(e) = run.evals().last() {
        let loss = out::estimate(e.val_loss, e.val_loss_se, 4);
        facts.push(format!("validation loss {loss} nats a token, over {} tokens", e.val_tokens));
    }
    facts.iter().for_each(|f| page.text(f));
    if run.skipped > 0 {
        page.note(&format!("{} lines of events.jsonl are no events and were passed over", run.skipped));
    }
}

/// Loss, learning rate, gradient norm, speed and memory of each run.
pub fn curves(runs: &[RunRecord]) -> Vec<Chart> {
    let one = runs.len() == 1;
    let label = |run: &RunRecord, what: &str| if one { what.to_owned() } else { format!("{} {what}", run.name) };
    let steps = |f: fn(&train::events::Step) -> f64, what: &str| -> Vec<Series> {
        let of =
            |(i, r): (usize, &RunRecord)| Series::line(label(r, what), r.steps().map(|s| [s.step as f64, f(s)]).collect(), i);
        runs.iter().enumerate().map(of).collect()
    };
    let chart = |title: &str, y: &str, series: Vec<Series>| Chart {
        title: title.into(),
        x: "optimizer step".into(),
        y: y.into(),
        series,
        ..Chart::default()
    };
    let mut losses = steps(|s| s.loss, "training");
    losses.extend(
        runs.iter().enumerate().map(|(i, r)| validation(r, label(r, "validation ± standard error"), if one { 1 } else { i })),
    );
    vec![
        chart("Loss", "nats a token", losses),
        chart("Learning rate", "learning rate", steps(|s| f64::from(s.lr), "learning rate")),
        chart("Gradient norm, before clipping", "L2 norm", steps(|s| s.grad_norm, "gradient norm")),
        chart("Speed", "tokens/s", steps(|s| s.tokens_per_second, "tokens/s")),
        chart("Resident memory", "MB", steps(|s| s.rss_bytes as f64 / 1e6, "memory")),
    ]
}

fn validation(run: &RunRecord, name: String, colour: usize) -> Series {
    let points = run.evals().map(|e| [e.step as f64, e.val_loss]).collect();
    Series::band(name, points, run.evals().map(|e| e.val_loss_se).collect(), colour)
}

fn evaluations(run: &RunRecord) -> Vec<Vec<String>> {
    let row = |e: &train::events::Eval| {
        let bpb = e.val_bpb.map_or_else(String::new, |b| out::estimate(b, e.val_bpb_se.unwrap_or(f64::NAN), 4));
        let perplexity = out::estimate(e.val_perplexity, e.val_perplexity_se, 2);
        let loss = out::estimate(e.val_loss, e.val_loss_se, 4);
        vec![e.step.to_string(), e.tokens.to_string(), loss, bpb, perplexity]
    };
    run.evals().map(row).collect()
}

/// Foreseen against actual, and where the time went.
fn efficiency(run: &RunRecord, page: &mut Page) {
    let record = &run.efficiency;
    page.section("Foreseen and actual");
    page.table(&["what", "foreseen", "actual"], &foreseen(run));
    let Some(parts) = record["seconds"].as_object() else {
        page.note("the session has not ended: memory and the division of time are known then");
        return;
    };
    let total: f64 = parts.values().filter_map(Json::as_f64).sum();
    let row = |(name, value): (&String, &Json)| {
        let seconds = value.as_f64().unwrap_or(0.0);
        vec![name.clone(), format!("{seconds:.2}"), format!("{:.1}%", 100.0 * seconds / total.max(1e-9))]
    };
    page.section("Where the time went");
    page.table(&["part", "seconds", "share"], &parts.iter().map(row).collect::<Vec<_>>());
    if let Some(seconds) = record["recording_seconds"].as_f64() {
        let share = 100.0 * seconds / total.max(1e-9);
        page.note(&format!("events.jsonl, TensorBoard files and the terminal took {seconds:.3} s of it, {share:.2}%"));
    }
    for why in run.disturbed() {
        page.note(&format!("disturbed: {why}: its times are not to be compared with others"));
    }
    if record["device"].is_object() {
        page.section("Device beside the CPU");
        page.table(&["field", "value"], &flat(&record["device"]));
    }
    if record["energy"].is_object() {
        page.section("Energy");
        page.table(&["field", "value"], &flat(&record["energy"]));
    }
}

fn foreseen(run: &RunRecord) -> Vec<Vec<String>> {
    let record = &run.efficiency;
    let bytes = |key: &str| record[key].as_u64().map(out::bytes);
    let last = run.steps().last();
    let mut rows = Vec::new();
    let mut row = |what: &str, foreseen: Option<String>, actual: Option<String>| {
        let say = |v: Option<String>| v.unwrap_or_else(|| "-".to_owned());
        rows.push(vec![what.to_owned(), say(foreseen), say(actual)]);
    };
    row("peak memory", bytes("predicted_bytes"), bytes("peak_rss_bytes"));
    row("time", run.setting("max-time").map(str::to_owned), last.map(|s| format!("{:.1} s", s.seconds)));
    row("steps", run.setting("steps").map(str::to_owned), last.map(|s| s.step.to_string()));
    row("tokens", run.setting("tokens").map(str::to_owned), last.map(|s| s.tokens.to_string()));
    let ms = record["ms_per_step"].as_f64();
    // at the measured peak of the multiply-adds: what no step can be faster than
    let floor = ms.zip(record["sustained_gflops"].as_f64()).zip(record["peak_gflops"].as_f64());
    let floor = floor.map(|((ms, sustained), peak)| format!("{:.1} ms at the machine's peak", ms * sustained / peak));
    row("a step", floor, ms.map(|ms| format!("{ms:.1} ms")));
    rows
}

fn samples(run: &RunRecord, page: &mut Page) {
    let all: Vec<_> = run.samples().collect();
    if all.is_empty() {
        return;
    }
    page.section("Samples");
    let show = |page: &mut Page, sample: &train::events::Sample| {
        page.note(&format!("after step {}", sample.step));
        page.verbatim(&format!("{}{}", sample.prompt, sample.text));
    };
    let (early, late) = all.split_at(all.len().saturating_sub(SHOWN_SAMPLES));
    late.iter().rev().for_each(|s| show(page, s));
    if !early.is_empty() {
        page.folded("earlier ones", |p| early.iter().rev().for_each(|s| show(p, s)));
    }
}

/// Settings that somebody or something chose.
fn chosen(run: &RunRecord) -> Vec<Vec<String>> {
    run.settings.iter().filter(|s| s[2] != "default").map(|s| s.to_vec()).collect()
}

/// A JSON object as rows: nested names are joined by dots.
pub fn flat(value: &Json) -> Vec<Vec<String>> {
    fn walk(name: &str, value: &Json, rows: &mut Vec<Vec<String>>) {
        let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match value {
            Json::Object(fields) => fields.iter().for_each(|(k, v)| walk(&inner(k), v, rows)),
            Json::Array(items) if items.iter().any(|i| i.is_object() || i.is_array()) => {
                items.iter().enumerate().for_each(|(i, v)| walk(&inner(&i.to_string()), v, rows));
            }
            Json::Null => {}
            Json::String(text) => rows.push(vec![name.to_owned(), text.clone()]),
            other => rows.push(vec![name.to_owned(), other.to_string()]),
        }
    }
    let mut rows = Vec::new();
    walk("", value, &mut rows);
    rows
}
