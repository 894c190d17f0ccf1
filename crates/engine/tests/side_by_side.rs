//! Several adapters in one pass of the base, against one pass for each.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{Adapting, Batch, CpuEngine, Engine, IGNORE, LossSum, Objective, Options, Probe, Shape};
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
    starts: Vec<u32>,
}

impl Case {
    fn new(norms: bool) -> Case {
        let small = model::preset("stories-1m").unwrap().spec;
        let spec = ModelSpec { dim: 24, layers: 2, heads: 4, kv_heads: 2, head_dim: 8, hidden: 40, vocab: 50, ..small };
        let (targets, form) = (AdapterTarget::parse_list("all").unwrap(), AdapterForm::Split);
        let plan = AdapterSpec { rank: 3, alpha: 6.0, rank_stabilized: false, targets, norms, form };
        let layout = Layout::of(&spec);
        let base: Vec<f32> = engine::init(&spec, &layout, 1).iter().map(|w| 3.0 * w).collect();
        let mut adapter = engine::init_adapter(&Layout::of_adapter(&spec, &plan), (&layout, engine::Base::Flat(&base)), 2);
        adapter.iter_mut().enumerate().for_each(|(i, w)| *w += ((i * 7919) % 101) as f32 / 500.0 - 0.1);
        let inputs: Vec<u32> = (0..ROWS * SEQ).map(|i| (i * 17 % 50) as u32).collect();
        // two documents in the first window, and answers at the end of each
        let targets = (0..ROWS * SEQ).map(|i| if i % 4 > 1 { (i * 13 % 50) as u32 } else { IGNORE }).collect();
        let starts = (0..ROWS * SEQ).map(|i| if i < SEQ && i % SEQ >= 4 { 4 } else { 0 }).collect();
        Case { spec, plan, base: Arc::new(base), adapter, inputs, targets, starts }
    }

    fn batch(&self) -> Batch<'_> {
        Batch { rows: ROWS, seq: SEQ, inputs: &self.inputs, targets: &self.targets, starts: Some(&self.starts) }
    }

    fn losses(&self, threads: usize, times: usize, objective: Objective) -> (Vec<[LossSum; 2]>, Vec<f32>) {
        let cpu = Cpu::new(threads);
        let walk = CpuEngine::new(&cpu, &self.spec, Shape { rows: ROWS * times, seq: SEQ }, Options::INFERENCE);
        let mut engine = Adapting::new(walk, self.base.clone(), &self.plan);
        engine.set_objective(objective);
        let noise = |seed| Noise { seed, distribution: Distribution::Gaussian, isa: Isa::best() };
        let noises: Vec<Noise> = (0..3).map(noise).collect();
        let probes: Vec<Probe<'_>> = noises.iter().map(|n| Probe { direction: n, second: None, scales: [0.05, -0.05] }).collect();
        let mut losses = vec![[LossSum::default(); 2]; probes.len()];
        let ran = engine.losses_along_all(&cpu, &self.adapter, &self.batch(), &probes, &mut losses, &mut || false);
        assert!(ran.unwrap());
        (losses, engine.token_losses()[..ROWS * SEQ].to_vec())
    }
}

#[test]
fn both_signs_and_all_directions_in_one_pass_are_the_losses_of_a_pass_each() {
    for (norms, objective) in
        [(false, Objective::Loss), (false, Objective::Accuracy), (false, Objective::ExactMatch), (true, Objective::Loss)]
    {
        let case = Case::new(norms);
        let (alone, first) = case.losses(1, 1, objective);
        // room for one direction, for two of three, and for all of them
        for times in [2, 4, 6] {
            let (together, tokens) = case.losses(2, times, objective);
            for (a, b) in alone.as_flattened().iter().zip(together.as_flattened()) {
                assert_eq!(a.tokens, b.tokens, "{objective:?} {times}");
                assert!((a.sum - b.sum).abs() < 1e-5 * a.sum.abs().max(1.0), "{objective:?} {times}: {a:?} {b:?}");
            }
            assert!(first.iter().zip(&tokens).all(|(a, b)| (a - b).abs() < 1e-5), "those of the first point, {times}");
        }
        assert!(norms || objective != Objective::Loss || alone[0][0].sum != alone[0][1].sum);
    }
}

#[test]
fn a_pass_over_several_adapters_does_not_depend_on_threads() {
    let case = Case::new(false);
    assert_eq!(case.losses(1, 6, Objective::Loss), case.losses(3, 6, Objective::Loss));
}
