//! [`Profile`]: which device is simulated, and how severely. Sources about the real one conflict (ane-facts 4.2, 4.4, 4.5), so
//! everything that differs between chips and reports is a field here.

use mil::Chip;
use mil::blob::Validation;

use super::fault::Faults;
use super::latency::Latency;
use super::numerics::Arithmetic;
use crate::cost::Machine;

/// Which sizes the surfaces of one side of a request may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SizeRule {
    /// Any that hold the data.
    #[default]
    Any,
    /// All inputs the same, and all outputs the same; else the evaluation fails with 0x1d.
    Uniform,
    /// Inputs ascending, outputs descending, in the order of the framework; else the outputs are silently zero.
    Ascending,
}

/// In which order the framework numbers the ports of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PortOrder {
    /// As the program declares them.
    #[default]
    Declaration,
    /// By name.
    Alphabetical,
}

/// A device to simulate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Chip and variant.
    pub machine: Machine,
    /// Whether what only some chips or systems accept is refused: programs whose result depends on the order of ports, and
    /// every warning of the rules.
    pub strict: bool,
    /// Bytes that the stride of a row is a multiple of, where it has more than one row; at least 1.
    pub row_align: usize,
    /// Bytes below which a surface is refused at evaluation.
    pub minimum_bytes: usize,
    /// Which sizes go together.
    pub size_rule: SizeRule,
    /// How ports are numbered.
    pub port_order: PortOrder,
    /// Programs that may be compiled and loaded before the next one fails; none for no limit.
    pub compile_budget: Option<u64>,
    /// Programs that may be loaded at once; none for no limit.
    pub loaded_limit: Option<u64>,
    /// Bytes of a surface that cannot be had: the aperture of the device.
    pub surface_limit: usize,
    /// How exact weight files must be.
    pub blobs: Validation,
    /// In which arithmetic programs are interpreted.
    pub arithmetic: Arithmetic,
    /// How long things take.
    pub latency: Latency,
    /// What goes wrong.
    pub faults: Faults,
}

/// Bytes of 32 elements of fp16: what widths are rounded up to.
const ROW_ALIGN: usize = 64;
/// What a process can compile before the framework leaks itself full.
const COMPILE_BUDGET: u64 = 119;
/// Slots for programs of a client.
const LOADED_LIMIT: u64 = 128;
/// Aperture of the device's address translation: 3.5 GiB.
const SURFACE_LIMIT: usize = 7 << 29;

impl Default for Profile {
    fn default() -> Profile {
        Profile::lenient(Machine::default())
    }
}

impl Profile {
    /// `machine`, taking what any report says it took: any sizes of surfaces, ports as declared.
    pub fn lenient(machine: Machine) -> Profile {
        Profile {
            machine,
            strict: false,
            row_align: ROW_ALIGN,
            minimum_bytes: 0,
            size_rule: SizeRule::Any,
            port_order: PortOrder::Declaration,
            compile_budget: Some(COMPILE_BUDGET),
            loaded_limit: Some(LOADED_LIMIT),
            surface_limit: SURFACE_LIMIT,
            blobs: Validation::Strict,
            arithmetic: Arithmetic::Exact,
            latency: Latency::of(machine),
            faults: Faults::default(),
        }
    }

    /// `machine`, refusing what any report says it refused.
    pub fn strict(machine: Machine) -> Profile {
        let (minimum_bytes, size_rule, port_order) = match machine.chip {
            Chip::M1 | Chip::M2 => (2048, SizeRule::Ascending, PortOrder::Declaration), // ane-train
            Chip::M3 => (0, SizeRule::Any, PortOrder::Declaration),
            Chip::M4 => (49152, SizeRule::Uniform, PortOrder::Alphabetical), // Orion
            Chip::M5 => (0, SizeRule::Any, PortOrder::Alphabetical),         // bridge-rs
        };
        Profile { strict: true, minimum_bytes, size_rule, port_order, ..Profile::lenient(machine) }
    }
}
