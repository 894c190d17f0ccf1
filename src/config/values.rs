//! The types of single settings: how each is read from text, checked, and written back so that reading gives the same.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;
pub use train::every::Every;

pub use super::readers::*;

/// Defines an enum whose values have names on the command line.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$about])* $variant),+ }

        impl $name {
            /// Every name.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The value called `text`.
            pub fn parse(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(format!("found `{text}`, available: {}", Self::NAMES.join(", "))),
                }
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl Show for $name {
            fn json(&self) -> Json {
                self.name().into()
            }
        }
    };
}

/// How a value is written: in tables, JSON and `config.resolved.toml`.
pub trait Show {
    /// A boolean, number or string whose text the setting's reader takes back unchanged.
    fn json(&self) -> Json;
}

choice! {
    /// Learning rate over the progress of the budget.
    Schedule {
        /// Half a cosine.
        Cosine = "cosine",
        /// Warm-up, stable, decay.
        Wsd = "wsd",
        /// Straight line.
        Linear = "linear",
        /// No annealing.
        Constant = "constant",
    }
}
choice! {
    /// Update rule.
    OptimizerKind {
        /// Adam with decoupled weight decay.
        Adamw = "adamw",
        /// Orthogonalised momentum for matrices, AdamW for the rest.
        Muon = "muon",
        /// Stochastic gradient descent.
        Sgd = "sgd",
    }
}
choice! {
    /// Gradient estimator.
    Method {
        /// Exact gradient by backpropagation.
        Backprop = "backprop",
        /// Central difference along random directions.
        Mezo = "mezo",
        /// One-sided differences over the deviation of their losses.
        Fzoo = "fzoo",
        /// Central difference that leaves large weights alone.
        SparseMezo = "sparse-mezo",
        /// Central difference scaled by the diagonal of the Hessian.
        Hizoo = "hizoo",
        /// Central difference along directions of low rank.
        Lozo = "lozo",
        /// Central difference in a cone around the mean of estimates.
        Conmezo = "conmezo",
        /// Central difference along directions aligned with the gradient in a space of its own.
        Pgap = "p-gap",
        /// One-sided differences along directions in the space of what matrices multiply.
        Agzo = "agzo",
        /// One-sided differences in a random subspace, orthogonalised there.
        ZoMuon = "zo-muon",
        /// Central difference, each block of the model by the loss after it.
        Dszo = "dszo",
        /// Forward-Forward: every adapted matrix tells real text from corrupted text.
        Ff = "ff",
    }
}
impl Method {
    /// Whether it needs losses beside the weights, and nothing else.
    pub fn is_zeroth_order(self) -> bool {
        !matches!(self, Method::Backprop | Method::Ff)
    }
}

choice! {
    /// Elements of the random directions of zeroth-order methods.
    ZoDistribution {
        /// Standard normal.
        Gaussian = "gaussian",
        /// -1 or 1.
        Rademacher = "rademacher",
    }
}
choice! {
    /// How an adapter is applied while it is trained.
    LoraForm {
        /// Beside the weights.
        Split = "split",
        /// Multiplied out into a copy of them.
        Merged = "merged",
        /// Beside them, with a trained length for each row of the sum.
        Dora = "dora",
    }
}
choice! {
    /// Where the arithmetic runs.
    Device {
        /// Processor cores.
        Cpu = "cpu",
        /// Apple's Neural Engine.
        Ane = "ane",
        /// Its simulator.
        AneSim = "ane-sim",
    }
}
choice! {
    /// Arithmetic of the simulator.
    AneNumerics {
        /// f32, rounded to fp16 after each operation.
        Exact = "exact",
        /// With what is known of the hardware's rounding and saturation.
        Ane = "ane",
    }
}
choice! {
    /// What methods without a derivative make small.
    ObjectiveKind {
        /// Cross-entropy.
        Loss = "loss",
        /// Predicted tokens that are not the most likely one.
        Accuracy = "accuracy",
        /// Answers with such a token.
        ExactMatch = "exact-match",
    }
}
choice! {
    /// Which devices' kernels are compared with the simulator before their first use.
    AneProbe {
        /// Hardware.
        Hardware = "hardware",
        /// Every device.
        Always = "always",
        /// None: whatever they compute is believed.
        Never = "never",
    }
}
choice! {
    /// Order in which windows of the training split are read.
    DataOrder {
        /// Epochs of permuted windows.
        Shuffled = "shuffled",
        /// Window k starts at token k x seq-len.
        Sequential = "sequential",
    }
}
choice! {
    /// How windows are cut from the tokens.
    Packing {
        /// A window is any run of tokens.
        Stream = "stream",
        /// A window holds whole documents that do not see each other.
        Documents = "documents",
    }
}
choice! {
    /// Bytes of a token in a raw token file.
    TokenWidth {
        /// Told from the vocabulary and the file.
        Auto = "auto",
        /// Two.
        U16 = "u16",
        /// Four.
        U32 = "u32",
    }
}
choice! {
    /// A tracker of experiments.
    Tracking {
        /// None of them.
        None = "none",
        /// Weights & Biases.
        Wandb = "wandb",
        /// Trackio of Hugging Face.
        Trackio = "trackio",
    }
}
choice! {
    /// Instruction set of the kernels.
    IsaChoice {
        /// The best that the processor has.
        Auto = "auto",
        /// Portable code.
        Scalar = "scalar",
        /// AVX2 and FMA.
        Avx2 = "avx2",
        /// AVX-512.
        Avx512 = "avx512",
        Amx = "amx",
        /// Arm NEON.
        Neon = "neon",
        /// Apple's Accelerate for large products.
        Accelerate = "accelerate",
    }
}

/// Length of the learning rate's warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Warmup {
    /// Optimizer steps.
    Steps(u64),
    /// Wall time.
    Time(Duration),
    /// Share of the budget, in percent (a fraction would not always read back as it was written).
    Percent(f64),
}

impl Show for Every {
    fn json(&self) -> Json {
        match self {
            Every::Steps(n) => (*n).into(),
            Every::Time(d) => show_duration(*d).into(),
            Every::Never => "never".into(),
        }
    }
}

impl Show for Warmup {
    fn json(&self) -> Json {
        match self {
            Warmup::Steps(n) => (*n).into(),
            Warmup::Time(d) => show_duration(*d).into(),
            Warmup::Percent(p) => format!("{p}%").into(),
        }
    }
}

impl Show for Duration {
    fn json(&self) -> Json {
        show_duration(*self).into()
    }
}

impl Show for PathBuf {
    fn json(&self) -> Json {
        self.to_string_lossy().into_owned().into()
    }
}

impl Show for f32 {
    /// Through the shortest text, so that 0.001 does not become 0.0010000000474974513.
    fn json(&self) -> Json {
        format!("{self:?}").parse::<f64>().unwrap_or_default().into()
    }
}

macro_rules! show_plainly {
    ($($t:ty),+) => {
        $(impl Show for $t {
            fn json(&self) -> Json {
                self.clone().into()
            }
        })+
    };
}
show_plainly!(bool, u64, usize, f64, String);

macro_rules! by_name {
    ($($t:ty),+) => {
        $(impl Show for $t {
            fn json(&self) -> Json {
                self.name().into()
            }
        })+
    };
}
by_name!(ane::Pipeline, ane::KernelForm, ane::WeightForm);

impl<T: Show> Show for Option<T> {
    fn json(&self) -> Json {
        self.as_ref().map_or_else(|| "none".into(), Show::json)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_read_and_round_trip() {
        for (text, seconds) in
            [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("1h30m", 5400.0), ("250ms", 0.25), ("2d", 172_800.0)]
        {
            let d = duration(text).unwrap();
            assert_eq!(d, Duration::from_secs_f64(seconds), "{text}");
            assert_eq!(duration(&show_duration(d)).unwrap(), d, "{text}");
        }
        for bad in ["", "s", "5x", "-5s", "nan", "inf", "1e3", "5m3", "1..2s", "99999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_range_checked() {
        for bad in ["0", "-1", "nan", "inf", "1e40", "1e-60", "x", ""] {
            assert!(positive(bad, f64::MAX).is_err(), "{bad}");
        }
        assert_eq!(integer("1_000k", 0, MAX_COUNT), Ok(1_000_000));
        for bad in ["-1", "1.5", "", "k", "_1", "1kM", "99999999999999999999", "9223372036854775807k"] {
            assert!(integer(bad, 0, MAX_COUNT).is_err(), "{bad}");
        }
        assert!(below_one("1").is_err() && below_one("0.999").is_ok());
    }

    #[test]
    fn steps_times_and_shares() {
        assert_eq!(every("100"), Ok(Every::Steps(100)));
        assert_eq!(every("30s"), Ok(Every::Time(Duration::from_secs(30))));
        assert_eq!(every("0"), Ok(Every::Never));
        assert_eq!(warmup("5%"), Ok(Warmup::Percent(5.0)));
        assert_eq!(warmup("0"), Ok(Warmup::Steps(0)));
        assert!(warmup("101%").is_err() && every("soon").is_err());
    }
}
