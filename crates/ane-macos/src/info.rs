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
        assert_eq!(Info::default().to_string(), "Neural Engine of an unknown kind");
    }
}
