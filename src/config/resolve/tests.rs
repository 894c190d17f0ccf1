#![allow(clippy::unwrap_used)]
use super::*;
use crate::config::{Every, OptimizerKind};

fn flags(pairs: &[(&str, &str)]) -> Vec<Given> {
    pairs.iter().map(|(k, v)| Given::checked(setting(k).unwrap(), (*v).to_owned(), Origin::Flag).unwrap()).collect()
}

fn resolve(pairs: &[(&str, &str)]) -> anyhow::Result<Resolved> {
    Resolved::of(&Sources { flags: flags(pairs), ..Sources::default() })
}

/// A value other than the default for every setting.
const OTHERS: &[(&str, &str)] = &[
    ("model", "stories-4m"),
    ("model-config", "Cargo.toml"),
    ("data", "x.txt"),
    ("tokenizer", "t.json"),
    ("template", "t.jinja"),
    ("vocab-size", "512"),
    ("token-width", "u32"),
    ("compact-vocab", "false"),
    ("data-order", "sequential"),
    ("packing", "documents"),
    ("val-fraction", "0.2"),
    ("val-tokens", "999"),
    ("residual-scale", "0.5"),
    ("rope-theta", "500000"),
    ("norm-eps", "0.001"),
    ("out", "runs/x"),
    ("steps", "7"),
    ("tokens", "9k"),
    ("max-time", "33s"),
    ("seq-len", "64"),
    ("batch-size", "3"),
    ("accumulate", "2"),
    ("learning-rate", "0.25"),
    ("schedule", "linear"),
    ("warmup", "17"),
    ("min-lr-ratio", "0.3"),
    ("optimizer", "sgd"),
    ("weight-decay", "0.01"),
    ("beta1", "0.8"),
    ("beta2", "0.99"),
    ("clip-norm", "0.5"),
    ("lora", "true"),
    ("lora-rank", "5"),
    ("ff-corrupt", "0.5"),
    ("lora-alpha", "3"),
    ("lora-targets", "ffn"),
    ("lora-form", "merged"),
    ("lora-rslora", "true"),
    ("lora-norms", "true"),
    ("eval-every", "11"),
    ("save-every", "12"),
    ("keep", "9"),
    ("sample-every", "13"),
    ("early-stop", "4"),
    ("device", "ane-sim"),
    ("pipeline", "static"),
    ("ane-kernels", "original"),
    ("ane-weights", "parameters"),
    ("ane-layers", "2"),
    ("ane-int8", "true"),
    ("ane-chip", "m1,strict"),
    ("ane-numerics", "ane"),
    ("ane-probe", "always"),
    ("threads", "1"),
    ("polite", "true"),
    ("speed", "0.5"),
    ("report-to", "wandb"),
    ("recompute", "true"),
    ("isa", "scalar"),
    ("seed", "43"),
];

/// Beginnings of settings that are tried below.
const ELSEWHERE: &[&str] = &["method", "momentum", "mezo-", "objective", "zo-"];

/// What a setting needs beside it to have a meaning.
fn beside(key: &str) -> Vec<(&'static str, &'static str)> {
    let device = ("device", "ane-sim");
    match key {
        "ane-layers" => vec![device, ("pipeline", "static")],
        "ane-int8" => vec![device, ("pipeline", "conv"), ("lora", "true")],
        key if key == "pipeline" || key.starts_with("ane-") => vec![device],
        key if key.starts_with("lora-") => vec![("lora", "true")],
        "ff-corrupt" => vec![("lora", "true"), ("method", "ff")],
        _ => Vec::new(),
    }
}

/// Settings of zeroth-order methods, each with its method.
const ZEROTH: &[(&str, &str, &str)] = &[
    ("mezo", "mezo-eps", "0.5"),
    ("mezo", "objective", "accuracy"),
    ("mezo", "zo-directions", "3"),
    ("mezo", "zo-distribution", "gaussian"),
    ("sparse-mezo", "zo-sparsity", "0.5"),
    ("hizoo", "zo-hessian", "0.5"),
    ("lozo", "zo-rank", "5"),
    ("lozo", "zo-interval", "7"),
    ("p-gap", "zo-delta", "0.5"),
    ("conmezo", "zo-angle", "0.5"),
    ("conmezo", "zo-momentum", "0.5"),
];

#[test]
fn every_setting_changes_the_resolved_configuration() {
    let plain = resolve(&[]).unwrap().to_toml();
    for setting in SETTINGS.iter().filter(|s| !ELSEWHERE.iter().any(|e| s.key.starts_with(e))) {
        let (key, value) =
            OTHERS.iter().find(|(k, _)| *k == setting.key).unwrap_or_else(|| panic!("no value for {}", setting.key));
        let changed = resolve(&[&beside(key)[..], &[(key, value)]].concat()).unwrap();
        let line = |text: &str| text.lines().find(|l| l.starts_with(&format!("{key} = "))).map(str::to_owned).unwrap();
        assert_ne!(line(&plain), line(&changed.to_toml()), "{key}");
        assert_eq!(changed.origin(key), Some(&Origin::Flag), "{key}");
    }
    let muon = resolve(&[("optimizer", "muon"), ("momentum", "0.5")]).unwrap();
    assert_eq!(muon.config.momentum, 0.5);
    for (method, key, value) in ZEROTH {
        let changed = resolve(&[("method", method), (key, value)]).unwrap();
        assert_eq!((changed.origin(key), changed.origin("method")), (Some(&Origin::Flag), Some(&Origin::Flag)), "{key}");
        assert!(changed.to_toml().contains(&format!("method = \"{method}\"")), "{key}");
        assert!(resolve(&[(key, value)]).is_err(), "--{key} without a method that has it");
        let other = if *method == "lozo" { "hizoo" } else { "lozo" };
        let of_all = key.starts_with("mezo") || matches!(*key, "objective" | "zo-directions" | "zo-distribution");
        assert!(of_all || resolve(&[("method", other), (key, value)]).is_err(), "--{key} with {other}");
    }
    let zeroth: Vec<&str> = SETTINGS.iter().map(|s| s.key).filter(|k| k.starts_with("zo-") || k.starts_with("mezo-")).collect();
    assert!(zeroth.iter().all(|key| ZEROTH.iter().any(|(_, k, _)| k == key)), "{zeroth:?}");
    assert!(setting("method").unwrap().check("mezzo").unwrap_err().contains("available: backprop, mezo"));
    assert!(setting("device").unwrap().check("gpu").unwrap_err().contains("available: cpu, ane, ane-sim"));
}

#[test]
fn layers_win_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(&path, "# mine\nlearning-rate = 0.1\nbatch_size = 5\nseed = 1\n").unwrap();
    let sources = Sources {
        flags: flags(&[("model", "stories-36m"), ("seed", "3")]),
        env: vec![("AUTOANE_SEED".into(), "2".into()), ("AUTOANE_BATCH_SIZE".into(), "6".into()), ("HOME".into(), "/".into())],
        file: Some(path.clone()),
        resume: None,
    };
    let r = Resolved::of(&sources).unwrap();
    assert_eq!((r.config.seed, r.config.batch_size, r.config.learning_rate, r.config.seq_len), (3, 6, 0.1, 128));
    assert_eq!(r.origin("seed"), Some(&Origin::Flag));
    assert_eq!(r.origin("batch-size"), Some(&Origin::Variable("AUTOANE_BATCH_SIZE".into())));
    assert_eq!(r.origin("learning-rate"), Some(&Origin::File(path, 2)));
    assert_eq!(r.origin("seq-len"), Some(&Origin::Preset("stories-36m".into())));
    assert_eq!(r.origin("beta1"), Some(&Origin::Default(String::new())));
}

#[test]
fn the_time_limit_is_a_default_only_without_another_budget() {
    assert_eq!(resolve(&[]).unwrap().config.max_time, Some(DEFAULT_TIME));
    assert_eq!(resolve(&[("steps", "5")]).unwrap().config.max_time, None);
    assert_eq!(resolve(&[("tokens", "5M")]).unwrap().config.max_time, None);
    let both = resolve(&[("steps", "5"), ("max-time", "9s")]).unwrap().config;
    assert_eq!((both.steps, both.max_time.map(|t| t.as_secs())), (Some(5), Some(9)));
}

#[test]
fn a_decision_brings_its_preset() {
    let mut r = resolve(&[("batch-size", "2")]).unwrap();
    r.decide("model", "stories-36m", "fits the budget").unwrap();
    assert_eq!((r.config.model.as_str(), r.config.seq_len, r.config.batch_size), ("stories-36m", 128, 2));
    assert_eq!(r.origin("model"), Some(&Origin::Decided("fits the budget".into())));
}

#[test]
fn optimizers_bring_their_defaults_and_refuse_what_has_no_effect() {
    assert_eq!(resolve(&[("optimizer", "muon")]).unwrap().config.momentum, 0.95);
    let sgd = resolve(&[("optimizer", "sgd"), ("model", "stories-36m")]).unwrap();
    assert_eq!((sgd.config.optimizer, sgd.config.momentum, sgd.config.learning_rate), (OptimizerKind::Sgd, 0.0, 0.1));
    for pairs in [
        &[("momentum", "0.5")][..],
        &[("optimizer", "sgd"), ("beta1", "0.5")],
        &[("schedule", "constant"), ("min-lr-ratio", "0")],
        &[("val-fraction", "0"), ("eval-every", "5")],
        &[("val-fraction", "0"), ("early-stop", "5")],
        &[("packing", "documents"), ("data-order", "sequential")],
        &[("model", "stories-4m"), ("model-config", "Cargo.toml")],
        &[("seq-len", "1000000"), ("batch-size", "1000000")],
    ] {
        let error = resolve(pairs).unwrap_err();
        assert_eq!(exit::code_of(&error), exit::USAGE, "{pairs:?}");
    }
}

fn run_folder(pairs: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(RESOLVED_FILE), resolve(pairs).unwrap().to_toml()).unwrap();
    dir
}

fn resume(dir: &Path, pairs: &[(&str, &str)]) -> anyhow::Result<Resolved> {
    Resolved::of(&Sources { flags: flags(pairs), resume: Some(dir.to_path_buf()), ..Sources::default() })
}

#[test]
fn resume_takes_everything_from_the_run() {
    let pairs =
        [("model", "stories-4m"), ("learning-rate", "0.0123"), ("optimizer", "muon"), ("steps", "50"), ("eval-every", "5")];
    let dir = run_folder(&pairs);
    let before = resolve(&pairs).unwrap().config;
    let after = resume(dir.path(), &[]).unwrap();
    assert_eq!(after.config.out.as_deref(), Some(dir.path()));
    assert_eq!(TrainConfig { out: None, ..after.config.clone() }, before);
    assert_eq!(after.origin("learning-rate"), Some(&Origin::Run(dir.path().to_path_buf())));
}

#[test]
fn flags_beside_resume_win_and_are_shown() {
    let dir = run_folder(&[("learning-rate", "0.5")]);
    let r = resume(dir.path(), &[("learning-rate", "0.25"), ("eval-every", "9")]).unwrap();
    assert_eq!((r.config.learning_rate, r.config.eval_every), (0.25, Every::Steps(9)));
    assert!(r.changes_to_run().contains(&("learning-rate", "0.5".into(), "0.25".into())));
}

#[test]
fn a_budget_beside_resume_replaces_the_budget_of_the_run() {
    let dir = run_folder(&[]);
    let r = resume(dir.path(), &[("steps", "500")]).unwrap();
    assert_eq!((r.config.steps, r.config.max_time), (Some(500), None));
    let dir = run_folder(&[("steps", "500")]);
    let r = resume(dir.path(), &[("max-time", "10s")]).unwrap();
    assert_eq!((r.config.steps, r.config.max_time.map(|t| t.as_secs())), (None, Some(10)));
}

#[test]
fn what_a_run_cannot_change_is_refused_by_name() {
    let dir = run_folder(&[("model", "stories-4m")]);
    let error = resume(dir.path(), &[("model", "stories-8m")]).unwrap_err();
    assert_eq!(exit::code_of(&error), exit::USAGE);
    assert!(error.to_string().contains("--model stories-8m cannot change on --resume: the run has stories-4m"), "{error}");
    assert!(resume(dir.path(), &[("model", "stories-4m")]).is_ok());
}

#[test]
fn a_missing_or_damaged_run_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(exit::code_of(&resume(dir.path(), &[]).unwrap_err()), exit::MISSING);
    std::fs::write(dir.path().join(RESOLVED_FILE), "seed = maybe\n").unwrap();
    assert_eq!(exit::code_of(&resume(dir.path(), &[]).unwrap_err()), exit::BAD_DATA);
}

#[test]
fn environment_errors_name_the_variable() {
    let env = vec![("AUTOANE_LEARNING_RATE".into(), "-1".into())];
    let error = Resolved::of(&Sources { env, ..Sources::default() }).unwrap_err();
    assert!(error.to_string().starts_with("AUTOANE_LEARNING_RATE: found `-1`"), "{error}");
    let env = vec![("AUTOANE_LERNING_RATE".into(), "1".into())];
    let r = Resolved::of(&Sources { env, ..Sources::default() }).unwrap();
    assert!(r.warnings.iter().any(|w| w.contains("did you mean AUTOANE_LEARNING_RATE?")), "{:?}", r.warnings);
}

#[test]
fn a_checkpoint_of_ours_brings_its_recipe_but_not_its_budget() {
    let dir = run_folder(&[("optimizer", "muon"), ("learning-rate", "0.03"), ("steps", "5"), ("data", "x.txt")]);
    let r = resolve(&[("model", &dir.path().to_string_lossy())]).unwrap();
    assert_eq!((r.config.optimizer, r.config.learning_rate), (OptimizerKind::Muon, 0.03));
    assert_eq!((r.config.steps, r.config.data.as_str()), (None, "stories"));
}

#[test]
fn what_was_right_for_weights_is_not_for_an_adapter_nor_for_another_method() {
    let dir = run_folder(&[("optimizer", "sgd"), ("learning-rate", "0.03"), ("weight-decay", "0.2"), ("seq-len", "64")]);
    let of = |more: &[(&str, &str)]| resolve(&[&[("model", &*dir.path().to_string_lossy())], more].concat()).unwrap().config;
    let (adapter, mezo) = (of(&[("lora", "true")]), of(&[("method", "mezo")]));
    assert_eq!((adapter.optimizer, adapter.learning_rate, adapter.weight_decay), (OptimizerKind::Adamw, 1e-3, 0.0));
    assert_eq!((mezo.weight_decay, mezo.learning_rate < 1e-3), (0.0, true));
    assert_eq!((adapter.seq_len, mezo.seq_len), (64, 64), "what says nothing of the method is as it was");
    let again = of(&[("lora", "false"), ("method", "backprop")]);
    assert_eq!((again.learning_rate, again.weight_decay), (0.03, 0.2), "the same method goes on as it was");
}
