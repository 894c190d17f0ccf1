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

/// `runs/published.py` over a comparison of two methods, each run of which `spoil` may change before it is written; none without
/// python3. Gives what it complained of.
fn published(seeds: u64, spoil: &dyn Fn(&str, u64, &mut Folder)) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    for method in ["backprop", "mezo"] {
        for seed in 1..=seeds {
            let mut folder = Folder::new(method, seed);
            spoil(method, seed, &mut folder);
            folder.write(&dir.path().join(format!("final-{method}-{seed}")));
        }
        Folder::new(method, 1).write(&dir.path().join(format!("speed-{method}")));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/runs/published.py");
    let output = std::process::Command::new("python3")
        .arg(script)
        .arg(dir.path())
        .args([&seeds.to_string(), "2", "backprop", "mezo"])
        .output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: no python3");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() == said.is_empty() && !said.contains("Traceback"), "{said}");
    Some(said)
}

/// What a run leaves: name and text of each file.
struct Folder(Vec<(&'static str, String)>);

impl Folder {
    fn new(method: &str, seed: u64) -> Folder {
        let slope = if method == "backprop" { "" } else { r#""projected_gradient":0.5,"# };
        let step = |i: u64| format!(r#"{{"type":"step","step":{i},{slope}"seconds":{i}.0,"tokens":{}}}"#, 64 * i);
        let events = [step(1), step(2), r#"{"type":"finished"}"#.to_owned()].join("\n");
        Folder(vec![
            ("environment.json", r#"{"commit":"0123456789ab"}"#.to_owned()),
            ("config.resolved.toml", format!("[optimization]\nmethod = \"{method}\" # typed\nseed = {seed}\n")),
            ("events.jsonl", events),
        ])
    }

    fn change(&mut self, name: &str, from: &str, to: &str) {
        let file = self.0.iter_mut().find(|(file, _)| *file == name).unwrap();
        assert!(file.1.contains(from));
        file.1 = file.1.replace(from, to);
    }

    fn write(&self, path: &Path) {
        std::fs::create_dir(path).unwrap();
        self.0.iter().for_each(|(name, text)| std::fs::write(path.join(name), text).unwrap());
    }
}

#[track_caller]
fn refused(spoil: &dyn Fn(&str, u64, &mut Folder), words: &[&str]) {
    let Some(said) = published(3, spoil) else { return };
    assert!(said.contains("not to be published") && words.iter().all(|word| said.contains(word)), "{said}");
}

/// The original published a log as Forward-Forward that was MeZO's.
#[test]
fn a_table_without_the_folders_of_its_runs_is_not_published() {
    if let Some(said) = published(3, &|_, _, _| {}) {
        assert_eq!(said, "", "a whole comparison is");
    }
    for missing in ["environment.json", "config.resolved.toml", "events.jsonl"] {
        refused(
            &|method, seed, folder| {
                if (method, seed) == ("mezo", 2) {
                    folder.0.retain(|f| f.0 != missing)
                }
            },
            &["final-mezo-2", missing],
        );
    }
    refused(&|_, _, folder| folder.change("environment.json", "0123456789ab", "unknown"), &["commit"]);
    refused(&|_, _, folder| folder.change("events.jsonl", r#"{"type":"finished"}"#, r#"{"type":"usage"}"#), &["did not finish"]);
    let renamed = |method: &str, _: u64, folder: &mut Folder| {
        if method == "backprop" {
            folder.change("config.resolved.toml", "backprop", "mezo");
        }
    };
    refused(&renamed, &["final-backprop-1", "method mezo"]);
    let log_of_another = |method: &str, _: u64, folder: &mut Folder| {
        if method == "backprop" {
            folder.change("events.jsonl", r#""seconds""#, r#""projected_gradient":2.63,"seconds""#);
        }
    };
    refused(&log_of_another, &["steps are those of another method"]);
}

/// The original's "ceilings" are of one seed, and of programs of different days.
#[test]
fn a_comparison_of_few_seeds_of_several_programs_or_of_unequal_work_is_not_published() {
    if let Some(said) = published(2, &|_, _, _| {}) {
        assert!(said.contains("2 seeds show nothing"), "{said}");
    }
    let of = |method: &'static str, seed: u64, name: &'static str, from: &'static str, to: &'static str| {
        move |m: &str, s: u64, folder: &mut Folder| {
            if (m, s) == (method, seed) {
                folder.change(name, from, to)
            }
        }
    };
    refused(&of("mezo", 3, "environment.json", "0123", "4567"), &["different programs"]);
    refused(&of("mezo", 3, "events.jsonl", r#""tokens":128"#, r#""tokens":96"#), &["mezo differ in steps or tokens"]);
    let longer = r#"{"type":"step","step":9,"projected_gradient":0.5,"seconds":9.0,"tokens":999}"#;
    let more = |method: &str, _: u64, folder: &mut Folder| {
        if method == "mezo" {
            (0..6).for_each(|_| {
                folder.change("events.jsonl", "{\"type\":\"finished\"}", &format!("{longer}\n{{\"type\":\"finished\"}}"))
            });
        }
    };
    refused(&more, &["mezo has 8 steps"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/runs/zo_table.py");
    let Ok(output) = std::process::Command::new("python3").args([script, "model", "text", "--seeds", "2"]).output() else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--seeds: 3 to 10"), "before anything is trained: {said}");
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
