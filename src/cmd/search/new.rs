//! `search new`: the declaration of a study, before its first run.

use std::path::Path;

use search::git::Repository;
use search::journal::Op;
use search::race::Rules;
use search::samplers::SamplerKind;
use search::study::{Budget, Equal, Objective};
use search::{Config, Journal, Param, Shape, Space, Study, shape};
use serde_json::{Value as Json, json};

use super::foresee::Foresight;
use super::recipe;
use crate::cli::{self, SearchNewArgs, Verb};
use crate::config::{ModelChoice, Origin, Resolved, SETTINGS, setting};
use crate::exit::{CANNOT_WRITE, Exit, MISSING, usage};
use crate::out::Out;

/// Makes the folder of the study.
pub fn run(args: &SearchNewArgs, out: Out) -> anyhow::Result<()> {
    let space = space(args)?;
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let resolved = resolve(&args.train, env)?;
    let shaped = space.params.iter().any(|p| shape::NAMES.contains(&p.name.as_str()));
    let base = if shaped { Some(base_model(&resolved)?) } else { None };
    let study = study(args, space, &resolved, base.as_ref().map(|(s, _)| *s))?;
    check_statistics(&study)?;
    check_configurations(&study)?;
    check_needs(&study, &resolved, base.as_ref().map(|(_, config)| config.clone()))?;
    if study.branch.is_some() {
        Repository::of(Path::new("."))?.require_clean(&args.study)?;
    }
    let there = args.study.join("study.json");
    if there.exists() {
        let folder = args.study.display();
        let message =
            format!("{} is there: `search run {folder}` goes on with it; a new study needs another name", there.display());
        return Err(Exit::new(CANNOT_WRITE, message).into());
    }
    study.save(&args.study)?;
    if let Some((_, config)) = &base {
        std::fs::write(args.study.join("base.json"), format!("{config:#}\n"))?;
    }
    let journal = Journal::open(&args.study.join(super::JOURNAL), &study.name, "autoane-new")?;
    let state = journal.write(vec![Op::CreateStudy { name: study.name.clone() }])?;
    let id = state.study.unwrap_or_default();
    let names = json!([study.objective.name()]);
    journal.write(vec![
        Op::StudySystemAttr { study: id, key: "study:metric_names".into(), value: names },
        Op::StudyAttr { study: id, key: "declared".into(), value: serde_json::to_value(&study)? },
    ])?;
    if args.agent {
        std::fs::write(args.study.join("program.md"), super::propose::program(&study, &args.study))?;
    }
    describe(args, &study, out)
}

/// What `train` would refuse of the baseline, or of it with one other choice, is refused before anything is run.
fn check_configurations(study: &Study) -> anyhow::Result<()> {
    let words =
        |config: &Config| study.train.iter().cloned().chain(super::foresee::flags(study, config)).collect::<Vec<String>>();
    resolve(&words(&study.baseline), Vec::new())?;
    for (i, param) in study.space.params.iter().enumerate() {
        let search::Range::Choice(choices) = &param.range else { continue };
        for choice in 0..choices.len() {
            let mut config = study.baseline.clone();
            config[i] = choice as f64;
            resolve(&words(&config), Vec::new())?;
        }
    }
    Ok(())
}

/// A study that compares equal work, or bounds memory, must be able to foresee both; its baseline must be allowed.
fn check_needs(study: &Study, resolved: &Resolved, base: Option<Json>) -> anyhow::Result<()> {
    let limit = match (study.max_memory, study.equal) {
        (None, Equal::Tokens) => return Ok(()),
        (limit, _) => limit.unwrap_or(u64::MAX),
    };
    let model = match &resolved.config.model_config {
        Some(path) => format!("--model-config={}", path.display()),
        None => format!("--model={}", resolved.config.model),
    };
    let need = Foresight::new(study, base.is_some().then_some(model), base).of(study, &study.baseline)?.bytes;
    if need > limit {
        let (need, limit) = (crate::out::bytes(need), crate::out::bytes(limit));
        return Err(usage(format!("--max-memory: the baseline alone is foreseen to take {need}, more than {limit}")));
    }
    Ok(())
}

fn describe(args: &SearchNewArgs, study: &Study, out: Out) -> anyhow::Result<()> {
    let row = |(p, v): (&Param, &f64)| vec![p.name.clone(), format!(" {}", p.describe()), format!(" {}", p.text(*v))];
    let rows: Vec<Vec<String>> = study.space.params.iter().zip(&study.baseline).map(row).collect();
    out.table(&["parameter", " range", " baseline"], &rows)?;
    let folder = args.study.display();
    out.say(format!("next: {} search run {folder} --trials 20", crate::out::program()));
    out.json(
        &json!({ "study": args.study, "journal": args.study.join(super::JOURNAL), "params": study.space.json(&study.baseline) }),
    )
}

fn space(args: &SearchNewArgs) -> anyhow::Result<Space> {
    let mut space = match args.preset.as_deref() {
        Some("original") => Space::original(),
        Some("original-lr") => Space::original_learning_rates(),
        Some("original-arch") => Space::original_shapes(),
        _ => Space::default(),
    };
    for text in &args.params {
        let param = Param::parse(text)?;
        match space.position(&param.name) {
            Some(i) => space.params[i] = param,
            None => space.params.push(param),
        }
    }
    if space.params.is_empty() {
        return Err(usage("nothing is searched: give --param NAME=LOW..HIGH or --preset original"));
    }
    space.check().map_err(usage)?;
    for param in &space.params {
        recipe::check(param)?;
    }
    Ok(space)
}

/// The configuration that the arguments of `train` mean.
pub fn resolve(train: &[String], env: Vec<(String, String)>) -> anyhow::Result<Resolved> {
    let words = ["autoane", "train"].into_iter().map(Into::into).chain(train.iter().map(Into::into));
    let parsed = cli::parse(words).map_err(|e| usage(format!("arguments of `train` after `--`: {e}")))?;
    let Verb::Train(args) = parsed.verb else { return Err(usage("arguments of `train` after `--`: not `train`")) };
    if args.resume.is_some() {
        return Err(usage("a trial begins anew: --resume cannot be searched over"));
    }
    Resolved::of(&args.sources(env))
}

/// What the shape parameters start from, and its `config.json`.
fn base_model(resolved: &Resolved) -> anyhow::Result<(Shape, Json)> {
    let config: Json = match ModelChoice::of_config(&resolved.config)? {
        ModelChoice::Preset(preset) => {
            formats::hf::to_config_json(&preset.spec, &formats::SpecialIds::default(), formats::Dtype::F32)?
        }
        ModelChoice::Shape(path) => serde_json::from_str(&std::fs::read_to_string(path)?)?,
        _ => return Err(usage("shapes are searched from a preset or --model-config: name one after `--`")),
    };
    let get = |key: &str| config.get(key).and_then(Json::as_u64).map(|v| v as usize);
    let need = |key: &str| get(key).filter(|v| *v > 0).ok_or_else(|| usage(format!("config.json of the model: no `{key}`")));
    let (dim, heads) = (need("hidden_size")?, need("num_attention_heads")?);
    let shape = Shape {
        dim,
        depth: need("num_hidden_layers")?,
        heads,
        kv_heads: get("num_key_value_heads").filter(|v| *v > 0).unwrap_or(heads),
        head_dim: get("head_dim").filter(|v| *v > 0).unwrap_or((dim / heads).max(1)),
        hidden: need("intermediate_size")?,
    };
    Ok((shape, config))
}

fn study(args: &SearchNewArgs, space: Space, resolved: &Resolved, shape: Option<Shape>) -> anyhow::Result<Study> {
    let time = |text: &Option<String>| -> anyhow::Result<Option<f64>> {
        let read = |t: &String| crate::config::duration(t).map(|d| d.as_secs_f64()).map_err(usage);
        text.as_ref().map(read).transpose()
    };
    let given = ["steps", "tokens", "max-time"].into_iter().find(|key| is_typed(resolved, key));
    if let (Some(key), true) = (given, args.trial_time.is_some() || args.trial_tokens.is_some() || args.trial_clock.is_some()) {
        return Err(usage(format!("--{key} and the study's own budget: every run spends one of them")));
    }
    if let Some(path) = args.test_data.as_ref().filter(|path| !Path::new(path).exists()) {
        return Err(Exit::new(MISSING, format!("--test-data {path}: no such file")).into());
    }
    let budget = match (time(&args.trial_time)?, args.trial_tokens, time(&args.trial_clock)?) {
        (Some(t), ..) => Budget::Calibrated(t),
        (_, Some(n), _) => Budget::Tokens(n as u64),
        (.., Some(t)) => Budget::Clock(t),
        _ if given.is_some() => Budget::Given,
        _ => Budget::Calibrated(120.0),
    };
    let name = args.study.file_name().map_or_else(|| "study".into(), |n| n.to_string_lossy().into_owned());
    let mut study = Study {
        baseline: baseline(&space, resolved, shape),
        shape,
        proportion: args.preset.as_deref() == Some("original"),
        objective: objective(args, resolved),
        budget,
        equal: if args.equal == "flops" { Equal::Flops } else { Equal::Tokens },
        rules: Rules {
            alpha: args.alpha,
            min_effect: args.min_effect,
            seeds: args.seeds,
            looks: args.looks,
            max_pairs: args.max_pairs,
        },
        final_pairs: args.final_pairs,
        trials: args.trials,
        sampler: SamplerKind::of(&args.sampler).unwrap_or(SamplerKind::Tpe),
        seed: args.sampler_seed,
        time_limit: time(&args.time_limit)?,
        max_memory: args.max_memory.map(|mb| mb as u64 * 1_000_000),
        test_data: args.test_data.as_ref().map(std::path::absolute).transpose()?.map(|p| p.to_string_lossy().into_owned()),
        branch: args.git.as_ref().map(|b| if b.is_empty() { format!("autoane/{name}") } else { b.clone() }),
        train: train_arguments(&space, resolved, shape.is_some())?,
        space,
        name,
    };
    for text in &args.baseline {
        let (name, value) = text.split_once('=').ok_or_else(|| usage(format!("--baseline {text}: expected NAME=VALUE")))?;
        let i = study.space.position(name).ok_or_else(|| usage(format!("--baseline {name}: not a parameter of the study")))?;
        study.baseline[i] = study.space.params[i].read(value)?;
    }
    study.baseline = study.settle(study.baseline.clone());
    Ok(study)
}

fn objective(args: &SearchNewArgs, resolved: &Resolved) -> Objective {
    let raw = resolved.config.data.ends_with(".bin") && resolved.config.tokenizer.is_none();
    match args.objective.as_deref() {
        Some("val_loss") => Objective::ValLoss,
        None if raw => Objective::ValLoss,
        _ => Objective::ValBpb,
    }
}

/// What the arguments of `train` and its defaults say, where the ranges hold it; else the middle.
fn baseline(space: &Space, resolved: &Resolved, shape: Option<Shape>) -> Config {
    let of_shape = |name: &str| {
        let s = shape?;
        let all = [s.depth, s.dim, s.hidden, s.heads, s.kv_heads, s.head_dim];
        shape::NAMES.iter().position(|n| *n == name).map(|i| json!(all[i]))
    };
    let value = |p: &Param| {
        let known = of_shape(&p.name).or_else(|| setting(&p.name).map(|s| (s.get)(&resolved.config)));
        let known = known.unwrap_or_default();
        match &known {
            Json::Number(n) => n.as_f64().map(|v| choice_or_nearest(p, v)),
            Json::String(s) => p.read(s).ok(),
            Json::Bool(b) => p.read(&b.to_string()).ok(),
            _ => None,
        }
        .unwrap_or_else(|| p.at(0.5))
    };
    space.params.iter().map(value).collect()
}

fn choice_or_nearest(param: &Param, value: f64) -> f64 {
    match &param.range {
        search::space::Range::Choice(_) => param.read(&format!("{value}")).unwrap_or_else(|_| param.at(0.5)),
        _ => param.nearest(value),
    }
}

/// What was typed after `--` as `--name=value`, paths made absolute; of a shaped study without the model, but with what its
/// preset decides.
fn train_arguments(space: &Space, resolved: &Resolved, shaped: bool) -> anyhow::Result<Vec<String>> {
    let kept = ["seq-len", "batch-size", "learning-rate"];
    let mut words = Vec::new();
    for s in SETTINGS {
        let typed = is_typed(resolved, s.key);
        let of_preset = shaped && kept.contains(&s.key);
        let model = matches!(s.key, "model" | "model-config");
        if !(typed || of_preset) || (shaped && model) || space.position(s.key).is_some() || matches!(s.key, "seed" | "out") {
            continue;
        }
        let text = match (s.get)(&resolved.config) {
            Json::String(text) => text,
            other => other.to_string(),
        };
        let file = ["data", "tokenizer", "template", "model", "model-config"].contains(&s.key);
        let path = Path::new(&text);
        let text = if file && path.exists() { std::path::absolute(path)?.to_string_lossy().into_owned() } else { text };
        words.push(format!("--{}={text}", s.key));
    }
    Ok(words)
}

fn is_typed(resolved: &Resolved, key: &str) -> bool {
    matches!(resolved.origin(key), Some(Origin::Flag | Origin::Variable(_) | Origin::File(..)))
}

fn check_statistics(study: &Study) -> anyhow::Result<()> {
    let r = &study.rules;
    if !(r.alpha > 0.0 && r.alpha < 0.5) {
        return Err(usage(format!("--alpha {}: expected more than 0 and less than 0.5", r.alpha)));
    }
    if !(r.min_effect >= 0.0 && r.min_effect.is_finite()) {
        return Err(usage(format!("--min-effect {}: expected 0 or more", r.min_effect)));
    }
    if study.final_pairs < 8 {
        return Err(usage(format!("--final-pairs {}: a final comparison takes at least 8", study.final_pairs)));
    }
    if r.max_pairs < 2 || r.max_pairs > 1000 || r.seeds > 1000 || study.final_pairs > 1000 {
        return Err(usage("--seeds, --max-pairs and --final-pairs: at most 1000; --max-pairs at least 2"));
    }
    if study.sampler == SamplerKind::Halving && study.budget == Budget::Given {
        return Err(usage("--sampler halving needs --trial-tokens, --trial-time or --trial-clock: its rungs are parts of it"));
    }
    if study.equal == Equal::Flops && matches!(study.budget, Budget::Clock(_) | Budget::Given) {
        return Err(usage("--equal flops needs --trial-tokens or --trial-time: what the baseline's runs train on"));
    }
    if study.shape.is_none() && !study.train.iter().any(|a| a.starts_with("--model")) {
        return Err(usage("name a model after `--`: `auto` measures the machine in every run, and trials would differ in size"));
    }
    let frozen = study.train.iter().any(|a| a == "--lora=true");
    let from_scratch = !study.train.iter().any(|a| a.strip_prefix("--model=").is_some_and(|m| Path::new(m).exists()));
    if frozen && from_scratch {
        return Err(usage("adapters over random weights are not searched: name a trained model after `--`, or leave out --lora"));
    }
    study.check().map_err(usage)?;
    Ok(())
}
