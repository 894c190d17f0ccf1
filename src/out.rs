//! What the user sees: data on stdout, messages and progress on stderr, one JSON object when asked for.
//! A progress bar appears on a terminal only; elsewhere a line every few seconds says the same.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::power::Power;

/// Time between progress lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where and how much to say.
#[derive(Clone, Copy)]
pub struct Out {
    json: bool,
    quiet: bool,
    verbose: bool,
    bars: bool,
    /// With how long a rest the verb is metered, and by what.
    power: Option<(Duration, &'static Power)>,
}

impl Out {
    /// Says what `json`, `quiet` and `verbose` allow; looks at the terminal, `TERM` and `NO_COLOR`.
    pub fn new(json: bool, quiet: bool, verbose: bool) -> Out {
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        Out { json, quiet, verbose, bars: !quiet && !dumb && std::io::stderr().is_terminal(), power: None }
    }

    /// The flags that another process of this program needs to speak as this one does.
    pub fn flags(&self) -> Vec<String> {
        let flags = [(self.json, "--json"), (self.quiet, "--quiet"), (self.verbose, "--verbose")];
        let flags = flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag.to_owned());
        flags.chain(self.power.map(|(rest, _)| format!("--power={}s", rest.as_secs_f64()))).collect()
    }

    /// The same, and the verb's energy is measured: after `rest`, and part of its JSON object.
    pub fn metered(self, rest: Duration) -> Out {
        // one for the life of the process
        Out { power: Some((rest, Box::leak(Box::new(Power::begin(rest, self))))), ..self }
    }

    /// The measurement of this verb's energy, where one was asked for.
    pub fn power(&self) -> Option<&'static Power> {
        self.power.map(|(_, power)| power)
    }

    /// The part of the verb whose energy is of interest begins now.
    pub fn work_begins(&self) {
        if let Some(power) = self.power() {
            power.work_begins();
        }
    }

    /// It ends now, and was so many steps and tokens.
    pub fn work_ends(&self, steps: Option<u64>, tokens: Option<u64>) {
        if let Some(power) = self.power() {
            power.work_ends(steps, tokens);
        }
    }

    /// Whether only warnings and errors are said.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether stdout is for one JSON object.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// A message to the user, unless `--quiet`.
    pub fn say(&self, message: impl AsRef<str>) {
        if !self.quiet {
            to_stderr(message.as_ref());
        }
    }

    /// A message for those who asked for more with `-v`.
    pub fn detail(&self, message: impl AsRef<str>) {
        if self.verbose {
            to_stderr(message.as_ref());
        }
    }

    /// A warning; also under `--quiet`.
    pub fn warn(&self, message: impl AsRef<str>) {
        to_stderr(&format!("warning: {}", message.as_ref()));
    }

    /// Text for stdout, unless stdout is for JSON; a newline is added.
    ///
    /// # Errors
    /// Those of the write; a broken pipe ends the program quietly in `main`.
    pub fn line(&self, text: impl AsRef<str>) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { write_stdout(&format!("{}\n", text.as_ref())) }
    }

    /// Text for stdout as it is, flushed: streamed tokens.
    ///
    /// # Errors
    /// Those of the write.
    pub fn stream(&self, text: &str) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { write_stdout(text) }
    }

    /// The one JSON object of a verb, printed only with `--json`.
    ///
    /// # Errors
    /// Those of the write.
    pub fn json(&self, value: &serde_json::Value) -> anyhow::Result<()> {
        if !self.json {
            return Ok(());
        }
        let mut value = value.clone();
        if let (Some(power), Some(object)) = (self.power(), value.as_object_mut()) {
            object.insert("power".to_owned(), power.json());
        }
        write_stdout(&format!("{value}\n"))
    }

    /// Rows under a heading, columns aligned; numbers (right) and texts (left) are told apart by their first character.
    ///
    /// # Errors
    /// Those of the write.
    pub fn table(&self, heading: &[&str], rows: &[Vec<String>]) -> anyhow::Result<()> {
        self.line(align(heading, rows))
    }

    /// Progress of `what` towards `total` units (`0`: unknown).
    pub fn progress(&self, what: &str, total: u64) -> Progress {
        let what = what.to_owned();
        if self.bars {
            return Progress { what, total, state: State::Bar(bar(total)) };
        }
        let state = if self.quiet { State::Silent } else { State::Lines { last: Instant::now(), said: String::new() } };
        Progress { what, total, state }
    }
}

/// How this program is called from here: by its name where the shell would find it, else by its path. The first thing that
/// most people run is the binary that cargo has just built.
pub fn program() -> String {
    let name = env!("CARGO_PKG_NAME");
    let found = |dirs: std::ffi::OsString| std::env::split_paths(&dirs).any(|dir| dir.join(name).is_file());
    if std::env::var_os("PATH").is_some_and(found) {
        return name.to_owned();
    }
    let Ok(exe) = std::env::current_exe() else { return name.to_owned() };
    let here = std::env::current_dir().unwrap_or_default();
    exe.strip_prefix(&here).unwrap_or(&exe).display().to_string()
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
    let template = if total == 0 { "{spinner} {msg}" } else { "{bar:30} {percent:>3}%  {msg}" };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// Progress of one long piece of work; disappears when dropped.
pub struct Progress {
    what: String,
    total: u64,
    state: State,
}

enum State {
    Bar(ProgressBar),
    Lines { last: Instant, said: String },
    Silent,
}

impl Progress {
    /// `done` units of the total are done; `message` says how it goes.
    pub fn update(&mut self, done: u64, message: impl AsRef<str>) {
        let message = message.as_ref();
        match &mut self.state {
            State::Bar(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{}  {message}", self.what));
            }
            State::Lines { last, said } if last.elapsed() >= LINE_EVERY => {
                let percent = done.saturating_mul(100).checked_div(self.total);
                let share = percent.map_or_else(String::new, |p| format!("{p:3}%  "));
                let line = format!("{}  {share}{message}", self.what);
                if line != *said {
                    to_stderr(&line);
                }
                (*last, *said) = (Instant::now(), line);
            }
            State::Lines { .. } | State::Silent => {}
        }
    }

    /// Says `message` above the bar.
    pub fn say(&self, message: impl AsRef<str>) {
        match &self.state {
            State::Bar(bar) => bar.suspend(|| to_stderr(message.as_ref())),
            State::Lines { .. } => to_stderr(message.as_ref()),
            State::Silent => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let State::Bar(bar) = &self.state {
            bar.finish_and_clear();
        }
    }
}

/// A line to stderr; if nobody reads it, there is nobody to tell.
pub fn to_stderr(message: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}

/// Asks for a line on a terminal; if nobody reads it, there is nobody to ask.
pub fn prompt(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn write_stdout(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// `heading` and `rows` with aligned columns.
pub fn align(heading: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<String> = heading.iter().map(|h| (*h).to_owned()).collect();
    let all: Vec<&Vec<String>> = std::iter::once(&heads).chain(rows).collect();
    let width = |c: usize| all.iter().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let right: Vec<bool> = (0..heading.len()).map(|c| rows.iter().all(|r| r.get(c).is_none_or(|s| is_number(s)))).collect();
    let mut lines = Vec::with_capacity(all.len());
    for row in all {
        let cells = row.iter().zip(widths.iter().zip(&right));
        let line: Vec<String> =
            cells.map(|(s, (&w, &right))| if right { format!("{s:>w$}") } else { format!("{s:<w$}") }).collect();
        lines.push(line.join("  ").trim_end().to_owned());
    }
    lines.join("\n")
}

fn is_number(s: &str) -> bool {
    s.is_empty() || s == "-" || s.starts_with(|c: char| c.is_ascii_digit())
}

/// A number with its standard error, to so many digits.
pub fn estimate(value: f64, se: f64, digits: usize) -> String {
    if se.is_finite() {
        format!("{value:.digits$} ± {se:.digits$}")
    } else {
        format!("{value:.digits$} (one window: no error known)")
    }
}

/// `1234567` bytes as `1.2 MB`.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, &["B", "kB", "MB", "GB", "TB"])
}

/// `1234567` as `1.2 M`.
pub fn count(n: f64) -> String {
    scaled(n, &["", "k", "M", "G", "T", "P"])
}

fn scaled(mut value: f64, units: &[&str]) -> String {
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.5 { 0 } else { 1 };
    format!("{value:.digits$} {}", units[unit]).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_well() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_234_567), "1.2 MB");
        assert_eq!(count(36_442_624.0), "36.4 M");
        assert_eq!(count(12.0), "12");
    }

    #[test]
    fn numbers_go_right_and_texts_left() {
        let table = align(&["name", "n"], &[vec!["a".into(), "5".into()], vec!["bcdef".into(), "123".into()]]);
        assert_eq!(table, "name     n\na        5\nbcdef  123");
    }
}
