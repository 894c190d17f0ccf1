//! What was written is opened again, and its logits on fixed prompts compared with those of the source.

use std::fmt;
use std::path::Path;

use engine::{CpuEngine, Options, Shape};
use formats::{Assumed, Encoding, Format, Model};
use kernels::Cpu;
use serde_json::{Value as Json, json};

use super::export::Target;
use crate::exit::{Exit, FAILURE};
use crate::out::Out;

/// Prompts, and tokens of each where the context has room.
const PROMPTS: usize = 3;
const TOKENS: usize = 48;

/// What was found.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Largest difference of two logits.
    pub largest: f64,
    /// The same in standard deviations of the source's logits.
    pub relative: f64,
    /// Root mean square of all differences, in the same: what is judged, for the largest of millions is a matter of luck.
    pub rms: f64,
    /// Of how many logits.
    pub logits: usize,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let what = format!("of {} logits on {PROMPTS} fixed prompts", self.logits);
        write!(f, "the largest difference is {:.3e} ({:.3e} of their standard deviation), {what}", self.largest, self.relative)
    }
}

impl Verified {
    /// For programs.
    pub fn json(&self) -> Json {
        json!({ "largest_difference": self.largest, "relative": self.relative, "rms": self.rms, "logits": self.logits })
    }
}

/// Root mean square of the differences, in standard deviations, that rounding explains: some times what released models show,
/// and far from the 0.5 and more of a wrong rotation.
fn limit(encoding: Encoding, folded: bool) -> f64 {
    match encoding {
        Encoding::F32 if folded => 1e-4,
        Encoding::F32 => 1e-6,
        Encoding::F16 => 0.02,
        _ => 0.15,
    }
}

/// Compares the model at `path` with `source`.
///
/// # Errors
/// 1 when they differ by more than the encoding explains; those of reading.
pub fn compare(cpu: &Cpu, source: &Model, path: &Path, target: Target, out: Out) -> anyhow::Result<Verified> {
    out.detail("comparing logits with those of the source");
    let spec = source.spec();
    let written = reopened(path, source, target.format)?;
    let prompts = prompts(spec.vocab, TOKENS.min(spec.context));
    let before = logits(cpu, source, &prompts)?;
    let after = logits(cpu, &written, &prompts)?;
    let verified = difference(&before, &after);
    let limit = limit(target.encoding, spec.residual_scale != 1.0);
    // a NaN is no small difference
    if verified.rms <= limit && before.len() == after.len() {
        return Ok(verified);
    }
    let what = format!("{}: what was written is not what was read: {verified}", path.display());
    let next =
        format!("root mean square {:.3e}, where {} explains {limit:e}; nothing was kept", verified.rms, target.encoding.name());
    Err(Exit::new(FAILURE, format!("{what}; {next}")).into())
}

/// The written model, told what its format does not say.
fn reopened(path: &Path, source: &Model, format: Format) -> anyhow::Result<Model> {
    let written = formats::open(path)?;
    let unsaid = |name: &str| format.unsaid().contains(&name);
    let spec = source.spec();
    let given = Assumed {
        rope_theta: unsaid("rope theta").then_some(spec.rope.theta),
        norm_eps: unsaid("norm eps").then_some(spec.norm_eps),
        residual_scale: None,
    };
    Ok(written.assuming(&given)?)
}

/// Fixed ids, spread over the vocabulary by a multiplicative hash.
fn prompts(vocab: usize, tokens: usize) -> Vec<Vec<u32>> {
    let id = |i: usize| ((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % vocab as u64;
    (0..PROMPTS).map(|p| (0..tokens).map(|t| id(p * tokens + t) as u32).collect()).collect()
}

fn logits(cpu: &Cpu, model: &Model, prompts: &[Vec<u32>]) -> anyhow::Result<Vec<f32>> {
    let params = model.load(model.layout())?;
    let seq = prompts.first().map_or(1, Vec::len);
    let mut engine = CpuEngine::new(cpu, model.spec(), Shape { rows: 1, seq }, Options::INFERENCE);
    let mut all = Vec::new();
    for prompt in prompts {
        all.extend(engine.logits(&params, prompt)?);
    }
    Ok(all)
}

fn difference(before: &[f32], after: &[f32]) -> Verified {
    let n = before.len().max(1) as f64;
    let mean = before.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = before.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    let pairs = || before.iter().zip(after).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    // not f64::max, which passes over NaN
    let largest = pairs().fold(0.0, |most: f64, d| if d > most || d.is_nan() { d } else { most });
    let rms = (pairs().map(|d| d * d).sum::<f64>() / n).sqrt();
    let scaled = |d: f64| if d == 0.0 { 0.0 } else { d / variance.sqrt() };
    Verified { largest, relative: scaled(largest), rms: scaled(rms), logits: before.len() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_difference_is_measured_in_standard_deviations_and_nan_is_none_that_passes() {
        let v = difference(&[1.0, -1.0, 1.0, -1.0], &[1.0, -1.0, 1.5, -1.0]);
        assert_eq!((v.largest, v.relative, v.rms, v.logits), (0.5, 0.5, 0.25, 4));
        assert_eq!(difference(&[1.0, 2.0], &[1.0, 2.0]).relative, 0.0);
        assert!(difference(&[1.0, 2.0, 3.0], &[f32::NAN, 2.0, 9.0]).rms.is_nan());
    }

    #[test]
    fn another_model_than_the_source_is_told() {
        let golden = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let source = formats::open(&golden("qwen2")).unwrap();
        let target = Target { format: Format::Gguf, encoding: Encoding::F32 };
        let dir = tempfile::tempdir().unwrap();
        let (cpu, out) = (Cpu::with_isa(1, kernels::Isa::best()), Out::new(false, true, false));
        let write = |name: &str, changed: &dyn Fn(f32) -> f32| {
            let path = dir.path().join(name);
            let source = |id, rows, out: &mut [f32]| {
                source.read_rows(id, rows, out)?;
                if let model::TensorId::Layer(0, model::Part::Q) = id {
                    out.iter_mut().for_each(|v| *v = changed(*v));
                }
                Ok(())
            };
            let extra = formats::gguf::Metadata::new(&path);
            let special = formats::SpecialIds::default();
            let options = formats::gguf::WriteOptions { encoding: Encoding::F32, special: &special, rows: None, extra: &extra };
            let spec = formats::open(&golden("qwen2")).unwrap().spec().clone();
            formats::gguf::write(&path, &spec, &source, &options).unwrap();
            path
        };
        let same = compare(&cpu, &source, &write("same.gguf", &|v| v), target, out).unwrap();
        assert_eq!(same.largest, 0.0);
        let error = compare(&cpu, &source, &write("other.gguf", &|v| -v), target, out).unwrap_err();
        assert!(crate::exit::code_of(&error) == FAILURE && error.to_string().contains("is not what was read"), "{error}");
    }

    #[test]
    fn prompts_are_fixed_and_inside_the_vocabulary() {
        let all = prompts(512, 48);
        assert!(all.len() == PROMPTS && all.iter().flatten().all(|id| *id < 512));
        assert!(all[0] != all[1] && all == prompts(512, 48));
    }
}
