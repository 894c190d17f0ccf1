//! The Neural Engine in `doctor`: what it is, whether it can be used, and which kernels passed on it.

use ane::kernels::weights::Model;
use ane::probe::{self, ProbeReport, Verdict};
use ane::{BlockShape, Device, DeviceError, Profile, Simulator};
use ane_macos::Info;
use model::{Layout, ModelSpec};
use serde_json::{Value as Json, json};

use crate::cli::ProbeArg;
use crate::corpus::cache_dir;
use crate::exit::{self, Exit};
use crate::out::Out;
use crate::probes::{self, Probes, Record, SIMULATOR};

/// Tokens of a window of the probe.
const SEQ: usize = 128;
/// Its model: the smallest of the ladder.
const MODEL: &str = model::LADDER[0];
/// Of its weights.
const SEED: u64 = 1;

/// What is known about the Neural Engine of this machine.
pub struct Neural {
    info: Result<Info, String>,
    /// The last probe, of the engine or of the simulator as asked for.
    record: Option<Record>,
    /// Whether it was made just now.
    fresh: bool,
}

/// Looks at the engine, and probes what `probe` names; without a name, an engine that was never probed.
///
/// # Errors
/// 69 when what is to be probed is not there, 73 when the result cannot be kept.
pub fn look(probe: Option<ProbeArg>, threads: usize, out: Out) -> anyhow::Result<Neural> {
    let info = ane_macos::info().map_err(|e| e.to_string());
    let (mut probes, complaint) = Probes::open(&cache_dir());
    complaint.into_iter().for_each(|c| out.warn(c));
    let machine = match probe {
        Some(ProbeArg::AneSim) => SIMULATOR.to_owned(),
        _ => info.as_ref().map_or_else(|_| String::new(), probes::machine),
    };
    // the first look at an engine tries every kernel on it
    let first = info.as_ref().is_ok_and(|i| i.present != Some(false)) && probes.get(&machine).is_none_or(|r| r.report.is_none());
    let probe_now = probe.or(first.then_some(ProbeArg::Ane));
    if let Some(device) = probe_now {
        match run(device, info.as_ref().ok(), threads, out) {
            Ok(report) => probes.put(&machine, report)?,
            Err(error) if probe.is_none() => out.warn(format!("the kernels could not be tried: {error:#}")),
            Err(error) => return Err(error),
        }
    }
    Ok(Neural { record: probes.get(&machine).cloned(), info, fresh: probe_now.is_some() })
}

fn run(device: ProbeArg, info: Option<&Info>, threads: usize, out: Out) -> anyhow::Result<ProbeReport> {
    let chip = info.and_then(Info::chip).unwrap_or_default();
    let profile = |words: &str| format!("{chip},{words}").parse::<Profile>().map_err(anyhow::Error::msg);
    // the reference compiles what the device compiles, and more than a process may on hardware
    let reference = Simulator::new(Profile { compile_budget: None, loaded_limit: None, ..profile("")? }, threads);
    match device {
        ProbeArg::Ane => against(&open()?, &reference, out),
        ProbeArg::AneSim => against(&Simulator::new(profile("strict")?, threads), &reference, out),
    }
}

fn open() -> anyhow::Result<ane_macos::Hardware> {
    ane_macos::open().map_err(|error| match error {
        DeviceError::Unavailable(why) => Exit::new(exit::UNAVAILABLE, why).into(),
        other => other.into(),
    })
}

/// Every kernel of every pipeline for blocks of a small model.
fn against<D: Device>(device: &D, reference: &Simulator, out: Out) -> anyhow::Result<ProbeReport> {
    let spec: ModelSpec = model::preset(MODEL).map(|p| p.spec).ok_or_else(|| anyhow::anyhow!("no preset {MODEL}"))?;
    let layout = Layout::of(&spec);
    let params = engine::init(&spec, &layout, SEED);
    let cases = probe::every_kernel(&BlockShape::of(&spec, SEQ))?;
    let _progress = out.progress(&format!("{} kernels on {}", cases.len(), device.describe()), 0);
    Ok(probe::probe(device, reference, &cases, &Model { spec: &spec, layout: &layout, params: &params, seq: SEQ }))
}

impl Neural {
    /// Lines of the table.
    pub fn lines(&self) -> [(&'static str, String); 2] {
        let engine = self.info.as_ref().map_or_else(Clone::clone, state);
        let none = if self.info.is_ok() { "never: autoane doctor --probe ane" } else { "never" };
        [("neural engine", engine), ("probed", self.record.as_ref().map_or_else(|| none.to_owned(), |r| summary(r, none)))]
    }

    /// Each kernel of a probe made just now.
    pub fn details(&self) -> Vec<Vec<String>> {
        let record = self.record.as_ref().filter(|_| self.fresh);
        let kernels = record.into_iter().flat_map(|r| &r.report).flat_map(|r| &r.kernels);
        kernels.map(|k| vec![k.name.clone(), k.verdict.to_string()]).collect()
    }

    /// The same for programs.
    pub fn json(&self) -> Json {
        let info = self.info.as_ref().ok();
        json!({
            "available": self.info.is_ok(),
            "why_not": self.info.as_ref().err(),
            "architecture": info.and_then(|i| i.architecture.clone()),
            "chip": info.and_then(|i| i.chip()).map(|c| c.name()),
            "cores": info.and_then(|i| i.cores),
            "engines": info.and_then(|i| i.engines),
            "present": info.and_then(|i| i.present),
            "virtual_machine": info.and_then(|i| i.virtual_machine),
            "model": info.and_then(|i| i.model.clone()),
            "build": info.and_then(|i| i.build.clone()),
            "probe": self.record,
        })
    }
}

fn state(info: &Info) -> String {
    let hidden = if info.present == Some(false) { "; not shown to this process" } else { "" };
    let guest = if info.virtual_machine == Some(true) { "; in a virtual machine" } else { "" };
    format!("{info}{hidden}{guest}")
}

fn summary(record: &Record, none: &str) -> String {
    let tried = match record.programs.len() {
        0 => String::new(),
        n => {
            let passed = record.programs.values().filter(|k| matches!(k.verdict, Verdict::Passed { .. })).count();
            format!("; {passed} of {n} programs of training passed")
        }
    };
    let Some(report) = &record.report else { return format!("{none}{tried}") };
    let worst = report.kernels.iter().filter_map(|k| match k.verdict {
        Verdict::Passed { error, .. } => Some(error),
        _ => None,
    });
    let (passed, all) = (report.passed().count(), report.kernels.len());
    let worst = worst.fold(0f32, f32::max);
    format!("{passed} of {all} kernels passed, off by at most {worst:.4} of {}, on {}{tried}", report.tolerance, report.device)
}
