#![allow(clippy::unwrap_used)]

use model::{Layout, ModelSpec};

use super::*;
use crate::{Profile, Simulator};

const SEQ: usize = 64;

fn spec() -> ModelSpec {
    model::preset("stories-1m").map(|p| ModelSpec { vocab: 512, ..p.spec }).unwrap()
}

fn simulator(profile: &str) -> Simulator {
    Simulator::new(profile.parse::<Profile>().unwrap(), 1)
}

/// Probes the simulator of `profile` against one without faults, kernels of the names that `keep` takes.
fn against(profile: &str, keep: impl Fn(&str) -> bool) -> ProbeReport {
    let (spec, layout) = (spec(), Layout::of(&spec()));
    let params = engine::init(&spec, &layout, 3);
    let model = Model { spec: &spec, layout: &layout, params: &params, seq: SEQ };
    let mut cases = every_kernel(&BlockShape::of(&spec, SEQ)).unwrap();
    cases.retain(|c| keep(&c.name));
    probe(&simulator(profile), &simulator("m4,budget=1000"), &cases, &model)
}

fn dynamic(name: &str) -> bool {
    name.starts_with("dynamic/") && name.matches('/').count() == 1
}

#[test]
fn every_kernel_of_every_pipeline_passes_against_itself_within_a_process_budget() {
    let report = against("m4", |_| true);
    let (eight, others): (Vec<_>, Vec<_>) = report.kernels.iter().partition(|k| k.name.contains("/int8/"));
    for kernel in others {
        assert!(matches!(kernel.verdict, Verdict::Passed { error: 0.0, .. }), "{}: {}", kernel.name, kernel.verdict);
    }
    // where the interpreter lacks an operation of 8 bits, nothing is known, and that is said
    for kernel in eight {
        let said = matches!(kernel.verdict, Verdict::Passed { .. }) || kernel.verdict.to_string().contains("has no operation");
        assert!(said, "{}: {}", kernel.name, kernel.verdict);
    }
    assert!(report.kernels.len() > 20 && report.kernels.len() < 110, "{}", report.kernels.len());
}

#[test]
fn a_device_that_answers_zeros_once_differs_in_that_kernel_alone() {
    let report = against("m4,zeros=2", dynamic);
    let failed: Vec<usize> =
        (0..report.kernels.len()).filter(|i| report.kernels[*i].verdict.to_string().contains("differs")).collect();
    assert_eq!(failed, [1], "{report:?}");
    let Verdict::Differs { what } = &report.kernels[1].verdict else { panic!("{report:?}") };
    assert!(what.contains("the whole field is zero"), "{what}");
    assert_eq!(report.passed().count(), report.kernels.len() - 1);
}

#[test]
fn a_device_that_refuses_is_quoted_and_the_next_kernel_is_tried() {
    let report = against("m4,compile=1,evaluate=2", dynamic);
    let verdicts: Vec<String> = report.kernels.iter().map(|k| k.verdict.to_string()).collect();
    assert!(verdicts[0].contains("compile failed"), "{}", verdicts[0]);
    assert!(verdicts[2].contains("evaluate failed") && verdicts[2].contains("0x1d"), "{}", verdicts[2]);
    assert!(matches!(report.kernels[1].verdict, Verdict::Passed { .. }), "{}", verdicts[1]);
    assert!(!report.all_passed());
}

#[test]
fn what_the_reference_cannot_run_is_unknown_not_passed() {
    let (spec, layout) = (spec(), Layout::of(&spec()));
    let params = vec![0.0; layout.len()];
    let model = Model { spec: &spec, layout: &layout, params: &params, seq: SEQ };
    let mut cases = every_kernel(&BlockShape::of(&spec, SEQ)).unwrap();
    cases.truncate(1);
    let report = probe(&simulator("m4"), &simulator("m4,compile=from:1"), &cases, &model);
    assert!(matches!(report.kernels[0].verdict, Verdict::Unknown { .. }), "{report:?}");
    assert_eq!(report.passed().count(), 0);
}

#[test]
fn a_difference_is_measured_against_the_largest_value_of_its_field() {
    let mut cases = every_kernel(&BlockShape::of(&spec(), SEQ)).unwrap();
    let spec = cases.swap_remove(0).spec;
    let fields: Vec<&Field> = spec.outputs.iter().flat_map(|p| &p.fields).collect();
    let expected: Vec<Vec<f32>> = fields.iter().map(|f| vec![100.0; f.channels * f.width]).collect();
    let changed = |value: f32| {
        let mut found = expected.clone();
        found[0][fields[0].width + 1] = value;
        compare(&spec, &expected, &found, 0.0)
    };
    assert_eq!(changed(101.0), Verdict::Passed { error: 0.01, seconds: 0.0 });
    for value in [103.0, f32::NAN, f32::INFINITY, 0.0] {
        let Verdict::Differs { what } = changed(value) else { panic!("{value}") };
        assert!(what.contains(&format!("{}[1, 1] should be 100, and is {value}", fields[0].name)), "{what}");
    }
}
