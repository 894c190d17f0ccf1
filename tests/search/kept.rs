//! What a study shows beside its journal, when workers are killed, run together, or the user goes on working meanwhile.

use std::fs;
use std::process::Stdio;

use crate::place::Place;
use crate::{git, repository};

/// Between the verdict and the commit, and between the commit and its note: the next command does what is left, once.
#[test]
fn what_a_killed_worker_left_undone_is_done_by_the_next() {
    for point in ["kept", "committed"] {
        let place = Place::new();
        let root = place.dir.path();
        repository(&place);
        place.study(&["--git"]);
        let mut run = place.command(&["search", "run", "s", "--trials", "1"]);
        let ended = run.env("AUTOANE_CRASH_AT", point).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(ended.code(), None, "{point}: it was to be killed");
        assert!(!place.path("s/results.tsv").exists(), "{point}: nothing is told of it yet");
        place.json(&["search", "run", "s", "--trials", "1", "--json"]);
        let commits = git(root, &["log", "--format=%h %s", "autoane/s"]);
        let kept: Vec<&str> = commits.lines().filter(|l| l.contains("keep trial 0,")).collect();
        assert_eq!(kept.len(), 1, "{point}: {commits}");
        let table = fs::read_to_string(place.path("s/results.tsv")).unwrap();
        let named = table.lines().nth(1).unwrap().split('\t').next().unwrap();
        let hash = kept[0].split(' ').next().unwrap();
        assert!(named.len() >= 7 && (named.starts_with(hash) || hash.starts_with(named)), "{point}: {table}");
        let file = fs::read_to_string(place.path("s/incumbent.toml")).unwrap();
        assert_eq!(git(root, &["show", "autoane/s:s/incumbent.toml"]), file.trim(), "{point}");
    }
}

/// The original's `git reset --hard` took edits along that were made while it ran.
#[test]
fn edits_made_while_two_workers_run_stay_and_every_kept_row_names_its_commit() {
    let place = Place::new();
    let root = place.dir.path();
    repository(&place);
    place.study(&["--git", "--sampler", "random"]);
    let (head, index) = (git(root, &["rev-parse", "HEAD"]), fs::read(place.path(".git/index")).unwrap());
    let branch = git(root, &["branch", "--show-current"]);
    let mut run = place.command(&["search", "run", "s", "--trials", "6", "--workers", "2"]);
    let mut run = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !place.path("s/trials").exists() {
        assert!(run.try_wait().unwrap().is_none(), "it ended before anything was edited");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    fs::write(place.path(".gitignore"), "cache\n# mine\n").unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(fs::read_to_string(place.path(".gitignore")).unwrap(), "cache\n# mine\n");
    assert_eq!((git(root, &["rev-parse", "HEAD"]), git(root, &["branch", "--show-current"])), (head, branch));
    assert_eq!(fs::read(place.path(".git/index")).unwrap(), index);
    let table = fs::read_to_string(place.path("s/results.tsv")).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|l| l.split('\t').collect()).collect();
    assert_eq!(rows.len(), place.show()["trials"].as_array().unwrap().len(), "{table}");
    let kept: Vec<&&str> = rows.iter().filter(|r| r[5] == "keep").map(|r| &r[0]).collect();
    let commits = git(root, &["log", "--format=%H", "autoane/s"]);
    assert!(!kept.is_empty() && kept.iter().all(|hash| commits.lines().any(|c| c.starts_with(**hash))), "{table}\n{commits}");
    let left: Vec<_> = fs::read_dir(place.path("s")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|name| !name.contains(".autoane-")), "temporary files stay: {left:?}");
}
