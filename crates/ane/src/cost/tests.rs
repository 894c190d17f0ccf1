#![allow(clippy::unwrap_used)]

use super::fit::Counted;
use super::page::{median, program_errors, step_errors};
use super::profile::{PROGRAM_KNOBS, STEP_KNOBS};
use super::*;
use crate::{KernelForm, Pipeline, PipelineOptions};

#[test]
fn half_of_the_published_steps_are_within_15_percent() {
    let errors = step_errors(&Counted::all().unwrap());
    assert!(errors.len() > 2 * STEP_KNOBS.len(), "{} figures for {} constants", errors.len(), STEP_KNOBS.len());
    assert!(median(&errors) <= 0.15, "{errors:?}");
    assert!(median(&program_errors()) <= 0.15);
}

#[test]
fn a_fit_from_elsewhere_finds_the_constants() {
    let mut start = CONSTANTS;
    for (_, knob) in PROGRAM_KNOBS.iter().chain(&STEP_KNOBS) {
        *knob(&mut start) *= 1.3;
    }
    let found = fit(start).unwrap();
    let mut constants = CONSTANTS;
    for ((name, fitted), (_, knob)) in found.fitted.iter().zip(PROGRAM_KNOBS.iter().chain(&STEP_KNOBS)) {
        let used = *knob(&mut constants);
        assert!((fitted / used - 1.0).abs() < 0.01, "{name} is {used}, and the fit finds {fitted}: use {:#?}", found.constants);
    }
}

#[test]
fn the_parts_of_a_step_add_up_and_more_work_takes_longer() {
    let steps = Counted::all().unwrap();
    let step_of = |c: &Constants| steps[0].step(c);
    let parts = step_of(&CONSTANTS);
    let sum = parts.engine_ms + parts.copy_ms + parts.gemm_ms + parts.element_ms;
    assert_eq!(parts.total_ms(), sum);
    let slower = Constants { packed_gbs: CONSTANTS.packed_gbs / 2.0, ..CONSTANTS };
    assert!(step_of(&slower).engine_ms > parts.engine_ms);
}

#[test]
fn the_kernels_of_the_published_systems_have_their_published_bytes() {
    let options = PipelineOptions { kernels: KernelForm::Original, ..PipelineOptions::of(Pipeline::Dynamic) };
    let calls = calls(&options, &published::STORIES.spec(None), 256).unwrap();
    let input_mb = |name: &str| calls.iter().find(|c| c.name == name).map(|c| (c.input_bytes() / 1e4).round() / 100.0);
    assert_eq!(input_mb("sdpa_fwd"), Some(3.93));
    assert_eq!(input_mb("ffn_fused"), Some(10.22));
    assert_eq!(input_mb("ffn_bwd_w13t"), Some(8.39));
    assert_eq!(calls.iter().map(|c| c.dispatches).sum::<usize>(), 120);
    let staged: f64 = calls.iter().filter(|c| c.packed_bytes > 0.0).map(|c| c.input_bytes() * 12.0).sum();
    assert!((staged / 1e6 - 407.0).abs() < 1.0, "{staged}");
}

#[test]
fn the_page_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ane-cost.md");
    let page = page().unwrap();
    if std::env::var_os("AUTOANE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/ane-cost.md is not what the tables say: AUTOANE_WRITE_DOCS=1 cargo test -p ane the_page");
}
