//! `autoane power`: what a command takes beyond what the machine takes at rest.

use std::process::Command;
use std::time::Instant;

use meter::power::{self, Work};
use serde_json::json;

use crate::cli::PowerArgs;
use crate::exit::{self, Exit};
use crate::out::Out;

/// Measures the machine at rest, then with the command; gives the command's exit code.
pub fn run(args: &PowerArgs, out: Out) -> anyhow::Result<u8> {
    let mut meter = power::open(args.interval).map_err(|tried| {
        let tried: String = tried.iter().map(|line| format!("\n  {line}")).collect();
        Exit::new(exit::UNAVAILABLE, format!("this machine shows no power meter to this program:{tried}"))
    })?;
    let unavailable = |why: String| Exit::new(exit::UNAVAILABLE, why);
    out.say(format!("{}: the machine at rest, for {:.0} s", meter.name(), args.idle.as_secs_f64()));
    let idle = power::idle(&mut *meter, args.idle, args.interval).map_err(unavailable)?;
    let (program, arguments) = args.command.split_first().ok_or_else(|| exit::usage("name a command after --"))?;
    let (before, began) = (meter.joules().map_err(unavailable)?, Instant::now());
    let status = Command::new(program).args(arguments).status();
    let seconds = began.elapsed().as_secs_f64();
    let status = status.map_err(|e| Exit::new(exit::MISSING, format!("{program}: {e}")))?;
    let work = Work::between(&before, &meter.joules().map_err(unavailable)?, seconds, &idle);
    show(&work, &idle, &meter.parts(), args.per, out)?;
    let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
    out.json(&record(&work, &idle, (meter.name(), &meter.parts()), args, code))?;
    Ok(code)
}

fn show(work: &Work, idle: &power::Idle, parts: &[String], per: Option<f64>, out: Out) -> anyhow::Result<()> {
    let row = |i: usize| {
        let each = per.map(|n| format!("{:.3e}", work.beyond_idle[i] / n));
        let cells = [
            parts[i].clone(),
            format!("{:.2} ± {:.2}", idle.watts[i], idle.se[i]),
            format!("{:.2}", work.joules[i] / work.seconds),
            format!("{:.1}", work.joules[i]),
            format!("{:.1} ± {:.1}", work.beyond_idle[i], work.se[i]),
        ];
        cells.into_iter().chain(each).collect()
    };
    let rows: Vec<Vec<String>> = (0..parts.len()).map(row).collect();
    let mut heading = vec!["part", "W at rest", "W", "J", "J beyond rest"];
    heading.extend(per.map(|_| "J each"));
    out.line(format!("{:.1} s", work.seconds))?;
    out.table(&heading, &rows)
}

fn record(work: &Work, idle: &power::Idle, (meter, parts): (&str, &[String]), args: &PowerArgs, code: u8) -> serde_json::Value {
    let part = |i: usize| {
        json!({
            "part": parts[i], "idle_watts": idle.watts[i], "idle_watts_se": idle.se[i], "watts": work.joules[i] / work.seconds,
            "joules": work.joules[i], "joules_beyond_idle": work.beyond_idle[i], "joules_se": work.se[i],
            "joules_each": args.per.map(|n| work.beyond_idle[i] / n),
        })
    };
    json!({
        "meter": meter, "seconds": work.seconds, "interval_seconds": args.interval.as_secs_f64(),
        "idle_seconds": args.idle.as_secs_f64(), "parts": (0..parts.len()).map(part).collect::<Vec<_>>(), "exit_code": code,
    })
}
