//! Rotary embedding: keys for plain, linear and YaRN; a tensor of divisors, `rope_freqs.weight`, for the ramp of Llama 3.

use model::{Rope, RopeScaling};

use super::arch::Arch;
use super::container::Container;
use super::metadata::Metadata;
use super::value::Value;
use crate::encoding::Encoding;
use crate::error::{FormatError, shown};
use crate::names;

/// Base where the file names none.
const THETA: f64 = 10_000.0;
/// The four numbers of the ramp, which the file's divisors follow from: a note of ours, for they cannot be told from the
/// divisors alone.
const NOTE: &str = "autoane.rope.llama3";
/// Divisors agree with a ramp up to the rounding of f32, and that of the program that made them.
const TOLERANCE: f64 = 1e-4;
/// Ends of the ramp of YaRN: llama.cpp computes with these, which its logits on files with other ones show.
const BETAS: (f64, f64) = (32.0, 1.0);

/// The rotary embedding of `file`.
pub(super) fn read(file: &Container, arch: &Arch, head_dim: usize) -> Result<Rope, FormatError> {
    let meta = file.metadata();
    let theta = meta.number(&arch.key("rope.freq_base"))?.unwrap_or(THETA);
    let keyed = keyed(meta, arch)?;
    let scaling = match divisors(file, head_dim)? {
        None => keyed,
        Some(_) if keyed != RopeScaling::None => {
            let found = format!("divisors beside the scaling {keyed}");
            return Err(FormatError::unsupported(file.path(), at(), found, "one of the two is"));
        }
        Some(divisors) => ramp(meta, &divisors, theta)?,
    };
    Ok(Rope { theta, scaling })
}

fn at() -> String {
    format!("tensor `{}`", names::GGUF_ROPE)
}

/// What the keys say.
fn keyed(meta: &Metadata, arch: &Arch) -> Result<RopeScaling, FormatError> {
    let key = |rest: &str| arch.key(&format!("rope.scaling.{rest}"));
    let number = |rest: &str| meta.number(&key(rest));
    let attention = number("attn_factor")?.unwrap_or(1.0) * number("yarn_attn_factor")?.unwrap_or(1.0);
    // before there was a type: linear
    let old = meta.number(&arch.key("rope.scale_linear"))?.filter(|f| *f != 1.0 && *f != 0.0);
    let name = meta.text(&key("type"))?.unwrap_or(if old.is_some() { "linear" } else { "none" });
    match name {
        "none" | "linear" if attention != 1.0 => {
            Err(FormatError::unsupported(meta.path(), meta.at(&key("attn_factor")), attention.to_string(), "only 1 is"))
        }
        "none" => Ok(RopeScaling::None),
        "linear" => match number("factor")?.or(old) {
            Some(factor) if factor != 0.0 && factor != 1.0 => Ok(RopeScaling::Linear { factor }),
            _ => Ok(RopeScaling::None),
        },
        "yarn" => yarn(meta, &key, arch, attention),
        other => {
            Err(FormatError::unsupported(meta.path(), meta.at(&key("type")), shown(other), "types are none, linear and yarn"))
        }
    }
}

fn yarn(meta: &Metadata, key: &dyn Fn(&str) -> String, arch: &Arch, attention: f64) -> Result<RopeScaling, FormatError> {
    for (rest, neutral) in [("yarn_ext_factor", 1.0), ("yarn_log_multiplier", 0.0)] {
        // below zero: as the type says
        if let Some(other) = meta.number(&key(rest))?.filter(|v| *v != neutral && *v >= 0.0) {
            let only = format!("only {neutral} is");
            return Err(FormatError::unsupported(meta.path(), meta.at(&key(rest)), other.to_string(), only));
        }
    }
    let factor = meta.need_number(&key("factor"))?;
    let original_context = match meta.size(&key("original_context_length"))? {
        Some(n) => n,
        None => meta.need_size(&arch.key("context_length"))?,
    };
    Ok(RopeScaling::Yarn {
        factor,
        original_context,
        beta_fast: meta.number(&key("yarn_beta_fast"))?.unwrap_or(BETAS.0),
        beta_slow: meta.number(&key("yarn_beta_slow"))?.unwrap_or(BETAS.1),
        attention_factor: RopeScaling::yarn_attention(factor) * attention,
        truncate: true,
    })
}

/// The divisor of each pair's frequency, if the file has them.
fn divisors(file: &Container, head_dim: usize) -> Result<Option<Vec<f64>>, FormatError> {
    let Some(tensor) = file.tensor(names::GGUF_ROPE) else { return Ok(None) };
    let expected = head_dim as u64 / 2;
    if tensor.dtype != Encoding::F32.name() || tensor.shape != [expected] {
        let found = format!("{} {:?}", tensor.dtype, tensor.shape);
        return Err(FormatError::bad(file.path(), at(), found, format!("F32 [{expected}], one divisor a pair")));
    }
    let mut bytes = vec![0; tensor.bytes as usize];
    file.read_at(tensor.start, &mut bytes)?;
    let mut values = vec![0.0; expected as usize];
    Encoding::F32.decode(&bytes, &mut values);
    match values.iter().find(|v| !(v.is_finite() && **v > 0.0)) {
        Some(v) => Err(FormatError::bad(file.path(), at(), v.to_string(), "divisors above 0")),
        None => Ok(Some(values.into_iter().map(f64::from).collect())),
    }
}

/// The ramp that the divisors are of.
fn ramp(meta: &Metadata, divisors: &[f64], theta: f64) -> Result<RopeScaling, FormatError> {
    if divisors.iter().all(|d| *d == 1.0) {
        return Ok(RopeScaling::None);
    }
    let noted = noted(meta)?;
    let guesses = noted.into_iter().chain(published(divisors)).chain(fitted(divisors, theta));
    let fits = |scaling: &RopeScaling| {
        let of_ramp = llama3_divisors(scaling, theta, divisors.len());
        of_ramp.iter().zip(divisors).all(|(a, b)| (a / b - 1.0).abs() < TOLERANCE)
    };
    let mut guesses = guesses.filter(fits);
    guesses.next().ok_or_else(|| {
        let found = format!("divisors {:.4?}", &divisors[..divisors.len().min(8)]);
        FormatError::unsupported(meta.path(), at(), found, "divisors along the ramp of llama3 are")
    })
}

/// Our own note.
fn noted(meta: &Metadata) -> Result<Option<RopeScaling>, FormatError> {
    let number = |rest: &str| meta.number(&format!("{NOTE}.{rest}"));
    let values = (number("factor")?, number("low_freq_factor")?, number("high_freq_factor")?);
    let original = meta.size(&format!("{NOTE}.original_context"))?;
    let ((Some(factor), Some(low_freq_factor), Some(high_freq_factor)), Some(original_context)) = (values, original) else {
        return Ok(None);
    };
    Ok(Some(RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context }))
}

/// What Meta released.
fn published(divisors: &[f64]) -> impl Iterator<Item = RopeScaling> + use<> {
    let largest = divisors.iter().fold(1.0, |a: f64, b| a.max(*b));
    let ramp = |factor| RopeScaling::Llama3 { factor, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 8192 };
    [largest.round(), 8.0, 32.0].into_iter().filter(|f| *f > 1.0).map(ramp)
}

/// Any other ramp. Along it `(1/d - 1/f) / (1 - 1/f) = original frequency / (2 pi (high - low)) - low / (high - low)`, a line
/// over the frequencies. The scale of the three is free: first the one with the low factor 1, then one whose whole number of
/// positions is as good as any.
fn fitted(divisors: &[f64], theta: f64) -> impl Iterator<Item = RopeScaling> + use<> {
    let factor = divisors.iter().fold(1.0, |a: f64, b| a.max(*b));
    let line = line(divisors, theta, 1.0 / factor);
    let span = line.map(|(steepness, at_zero)| (steepness, -1.0 / at_zero));
    let span = span.filter(|(steepness, span)| steepness.is_finite() && span.is_finite() && *span > 0.0);
    let ramp = move |(steepness, span): (f64, f64), scale: f64| RopeScaling::Llama3 {
        factor,
        low_freq_factor: scale,
        high_freq_factor: scale * (1.0 + span),
        original_context: (scale * steepness * std::f64::consts::TAU * span).round().clamp(1.0, 1e15) as usize,
    };
    [1.0, 1e6].into_iter().filter_map(move |scale| Some(ramp(span?, scale)))
}

/// Steepness of the ramp over the frequencies, and its value at frequency 0. With two pairs on the slope it is known; with one
/// or none any line does that reaches 1 and 0 no later than the neighbours.
fn line(divisors: &[f64], theta: f64, inverse: f64) -> Option<(f64, f64)> {
    let smooth = |i: usize| (1.0 / divisors[i] - inverse) / (1.0 - inverse);
    let points: Vec<(f64, f64)> = (0..divisors.len()).map(|i| (frequency(theta, i, divisors.len()), smooth(i))).collect();
    let on = |p: &&(f64, f64)| p.1 > TOLERANCE && p.1 < 1.0 - TOLERANCE;
    let through = |a: (f64, f64), b: (f64, f64)| {
        let steepness = (a.1 - b.1) / (a.0 - b.0);
        (steepness, a.1 - steepness * a.0)
    };
    let (first, last) = (points.iter().find(on).copied(), points.iter().rev().find(on).copied());
    let kept = points.iter().rev().find(|p| p.1 >= 1.0 - TOLERANCE).map(|p| (p.0, 1.0));
    let scaled = points.iter().find(|p| p.1 <= TOLERANCE).map(|p| (p.0, 0.0));
    match (first, last) {
        (Some(a), Some(b)) if a.0 != b.0 => Some(through(a, b)),
        (Some(a), _) => {
            let lines = [kept.map(|k| through(k, a)), scaled.map(|s| through(a, s))];
            lines.into_iter().flatten().max_by(|a, b| a.0.total_cmp(&b.0))
        }
        _ => Some(through(kept?, scaled?)),
    }
}

fn frequency(theta: f64, pair: usize, pairs: usize) -> f64 {
    theta.powf(-(pair as f64) / pairs as f64)
}

/// The divisors of a ramp, pair by pair; empty for another scaling.
fn llama3_divisors(scaling: &RopeScaling, theta: f64, pairs: usize) -> Vec<f64> {
    let RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } = *scaling else { return Vec::new() };
    let divisor = |pair: usize| {
        let turns = original_context as f64 * frequency(theta, pair, pairs) / std::f64::consts::TAU;
        let smooth = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0.0, 1.0);
        1.0 / ((1.0 - smooth) / factor + smooth)
    };
    (0..pairs).map(divisor).collect()
}

/// What a file says of a rotary embedding.
pub(super) struct Written {
    /// Keys below `ARCH.rope.`.
    pub keys: Vec<(&'static str, Value)>,
    /// Keys of our own.
    pub notes: Vec<(String, Value)>,
    /// `rope_freqs.weight`.
    pub divisors: Option<Vec<f32>>,
}

/// The keys of `rope`, for heads of `head_dim`.
///
/// # Errors
/// `Inexpressible` for a YaRN ramp whose ends are no whole pairs, or others than those that llama.cpp knows.
pub(super) fn write(rope: &Rope, head_dim: usize) -> Result<Written, FormatError> {
    let f32 = |v: f64| Value::F32(v as f32);
    let mut out = Written { keys: vec![("freq_base", f32(rope.theta))], notes: Vec::new(), divisors: None };
    let text = |t: &str| Value::Text(t.to_owned());
    match rope.scaling {
        RopeScaling::None => {}
        RopeScaling::Linear { factor } => {
            out.keys.extend([("scaling.type", text("linear")), ("scaling.factor", f32(factor))]);
        }
        RopeScaling::Yarn { truncate: false, .. } => {
            let why = "llama.cpp begins and ends the ramp at whole pairs";
            return Err(FormatError::inexpressible("rope scaling, truncate", "false", why));
        }
        RopeScaling::Yarn { beta_fast, beta_slow, .. } if (beta_fast, beta_slow) != BETAS => {
            let why = format!("llama.cpp takes {} and {} for this architecture, whatever the keys say", BETAS.0, BETAS.1);
            return Err(FormatError::inexpressible("rope scaling, betas", format!("{beta_fast} and {beta_slow}"), why));
        }
        RopeScaling::Yarn { factor, original_context, beta_fast, beta_slow, attention_factor, truncate: _ } => {
            out.keys.extend([
                ("scaling.type", text("yarn")),
                ("scaling.factor", f32(factor)),
                ("scaling.original_context_length", Value::U32(original_context as u32)),
                ("scaling.yarn_beta_fast", f32(beta_fast)),
                ("scaling.yarn_beta_slow", f32(beta_slow)),
            ]);
            let advised = RopeScaling::yarn_attention(factor);
            if attention_factor != advised {
                out.keys.push(("scaling.attn_factor", f32(attention_factor / advised)));
            }
        }
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
            let divisors = llama3_divisors(&rope.scaling, rope.theta, head_dim / 2);
            out.divisors = Some(divisors.into_iter().map(|d| d as f32).collect());
            let note = |name: &str, value| (format!("{NOTE}.{name}"), value);
            out.notes = vec![
                note("factor", Value::F64(factor)),
                note("low_freq_factor", Value::F64(low_freq_factor)),
                note("high_freq_factor", Value::F64(high_freq_factor)),
                note("original_context", Value::U64(original_context as u64)),
            ];
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_found_again_from_its_divisors() {
        let meta = Metadata::new(std::path::Path::new("m.gguf"));
        for (pairs, theta, factor, low, high, original) in [
            (64, 5e5, 8.0, 1.0, 4.0, 8192),
            (32, 5e5, 32.0, 1.0, 4.0, 8192),
            (32, 1e4, 5.0, 1.0, 3.0, 2048),
            (48, 1e5, 3.5, 2.0, 9.0, 4096),
            (4, 5e5, 8.0, 1.0, 4.0, 32),
            (5, 1e3, 8.0, 1.0, 4.0, 100),
        ] {
            let scaling =
                RopeScaling::Llama3 { factor, low_freq_factor: low, high_freq_factor: high, original_context: original };
            // as a file has them
            let divisors: Vec<f64> = llama3_divisors(&scaling, theta, pairs).into_iter().map(|d| f64::from(d as f32)).collect();
            let found = ramp(&meta, &divisors, theta);
            let Ok(found) = found else { panic!("{scaling:?}: {found:?}") };
            let again = llama3_divisors(&found, theta, pairs);
            assert!(again.iter().zip(&divisors).all(|(a, b)| (a / b - 1.0).abs() < TOLERANCE), "{scaling:?}: {found:?}");
        }
        assert!(ramp(&meta, &[1.0, 8.0, 2.0, 8.0], 1e4).is_err(), "no ramp at all");
    }
}
