//! Faults to inject: what a device does on a bad day, at known calls or at a rate, always the same from a seed.

use kernels::noise::Philox;

/// At which calls a fault happens; calls are counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum When {
    /// At none.
    #[default]
    Never,
    /// At call n alone.
    At(u64),
    /// At call n and all after it.
    From(u64),
    /// At each call with this probability.
    Rate(f64),
}

impl When {
    fn fires(self, stream: Philox, call: u64) -> bool {
        match self {
            When::Never => false,
            When::At(n) => call == n,
            When::From(n) => call >= n,
            When::Rate(p) => f64::from(stream.uniform(call)) < p,
        }
    }
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Where rates and jitter come from.
    pub seed: u64,
    /// A compilation fails although the program is right.
    pub compile: When,
    /// An evaluation fails with 0x1d.
    pub evaluate: When,
    /// An evaluation fails with 0x2: the device has no memory for the request.
    pub memory: When,
    /// An evaluation succeeds and its outputs are zero.
    pub zeros: When,
    /// Each dispatch takes up to this part longer: 0.1 is 10 %.
    pub jitter: f64,
    /// A dispatch takes [`SPIKE_SECONDS`] longer.
    pub spike: When,
}

/// The slowest hundredth of dispatches on a busy machine (ane-facts E.3).
pub const SPIKE_SECONDS: f64 = 3.8e-3;

/// What happens to one evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It runs.
    Runs,
    /// Fails with 0x1d.
    Fails,
    /// Fails with 0x2.
    NoMemory,
    /// Reports success over zeros.
    Zeros,
}

/// Streams of the noise, one a fault: changing one does not move another.
#[derive(Clone, Copy)]
enum Purpose {
    Compile = 0x51a0,
    Evaluate,
    Memory,
    Zeros,
    Jitter,
    Spike,
}

impl Faults {
    fn stream(&self, purpose: Purpose) -> Philox {
        Philox::new(self.seed, purpose as u64)
    }

    /// Whether compilation number `call` fails.
    pub fn compile_fails(&self, call: u64) -> bool {
        self.compile.fires(self.stream(Purpose::Compile), call)
    }

    /// What happens to evaluation number `call`.
    pub fn outcome(&self, call: u64) -> Outcome {
        if self.memory.fires(self.stream(Purpose::Memory), call) {
            Outcome::NoMemory
        } else if self.evaluate.fires(self.stream(Purpose::Evaluate), call) {
            Outcome::Fails
        } else if self.zeros.fires(self.stream(Purpose::Zeros), call) {
            Outcome::Zeros
        } else {
            Outcome::Runs
        }
    }

    /// Seconds of evaluation number `call`, which takes `seconds` on a quiet machine.
    pub fn disturbed(&self, call: u64, seconds: f64) -> f64 {
        let longer = seconds * self.jitter * f64::from(self.stream(Purpose::Jitter).uniform(call));
        let spike = if self.spike.fires(self.stream(Purpose::Spike), call) { SPIKE_SECONDS } else { 0.0 };
        seconds + longer + spike
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_at_their_calls_alone() {
        let faults = Faults { evaluate: When::At(3), zeros: When::From(5), memory: When::At(1), ..Faults::default() };
        let outcomes: Vec<Outcome> = (1..=6).map(|n| faults.outcome(n)).collect();
        let expected = [Outcome::NoMemory, Outcome::Runs, Outcome::Fails, Outcome::Runs, Outcome::Zeros, Outcome::Zeros];
        assert_eq!(outcomes, expected);
        assert!(!faults.compile_fails(1));
    }

    #[test]
    fn rates_follow_the_seed() {
        let fails = |seed| -> Vec<u64> {
            let faults = Faults { seed, compile: When::Rate(0.25), ..Faults::default() };
            (1..=4000).filter(|&n| faults.compile_fails(n)).collect()
        };
        assert_eq!(fails(1), fails(1));
        assert_ne!(fails(1), fails(2));
        assert!((900..1100).contains(&fails(1).len()), "{}", fails(1).len());
    }

    #[test]
    fn jitter_only_adds() {
        let faults = Faults { jitter: 0.5, spike: When::At(2), ..Faults::default() };
        for call in 1..100 {
            let seconds = faults.disturbed(call, 1e-3);
            let spike = if call == 2 { SPIKE_SECONDS } else { 0.0 };
            assert!((1e-3..=1.5e-3).contains(&(seconds - spike)), "call {call}: {seconds}");
        }
        assert_eq!(Faults::default().disturbed(7, 1e-3), 1e-3);
    }
}
