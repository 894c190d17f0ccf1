//! Low-rank adapters beside the weights, against the same adapters merged into them.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{Adapting, Base, Batch, CpuEngine, Engine, Options, Params, Ready, Shape};
use kernels::Cpu;
use model::{AdapterForm, AdapterSpec, AdapterTarget, Family, Half, Layout, ModelSpec, Part, Rope, RopeScaling, TensorId};

const SHAPE: Shape = Shape { rows: 2, seq: 8 };

fn spec() -> ModelSpec {
    ModelSpec {
        family: Family::Qwen3,
        dim: 24,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        hidden: 40,
        vocab: 50,
        context: 32,
        rope: Rope { theta: 1e4, scaling: RopeScaling::None },
        no_rope: Vec::new(),
        norm_eps: 1e-5,
        tied: true,
        qkv_bias: true,
        o_bias: false,
        qk_norm: true,
        window: None,
        residual_scale: 0.7,
    }
}

fn adapter(targets: &[AdapterTarget], norms: bool) -> AdapterSpec {
    AdapterSpec { rank: 3, alpha: 6.0, rank_stabilized: false, targets: targets.to_vec(), norms, form: AdapterForm::Split }
}

/// Values between -a and a that follow no pattern.
fn values(n: usize, a: f32, seed: u64) -> Vec<f32> {
    (0..n as u64).map(|i| a * (((i + 1) * (seed * 2 + 1) * 2_654_435_761 % 10_007) as f32 / 5003.5 - 1.0)).collect()
}

/// The model with the adapter multiplied out.
fn merged(spec: &ModelSpec, plan: &AdapterSpec, base: &[f32], adapter: &[f32]) -> Vec<f32> {
    let (layout, own) = (Layout::of(spec), Layout::of_adapter(spec, plan));
    let mut merged = base.to_vec();
    for t in own.tensors() {
        match t.id {
            TensorId::Adapter(l, part, Half::A) => {
                let b = own.get(TensorId::Adapter(l, part, Half::B)).unwrap();
                let [out, inner] = layout.get(TensorId::Layer(l, part)).unwrap().shape;
                let w = &mut merged[layout.part(l, part)];
                for (o, i) in (0..out).flat_map(|o| (0..inner).map(move |i| (o, i))) {
                    let sum: f32 = (0..plan.rank)
                        .map(|r| adapter[b.range.start + o * plan.rank + r] * adapter[t.range.start + r * inner + i])
                        .sum();
                    w[o * inner + i] += plan.scale() * sum;
                }
            }
            TensorId::Adapter(..) => {}
            id => merged[layout.range(id)].copy_from_slice(&adapter[t.range.clone()]),
        }
    }
    merged
}

struct Case {
    spec: ModelSpec,
    plan: AdapterSpec,
    base: Vec<f32>,
    adapter: Vec<f32>,
}

impl Case {
    fn new(targets: &[AdapterTarget], norms: bool) -> Case {
        let (spec, plan) = (spec(), adapter(targets, norms));
        let layout = Layout::of_adapter(&spec, &plan);
        let base = values(Layout::of(&spec).len(), 0.2, 1);
        let mut values = values(layout.len(), 0.2, 2);
        for t in layout.tensors().iter().filter(|t| t.shape[0] == 1 && !matches!(t.id, TensorId::Adapter(..))) {
            values[t.range.clone()].iter_mut().for_each(|gain| *gain += 1.0);
        }
        Case { base, adapter: values, spec, plan }
    }
}

fn tokens() -> (Vec<u32>, Vec<u32>) {
    ((0..16).map(|i| i * 7 % 50).collect(), (1..17).map(|i| i * 7 % 50).collect())
}

fn close(a: &[f32], b: &[f32], what: &str) {
    let largest = b.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= 2e-5 * largest, "{what}[{i}]: {a}, expected {b}");
    }
}

#[test]
fn beside_the_weights_or_merged_into_them_is_the_same_loss_and_gradient() {
    let cpu = Cpu::new(2);
    let (inputs, targets) = tokens();
    let batch = Batch { rows: 2, seq: 8, inputs: &inputs, targets: &targets, starts: None };
    let some = [AdapterTarget::QProj, AdapterTarget::VProj, AdapterTarget::DownProj];
    for (case, recompute) in [(Case::new(&AdapterTarget::ALL, true), false), (Case::new(&some, false), true)] {
        let whole = merged(&case.spec, &case.plan, &case.base, &case.adapter);
        let mut dense = CpuEngine::new(&cpu, &case.spec, SHAPE, Options::TRAINING);
        let mut dw = vec![0.0; whole.len()];
        let expected = dense.loss_and_grad(&whole, &batch, &mut dw, false).unwrap();
        let options = Options { gradient: true, recompute };
        let mut split = CpuEngine::new(&cpu, &case.spec, SHAPE, options).adapted(&case.plan);
        let params = Params { base: Base::Flat(&case.base), adapter: &case.adapter };
        let mut grad = vec![f32::NAN; case.adapter.len()];
        let found = split.loss_and_grad(params, &batch, &mut grad, false).unwrap();
        assert!((found.mean() - expected.mean()).abs() < 1e-5, "{} {}", found.mean(), expected.mean());
        let (layout, own) = (Layout::of(&case.spec), Layout::of_adapter(&case.spec, &case.plan));
        for t in own.tensors() {
            let expected = match t.id {
                TensorId::Adapter(l, part, half) => projected(&case, &dw[layout.part(l, part)], l, part, half),
                id => dw[layout.range(id)].to_vec(),
            };
            close(&grad[t.range.clone()], &expected, &format!("{:?}", t.id));
        }
        let once = grad.clone();
        split.loss_and_grad(params, &batch, &mut grad, true).unwrap();
        let twice: Vec<f32> = once.iter().map(|g| 2.0 * g).collect();
        close(&grad, &twice, "accumulated");
    }
}

/// `dA = s B^T dW`, `dB = s dW A^T`.
fn projected(case: &Case, dw: &[f32], l: usize, part: Part, half: Half) -> Vec<f32> {
    let own = Layout::of_adapter(&case.spec, &case.plan);
    let (a, b) = (own.get(TensorId::Adapter(l, part, Half::A)).unwrap(), own.get(TensorId::Adapter(l, part, Half::B)).unwrap());
    let (rank, inner, out, s) = (case.plan.rank, a.shape[1], b.shape[0], case.plan.scale());
    let at = |o: usize, i: usize| dw[o * inner + i];
    match half {
        Half::A => (0..rank * inner)
            .map(|k| (0..out).map(|o| s * case.adapter[b.range.start + o * rank + k / inner] * at(o, k % inner)).sum())
            .collect(),
        Half::B => (0..out * rank)
            .map(|k| (0..inner).map(|i| s * at(k / rank, i) * case.adapter[a.range.start + k % rank * inner + i]).sum())
            .collect(),
        Half::M => Vec::new(),
    }
}

#[test]
fn the_merged_form_has_the_loss_and_the_gradient_of_the_split_one() {
    let cpu = Cpu::new(2);
    let (inputs, targets) = tokens();
    let batch = Batch { rows: 2, seq: 8, inputs: &inputs, targets: &targets, starts: None };
    let case = Case::new(&AdapterTarget::ALL, true);
    let mut results = Vec::new();
    for form in [AdapterForm::Split, AdapterForm::Merged] {
        let walk = CpuEngine::new(&cpu, &case.spec, SHAPE, Options::TRAINING);
        let mut engine = Adapting::new(walk, Arc::new(case.base.clone()), &AdapterSpec { form, ..case.plan.clone() });
        let mut grad = vec![0.0; case.adapter.len()];
        assert_eq!(engine.refresh(&case.adapter), Ready::Now);
        let loss = engine.loss_and_grad_unless(&case.adapter, &batch, &mut grad, false, &mut || false).unwrap().unwrap();
        assert!((loss.mean() - engine.evaluate(&case.adapter, &batch).unwrap().mean()).abs() < 1e-6);
        results.push((loss.mean(), grad));
    }
    assert!((results[0].0 - results[1].0).abs() < 1e-5);
    for t in Layout::of_adapter(&case.spec, &case.plan).tensors() {
        close(&results[0].1[t.range.clone()], &results[1].1[t.range.clone()], &format!("{:?}", t.id));
    }
}

#[test]
fn a_new_adapter_changes_nothing() {
    let (spec, plan) = (spec(), adapter(&AdapterTarget::ALL, true));
    let (layout, own) = (Layout::of(&spec), Layout::of_adapter(&spec, &plan));
    let base = values(layout.len(), 0.2, 1);
    let new = engine::init_adapter(&own, (&layout, Base::Flat(&base)), 5);
    assert_eq!(merged(&spec, &plan, &base, &new), base);
    assert_ne!(new, engine::init_adapter(&own, (&layout, Base::Flat(&base)), 6));
    let a = own.get(TensorId::Adapter(1, Part::Down, Half::A)).unwrap();
    let bound = 1.0 / 40f32.sqrt();
    assert!(new[a.range.clone()].iter().all(|v| v.abs() <= bound) && new[a.range.clone()].iter().any(|v| v.abs() > bound / 2.0));
}

#[test]
fn an_adapter_of_the_wrong_length_is_refused() {
    let cpu = Cpu::new(1);
    let case = Case::new(&AdapterTarget::ALL, false);
    let (inputs, targets) = tokens();
    let batch = Batch { rows: 2, seq: 8, inputs: &inputs, targets: &targets, starts: None };
    let mut engine = CpuEngine::new(&cpu, &case.spec, SHAPE, Options::INFERENCE).adapted(&case.plan);
    let error = engine.loss(&case.base, &batch).unwrap_err();
    assert!(error.to_string().starts_with("adapter has 0 elements"), "{error}");
}

/// What is computed again in the backward pass is what was there in the forward pass.
#[test]
fn a_sparing_walk_has_every_bit_of_the_loss_and_of_the_gradient() {
    let cpu = Cpu::new(2);
    let (inputs, targets) = tokens();
    let batch = Batch { rows: 2, seq: 8, inputs: &inputs, targets: &targets, starts: None };
    let case = Case::new(&AdapterTarget::ALL, true);
    let params = Params { base: Base::Flat(&case.base), adapter: &case.adapter };
    let [plain, sparing] = [false, true].map(|sparing| {
        let walk = CpuEngine::new(&cpu, &case.spec, SHAPE, Options::TRAINING).adapted(&case.plan);
        let mut walk = if sparing { walk.sparing() } else { walk };
        let mut grad = vec![f32::NAN; case.adapter.len()];
        // twice: the second pass finds the buffers where the first left them
        walk.loss_and_grad(params, &batch, &mut grad, false).unwrap();
        let loss = walk.loss_and_grad(params, &batch, &mut grad, true).unwrap();
        (loss.sum, grad, walk.loss(params, &batch).unwrap().sum)
    });
    assert_eq!(plain, sparing);
}
