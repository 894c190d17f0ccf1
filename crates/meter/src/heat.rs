//! How hot the machine is: `/sys/class/thermal` of Linux with the temperatures at which the kernel acts, thermal pressure and
//! `pmset -g therm` of macOS.

use std::fs;
use std::path::Path;

/// Words for how hot a machine is, from cool to shutting down, as macOS has them.
pub const LEVELS: [&str; 5] = ["nominal", "moderate", "heavy", "trapping", "sleeping"];
/// From here on a machine is hot where nothing else says so, in degrees Celsius.
const HOT: f64 = 90.0;
/// Below this it has cooled down.
const COOL: f64 = 80.0;

/// How hot the machine is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thermal {
    /// Hottest sensor, in degrees Celsius.
    pub celsius: Option<f64>,
    /// One of `nominal`, `moderate`, `heavy`, `trapping`, `sleeping`: the system's own word, or from the temperatures at which
    /// it slows down (`heavy`) and protects itself (`trapping`).
    pub level: Option<&'static str>,
}

impl Thermal {
    /// Whether work should wait.
    pub fn is_hot(&self) -> bool {
        self.rank() >= 2 || self.celsius.is_some_and(|c| c >= HOT)
    }

    /// Whether work that waited may go on. Between this and hot nothing changes, so that it does not flutter.
    pub fn is_cool(&self) -> bool {
        self.rank() < 2 && self.celsius.is_none_or(|c| c < COOL)
    }

    fn rank(&self) -> usize {
        self.level.and_then(|level| LEVELS.iter().position(|l| *l == level)).unwrap_or(0)
    }
}

/// The hottest zone below `sys/class/thermal`, and the worst that any zone has come to.
pub fn zones(sys: &Path) -> Option<Thermal> {
    let zones = fs::read_dir(sys.join("class/thermal")).ok()?;
    let (mut hottest, mut worst): (Option<f64>, Option<usize>) = (None, None);
    for zone in zones.filter_map(|z| Some(z.ok()?.path())) {
        let Some(celsius) = degrees(&zone.join("temp")) else { continue };
        hottest = Some(hottest.map_or(celsius, |h| h.max(celsius)));
        worst = worst.max(trips(&zone, celsius));
    }
    hottest.map(|celsius| Thermal { celsius: Some(celsius), level: worst.map(|i| LEVELS[i]) })
}

/// A file with thousandths of a degree; values that no sensor of a running machine has are left out.
fn degrees(file: &Path) -> Option<f64> {
    let milli: f64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    Some(milli / 1000.0).filter(|c| (-50.0..200.0).contains(c))
}

/// Degrees below which a zone that acts says nothing of a processor.
const HAND: f64 = 70.0;

/// The level of a zone at `celsius`, where the kernel has temperatures for it to act at.
fn trips(zone: &Path, celsius: f64) -> Option<usize> {
    let mut level = None;
    for i in 0..64 {
        let Ok(kind) = fs::read_to_string(zone.join(format!("trip_point_{i}_type"))) else { break };
        let at = degrees(&zone.join(format!("trip_point_{i}_temp"))).filter(|at| *at > 0.0);
        let reached = match kind.trim() {
            "passive" => 2,
            "hot" | "critical" => 3,
            _ => continue,
        };
        // of some boards a zone acts at what a hand feels, and says nothing of the processor
        let Some(at) = at.filter(|at| reached == 3 || *at >= HAND) else { continue };
        level = level.max(Some(if celsius >= at { reached } else { 0 }));
    }
    level
}

/// What `pmset -g therm` says: how far the processor is slowed down.
#[cfg_attr(not(target_os = "macos"), allow(dead_code))]
pub fn pmset(text: &str) -> Option<&'static str> {
    let limit = |name: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix('=')?.trim().parse::<f64>().ok())
    };
    match limit("CPU_Speed_Limit") {
        Some(percent) if percent < 50.0 => Some(LEVELS[3]),
        Some(percent) if percent < 100.0 => Some(LEVELS[2]),
        Some(_) => Some(LEVELS[0]),
        // a Mac that was never hot since it started says so in words
        None => text.contains("No thermal warning level").then_some(LEVELS[0]),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn zone(sys: &Path, name: &str, files: &[(&str, &str)]) {
        let folder = sys.join("class/thermal").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), format!("{text}\n")).unwrap();
        }
    }

    #[test]
    fn the_hottest_zone_and_what_the_kernel_makes_of_it() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(zones(sys.path()), None);
        zone(sys.path(), "thermal_zone0", &[("type", "acpitz"), ("temp", "27800")]);
        zone(sys.path(), "thermal_zone1", &[("type", "broken"), ("temp", "-274000")]);
        assert_eq!(zones(sys.path()), Some(Thermal { celsius: Some(27.8), level: None }));
        let trips = [
            ("trip_point_0_type", "passive"),
            ("trip_point_0_temp", "85000"),
            ("trip_point_1_type", "critical"),
            ("trip_point_1_temp", "105000"),
        ];
        zone(sys.path(), "thermal_zone9", &trips);
        let at = |milli: &str| {
            zone(sys.path(), "thermal_zone9", &[("temp", milli)]);
            zones(sys.path()).unwrap()
        };
        assert_eq!(at("61000"), Thermal { celsius: Some(61.0), level: Some("nominal") });
        assert_eq!(at("86000").level, Some("heavy"));
        assert_eq!(at("106000").level, Some("trapping"));
    }

    #[test]
    fn between_hot_and_cool_nothing_changes() {
        let at = |celsius, level| Thermal { celsius, level };
        assert!(at(Some(91.0), None).is_hot() && !at(Some(91.0), None).is_cool());
        assert!(!at(Some(85.0), None).is_hot() && !at(Some(85.0), None).is_cool());
        assert!(at(Some(79.0), Some("nominal")).is_cool());
        assert!(at(None, Some("heavy")).is_hot() && at(Some(50.0), Some("trapping")).is_hot());
        assert!(at(None, Some("moderate")).is_cool() && !at(None, None).is_hot());
    }

    #[test]
    fn pmset_says_how_far_the_processor_is_slowed_down() {
        let limits = |speed| {
            format!(
                "Note: No performance warning level has been recorded\n2024-01-10 10:00:00 +0100 CPU Power notify\n\tCPU_Scheduler_Limit \t= 100\n\tCPU_Available_CPUs \t= 8\n\tCPU_Speed_Limit \t= {speed}\n"
            )
        };
        assert_eq!(pmset(&limits(100)), Some("nominal"));
        assert_eq!(pmset(&limits(72)), Some("heavy"));
        assert_eq!(pmset(&limits(31)), Some("trapping"));
        assert_eq!(
            pmset("Note: No thermal warning level has been recorded\nNote: No performance warning level has been recorded\n"),
            Some("nominal")
        );
        assert_eq!(pmset("Usage: pmset <options>"), None);
    }
}
