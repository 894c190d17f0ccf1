//! The protocol that `search new --agent` writes down, followed word by word.

use std::fs;

use serde_json::Value as Json;

use crate::place::Place;

/// The commands of `program.md`, without the program's name.
fn commands(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("s/program.md")).unwrap();
    let lines = text.lines().map(str::trim).filter_map(|l| l.strip_prefix("autoane "));
    lines.map(|l| l.split(" #").next().unwrap().trim().to_owned()).collect()
}

fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

#[test]
fn an_agent_that_follows_program_md_gets_a_verdict() {
    let place = Place::new();
    place.study(&["--agent", "--trials", "3"]);
    let all = commands(&place);
    let verbs: Vec<&str> = all.iter().map(|c| words(c)[1]).collect();
    assert_eq!(verbs, ["run", "status", "show", "propose", "run", "final", "report"], "{all:?}");
    let json = |command: &str| place.json(&words(command));
    // the baseline, once
    assert_eq!(json(&all[0])["trials"].as_array().unwrap().len(), 1);
    let mut loops = 0;
    loop {
        let status = json(&all[1]);
        assert!(status["incumbent"]["params"].is_object() && status["calibration"]["detectable"].is_number(), "{status}");
        assert!(status["next"].as_str().unwrap().contains(if status["left"] == 0 { "search final" } else { "search propose" }));
        if status["left"] == 0 {
            break;
        }
        let before = json(&all[2])["trials"].as_array().unwrap().len();
        let (name, range) = status["space"].as_object().unwrap().iter().next().unwrap();
        assert_eq!((name.as_str(), range.as_str()), ("learning-rate", Some("0.0001..0.1:log")));
        let value = format!("{name}={}", 0.02 + 0.01 * f64::from(loops));
        let propose = all[3].replace("NAME=VALUE", &value).replace("\"one sentence\"", "because");
        let said = json(&propose);
        assert_eq!((said["number"].as_u64(), said["known"].as_bool()), (Some(before as u64), Some(false)), "{said}");
        let ran = json(&all[4]);
        let trial: &Json = ran["trials"].as_array().unwrap().last().unwrap();
        assert_eq!((trial["source"].as_str(), trial["hypothesis"].as_str()), (Some("proposed"), Some("because")));
        assert!(trial["verdict"].is_string(), "{trial}");
        assert_eq!(json(&propose)["known"], true, "the same again is answered, not run");
        loops += 1;
    }
    assert_eq!(loops, 2);
    json(&all[5]);
    json(&all[6]);
}

/// What a proposer can say cannot touch the statistics: a verdict or a value in the journal's trial is not its to give.
#[test]
fn a_proposal_has_no_way_around_the_test() {
    let place = Place::new();
    place.study(&["--agent"]);
    place.json(&["search", "run", "s", "--trials", "1", "--json"]);
    for words in [["--verdict", "Keep"], ["--value", "0.1"], ["--alpha", "0.4"], ["--seeds", "1"]] {
        let all = [&["search", "propose", "s", "--set", "learning-rate=2e-2"][..], &words].concat();
        place.fails(&all, 2, words[0]);
    }
    place.fails(&["search", "propose", "s", "--set", "seed=7"], 2, "not a parameter of the study");
    place.fails(&["search", "propose", "s", "--set", "val-tokens=16"], 2, "not a parameter of the study");
    assert_eq!(place.show()["trials"].as_array().unwrap().len(), 1);
}
