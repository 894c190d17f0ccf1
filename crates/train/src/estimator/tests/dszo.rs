//! Every block by a loss of its own.

use std::sync::Arc;

use engine::{Adapting, Base, Engine, LossSum, Params};
use model::{AdapterForm, AdapterSpec, AdapterTarget, TensorId};

use super::*;

struct Deep {
    cpu: Cpu,
    spec: ModelSpec,
    plan: AdapterSpec,
    own: Layout,
    base: Arc<Vec<f32>>,
    adapter: Vec<f32>,
}

impl Deep {
    fn new() -> Deep {
        let cpu = Cpu::new(1);
        let small = model::preset("stories-1m").unwrap().spec;
        let spec = ModelSpec { dim: 8, layers: 2, heads: 1, kv_heads: 1, head_dim: 4, hidden: 5, vocab: 9, ..small };
        let targets = AdapterTarget::parse_list("q_proj,v_proj,down_proj").unwrap();
        let plan = AdapterSpec { rank: 2, alpha: 2.0, rank_stabilized: false, targets, norms: true, form: AdapterForm::Split };
        let (layout, own) = (Layout::of(&spec), Layout::of_adapter(&spec, &plan));
        let base: Vec<f32> = engine::init(&spec, &layout, 3).iter().map(|w| w * 4.0).collect();
        let mut adapter = engine::init_adapter(&own, (&layout, Base::Flat(&base)), 4);
        adapter.iter_mut().enumerate().for_each(|(i, w)| *w += ((i * 7919) % 101) as f32 / 100.0 - 0.5);
        Deep { cpu, spec, plan, own, base: Arc::new(base), adapter }
    }

    /// The gradient of the loss of the model that ends after `layers` blocks, where the whole one has these weights.
    fn gradient(&self, layers: usize) -> Vec<f32> {
        let spec = ModelSpec { layers, ..self.spec.clone() };
        let own = Layout::of_adapter(&spec, &self.plan);
        let part = |whole: &Layout, part: &Layout, values: &[f32]| -> Vec<f32> {
            part.tensors().iter().flat_map(|t| values[whole.range(t.id)].to_vec()).collect()
        };
        let base = part(&Layout::of(&self.spec), &Layout::of(&spec), &self.base);
        let adapter = part(&self.own, &own, &self.adapter);
        let walk = CpuEngine::new(&self.cpu, &spec, Shape { rows: 1, seq: 6 }, Options::TRAINING);
        let (mut walk, mut grad) = (walk.adapted(&self.plan), vec![0.0; own.len()]);
        let params = Params { base: Base::Flat(&base), adapter: &adapter };
        let loss = walk.loss_and_grad(params, &batch(), &mut grad, false).unwrap();
        let mut gradient = vec![0.0; self.own.len()];
        for t in own.tensors() {
            let to = &mut gradient[self.own.range(t.id)];
            to.iter_mut().zip(&grad[t.range.clone()]).for_each(|(to, g)| *to = g / loss.tokens as f32);
        }
        gradient
    }

    fn estimate(&self, engine: &mut dyn Engine, estimator: &mut dyn Estimator, step: u64) {
        estimator.begin(&self.cpu, step, &self.adapter);
        let probes: Vec<_> = (0..estimator.probes()).map(|i| estimator.probe(i)).collect();
        let mut losses = vec![[LossSum::default(); 2]; probes.len() * self.spec.layers];
        engine.losses_by_depth(&self.cpu, &self.adapter, &batch(), &probes, &mut losses, &mut || false).unwrap();
        let depths: Vec<[f64; 2]> = losses.iter().map(|pair| pair.map(LossSum::mean)).collect();
        estimator.conclude(&Measured { base: f64::NAN, pairs: &[], depths: &depths }, &self.adapter);
    }
}

/// A model of two blocks: the first is credited by the loss of the model that ends after it, the second by the model's.
#[test]
fn the_mean_of_dszo_is_the_gradient_of_the_loss_after_each_block() {
    let deep = Deep::new();
    let [first, whole] = [deep.gradient(1), deep.gradient(2)];
    let mut want = whole.clone();
    for t in deep.own.tensors() {
        if matches!(t.id, TensorId::Adapter(0, ..) | TensorId::Layer(0, _)) {
            want[t.range.clone()].copy_from_slice(&first[t.range.clone()]);
        }
    }
    let walk = CpuEngine::new(&deep.cpu, &deep.spec, Shape { rows: 1, seq: 6 }, Options::INFERENCE);
    let mut engine = Adapting::new(walk, deep.base.clone(), &deep.plan);
    let mut dszo = Dszo::new(Line { directions: 4, ..line(Distribution::Rademacher) }, &deep.own, 2);
    let (mut mean, count) = (vec![0.0; deep.own.len()], 2_500);
    for step in 1..=count {
        deep.estimate(&mut engine, &mut dszo, step);
        Gradient::Along { terms: &dszo.terms(), scale: 1.0 }.tiles(0, &deep.adapter, |at, g| {
            mean[at..].iter_mut().zip(g).for_each(|(s, g)| *s += f64::from(*g) / count as f64);
        });
    }
    agrees("dszo", &mean, &want, 0.3);
    // which is not the gradient of the model's loss
    let (_, apart) = against(&mean, &whole);
    assert!(apart > 0.5, "{apart}");
}

#[test]
fn its_slopes_make_the_step_again() {
    let deep = Deep::new();
    let walk = CpuEngine::new(&deep.cpu, &deep.spec, Shape { rows: 1, seq: 6 }, Options::INFERENCE);
    let mut engine = Adapting::new(walk, deep.base.clone(), &deep.plan);
    let make = || Dszo::new(Line { directions: 3, ..line(Distribution::Gaussian) }, &deep.own, 2);
    let (mut a, mut b) = (make(), make());
    deep.estimate(&mut engine, &mut a, 5);
    b.begin(&deep.cpu, 5, &deep.adapter);
    assert!(!b.recall(&a.decided()[1..]) && b.recall(&a.decided()));
    let read = |estimator: &Dszo, first: usize| {
        let mut values = vec![0.0f32; deep.own.len() - first];
        let terms = estimator.terms();
        Gradient::Along { terms: &terms, scale: 1.0 }
            .tiles(first, &deep.adapter[first..], |at, g| values[at..at + g.len()].copy_from_slice(g));
        values
    };
    assert_eq!(read(&a, 0), read(&b, 0));
    assert_eq!(read(&a, 0)[77..], read(&b, 77), "from anywhere");
    let length = read(&a, 0).iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    // exact for signs, and here for normals within some part
    assert!((a.norm(0) / length - 1.0).abs() < 0.4, "{} {length}", a.norm(0));
}

#[test]
fn equal_losses_of_a_block_leave_every_bit_of_it() {
    let deep = Deep::new();
    let mut dszo = Dszo::new(line(Distribution::Rademacher), &deep.own, 2);
    dszo.begin(&deep.cpu, 1, &deep.adapter);
    dszo.conclude(&Measured { base: f64::NAN, pairs: &[[1.5, 1.25]], depths: &[[2.0, 2.0], [1.5, 1.25]] }, &deep.adapter);
    let mut params = deep.adapter.clone();
    let mut sgd = Optimizer::new(OptimizerConfig::Sgd { momentum: 0.0 }, &deep.own, 0.0);
    sgd.step(&deep.cpu, &mut params, &Gradient::Along { terms: &dszo.terms(), scale: 1.0 }, 0.1);
    for t in deep.own.tensors() {
        let own = t.range.clone();
        let same = params[own.clone()].iter().zip(&deep.adapter[own]).all(|(a, b)| a.to_bits() == b.to_bits());
        let of_first = matches!(t.id, TensorId::Adapter(0, ..) | TensorId::Layer(0, _));
        assert_eq!(same, of_first, "{:?}: the gain before the classifier is credited by the last block", t.id);
    }
}
