//! `autoane`: parse, dispatch, exit code.

mod adapter;
mod auto;
mod circumstances;
mod cli;
mod cmd;
mod config;
mod corpus;
mod dash;
mod exit;
mod model_file;
mod npy;
mod out;
mod place;
mod power;
mod probes;
mod report;
mod run;
mod sample;
mod stop;
mod template_file;
mod tokenizer_file;
mod wire;

use std::process::ExitCode;

use cli::{Cli, Verb};
use out::Out;

fn main() -> ExitCode {
    exit::install_panic_hook();
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // help and version go to stdout with code 0, everything else to stderr with 2; a closed pipe is no error
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { 0 });
        }
    };
    let out = Out::new(cli.global.json, cli.global.quiet, cli.global.verbose);
    match std::panic::catch_unwind(|| metered(cli, out)) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(error)) if exit::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            out::to_stderr(&format!("error: {}", exit::explain(&error)));
            ExitCode::from(exit::code_of(&error))
        }
        Err(_) => ExitCode::from(exit::INTERNAL),
    }
}

/// Does what was asked, with its energy measured beside it where that was asked for.
fn metered(cli: Cli, out: Out) -> anyhow::Result<u8> {
    let Some(rest) = cli.global.power else { return run(cli, out) };
    if matches!(cli.verb, Verb::Power(_)) {
        return Err(exit::usage("--power measures a verb, and `power` a command: leave one out"));
    }
    let out = out.metered(rest);
    let result = run(cli, out);
    if let Some(power) = out.power() {
        if result.is_ok() {
            power.report(out);
        }
        power.close();
    }
    result
}

/// Does what was asked; gives the exit code of a verb that ended without an error.
fn run(cli: Cli, out: Out) -> anyhow::Result<u8> {
    match cli.verb {
        Verb::Train(args) => return cmd::train::run(&args, out),
        Verb::Generate(args) => cmd::generate::run(&args, out)?,
        Verb::Chat(args) => cmd::chat::run(&args, out)?,
        Verb::Eval(args) => cmd::eval::run(&args, out)?,
        Verb::Logits(args) => cmd::logits::run(&args, out)?,
        Verb::Convert(args) => cmd::convert::run(&args, out)?,
        Verb::Inspect(args) => cmd::inspect::run(&args, out)?,
        Verb::Data(verb) => cmd::data::run(&verb, out)?,
        Verb::Models => cmd::models::run(out)?,
        Verb::Mil(verb) => cmd::mil::run(&verb, out)?,
        Verb::Bench(args) => cmd::bench::run(&args, out)?,
        Verb::Dash(args) => cmd::dash::run(&args, out)?,
        Verb::Report(args) => cmd::report::run(&args, out)?,
        Verb::Doctor(args) => cmd::doctor::run(&args, out)?,
        Verb::Power(args) => return cmd::power::run(&args, out),
        Verb::Verify(args) => cmd::verify::run(&args, out)?,
        Verb::Explain(args) => cmd::explain::run(&args, out)?,
        Verb::Man(args) => cmd::man::run(&args, out)?,
        Verb::Search(verb) => return cmd::search::run(&verb, out),
        Verb::Completions(args) => cmd::completions::run(&args, out)?,
    }
    Ok(0)
}
