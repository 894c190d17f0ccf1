//! Losses after each block, against models that end there.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{Adapting, Base, Batch, CpuEngine, Engine, EngineError, LossSum, Options, Params, Probe, Shape};
use kernels::direction::{Distribution, Noise};
use kernels::{Cpu, Isa};
use model::{AdapterForm, AdapterSpec, AdapterTarget, Layout, ModelSpec};

const ROWS: usize = 2;
const SEQ: usize = 8;

struct Case {
    spec: ModelSpec,
    plan: AdapterSpec,
    base: Arc<Vec<f32>>,
    adapter: Vec<f32>,
    inputs: Vec<u32>,
    targets: Vec<u32>,
}

impl Case {
    fn new(norms: bool) -> Case {
        let small = model::preset("stories-1m").unwrap().spec;
        let spec = ModelSpec { dim: 24, layers: 3, heads: 4, kv_heads: 2, head_dim: 8, hidden: 40, vocab: 50, ..small };
        let (targets, form) = (AdapterTarget::parse_list("all").unwrap(), AdapterForm::Split);
        let plan = AdapterSpec { rank: 3, alpha: 6.0, rank_stabilized: false, targets, norms, form };
        let layout = Layout::of(&spec);
        let base: Vec<f32> = engine::init(&spec, &layout, 1).iter().map(|w| 3.0 * w).collect();
        let mut adapter = engine::init_adapter(&Layout::of_adapter(&spec, &plan), (&layout, Base::Flat(&base)), 2);
        adapter.iter_mut().enumerate().for_each(|(i, w)| *w += ((i * 7919) % 101) as f32 / 500.0 - 0.1);
        let inputs = (0..ROWS * SEQ).map(|i| (i * 17 % 50) as u32).collect();
        let targets = (0..ROWS * SEQ).map(|i| (i * 13 % 50) as u32).collect();
        Case { spec, plan, base: Arc::new(base), adapter, inputs, targets }
    }

    fn batch(&self) -> Batch<'_> {
        Batch { rows: ROWS, seq: SEQ, inputs: &self.inputs, targets: &self.targets, starts: None }
    }

    fn engine<'a>(&self, cpu: &'a Cpu, times: usize) -> Adapting<'a, engine::blocks::OnCpu> {
        let walk = CpuEngine::new(cpu, &self.spec, Shape { rows: ROWS * times, seq: SEQ }, Options::INFERENCE);
        Adapting::new(walk, self.base.clone(), &self.plan)
    }

    /// Along two directions: probe after probe, each block after block.
    fn losses(&self, threads: usize, times: usize, scale: f32) -> Vec<[LossSum; 2]> {
        let cpu = Cpu::new(threads);
        let noise = |seed| Noise { seed, distribution: Distribution::Gaussian, isa: Isa::best() };
        let noises = [noise(1), noise(2)];
        let probes: Vec<Probe<'_>> =
            noises.iter().map(|n| Probe { direction: n, second: None, scales: [scale, -scale] }).collect();
        let mut losses = vec![[LossSum::default(); 2]; probes.len() * self.spec.layers];
        let mut engine = self.engine(&cpu, times);
        assert!(engine.losses_by_depth(&cpu, &self.adapter, &self.batch(), &probes, &mut losses, &mut || false).unwrap());
        losses
    }

    /// The loss of the model that ends after `layers` blocks.
    fn cut(&self, layers: usize) -> f64 {
        let spec = ModelSpec { layers, ..self.spec.clone() };
        let part = |whole: &Layout, part: &Layout, values: &[f32]| -> Vec<f32> {
            part.tensors().iter().flat_map(|t| values[whole.range(t.id)].to_vec()).collect()
        };
        let base = part(&Layout::of(&self.spec), &Layout::of(&spec), &self.base);
        let own = (Layout::of_adapter(&self.spec, &self.plan), Layout::of_adapter(&spec, &self.plan));
        let adapter = part(&own.0, &own.1, &self.adapter);
        let cpu = Cpu::new(1);
        let walk = CpuEngine::new(&cpu, &spec, Shape { rows: ROWS, seq: SEQ }, Options::INFERENCE);
        let params = Params { base: Base::Flat(&base), adapter: &adapter };
        walk.adapted(&self.plan).loss(params, &self.batch()).unwrap().mean()
    }
}

/// The original counted the adapter twice in the losses between blocks.
#[test]
fn the_loss_after_a_block_is_that_of_the_model_that_ends_there() {
    for norms in [false, true] {
        let case = Case::new(norms);
        for losses in case.losses(1, 1, 0.0).chunks_exact(3) {
            for (l, [above, below]) in losses.iter().enumerate() {
                let want = case.cut(l + 1);
                assert!((above.mean() - want).abs() < 1e-6 && above == below, "after block {l}: {above:?}, {want}");
            }
        }
    }
}

#[test]
fn the_last_of_them_is_the_loss_of_every_other_method() {
    let case = Case::new(true);
    let cpu = Cpu::new(1);
    let whole = case.engine(&cpu, 1).evaluate(&case.adapter, &case.batch()).unwrap();
    assert_eq!(case.losses(1, 1, 0.0)[2][0], whole);
}

#[test]
fn all_points_in_one_pass_are_a_pass_for_each() {
    let case = Case::new(false);
    let alone = case.losses(1, 1, 0.05);
    // room for one direction, and for both
    for times in [2, 4] {
        let together = case.losses(1, times, 0.05);
        for (a, b) in alone.as_flattened().iter().zip(together.as_flattened()) {
            assert!(a.tokens == b.tokens && (a.sum - b.sum).abs() < 1e-5 * a.sum, "{times}: {a:?} {b:?}");
        }
        assert_eq!(together, case.losses(3, times, 0.05), "threads");
    }
    assert!(alone.iter().all(|[a, b]| a != b));
}

#[test]
fn without_an_adapter_beside_the_base_it_is_an_error() {
    let case = Case::new(false);
    let cpu = Cpu::new(1);
    for form in [AdapterForm::Merged, AdapterForm::Dora] {
        let walk = CpuEngine::new(&cpu, &case.spec, Shape { rows: ROWS, seq: SEQ }, Options::INFERENCE);
        let mut engine = Adapting::new(walk, case.base.clone(), &AdapterSpec { form, ..case.plan.clone() });
        let found = engine.losses_by_depth(&cpu, &case.adapter, &case.batch(), &[], &mut [], &mut || false);
        assert!(matches!(found, Err(EngineError::AdapterAlone { .. })), "{form:?}: {found:?}");
    }
}
