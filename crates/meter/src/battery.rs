//! Whether the machine lives on its battery: `/sys/class/power_supply` of Linux, `pmset -g batt` of macOS.

use std::fs;
use std::path::Path;

/// Where the power comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Battery {
    /// Whether it comes from the battery.
    pub discharging: bool,
    /// What is left, of 100.
    pub percent: Option<f64>,
}

/// What the folders of `sys/class/power_supply` say; none without a battery that drives the machine.
pub fn supplies(sys: &Path) -> Option<Battery> {
    let folders = fs::read_dir(sys.join("class/power_supply")).ok()?;
    let (mut found, mut mains): (Option<Battery>, Option<bool>) = (None, None);
    for folder in folders.filter_map(|entry| Some(entry.ok()?.path())) {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned());
        match read("type").as_deref() {
            // the battery of a mouse or a headset is of no account
            Some("Battery") if read("scope").as_deref() != Some("Device") => {
                let percent = read("capacity").and_then(|text| text.parse().ok()).filter(|p: &f64| (0.0..=100.0).contains(p));
                let discharging = read("status").as_deref() == Some("Discharging");
                let before = found.is_some_and(|b| b.discharging);
                found = Some(Battery { discharging: discharging || before, percent: percent.or(found.and_then(|b| b.percent)) });
            }
            Some("Mains" | "USB") => {
                let online = read("online").as_deref() == Some("1");
                mains = Some(online || mains.unwrap_or(false));
            }
            _ => {}
        }
    }
    // plugged in, a battery may still give something for a moment
    found.map(|b| Battery { discharging: b.discharging && mains != Some(true), ..b })
}

/// What `pmset -g batt` says; none without a battery.
#[cfg_attr(not(target_os = "macos"), allow(dead_code))]
pub fn pmset(text: &str) -> Option<Battery> {
    let battery = text.lines().find(|line| line.trim_start().starts_with("-InternalBattery"))?;
    let percent = battery.split_once('%').and_then(|(before, _)| before.rsplit(char::is_whitespace).next()?.parse().ok());
    let source = text.lines().find_map(|line| line.trim().strip_prefix("Now drawing from '"))?;
    Some(Battery { discharging: source.starts_with("Battery Power"), percent })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn supply(sys: &Path, name: &str, files: &[(&str, &str)]) {
        let folder = sys.join("class/power_supply").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            fs::write(folder.join(file), format!("{text}\n")).unwrap();
        }
    }

    /// A ThinkPad and its mouse.
    #[test]
    fn a_laptop_lives_on_its_battery_when_nothing_is_plugged_in() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(supplies(sys.path()), None);
        supply(sys.path(), "AC", &[("type", "Mains"), ("online", "1")]);
        supply(sys.path(), "hidpp_battery_0", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")]);
        assert_eq!(supplies(sys.path()), None, "a mouse does not drive the machine");
        supply(sys.path(), "BAT0", &[("type", "Battery"), ("status", "Charging"), ("capacity", "87")]);
        assert_eq!(supplies(sys.path()), Some(Battery { discharging: false, percent: Some(87.0) }));
        supply(sys.path(), "BAT0", &[("status", "Discharging")]);
        assert!(!supplies(sys.path()).unwrap().discharging, "plugged in");
        supply(sys.path(), "AC", &[("online", "0")]);
        assert!(supplies(sys.path()).unwrap().discharging);
        supply(sys.path(), "BAT0", &[("capacity", "many")]);
        assert_eq!(supplies(sys.path()), Some(Battery { discharging: true, percent: None }));
    }

    #[test]
    fn pmset_of_a_macbook_is_read_and_a_mac_without_a_battery_has_none() {
        let plugged =
            "Now drawing from 'AC Power'\n -InternalBattery-0 (id=4653155)\t85%; charging; 1:02 remaining present: true\n";
        assert_eq!(pmset(plugged), Some(Battery { discharging: false, percent: Some(85.0) }));
        let alone =
            "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4653155)\t9%; discharging; (no estimate) present: true\n";
        assert_eq!(pmset(alone), Some(Battery { discharging: true, percent: Some(9.0) }));
        assert_eq!(pmset("Now drawing from 'AC Power'\n"), None);
        assert_eq!(pmset(""), None);
    }
}
