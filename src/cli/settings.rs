//! The flags of `train` that come from the table of settings.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::config::{Given, Origin, SETTINGS, Setting};

/// Settings that were typed, as text that their readers have checked.
#[derive(Clone, Debug, Default)]
pub struct TypedSettings {
    /// In the order of the table.
    pub given: Vec<Given>,
}

/// Id of the positional form of `--model`.
const POSITIONAL: &str = "MODEL";

impl Args for TypedSettings {
    fn augment_args(cmd: Command) -> Command {
        let positional =
            Arg::new(POSITIONAL).help("auto, a preset, or the path of a model [default: auto]").conflicts_with("model");
        SETTINGS.iter().fold(cmd.arg(positional), |cmd, setting| {
            let cmd = cmd.arg(flag(setting));
            if setting.is_switch() { cmd.arg(negation(setting)) } else { cmd }
        })
    }

    fn augment_args_for_update(cmd: Command) -> Command {
        Self::augment_args(cmd)
    }
}

fn flag(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key).long(setting.key).help(setting.about).help_heading(setting.group);
    // the last one wins, so that a script can append to a command line
    let arg = arg.action(ArgAction::Set).overrides_with(setting.key);
    if setting.is_switch() {
        let arg = arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true");
        return arg.value_parser(checked(setting)).overrides_with(off(setting));
    }
    let arg = arg.value_name(setting.hint).allow_negative_numbers(true);
    match setting.choices {
        [] if setting.hint == "FILE" || setting.hint == "DIR" || setting.hint == "PATH" => {
            arg.value_hint(clap::ValueHint::AnyPath).value_parser(checked(setting))
        }
        [] => arg.value_parser(checked(setting)),
        choices => arg.value_parser(PossibleValuesParser::new(choices)),
    }
}

fn off(setting: &Setting) -> String {
    format!("no-{}", setting.key)
}

fn negation(setting: &'static Setting) -> Arg {
    let id = off(setting);
    let about = format!("The same as --{}=false", setting.key);
    let arg = Arg::new(id.clone()).long(id).help(about).help_heading(setting.group).overrides_with(setting.key);
    let arg = arg.action(ArgAction::Set).value_name("BOOL").num_args(0..=1).require_equals(true);
    arg.default_missing_value("true").value_parser(value_parser!(bool)).overrides_with(off(setting))
}

fn checked(setting: &'static Setting) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text: &str| setting.check(text).map(|()| text.to_owned())
}

impl FromArgMatches for TypedSettings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let text = typed(matches, setting)?;
            Some(Given { key: setting.key, text, origin: Origin::Flag })
        });
        Ok(TypedSettings { given: given.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn typed(matches: &ArgMatches, setting: &Setting) -> Option<String> {
    let of = |id: &str| {
        let on_line = matches.value_source(id) == Some(ValueSource::CommandLine);
        on_line.then(|| matches.get_one::<String>(id).cloned()).flatten()
    };
    if setting.is_switch() {
        let id = off(setting);
        if matches.value_source(&id) == Some(ValueSource::CommandLine) {
            return matches.get_one::<bool>(&id).map(|no| (!no).to_string());
        }
    }
    if setting.key == "model" { of("model").or_else(|| of(POSITIONAL)) } else { of(setting.key) }
}

/// `train [MODEL] ...`
#[derive(Clone, Debug, clap::Args)]
pub struct TrainArgs {
    /// Settings of the run.
    #[command(flatten)]
    pub settings: TypedSettings,
    /// File of settings: keys are the names of the flags
    #[arg(long, value_name = "FILE.toml", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Continue the run in this folder, bit for bit; flags beside it win
    #[arg(long, value_name = "RUN", value_hint = clap::ValueHint::DirPath, conflicts_with = "overwrite")]
    pub resume: Option<PathBuf>,
    /// Replace what is in the run folder
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub overwrite: bool,
    /// Print every setting with its origin, and train nothing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub dry_run: bool,
    /// Print where each part of a step runs and what it costs, and train nothing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true)]
    pub explain: bool,
}

impl TrainArgs {
    /// What the configuration is resolved from.
    pub fn sources(&self, env: Vec<(String, String)>) -> crate::config::Sources {
        crate::config::Sources { flags: self.settings.given.clone(), env, file: self.config.clone(), resume: self.resume.clone() }
    }
}
