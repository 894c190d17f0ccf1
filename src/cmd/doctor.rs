//! `autoane doctor`: this machine, and what will be used of it and why.

mod neural;

use std::time::Duration;

use kernels::{Isa, ceilings};
use serde_json::json;

use crate::cli::{self, DoctorArgs};
use crate::out::{self, Out};

/// Time that each ceiling is measured for.
const MEASURE: Duration = Duration::from_millis(400);

/// Examines the machine.
pub fn run(args: &DoctorArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    let progress = out.progress("measuring what the machine can do", 0);
    let found = ceilings::measure(&cpu, MEASURE);
    drop(progress);
    let neural = neural::look(args.probe, found.threads, out)?;
    let isa = cpu.isa();
    let power = meter::power::open(&crate::power::sys(), MEASURE).map(|m| {
        let parts: Vec<String> = m.parts().into_iter().map(|p| p.name).collect();
        format!("{}: {}", m.name(), parts.join(", "))
    });
    let why = if args.machine.isa == "auto" { "the fastest that this machine has" } else { "asked for" };
    let [one, five, fifteen] = meter::load_average().unwrap_or_default();
    let (total, available) = (meter::total_memory(), meter::available_memory());
    let thermal = meter::thermal();
    let text = [
        ("autoane", format!("{} for {}, {}", cli::VERSION, env!("AUTOANE_BUILD_TARGET"), env!("AUTOANE_BUILD_RUSTC"))),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("processor", meter::cpu_name().unwrap_or_else(|| "unknown".to_owned())),
        ("features", features().join(" ")),
        ("kernels", format!("{} ({why}); available: {}", isa.name(), available_isas().join(", "))),
        ("threads", format!("{} used of {}", found.threads, meter::logical_cpus())),
        ("load", format!("{one:.2} {five:.2} {fifteen:.2}")),
        ("memory", format!("{} available of {}", size(available), size(total))),
        ("heat", thermal.map_or_else(|| "no sensor can be read".to_owned(), heat)),
        ("multiply-adds", format!("{:.0} GFLOP/s measured", found.fma_gflops)),
        ("memory bandwidth", format!("{:.1} GB/s read, {:.1} GB/s triad, measured", found.read_gbps, found.triad_gbps)),
        ("power meter", power.clone().unwrap_or_else(|why| why.join("; "))),
    ];
    for (name, value) in text.iter().chain(&neural.lines()) {
        out.line(format!("{name:<18}{value}"))?;
    }
    let details = neural.details();
    if !details.is_empty() {
        out.table(&["kernel", "verdict"], &details)?;
    }
    if one > 0.5 * meter::logical_cpus() as f64 {
        out.warn("the machine is busy: measured times will be longer than they need to be");
    }
    out.json(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("AUTOANE_BUILD_COMMIT"),
        "target": env!("AUTOANE_BUILD_TARGET"),
        "rustc": env!("AUTOANE_BUILD_RUSTC"),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "cpu": { "name": meter::cpu_name(), "features": features() },
        "isa": { "used": isa.name(), "why": why, "available": available_isas() },
        "threads": { "used": found.threads, "logical": meter::logical_cpus() },
        "load_average": meter::load_average(),
        "memory": { "total_bytes": total, "available_bytes": available },
        "thermal": thermal.map(|t| json!({ "celsius": t.celsius, "level": t.level })),
        "ceilings": { "fma_gflops": found.fma_gflops, "read_gbps": found.read_gbps, "triad_gbps": found.triad_gbps },
        "ane": neural.json(),
        "power_meter": power.as_ref().ok(), "no_power_meter": power.as_ref().err(),
    }))
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
