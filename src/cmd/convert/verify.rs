//! What was written is opened again, and its logits on fixed prompts compared with those of the source. One of the two is in
//! memory at a time, in f32.

use std::fmt;
use std::path::Path;

use engine::{CpuEngine, DecodeWeights, Decoder, Options, Shape, Sizes};
use formats::{Assumed, Encoding, Format, Model};
use kernels::Cpu;
use model::{ModelSpec, RopeScaling};
use serde_json::{Value as Json, json};

use super::export::Target;
use crate::exit::{Exit, FAILURE};
use crate::out::{self, Out};
use crate::stop::Stop;

/// Short prompts, and tokens of each where the context has room.
const PROMPTS: usize = 3;
const TOKENS: usize = 48;

/// Tokens of the long prompt beyond the context of pre-training, and those at its end whose logits are compared.
const BEYOND: usize = 16;
const LAST: usize = 16;

/// Tokens of it between two looks at whether to stop.
const PIECE: usize = 256;

/// Operations that the long prompt may cost: minutes on a small machine.
const WORK: f64 = 4e13;

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
    /// Tokens of the longest prompt.
    pub longest: usize,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let what = format!("of {} logits on fixed prompts of up to {} tokens", self.logits, self.longest);
        write!(f, "the largest difference is {:.3e} ({:.3e} of their standard deviation), {what}", self.largest, self.relative)
    }
}

impl Verified {
    /// For programs.
    pub fn json(&self) -> Json {
        json!({ "largest_difference": self.largest, "relative": self.relative, "rms": self.rms, "logits": self.logits, "longest_prompt": self.longest })
    }
}

/// Root mean square of the differences, in standard deviations, that rounding explains. A weight of f16 is off by about
/// `2^-12` of itself, one of bf16 by `2^-9`, one of q8_0 by up to 1/254 of the largest of its block. What comes of it on the
/// way to the logits was measured: of the model with the most layers, SmolLM2-135M (30), 8, 6 and 11 times as much; of the
/// tiny ones of the tests 2 to 5. Twice to three times that is allowed, and more for more layers. A wrong rotation makes 0.5.
fn limit(encoding: Encoding, spec: &ModelSpec) -> f64 {
    let deep = (spec.layers as f64 / 30.0).sqrt().max(1.0);
    match encoding {
        // a factor that was multiplied into weights rounds each once
        Encoding::F32 if spec.residual_scale != 1.0 => 1e-5 * deep,
        Encoding::F32 => 1e-6,
        Encoding::F16 => 16.0 * 2f64.powi(-12) * deep,
        Encoding::Bf16 => 16.0 * 2f64.powi(-9) * deep,
        _ => 32.0 / 254.0 * deep,
    }
}

/// Which prompts are compared, and what that takes.
#[derive(Debug)]
pub struct Plan {
    short: Vec<Vec<u32>>,
    /// One that goes beyond the context of pre-training, where the rotations are stretched for that.
    long: Option<Vec<u32>>,
    /// That context, where the model has one and the prompt would take too long.
    left_out: Option<usize>,
    /// Bytes at the peak.
    needs: u64,
}

impl Plan {
    /// The plan for models of the shape `spec` on `threads` threads.
    pub fn of(spec: &ModelSpec, threads: usize) -> Plan {
        let tokens = TOKENS.min(spec.context);
        let original = original_context(spec).filter(|n| *n < spec.context);
        let length = original.map(|n| (n + BEYOND).min(spec.context)).filter(|n| *n > tokens);
        let affordable = length.filter(|n| work(spec, *n) <= WORK);
        let ids = prompts(spec.vocab, tokens.max(affordable.unwrap_or(0)));
        let short: Vec<_> = ids.iter().map(|p| p[..tokens].to_vec()).collect();
        let long = affordable.and_then(|n| ids.first().map(|p| p[..n].to_vec()));
        let left_out = original.filter(|_| length.is_some() && affordable.is_none());
        let rows = PROMPTS * tokens + long.as_ref().map_or(0, |_| LAST);
        let params = model::Layout::of(spec).len();
        let shape = Shape { rows: 1, seq: tokens };
        let engine = Sizes::of(spec, shape, Options::INFERENCE, threads).bytes();
        let cache = 2 * 4 * spec.layers * spec.kv_dim() * long.as_ref().map_or(0, Vec::len);
        // logits of both, and of one prompt while it is computed
        let logits = 4 * spec.vocab * (2 * rows + tokens);
        let needs = (4 * params + engine.max(cache) + logits + Cpu::PACK_BYTES_MAX) as u64;
        Plan { short, long, left_out, needs }
    }

    /// Why there is too little memory, where `available` bytes are known to be.
    pub fn too_much(&self, available: Option<u64>) -> Option<String> {
        let available = available.filter(|a| *a < self.needs)?;
        let (needs, available) = (out::bytes(self.needs), out::bytes(available));
        Some(format!("comparing logits needs {needs} (the weights in f32, one model at a time), and {available} are available"))
    }

    /// Compares the model at `path` with `source`.
    ///
    /// # Errors
    /// 1 when they differ by more than the encoding explains; those of reading.
    pub fn compare(
        &self,
        cpu: &Cpu,
        source: &Model,
        path: &Path,
        target: Target,
        stop: &Stop,
        out: Out,
    ) -> anyhow::Result<Verified> {
        out.detail(format!("comparing logits with those of the source, in {} of memory", out::bytes(self.needs)));
        if let Some(original) = self.left_out {
            out.warn(format!("no prompt beyond the {original} tokens of the first training is compared: it would take too long"));
        }
        let written = reopened(path, source, target.format)?;
        let before = self.logits(cpu, source, stop)?;
        let after = self.logits(cpu, &written, stop)?;
        let longest = self.short.iter().chain(&self.long).map(Vec::len).max().unwrap_or(0);
        let verified = Verified { longest, ..difference(&before, &after) };
        let limit = limit(target.encoding, source.spec());
        // a NaN is no small difference
        if verified.rms <= limit && before.len() == after.len() {
            return Ok(verified);
        }
        let what = format!("{}: what was written is not what was read: {verified}", path.display());
        let name = target.encoding.name();
        let next = format!("root mean square {:.3e}, where {name} explains {limit:.1e}; nothing was kept", verified.rms);
        Err(Exit::new(FAILURE, format!("{what}; {next}")).into())
    }

    fn logits(&self, cpu: &Cpu, model: &Model, stop: &Stop) -> anyhow::Result<Vec<f32>> {
        let params = model.load(model.layout())?;
        let spec = model.spec();
        let mut all = Vec::new();
        if let Some(seq) = self.short.first().map(Vec::len) {
            let mut engine = CpuEngine::new(cpu, spec, Shape { rows: 1, seq }, Options::INFERENCE);
            for prompt in &self.short {
                stop.check()?;
                all.extend(engine.logits(&params, prompt)?);
            }
        }
        let Some(long) = &self.long else { return Ok(all) };
        let weights = DecodeWeights::borrowed(spec, &params)?;
        let mut decoder = Decoder::new(cpu, spec, &weights, long.len());
        let (most, last) = long.split_at(long.len().saturating_sub(LAST));
        for piece in most.chunks(PIECE) {
            stop.check()?;
            decoder.feed(piece)?;
        }
        for id in last {
            all.extend(decoder.feed(std::slice::from_ref(id))?);
        }
        Ok(all)
    }
}

/// Tokens of the pre-training whose rotations were stretched.
fn original_context(spec: &ModelSpec) -> Option<usize> {
    match spec.rope.scaling {
        RopeScaling::None => None,
        RopeScaling::Linear { factor } => Some((spec.context as f64 / factor) as usize),
        RopeScaling::Llama3 { original_context, .. } | RopeScaling::Yarn { original_context, .. } => Some(original_context),
    }
}

/// Operations of a prompt: two a weight and token, and the products of its attention, of both models.
fn work(spec: &ModelSpec, tokens: usize) -> f64 {
    let (n, weights) = (tokens as f64, model::Layout::of(spec).len() as f64);
    2.0 * n * (2.0 * weights + 2.0 * n * (spec.layers * spec.q_dim()) as f64)
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

fn difference(before: &[f32], after: &[f32]) -> Verified {
    let n = before.len().max(1) as f64;
    let mean = before.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let variance = before.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    let pairs = || before.iter().zip(after).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs());
    // not f64::max, which passes over NaN
    let largest = pairs().fold(0.0, |most: f64, d| if d > most || d.is_nan() { d } else { most });
    let rms = (pairs().map(|d| d * d).sum::<f64>() / n).sqrt();
    let scaled = |d: f64| if d == 0.0 { 0.0 } else { d / variance.sqrt() };
    Verified { largest, relative: scaled(largest), rms: scaled(rms), logits: before.len(), longest: 0 }
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

    fn golden(name: &str) -> Model {
        formats::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
    }

    /// Writes `source` as GGUF with each weight that `id` names through `changed`, and compares.
    fn compared(source: &Model, encoding: Encoding, layer: usize, changed: &dyn Fn(f32) -> f32) -> anyhow::Result<Verified> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.gguf");
        let rows = |id, rows, out: &mut [f32]| {
            source.read_rows(id, rows, out)?;
            if let model::TensorId::Layer(l, model::Part::V) = id
                && l == layer
            {
                out.iter_mut().for_each(|v| *v = changed(*v));
            }
            Ok(())
        };
        let extra = formats::gguf::Metadata::new(&path);
        let special = formats::SpecialIds::default();
        let options = formats::gguf::WriteOptions { encoding, special: &special, rows: None, extra: &extra };
        formats::gguf::write(&path, source.spec(), &rows, &options).unwrap();
        let (cpu, out) = (Cpu::with_isa(1, kernels::Isa::best()), Out::new(false, true, false));
        let target = Target { format: Format::Gguf, encoding };
        Plan::of(source.spec(), 1).compare(&cpu, source, &path, target, &Stop::listen().unwrap(), out)
    }

    #[test]
    fn another_model_than_the_source_is_told() {
        let source = golden("qwen2");
        assert_eq!(compared(&source, Encoding::F32, 0, &|v| v).unwrap().largest, 0.0);
        let error = compared(&source, Encoding::F32, 0, &|v| -v).unwrap_err();
        assert!(crate::exit::code_of(&error) == FAILURE && error.to_string().contains("is not what was read"), "{error}");
    }

    /// What each type rounds off the models of the tests, and a factor on one matrix that it does not.
    #[test]
    fn a_bound_is_above_what_rounding_does_and_not_far() {
        for (encoding, factor) in [(Encoding::F16, 1.04), (Encoding::Bf16, 1.4), (Encoding::Q8_0, 3.0)] {
            let mut most: f64 = 0.0;
            for name in ["llama-bias", "llama-linear-rope", "llama-tied-gqa", "llama3-rope", "mistral-window", "qwen2", "qwen3"] {
                let source = golden(name);
                most = most.max(compared(&source, encoding, 0, &|v| v).unwrap().rms);
                let error = compared(&source, encoding, 0, &|v| factor * v);
                assert!(error.is_err(), "{name} in {}: {:?}", encoding.name(), error.unwrap());
            }
            let bound = limit(encoding, golden("qwen3").spec());
            assert!(most > 0.0 && bound / most < 15.0, "{}: {most} of {bound}", encoding.name());
            eprintln!("{}: rms {most:.2e}, bound {bound:.2e}", encoding.name());
        }
    }

    #[test]
    fn a_prompt_goes_beyond_the_context_of_pre_training_where_the_rotations_are_stretched() {
        let spec = |original_context, context| {
            let scaling =
                model::RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context };
            let mut spec = golden("llama3-rope").spec().clone();
            (spec.rope.scaling, spec.context) = (scaling, context);
            spec
        };
        let long = |spec: &ModelSpec| Plan::of(spec, 1).long.map(|p| p.len());
        assert_eq!(long(&spec(100, 256)), Some(116));
        assert_eq!(long(&spec(100, 110)), Some(110));
        // the short ones go beyond it already, or nothing is beyond it
        assert_eq!((long(&spec(16, 256)), long(&spec(256, 256)), long(golden("qwen2").spec())), (None, None, None));
        let far = Plan::of(&spec(1 << 24, 1 << 25), 1);
        assert_eq!((far.long, far.left_out), (None, Some(1 << 24)));
    }

    #[test]
    fn too_little_memory_is_a_reason() {
        let plan = Plan::of(golden("qwen2").spec(), 1);
        assert_eq!((plan.too_much(None), plan.too_much(Some(plan.needs))), (None, None));
        assert!(plan.too_much(Some(plan.needs - 1)).unwrap().contains("one model at a time"));
    }

    #[test]
    fn prompts_are_fixed_and_inside_the_vocabulary() {
        let all = prompts(512, 48);
        assert!(all.len() == PROMPTS && all.iter().flatten().all(|id| *id < 512));
        assert!(all[0] != all[1] && all == prompts(512, 48));
    }
}
