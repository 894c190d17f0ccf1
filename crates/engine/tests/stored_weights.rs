//! Decoding over weights as they are stored: the logits of the same numbers in f32, token by token and in one piece.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use engine::{CpuEngine, DecodeWeights, Decoder, EngineError, Options, Shape, init};
use kernels::Cpu;
use kernels::stored::{Elements, Matrix, Numbers};
use model::{Family, Layout, ModelSpec, Role, Rope, SlidingWindow};

fn spec() -> ModelSpec {
    ModelSpec {
        family: Family::Llama,
        dim: 96,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_dim: 32,
        hidden: 160,
        vocab: 203,
        context: 256,
        rope: Rope::plain(10_000.0),
        no_rope: Vec::new(),
        norm_eps: 1e-5,
        tied: true,
        qkv_bias: true,
        o_bias: true,
        qk_norm: true,
        window: Some(SlidingWindow { size: 50, from_layer: 1 }),
        residual_scale: 0.7,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    F32,
    F16,
    Bf16,
    Q8_0,
}

/// `floats` in a type, rounded as simply as can be.
fn stored(kind: Kind, floats: &[f32]) -> Numbers<'static> {
    let bf16 = |f: &f32| ((f.to_bits() >> 16) as u16).to_le_bytes();
    // by halves, until the exponent is found
    let f16 = |f: &f32| {
        let (sign, mut size, mut exponent) = (u16::from(f.is_sign_negative()) << 15, f.abs(), 15u16);
        while size < 1.0 && exponent > 1 {
            (size, exponent) = (size * 2.0, exponent - 1);
        }
        (sign | if size < 1.0 { (size * 1024.0) as u16 } else { exponent << 10 | ((size - 1.0) * 1024.0) as u16 }).to_le_bytes()
    };
    let q8_0 = |block: &[f32]| {
        let inverse = 1024.0; // d = 2^-10, the f16 0x1400
        [0x00, 0x14].into_iter().chain(block.iter().map(move |f| (f * inverse).round() as i8 as u8)).collect::<Vec<u8>>()
    };
    match kind {
        Kind::F32 => Numbers::F32(Cow::Owned(floats.to_vec())),
        Kind::F16 => Numbers::F16(Cow::Owned(floats.iter().flat_map(f16).collect())),
        Kind::Bf16 => Numbers::Bf16(Cow::Owned(floats.iter().flat_map(bf16).collect())),
        Kind::Q8_0 => Numbers::Q8_0(Cow::Owned(floats.chunks(32).flat_map(q8_0).collect())),
    }
}

/// The weights in a type, and the f32 parameters that they mean.
fn weights(kind: Kind, cpu: &Cpu) -> (DecodeWeights<'static>, Vec<f32>) {
    let (spec, layout) = (spec(), Layout::of(&spec()));
    let mut params = init(&spec, &layout, 5);
    let original: Vec<f32> = params.iter().map(|f| f.clamp(-0.12, 0.12)).collect();
    let weights = DecodeWeights::read::<EngineError>(&spec, |t| {
        if matches!(t.role, Role::Norm | Role::Bias) {
            return Ok(Numbers::F32(Cow::Owned(params[t.range.clone()].to_vec())));
        }
        let numbers = stored(kind, &original[t.range.clone()]);
        let elements = match &numbers {
            Numbers::F32(n) => Elements::F32(n),
            Numbers::F16(n) => Elements::F16(n),
            Numbers::Bf16(n) => Elements::Bf16(n),
            Numbers::Q8_0(n) => Elements::Q8_0(n),
        };
        Matrix::new(elements, t.shape[0], t.shape[1]).unwrap().decode(cpu, 0, &mut params[t.range.clone()]);
        Ok(numbers)
    });
    (weights.unwrap(), params)
}

/// Root of the mean square of the differences, as a share of that of `b` around its mean.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let mean = b.iter().map(|&b| f64::from(b)).sum::<f64>() / b.len() as f64;
    let spread: f64 = b.iter().map(|&b| (f64::from(b) - mean).powi(2)).sum();
    (a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / spread).sqrt()
}

#[test]
fn logits_are_those_of_the_same_numbers_in_f32() {
    let (cpu, spec) = (Cpu::new(2), spec());
    let ids: Vec<u32> = (0..90).map(|i| i * 37 % 203).collect();
    // q8_0 rounds activations to a 254th of the largest of a block: each product is off by about 0.6%, the logits by 2%
    for (kind, limit) in [(Kind::F32, 1e-5), (Kind::F16, 1e-5), (Kind::Bf16, 1e-5), (Kind::Q8_0, 4e-2)] {
        let (weights, params) = weights(kind, &cpu);
        let mut engine = CpuEngine::new(&cpu, &spec, Shape { rows: 1, seq: 90 }, Options::INFERENCE);
        let all = engine.logits(&params, &ids).unwrap();
        let uncached = |n: usize| &all[(n - 1) * spec.vocab..n * spec.vocab];
        let mut decoder = Decoder::new(&cpu, &spec, &weights, 90);
        for n in 1..=90 {
            let off = relative(decoder.feed(&ids[n - 1..n]).unwrap(), uncached(n));
            assert!(off < limit, "{kind:?}, token by token, after {n}: {off:e}");
        }
        for piece in [90, 33, 7] {
            decoder.clear();
            for (i, ids) in ids.chunks(piece).enumerate() {
                let off = relative(decoder.feed(ids).unwrap(), uncached(i * piece + ids.len()));
                assert!(off < limit, "{kind:?}, in pieces of {piece}, piece {i}: {off:e}");
            }
        }
    }
}

#[test]
fn a_weight_of_another_length_is_refused() {
    let spec = spec();
    let params = vec![0.0; 5];
    assert!(DecodeWeights::borrowed(&spec, &params).is_err());
    let short = DecodeWeights::read::<EngineError>(&spec, |_| Ok(Numbers::Q8_0(Cow::Owned(vec![0; 34]))));
    assert!(short.is_err());
    let vector = DecodeWeights::read::<EngineError>(&spec, |t| Ok(Numbers::F16(Cow::Owned(vec![0; 2 * t.range.len()]))));
    assert!(vector.is_err(), "vectors are f32");
}
