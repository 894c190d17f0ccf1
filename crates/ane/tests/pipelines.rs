//! Every pipeline in every form against the CPU engine: logits, losses, gradients, fifty steps, and what happens when the
//! device fails.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ane::probe::{Checks, Verdict};
use ane::sim::{Profile, Simulator};
use ane::{DeviceEngine, KernelForm, Pipeline, PipelineOptions, WeightForm};
use engine::{Batch, CpuEngine, Engine, Options, Ready, Shape};
use kernels::Cpu;
use model::{AdapterForm, AdapterSpec, AdapterTarget, Family, Layout, ModelSpec, Rope, RopeScaling};

const SEQ: usize = 32;
const ROWS: usize = 2;

/// A model that gives every defect of the published kernels something to go wrong with: fewer key heads than query heads,
/// heads that are not `dim / heads` wide, another theta, a residual scale, norm gains that are not 1.
fn grouped() -> ModelSpec {
    ModelSpec {
        family: Family::Llama,
        dim: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 32,
        hidden: 96,
        vocab: 96,
        context: 64,
        rope: Rope { theta: 500_000.0, scaling: RopeScaling::None },
        no_rope: Vec::new(),
        norm_eps: 1e-5,
        tied: false,
        qkv_bias: false,
        o_bias: false,
        qk_norm: false,
        window: None,
        residual_scale: 0.5,
    }
}

fn plain() -> ModelSpec {
    ModelSpec {
        heads: 2,
        kv_heads: 2,
        residual_scale: 1.0,
        tied: true,
        rope: Rope { theta: 1e4, scaling: RopeScaling::None },
        ..grouped()
    }
}

fn weights(spec: &ModelSpec) -> Vec<f32> {
    let layout = Layout::of(spec);
    let mut params = engine::init(spec, &layout, 7);
    for t in layout.tensors().iter().filter(|t| t.shape[0] == 1) {
        for (i, gain) in params[t.range.clone()].iter_mut().enumerate() {
            *gain = 1.0 + 0.3 * ((i * 7 % 11) as f32 / 11.0 - 0.5);
        }
    }
    params
}

fn tokens(spec: &ModelSpec, seed: usize) -> (Vec<u32>, Vec<u32>) {
    let id = |i: usize| ((i * i * 31 + i * 17 + seed * 101) % spec.vocab) as u32;
    ((0..ROWS * SEQ).map(id).collect(), (1..=ROWS * SEQ).map(id).collect())
}

fn forms(pipeline: Pipeline) -> Vec<PipelineOptions> {
    let fused = PipelineOptions::of(pipeline);
    let original = PipelineOptions { kernels: KernelForm::Original, ..fused };
    let mut forms = vec![fused, original];
    if matches!(pipeline, Pipeline::Dynamic | Pipeline::DynamicCpuBwd) {
        forms.push(PipelineOptions { weights: WeightForm::Parameters, ..fused });
    }
    if matches!(pipeline, Pipeline::Static) {
        forms.push(PipelineOptions { layers_per_program: 2, ..fused });
    }
    forms
}

fn on_device<'a>(cpu: &'a Cpu, spec: &ModelSpec, options: PipelineOptions, profile: &str) -> DeviceEngine<'a, Simulator> {
    let device = Simulator::new(profile.parse().unwrap(), 1);
    DeviceEngine::new(cpu, spec, Shape { rows: ROWS, seq: SEQ }, Options::TRAINING, device, options)
}

fn rms(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0usize), |(s, n), v| (s + v * v, n + 1));
    (sum / n.max(1) as f64).sqrt()
}

/// Root mean square of the difference, over that of `b`.
fn relative(a: &[f32], b: &[f32]) -> f64 {
    let diff = rms(a.iter().zip(b).map(|(a, b)| f64::from(a - b)));
    diff / rms(b.iter().map(|b| f64::from(*b))).max(1e-12)
}

#[test]
fn losses_logits_and_gradients_agree_with_the_cpu() {
    let cpu = Cpu::new(2);
    for spec in [plain(), grouped()] {
        let (params, layout) = (weights(&spec), Layout::of(&spec));
        let (inputs, targets) = tokens(&spec, 1);
        let batch = Batch { rows: ROWS, seq: SEQ, inputs: &inputs, targets: &targets, starts: None };
        let mut truth = CpuEngine::new(&cpu, &spec, Shape { rows: ROWS, seq: SEQ }, Options::TRAINING);
        let mut expected = vec![0.0; layout.len()];
        let loss = truth.loss_and_grad(&params, &batch, &mut expected, false).unwrap();
        let logits = truth.logits(&params, &inputs[..SEQ]).unwrap();
        for options in Pipeline::ALL.into_iter().flat_map(forms) {
            let mut engine = on_device(&cpu, &spec, options, "m4");
            assert_eq!(engine.refresh(&params), Ready::Now);
            let found = engine.walk_mut().logits(&params, &inputs[..SEQ]).unwrap();
            let mut grad = vec![0.0; layout.len()];
            let device_loss = engine.walk_mut().loss_and_grad(&params, &batch, &mut grad, false).unwrap();
            assert_eq!(engine.notes(), Vec::<String>::new(), "{options:?}");
            assert!(engine.device().unwrap().dispatches > 0, "{options:?}");
            assert!(relative(&found, &logits) < 4e-3, "{options:?}: logits {}", relative(&found, &logits));
            let off = (device_loss.mean() - loss.mean()).abs();
            assert!(off < 2e-3, "{options:?}: loss off by {off}");
            let errors = layout.tensors().iter().map(|t| (relative(&grad[t.range.clone()], &expected[t.range.clone()]), t.id));
            let (worst, id) = errors.fold((0.0, layout.tensors()[0].id), |w, e| if e.0 > w.0 { e } else { w });
            println!(
                "{options:?}: logits {:.1e}, loss {off:.1e}, gradients at most {worst:.1e} ({id:?})",
                relative(&found, &logits)
            );
            assert!(worst < 8e-3, "{options:?}: gradient of {id:?} off by {worst}");
        }
    }
}

/// Losses of fifty steps of gradient descent.
fn curve(engine: &mut dyn Engine, spec: &ModelSpec) -> Vec<f64> {
    let mut params = weights(spec);
    let mut grad = vec![0.0; params.len()];
    let mut losses = Vec::new();
    for step in 0..50 {
        assert_eq!(engine.refresh(&params), Ready::Now);
        let (inputs, targets) = tokens(spec, step % 4);
        let batch = Batch { rows: ROWS, seq: SEQ, inputs: &inputs, targets: &targets, starts: None };
        let loss = engine.loss_and_grad_unless(&params, &batch, &mut grad, false, &mut || false).unwrap().unwrap();
        losses.push(loss.mean());
        for (p, g) in params.iter_mut().zip(&grad) {
            *p -= 0.04 * g / loss.tokens as f32;
        }
    }
    losses
}

#[test]
fn fifty_steps_follow_the_cpu() {
    let cpu = Cpu::new(2);
    let spec = grouped();
    let expected = curve(&mut CpuEngine::new(&cpu, &spec, Shape { rows: ROWS, seq: SEQ }, Options::TRAINING), &spec);
    assert!(expected[49] < expected[0] - 0.5, "the CPU learns: {expected:?}");
    for pipeline in Pipeline::ALL.into_iter().filter(|p| !p.freezes_base()) {
        for options in forms(pipeline) {
            let mut engine = on_device(&cpu, &spec, options, "m4,budget=100000");
            let found = curve(&mut engine, &spec);
            assert_eq!(engine.notes(), Vec::<String>::new(), "{options:?}");
            for (step, (a, b)) in found.iter().zip(&expected).enumerate() {
                assert!((a - b).abs() < 5e-3, "{options:?}: step {step}: {a} on the device, {b} on the CPU");
            }
        }
    }
}

#[test]
fn whatever_fails_the_gradient_is_whole() {
    let cpu = Cpu::new(2);
    let spec = grouped();
    let params = weights(&spec);
    let (inputs, targets) = tokens(&spec, 1);
    let batch = Batch { rows: ROWS, seq: SEQ, inputs: &inputs, targets: &targets, starts: None };
    let mut expected = vec![0.0; params.len()];
    let mut truth = CpuEngine::new(&cpu, &spec, Shape { rows: ROWS, seq: SEQ }, Options::TRAINING);
    let loss = truth.loss_and_grad(&params, &batch, &mut expected, false).unwrap();
    let faults = ["compile=1", "compile=3", "evaluate=1", "evaluate=6", "zeros=4", "memory=3", "evaluate=from:9", "zeros=from:2"];
    for options in Pipeline::ALL.into_iter().flat_map(forms) {
        for fault in faults {
            let mut engine = on_device(&cpu, &spec, options, &format!("m4,{fault}"));
            engine.refresh(&params);
            let mut grad = vec![0.0; params.len()];
            let found = engine.walk_mut().loss_and_grad(&params, &batch, &mut grad, false).unwrap();
            assert!((found.mean() - loss.mean()).abs() < 2e-3, "{options:?} {fault}");
            assert!(relative(&grad, &expected) < 2e-2, "{options:?} {fault}: {}", relative(&grad, &expected));
        }
    }
    let mut engine = on_device(&cpu, &spec, PipelineOptions::of(Pipeline::Dynamic), "m4,evaluate=1");
    engine.refresh(&params);
    engine.walk_mut().loss(&params, &batch).unwrap();
    let notes = engine.notes();
    assert!(notes.len() == 1 && notes[0].contains("0x1d") && notes[0].contains("on the CPU from here on"), "{notes:?}");
}

#[test]
fn a_value_beyond_fp16_ends_the_use_of_the_device() {
    let cpu = Cpu::new(2);
    let spec = grouped();
    let layout = Layout::of(&spec);
    let mut params = weights(&spec);
    // the up projection of the last layer: products beyond 65504
    params[layout.part(1, model::Part::Up)].iter_mut().for_each(|w| *w *= 1e6);
    let (inputs, targets) = tokens(&spec, 1);
    let batch = Batch { rows: ROWS, seq: SEQ, inputs: &inputs, targets: &targets, starts: None };
    let mut truth = CpuEngine::new(&cpu, &spec, Shape { rows: ROWS, seq: SEQ }, Options::TRAINING);
    let (mut expected, mut grad) = (vec![0.0; params.len()], vec![0.0; params.len()]);
    let loss = truth.loss_and_grad(&params, &batch, &mut expected, false).unwrap();
    let mut engine = on_device(&cpu, &spec, PipelineOptions::of(Pipeline::Dynamic), "m4");
    engine.refresh(&params);
    let found = engine.walk_mut().loss_and_grad(&params, &batch, &mut grad, false).unwrap();
    assert!(engine.left_device());
    assert!(engine.notes().iter().any(|n| n.contains("65504") && n.contains("CPU")));
    assert!((found.mean() / loss.mean() - 1.0).abs() < 1e-2, "{} {}", found.mean(), loss.mean());
    let before = engine.device().unwrap().dispatches;
    engine.refresh(&params);
    engine.walk_mut().loss_and_grad(&params, &batch, &mut grad, false).unwrap();
    assert_eq!(engine.device().unwrap().dispatches, before, "nothing is dispatched any more");
}

#[test]
fn a_used_up_budget_asks_for_a_new_process() {
    let cpu = Cpu::new(1);
    let spec = grouped();
    let params = weights(&spec);
    let mut engine = on_device(&cpu, &spec, PipelineOptions::of(Pipeline::Static), "m4,budget=20");
    assert_eq!(engine.refresh(&params), Ready::Now);
    let used = engine.device().unwrap().compiles;
    assert!((8..=20).contains(&used), "{used}");
    let mut asked = false;
    for _ in 0..3 {
        asked |= engine.refresh(&params) == Ready::AfterRestart;
    }
    assert!(asked);
    assert!(engine.device().unwrap().compiles <= 20);
    assert_eq!(engine.notes(), Vec::<String>::new());
}

#[test]
fn a_kernel_that_differs_from_the_simulator_is_not_used() {
    let cpu = Cpu::new(2);
    let spec = grouped();
    let params = weights(&spec);
    let (inputs, targets) = tokens(&spec, 1);
    let batch = Batch { rows: ROWS, seq: SEQ, inputs: &inputs, targets: &targets, starts: None };
    let mut expected = vec![0.0; params.len()];
    let mut truth = CpuEngine::new(&cpu, &spec, Shape { rows: ROWS, seq: SEQ }, Options::TRAINING);
    truth.loss_and_grad(&params, &batch, &mut expected, false).unwrap();
    // the second kernel that is tried answers with zeros, once; all others are right
    for (fault, left) in [("m4", 0), ("m4,zeros=2", 1), ("m4,evaluate=3", 1), ("m4,compile=from:1", 5)] {
        let mut engine = on_device(&cpu, &spec, PipelineOptions::of(Pipeline::Dynamic), fault);
        engine.walk_mut().blocks_mut().check_with(Checks::new(Simulator::new(Profile::default(), 1)));
        engine.refresh(&params);
        let notes = engine.notes();
        assert_eq!(notes.len(), left, "{fault}: {notes:?}");
        assert!(notes.iter().all(|n| n.contains("its blocks run on the CPU")), "{notes:?}");
        assert_eq!(engine.walk().blocks().kernels().filter(|(_, off)| off.is_some()).count(), left, "{fault}");
        let mut grad = vec![0.0; params.len()];
        engine.walk_mut().loss_and_grad(&params, &batch, &mut grad, false).unwrap();
        assert!(relative(&grad, &expected) < 8e-3, "{fault}");
    }
    let layers = PipelineOptions { layers_per_program: 2, ..PipelineOptions::of(Pipeline::Static) };
    let mut engine = on_device(&cpu, &spec, layers, "m4");
    engine.walk_mut().blocks_mut().check_with(Checks::new(Simulator::new(Profile::default(), 1)));
    engine.refresh(&params);
    assert_eq!(engine.notes(), Vec::<String>::new(), "several layers in one program are tried too");
}

#[test]
fn weights_that_kernels_share_are_new_for_each_of_them() {
    let cpu = Cpu::new(2);
    // activations larger than weights in one kernel and smaller in another, where the surfaces of a request are equally large
    let spec = ModelSpec { dim: 32, heads: 2, kv_heads: 2, head_dim: 16, hidden: 128, residual_scale: 1.0, ..grouped() };
    let (before, (inputs, targets)) = (weights(&spec), tokens(&spec, 1));
    let after: Vec<f32> = before.iter().map(|w| -w).collect();
    let batch = Batch { rows: ROWS, seq: SEQ, inputs: &inputs, targets: &targets, starts: None };
    let (mut expected, mut grad) = (vec![0.0; after.len()], vec![0.0; after.len()]);
    let mut truth = CpuEngine::new(&cpu, &spec, Shape { rows: ROWS, seq: SEQ }, Options::TRAINING);
    truth.loss_and_grad(&after, &batch, &mut expected, false).unwrap();
    let options = PipelineOptions { weights: WeightForm::Parameters, ..PipelineOptions::of(Pipeline::Dynamic) };
    for sizes in ["m4", "m4,sizes=uniform"] {
        let mut engine = on_device(&cpu, &spec, options, sizes);
        engine.refresh(&before);
        engine.refresh(&after);
        engine.walk_mut().loss_and_grad(&after, &batch, &mut grad, false).unwrap();
        assert_eq!(engine.notes(), Vec::<String>::new(), "{sizes}");
        assert!(relative(&grad, &expected) < 8e-3, "{sizes}: {}", relative(&grad, &expected));
    }
}

#[test]
fn what_is_known_of_a_kernel_is_not_found_out_again() {
    let cpu = Cpu::new(1);
    let spec = grouped();
    let params = weights(&spec);
    let kept = Rc::new(RefCell::new(BTreeMap::new()));
    // every compilation costs the budget of a process: five kernels are tried once, and never again
    for (tried, failing) in [(5, None), (0, None), (0, Some("ffn_bwd"))] {
        let mut checks = Checks::new(Simulator::new(Profile::default(), 1));
        let (told, asked) = (kept.clone(), kept.clone());
        let before = kept.borrow().len();
        checks.known = Box::new(move |name, digest| match failing {
            Some(failing) if name == failing => Some(Verdict::Failed { why: "seen before".to_owned() }),
            _ => asked.borrow().get(digest).cloned(),
        });
        checks.found = Box::new(move |_, digest, verdict| drop(told.borrow_mut().insert(digest.to_owned(), verdict.clone())));
        let mut engine = on_device(&cpu, &spec, PipelineOptions::of(Pipeline::Dynamic), "m4");
        engine.walk_mut().blocks_mut().check_with(checks);
        engine.refresh(&params);
        assert_eq!(kept.borrow().len() - before, tried);
        assert_eq!(engine.device().unwrap().compiles, 5 + tried as u64 - u64::from(failing.is_some()));
        assert_eq!(engine.notes().iter().filter(|n| n.contains("seen before")).count(), usize::from(failing.is_some()));
    }
}

#[test]
fn memory_of_surfaces_is_known_before_any_is_made() {
    let cpu = Cpu::new(1);
    let spec = grouped();
    let params = weights(&spec);
    for pipeline in Pipeline::ALL {
        for (kernels, weights, layers_per_program) in [
            (KernelForm::Fused, WeightForm::Packed, 1),
            (KernelForm::Original, WeightForm::Packed, 1),
            (KernelForm::Fused, WeightForm::Parameters, 1),
            (KernelForm::Fused, WeightForm::Packed, 5),
        ] {
            let options = PipelineOptions { kernels, weights, layers_per_program, ..PipelineOptions::of(pipeline) };
            for chip in ["m4", "m4,strict", "m1,strict,rules=off", "m4,sizes=ascending"] {
                let Ok(profile) = chip.parse::<Profile>() else { continue };
                let planned = ane::planned_surface_bytes(&spec, SEQ, &options, &profile);
                let mut engine = on_device(&cpu, &spec, options, chip);
                engine.refresh(&params);
                if engine.notes().is_empty() {
                    assert_eq!(engine.device().unwrap().surface_bytes, planned, "{options:?} {chip}");
                }
            }
        }
    }
}

#[test]
fn gains_of_an_adapter_are_not_those_that_programs_hold() {
    let cpu = Cpu::new(1);
    let spec = grouped();
    let base = std::sync::Arc::new(weights(&spec));
    let targets = AdapterTarget::parse_list("all").unwrap();
    let plan = AdapterSpec { rank: 2, alpha: 4.0, rank_stabilized: false, targets, norms: true, form: AdapterForm::Split };
    let layout = Layout::of_adapter(&spec, &plan);
    let mut adapter = engine::init_adapter(&layout, (&Layout::of(&spec), engine::Base::Flat(&base)), 3);
    for t in layout.tensors().iter().filter(|t| t.shape[0] == 1) {
        adapter[t.range.clone()].iter_mut().for_each(|gain| *gain *= 1.5);
    }
    let (inputs, targets) = tokens(&spec, 1);
    let batch = Batch { rows: ROWS, seq: SEQ, inputs: &inputs, targets: &targets, starts: None };
    let walk = CpuEngine::new(&cpu, &spec, Shape { rows: ROWS, seq: SEQ }, Options::TRAINING);
    let mut truth = engine::Adapting::new(walk, base.clone(), &plan);
    let mut expected = vec![0.0; layout.len()];
    let loss = truth.loss_and_grad_unless(&adapter, &batch, &mut expected, false, &mut || false).unwrap().unwrap();
    for pipeline in Pipeline::ALL {
        let mut engine = on_device(&cpu, &spec, PipelineOptions::of(pipeline), "m4").adapted(base.clone(), &plan);
        engine.refresh(&adapter);
        let mut grad = vec![0.0; layout.len()];
        let found = engine.loss_and_grad_unless(&adapter, &batch, &mut grad, false, &mut || false).unwrap().unwrap();
        assert!((found.mean() - loss.mean()).abs() < 2e-3, "{pipeline}: {} {}", found.mean(), loss.mean());
        assert!(relative(&grad, &expected) < 1e-2, "{pipeline}: {}", relative(&grad, &expected));
    }
}
