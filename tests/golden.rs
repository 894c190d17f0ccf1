//! The CPU engine against figures from PyTorch, for every family: logits, loss, every gradient, 20 AdamW steps.
//! How the figures were made, and how far f32 arithmetic moves them, stands in `golden/README.md`.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use engine::{Batch, CpuEngine, Options, Shape};
use kernels::Cpu;
use model::{Layout, ModelSpec};
use safetensors::SafeTensors;
use train::gradient::{Gradient, clip_factor, global_norm};
use train::optimizer::{AdamWConfig, Optimizer, OptimizerConfig};

const MODELS: [&str; 14] = [
    "llama-tied-gqa",
    "llama-untied-mha",
    "llama-bias",
    "llama-linear-rope",
    "llama3-rope",
    "llama-headdim",
    "mistral-window",
    "qwen2",
    "qwen2-window",
    "qwen3",
    "llama-yarn",
    "qwen2-yarn",
    "smollm3",
    "smollm3-yarn",
];

/// Those with a window far beyond the length that their rope was made for.
const LONG: [&str; 5] = ["llama-linear-rope", "llama3-rope", "llama-yarn", "qwen2-yarn", "smollm3-yarn"];

fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

struct Golden {
    name: &'static str,
    spec: ModelSpec,
    layout: Layout,
    params: Vec<f32>,
    file: Vec<u8>,
}

impl Golden {
    fn open(name: &'static str) -> Golden {
        let model = formats::hf::open(&dir(name)).unwrap();
        let layout = Layout::of(model.spec());
        let params = model.load(&layout).unwrap();
        let file = std::fs::read(dir(name).join("expected.safetensors")).unwrap();
        Golden { name, spec: model.spec().clone(), layout, params, file }
    }

    fn floats(&self, tensor: &str) -> Vec<f32> {
        floats(&self.file, tensor)
    }

    fn ids(&self, tensor: &str) -> Vec<u32> {
        self.floats(tensor).iter().map(|f| f.to_bits()).collect()
    }

    /// The figures `prefix.NAME` of every weight, as one flat array.
    fn flat(&self, prefix: &str) -> Vec<f32> {
        let mut flat = vec![f32::NAN; self.layout.len()];
        for t in self.layout.tensors() {
            let name = format!("{prefix}.{}", formats::names::hf(t.id));
            flat[t.range.clone()].copy_from_slice(&self.floats(&name));
        }
        flat
    }

    fn engine<'a>(&self, cpu: &'a Cpu, recompute: bool) -> CpuEngine<'a> {
        CpuEngine::new(cpu, &self.spec, Shape { rows: 2, seq: 32 }, Options { gradient: true, recompute })
    }
}

fn floats(file: &[u8], tensor: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(file).unwrap();
    let data = file.tensor(tensor).unwrap().data().to_vec();
    data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn deviation(values: &[f32]) -> f32 {
    let mean = values.iter().sum::<f32>() / values.len() as f32;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32).sqrt()
}

fn batch<'a>(inputs: &'a [u32], targets: &'a [u32]) -> Batch<'a> {
    Batch { rows: 2, seq: 32, inputs, targets, starts: None }
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |m, d| if d > m || d.is_nan() { d } else { m })
}

#[test]
fn logits_and_loss() {
    let cpu = Cpu::new(2);
    for name in MODELS {
        let g = Golden::open(name);
        let (tokens, targets) = (g.ids("tokens"), g.ids("targets"));
        let mut engine = g.engine(&cpu, false);
        let loss = engine.loss(&g.params, &batch(&tokens, &targets)).unwrap().mean();
        let expected = f64::from(g.floats("loss")[0]);
        assert!((loss - expected).abs() < 1e-5 * expected, "{name}: loss {loss}, PyTorch {expected}");
        let logits: Vec<f32> = tokens.chunks(32).flat_map(|t| engine.logits(&g.params, t).unwrap()).collect();
        let off = farthest(&logits, &g.floats("logits"));
        assert!(off < 6e-5, "{name}: logits differ by {off}");
    }
}

/// What an importer might drop: each of these moves the logits a hundred times further than the test above allows.
#[test]
fn nothing_of_a_released_model_can_be_left_out() {
    use model::{Part, TensorId};
    let cpu = Cpu::new(2);
    let (no_change, keep) = (|_: &mut ModelSpec| (), |_: &Layout, _: &mut [f32]| ());
    let fill = |role: fn(TensorId) -> bool, value: f32| {
        move |layout: &Layout, params: &mut [f32]| {
            let found: Vec<_> = layout.tensors().iter().filter(|t| role(t.id)).collect();
            assert!(!found.is_empty());
            found.iter().for_each(|t| params[t.range.clone()].fill(value));
        }
    };
    let is_bias = |id| matches!(id, TensorId::Layer(_, Part::QBias | Part::KBias | Part::VBias | Part::OBias));
    let is_head_norm = |id| matches!(id, TensorId::Layer(_, Part::QNorm | Part::KNorm));
    let tie = |layout: &Layout, params: &mut [f32]| {
        params.copy_within(layout.range(TensorId::Embed), layout.range(TensorId::Head).start)
    };
    type Change<'a> = (&'static str, &'a dyn Fn(&mut ModelSpec), &'a dyn Fn(&Layout, &mut [f32]));
    let (biases, norms) = (fill(is_bias, 0.0), fill(is_head_norm, 1.0));
    let changes: [Change; 9] = [
        ("llama-bias", &no_change, &biases),
        ("qwen2", &no_change, &biases),
        ("qwen3", &no_change, &norms),
        ("llama-untied-mha", &no_change, &tie),
        ("llama-bias", &|s| s.norm_eps = 1e-5, &keep),
        ("qwen3", &|s| s.rope.theta = 1e4, &keep),
        ("smollm3", &|s| s.no_rope.clear(), &keep),
        ("llama-yarn", &|s| s.rope = model::Rope::plain(s.rope.theta), &keep),
        ("mistral-window", &|s| s.window = None, &keep),
    ];
    for (name, spec, weights) in changes {
        let mut g = Golden::open(name);
        spec(&mut g.spec);
        weights(&g.layout, &mut g.params);
        let mut engine = g.engine(&cpu, false);
        let logits: Vec<f32> = g.ids("tokens").chunks(32).flat_map(|t| engine.logits(&g.params, t).unwrap()).collect();
        let off = farthest(&logits, &g.floats("logits"));
        assert!(off > 6e-3, "{name}: logits differ by {off} only");
    }
}

#[test]
fn cached_decoding_gives_the_same_logits() {
    let cpu = Cpu::new(2);
    for name in MODELS {
        let g = Golden::open(name);
        let (tokens, expected) = (g.ids("tokens"), g.floats("logits"));
        let vocab = g.spec.vocab;
        let weights = engine::DecodeWeights::borrowed(&g.spec, &g.params).unwrap();
        let mut decoder = engine::Decoder::new(&cpu, &g.spec, &weights, 32);
        for (fed, piece) in [(0, 5), (5, 1), (6, 19), (25, 1), (26, 6)] {
            let logits = decoder.feed(&tokens[fed..fed + piece]).unwrap();
            let at = fed + piece - 1;
            let off = farthest(logits, &expected[at * vocab..(at + 1) * vocab]);
            assert!(off < 6e-5, "{name}: logits after {} tokens differ by {off}", at + 1);
        }
    }
}

/// A published generator took theta and the residual scale by hand, and computed everything again for each token.
#[test]
fn decoding_takes_theta_and_scale_from_the_model_and_keeps_what_it_computed() {
    let cpu = Cpu::new(2);
    let g = Golden::open("llama-tied-gqa");
    let (tokens, vocab) = (g.ids("tokens"), g.spec.vocab);
    let decoded = |spec: &ModelSpec| {
        let weights = engine::DecodeWeights::borrowed(spec, &g.params).unwrap();
        let mut decoder = engine::Decoder::new(&cpu, spec, &weights, 32);
        tokens[..32].iter().flat_map(|t| decoder.feed(&[*t]).unwrap().to_vec()).collect::<Vec<f32>>()
    };
    let whole = |spec: &ModelSpec| {
        let mut engine = CpuEngine::new(&cpu, spec, Shape { rows: 1, seq: 32 }, Options::INFERENCE);
        engine.logits(&g.params, &tokens[..32]).unwrap()
    };
    let mut scaled = g.spec.clone();
    scaled.residual_scale = 0.25;
    let mut turned = g.spec.clone();
    turned.rope.theta *= 10.0;
    for spec in [&g.spec, &scaled, &turned] {
        // one token at a time, nothing fed twice: the cache has the rest
        assert!(farthest(&decoded(spec), &whole(spec)) < 6e-5);
    }
    assert_eq!(decoded(&g.spec).len(), 32 * vocab);
    for other in [&scaled, &turned] {
        let off = farthest(&decoded(other), &g.floats("logits")[..32 * vocab]);
        assert!(off > 6e-3, "what another model computes would pass: {off}");
    }
}

#[test]
fn logits_far_beyond_the_length_of_pre_training() {
    let cpu = Cpu::new(2);
    for name in LONG {
        let g = Golden::open(name);
        let file = std::fs::read(dir(name).join("long.safetensors")).unwrap();
        let tokens: Vec<u32> = floats(&file, "tokens").iter().map(|f| f.to_bits()).collect();
        let (expected, vocab) = (floats(&file, "logits"), g.spec.vocab);
        // transformers and this engine compute in f32, and what remains is rounding
        let allowed = 2e-4 * deviation(&expected);
        let shape = Shape { rows: 1, seq: tokens.len() };
        let all = CpuEngine::new(&cpu, &g.spec, shape, Options::INFERENCE).logits(&g.params, &tokens).unwrap();
        let off = farthest(&all[all.len() - expected.len()..], &expected);
        assert!(off < allowed, "{name}: logits differ by {off}, allowed {allowed}");
        let weights = engine::DecodeWeights::borrowed(&g.spec, &g.params).unwrap();
        let mut decoder = engine::Decoder::new(&cpu, &g.spec, &weights, tokens.len());
        let last = decoder.feed(&tokens).unwrap();
        let off = farthest(last, &expected[expected.len() - vocab..]);
        assert!(off < allowed, "{name}: decoded logits differ by {off}, allowed {allowed}");
        println!("{name}: off by {off:e}, allowed {allowed:e}");
    }
}

fn check_gradients(g: &Golden, grad: &[f32], tokens: usize) {
    let expected = g.flat("grad");
    for t in g.layout.tensors() {
        let mean: Vec<f32> = grad[t.range.clone()].iter().map(|x| x / tokens as f32).collect();
        let expected = &expected[t.range.clone()];
        let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let off = farthest(&mean, expected);
        assert!(off <= 2.2e-5 * largest.max(1e-3), "{}: gradient of {:?} off by {off} of {largest}", g.name, t.id);
    }
}

#[test]
fn every_gradient() {
    let cpu = Cpu::new(2);
    for name in MODELS {
        let g = Golden::open(name);
        let (tokens, targets) = (g.ids("tokens"), g.ids("targets"));
        for recompute in [false, true] {
            let mut engine = g.engine(&cpu, recompute);
            let mut grad = vec![f32::NAN; g.layout.len()];
            let loss = engine.loss_and_grad(&g.params, &batch(&tokens, &targets), &mut grad, false).unwrap();
            check_gradients(&g, &grad, loss.tokens);
        }
    }
}

#[test]
fn gradients_accumulate_over_parts_of_a_batch() {
    let cpu = Cpu::new(2);
    for name in MODELS {
        let g = Golden::open(name);
        let (tokens, targets) = (g.ids("tokens"), g.ids("targets"));
        let mut engine = g.engine(&cpu, false);
        let mut grad = vec![f32::NAN; g.layout.len()];
        for row in 0..2 {
            let part = row * 32..(row + 1) * 32;
            let batch = Batch { rows: 1, seq: 32, inputs: &tokens[part.clone()], targets: &targets[part], starts: None };
            engine.loss_and_grad(&g.params, &batch, &mut grad, row > 0).unwrap();
        }
        check_gradients(&g, &grad, 64);
    }
}

#[test]
fn twenty_adamw_steps() {
    let cpu = Cpu::new(2);
    for name in MODELS {
        let g = Golden::open(name);
        let (inputs, targets) = (g.ids("batches"), g.ids("batch_targets"));
        let (losses, norms, clip) = (g.floats("losses20"), g.floats("grad_norms20"), g.floats("clip_norm")[0]);
        let config = OptimizerConfig::AdamW(AdamWConfig { beta1: 0.9, beta2: 0.95, eps: 1e-8 });
        let mut optimizer = Optimizer::new(config, &g.layout, 0.1);
        let (mut engine, mut params) = (g.engine(&cpu, false), g.params.clone());
        let mut grad = vec![0.0; g.layout.len()];
        for step in 0..20 {
            let part = step * 64..(step + 1) * 64;
            let batch = batch(&inputs[part.clone()], &targets[part]);
            let loss = engine.loss_and_grad(&params, &batch, &mut grad, false).unwrap();
            let expected = f64::from(losses[step]);
            assert!((loss.mean() - expected).abs() < 1e-5 * expected, "{name}: loss {step}: {}, {expected}", loss.mean());
            let norm = global_norm(&cpu, &grad) / loss.tokens as f64;
            let expected = f64::from(norms[step]);
            assert!((norm - expected).abs() < 3e-5 * expected, "{name}: norm {step}: {norm}, {expected}");
            let scale = clip_factor(norm, f64::from(clip)) / loss.tokens as f64;
            optimizer.step(&cpu, &mut params, &Gradient::Dense { values: &grad, scale: scale as f32 }, 3e-3);
        }
        let off = farthest(&params, &g.flat("final"));
        assert!(off < 1.3e-3, "{name}: weights after 20 steps differ by {off}");
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let g = Golden::open("qwen3");
    let (tokens, targets) = (g.ids("tokens"), g.ids("targets"));
    let run = |threads| {
        let cpu = Cpu::new(threads);
        let mut grad = vec![0.0; g.layout.len()];
        let loss = g.engine(&cpu, false).loss_and_grad(&g.params, &batch(&tokens, &targets), &mut grad, false).unwrap();
        let bits: Vec<u32> = grad.iter().map(|x| x.to_bits()).collect();
        (loss.sum.to_bits(), bits)
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert!(one == run(threads), "{threads} threads");
    }
}
