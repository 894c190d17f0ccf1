//! `autoane doctor`: this machine, and what will be used of it and why.

mod neural;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kernels::Isa;
use kernels::ceilings::{self, Ceilings};
use serde_json::{Value as Json, json};
use train::checkpoint::free_bytes;

use crate::cli::{self, DoctorArgs};
use crate::corpus::cache_dir;
use crate::out::{self, Out};

/// Time that each ceiling is measured for.
const MEASURE: Duration = Duration::from_millis(400);

/// Examines the machine.
pub fn run(args: &DoctorArgs, out: Out) -> anyhow::Result<()> {
    let seen = Seen::look(args, out)?;
    for (name, value) in seen.lines().iter().chain(&seen.neural.lines()) {
        out.line(format!("{name:<18}{value}"))?;
    }
    let details = seen.neural.details();
    if !details.is_empty() {
        out.table(&["kernel", "verdict"], &details)?;
    }
    if meter::load_average().is_some_and(|load| load[0] > 0.5 * meter::logical_cpus() as f64) {
        out.warn("the machine is busy: measured times will be longer than they need to be");
    }
    out.json(&seen.json())
}

struct Seen {
    isa: Isa,
    why: &'static str,
    found: Ceilings,
    neural: neural::Neural,
    power: Result<String, Vec<String>>,
    thermal: Option<meter::Thermal>,
    battery: Option<meter::Battery>,
}

impl Seen {
    fn look(args: &DoctorArgs, out: Out) -> anyhow::Result<Seen> {
        let cpu = args.machine.cpu()?;
        let progress = out.progress("measuring what the machine can do", 0);
        let found = ceilings::measure(&cpu, MEASURE);
        drop(progress);
        let sys = crate::power::sys();
        let power = meter::power::open(&sys, MEASURE).map(|m| {
            let parts: Vec<String> = m.parts().into_iter().map(|p| p.name).collect();
            format!("{}: {}", m.name(), parts.join(", "))
        });
        Ok(Seen {
            isa: cpu.isa(),
            why: if args.machine.isa == "auto" { "the fastest that this machine has" } else { "asked for" },
            neural: neural::look(args.probe, found.threads, out)?,
            found,
            power,
            thermal: meter::thermal(),
            battery: meter::battery_below(&sys),
        })
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let (isa, why, found) = (self.isa, self.why, &self.found);
        let [one, five, fifteen] = meter::load_average().unwrap_or_default();
        let not_used: Vec<String> = unused(isa).iter().map(|(name, why)| format!("{name}: {why}")).collect();
        vec![
            ("autoane", format!("{} for {}, {}", cli::VERSION, env!("AUTOANE_BUILD_TARGET"), env!("AUTOANE_BUILD_RUSTC"))),
            ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
            ("processor", meter::cpu_name().unwrap_or_else(|| "unknown".to_owned())),
            ("features", features().join(" ")),
            ("kernels", format!("{} ({why}); available: {}", isa.name(), available_isas().join(", "))),
            ("not used", not_used.join("; ")),
            ("threads", format!("{} used of {}", found.threads, meter::logical_cpus())),
            ("load", format!("{one:.2} {five:.2} {fifteen:.2}")),
            ("memory", format!("{} available of {}", size(meter::available_memory()), size(meter::total_memory()))),
            ("storage", storage()),
            ("battery", self.battery.map_or_else(|| "none".to_owned(), battery)),
            ("heat", self.thermal.map_or_else(|| "no sensor can be read".to_owned(), heat)),
            ("multiply-adds", format!("{:.0} GFLOP/s measured", found.fma_gflops)),
            ("memory bandwidth", format!("{:.1} GB/s read, {:.1} GB/s triad, measured", found.read_gbps, found.triad_gbps)),
            ("power meter", self.power.clone().unwrap_or_else(|why| why.join("; "))),
        ]
    }

    fn json(&self) -> Json {
        let (isa, found) = (self.isa, &self.found);
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "commit": env!("AUTOANE_BUILD_COMMIT"),
            "target": env!("AUTOANE_BUILD_TARGET"),
            "rustc": env!("AUTOANE_BUILD_RUSTC"),
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "cpu": { "name": meter::cpu_name(), "features": features() },
            "isa": {
                "used": isa.name(), "why": self.why, "available": available_isas(),
                "not_used": unused(isa).into_iter().collect::<BTreeMap<_, _>>(),
            },
            "threads": { "used": found.threads, "logical": meter::logical_cpus() },
            "load_average": meter::load_average(),
            "memory": { "total_bytes": meter::total_memory(), "available_bytes": meter::available_memory() },
            "free_bytes": { "here": free_bytes(Path::new(".")), "cache": free_bytes(&cache_dir()) },
            "battery": self.battery.map(|b| json!({ "discharging": b.discharging, "percent": b.percent })),
            "thermal": self.thermal.map(|t| json!({ "celsius": t.celsius, "level": t.level })),
            "ceilings": { "fma_gflops": found.fma_gflops, "read_gbps": found.read_gbps, "triad_gbps": found.triad_gbps },
            "ane": self.neural.json(),
            "power_meter": self.power.as_ref().ok(), "no_power_meter": self.power.as_ref().err(),
        })
    }
}

fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), out::bytes)
}

fn heat(thermal: meter::Thermal) -> String {
    match (thermal.celsius, thermal.level) {
        (Some(c), _) => format!("{c:.0} degrees Celsius at the hottest sensor"),
        (None, Some(level)) => level.to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}

fn battery(battery: meter::Battery) -> String {
    let percent = battery.percent.map_or_else(String::new, |p| format!(", {p:.0}% left"));
    format!("{}{percent}", if battery.discharging { "in use" } else { "not in use" })
}

/// Room for run folders, and for what is kept of data.
fn storage() -> String {
    let [here, cache] = [free_bytes(Path::new(".")), free_bytes(&cache_dir())].map(size);
    format!("{here} free in this folder, {cache} for the cache")
}

/// Sets of kernels that are not used, and why.
fn unused(used: Isa) -> Vec<(&'static str, String)> {
    let why = |isa: Isa| match isa.is_available() {
        true => format!("{} is used", used.name()),
        false => format!("needs {}", isa.needs()),
    };
    Isa::ALL.into_iter().filter(|isa| *isa != used).map(|isa| (isa.name(), why(isa))).collect()
}

fn available_isas() -> Vec<&'static str> {
    Isa::available().map(Isa::name).collect()
}

/// Features of the processor that numerical code cares about.
fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let all = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("f16c", is_x86_feature_detected!("f16c")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
        ("avx512fp16", is_x86_feature_detected!("avx512fp16")),
        ("amx-bf16", Isa::Amx.is_available()),
    ];
    #[cfg(target_arch = "aarch64")]
    let all = [
        ("neon", std::arch::is_aarch64_feature_detected!("neon")),
        ("fp16", std::arch::is_aarch64_feature_detected!("fp16")),
        ("bf16", std::arch::is_aarch64_feature_detected!("bf16")),
        ("i8mm", std::arch::is_aarch64_feature_detected!("i8mm")),
        ("dotprod", std::arch::is_aarch64_feature_detected!("dotprod")),
    ];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let all: [(&str, bool); 0] = [];
    all.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect()
}
