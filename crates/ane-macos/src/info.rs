//! [`Info`]: what the framework says about the engine of this Mac.

/// A Mac and its Neural Engine. What cannot be found out is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// The Mac: `Mac16,1`.
    pub model: Option<String>,
    /// Build of the system: `25A354`.
    pub build: Option<String>,
    /// The engine, as drivers call it: `h16g`.
    pub architecture: Option<String>,
    /// Its cores.
    pub cores: Option<u64>,
    /// Engines of the chip.
    pub engines: Option<u64>,
    /// Whether there is one at all.
    pub present: Option<bool>,
    /// Whether this is a virtual machine.
    pub virtual_machine: Option<bool>,
}

impl Info {
    /// The generation of the chip, from the engine's name.
    pub fn chip(&self) -> Option<mil::Chip> {
        mil::Chip::of_architecture(self.architecture.as_deref()?)
    }

    /// Peak of the engine in FLOP/s: the published figure of the generation; which variant it is, the engine's name does not say.
    #[cfg_attr(not(all(target_os = "macos", target_arch = "aarch64")), allow(dead_code))]
    pub(crate) fn peak_flops(&self) -> Option<f64> {
        let machine = ane::cost::Machine { chip: self.chip()?, ..ane::cost::Machine::default() };
        Some(ane::sim::Latency::of(machine).peak)
    }

    /// The dialect of programs that the engine takes.
    #[cfg_attr(not(all(target_os = "macos", target_arch = "aarch64")), allow(dead_code))]
    pub(crate) fn dialect(&self) -> mil::Dialect {
        match self.chip() {
            // the later dialect failed there for several people
            Some(mil::Chip::M1 | mil::Chip::M2) => mil::Dialect::Ios16,
            _ => mil::Dialect::Ios18,
        }
    }
}

/// `Neural Engine h16g (M4), 16 cores, Mac16,1, build 25A354`.
impl std::fmt::Display for Info {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Neural Engine {}", self.architecture.as_deref().unwrap_or("of an unknown kind"))?;
        if let Some(chip) = self.chip() {
            write!(f, " ({chip})")?;
        }
        if let Some(cores) = self.cores {
            write!(f, ", {cores} cores")?;
        }
        if let Some(model) = &self.model {
            write!(f, ", {model}")?;
        }
        self.build.as_ref().map_or(Ok(()), |build| write!(f, ", build {build}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_line_says_what_is_known() {
        let known = Info {
            model: Some("Mac16,1".to_owned()),
            build: Some("25A354".to_owned()),
            architecture: Some("h16g".to_owned()),
            cores: Some(16),
            ..Info::default()
        };
        assert_eq!(known.to_string(), "Neural Engine h16g (M4), 16 cores, Mac16,1, build 25A354");
        assert_eq!((known.dialect(), Info::default().dialect()), (mil::Dialect::Ios18, mil::Dialect::Ios18));
        let first = Info { architecture: Some("h13g".to_owned()), ..Info::default() };
        assert_eq!(first.dialect(), mil::Dialect::Ios16);
        assert!(known.peak_flops() > first.peak_flops() && Info::default().peak_flops().is_none());
        assert_eq!(Info::default().to_string(), "Neural Engine of an unknown kind");
    }
}
