//! Chips with their variants: the engine is nearly that of the generation, the rest of the machine is not.

use std::fmt;

use mil::Chip;

/// How large a chip of its generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Variant {
    /// Without a suffix.
    #[default]
    Base,
    /// Pro.
    Pro,
    /// Max.
    Max,
    /// Ultra: two Max, of which a process uses one engine.
    Ultra,
}

impl Variant {
    /// Every variant, smallest first.
    pub const ALL: [Variant; 4] = [Variant::Base, Variant::Pro, Variant::Max, Variant::Ultra];

    fn suffix(self) -> &'static str {
        match self {
            Variant::Base => "",
            Variant::Pro => "-pro",
            Variant::Max => "-max",
            Variant::Ultra => "-ultra",
        }
    }
}

/// A chip and its variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Machine {
    /// Generation.
    pub chip: Chip,
    /// Variant.
    pub variant: Variant,
}

impl Machine {
    /// A machine.
    pub const fn new(chip: Chip, variant: Variant) -> Machine {
        Machine { chip, variant }
    }

    /// Every machine; there is no M4 Ultra.
    pub fn all() -> impl Iterator<Item = Machine> {
        let all = Chip::ALL.into_iter().flat_map(|chip| Variant::ALL.map(|variant| Machine { chip, variant }));
        all.filter(|m| (m.chip, m.variant) != (Chip::M4, Variant::Ultra))
    }

    /// The machine typed `m4`, `m4-pro`, `m4-max`, ...
    pub fn of_name(name: &str) -> Option<Machine> {
        Machine::all().find(|m| m.name().eq_ignore_ascii_case(name))
    }

    /// How it is typed.
    pub fn name(self) -> String {
        format!("{}{}", self.chip.name(), self.variant.suffix())
    }
}

/// `M4 Max`.
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.variant {
            Variant::Base => write!(f, "{}", self.chip),
            variant => write!(f, "{} {variant:?}", self.chip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_machine() {
        assert!(Machine::all().all(|m| Machine::of_name(&m.name()) == Some(m)));
        assert_eq!(Machine::of_name("M4-Max").map(|m| m.to_string()), Some("M4 Max".into()));
        assert_eq!(Machine::of_name("m4-mini"), None);
    }
}
