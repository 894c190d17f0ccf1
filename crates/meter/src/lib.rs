//! What the machine has and what this process takes of it: memory, processor, load, heat.
//!
//! Every reader gives `None` where the system does not say; an absent meter is an ordinary value. Nothing here prints.

#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod battery;
mod cgroup;
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod heat;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod other;
pub mod power;

use std::path::Path;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
use other as system;

pub use battery::Battery;
pub use heat::Thermal;

/// Where Linux shows devices.
pub const SYS: &str = "/sys";

/// Largest resident memory of this process so far, in bytes, as the kernel counts it.
pub fn peak_rss_bytes() -> Option<u64> {
    system::peak_rss_bytes()
}

/// Resident memory of this process now, in bytes.
pub fn rss_bytes() -> Option<u64> {
    system::rss_bytes()
}

/// The part of [`rss_bytes`] that are pages of files, in bytes: programs, libraries and what is mapped. They lie in the system's
/// cache, which counts as available memory.
pub fn rss_of_files() -> Option<u64> {
    system::rss_of_files()
}

/// Memory that this process may use at most, in bytes: that of the machine, or of its control group if that is less.
pub fn total_memory() -> Option<u64> {
    least([system::total_memory(), cgroup::limit(), limits::address_space()])
}

/// Memory that this process can still take without swapping or being killed, in bytes: the least of what the machine has
/// left, what the control group has left, and what the limit of the address space leaves.
pub fn available_memory() -> Option<u64> {
    let address_space = limits::address_space().map(|limit| limit.saturating_sub(system::virtual_bytes().unwrap_or(0)));
    least([system::available_memory(), cgroup::left(), address_space])
}

/// Name of the processor, such as `Apple M4` or `Intel(R) Xeon(R) Platinum 8481C`.
pub fn cpu_name() -> Option<String> {
    system::cpu_name().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Processors that this process may run on, at least 1: affinity and control-group quotas are respected.
pub fn logical_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Runnable processes on average over the last 1, 5 and 15 minutes.
pub fn load_average() -> Option<[f64; 3]> {
    limits::load_average()
}

/// Share of the machine's processors that is busy, whoever keeps them so, as seen for as long as `during`.
pub fn busy_share(during: std::time::Duration) -> Option<f64> {
    system::busy_share(during)
}

/// `[busy, all]` seconds of all processors together since the machine started, whoever kept them busy.
pub fn busy_seconds() -> Option<[f64; 2]> {
    system::busy_seconds()
}

/// Processor time that this process has used, in seconds.
pub fn cpu_seconds() -> Option<f64> {
    limits::cpu_seconds()
}

/// Processor time of another process so far, its own and the kernel's for it, in seconds.
pub fn cpu_seconds_of(pid: u32) -> Option<f64> {
    system::cpu_seconds_of(pid)
}

/// How hot the machine is, where that can be read.
pub fn thermal() -> Option<Thermal> {
    thermal_below(Path::new(SYS))
}

/// The same where Linux shows devices below `sys`.
pub fn thermal_below(sys: &Path) -> Option<Thermal> {
    system::thermal(sys)
}

/// The battery, where there is one; Linux shows it below `sys`, [`SYS`] outside of tests.
pub fn battery_below(sys: &Path) -> Option<Battery> {
    system::battery(sys)
}

/// Makes this process, and every thread that is started from now on, give way to others: its niceness is at least `nice`.
/// Whether that was granted. On Linux it holds among the processes of a session, where the kernel groups processes by session.
pub fn give_way(nice: i32) -> bool {
    limits::give_way(nice)
}

fn least<const N: usize>(values: [Option<u64>; N]) -> Option<u64> {
    values.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn memory_grows_when_it_is_touched() {
        let before = rss_bytes().unwrap();
        let size = 64 << 20;
        let block = std::hint::black_box(vec![1u8; size]);
        let after = rss_bytes().unwrap();
        assert!(after >= before + size as u64 / 2, "{before} -> {after}");
        assert!(peak_rss_bytes().unwrap() + (1 << 20) >= after);
        drop(block);
        assert!(peak_rss_bytes().unwrap() + (1 << 20) >= after);
    }

    #[test]
    fn the_machine_has_memory_and_processors() {
        let (total, available) = (total_memory().unwrap(), available_memory().unwrap());
        assert!(available > 0 && available <= total, "{available} of {total}");
        assert!(total > 64 << 20);
        assert!(logical_cpus() >= 1);
        assert!(busy_share(std::time::Duration::from_millis(50)).is_none_or(|b| (0.0..=1.0).contains(&b)));
        assert!(busy_seconds().is_none_or(|[busy, all]| 0.0 < busy && busy <= all));
        assert!(load_average().is_none_or(|l| l.iter().all(|x| x.is_finite() && *x >= 0.0)));
        assert!(thermal().and_then(|t| t.celsius).is_none_or(|c| (-50.0..200.0).contains(&c)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_time_of_a_process_that_works_passes_and_of_one_that_sleeps_does_not() {
        let spawn = |program: &str, args: &[&str]| std::process::Command::new(program).args(args).spawn().unwrap();
        let (mut busy, mut idle) = (spawn("sh", &["-c", "while :; do :; done"]), spawn("sleep", &["60"]));
        let start = std::time::Instant::now();
        let used = loop {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let used = cpu_seconds_of(busy.id()).unwrap();
            if used > 0.1 || start.elapsed().as_secs() > 30 {
                break used;
            }
        };
        let slept = cpu_seconds_of(idle.id()).unwrap();
        for child in [&mut busy, &mut idle] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(used > 0.1 && slept < 0.1, "{used} and {slept}");
        assert_eq!(cpu_seconds_of(u32::MAX), None);
    }
}
