//! Every kernel of every pipeline on the simulator: compiled, bound, evaluated.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashSet;

use ane::kernels::set;
use ane::kernels::weights::{Model, file};
use ane::{
    BlockShape, Device, Kernel, KernelForm, KernelSpec, Pipeline, PipelineOptions, Profile, Simulator, Source, Surface,
    WeightForm,
};
use half::f16;
use model::{Layout, ModelSpec};

const SEQ: usize = 32;

fn spec() -> ModelSpec {
    let small = model::preset("stories110m").map(|p| p.spec).expect("a preset");
    ModelSpec { dim: 64, layers: 2, heads: 4, kv_heads: 2, head_dim: 16, hidden: 96, vocab: 128, ..small }
}

/// Every kernel that differs from those before it.
fn kernels(shape: &BlockShape) -> Vec<KernelSpec> {
    let (mut seen, mut all) = (HashSet::new(), Vec::new());
    for pipeline in Pipeline::ALL {
        for kernels in [KernelForm::Fused, KernelForm::Original] {
            for weights in [WeightForm::Packed, WeightForm::Parameters] {
                for int8 in [false, true] {
                    let options = PipelineOptions { kernels, weights, int8, ..PipelineOptions::of(pipeline) };
                    let specs = set(&options, shape).unwrap().specs;
                    all.extend(specs.into_iter().filter(|s| seen.insert(s.program.to_string())));
                }
            }
        }
    }
    all
}

/// Numbers that are no pattern of the shapes, of magnitude up to `size`.
fn numbers(n: usize, size: f32) -> impl Iterator<Item = f32> {
    (0..n).map(move |i| size * (((i * 7919 + 13) % 2003) as f32 / 1001.5 - 1.0))
}

/// Outputs of `spec` over inputs that are the same for every device, padding included.
fn outputs(sim: &Simulator, spec: &KernelSpec, model: &Model<'_>) -> Vec<Vec<u8>> {
    let blobs: Vec<(String, Vec<u8>)> = spec.baked.iter().map(|(path, what)| (path.clone(), file(*what, model, 0))).collect();
    let text = spec.program.to_string();
    let kernel = sim.compile(&Source { name: spec.name, text: &text, blobs: &blobs }).unwrap_or_else(|e| panic!("{e}\n{text}"));
    for (packed, port) in spec.inputs.iter().zip(kernel.inputs()) {
        assert_eq!((packed.port, packed.shape()), (port.name.as_str(), port.shape), "{}", spec.name);
    }
    let surfaces = |ports: &[ane::Port]| -> Vec<_> { ports.iter().map(|p| sim.surface(p.surface_bytes).unwrap()).collect() };
    let (inputs, outputs) = (surfaces(kernel.inputs()), surfaces(kernel.outputs()));
    for surface in &inputs {
        let halves = numbers(surface.len() / 2, 0.5).flat_map(|x| f16::from_f32(x).to_le_bytes());
        surface.write(|bytes| bytes.iter_mut().zip(halves).for_each(|(to, from)| *to = from)).unwrap();
    }
    let request = kernel.request(&inputs, &outputs).unwrap();
    kernel.evaluate(&request).unwrap_or_else(|e| panic!("{e}\n{text}"));
    outputs.iter().map(|s| s.read(<[u8]>::to_vec).unwrap()).collect()
}

#[test]
fn every_kernel_compiles_and_gives_numbers() {
    let spec = spec();
    let layout = Layout::of(&spec);
    let params: Vec<f32> = numbers(layout.len(), 0.1).collect();
    let model = Model { spec: &spec, layout: &layout, params: &params, seq: SEQ };
    let sim = Simulator::new(Profile { compile_budget: None, ..Profile::default() }, 2);
    let kernels = kernels(&BlockShape::of(&spec, SEQ));
    assert!(kernels.len() > 30, "{}", kernels.len());
    for kernel in &kernels {
        for bytes in outputs(&sim, kernel, &model) {
            let values = bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b));
            assert!(values.clone().all(|x| x.is_finite()), "{}", kernel.name);
            assert!(values.clone().any(|x| x != f16::ZERO), "{} gives zeros", kernel.name);
        }
    }
    assert_eq!(sim.counters().dispatches, kernels.len() as u64);
    assert_eq!((sim.counters().loaded, sim.counters().surface_bytes), (0, 0));
}

#[test]
fn results_do_not_depend_on_threads() {
    let spec = spec();
    let layout = Layout::of(&spec);
    let params: Vec<f32> = numbers(layout.len(), 0.1).collect();
    let model = Model { spec: &spec, layout: &layout, params: &params, seq: SEQ };
    let shape = BlockShape::of(&spec, SEQ);
    let [one, three] = [1, 3].map(|threads| Simulator::new(Profile::default(), threads));
    for pipeline in [Pipeline::Static, Pipeline::Dynamic] {
        for kernel in set(&PipelineOptions::of(pipeline), &shape).unwrap().specs {
            assert_eq!(outputs(&one, &kernel, &model), outputs(&three, &kernel, &model), "{}", kernel.name);
        }
    }
}
