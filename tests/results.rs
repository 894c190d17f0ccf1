//! The tables of the README are those of the recorded results under `runs/results`: made from them here, row by row.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::Value as Json;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn rows(name: &str) -> Vec<Json> {
    let record: Json = serde_json::from_str(&read(&format!("runs/results/{name}.json"))).unwrap();
    for key in ["command", "commit", "machine", "date"] {
        assert!(record[key].as_str().is_some_and(|text| !text.is_empty()), "{name}.json does not say its {key}");
    }
    record["rows"].as_array().unwrap().clone()
}

fn numbers(row: &Json, key: &str) -> Vec<f64> {
    row[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn median(row: &Json, key: &str) -> f64 {
    let mut values = numbers(row, key);
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

#[track_caller]
fn stands(row: &str) {
    assert!(read("README.md").lines().any(|line| line == row), "the README has no row `{row}`: make it from the record");
}

#[test]
fn speed_of_training() {
    for row in rows("speed") {
        let name = row["name"].as_str().unwrap();
        stands(&format!("| {name} | {:.0} | {:.0} |", median(&row, "tokens_per_second"), median(&row, "peak_mib")));
    }
}

#[test]
fn speed_of_prompts_and_decoding() {
    for row in rows("decode") {
        let [prompt, their_prompt] = ["prompt", "their_prompt"].map(|key| median(&row, key));
        let [decode, their_decode] = ["decode", "their_decode"].map(|key| median(&row, key));
        let name = row["name"].as_str().unwrap();
        stands(&format!("| {name} | {prompt:.0}, {their_prompt:.0} | {decode:.1}, {their_decode:.1} |"));
    }
}

#[test]
fn default_recipe_against_a_constant_rate() {
    for row in rows("recipe") {
        let (constant, default) = (numbers(&row, "constant"), numbers(&row, "default"));
        let [a, b] = [&constant, &default].map(|v| format!("{:.3} ± {:.3}", v[0], v[1]));
        // from rounded losses the last digit of a difference may be off by one
        let exact = default[0] - constant[0];
        let row_with = |difference: f64| format!("| {} | {a} | {b} | {difference:.3} |", row["seed"]);
        let readme = read("README.md");
        let there = [-0.001, 0.0, 0.001].iter().any(|off| readme.lines().any(|line| line == row_with(exact + off)));
        assert!(there, "the README has no row `{}`: make it from the record", row_with(exact));
    }
}
