//! IOReport of macOS: energy counters of the chip, the Neural Engine's among them, which any user may read. The library is
//! private; names and meanings follow published descriptions. Nobody who wrote this has run it.
//!
//! The group `Energy Model` has a channel for each part, in millijoules, microjoules or nanojoules since some moment.

use super::{Part, PowerMeter};

/// Parts, by how the names of their channels begin or end. A channel of one cluster or core (`PCPU`, `ECPU0`) is in none of
/// them: the channel `CPU Energy` has them all.
const PARTS: [(&str, Named); 4] = [
    ("cpu", Named::Ends("CPU Energy")),
    ("gpu", Named::Ends("GPU Energy")),
    ("ane", Named::Begins("ANE")),
    ("dram", Named::Begins("DRAM")),
];

/// How the channels of a part are called.
#[derive(Clone, Copy)]
enum Named {
    Begins(&'static str),
    Ends(&'static str),
}

/// The part that the channel called `name` counts. Chips of several dies have one channel a die: `DIE_0_CPU Energy`, `ANE0_1`.
fn part(name: &str) -> Option<usize> {
    PARTS.iter().position(|(_, named)| match named {
        Named::Begins(word) => name.starts_with(word),
        Named::Ends(word) => name.ends_with(word),
    })
}

/// How many of a unit are a joule.
fn unit(label: &str) -> Option<f64> {
    match label.trim() {
        "mJ" => Some(1e3),
        "uJ" | "µJ" => Some(1e6),
        "nJ" => Some(1e9),
        "J" => Some(1.0),
        _ => None,
    }
}

/// A channel as the library tells it: name, unit, count.
type Channel = (String, String, i64);

/// Joules of each part.
fn joules(channels: &[Channel]) -> Vec<f64> {
    let mut sums = vec![0.0; PARTS.len()];
    for (name, label, count) in channels {
        if let (Some(part), Some(unit)) = (part(name), unit(label)) {
            sums[part] += *count as f64 / unit;
        }
    }
    sums
}

/// The counters of this Mac.
///
/// # Errors
/// In words: this is no Mac, or it shows none.
pub fn open() -> Result<Box<dyn PowerMeter>, String> {
    #[cfg(target_os = "macos")]
    return system::Counters::open().map(|c| Box::new(IoReport::new(c)) as Box<dyn PowerMeter>);
    #[cfg(not(target_os = "macos"))]
    Err("only on macOS".to_owned())
}

/// What counts since it was opened.
trait Source: Send {
    /// Each channel now, counted from the opening on.
    fn channels(&mut self) -> Result<Vec<Channel>, String>;
}

/// A meter over the channels.
struct IoReport<S: Source>(S);

impl<S: Source> IoReport<S> {
    fn new(source: S) -> IoReport<S> {
        IoReport(source)
    }
}

impl<S: Source> PowerMeter for IoReport<S> {
    fn name(&self) -> String {
        "IOReport".to_owned()
    }

    fn parts(&self) -> Vec<Part> {
        PARTS.iter().map(|(name, _)| Part::new(*name, true)).collect()
    }

    fn joules(&mut self) -> Result<Vec<f64>, String> {
        Ok(joules(&self.0.channels()?))
    }
}

#[cfg(target_os = "macos")]
mod system;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Channels as published dumps of an M1 Pro and an M2 Ultra show them.
    fn recorded() -> Vec<Channel> {
        let all = [
            ("ECPU", "mJ", 310),
            ("PCPU0", "mJ", 4_100),
            ("CPU Energy", "mJ", 13_241),
            ("GPU SRAM", "mJ", 3),
            ("GPU Energy", "nJ", 31_000_000),
            ("ANE", "mJ", 765),
            ("DRAM", "mJ", 420),
            ("DISP", "mJ", 77),
        ];
        all.iter().map(|(name, unit, n)| ((*name).to_owned(), (*unit).to_owned(), *n)).collect()
    }

    struct Recorded(Vec<Channel>);

    impl Source for Recorded {
        fn channels(&mut self) -> Result<Vec<Channel>, String> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn parts_are_told_apart_and_units_are_read() {
        let mut meter = IoReport::new(Recorded(recorded()));
        assert_eq!(meter.joules().unwrap(), [13.241, 0.031, 0.765, 0.42]);
        assert_eq!(meter.parts().iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["cpu", "gpu", "ane", "dram"]);
    }

    #[test]
    fn dies_add_up_and_what_is_not_known_counts_nothing() {
        let channel = |name: &str, unit: &str, n| (name.to_owned(), unit.to_owned(), n);
        let all = [
            channel("DIE_0_CPU Energy", "mJ", 1000),
            channel("DIE_1_CPU Energy", "mJ", 500),
            channel("ANE0_0", "uJ", 2_000_000),
            channel("ANE0_1", "uJ", 1_000_000),
            channel("GPU Energy", "furlongs", 9),
        ];
        assert_eq!(joules(&all), [1.5, 0.0, 3.0, 0.0]);
    }

    #[test]
    fn elsewhere_it_says_where_it_would_be() {
        if !cfg!(target_os = "macos") {
            assert_eq!(open().err(), Some("only on macOS".to_owned()));
        }
    }
}
