//! `autoane power`: what a command takes beyond what the machine takes at rest.

use std::process::Command;

use meter::power;

use crate::circumstances::{MEASURED, Measuring};
use crate::cli::PowerArgs;
use crate::exit::{self, Exit};
use crate::out::Out;
use crate::power::{Metered, no_meter, sys};

/// Measures the machine at rest, then with the command; gives the command's exit code.
pub fn run(args: &PowerArgs, out: Out) -> anyhow::Result<u8> {
    let unavailable = |why: String| Exit::new(exit::UNAVAILABLE, why);
    let meter = power::open(&sys(), args.interval).map_err(|missing| unavailable(no_meter(&missing).trim_end().to_owned()))?;
    let measuring = Measuring::of_command(out);
    let metered = Metered::begin(meter, args.idle, args.interval, out).map_err(unavailable)?;
    let (program, arguments) = args.command.split_first().ok_or_else(|| exit::usage("name a command after --"))?;
    metered.work_begins();
    let status = Command::new(program).args(arguments).env(MEASURED, "1").status();
    let status = status.map_err(|e| Exit::new(exit::MISSING, format!("{program}: {e}")))?;
    metered.work_ends(args.steps, args.tokens);
    if let Some(file) = &args.readings {
        metered.write_readings(file)?;
    }
    out.line(metered.table())?;
    let circumstances = measuring.end(&[]);
    circumstances.say(out)?;
    let code = status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1);
    let mut record = metered.json();
    record["exit_code"] = code.into();
    record["circumstances"] = circumstances.json();
    out.json(&record)?;
    Ok(code)
}
