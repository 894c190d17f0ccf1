//! Starting, stopping and saving a run by its keys: signals to the process that holds the lock, or a new process.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What a run can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Save and leave.
    Stop,
    /// Save and go on.
    Checkpoint,
}

/// Sends `request` to the process that writes the run `path`; says what came of it.
pub fn ask(path: &Path, request: Request) -> String {
    let Some(pid) = writer(path) else { return "nobody is training this run".to_owned() };
    let (signal, what) = match request {
        Request::Stop => ("-TERM", "asked to save and stop"),
        Request::Checkpoint => ("-USR1", "asked for a checkpoint"),
    };
    match Command::new("kill").args([signal, &pid.to_string()]).stdin(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => format!("process {pid} was {what}"),
        _ => format!("process {pid} could not be reached"),
    }
}

/// The process that writes the run: its number is in the lock while it lives, and it is one of ours.
fn writer(path: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(path.join(".lock")).ok()?;
    let pid: u32 = text.trim().parse().ok().filter(|pid| *pid > 1)?;
    // after a kill the number stays behind, and another process may have it by now
    command_line(pid)?.split_whitespace().any(|word| word == "train").then_some(pid)
}

fn command_line(pid: u32) -> Option<String> {
    if let Ok(bytes) = std::fs::read(format!("/proc/{pid}/cmdline")) {
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let shown = Command::new("ps").args(["-p", &pid.to_string(), "-o", "args="]).stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&shown.stdout).into_owned()).filter(|s| !s.trim().is_empty())
}

/// Goes on with the run in a process of its own, which lives on when the dashboard ends.
pub fn resume(path: &Path) -> Result<Child, String> {
    if let Some(pid) = writer(path) {
        return Err(format!("process {pid} is training this run already"));
    }
    let mut command = this_program()?;
    command.args(["train", "--quiet", "--resume"]).arg(path);
    apart(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())
}

/// Begins to write text with the run's best checkpoint.
pub fn generate(path: &Path) -> Result<Child, String> {
    let mut command = this_program()?;
    command.args(["generate", "--quiet", "--max-tokens", "120"]).arg(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())
}

fn this_program() -> Result<Command, String> {
    std::env::current_exe().map(Command::new).map_err(|e| e.to_string())
}

/// Ctrl-C and a hang-up of this terminal are not for that process.
#[cfg(unix)]
fn apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn apart(_: &mut Command) {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_number_that_a_killed_run_left_behind_gets_no_signal() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ask(dir.path(), Request::Stop), "nobody is training this run");
        let mut stranger = Command::new("sleep").arg("30").spawn().unwrap();
        std::fs::write(dir.path().join(".lock"), format!("{}\n", stranger.id())).unwrap();
        assert_eq!(ask(dir.path(), Request::Stop), "nobody is training this run");
        assert!(stranger.try_wait().unwrap().is_none(), "a stranger was stopped");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
