//! Intervals for evaluations, saves and samples: `100` counts optimizer steps, `30s` and `5m` wall time, `0` is never.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::TrainError;

/// How often something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Each so many optimizer steps.
    Steps(u64),
    /// Each so much wall time.
    Time(Duration),
    /// Not at all.
    Never,
}

impl FromStr for Every {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Every, TrainError> {
        let bad = || TrainError::Parse {
            what: "interval",
            found: text.into(),
            expected: "a number of steps (100), a time (500ms, 30s, 5m, 1h) or never",
        };
        if text == "never" {
            return Ok(Every::Never);
        }
        if let Ok(steps) = text.parse::<u64>() {
            return Ok(if steps == 0 { Every::Never } else { Every::Steps(steps) });
        }
        let time = parse_duration(text).ok_or_else(bad)?;
        Ok(if time.is_zero() { Every::Never } else { Every::Time(time) })
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Every::Steps(n) => write!(f, "{n}"),
            Every::Time(t) if t.subsec_nanos() == 0 => write!(f, "{}s", t.as_secs()),
            Every::Time(t) => write!(f, "{}s", t.as_secs_f64()),
            Every::Never => f.write_str("never"),
        }
    }
}

/// A time with its unit: `500ms`, `30s`, `1.5m`, `2h`, or several together (`1h30m`). `None` for anything else.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let word = &rest[digits..];
        let unit = word.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(word.len());
        seconds += value
            * match &word[..unit] {
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &word[unit..];
    }
    if text.is_empty() { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

/// Remembers when something last happened.
#[derive(Clone, Copy, Debug)]
pub struct Trigger {
    every: Every,
    last: Duration,
}

impl Trigger {
    /// A trigger that counts from `elapsed`, the time at which this session began.
    pub fn new(every: Every, elapsed: Duration) -> Trigger {
        Trigger { every, last: elapsed }
    }

    /// Whether it is time, after step `step` (numbered from 1) at `elapsed`. Steps do not depend on when the session
    /// began: the same steps trigger in a run that was resumed.
    pub fn due(&mut self, step: u64, elapsed: Duration) -> bool {
        let due = match self.every {
            Every::Steps(n) => n > 0 && step > 0 && step.is_multiple_of(n),
            Every::Time(t) => elapsed.saturating_sub(self.last) >= t,
            Every::Never => false,
        };
        if due {
            self.last = elapsed;
        }
        due
    }

    /// Counts anew from `elapsed`: the thing happened for another reason, or took long.
    pub fn reset(&mut self, elapsed: Duration) {
        self.last = elapsed;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn words_mean_what_they_say() {
        for (text, every) in [
            ("100", Every::Steps(100)),
            ("30s", Every::Time(Duration::from_secs(30))),
            ("5m", Every::Time(Duration::from_secs(300))),
            ("1h30m", Every::Time(Duration::from_secs(5400))),
            ("500ms", Every::Time(Duration::from_millis(500))),
            ("0.5m", Every::Time(Duration::from_secs(30))),
            ("0", Every::Never),
            ("0s", Every::Never),
            ("never", Every::Never),
        ] {
            assert_eq!(text.parse::<Every>().unwrap(), every, "{text}");
            assert_eq!(every.to_string().parse::<Every>().unwrap(), every, "{every}");
        }
        for text in ["", "s", "5x", "-5", "1e3", "5 m", "NaNs", "1.2.3s", "3s4", "99999999999999999999999999h"] {
            assert!(text.parse::<Every>().is_err(), "{text}");
        }
    }

    #[test]
    fn steps_trigger_on_their_multiples_whenever_the_session_began() {
        let mut trigger = Trigger::new(Every::Steps(5), Duration::ZERO);
        let due: Vec<u64> = (0..=12).filter(|&s| trigger.due(s, Duration::ZERO)).collect();
        assert_eq!(due, [5, 10]);
        let mut resumed = Trigger::new(Every::Steps(5), Duration::from_secs(100));
        let due: Vec<u64> = (8..=12).filter(|&s| resumed.due(s, Duration::ZERO)).collect();
        assert_eq!(due, [10]);
    }

    #[test]
    fn time_triggers_after_its_interval_and_not_before() {
        let mut trigger = Trigger::new(Every::Time(Duration::from_secs(10)), Duration::from_secs(100));
        let due: Vec<u64> = (100..=135).filter(|&s| trigger.due(1, Duration::from_secs(s))).collect();
        assert_eq!(due, [110, 120, 130]);
        trigger.reset(Duration::from_secs(139));
        assert!(!trigger.due(1, Duration::from_secs(140)));
        let mut never = Trigger::new(Every::Never, Duration::ZERO);
        assert!(!never.due(1, Duration::MAX));
    }
}
