//! The types of single settings: how each is read from text, checked, and written back so that reading gives the same.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;
pub use train::every::Every;

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

/// Reads `100`, `30s`, `5m`, `never`.
pub fn every(text: &str) -> Result<Every, String> {
    if matches!(text, "never" | "none" | "off" | "0") {
        return Ok(Every::Never);
    }
    if let Ok(steps) = integer(text, 1, MAX_COUNT) {
        return Ok(Every::Steps(steps));
    }
    let wanted = "expected steps (100), a duration (30s, 5m) or `never`";
    let time = duration(text).map_err(|_| format!("found `{text}`, {wanted}"))?;
    if time.is_zero() { Ok(Every::Never) } else { Ok(Every::Time(time)) }
}

/// Reads `100` (steps), `30s`, `5%`.
pub fn warmup(text: &str) -> Result<Warmup, String> {
    if text == "none" {
        return Ok(Warmup::Steps(0));
    }
    if let Some(percent) = text.strip_suffix('%') {
        return Ok(Warmup::Percent(real(percent, 0.0, 100.0)?));
    }
    if let Ok(steps) = integer(text, 0, MAX_COUNT) {
        return Ok(Warmup::Steps(steps));
    }
    duration(text)
        .map(Warmup::Time)
        .map_err(|_| format!("found `{text}`, expected steps (100), a duration (30s) or a share of the budget (5%)"))
}

/// Largest count of steps or tokens: what TOML's integers hold.
pub const MAX_COUNT: u64 = i64::MAX as u64;

/// Reads an integer in `[low, high]`; `_` may group digits, `k`, `M` and `G` multiply by powers of a thousand.
pub fn integer(text: &str, low: u64, high: u64) -> Result<u64, String> {
    let wanted = || match (low, high) {
        (0, MAX_COUNT) => format!("found `{text}`, expected a whole number"),
        (_, MAX_COUNT) => format!("found `{text}`, expected a whole number of at least {low}"),
        _ => format!("found `{text}`, expected a whole number from {low} to {high}"),
    };
    let digits = text.trim_end_matches(['k', 'K', 'M', 'G']);
    let factor = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err(wanted()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wanted());
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let value = plain.parse::<u64>().ok().and_then(|v| v.checked_mul(factor));
    value.filter(|v| (low..=high).contains(v)).ok_or_else(wanted)
}

/// Reads a size in `[low, high]`.
pub fn size(text: &str, low: usize, high: usize) -> Result<usize, String> {
    integer(text, low as u64, high as u64).map(|v| v as usize)
}

/// Reads a finite number in `[low, high]`.
pub fn real(text: &str, low: f64, high: f64) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| v.is_finite() && (low..=high).contains(v));
    value.ok_or_else(|| {
        let range = if high == f64::MAX { format!("of at least {low}") } else { format!("from {low} to {high}") };
        format!("found `{text}`, expected a number {range}")
    })
}

/// Reads a share of the time, `0.5` or `50%`, of at least a hundredth.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |n| (n, 100.0));
    let found = number.parse::<f64>().ok().map(|v| v / whole).filter(|v| (0.01..=1.0).contains(v));
    found.ok_or_else(|| format!("found `{text}`, expected a share from 0.01 to 1, or 1% to 100%"))
}

/// Reads a finite f32 in `[low, high]`.
pub fn single(text: &str, low: f64, high: f64) -> Result<f32, String> {
    real(text, low, high)?;
    // what fits f64 may be infinite in f32
    text.parse().ok().filter(|v: &f32| v.is_finite()).ok_or_else(|| format!("found `{text}`, expected a 32-bit number"))
}

/// Reads a finite f32 above 0 and at most `high`.
pub fn positive(text: &str, high: f64) -> Result<f32, String> {
    single(text, 0.0, high).ok().filter(|v| *v > 0.0).ok_or_else(|| {
        format!(
            "found `{text}`, expected a finite number above 0{}",
            if high < 1e30 { format!(", at most {high}") } else { String::new() }
        )
    })
}

/// Reads an f32 in `[0, 1)`.
pub fn below_one(text: &str) -> Result<f32, String> {
    let value = single(text, 0.0, 1.0).ok().filter(|v| *v < 1.0);
    value.ok_or_else(|| format!("found `{text}`, expected a number from 0 up to, not including, 1"))
}

/// Reads `true`/`false` and their usual synonyms.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("found `{text}`, expected true or false")),
    }
}

/// Reads a non-empty text.
pub fn text(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected a value, found nothing".into()) } else { Ok(text.to_owned()) }
}

/// Reads `none` as nothing, everything else by `inner`.
pub fn optional<T>(text: &str, inner: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if matches!(text, "none" | "auto" | "all" | "off") { Ok(None) } else { inner(text).map(Some) }
}

/// Reads `90`, `90s`, `1.5m`, `2h`, `1d`, `250ms`, and sums of them such as `1h30m`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wanted = || format!("found `{text}`, expected a duration such as 90s, 5m, 1h30m");
    let (mut rest, mut seconds) = (text, 0.0f64);
    if rest.is_empty() {
        return Err(wanted());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().map_err(|_| wanted())?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        seconds += value
            * match &unit[..end] {
                "ms" => 1e-3,
                "s" => 1.0,
                "" if digits == text.len() => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return Err(wanted()),
            };
        rest = &unit[end..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|d| d.as_secs() < 1 << 32).ok_or_else(wanted)
}

/// The text that [`duration`] reads back as the same duration.
pub fn show_duration(d: Duration) -> String {
    match d.as_secs() {
        s if d.subsec_nanos() == 0 && s >= 3600 && s.is_multiple_of(3600) => format!("{}h", s / 3600),
        s if d.subsec_nanos() == 0 && s >= 600 && s.is_multiple_of(60) => format!("{}m", s / 60),
        s if d.subsec_nanos() == 0 => format!("{s}s"),
        _ => format!("{:?}s", d.as_secs_f64()),
    }
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
