//! The tables of the README are those of the recorded results under `runs/results`: made from them here, row by row.
#![allow(clippy::unwrap_used)]

mod pages;
mod published;

use std::path::Path;

use serde_json::Value as Json;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn rows(name: &str) -> Vec<Json> {
    let record: Json = serde_json::from_str(&read(&format!("runs/results/{name}.json"))).unwrap();
    let said = |key: &str| record[key].as_str().unwrap_or_default();
    assert!(!said("command").is_empty() && !said("machine").is_empty(), "{name}.json does not say its command and machine");
    let commit = said("commit");
    let hex = commit.len() >= 7 && commit.len() <= 40 && commit.bytes().all(|c| c.is_ascii_hexdigit());
    let explained = commit == "not recorded" && read("README.md").contains(&not_recorded(said("date")));
    assert!(
        hex || explained,
        "{name}.json is of commit `{commit}`: one that can be looked up, or a word on it beside the numbers"
    );
    assert!(said("date").split('-').map(str::len).eq([4, 2, 2]), "{name}.json is of no date");
    record["rows"].as_array().unwrap().clone()
}

/// What stands beside numbers that nobody can make again from their commit.
fn not_recorded(date: &str) -> String {
    format!("Measured {date}; the commit was not recorded.")
}

fn numbers(row: &Json, key: impl serde_json::value::Index) -> Vec<f64> {
    row[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn median(row: &Json, key: &str) -> f64 {
    let mut values = numbers(row, key);
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// Rows of the speed of training.
fn speed() -> Vec<String> {
    let row = |row: &Json| {
        let name = row["name"].as_str().unwrap();
        format!("| {name} | {:.0} | {:.0} |", median(row, "tokens_per_second"), median(row, "peak_mib"))
    };
    rows("speed").iter().map(row).collect()
}

/// Rows of the speed of prompts and decoding.
fn decode() -> Vec<String> {
    let row = |row: &Json| {
        let [prompt, their_prompt] = ["prompt", "their_prompt"].map(|key| median(row, key));
        let [decode, their_decode] = ["decode", "their_decode"].map(|key| median(row, key));
        let name = row["name"].as_str().unwrap();
        format!("| {name} | {prompt:.0}, {their_prompt:.0} | {decode:.1}, {their_decode:.1} |")
    };
    rows("decode").iter().map(row).collect()
}

/// Rows of the default recipe against a constant rate, each in the forms that rounding allows: from rounded losses the last
/// digit of a difference may be off by one.
fn recipe() -> Vec<Vec<String>> {
    let row = |row: &Json| {
        let (constant, default) = (numbers(row, "constant"), numbers(row, "default"));
        let [a, b] = [&constant, &default].map(|v| format!("{:.3} ± {:.3}", v[0], v[1]));
        let exact = default[0] - constant[0];
        let with = |off: f64| format!("| {} | {a} | {b} | {:.3} |", row["seed"], exact + off);
        [-0.001, 0.0, 0.001].map(with).to_vec()
    };
    rows("recipe").iter().map(row).collect()
}

/// Mean of values, and half of its 95% interval by Student's t.
fn interval(values: &[f64]) -> (f64, f64) {
    let n = values.len();
    let t = [f64::NAN, 12.706, 4.303, 3.182, 2.776][n - 1];
    let mean = values.iter().sum::<f64>() / n as f64;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    (mean, t * (variance / n as f64).sqrt())
}

/// Rows of the comparison of methods, for the same seconds.
fn methods() -> Vec<String> {
    let all = rows("zo-table");
    let best = numbers(&all[0], "end");
    let row = |row: &Json| {
        let (name, rate) = (row["method"].as_str().unwrap(), row["learning_rate"].as_str().unwrap());
        let (steps, start, ends) = (row["steps"].as_f64().unwrap(), row["start"].as_f64().unwrap(), numbers(row, "end"));
        let passes = (steps * row["passes"].as_f64().unwrap()).round();
        let show = |values: &[f64]| {
            let (mean, half) = interval(values);
            format!("{mean:.4} ± {half:.4}")
        };
        let lower: Vec<f64> = ends.iter().map(|end| start - end).collect();
        let above: Vec<f64> = ends.iter().zip(&best).map(|(a, b)| a - b).collect();
        let above = if name == "backprop" { String::new() } else { format!(" {}", show(&above)) };
        let (half, end, lower) = (show(&numbers(row, "half")), show(&ends), show(&lower));
        format!("| {name} | {rate} | {steps} | {passes} | {half} | {end} | {lower} |{above} |")
    };
    all.iter().map(row).collect()
}

/// What is wrong with the measured tables of `readme`: rows of records that it lacks, and rows of it that no record has.
fn wrong(readme: &str) -> Vec<String> {
    let ones = speed().into_iter().chain(decode()).chain(methods()).map(|row| vec![row]);
    let records: Vec<Vec<String>> = ones.chain(recipe()).collect();
    let lines: Vec<&str> = readme.lines().collect();
    let missing = records.iter().filter(|forms| !forms.iter().any(|row| lines.contains(&row.as_str())));
    let mut wrong: Vec<String> = missing.map(|forms| format!("no row `{}`: make it from the record", forms[0])).collect();
    let measured = lines.iter().skip_while(|l| **l != "## Measured").skip(1).take_while(|l| !l.starts_with("## "));
    let tables: Vec<&str> = measured.copied().filter(|l| l.starts_with('|')).collect();
    for (i, line) in tables.iter().enumerate() {
        let rule = |l: &&str| l.starts_with("|---");
        let heading = rule(line) || tables.get(i + 1).is_some_and(rule);
        if !heading && !records.iter().any(|forms| forms.iter().any(|row| row == line)) {
            wrong.push(format!("`{line}` stands in no record"));
        }
    }
    wrong
}

#[test]
fn the_measured_tables_of_the_readme_are_those_of_the_records() {
    assert_eq!(wrong(&read("README.md")), Vec::<String>::new());
}

#[test]
fn a_number_that_differs_from_its_record_is_found() {
    let changed = read("README.md").replacen(&speed()[0], &speed()[0].replace("| autoane | ", "| autoane | 9"), 1);
    let wrong = wrong(&changed);
    assert!(wrong.len() == 2 && wrong[0].contains("no row") && wrong[1].contains("in no record"), "{wrong:?}");
}

#[test]
fn a_row_without_a_record_is_found() {
    let row = &decode()[0];
    let invented = read("README.md").replacen(row, &format!("{row}\n| Q2_K | 9999, 1 | 999.9, 1.0 |"), 1);
    assert_eq!(wrong(&invented), ["`| Q2_K | 9999, 1 | 999.9, 1.0 |` stands in no record"]);
}

/// Files of `bench --submit-file` under `docs/machines/`: each a row of the page, none of a disturbed machine.
#[test]
fn machines() {
    let page = read("docs/machines.md");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/machines");
    let mut found = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let record: Json = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let figures = &record["figures"];
        assert_eq!(figures["circumstances"]["disturbed"], serde_json::json!([]), "{}: not a quiet machine", path.display());
        assert_eq!(record["model"], "stories-36m", "{}: rows compare one model", path.display());
        let number = |value: &Json| value.as_f64().unwrap();
        let (cpu, isa) = (record["system"]["cpu"].as_str().unwrap(), figures["isa"].as_str().unwrap());
        let peak = number(&figures["ceilings"]["gflops"]);
        let [read, speed] = [&figures["ceilings"]["read_gbps"], &figures["tokens_per_second"]].map(number);
        let share = 100.0 * number(&figures["of_peak"]);
        let row = format!("| {cpu} | {}, {isa} | {peak:.0} | {read:.1} | {speed:.0} | {share:.0}% |", figures["threads"]);
        assert!(page.lines().any(|line| line == row), "docs/machines.md has no row `{row}` of {}", path.display());
        found += 1;
    }
    assert!(found > 0, "no machine");
}
