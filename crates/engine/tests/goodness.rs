//! Losses of single matrices and their gradients, against finite differences and models that end earlier.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use engine::{Adapting, Base, Batch, CpuEngine, Engine, EngineError, Goodness, Options, Shape};
use kernels::Cpu;
use model::{AdapterForm, AdapterSpec, AdapterTarget, Layout, ModelSpec, TensorId};

const ROWS: usize = 2;
const SEQ: usize = 8;

struct Case {
    spec: ModelSpec,
    plan: AdapterSpec,
    base: Arc<Vec<f32>>,
    adapter: Vec<f32>,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    corrupted: Vec<u32>,
}

impl Case {
    fn new(layers: usize, targets: &str) -> Case {
        let small = model::preset("stories-1m").unwrap().spec;
        let spec = ModelSpec { dim: 24, layers, heads: 4, kv_heads: 2, head_dim: 8, hidden: 40, vocab: 50, ..small };
        let (targets, form) = (AdapterTarget::parse_list(targets).unwrap(), AdapterForm::Split);
        let plan = AdapterSpec { rank: 3, alpha: 6.0, rank_stabilized: false, targets, norms: false, form };
        let layout = Layout::of(&spec);
        let base: Vec<f32> = engine::init(&spec, &layout, 1).iter().map(|w| 3.0 * w).collect();
        let mut adapter = engine::init_adapter(&Layout::of_adapter(&spec, &plan), (&layout, Base::Flat(&base)), 2);
        adapter.iter_mut().enumerate().for_each(|(i, w)| *w += ((i * 7919) % 101) as f32 / 500.0 - 0.1);
        let inputs: Vec<u32> = (0..ROWS * SEQ).map(|i| (i * 17 % 50) as u32).collect();
        let corrupted = inputs.iter().enumerate().map(|(i, id)| if i % 5 == 2 { (id + 9) % 50 } else { *id }).collect();
        let targets = (0..ROWS * SEQ).map(|i| (i * 13 % 50) as u32).collect();
        Case { spec, plan, base: Arc::new(base), adapter, inputs, targets, corrupted }
    }

    fn batch(&self) -> Batch<'_> {
        Batch { rows: ROWS, seq: SEQ, inputs: &self.inputs, targets: &self.targets, starts: None }
    }

    /// What is found at `adapter`, and the gradient of the mean local losses.
    fn learn(&self, threads: usize, adapter: &[f32]) -> (Goodness, Vec<f32>) {
        let cpu = Cpu::new(threads);
        let walk = CpuEngine::new(&cpu, &self.spec, Shape { rows: ROWS, seq: SEQ }, Options::INFERENCE);
        let mut engine = Adapting::new(walk, self.base.clone(), &self.plan);
        let units = engine.goodness_units(&self.batch()).unwrap();
        let mut grad = vec![f32::NAN; adapter.len()];
        let text = (&self.batch(), &self.corrupted[..]);
        let found = engine.forward_forward(adapter, text, &units, (&mut grad, false), &mut || false).unwrap().unwrap();
        grad.iter_mut().for_each(|g| *g /= found.loss.tokens as f32);
        (found, grad)
    }
}

/// One block with an adapter of one matrix: nothing else depends on it.
#[test]
fn the_gradient_of_each_matrix_is_that_of_its_own_loss() {
    for target in ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"] {
        let case = Case::new(1, target);
        let (_, grad) = case.learn(1, &case.adapter);
        let largest = grad.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        for i in (0..grad.len()).step_by(5) {
            let at = |h: f32| {
                let mut moved = case.adapter.clone();
                moved[i] += h;
                case.learn(1, &moved).0.local
            };
            let slope = (at(4e-3) - at(-4e-3)) / 8e-3;
            assert!((slope - f64::from(grad[i])).abs() < 1e-2 * f64::from(largest), "{target} {i}: {slope} {}", grad[i]);
        }
    }
}

/// What comes after a block does not change what its adapters learn.
#[test]
fn nothing_goes_back_from_one_block_to_another() {
    let (two, one) = (Case::new(2, "all"), Case::new(1, "all"));
    let part = |layout: &Layout, cut: &Layout, values: &[f32]| -> Vec<f32> {
        cut.tensors().iter().flat_map(|t| values[layout.range(t.id)].to_vec()).collect()
    };
    let own = (Layout::of_adapter(&two.spec, &two.plan), Layout::of_adapter(&one.spec, &one.plan));
    let base = part(&Layout::of(&two.spec), &Layout::of(&one.spec), &two.base);
    let one = Case { base: Arc::new(base), adapter: part(&own.0, &own.1, &two.adapter), ..one };
    let (whole, cut) = (two.learn(1, &two.adapter).1, one.learn(1, &one.adapter).1);
    assert!(part(&own.0, &own.1, &whole) == cut, "bit for bit");
    let rest = own.0.tensors().iter().filter(|t| matches!(t.id, TensorId::Adapter(1, ..)));
    assert!(rest.flat_map(|t| &whole[t.range.clone()]).any(|g| *g != 0.0));
}

#[test]
fn the_loss_beside_it_is_the_models() {
    let case = Case::new(2, "all");
    let cpu = Cpu::new(1);
    let walk = CpuEngine::new(&cpu, &case.spec, Shape { rows: ROWS, seq: SEQ }, Options::INFERENCE);
    let loss = Adapting::new(walk, case.base.clone(), &case.plan).evaluate(&case.adapter, &case.batch()).unwrap();
    let (found, grad) = case.learn(1, &case.adapter);
    assert_eq!(found.loss, loss);
    assert_eq!((found, grad), case.learn(3, &case.adapter), "on any number of threads");
}

/// Without B, an output is the base's: real text has a goodness of 1 in the mean, whatever the size of the weights.
#[test]
fn units_make_goodness_of_any_model_alike() {
    let case = Case::new(2, "all");
    let zeros = vec![0.0; case.adapter.len()];
    let local = case.learn(1, &zeros).0.local;
    assert!((1.0..2.0).contains(&local), "about 2 ln 2: {local}");
    let mut same = Case::new(2, "all");
    same.corrupted = same.inputs.clone();
    let (found, grad) = same.learn(1, &zeros);
    assert!(found.local < local, "no token is corrupted: half of the loss is not there");
    assert!(grad.iter().all(|g| *g == 0.0), "neither half of an adapter of zeros has a slope");
}

#[test]
fn without_an_adapter_beside_the_base_alone_it_is_an_error() {
    let case = Case::new(1, "all");
    let cpu = Cpu::new(1);
    for plan in [AdapterSpec { form: AdapterForm::Merged, ..case.plan.clone() }, AdapterSpec { norms: true, ..case.plan.clone() }]
    {
        let walk = CpuEngine::new(&cpu, &case.spec, Shape { rows: ROWS, seq: SEQ }, Options::INFERENCE);
        let mut engine = Adapting::new(walk, case.base.clone(), &plan);
        let found = engine.goodness_units(&case.batch());
        assert!(matches!(found, Err(EngineError::AdapterAlone { .. })), "{found:?}");
    }
}
