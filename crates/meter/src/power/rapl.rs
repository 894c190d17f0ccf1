//! RAPL: energy counters of Intel and AMD processors, which Linux shows below `/sys/class/powercap`. A counter begins anew at
//! `max_energy_range_uj`. Since 2020 only root may read them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Part, PowerMeter};

/// A counter.
struct Zone {
    part: Part,
    file: PathBuf,
    /// Microjoules at which it begins anew.
    range: f64,
    last: f64,
    /// Microjoules since it was opened.
    sum: f64,
}

/// All counters of the machine.
pub struct Rapl {
    zones: Vec<Zone>,
}

fn number(path: &Path) -> Result<f64, String> {
    let text = fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::PermissionDenied => {
            format!("{}: only root may read it: run as root, or `sudo chmod a+r {}`", path.display(), path.display())
        }
        _ => format!("{}: {e}", path.display()),
    })?;
    text.trim().parse().map_err(|_| format!("{}: expected a number, found {:?}", path.display(), text.trim()))
}

impl Rapl {
    /// The counters below `root`.
    ///
    /// # Errors
    /// In words: there are none, or they may not be read.
    pub fn open(root: &Path) -> Result<Rapl, String> {
        let entries = fs::read_dir(root)
            .map_err(|_| format!("{} is not there: no such processor, or a virtual machine", root.display()))?;
        let mut folders: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
        folders.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("intel-rapl:")));
        folders.sort();
        let mut zones: Vec<Zone> = Vec::new();
        for folder in folders {
            let name = fs::read_to_string(folder.join("name")).unwrap_or_default().trim().to_owned();
            // the same energy once more, by another path
            if name == "psys" || name.is_empty() {
                continue;
            }
            let file = folder.join("energy_uj");
            let last = number(&file)?;
            let range = number(&folder.join("max_energy_range_uj")).unwrap_or(f64::INFINITY);
            // cores and graphics are in the package, memory beside it is not
            let outermost = name.starts_with("package") || name == "dram";
            let twice = zones.iter().any(|z| z.part.name == name);
            let package = folder.to_string_lossy().rsplit(':').nth(1).map(str::to_owned).unwrap_or_default();
            let name = if twice { format!("{name} of {package}") } else { name };
            zones.push(Zone { part: Part::new(name, outermost), file, range, last, sum: 0.0 });
        }
        if zones.is_empty() { Err(format!("{} has no counters", root.display())) } else { Ok(Rapl { zones }) }
    }
}

impl PowerMeter for Rapl {
    fn name(&self) -> String {
        "RAPL".to_owned()
    }

    fn parts(&self) -> Vec<Part> {
        self.zones.iter().map(|z| z.part.clone()).collect()
    }

    fn joules(&mut self) -> Result<Vec<f64>, String> {
        for zone in &mut self.zones {
            let now = number(&zone.file)?;
            zone.sum += if now >= zone.last { now - zone.last } else { now + zone.range - zone.last };
            zone.last = now;
        }
        Ok(self.zones.iter().map(|z| z.sum / 1e6).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn zone(root: &Path, folder: &str, name: &str, energy: u64) {
        let dir = root.join(folder);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("name"), format!("{name}\n")).unwrap();
        fs::write(dir.join("energy_uj"), format!("{energy}\n")).unwrap();
        fs::write(dir.join("max_energy_range_uj"), "1000000\n").unwrap();
    }

    #[test]
    fn counters_are_read_added_up_and_followed_when_they_begin_anew() {
        let root = tempfile::tempdir().unwrap();
        zone(root.path(), "intel-rapl:0", "package-0", 900_000);
        zone(root.path(), "intel-rapl:0:0", "dram", 5);
        zone(root.path(), "intel-rapl:1", "psys", 5);
        let mut rapl = Rapl::open(root.path()).unwrap();
        assert_eq!(rapl.parts(), [Part::new("package-0", true), Part::new("dram", true)]);
        zone(root.path(), "intel-rapl:0", "package-0", 950_000);
        assert_eq!(rapl.joules().unwrap(), [0.05, 0.0]);
        zone(root.path(), "intel-rapl:0", "package-0", 150_000);
        assert!((rapl.joules().unwrap()[0] - 0.25).abs() < 1e-12, "it went round");
    }

    /// A server of two packages, as `grep . /sys/class/powercap/*/name` lists one.
    #[test]
    fn parts_of_a_package_are_not_added_to_it_and_those_of_a_second_one_have_names_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let all = [
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:0:1", "dram"),
            ("intel-rapl:1", "package-1"),
            ("intel-rapl:1:0", "core"),
            ("intel-rapl:1:1", "dram"),
            ("intel-rapl-mmio:0", "package-0"),
        ];
        for (folder, name) in all {
            zone(root.path(), folder, name, 7);
        }
        let parts = Rapl::open(root.path()).unwrap().parts();
        let outer: Vec<&str> = parts.iter().filter(|p| p.outermost).map(|p| p.name.as_str()).collect();
        assert_eq!(outer, ["package-0", "dram", "package-1", "dram of 1"], "the mmio counter is the same package once more");
        assert_eq!(parts.len(), 6);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let root = tempfile::tempdir().unwrap();
        let why = |path: &Path| Rapl::open(path).err().unwrap();
        assert!(why(&root.path().join("none")).contains("virtual machine"));
        assert!(why(root.path()).contains("no counters"));
        fs::create_dir(root.path().join("intel-rapl:0")).unwrap();
        fs::write(root.path().join("intel-rapl:0/name"), "package-0").unwrap();
        fs::write(root.path().join("intel-rapl:0/energy_uj"), "many").unwrap();
        assert!(why(root.path()).contains("expected a number, found \"many\""));
    }
}
