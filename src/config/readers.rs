//! Readers of single values from text: each says what it found and what it expected.

use std::time::Duration;

use super::values::{Every, Warmup};

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
