//! Energy, with counters as Linux shows them laid out in a folder and advanced by the test.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// A machine whose package takes 20 W whatever happens, its cores 8 W of them.
struct Machine {
    sys: PathBuf,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Machine {
    fn new(dir: &Path) -> Machine {
        let sys = dir.join("sys");
        let rapl = sys.join("class/powercap");
        for (folder, name) in [("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core")] {
            fs::create_dir_all(rapl.join(folder)).unwrap();
            fs::write(rapl.join(folder).join("name"), name).unwrap();
            fs::write(rapl.join(folder).join("energy_uj"), "0").unwrap();
            fs::write(rapl.join(folder).join("max_energy_range_uj"), "262143328850").unwrap();
        }
        let over = Arc::new(AtomicBool::new(false));
        let (stop, began) = (over.clone(), Instant::now());
        let count = move || {
            while !stop.load(Ordering::SeqCst) {
                for (folder, watts) in [("intel-rapl:0", 20.0), ("intel-rapl:0:0", 8.0)] {
                    // a counter is never seen half written
                    let new = rapl.join(folder).join("new");
                    fs::write(&new, format!("{:.0}\n", watts * began.elapsed().as_secs_f64() * 1e6)).unwrap();
                    fs::rename(new, rapl.join(folder).join("energy_uj")).unwrap();
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        };
        Machine { sys, over, thread: Some(std::thread::spawn(count)) }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.thread.take().unwrap().join();
    }
}

fn autoane(dir: &Path, sys: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command.args(args).current_dir(dir).env("AUTOANE_CACHE", dir.join("cache")).env("AUTOANE_SYS", sys).output().unwrap()
}

fn fine(dir: &Path, sys: &Path, args: &[&str]) -> (Json, String) {
    let output = autoane(dir, sys, args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    (serde_json::from_slice(&output.stdout).unwrap(), said)
}

const SHAPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-tied-gqa/config.json");

fn train<'a>(out: &'a str, steps: &'a str) -> Vec<&'a str> {
    let ids = ["train", "--model-config", SHAPE, "--data", "tokens.bin", "--seq-len", "16", "--batch-size", "2"];
    [&ids[..], &["--out", out, "--steps", steps, "--json"]].concat()
}

fn tokens(dir: &Path) {
    fs::write(dir.join("tokens.bin"), (0..6000u32).flat_map(|i| ((i * i % 97) as u16).to_le_bytes()).collect::<Vec<u8>>())
        .unwrap();
}

fn number(value: &Json) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Idle is measured in the same run and taken off; joules a step are joules beyond it over steps, not watts over steps; every
/// reading is kept, and the result follows from the readings.
#[test]
fn energy_of_a_run_is_idle_subtracted_a_step_and_a_token_and_its_readings_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new(dir.path());
    tokens(dir.path());
    let mut args = train("run", "400");
    args.push("--power=800ms");
    let (said, messages) = fine(dir.path(), &machine.sys, &args);
    assert!(messages.contains("RAPL: the machine at rest") && messages.contains("J a step"), "{messages}");
    let power = &said["power"];
    let (package, core, total) = (&power["parts"][0], &power["parts"][1], &power["total"]);
    assert_eq!((package["part"].as_str(), core["part"].as_str()), (Some("package-0"), Some("core")));
    assert_eq!((power["steps"].as_u64(), power["tokens"].as_u64()), (Some(400), Some(12_800)));
    assert!((number(&package["idle_watts"]) - 20.0).abs() < 2.0 && (number(&package["watts"]) - 20.0).abs() < 2.0, "{power}");
    assert_eq!(package["joules"], total["joules"], "the cores are in the package");
    let beyond = number(&package["joules"]) - number(&package["idle_watts"]) * number(&power["seconds"]);
    assert!((number(&package["joules_beyond_idle"]) - beyond).abs() < 1e-9 * number(&package["joules"]).max(1.0));
    assert_eq!(number(&package["joules_per_step"]), number(&package["joules_beyond_idle"]) / 400.0);
    assert_eq!(number(&package["joules_per_token"]), number(&package["joules_beyond_idle"]) / 12_800.0);
    assert_eq!(number(&power["interval_seconds"]), 0.5);
    let result: Json = serde_json::from_str(&fs::read_to_string(dir.path().join("run/power.json")).unwrap()).unwrap();
    assert_eq!(&result, power);

    let text = fs::read_to_string(dir.path().join("run/power.jsonl")).unwrap();
    let lines: Vec<Json> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let (head, readings) = (&lines[0], &lines[1..]);
    assert_eq!(head["parts"], serde_json::json!(["package-0", "core"]));
    assert!(readings.len() >= 4, "{text}");
    let (of, since) = (|r: &Json| number(&r["joules"][0]), |r: &Json| number(&r["seconds"]) - number(&readings[0]["seconds"]));
    let at_rest = readings.iter().rfind(|r| since(r) <= number(&head["idle_seconds"]) + 1e-9).unwrap();
    let seconds = since(at_rest);
    assert!(((of(at_rest) - of(&readings[0])) / seconds - number(&package["idle_watts"])).abs() < 1e-6);

    let events = fs::read_to_string(dir.path().join("run/events.jsonl")).unwrap();
    let usage = events.lines().rfind(|l| l.contains("\"type\":\"usage\"")).unwrap();
    let usage: Json = serde_json::from_str(usage).unwrap();
    assert!((number(&usage["watts"]) - 20.0).abs() < 8.0, "{usage}");
}

#[test]
fn any_verb_is_metered_beside_its_work() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new(dir.path());
    tokens(dir.path());
    fine(dir.path(), &machine.sys, &train("run", "2"));
    let eval = ["eval", "run", "--json", "--power=100ms"];
    let (said, _) = fine(dir.path(), &machine.sys, &eval);
    assert_eq!(said["power"]["tokens"], said["tokens"]);
    let bench = ["bench", "stories-1m", "--max-time", "300ms", "--seq-len", "32", "--batch-size", "1", "--json", "--power=100ms"];
    let (said, _) = fine(dir.path(), &machine.sys, &bench);
    let steps = said["power"]["steps"].as_u64().unwrap();
    assert_eq!(said["power"]["tokens"], steps * 32, "{said}");
    let (said, _) = fine(dir.path(), &machine.sys, &["models", "--json", "--power=50ms"]);
    assert!(said["power"]["total"]["joules"].as_f64().unwrap() >= 0.0 && said["models"].is_array());
    let output = autoane(dir.path(), &machine.sys, &["power", "--power", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_machine_without_a_meter_is_told_so_and_the_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    tokens(dir.path());
    let mut args = train("run", "2");
    args.push("--power");
    let began = Instant::now();
    let (said, messages) = fine(dir.path(), &dir.path().join("empty"), &args);
    if said["power"]["meter"].is_string() {
        return eprintln!("SKIPPED: a machine without a meter: this one has {}", said["power"]["meter"]);
    }
    assert!(messages.contains("RAPL") && messages.contains("NVML") && messages.contains("IOReport"), "{messages}");
    assert!(said["steps"] == 2 && said["power"]["unavailable"].as_array().unwrap().len() >= 4, "{said}");
    assert!(began.elapsed() < Duration::from_secs(8), "nothing is measured, so nothing is waited for");
    let output = autoane(dir.path(), &dir.path().join("empty"), &["power", "--", "true"]);
    assert_eq!(output.status.code(), Some(69));
}

#[test]
fn a_command_is_metered_a_step_and_a_token() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new(dir.path());
    let options = ["--idle", "300ms", "--interval", "50ms", "--steps", "10", "--tokens", "100", "--readings", "all.jsonl"];
    let args = [&["power"], &options[..], &["--json", "--", "sleep", "0.5"]].concat();
    let (said, _) = fine(dir.path(), &machine.sys, &args);
    let package = &said["parts"][0];
    assert!((number(&package["joules"]) - 10.0).abs() < 2.0 && number(&package["joules_beyond_idle"]).abs() < 2.0, "{said}");
    assert_eq!(number(&package["joules_per_step"]), number(&package["joules_beyond_idle"]) / 10.0);
    assert_eq!(said["exit_code"], 0);
    assert!(fs::read_to_string(dir.path().join("all.jsonl")).unwrap().lines().count() > 10);
    assert!(said["circumstances"]["disturbed"].is_array(), "{said}");
}

/// One measurement at a time: what is metered waits for another's end, and what it runs is no other one.
#[test]
fn a_command_is_metered_alone_and_a_measurement_within_it_does_not_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let machine = Machine::new(dir.path());
    let cache = dir.path().join("cache");
    fs::create_dir_all(&cache).unwrap();
    let lock = fs::File::create(cache.join("measuring.lock")).unwrap();
    lock.lock().unwrap();
    let held = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        drop(lock);
    });
    let program = env!("CARGO_BIN_EXE_autoane");
    let bench = format!("exec '{program}' bench stories-1m --max-time 50ms --seq-len 8 --vocab-size 300 > /dev/null");
    let args = ["power", "--idle", "100ms", "--json", "--", "sh", "-c", &bench];
    let (said, messages) = fine(dir.path(), &machine.sys, &args);
    held.join().unwrap();
    assert!(messages.contains("another measurement is being made on this machine: waiting"), "{messages}");
    assert!(said["exit_code"] == 0 && !messages.contains("is not a setting"), "{said}: {messages}");
}
