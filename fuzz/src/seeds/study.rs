//! Seeds of studies and their journals.

use search::Param;
use search::race::Rules;
use search::samplers::SamplerKind;
use search::study::{Budget, Equal, Objective};
use search::{Shape, Space, Study};

use super::{Seed, hostile_json, texts};

fn sound() -> Study {
    let params = ["learning-rate=1e-4..1e-2:log", "weight-decay=0..0.2", "depth=1..8", "dim=16..256:16", "heads=1..8", "schedule=cosine|linear"];
    Study {
        name: "s".into(),
        space: Space { params: params.iter().map(|p| Param::parse(p).expect("a range")).collect() },
        baseline: vec![1e-3, 0.1, 4.0, 64.0, 4.0, 0.0],
        shape: Some(Shape { dim: 64, depth: 4, heads: 4, kv_heads: 2, head_dim: 16, hidden: 160 }),
        proportion: true,
        objective: Objective::ValBpb,
        budget: Budget::Tokens(1024),
        equal: Equal::Flops,
        rules: Rules { alpha: 0.05, min_effect: 0.0, seeds: 4, looks: 3, max_pairs: 12 },
        final_pairs: 8,
        trials: 100,
        sampler: SamplerKind::Tpe,
        seed: 0,
        time_limit: None,
        max_memory: None,
        test_data: None,
        branch: None,
        train: vec!["--model=stories-1m".into()],
    }
}

pub fn studies() -> Vec<Seed> {
    let sound = serde_json::to_string_pretty(&sound()).expect("a study can be written");
    let mut seeds = hostile_json();
    seeds.extend(texts([
        ("step-0", sound.replacen("\"step\": 16", "\"step\": 0", 1)),
        ("step-2-63", sound.replacen("\"step\": 16", "\"step\": 9223372036854775807", 1)),
        ("whole-line", sound.replacen("\"low\": 16", "\"low\": -9223372036854775808", 1)),
        ("no-choice", sound.replacen("\"cosine\",", "", 1).replacen("\"linear\"", "", 1)),
        ("upside-down", sound.replacen("\"high\": 0.2", "\"high\": -1.0", 1)),
        ("pairs-2-64", sound.replacen("\"max_pairs\": 12", "\"max_pairs\": 18446744073709551615", 1)),
        ("looks-2-64", sound.replacen("\"looks\": 3", "\"looks\": 18446744073709551615", 1)),
        ("heads-0", sound.replacen("\"heads\": 4", "\"heads\": 0", 1)),
        ("large-model", sound.replacen("\"head_dim\": 16", "\"head_dim\": 18446744073709551615", 1)),
        ("unknown", sound.replacen("\"name\"", "\"nome\"", 1)),
        ("sound", sound),
    ]));
    seeds
}

pub fn journals() -> Vec<Seed> {
    let study = r#"{"op_code":0,"worker_id":"w","study_name":"s","directions":[1]}"#;
    let trial = r#"{"op_code":4,"worker_id":"w","study_id":0,"datetime_start":"2026-01-01T00:00:00.000000"}"#;
    let param = |name: &str, value: &str| {
        format!(r#"{{"op_code":5,"worker_id":"w","trial_id":0,"param_name":"{name}","param_value_internal":{value},"distribution":"{{}}"}}"#)
    };
    let whole = |value: &str| {
        let params = [param("learning-rate", value), param("depth", "4"), param("schedule", "1")].join("\n");
        let done = r#"{"op_code":6,"worker_id":"w","trial_id":0,"state":1,"values":[2.5],"datetime_complete":"2026-01-01T00:00:01.000000"}"#;
        format!("{study}\n{trial}\n{params}\n{done}\n")
    };
    let fixed = r#"{"op_code":4,"worker_id":"w","study_id":0,"state":4,"system_attrs":{"fixed_params":{"learning-rate":1e-3,"depth":2,"schedule":"linear"}}}"#;
    texts([
        ("sound", whole("1e-3")),
        ("nan", whole("NaN")),
        ("infinite", whole("-Infinity")),
        ("beyond", whole("1e300")),
        ("waiting", format!("{study}\n{fixed}\n")),
        ("torn", whole("1e-3") + &trial[..20]),
        ("deleted", format!("{study}\n{trial}\n{{\"op_code\":1,\"study_id\":0}}\n{trial}\n")),
        ("twice", format!("{study}\n{study}\n{trial}\n")),
        ("no-study", format!("{trial}\n")),
        ("ids-2-64", trial.replace(":0,", ":18446744073709551615,") + "\n"),
        ("word-in-text", r#"{"op_code":0,"study_name":"NaN \\\" Infinity","x":NaN}"#.to_owned() + "\n"),
        ("no-object", "[]\n".into()),
        ("deep", "[".repeat(9_000) + "\n"),
        ("empty", String::new()),
    ])
}
