//! `autoane train`: from a configuration to a run folder with a model in it.

use std::path::Path;

use model::Layout;
use serde_json::json;
use train::TrainError;
use train::events::{Event, Started};
use train::guard::Incident;
use train::trainer::{End, Host, Interrupt, Timings, Trainer};

use crate::circumstances::Measuring;
use crate::cli::TrainArgs;
use crate::config::{Device, Origin, Resolved, SETTINGS, TrainConfig, free_run_folder};
use crate::exit::Exit;
use crate::out::{self, Out};
use crate::run::{Files, Manners, Predicted, Relay, RunFolder, RunHost, Shown, efficiency, restart, summary};
use crate::{
    power,
    wire::{self, Wired},
};

/// Tokens of text that rows of unseen ids are fitted to.
const PROBE: usize = 3072;

/// Niceness of a polite run.
const NICE: i32 = 10;

/// Trains; gives the exit code.
pub fn run(args: &TrainArgs, out: Out) -> anyhow::Result<u8> {
    let env = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
    let mut resolved = Resolved::of(&args.sources(env))?;
    for warning in &resolved.warnings {
        out.warn(warning);
    }
    if args.dry_run {
        out.line(resolved.table())?;
        if resolved.config.model == "auto" && resolved.config.model_config.is_none() && resolved.resume.is_none() {
            out.line("auto: the preset is settled when the machine is measured; what is a default here may be the preset's")?;
        }
        out.json(&resolved.to_json())?;
        return Ok(0);
    }
    if let (None, Some(path)) = (&resolved.resume, &resolved.config.out) {
        RunFolder::check(path, args.overwrite)?;
    }
    // before any thread is started: they inherit it
    if resolved.config.polite && !meter::give_way(NICE) {
        out.warn("this process may not lower its priority; the rest of --polite holds");
    }
    let cpu = wire::cpu(&resolved.config)?;
    let continued = resolved.resume.clone().map(|path| RunFolder::resume(&path)).transpose()?;
    let map = continued.as_ref().map(RunFolder::vocab).transpose()?.flatten();
    let wired = wire::open(&mut resolved, &cpu, map, out)?;
    if let (true, Some(Origin::Checkpoint(path))) = (resolved.config.lora, resolved.origin("lora")) {
        out.say(format!("an adapter again, as {} was trained; --lora=false trains all weights", path.display()));
    }
    if args.explain {
        return explain(&resolved, &wired, &cpu, out);
    }
    let predicted = Predicted { bytes: wire::check_memory(&resolved.config, &wired.spec, &cpu, out)? };
    if let Some(adapter) = &wired.adapter {
        wire::check_base(adapter, predicted.bytes, out);
    }
    let parts = wire::parts(&resolved.config, &wired, &cpu, out)?;
    let folder = match continued {
        Some(folder) => {
            folder.check_data(&wired)?;
            folder
        }
        None => new_folder(&mut resolved, &wired, args.overwrite, &cpu)?,
    };
    session(&resolved, &wired, &cpu, Trainer::new(parts), folder, predicted, out)
}

/// Makes the folder of a new run and writes down what it is.
fn new_folder(resolved: &mut Resolved, wired: &Wired, overwrite: bool, cpu: &kernels::Cpu) -> anyhow::Result<RunFolder> {
    if resolved.config.out.is_none() {
        let path = free_run_folder(&wired.name);
        resolved.decide("out", &path.to_string_lossy(), "first free name")?;
    }
    make_absolute(resolved)?;
    let path = resolved.config.out.clone().unwrap_or_default();
    let folder = RunFolder::create(&path, overwrite)?;
    folder.describe(resolved, wired, cpu)?;
    Ok(folder)
}

/// Inputs that were named relative to this folder: a run is continued from anywhere.
fn make_absolute(resolved: &mut Resolved) -> anyhow::Result<()> {
    let config = &resolved.config;
    let mut inputs = vec![
        ("tokenizer", config.tokenizer.clone()),
        ("template", config.template.clone()),
        ("model-config", config.model_config.clone()),
    ];
    if !matches!(config.data.as_str(), "stories" | "tinystories") {
        inputs.push(("data", Some(config.data.clone().into())));
    }
    if model::preset(&config.model).is_none() {
        inputs.push(("model", Some(config.model.clone().into())));
    }
    for (key, path) in inputs {
        let Some(path) = path.filter(|p| p.is_relative() && p.exists()) else { continue };
        let typed = path.display().to_string();
        resolved.decide(key, &std::path::absolute(&path)?.to_string_lossy(), &format!("typed as {typed}"))?;
    }
    Ok(())
}

/// One session: restore, train, report.
fn session(
    resolved: &Resolved,
    wired: &Wired,
    cpu: &kernels::Cpu,
    mut trainer: Trainer<'_>,
    folder: RunFolder,
    predicted: Predicted,
    out: Out,
) -> anyhow::Result<u8> {
    let config = &resolved.config;
    let layout = Layout::of(&wired.spec);
    let probe = trainer.probe(PROBE);
    let files = Files { wired, cpu, layout, config: resolved.to_toml(), seq_len: config.seq_len, probe };
    let step = restore(&mut trainer, &folder, &files, resolved, out)?;
    let shown = Shown { steps: config.steps, tokens: config.tokens, time: config.max_time };
    let initial = Box::new(move || wire::initial_params(wired, &wired.trained(), config.seed, cpu));
    let run_dir = folder.path.to_string_lossy().into_owned();
    introduce(resolved, wired, &run_dir, predicted, out);
    let mut host = RunHost::new(folder, files, step, (config.keep, config.seed), shown, out, initial)?;
    furnish(&mut host, resolved, &started(resolved, wired, cpu, &trainer), out)?;
    let measuring = Measuring::of_run(config.device == Device::Ane);
    let mut outcome = match trainer.run(&mut host) {
        Ok(outcome) => outcome,
        Err(error) => return Err(bundle(error, &trainer, &host)),
    };
    if let Err(error) = energy(&outcome.timings, host.folder(), out) {
        out.warn(format!("what the run took could not be kept: {error:#}"));
    }
    host.stop_tracking();
    Relay::join(Path::new(&run_dir), &mut outcome);
    if outcome.end == End::Restart {
        // a new process would know nothing of the signal that this one was sent
        let Some(Interrupt::Stop(code)) = host.interrupt() else {
            // what is loaded is unloaded, and its folders go, before this process becomes another
            drop((host, trainer));
            Relay::leave(Path::new(&run_dir), &outcome)?;
            let step = outcome.spent.steps;
            out.say(format!("step {step}: the device gives this process no more programs: a new one goes on"));
            return restart(&run_dir, out);
        };
        outcome.end = End::Interrupted(code);
    }
    let circumstances = measuring.end(host.step_seconds());
    let (report, record) = efficiency(&outcome, &wired.spec, config, cpu, predicted, &circumstances);
    write_efficiency(record, &host)?;
    let sample = host.last_sample().map(str::to_owned);
    write_report(host.folder(), out);
    drop(host);
    if let End::Interrupted(code) = outcome.end {
        out.json(&summary(&outcome, &wired.spec, config, &run_dir))?;
        let next = format!("go on with `{} train --resume {run_dir}`", out::program());
        out.say(format!("stopped after step {}; {next}", outcome.spent.steps));
        return Ok(code);
    }
    out.say(report);
    conclude(&outcome, sample.as_deref(), &run_dir, out)?;
    out.json(&summary(&outcome, &wired.spec, config, &run_dir))?;
    Ok(0)
}

/// What a session has beside its loop, and its first event.
fn furnish(host: &mut RunHost<'_>, resolved: &Resolved, started: &Event, out: Out) -> anyhow::Result<()> {
    let config = &resolved.config;
    host.set_hook(crash_hook());
    host.behave(Manners::new(config.polite, config.speed, power::sys()));
    host.track(config.report_to, &settings(config))?;
    host.emit(started)?;
    host.note_settings(&settings(config))?;
    out.work_begins();
    Ok(())
}

/// What the session took, where that was asked for: the result, and every reading that it comes from.
fn energy(timings: &Timings, folder: &RunFolder, out: Out) -> anyhow::Result<()> {
    let Some(power) = out.power() else { return Ok(()) };
    power.work_ends(Some(timings.counted), Some(timings.tokens));
    power.write_readings(&folder.path.join(power::READINGS))?;
    folder.write(power::RESULT, &format!("{:#}\n", power.json()))
}

fn write_efficiency(mut record: serde_json::Value, host: &RunHost<'_>) -> anyhow::Result<()> {
    record["recording_seconds"] = json!(host.recording().as_secs_f64());
    if let Some(recorded) = host.recorded_steps() {
        record["step_seconds"] = json!(host.step_seconds());
        record["step_recorded"] = json!(recorded);
    }
    host.folder().write("efficiency.json", &format!("{record:#}\n"))
}

/// The page of the run as it now stands. The run is done and saved: the page may be missing.
fn write_report(folder: &RunFolder, out: Out) {
    let written = crate::report::of_runs(&[&folder.path]).and_then(|html| folder.write(crate::report::FILE, &html));
    if let Err(error) = written {
        out.warn(format!("{} could not be written: {error:#}", crate::report::FILE));
    }
}

/// Every setting that has a value.
fn settings(config: &TrainConfig) -> Vec<(&'static str, serde_json::Value)> {
    SETTINGS.iter().map(|s| (s.key, (s.get)(config))).filter(|(_, value)| value != "none").collect()
}

/// Brings back the last whole checkpoint of a run that is continued; says what was passed over, and writes down what is new
/// where there is anything left to do.
fn restore(
    trainer: &mut Trainer<'_>,
    folder: &RunFolder,
    files: &Files<'_>,
    resolved: &Resolved,
    out: Out,
) -> anyhow::Result<u64> {
    if resolved.resume.is_none() {
        return Ok(0);
    }
    for (key, before, now) in resolved.changes_to_run() {
        out.say(format!("{key}: {now} instead of the run's {before}"));
    }
    let Some(loaded) = folder.last()? else {
        out.say("nothing was saved yet: the run starts from its beginning");
        folder.continue_with(resolved, files.cpu)?;
        return Ok(0);
    };
    for skipped in &loaded.skipped {
        out.warn(format!("{} is damaged and passed over: {}", skipped.path.display(), skipped.reason));
    }
    trainer.restore(folder.relative(&loaded.path), |into| files.read(&loaded.path, into))?;
    folder.mend_best(&loaded.path)?;
    out.say(format!("going on after step {} of {}", loaded.step, folder.path.display()));
    if trainer.budget().next(std::time::Duration::ZERO).is_none() {
        out.say("the budget of this run is used: a larger one (--steps, --tokens, --max-time) trains on");
    } else {
        folder.continue_with(resolved, files.cpu)?;
    }
    Ok(loaded.step)
}

fn introduce(resolved: &Resolved, wired: &Wired, run_dir: &str, predicted: Predicted, out: Out) {
    let config = &resolved.config;
    let layout = Layout::of(&wired.spec);
    let spec = &wired.spec;
    let ids = if spec.vocab == wired.full.vocab { String::new() } else { format!(" of {}", wired.full.vocab) };
    out.say(format!(
        "{}: {} parameters ({} layers of {}, {} ids{ids}), {} windows of {} tokens a step, foreseen memory {}",
        wired.name,
        out::count(layout.len() as f64),
        spec.layers,
        spec.dim,
        spec.vocab,
        config.batch_size * config.accumulate,
        config.seq_len,
        out::bytes(predicted.bytes)
    ));
    out.say(format!("run folder: {run_dir}"));
}

fn started(resolved: &Resolved, wired: &Wired, cpu: &kernels::Cpu, trainer: &Trainer<'_>) -> Event {
    let spent = trainer.budget().spent();
    let started = Started {
        step: spent.steps,
        seconds: spent.seconds,
        tokens: spent.tokens,
        model: wired.name.clone(),
        params: trainer.params().len() as u64,
        seed: resolved.config.seed,
        threads: cpu.pool().threads(),
        device: resolved.config.device.name().to_owned(),
        method: resolved.config.method.name().to_owned(),
    };
    if spent.steps == 0 { Event::Started(started) } else { Event::Resumed(started) }
}

/// The last words: result, sample, what to do next.
fn conclude(outcome: &train::trainer::Outcome, sample: Option<&str>, run_dir: &str, out: Out) -> anyhow::Result<()> {
    if let Some(e) = outcome.evaluation {
        let bpb = e.bpb.map_or_else(String::new, |b| format!(", {} bits per byte", out::estimate(b.value, b.se, 3)));
        out.line(format!("validation loss {} nats a token{bpb}", out::estimate(e.loss.value, e.loss.se, 4)))?;
    }
    if let Some([tokens, answers]) = outcome.evaluation.and_then(|e| e.errors) {
        let share = |missed: train::loss::Estimate| out::estimate(100.0 * (1.0 - missed.value), 100.0 * missed.se, 1);
        out.line(format!("greedy decoding: {}% of tokens right, {}% of answers whole", share(tokens), share(answers)))?;
    }
    if let Some(text) = sample {
        out.line(format!("\nwhat it writes by itself:\n{}\n", text.trim()))?;
    }
    let best = if Path::new(run_dir).join("checkpoints/best").exists() { "best" } else { "last" };
    let speaks = Path::new(run_dir).join("checkpoints").join(best).join("tokenizer.json").is_file();
    let me = out::program();
    let generate = if speaks { format!("  {me} generate {run_dir} --prompt \"Once upon a time\"\n") } else { String::new() };
    out.say(format!(
        "curves and tables: {run_dir}/report.html\nnext:\n{generate}  {me} eval {run_dir}\n  {me} train --resume {run_dir} --max-time 10m\n  \
         checkpoint for other programs: {run_dir}/checkpoints/{best}"
    ));
    Ok(())
}

/// `--explain`: where each part of a step runs and what it costs.
fn explain(resolved: &Resolved, wired: &Wired, cpu: &kernels::Cpu, out: Out) -> anyhow::Result<u8> {
    let config = &resolved.config;
    let flops = model::flops_per_token(&wired.spec, config.seq_len);
    let tokens = (config.seq_len * config.batch_size * config.accumulate) as f64;
    let cores = format!("cpu, {} threads, {}", cpu.pool().threads(), cpu.isa().name());
    let engine = wire::engine(config, wired, cpu)?;
    let places = engine.placement().into_iter();
    let places: Vec<(&str, String)> = places.map(|(b, p)| (b, if p == "cpu" { cores.clone() } else { p })).collect();
    let rows: Vec<Vec<String>> = places.iter().map(|(b, p)| vec![(*b).to_owned(), p.clone()]).collect();
    out.table(&["block", "where"], &rows)?;
    let step = flops.train * tokens / 1e9;
    let bytes = wire::planned_bytes(config, &wired.spec, cpu);
    out.line(format!("{step:.1} GFLOP a step of {tokens} tokens, {} of memory", out::bytes(bytes)))?;
    let names: Vec<&str> = places.iter().map(|(block, _)| *block).collect();
    let names = json!(names);
    let places: serde_json::Map<_, _> = places.into_iter().map(|(b, p)| (b.to_owned(), p.into())).collect();
    let device = config.device.name();
    out.json(&json!({ "device": device, "blocks": names, "places": places, "gflop_per_step": step, "bytes": bytes }))?;
    Ok(0)
}

/// For a run that diverged: what it takes to see it happen again.
fn bundle(error: anyhow::Error, trainer: &Trainer<'_>, host: &RunHost<'_>) -> anyhow::Error {
    let Some(TrainError::Diverged(incident)) = error.downcast_ref::<TrainError>() else { return error };
    let folder = host.folder();
    match write_bundle(incident, trainer, folder, host.files()) {
        Ok(path) => {
            let next =
                format!("try `--learning-rate` at half; the last good checkpoint is {}/checkpoints/last", folder.path.display());
            Exit::new(crate::exit::DIVERGED, format!("{error:#}; batch and state are in {path}; {next}")).into()
        }
        Err(why) => error.context(format!("and what led to it could not be written: {why:#}")),
    }
}

fn write_bundle(incident: &Incident, trainer: &Trainer<'_>, folder: &RunFolder, files: &Files<'_>) -> anyhow::Result<String> {
    let path = folder.path.join("diverged");
    std::fs::create_dir_all(&path)?;
    let (inputs, targets) = trainer.step_at(incident.cursor);
    let record = json!({
        "incident": incident,
        "inputs": inputs,
        "targets": targets,
        "seq_len": files.seq_len,
        "config": files.config,
        "last_good_checkpoint": folder.store.last().map(|s| folder.relative(&folder.store.path_of(s))),
    });
    std::fs::write(path.join("incident.json"), format!("{record:#}\n"))?;
    formats::safetensors::write_f32(&path.join("state.safetensors"), |put| {
        put("weights", trainer.params());
        trainer.optimizer().visit_state(|name, values| put(name, values));
    })?;
    Ok(path.to_string_lossy().into_owned())
}

/// What is called at the points of a save where a test may end the process.
fn crash_hook() -> Option<fn(&'static str)> {
    std::env::var_os("AUTOANE_CRASH_AT")?;
    Some(crate::exit::crash_at)
}
