//! Training while the machine is used: steps that leave time to others, and a wait while it lives on its battery or is hot.
//! Nothing of it is part of the arithmetic.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use meter::{Battery, Thermal};

/// Time between two looks at battery and sensors.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Longest sleep before somebody who wants to stop is heard.
const NAP: Duration = Duration::from_millis(50);

/// How a run behaves towards the rest of the machine.
pub struct Manners {
    /// Whether it waits on battery and in heat.
    polite: bool,
    /// Share of the time that it works.
    speed: f64,
    /// Where Linux shows batteries and sensors.
    sys: PathBuf,
    looked: Option<Instant>,
}

impl Manners {
    /// Those of a run that is `polite`, or not, and works for this share of the time.
    pub fn new(polite: bool, speed: f64, sys: PathBuf) -> Manners {
        Manners { polite, speed, sys, looked: None }
    }

    /// Sleeps after so much work, that the share of work is what it should be; ends early when `stop` says so.
    pub fn slow(&self, worked: Duration, stop: &dyn Fn() -> bool) {
        sleep(owed(worked, self.speed), stop);
    }

    /// Why the run should wait; looked at every few seconds only, none in between.
    pub fn hindrance(&mut self) -> Option<String> {
        if !self.polite || self.looked.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
            return None;
        }
        self.looked = Some(Instant::now());
        hindrance(meter::battery_below(&self.sys), meter::thermal_below(&self.sys))
    }

    /// Waits until nothing stands against going on, or `stop` says so.
    pub fn wait(&mut self, stop: &dyn Fn() -> bool) {
        while !stop() && !cleared(meter::battery_below(&self.sys), meter::thermal_below(&self.sys)) {
            sleep(LOOK_EVERY, stop);
        }
        self.looked = Some(Instant::now());
    }
}

/// Sleep that is owed for `worked`: work / (work + sleep) is the speed.
fn owed(worked: Duration, speed: f64) -> Duration {
    if speed >= 1.0 { Duration::ZERO } else { worked.mul_f64(1.0 / speed.max(1e-3) - 1.0) }
}

fn sleep(time: Duration, stop: &dyn Fn() -> bool) {
    let began = Instant::now();
    while let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero() && !stop()) {
        std::thread::sleep(left.min(NAP));
    }
}

fn hindrance(battery: Option<Battery>, thermal: Option<Thermal>) -> Option<String> {
    if let Some(battery) = battery.filter(|b| b.discharging) {
        let left = battery.percent.map_or_else(String::new, |p| format!(" ({p:.0}% left)"));
        return Some(format!("the machine runs on its battery{left}"));
    }
    let thermal = thermal.filter(Thermal::is_hot)?;
    Some(match (thermal.celsius, thermal.level) {
        (Some(celsius), _) => format!("the machine is hot ({celsius:.0} degrees Celsius)"),
        (None, level) => format!("the machine is hot ({})", level.unwrap_or("no figure")),
    })
}

fn cleared(battery: Option<Battery>, thermal: Option<Thermal>) -> bool {
    battery.is_none_or(|b| !b.discharging) && thermal.is_none_or(|t| t.is_cool())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_work_is_what_it_should_be() {
        let second = Duration::from_secs(1);
        assert_eq!((owed(second, 1.0), owed(second, 0.5), owed(second, 0.25)), (Duration::ZERO, second, 3 * second));
        let began = Instant::now();
        sleep(Duration::from_secs(60), &|| true);
        assert!(began.elapsed() < second, "whoever wants to stop is heard");
    }

    #[test]
    fn battery_and_heat_stand_against_going_on_until_they_are_gone() {
        let battery = |discharging| Some(Battery { discharging, percent: Some(57.0) });
        let at = |celsius| Some(Thermal { celsius: Some(celsius), level: None });
        assert_eq!(hindrance(battery(true), None).as_deref(), Some("the machine runs on its battery (57% left)"));
        assert_eq!(hindrance(battery(false), at(93.0)).as_deref(), Some("the machine is hot (93 degrees Celsius)"));
        assert_eq!(hindrance(battery(false), at(85.0)), None);
        assert_eq!(hindrance(None, None), None);
        assert!(!cleared(battery(false), at(85.0)) && cleared(battery(false), at(75.0)) && !cleared(battery(true), None));
        assert!(cleared(None, None));
    }

    #[test]
    fn a_run_without_manners_never_looks() {
        let mut manners = Manners::new(false, 1.0, PathBuf::new());
        assert_eq!(manners.hindrance(), None);
        assert!(manners.looked.is_none());
    }
}
