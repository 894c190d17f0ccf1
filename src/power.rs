//! `--power`: what a verb takes beyond what the machine takes at rest, measured beside it.
//!
//! The machine is measured at rest first, then until the verb ends; a verb may say which part of it is the work, and of how
//! many steps and tokens. A machine without a meter is told so once, and the verb goes on.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use meter::power::{self, Idle, Reading, Sampler, Work};
use serde_json::{Value as Json, json};

use crate::out::{self, Out};

/// Time between two readings.
const INTERVAL: Duration = Duration::from_millis(500);
/// Largest standard error of the power at rest, as a share of it, that passes for rest.
const UNREST: f64 = 0.05;
/// File of a run with every reading.
pub const READINGS: &str = "power.jsonl";
/// File of a run with what came of them.
pub const RESULT: &str = "power.json";

/// Where Linux shows meters, batteries and sensors; tests lay out a tree of their own.
pub fn sys() -> PathBuf {
    std::env::var_os("AUTOANE_SYS").map_or_else(|| meter::SYS.into(), PathBuf::from)
}

/// The measurement of one verb.
pub enum Power {
    /// It is being made.
    Metered(Box<Metered>),
    /// The machine shows no meter: which were looked for, and how they would be had.
    Missing(Vec<String>),
}

/// A machine that was measured at rest and is measured on.
pub struct Metered {
    sampler: Mutex<Option<Sampler>>,
    idle: Idle,
    work: Mutex<Window>,
}

/// The part that is the work.
struct Window {
    from: Reading,
    to: Option<Reading>,
    /// When it was last looked at, and the readings that were written down.
    looked: Reading,
    written: usize,
    steps: Option<u64>,
    tokens: Option<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Power {
    /// Measures the machine at rest for `rest`, and on from there.
    pub fn begin(rest: Duration, out: Out) -> Power {
        let metered =
            power::open(&sys(), INTERVAL).and_then(|meter| Metered::begin(meter, rest, INTERVAL, out).map_err(|e| vec![e]));
        metered.map_or_else(
            |missing| {
                out.warn(format!("--power: nothing is measured: {}", no_meter(&missing).trim_end()));
                Power::Missing(missing)
            },
            |metered| Power::Metered(Box::new(metered)),
        )
    }

    fn metered(&self) -> Option<&Metered> {
        if let Power::Metered(metered) = self { Some(metered) } else { None }
    }

    /// The work begins now.
    pub fn work_begins(&self) {
        if let Some(metered) = self.metered() {
            metered.work_begins();
        }
    }

    /// The work ends now, and was so many steps and tokens.
    pub fn work_ends(&self, steps: Option<u64>, tokens: Option<u64>) {
        if let Some(metered) = self.metered() {
            metered.work_ends(steps, tokens);
        }
    }

    /// Mean watts of the machine, as far as it is metered, since this was last asked.
    pub fn watts(&self) -> Option<f64> {
        self.metered()?.watts()
    }

    /// Appends the readings that are not there yet to `file`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_readings(&self, file: &Path) -> anyhow::Result<()> {
        self.metered().map_or(Ok(()), |m| m.write_readings(file))
    }

    /// What was measured so far, for programs.
    pub fn json(&self) -> Json {
        match self {
            Power::Metered(metered) => metered.json(),
            Power::Missing(missing) => json!({ "unavailable": missing }),
        }
    }

    /// Says what was measured.
    pub fn report(&self, out: Out) {
        if let Some(metered) = self.metered() {
            out.say(metered.table());
        }
    }

    /// Closes the meter: a program that measures for this one ends.
    pub fn close(&self) {
        if let Some(metered) = self.metered() {
            lock(&metered.sampler).take();
        }
    }
}

/// The sentence for a machine without a meter.
pub fn no_meter(missing: &[String]) -> String {
    let lines: String = missing.iter().map(|line| format!("\n  {line}")).collect();
    format!("this machine shows no power meter to this program:{lines}\n")
}

impl Metered {
    /// Measures the machine at rest for `rest` with `meter`, read every `interval`.
    ///
    /// # Errors
    /// Those of the meter, in words.
    pub fn begin(meter: Box<dyn power::PowerMeter>, rest: Duration, interval: Duration, out: Out) -> Result<Metered, String> {
        let sampler = Sampler::start(meter, interval)?;
        out.say(format!("{}: the machine at rest, for {:.1} s", sampler.name(), rest.as_secs_f64()));
        std::thread::sleep(rest);
        let from = sampler.read()?;
        let idle = Idle::of(&sampler.readings(0));
        for (part, (watts, se)) in sampler.parts().iter().zip(idle.watts.iter().zip(&idle.se)) {
            if *se > UNREST * watts {
                let name = &part.name;
                out.warn(format!("{name} was not at rest ({watts:.1} ± {se:.1} W): wait until it is, or measure it for longer"));
            }
        }
        let window = Window { looked: from.clone(), from, to: None, written: 0, steps: None, tokens: None };
        Ok(Metered { sampler: Mutex::new(Some(sampler)), idle, work: Mutex::new(window) })
    }

    /// A reading now; none when the meter fails or is closed.
    fn read(&self) -> Option<Reading> {
        lock(&self.sampler).as_ref()?.read().ok()
    }

    /// The work begins now.
    pub fn work_begins(&self) {
        if let Some(now) = self.read() {
            let mut work = lock(&self.work);
            (work.looked, work.from) = (now.clone(), now);
        }
    }

    /// The work ends now.
    pub fn work_ends(&self, steps: Option<u64>, tokens: Option<u64>) {
        let now = self.read();
        let mut work = lock(&self.work);
        (work.to, work.steps, work.tokens) = (now, steps, tokens);
    }

    fn watts(&self) -> Option<f64> {
        let now = self.read()?;
        let mut work = lock(&self.work);
        let watts = lock(&self.sampler).as_ref()?.watts(&work.looked, &now);
        work.looked = now;
        watts
    }

    /// Appends the readings that are not there yet; before the first of a session, what they are of.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_readings(&self, file: &Path) -> anyhow::Result<()> {
        let mut work = lock(&self.work);
        let sampler = lock(&self.sampler);
        let Some(sampler) = sampler.as_ref() else { return Ok(()) };
        let readings = sampler.readings(work.written);
        let mut text = String::new();
        if work.written == 0 {
            let names: Vec<&str> = sampler.parts().iter().map(|p| p.name.as_str()).collect();
            let interval = sampler.interval().as_secs_f64();
            let head = json!({ "meter": sampler.name(), "parts": names, "interval_seconds": interval, "idle_seconds": self.idle.seconds });
            text = format!("{head}\n");
        }
        text.extend(readings.iter().map(|r| format!("{}\n", json!({ "seconds": r.seconds, "joules": r.joules }))));
        work.written += readings.len();
        let append = || std::fs::OpenOptions::new().create(true).append(true).open(file)?.write_all(text.as_bytes());
        append().with_context(|| file.display().to_string())
    }

    /// The work so far, and what it was.
    fn work(&self) -> Option<(Work, Option<u64>, Option<u64>)> {
        let now = self.read();
        let work = lock(&self.work);
        let to = work.to.clone().or(now)?;
        Some((Work::between(&work.from, &to, &self.idle), work.steps, work.tokens))
    }

    /// What was measured, for programs: by part, and of the parts that are in no other together.
    pub fn json(&self) -> Json {
        let Some((work, steps, tokens)) = self.work() else { return json!({ "unavailable": ["the meter failed"] }) };
        let sampler = lock(&self.sampler);
        let Some(sampler) = sampler.as_ref() else { return json!({ "unavailable": ["the meter is closed"] }) };
        let of = |row: &Row| row.json(&work, steps, tokens);
        let rows = rows(&work, &self.idle, sampler);
        json!({
            "meter": sampler.name(), "interval_seconds": sampler.interval().as_secs_f64(), "idle_seconds": self.idle.seconds,
            "seconds": work.seconds, "steps": steps, "tokens": tokens,
            "parts": rows.parts.iter().map(of).collect::<Vec<_>>(), "total": of(&rows.total),
        })
    }

    /// The same for people.
    pub fn table(&self) -> String {
        let Some((work, steps, tokens)) = self.work() else { return "the meter failed: no energy".to_owned() };
        let sampler = lock(&self.sampler);
        let Some(sampler) = sampler.as_ref() else { return String::new() };
        let rows = rows(&work, &self.idle, sampler);
        let many = rows.parts.len() > 1;
        let cells: Vec<Vec<String>> =
            rows.parts.iter().chain(many.then_some(&rows.total)).map(|row| row.cells(&work, steps, tokens)).collect();
        let mut heading = vec!["part", "W at rest", "W", "J", "J beyond rest"];
        heading.extend(steps.map(|_| "J a step"));
        heading.extend(tokens.map(|_| "J a token"));
        format!("energy of {:.1} s ({}):\n{}", work.seconds, sampler.name(), out::align(&heading, &cells))
    }
}

/// One line of the result.
struct Row {
    name: String,
    idle: f64,
    idle_se: f64,
    joules: f64,
    beyond: f64,
    se: f64,
}

struct Rows {
    parts: Vec<Row>,
    total: Row,
}

fn rows(work: &Work, idle: &Idle, sampler: &Sampler) -> Rows {
    let row = |i: usize, name: &str| Row {
        name: name.to_owned(),
        idle: idle.watts[i],
        idle_se: idle.se[i],
        joules: work.joules[i],
        beyond: work.beyond_idle[i],
        se: work.se[i],
    };
    let parts: Vec<Row> = sampler.parts().iter().enumerate().map(|(i, p)| row(i, &p.name)).collect();
    let outermost: Vec<&Row> = parts.iter().zip(sampler.parts()).filter(|(_, p)| p.outermost).map(|(r, _)| r).collect();
    let sum = |of: fn(&Row) -> f64| outermost.iter().map(|r| of(r)).sum();
    // parts are busy together: their errors are added, not their squares
    let total = Row {
        name: "total".to_owned(),
        idle: sum(|r| r.idle),
        idle_se: sum(|r| r.idle_se),
        joules: sum(|r| r.joules),
        beyond: sum(|r| r.beyond),
        se: sum(|r| r.se),
    };
    Rows { parts, total }
}

impl Row {
    fn json(&self, work: &Work, steps: Option<u64>, tokens: Option<u64>) -> Json {
        let each = |n: Option<u64>| n.filter(|n| *n > 0).map(|n| self.beyond / n as f64);
        json!({
            "part": self.name, "idle_watts": self.idle, "idle_watts_se": self.idle_se, "watts": self.joules / work.seconds,
            "joules": self.joules, "joules_beyond_idle": self.beyond, "joules_se": self.se,
            "joules_per_step": each(steps), "joules_per_token": each(tokens),
        })
    }

    fn cells(&self, work: &Work, steps: Option<u64>, tokens: Option<u64>) -> Vec<String> {
        let each = |n: u64| if n > 0 { format!("{:.3e}", self.beyond / n as f64) } else { "-".to_owned() };
        let cells = [
            self.name.clone(),
            out::estimate(self.idle, self.idle_se, 2),
            format!("{:.2}", self.joules / work.seconds),
            format!("{:.1}", self.joules),
            out::estimate(self.beyond, self.se, 1),
        ];
        cells.into_iter().chain(steps.map(each)).chain(tokens.map(each)).collect()
    }
}
