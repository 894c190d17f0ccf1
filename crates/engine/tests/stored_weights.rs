//! Weights as they are stored: the logits of the same numbers in f32, token by token and in one piece, and adapters on them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{
    AdapterPlan, Adapting, Base, BaseWeights, Batch, CpuEngine, DecodeWeights, Decoder, Engine, EngineError, Frozen, Options,
    Shape, init, init_adapter,
};
use kernels::Cpu;
use kernels::stored::{Coded, Elements, Held, Matrix, Numbers};
use model::{AdapterForm, AdapterSpec, AdapterTarget, Family, Layout, ModelSpec, Part, Role, Rope, SlidingWindow, TensorId};

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
    Coded,
}

/// Blocks of 32: bytes that mean 1024ths.
const CODED: Coded = Coded { weights: 32, bytes: 32, decode };

fn decode(bytes: &[u8], out: &mut [f32]) {
    out.iter_mut().zip(bytes).for_each(|(o, q)| *o = f32::from(*q as i8) / 1024.0);
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
        Kind::F32 => Numbers::F32(Held::Owned(floats.to_vec())),
        Kind::F16 => Numbers::F16(Held::Owned(floats.iter().flat_map(f16).collect())),
        Kind::Bf16 => Numbers::Bf16(Held::Owned(floats.iter().flat_map(bf16).collect())),
        Kind::Q8_0 => Numbers::Q8_0(Held::Owned(floats.chunks(32).flat_map(q8_0).collect())),
        Kind::Coded => Numbers::Coded(CODED, floats.iter().map(|f| (f * 1024.0).round() as i8 as u8).collect::<Vec<u8>>().into()),
    }
}

/// The weights in a type, and the f32 parameters that they mean.
fn weights(kind: Kind, cpu: &Cpu) -> (DecodeWeights<'static>, Vec<f32>) {
    let (spec, layout) = (spec(), Layout::of(&spec()));
    let mut params = init(&spec, &layout, 5);
    let original: Vec<f32> = params.iter().map(|f| f.clamp(-0.12, 0.12)).collect();
    let weights = DecodeWeights::read::<EngineError>(&spec, |t| {
        if matches!(t.role, Role::Norm | Role::Bias) {
            return Ok(Numbers::F32(Held::Owned(params[t.range.clone()].to_vec())));
        }
        let numbers = stored(kind, &original[t.range.clone()]);
        let elements = match &numbers {
            Numbers::F32(n) => Elements::F32(n),
            Numbers::F16(n) => Elements::F16(n),
            Numbers::Bf16(n) => Elements::Bf16(n),
            Numbers::Q8_0(n) => Elements::Q8_0(n),
            Numbers::Coded(coded, n) => Elements::Coded(*coded, n),
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
    for (kind, limit) in [(Kind::F32, 1e-5), (Kind::F16, 1e-5), (Kind::Bf16, 1e-5), (Kind::Q8_0, 4e-2), (Kind::Coded, 1e-5)] {
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
    let short = DecodeWeights::read::<EngineError>(&spec, |_| Ok(Numbers::Q8_0(Held::Owned(vec![0; 34]))));
    assert!(short.is_err());
    let vector = DecodeWeights::read::<EngineError>(&spec, |t| Ok(Numbers::F16(Held::Owned(vec![0; 2 * t.range.len()]))));
    assert!(vector.is_err(), "vectors are f32");
}

/// A frozen base is decoded where it is used: losses and gradients of an adapter on it are those on the same numbers in f32.
#[test]
fn an_adapter_on_a_base_as_it_is_stored_learns_what_it_learns_on_f32() {
    let (cpu, spec, layout) = (Cpu::new(2), spec(), Layout::of(&spec()));
    let targets = AdapterTarget::parse_list("all").unwrap();
    let plan = AdapterSpec { rank: 4, alpha: 8.0, rank_stabilized: false, targets, norms: true, form: AdapterForm::Split };
    let own = Layout::of_adapter(&spec, &plan);
    let ids: Vec<u32> = (0..61).map(|i| i * 37 % 203).collect();
    let batch = Batch { rows: 2, seq: 30, inputs: &ids[..60], targets: &ids[1..], starts: None };
    for kind in [Kind::F32, Kind::F16, Kind::Bf16, Kind::Q8_0, Kind::Coded] {
        let (_, params) = weights(kind, &cpu);
        let frozen = Frozen::read::<EngineError>(&layout, |t| {
            let vector = matches!(t.role, Role::Norm | Role::Bias);
            Ok(stored(if vector { Kind::F32 } else { kind }, &params[t.range.clone()]))
        });
        let stored = BaseWeights::Stored(Arc::new(frozen.unwrap()));
        let mut adapter = init_adapter(&own, (&layout, stored.as_base()), 3);
        assert_eq!(adapter, init_adapter(&own, (&layout, Base::Flat(&params)), 3));
        adapter.iter_mut().enumerate().for_each(|(i, a)| *a += (i % 13) as f32 / 130.0 - 0.05);
        for recompute in [false, true] {
            let found = [stored.clone(), Arc::new(params.clone()).into()].map(|base: BaseWeights| {
                let options = Options { gradient: true, recompute };
                let walk = CpuEngine::new(&cpu, &spec, Shape { rows: 2, seq: 30 }, options);
                let (mut engine, mut grad) = (Adapting::new(walk, base, &plan), vec![0.0; own.len()]);
                let loss = engine.loss_and_grad_unless(&adapter, &batch, &mut grad, false, &mut || false).unwrap().unwrap();
                (loss.mean(), grad)
            });
            let [(loss, grad), (expected, truth)] = found;
            assert!((loss - expected).abs() < 1e-5, "{kind:?}: {loss} {expected}");
            assert!(relative(&grad, &truth) < 1e-4, "{kind:?}: {}", relative(&grad, &truth));
        }
        let t = layout.get(TensorId::Layer(1, Part::K)).unwrap();
        let mut rows = vec![0.0; 3 * t.shape[1]];
        stored.rows(&cpu, t, 2..5, &mut rows);
        assert_eq!(rows, params[t.range.start + 2 * t.shape[1]..t.range.start + 5 * t.shape[1]]);
    }
}

/// Text from an adapter that is being trained: what decoding reads is the base as it lies, with the adapter beside it.
#[test]
fn decoding_beside_the_base_is_decoding_what_was_merged() {
    let (cpu, spec, layout) = (Cpu::new(2), spec(), Layout::of(&spec()));
    let targets = AdapterTarget::parse_list("all").unwrap();
    for norms in [false, true] {
        let plan = AdapterSpec {
            rank: 4,
            alpha: 8.0,
            rank_stabilized: false,
            targets: targets.clone(),
            norms,
            form: AdapterForm::Split,
        };
        let plan = AdapterPlan::new(&spec, &plan, 0);
        let (_, params) = weights(Kind::Bf16, &cpu);
        let mut values = init_adapter(plan.layout(), (&layout, Base::Flat(&params)), 3);
        values.iter_mut().enumerate().for_each(|(i, a)| *a += (i % 13) as f32 / 130.0 - 0.05);
        let mut merged = params.clone();
        layout.tensors().iter().for_each(|t| plan.merge(t, &values, 0..t.shape[0], &mut merged[t.range.clone()]));
        let beside = DecodeWeights::read::<EngineError>(&spec, |t| {
            let own = plan.layout().get(t.id).map_or(&params[t.range.clone()], |own| &values[own.range.clone()]);
            Ok(Numbers::F32(own.into()))
        });
        let (beside, whole) = (beside.unwrap().adapted(&plan, &values), DecodeWeights::borrowed(&spec, &merged).unwrap());
        let (mut a, mut b) = (Decoder::new(&cpu, &spec, &beside, 40), Decoder::new(&cpu, &spec, &whole, 40));
        let ids: Vec<u32> = (0..30).map(|i| i * 37 % 203).collect();
        for part in [&ids[..20], &ids[20..21], &ids[21..]] {
            let off = relative(a.feed(part).unwrap(), b.feed(part).unwrap());
            assert!(off < 1e-5, "norms {norms}, {} tokens: {off:e}", part.len());
        }
    }
}
