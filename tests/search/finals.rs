//! The end of a study.

use std::fs;

use crate::place::Place;

#[test]
fn the_locked_test_is_opened_once_and_each_change_of_the_winner_is_left_out() {
    let place = Place::new();
    let ids = (0..4000u32).flat_map(|i| ((i * i % 89) as u16).to_le_bytes()).collect::<Vec<u8>>();
    fs::write(place.path("locked.bin"), ids).unwrap();
    let declared =
        ["--param", "learning-rate=1e-6..1e-1:log", "--param", "weight-decay=0..0.2", "--seeds", "2", "--trial-tokens", "640"];
    let more = ["--test-data", "locked.bin", "--trials", "20"];
    place.declared(&[&declared[..], &more].concat(), &["--seq-len", "16", "--learning-rate", "1e-6", "--weight-decay", "0.1"]);
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    place.json(&["search", "propose", "s", "--set", "learning-rate=2e-2", "--set", "weight-decay=0.05", "--json"]);
    let ran = place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    assert_eq!(ran["best"]["number"], 1, "{ran}");
    let found = place.json(&["search", "final", "s", "--json"]);
    assert_eq!((found["winner"].as_u64(), found["pairs"].as_u64(), found["opened"].as_bool()), (Some(1), Some(8), Some(true)));
    assert!(
        found["test"].as_str().unwrap().ends_with("locked.bin")
            && found["verdict"].as_str().unwrap().contains("on the locked test")
    );
    assert!(found["low"].as_f64().unwrap() > 0.0 && found["low"].as_f64() < found["gain"].as_f64());
    let changes = found["changes"].as_array().unwrap();
    let names: Vec<&str> = changes.iter().map(|c| c["param"].as_str().unwrap()).collect();
    assert_eq!(names, ["learning-rate", "weight-decay"]);
    assert_eq!(changes[0]["supported"], true, "without the rate the gain is gone: {found}");
    assert!(changes[1]["effect"].as_f64().unwrap().abs() < changes[0]["effect"].as_f64().unwrap() / 10.0, "{found}");
    // opened once, by nothing before
    let opened = |place: &Place| place.journal().iter().filter(|l| l["user_attr"].get("final_opened").is_some()).count();
    assert_eq!(opened(&place), 1);
    for entry in fs::read_dir(place.path("s/trials")).unwrap() {
        let config = fs::read_to_string(entry.unwrap().path().join("candidate-1/run/config.resolved.toml")).unwrap();
        assert!(config.contains("tokens.bin") && !config.contains("locked.bin"));
    }
    // a second look is the first one, looked up; the study is over
    let before = fs::read(place.path("s/journal.log")).unwrap();
    assert_eq!(place.json(&["search", "final", "s", "--json"]), found);
    let ran = place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    assert_eq!(ran["trials"].as_array().unwrap().len(), 2, "no trial after the test was opened");
    place.fails(&["search", "propose", "s", "--set", "learning-rate=3e-2"], 1, "the study is over");
    assert_eq!(fs::read(place.path("s/journal.log")).unwrap(), before);
    place.json(&["search", "report", "s", "--json"]);
    let html = fs::read_to_string(place.path("s/report.html")).unwrap();
    for part in ["Final comparison", "Calibration", "Parallel coordinates", "History", "default-src 'none'", "without it (95%)"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(html.matches("<svg").count() >= 4 && !html.contains("http:") && !html.contains("https:") && !html.contains("NaN"));
}

#[test]
fn without_a_winner_the_test_stays_closed() {
    let place = Place::new();
    place.study(&[]);
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    let found = place.json(&["search", "final", "s", "--json"]);
    assert_eq!(found["opened"], false);
    assert!(found["verdict"].as_str().unwrap().starts_with("no detectable improvement, smallest detectable effect"));
    assert!(!place.path("s/final").exists());
    let ran = place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    assert_eq!(ran["trials"].as_array().unwrap().len(), 2, "the search may go on");
}

/// The winner is settled when the test is opened: a trial that is being run could still take its place.
#[cfg(unix)]
#[test]
fn the_test_stays_closed_while_a_trial_is_running() {
    use std::process::{Command, Stdio};
    let place = Place::new();
    let declared = ["--param", "learning-rate=1e-6..1e-1:log", "--seeds", "2", "--trial-tokens", "6400", "--trials", "20"];
    place.declared(&declared, &["--seq-len", "16", "--learning-rate", "1e-6"]);
    place.json(&["search", "propose", "s", "--set", "learning-rate=2e-2", "--json"]);
    place.json(&["search", "run", "s", "--trials", "2", "--json"]);
    place.json(&["search", "propose", "s", "--set", "learning-rate=1e-2", "--json"]);
    let lines = place.journal().len();
    let mut worker =
        place.command(&["search", "run", "s", "--trials", "1"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while place.journal().len() == lines {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let signal = |name: &str| assert!(Command::new("kill").args([name, &worker.id().to_string()]).status().unwrap().success());
    signal("-STOP");
    let running = place.json(&["search", "status", "s", "--json"])["running"].as_u64();
    if running == Some(1) {
        place.fails(&["search", "final", "s"], 1, "is running and could be kept yet");
        assert!(place.journal().iter().all(|l| l["user_attr"].get("final_opened").is_none()));
    } else {
        println!("SKIPPED: the trial was over before it could be held");
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(place.json(&["search", "final", "s", "--json"])["opened"], true, "a dead worker's trial is none");
}

/// A run that was just started holds the lock of a process that was killed for a moment; another one that is alive holds it on.
#[test]
fn a_lock_that_is_about_to_go_is_waited_for_and_one_that_stays_is_not() {
    let place = Place::new();
    let declared = ["--param", "learning-rate=1e-6..1e-1:log", "--seeds", "2", "--trial-tokens", "640"];
    place.declared(&declared, &["--seq-len", "16", "--learning-rate", "1e-6"]);
    place.json(&["search", "propose", "s", "--set", "learning-rate=2e-2", "--json"]);
    place.json(&["search", "run", "s", "--trials", "2", "--json"]);
    fs::create_dir_all(place.path("s/final")).unwrap();
    let held = fs::File::create(place.path("s/final/lock")).unwrap();
    held.lock().unwrap();
    place.fails(&["search", "final", "s"], 1, "another `search final`");
    let mut going = place.command(&["search", "final", "s", "--json"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert!(going.try_wait().unwrap().is_none(), "it waits");
    drop(held);
    assert!(going.wait().unwrap().success());
}
