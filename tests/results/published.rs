//! What may be published of a comparison: `runs/published.py`, and the scripts that ask it, over folders of runs that are made here.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;

/// A script under `runs/`; none, said loudly, without python3.
fn python(script: &str, dir: &Path, args: &[&str]) -> Option<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("runs").join(script);
    let mut command = Command::new("python3");
    // a program that trains nothing: every run is there already
    let output = command.arg("-B").arg(&script).args(args).current_dir(dir).env("AUTOANE", "false").output();
    let Ok(output) = output else {
        eprintln!("SKIPPED: {} {args:?}: no python3", script.display());
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("Traceback"), "{said}");
    Some(output)
}

/// `runs/published.py` over a comparison of two methods, each run of which `spoil` may change before it is written; none without
/// python3. Gives what it complained of, and what it said of the methods.
fn published(seeds: u64, spoil: &dyn Fn(&str, u64, &mut Folder)) -> Option<(String, String)> {
    let dir = tempfile::tempdir().unwrap();
    for method in ["backprop", "mezo"] {
        for seed in 1..=seeds {
            let mut folder = Folder::new(method, seed);
            spoil(method, seed, &mut folder);
            folder.write(&dir.path().join(format!("final-{method}-{seed}")));
        }
        Folder::new(method, 1).write(&dir.path().join(format!("speed-{method}")));
    }
    let output = python("published.py", dir.path(), &[".", &seeds.to_string(), "2", "backprop", "mezo"])?;
    let [said, found] = [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(output.status.success() == said.is_empty(), "{said}");
    Some((said, found))
}

/// What a run leaves: name and text of each file.
struct Folder(Vec<(&'static str, String)>);

impl Folder {
    fn new(method: &str, seed: u64) -> Folder {
        let slope = if method == "backprop" { "" } else { r#""projected_gradient":0.5,"# };
        let step = |i: u64| format!(r#"{{"type":"step","step":{i},{slope}"seconds":{i}.0,"tokens":{}}}"#, 64 * i);
        let eval = |i: u64| format!(r#"{{"type":"eval","step":{i},"val_loss":{}.5}}"#, 9 - i);
        let events = [eval(0), step(1), step(2), eval(2), r#"{"type":"finished"}"#.to_owned()].join("\n");
        let (optimizer, schedule) = if method == "backprop" { ("adamw", "cosine") } else { ("sgd", "constant") };
        let config = format!(
            "method = \"{method}\" # typed\noptimizer = \"{optimizer}\"\nschedule = \"{schedule}\"\nlearning-rate = 1e-4\n\
             zo-directions = 1\nseq-len = 32\nsteps = 2\nseed = {seed}\n\n[origin]\nschedule = \"default\"\nseed = \"flag\"\n"
        );
        let environment = r#"{"commit":"0123456789ab"}"#.to_owned();
        Folder(vec![("environment.json", environment), ("config.resolved.toml", config), ("events.jsonl", events)])
    }

    fn change(&mut self, name: &str, from: &str, to: &str) {
        let file = self.0.iter_mut().find(|(file, _)| *file == name).unwrap();
        assert!(file.1.contains(from));
        file.1 = file.1.replace(from, to);
    }

    fn write(&self, path: &Path) {
        fs::create_dir(path).unwrap();
        self.0.iter().for_each(|(name, text)| fs::write(path.join(name), text).unwrap());
    }
}

#[track_caller]
fn refused(spoil: &dyn Fn(&str, u64, &mut Folder), words: &[&str]) {
    let Some((said, _)) = published(3, spoil) else { return };
    assert!(said.contains("not to be published") && words.iter().all(|word| said.contains(word)), "{said}");
}

/// A change of one file of one run.
fn of(
    method: &'static str,
    seed: u64,
    name: &'static str,
    from: &'static str,
    to: &'static str,
) -> impl Fn(&str, u64, &mut Folder) {
    move |m: &str, s: u64, folder: &mut Folder| {
        if (m, s) == (method, seed) {
            folder.change(name, from, to)
        }
    }
}

/// The original published a log as Forward-Forward that was MeZO's.
#[test]
fn a_table_without_the_folders_of_its_runs_is_not_published() {
    if let Some((said, _)) = published(3, &|_, _, _| {}) {
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
    if let Some((said, _)) = published(2, &|_, _, _| {}) {
        assert!(said.contains("2 seeds show nothing"), "{said}");
    }
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
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(output) = python("zo_table.py", here, &["model", "text", "--seeds", "2"]) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("--seeds: 3 to 10"), "before anything is trained: {said}");
}

#[test]
fn what_the_methods_were_trained_with_is_said_and_runs_of_one_differ_in_nothing_but_the_seed() {
    if let Some((_, found)) = published(3, &|_, _, _| {}) {
        let found: Json = serde_json::from_str(&found).unwrap();
        assert_eq!((&found["backprop"]["optimizer"], &found["backprop"]["schedule"]), (&"adamw".into(), &"cosine".into()));
        assert_eq!((&found["mezo"]["optimizer"], &found["mezo"]["schedule"]), (&"sgd".into(), &"constant".into()));
    }
    let config = "config.resolved.toml";
    for (from, to, key) in [
        ("\"sgd\"", "\"adamw\"", "optimizer"),
        ("\"constant\"", "\"cosine\"", "schedule"),
        ("1e-4", "1e-3", "learning-rate"),
        ("directions = 1", "directions = 4", "zo-directions"),
        ("zo-directions = 1\n", "", "zo-directions"),
    ] {
        refused(&of("mezo", 2, config, from, to), &["runs of mezo differ in", key]);
    }
    let shorter = |method: &str, _: u64, folder: &mut Folder| {
        if method == "mezo" {
            folder.change(config, "seq-len = 32", "seq-len = 16");
        }
    };
    refused(&shorter, &["methods differ in seq-len"]);
}

/// `runs/zo_ceiling.py` over runs that are all there; gives its complaints and its record.
fn ceiling(more: &[&str], spoil: &dyn Fn(&str, u64, &mut Folder)) -> Option<(String, Json)> {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    fs::create_dir_all(out.join("data")).unwrap();
    for (kind, method, rate) in
        [("mezo", "mezo", "1e-4"), ("backprop-sgd", "backprop", "1e-1"), ("backprop-adamw", "backprop", "3e-2")]
    {
        let done = |name: &str| fs::write(out.join(format!("{name}.json")), r#"{"status":"done"}"#).unwrap();
        Folder::new(method, 1000).write(&out.join(format!("tune-{kind}-{rate}")));
        done(&format!("tune-{kind}-{rate}"));
        for seed in 1..=3 {
            let mut folder = Folder::new(method, seed);
            folder.change("config.resolved.toml", "1e-4", rate);
            spoil(kind, seed, &mut folder);
            folder.write(&out.join(format!("{kind}-2-{seed}")));
            done(&format!("{kind}-2-{seed}"));
        }
    }
    let args = ["model", "text", "--steps", "2", "--backprop-steps", "2", "--seeds", "3", "--out", "out"];
    let output = python("zo_ceiling.py", dir.path(), &[&args, more].concat())?;
    let record = fs::read_to_string(out.join("record.json")).unwrap_or_default();
    Some((String::from_utf8_lossy(&output.stderr).into_owned(), serde_json::from_str(&record).unwrap_or_default()))
}

#[test]
fn a_search_for_a_ceiling_is_published_by_the_same_rules() {
    let Some((said, record)) = ceiling(&[], &|_, _, _| {}) else { return };
    assert_eq!(said, "", "a whole one is");
    let row = |i: usize, key: &str| record["rows"][i][key].clone();
    assert_eq!([row(0, "method"), row(0, "optimizer"), row(0, "schedule")], ["mezo", "sgd", "constant"]);
    assert_eq!((row(0, "rate_at_edge"), row(2, "rate_at_edge")), (false.into(), true.into()), "of the grid tried");
    assert_eq!(row(0, "curve"), serde_json::json!([[0, [9.5, 9.5, 9.5]], [2, [7.5, 7.5, 7.5]]]));
    assert!(row(0, "unfinished").is_null());
    let another_rate = of("mezo", 2, "config.resolved.toml", "1e-4", "1e-3");
    let (said, record) = ceiling(&[], &another_rate).unwrap();
    assert!(said.contains("differ in learning-rate") && record.is_null(), "{said}");
}

#[test]
fn runs_that_were_cut_off_are_published_only_with_the_words() {
    let cut = |_: &str, _: u64, folder: &mut Folder| {
        folder.change("config.resolved.toml", "steps = 2", "steps = 4");
        folder.change("events.jsonl", r#"{"type":"finished"}"#, r#"{"type":"usage"}"#);
    };
    let Some((said, record)) = ceiling(&[], &cut) else { return };
    assert!(said.contains("did not finish") && record.is_null(), "{said}");
    // the folders are called by the steps that were planned
    let planned = |kind: &str, seed: u64, folder: &mut Folder| {
        cut(kind, seed, folder);
        folder.change("config.resolved.toml", "steps = 4", "steps = 2");
    };
    let (said, record) = ceiling(&["--cut-off", "1"], &planned).unwrap();
    assert_eq!(said, "");
    let rows = record["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["unfinished"] == "1 of 2 steps" && row["steps"] == 1), "{rows:?}");
    let (said, record) = ceiling(&["--cut-off", "1"], &|_, _, _| {}).unwrap();
    assert!(said.contains("is not unfinished") && record.is_null(), "{said}");
}
