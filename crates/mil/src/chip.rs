//! The chips whose engines are told apart: one a generation, since limits and numerics are those of the generation.

use std::fmt;

/// Generation of Apple's chips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chip {
    /// M1, Pro, Max and Ultra: engine `h13`.
    M1,
    /// M2 family: `h14`.
    M2,
    /// M3 family: `h15`.
    M3,
    /// M4 family: `h16`.
    #[default]
    M4,
    /// M5 family: `h17`.
    M5,
}

impl Chip {
    /// Every chip, oldest first.
    pub const ALL: [Chip; 5] = [Chip::M1, Chip::M2, Chip::M3, Chip::M4, Chip::M5];

    /// `m1` ... `m5`.
    pub fn name(self) -> &'static str {
        match self {
            Chip::M1 => "m1",
            Chip::M2 => "m2",
            Chip::M3 => "m3",
            Chip::M4 => "m4",
            Chip::M5 => "m5",
        }
    }

    /// The chip named `name`, in small or capital letters.
    pub fn of_name(name: &str) -> Option<Chip> {
        Chip::ALL.into_iter().find(|chip| chip.name().eq_ignore_ascii_case(name))
    }

    /// How the drivers call its engine: `h13` ... `h17`; a letter for the variant may follow.
    pub fn architecture(self) -> &'static str {
        match self {
            Chip::M1 => "h13",
            Chip::M2 => "h14",
            Chip::M3 => "h15",
            Chip::M4 => "h16",
            Chip::M5 => "h17",
        }
    }

    /// The chip of an engine that the driver calls `architecture` (`h16g`).
    pub fn of_architecture(architecture: &str) -> Option<Chip> {
        Chip::ALL.into_iter().find(|chip| architecture.starts_with(chip.architecture()))
    }
}

/// `M4`.
impl fmt::Display for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().to_ascii_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_the_chip() {
        for chip in Chip::ALL {
            assert_eq!(Chip::of_name(&chip.to_string()), Some(chip));
            assert_eq!(Chip::of_architecture(&format!("{}g", chip.architecture())), Some(chip));
        }
        assert_eq!(Chip::of_name("m6"), None);
    }
}
