//! How long a compilation and a dispatch are said to take; the simulator never waits, it adds these seconds to its counters.
//!
//! A dispatch takes `floor + max(flops / peak, constants / stream) + ports / surface`: the cost model's form ([`crate::cost`]),
//! which tells weights that are packed beside activations from these, and charges them more; a program does not say which
//! columns are weights.

use crate::cost::{CONSTANTS, Constants, Machine};

/// Rates of a device: those of the cost model, fitted to published times, not measured by this project.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Seconds of a dispatch that does nothing.
    pub floor: f64,
    /// Multiply-adds, times two, in a second.
    pub peak: f64,
    /// Bytes of constants that stream in a second.
    pub stream: f64,
    /// Bytes of inputs and outputs that move in a second.
    pub surface: f64,
    /// Seconds of compiling and loading a program without weights.
    pub compile: f64,
    /// Seconds of compiling and loading a program with weights.
    pub compile_baked: f64,
    /// Seconds of loading a program that is in the cache.
    pub reload: f64,
    /// Seconds more for the first dispatch, which wakes the device.
    pub wake: f64,
}

/// Reload of a compiled program (ane-facts 5.7, M5).
const RELOAD_SECONDS: f64 = 3.8e-3;
/// First dispatch after the device slept (ane-facts 4.10, M1).
const WAKE_SECONDS: f64 = 0.26;

impl Latency {
    /// Rates of `machine`.
    pub fn of(machine: Machine) -> Latency {
        let rates = CONSTANTS.engine(machine);
        Latency {
            floor: rates.floor_ms * 1e-3,
            peak: rates.tflops * 1e12,
            stream: rates.stream_gbs * 1e9,
            surface: rates.surface_gbs * 1e9,
            compile: Constants::compile_ms(machine, false) * 1e-3,
            compile_baked: Constants::compile_ms(machine, true) * 1e-3,
            reload: RELOAD_SECONDS,
            wake: WAKE_SECONDS,
        }
    }

    /// Seconds of one dispatch of `work`, the device being awake.
    pub fn dispatch(&self, work: Work) -> f64 {
        self.floor + (work.flops / self.peak).max(work.constant_bytes / self.stream) + work.port_bytes / self.surface
    }

    /// Seconds of compiling and loading a program that does `work`.
    pub fn compile(&self, work: Work) -> f64 {
        if work.constant_bytes > 0.0 { self.compile_baked } else { self.compile }
    }
}

/// What one evaluation of a program does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Multiply-adds, times two.
    pub flops: f64,
    /// Bytes of constants that lie in weight files.
    pub constant_bytes: f64,
    /// Bytes of inputs and outputs.
    pub port_bytes: f64,
}

#[cfg(test)]
mod tests {
    use mil::Chip;

    use super::*;
    use crate::cost::Variant;

    #[test]
    fn the_slower_of_arithmetic_and_constants_counts() {
        let latency = Latency::of(Machine::new(Chip::M4, Variant::Base));
        let of = |flops, constant_bytes, port_bytes| latency.dispatch(Work { flops, constant_bytes, port_bytes });
        assert_eq!(of(0.0, 0.0, 0.0), latency.floor);
        let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-12, "{a} {b}");
        near(of(1e9, 1.0, 0.0), latency.floor + 1e9 / latency.peak);
        near(of(1.0, 1e9, 0.0), latency.floor + 1e9 / latency.stream);
        near(of(1e9, 0.0, 1e6), latency.floor + 1e9 / latency.peak + 1e6 / latency.surface);
        assert!(latency.compile(Work { constant_bytes: 1.0, ..Work::default() }) > latency.compile(Work::default()));
    }
}
