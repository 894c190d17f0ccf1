//! `powermetrics` of macOS, which root may run: mean milliwatts of processor, GPU and Neural Engine over each interval.
//!
//! It never asks for a password: what is not allowed is said. Nobody who wrote this has run it; the parser follows its
//! published output, and lines that it does not know are passed over. An interval is as long as its first line says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::{Part, PowerMeter};

/// Parts in the order of [`PowerMeter::parts`], and the words before their milliwatts.
const PARTS: [(&str, &str); 4] =
    [("cpu", "CPU Power:"), ("gpu", "GPU Power:"), ("ane", "ANE Power:"), ("combined", "Combined Power (CPU + GPU + ANE):")];
/// How long its first words are waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The program, and what it said so far.
pub struct PowerMetrics {
    child: Child,
    sums: Arc<Mutex<[f64; 4]>>,
}

impl PowerMetrics {
    /// Starts it, with a line for each part in every `interval`; back when the first interval is over.
    ///
    /// # Errors
    /// In words: this is no Mac, or it may not be run.
    pub fn open(interval: Duration) -> Result<PowerMetrics, String> {
        if !cfg!(target_os = "macos") {
            return Err("only on macOS".to_owned());
        }
        if !is_root() {
            return Err("only root may run it: `sudo autoane power -- ...`".to_owned());
        }
        PowerMetrics::start(Path::new("/usr/bin/powermetrics"), interval)
    }

    fn start(program: &Path, interval: Duration) -> Result<PowerMetrics, String> {
        let milliseconds = interval.as_millis().max(100).to_string();
        let arguments = ["--samplers", "cpu_power,gpu_power,ane_power", "-i", &milliseconds];
        let child =
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.map_err(|e| format!("{}: {e}", program.display()))?;
        let sums = Arc::new(Mutex::new([0.0; 4]));
        let (first, come) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            let (to, nominal) = (sums.clone(), interval.as_secs_f64());
            // without the thread nothing comes, which is told below
            let _ = thread::Builder::new()
                .name("powermetrics".into())
                .spawn(move || follow(BufReader::new(stdout), &to, nominal, &first));
        }
        let meter = PowerMetrics { child, sums };
        match come.recv_timeout(PATIENCE + interval) {
            Ok(()) => Ok(meter),
            Err(RecvTimeoutError::Disconnected) => Err(format!("{} ended without a measurement", program.display())),
            Err(RecvTimeoutError::Timeout) => Err(format!("{} says nothing", program.display())),
        }
    }
}

/// Adds up what it says; tells `first` when something was.
fn follow(output: impl BufRead, sums: &Mutex<[f64; 4]>, nominal: f64, first: &Sender<()>) {
    let (mut seen, mut seconds) = ([false; 4], nominal);
    for line in output.lines().map_while(Result::ok) {
        if line.starts_with("*** Sampled") {
            (seen, seconds) = ([false; 4], elapsed(&line).unwrap_or(nominal));
        }
        let Some((part, watts)) = watts(&line) else { continue };
        // the GPU is told twice in an interval
        if !std::mem::replace(&mut seen[part], true) {
            sums.lock().unwrap_or_else(PoisonError::into_inner)[part] += watts * seconds;
            // after the start nobody listens any more
            let _ = first.send(());
        }
    }
}

/// Seconds of the interval: `*** Sampled system activity (...) (1003.45ms elapsed) ***`.
fn elapsed(line: &str) -> Option<f64> {
    let milliseconds: f64 = line.rsplit_once('(')?.1.split_once("ms elapsed")?.0.parse().ok()?;
    (milliseconds.is_finite() && milliseconds > 0.0).then_some(milliseconds / 1e3)
}

#[cfg(unix)]
#[allow(unsafe_code)]
fn is_root() -> bool {
    // SAFETY: no arguments, no failure.
    unsafe { libc::geteuid() == 0 }
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// Part and watts of a line: `ANE Power: 12 mW`.
fn watts(line: &str) -> Option<(usize, f64)> {
    let line = line.trim();
    let (part, rest) = PARTS.iter().enumerate().find_map(|(i, (_, word))| Some((i, line.strip_prefix(word)?)))?;
    let (number, unit) = rest.trim().split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    match unit {
        "mW" => Some((part, number / 1e3)),
        "W" => Some((part, number)),
        _ => None,
    }
}

impl PowerMeter for PowerMetrics {
    fn name(&self) -> String {
        "powermetrics".to_owned()
    }

    fn parts(&self) -> Vec<Part> {
        PARTS.iter().map(|(name, _)| Part::new(*name, *name == "combined")).collect()
    }

    fn joules(&mut self) -> Result<Vec<f64>, String> {
        if let Ok(Some(status)) = self.child.try_wait() {
            return Err(format!("powermetrics ended with {status}"));
        }
        Ok(self.sums.lock().unwrap_or_else(PoisonError::into_inner).to_vec())
    }
}

impl Drop for PowerMetrics {
    fn drop(&mut self) {
        // it has nothing to lose
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As macOS 14 prints it.
    const OUTPUT: &str = "*** Sampled system activity (Wed Jan 10 10:00:00 2024 +0100) (1003.45ms elapsed) ***

**** Processor usage ****

E-Cluster Online: 100%
E-Cluster HW active frequency: 1020 MHz
CPU Power: 13347 mW
GPU Power: 31 mW
ANE Power: 1284 mW
Combined Power (CPU + GPU + ANE): 14662 mW

**** GPU usage ****

GPU HW active frequency: 444 MHz
GPU Power: 29 mW
";

    #[test]
    fn milliwatts_are_read_by_part_and_other_lines_passed_over() {
        let found: Vec<_> = OUTPUT.lines().filter_map(watts).collect();
        assert_eq!(found, [(0, 13.347), (1, 0.031), (2, 1.284), (3, 14.662), (1, 0.029)]);
        assert_eq!(watts("ANE Power: many mW"), None);
        assert_eq!(watts("ANE Power: 3 kW"), None);
        assert_eq!(watts("ANE Power: 3 W"), Some((2, 3.0)));
    }

    #[test]
    fn energy_is_that_of_the_interval_as_it_was_and_the_gpu_counts_once() {
        let (sums, (first, come)) = (Mutex::new([0.0; 4]), mpsc::channel());
        follow(format!("{OUTPUT}{OUTPUT}").as_bytes(), &sums, 1.0, &first);
        let sums = sums.into_inner().unwrap();
        assert!((sums[0] - 2.0 * 13.347 * 1.00345).abs() < 1e-9 && (sums[1] - 2.0 * 0.031 * 1.00345).abs() < 1e-12, "{sums:?}");
        assert!(come.recv().is_ok());
        assert_eq!(elapsed("*** Sampled system activity (Wed) (soon elapsed) ***"), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_program_is_followed_and_one_that_says_nothing_is_said() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let script = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let talks = script("talks", &format!("cat <<'END'\n{OUTPUT}END\nexec sleep 60"));
        let mut meter = PowerMetrics::start(&talks, Duration::from_secs(1)).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert!((meter.joules().unwrap()[2] - 1.284 * 1.00345).abs() < 1e-9);
        let silent = PowerMetrics::start(&script("silent", "exit 1"), Duration::from_secs(1));
        assert!(silent.err().unwrap().contains("ended without a measurement"));
        assert!(PowerMetrics::start(&dir.path().join("none"), Duration::from_secs(1)).is_err());
    }

    #[test]
    fn elsewhere_it_says_where_it_would_be() {
        if !cfg!(target_os = "macos") {
            assert_eq!(PowerMetrics::open(Duration::from_secs(1)).err(), Some("only on macOS".to_owned()));
        }
    }
}
