//! What was typed.

mod assumed;
mod bench;
mod chat;
pub mod examples;
mod look;
mod mil;
mod numbers;
mod power;
mod search;
mod settings;
mod verbs;
mod verify;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};

pub use assumed::AssumedArgs;
pub use bench::{BenchArgs, Estimators};
pub use chat::ChatArgs;
pub use look::{DashArgs, ExplainArgs, ManArgs, ReportArgs};
pub use mil::{MilCheckArgs, MilPrintArgs, MilRunArgs, MilVerb, NumericsArg, PipelineArgs};
pub use power::PowerArgs;
pub use search::{SearchNewArgs, SearchProposeArgs, SearchVerb};
pub use settings::TrainArgs;
pub use verbs::*;
pub use verify::VerifyArgs;

/// Version with the commit that it was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("AUTOANE_BUILD_COMMIT"), ")");

/// The whole command line.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "autoane",
    version = VERSION,
    about = "Trains small Llama-family language models on the machine you own",
    after_help = examples::MAIN,
    propagate_version = true,
    max_term_width = 110
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
    /// Flags of every verb.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Flags of every verb.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct GlobalArgs {
    /// Print exactly one JSON object on stdout when the verb ends; nothing when it fails before it has one
    #[arg(long, global = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub json: bool,
    /// Measure energy beside it, after so long a rest of the machine: joules beyond rest, by part, a step and a token [10s if no time is named]
    #[arg(long, global = true, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "10s", value_parser = crate::config::duration)]
    pub power: Option<std::time::Duration>,
    /// No messages but warnings and errors
    #[arg(short, long, global = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub quiet: bool,
    /// More messages
    #[arg(short, long, global = true, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, conflicts_with = "quiet")]
    pub verbose: bool,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Train from scratch, or a model further
    #[command(after_help = examples::TRAIN)]
    Train(Box<TrainArgs>),
    /// Continue a text
    #[command(after_help = examples::GENERATE)]
    Generate(GenerateArgs),
    /// A conversation with a model that has a chat template, streamed
    #[command(after_help = examples::CHAT)]
    Chat(ChatArgs),
    /// Loss, perplexity and bits per byte, each with its standard error
    #[command(after_help = examples::EVAL)]
    Eval(EvalArgs),
    /// Logits of given tokens, for comparison with other programs
    #[command(after_help = examples::LOGITS)]
    Logits(LogitsArgs),
    /// One model format to another
    #[command(after_help = examples::CONVERT)]
    Convert(ConvertArgs),
    /// What a file or folder is, and whether it is whole
    #[command(after_help = examples::INSPECT)]
    Inspect(InspectArgs),
    /// Text and tokens
    #[command(subcommand, after_help = examples::DATA)]
    Data(DataVerb),
    /// The presets: dimensions, parameters, memory, FLOPs a token
    #[command(after_help = examples::MODELS)]
    Models,
    /// Speed and memory of a training step against the machine's measured ceilings
    #[command(after_help = examples::BENCH)]
    Bench(BenchArgs),
    /// Programs of the Neural Engine: written, checked, run on the interpreter
    #[command(subcommand, after_help = examples::MIL)]
    Mil(MilVerb),
    /// Running and finished runs in this terminal: curves, machine, samples; start, stop, save
    #[command(after_help = examples::DASH)]
    Dash(DashArgs),
    /// One HTML file with the curves and tables of a run, or of several beside each other
    #[command(after_help = examples::REPORT)]
    Report(ReportArgs),
    /// This machine, and what will be used of it and why
    #[command(after_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Power and energy of a command, beyond what the machine takes at rest
    #[command(after_help = examples::POWER)]
    Power(PowerArgs),
    /// What this program claims, checked on this machine
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArgs),
    /// What an exit code means and what to do
    #[command(after_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Manual pages
    #[command(after_help = examples::MAN)]
    Man(ManArgs),
    /// Hyperparameter studies that do not climb noise
    #[command(subcommand, after_help = examples::SEARCH)]
    Search(SearchVerb),
    /// Completions for a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
}

/// The command line of this process.
///
/// # Errors
/// What clap says; `--help` and `--version` come as errors too.
pub fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(args)
}

/// The definition of the command line, for completions.
pub fn command() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_definition_is_consistent_and_every_help_ends_with_examples() {
        let command = command();
        command.clone().debug_assert();
        fn check(command: &clap::Command, path: &str) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Examples:\n  autoane"), "{path}");
            for sub in command.get_subcommands() {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        check(&command, "autoane");
    }

    /// Every example in a help text parses.
    #[test]
    fn examples_parse() {
        fn texts(command: &clap::Command) -> Vec<String> {
            let own = command.get_after_help().map(ToString::to_string);
            own.into_iter().chain(command.get_subcommands().flat_map(texts)).collect()
        }
        for line in texts(&command()).iter().flat_map(|t| t.lines()).filter(|l| l.starts_with("  autoane ")) {
            let line = line.trim().split("   ").next().unwrap().split(" > ").next().unwrap();
            let mut quoted = line.split('"');
            let mut args: Vec<String> = Vec::new();
            while let Some(plain) = quoted.next() {
                args.extend(plain.split_whitespace().map(str::to_owned));
                args.extend(quoted.next().map(str::to_owned));
            }
            let parsed = parse(args.iter().map(Into::into));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    fn settings(line: &str) -> Vec<(&'static str, String)> {
        let cli = parse(line.split_whitespace().map(Into::into)).unwrap();
        let Verb::Train(args) = cli.verb else { panic!("not train") };
        args.settings.given.iter().map(|g| (g.key, g.text.clone())).collect()
    }

    #[test]
    fn switches_take_values_and_the_last_wins() {
        let off = vec![("compact-vocab", "false".to_owned())];
        for line in
            ["--no-compact-vocab", "--compact-vocab=false", "--compact-vocab --no-compact-vocab", "--no-compact-vocab=true"]
        {
            assert_eq!(settings(&format!("autoane train {line}")), off, "{line}");
        }
        let on = vec![("compact-vocab", "true".to_owned())];
        for line in ["--compact-vocab", "--no-compact-vocab --compact-vocab", "--no-compact-vocab=false"] {
            assert_eq!(settings(&format!("autoane train {line}")), on, "{line}");
        }
        assert_eq!(settings("autoane train --steps 5 --steps 6"), vec![("steps", "6".to_owned())]);
    }

    #[test]
    fn the_model_is_a_position_or_a_flag() {
        assert_eq!(settings("autoane train stories-4m"), settings("autoane train --model stories-4m"));
        assert!(parse(["autoane", "train", "a", "--model", "b"].map(Into::into)).is_err());
    }
}
