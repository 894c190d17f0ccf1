//! Linux: everything is text under `/proc` and `/sys`.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::{Battery, Thermal};

/// A `Name:   123 kB` line of a file under `/proc`, in bytes.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

pub fn peak_rss_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM")
}

/// Asked for after each step: this file is made in a fraction of the time of `status`.
pub fn rss_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(crate::limits::page_bytes()?)
}

pub fn rss_of_files() -> Option<u64> {
    kilobytes("/proc/self/status", "RssFile")
}

pub fn virtual_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmSize")
}

pub fn total_memory() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemTotal")
}

pub fn available_memory() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemAvailable")
}

pub fn cpu_name() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    // Arm kernels have no model name but a hardware line, if anything
    let value = |key: &str| text.lines().find_map(|l| Some(l.strip_prefix(key)?.split_once(':')?.1.to_owned()));
    value("model name").or_else(|| value("Hardware")).or_else(|| value("Model"))
}

/// `[busy, all]` ticks of all processors since the machine started.
fn ticks() -> Option<[u64; 2]> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields = text.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are counted in user
    let fields: Vec<u64> = fields.take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
    let all: u64 = fields.iter().sum();
    Some([all - fields.get(3)? - fields.get(4)?, all])
}

pub fn busy_share(during: Duration) -> Option<f64> {
    let [busy, all] = ticks()?;
    thread::sleep(during);
    let [busy_then, all_then] = ticks()?;
    let passed = all_then.checked_sub(all).filter(|n| *n > 0)?;
    Some(busy_then.saturating_sub(busy) as f64 / passed as f64)
}

pub fn busy_seconds() -> Option<[f64; 2]> {
    let per_second = crate::limits::ticks_per_second()?;
    Some(ticks()?.map(|n| n as f64 / per_second))
}

pub fn thermal(sys: &Path) -> Option<Thermal> {
    crate::heat::zones(sys)
}

pub fn battery(sys: &Path) -> Option<Battery> {
    crate::battery::supplies(sys)
}

pub fn cpu_seconds_of(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the name in parentheses may hold anything; user and kernel time are the 12th and 13th field after it
    let fields = text.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    let ticks = fields.map(str::parse).collect::<Result<Vec<u64>, _>>().ok().filter(|t| t.len() == 2)?;
    Some(ticks.iter().sum::<u64>() as f64 / crate::limits::ticks_per_second()?)
}
