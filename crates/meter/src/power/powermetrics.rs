//! `powermetrics` of macOS, which root may run: mean milliwatts of processor, GPU and Neural Engine over each interval.
//!
//! It never asks for a password: what is not allowed is said. Nobody who wrote this has run it; the parser follows its
//! published output, and lines that it does not know are passed over.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::PowerMeter;

/// Parts in the order of [`PowerMeter::parts`], and the words before their milliwatts.
const PARTS: [(&str, &str); 4] =
    [("cpu", "CPU Power:"), ("gpu", "GPU Power:"), ("ane", "ANE Power:"), ("combined", "Combined Power (CPU + GPU + ANE):")];

/// The program, and what it said so far.
pub struct PowerMetrics {
    child: Child,
    sums: Arc<Mutex<[f64; 4]>>,
}

impl PowerMetrics {
    /// Starts it, with a line for each part in every `interval`.
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
        let milliseconds = interval.as_millis().max(100).to_string();
        let arguments = ["--samplers", "cpu_power,gpu_power,ane_power", "-i", &milliseconds];
        let child = Command::new("/usr/bin/powermetrics")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.map_err(|e| format!("/usr/bin/powermetrics: {e}"))?;
        let sums = Arc::new(Mutex::new([0.0; 4]));
        if let Some(stdout) = child.stdout.take() {
            let (to, seconds) = (sums.clone(), interval.as_secs_f64());
            let follow = move || {
                let mut seen = [false; 4];
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if line.starts_with("*** Sampled") {
                        seen = [false; 4];
                    }
                    let Some((part, watts)) = watts(&line) else { continue };
                    // the GPU is told twice in an interval
                    if !std::mem::replace(&mut seen[part], true) {
                        to.lock().unwrap_or_else(PoisonError::into_inner)[part] += watts * seconds;
                    }
                }
            };
            // without the thread nothing is counted, which shows
            let _ = thread::Builder::new().name("powermetrics".into()).spawn(follow);
        }
        Ok(PowerMetrics { child, sums })
    }
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
    fn name(&self) -> &'static str {
        "powermetrics"
    }

    fn parts(&self) -> Vec<String> {
        PARTS.iter().map(|(name, _)| (*name).to_owned()).collect()
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
    fn elsewhere_it_says_where_it_would_be() {
        if !cfg!(target_os = "macos") {
            assert_eq!(PowerMetrics::open(Duration::from_secs(1)).err(), Some("only on macOS".to_owned()));
        }
    }
}
