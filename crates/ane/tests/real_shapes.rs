//! Every pipeline on the shapes of published models beside the CPU: logits, loss and the gradient of every weight.
#![allow(clippy::unwrap_used)]

use ane::sim::Simulator;
use ane::{DeviceEngine, KernelForm, Pipeline, PipelineOptions};
use engine::{Batch, CpuEngine, Engine, Options, Ready, Shape};
use kernels::Cpu;
use model::{Layout, ModelSpec};

const SHAPE: Shape = Shape { rows: 1, seq: 128 };

/// A preset over few ids: the classifier would take most of the time, and is the CPU's in all pipelines but one.
fn preset(name: &str, layers: usize) -> ModelSpec {
    ModelSpec { layers, ..model::preset(name).unwrap().spec.with_vocab(512) }
}

/// Root mean square of the difference, over that of `b`.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let square = |sum: f64, v: f64| sum + v * v;
    let diff = a.iter().zip(b).map(|(a, b)| f64::from(a - b)).fold(0.0, square);
    (diff / b.iter().map(|b| f64::from(*b)).fold(1e-24, square)).sqrt()
}

fn agrees(spec: &ModelSpec) {
    let cpu = Cpu::new(2);
    let layout = Layout::of(spec);
    let params = engine::init(spec, &layout, 7);
    let ids: Vec<u32> = (0..=SHAPE.seq as u32).map(|i| (i * i * 31 + i * 17) % 512).collect();
    let batch = Batch { rows: 1, seq: SHAPE.seq, inputs: &ids[..SHAPE.seq], targets: &ids[1..], starts: None };
    let mut truth = CpuEngine::new(&cpu, spec, SHAPE, Options::TRAINING);
    let mut expected = vec![0.0; layout.len()];
    let loss = truth.loss_and_grad(&params, &batch, &mut expected, false).unwrap().mean();
    let logits = truth.logits(&params, batch.inputs).unwrap();
    for (pipeline, kernels) in Pipeline::ALL.into_iter().flat_map(|p| [(p, KernelForm::Fused), (p, KernelForm::Original)]) {
        let options = PipelineOptions { kernels, ..PipelineOptions::of(pipeline) };
        let device = Simulator::new("m4".parse().unwrap(), 2);
        let mut engine = DeviceEngine::new(&cpu, spec, SHAPE, Options::TRAINING, device, options);
        assert_eq!(engine.refresh(&params), Ready::Now);
        let mut grad = vec![0.0; layout.len()];
        let found = engine.walk_mut().loss_and_grad(&params, &batch, &mut grad, false).unwrap().mean();
        let off = relative(&engine.walk_mut().logits(&params, batch.inputs).unwrap(), &logits);
        assert_eq!(engine.notes(), Vec::<String>::new(), "{options:?}");
        assert!((found - loss).abs() < 2e-3 && off < 5e-3, "{options:?}: loss {found}, {loss} on the CPU; logits off by {off}");
        for t in layout.tensors() {
            let error = relative(&grad[t.range.clone()], &expected[t.range.clone()]);
            assert!(error < 1e-2, "{pipeline} {kernels:?}: gradient of {:?} off by {error}", t.id);
        }
    }
}

#[test]
fn the_shape_of_stories_36m() {
    agrees(&preset("stories-36m", 4));
}

#[test]
fn two_layers_of_the_shape_of_stories110m() {
    agrees(&preset("stories110m", 2));
}

#[test]
fn two_layers_of_the_shape_of_smollm2_135m() {
    agrees(&preset("smollm2-135m", 2));
}
