//! Claims about gradients.

use engine::{Base, CpuEngine, Options, Params, Shape, Walk};
use model::{AdapterForm, AdapterSpec, AdapterTarget, Half, Layout, TensorId};

use crate::subject::{Golden, SEQ, Tricky, floats};
use crate::tamper::Tampered;
use crate::{Broken, Found, Row, Tamper, World, farthest, within};

pub const CLAIMS: &[Row] = &[
    ("gradients/pytorch", "the gradient of every weight is that of PyTorch", "1e-4 of the largest of its tensor", pytorch),
    (
        "gradients/finite-differences",
        "along random directions of each tensor the loss rises as the gradient says",
        "1e-2",
        differences,
    ),
    ("gradients/recompute", "computing activations again in the backward pass changes nothing", "1e-6", recompute),
    ("gradients/adapter", "an adapter beside the weights is the one multiplied out into them, counted once", "1e-5", adapter),
    ("gradients/adapter-at-start", "a new adapter changes nothing", "none", adapter_at_start),
];

fn shape() -> Shape {
    Shape { rows: 2, seq: SEQ }
}

fn pytorch(world: &World<'_>) -> Found {
    let golden = Golden::open(world)?;
    let batch = golden.batch();
    let mut walk = Walk::with_blocks(world.cpu, &golden.spec, shape(), Options::TRAINING, Tampered(world.tamper));
    let mut grad = vec![0.0; golden.layout.len()];
    let loss = walk.loss_and_grad(&golden.params, &batch, &mut grad, false).map_err(Broken::of)?;
    grad.iter_mut().for_each(|g| *g /= loss.tokens as f32);
    let mut worst = (0f64, String::new());
    for t in golden.layout.tensors() {
        let name = formats::names::hf(t.id);
        let expected = floats(&format!("grad.{name}"))?;
        let largest = expected.iter().fold(f32::MIN_POSITIVE, |m, g| m.max(g.abs()));
        let off = farthest(&grad[t.range.clone()], &expected) / f64::from(largest);
        if off > worst.0 || off.is_nan() {
            worst = (off, name);
        }
    }
    within(worst.0, 1e-4, &format!("worst in {}:", worst.1))
}

fn differences(world: &World<'_>) -> Found {
    let model = Tricky::new();
    let batch = model.batch();
    let mut walk = Walk::with_blocks(world.cpu, &model.spec, shape(), Options::TRAINING, Tampered(world.tamper));
    let mut grad = vec![0.0; model.layout.len()];
    walk.loss_and_grad(&model.params, &batch, &mut grad, false).map_err(Broken::of)?;
    let mut worst = (0f64, String::new());
    for t in model.layout.tensors() {
        // along the gradient itself: the slope is its norm, far above what f32 rounds
        let norm = grad[t.range.clone()].iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
        let eps = 1.5e-3 / norm.max(1e-12);
        let mut at = |sign: f64| {
            let mut moved = model.params.clone();
            for (w, g) in moved[t.range.clone()].iter_mut().zip(&grad[t.range.clone()]) {
                *w += (sign * eps * f64::from(*g)) as f32;
            }
            walk.loss(&moved, &batch).map_err(Broken::of)
        };
        let slope = (at(1.0)?.sum - at(-1.0)?.sum) / (2.0 * eps * norm * norm);
        if (slope - 1.0).abs() > worst.0 || slope.is_nan() {
            worst = ((slope - 1.0).abs(), formats::names::hf(t.id));
        }
    }
    within(worst.0, 1e-2, &format!("worst in {}:", worst.1))
}

fn recompute(world: &World<'_>) -> Found {
    let model = Tricky::new();
    let mut grads = Vec::new();
    for recompute in [false, true] {
        let blocks = Tampered(world.tamper.filter(|_| recompute));
        let mut engine = Walk::with_blocks(world.cpu, &model.spec, shape(), Options { gradient: true, recompute }, blocks);
        let mut grad = vec![0.0; model.layout.len()];
        engine.loss_and_grad(&model.params, &model.batch(), &mut grad, false).map_err(Broken::of)?;
        grads.push(grad);
    }
    within(farthest(&grads[0], &grads[1]), 1e-6, "off by")
}

fn plan() -> AdapterSpec {
    let targets = AdapterTarget::parse_list("all").unwrap_or_default();
    AdapterSpec { rank: 4, alpha: 8.0, rank_stabilized: false, targets, norms: false, form: AdapterForm::Split }
}

fn adapter(world: &World<'_>) -> Found {
    let (model, plan) = (Tricky::new(), plan());
    let own = Layout::of_adapter(&model.spec, &plan);
    let mut values = engine::init_adapter(&own, (&model.layout, Base::Flat(&model.params)), 3);
    let b = own.tensors().iter().filter(|t| matches!(t.id, TensorId::Adapter(_, _, Half::B)));
    b.for_each(|t| values[t.range.clone()].iter_mut().enumerate().for_each(|(i, v)| *v = (i % 7) as f32 / 70.0 - 0.04));
    let mut split = CpuEngine::new(world.cpu, &model.spec, shape(), Options::INFERENCE).adapted(&plan);
    let merger = engine::AdapterPlan::new(&model.spec, &plan, 0);
    let mut merged = model.params.clone();
    for t in model.layout.tensors() {
        merger.merge(t, &values, 0..t.shape[0], &mut merged[t.range.clone()]);
    }
    let base = if world.broken(Tamper::Twice) { &merged } else { &model.params };
    let params = Params { base: Base::Flat(base), adapter: &values };
    let beside = split.loss(params, &model.batch()).map_err(Broken::of)?.mean();
    let mut engine = CpuEngine::new(world.cpu, &model.spec, shape(), Options::INFERENCE);
    let [merged, plain] = [&merged, &model.params].map(|p| engine.loss(p, &model.batch()).map(|l| l.mean()));
    let (merged, plain) = (merged.map_err(Broken::of)?, plain.map_err(Broken::of)?);
    let moved = (merged - plain).abs();
    within((beside - merged).abs(), 1e-5, &format!("it moves the loss by {moved:.3}; off by"))
}

fn adapter_at_start(world: &World<'_>) -> Found {
    let (model, plan) = (Tricky::new(), plan());
    let own = Layout::of_adapter(&model.spec, &plan);
    let mut values = engine::init_adapter(&own, (&model.layout, Base::Flat(&model.params)), 3);
    if world.broken(Tamper::Warm) {
        values.iter_mut().filter(|v| **v == 0.0).for_each(|v| *v = 0.01);
    }
    let mut split = CpuEngine::new(world.cpu, &model.spec, shape(), Options::INFERENCE).adapted(&plan);
    let params = Params { base: Base::Flat(&model.params), adapter: &values };
    let beside = split.loss(params, &model.batch()).map_err(Broken::of)?;
    let mut engine = CpuEngine::new(world.cpu, &model.spec, shape(), Options::INFERENCE);
    let plain = engine.loss(&model.params, &model.batch()).map_err(Broken::of)?;
    crate::so(beside.sum.to_bits() == plain.sum.to_bits(), format!("loss {:.6}", plain.mean()))
}
