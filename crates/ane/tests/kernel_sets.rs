//! What the table of kernels says about every pipeline: dispatches, programs, fields.

use ane::kernels::{KernelSet, set};
use ane::{BlockShape, KernelForm, KernelSpec, Pipeline, PipelineOptions, WeightForm};

fn shape(preset: &str, seq: usize) -> BlockShape {
    let spec = model::preset(preset).map(|p| p.spec).expect("a preset");
    BlockShape::of(&spec, seq)
}

fn of(pipeline: Pipeline, kernels: KernelForm) -> PipelineOptions {
    PipelineOptions { kernels, ..PipelineOptions::of(pipeline) }
}

fn build(options: &PipelineOptions, shape: &BlockShape) -> KernelSet {
    set(options, shape).unwrap_or_else(|e| panic!("{options:?}: {e:?}"))
}

/// Every combination of options that means something.
fn all_options() -> Vec<PipelineOptions> {
    let mut all = Vec::new();
    for pipeline in Pipeline::ALL {
        for kernels in [KernelForm::Fused, KernelForm::Original] {
            for weights in [WeightForm::Packed, WeightForm::Parameters] {
                for (layers_per_program, int8) in [(1, false), (3, false), (1, true)] {
                    all.push(PipelineOptions { pipeline, kernels, weights, layers_per_program, int8 });
                }
            }
        }
    }
    all
}

#[test]
fn the_published_counts_follow_from_the_table() {
    let stories = shape("stories110m", 256);
    let counts = |pipeline| build(&of(pipeline, KernelForm::Original), &stories).counts;
    let fixed = counts(Pipeline::Static);
    assert_eq!((fixed.compiles_an_update(12), fixed.compiles_at_start_unshared(12)), (60, 12));
    assert_eq!((fixed.compiles_at_start(), fixed.dispatches(12)), (1, [24, 48]));
    let extras = counts(Pipeline::StaticExtras);
    assert_eq!((extras.compiles_an_update(12), extras.compiles_at_start_unshared(12)), (86, 13));
    assert_eq!(extras.dispatches(12), [24 + 3, 48 + 24]);
    let dynamic = counts(Pipeline::Dynamic);
    assert_eq!((dynamic.compiles_an_update(12), dynamic.compiles_at_start(), dynamic.dispatches(12)), (0, 10, [36, 84]));
    let products = counts(Pipeline::MatmulOnly);
    assert_eq!((products.compiles_at_start(), products.dispatches(4)), (5, [28, 0]));
    // 5 convolutions a layer and the product that keys and values share
    let conv = counts(Pipeline::Conv);
    assert_eq!((conv.compiles_an_update(32) + conv.compiles_at_start(), conv.dispatches(32)), (161, [224, 0]));
    let fused = counts(Pipeline::ConvFused);
    assert_eq!((fused.compiles_an_update(32) + fused.compiles_at_start(), fused.dispatches(32)), (96, [96, 0]));
}

#[test]
fn our_sets_take_fewer_dispatches() {
    let stories = shape("stories110m", 256);
    let expected = [
        (Pipeline::MatmulOnly, [4, 0], [7, 0]),
        (Pipeline::Static, [2, 3], [2, 4]),
        (Pipeline::Dynamic, [2, 3], [3, 7]),
        (Pipeline::DynamicCpuBwd, [2, 0], [3, 0]),
        (Pipeline::Conv, [5, 0], [7, 0]),
        (Pipeline::ConvFused, [3, 0], [3, 0]),
    ];
    for (pipeline, ours, published) in expected {
        let found = [KernelForm::Fused, KernelForm::Original].map(|form| build(&of(pipeline, form), &stories).counts.each_layer);
        assert_eq!(found, [ours, published], "{pipeline}");
    }
}

#[test]
fn every_default_dispatches_less_often_or_stages_fewer_bytes() {
    let spec = model::preset("stories110m").expect("a preset").spec;
    for pipeline in Pipeline::ALL {
        let [theirs, ours] = [KernelForm::Original, KernelForm::Fused]
            .map(|form| ane::cost::Totals::of(&ane::cost::calls(&of(pipeline, form), &spec, 256).expect("kernels")));
        let staged = |t: &ane::cost::Totals| t.written_bytes + t.staged_bytes;
        assert!(ours.dispatches <= theirs.dispatches && staged(&ours) <= staged(&theirs), "{pipeline}: {ours:?} {theirs:?}");
        assert!(ours.dispatches < theirs.dispatches || staged(&ours) < staged(&theirs), "{pipeline}: {ours:?} {theirs:?}");
    }
}

#[test]
fn the_sum_over_kernels_is_that_of_the_set() {
    for options in all_options() {
        let set = build(&options, &shape("stories-36m", 64));
        let (layers, counts) = (7, set.counts);
        let (dispatches, programs) = set.usage(layers).fold((0, 0), |(d, p), u| (d + u.dispatches, p + u.programs));
        assert_eq!(dispatches, counts.dispatches(layers).iter().sum::<usize>(), "{options:?}");
        assert_eq!(programs, counts.compiles_an_update(layers) + counts.compiles_at_start(), "{options:?}");
    }
}

/// 2 x multiply-adds of the projections of a layer, and of scores and mixed values, which are computed in full.
#[test]
fn arithmetic_is_that_of_the_model() {
    let shape = shape("stories-36m", 64);
    let (d, ff, s) = (shape.dim as f64, shape.hidden as f64, shape.seq as f64);
    let projections = 2.0 * s * (d * (shape.qkv_dim() + shape.q_dim()) as f64 + 3.0 * d * ff);
    let attention = 2.0 * 2.0 * s * s * shape.q_dim() as f64;
    for form in [KernelForm::Fused, KernelForm::Original] {
        for pipeline in [Pipeline::Static, Pipeline::Dynamic] {
            let set = build(&of(pipeline, form), &shape);
            let total: f64 = set.usage(1).map(|u| u.spec.flops * u.dispatches as f64).sum();
            // backward: gradients of inputs alone, scores once more, and four products of their size
            assert_eq!(total, 2.0 * projections + 3.5 * attention, "{form:?} {pipeline}");
        }
        let set = build(&of(Pipeline::MatmulOnly, form), &shape);
        assert_eq!(set.specs.iter().map(|s| s.flops).sum::<f64>(), projections);
    }
}

#[test]
fn several_layers_are_one_dispatch() {
    let options = PipelineOptions { layers_per_program: 4, ..of(Pipeline::Static, KernelForm::Fused) };
    let counts = build(&options, &shape("stories110m", 256)).counts;
    assert_eq!((counts.dispatches(12), counts.compiles_an_update(12)), ([3, 36], 3 + 36));
}

#[test]
fn bytes_of_surfaces_are_the_published_ones() {
    let stories = shape("stories110m", 256);
    let check = |pipeline, expected: &[(&str, usize, usize)]| {
        let set = build(&of(pipeline, KernelForm::Original), &stories);
        for &(name, read, written) in expected {
            let spec = set.specs.iter().find(|s| s.name == name).expect(name);
            assert_eq!((spec.inputs[0].bytes(), spec.outputs[0].bytes()), (read, written), "{name}");
        }
    };
    check(
        Pipeline::Static,
        &[
            ("fwd_attn", 393_216, 2_359_296),
            ("fwd_ffn", 393_216, 3_932_160),
            ("ffn_bwd", 2_490_368, 2_490_368),
            ("sdpa_bwd1", 1_572_864, 3_538_944),
            ("sdpa_bwd2", 3_932_160, 786_432),
            ("qkv_bwd", 1_179_648, 393_216),
        ],
    );
    let wide = |width: usize, channels: usize| 2 * width * channels;
    check(
        Pipeline::Dynamic,
        &[
            ("sdpa_fwd", wide(256 + 3 * 768, 768), wide(256, 5 * 768)),
            ("wo_fwd", wide(256 + 768, 768), wide(256, 768)),
            ("ffn_fused", wide(512 + 3 * 2048, 768), wide(256, 768 + 3 * 2048)),
            ("ffn_bwd_w13t", wide(512 + 2 * 768, 2048), wide(256, 768)),
            ("kv_bwd", wide(512 + 2 * 768, 768), wide(256, 768)),
        ],
    );
}

#[test]
fn every_set_is_built_and_says_what_lies_where() {
    for preset in ["stories110m", "stories-1m", "smollm2-360m", "qwen3-0.6b"] {
        let shape = shape(preset, 64);
        for options in all_options() {
            for spec in build(&options, &shape).specs {
                check_spec(&spec, &format!("{preset} {options:?} {}", spec.name));
            }
        }
    }
}

fn check_spec(spec: &KernelSpec, what: &str) {
    let main = &spec.program.functions[0];
    mil::check(&spec.program).unwrap_or_else(|e| panic!("{what}: {e:?}"));
    assert_eq!(main.inputs.len(), spec.inputs.len(), "{what}");
    for (binding, packed) in main.inputs.iter().zip(&spec.inputs) {
        assert_eq!((binding.name.as_str(), &binding.ty), (packed.port, &packed.ty()), "{what}");
        assert_eq!(packed.shape()[3] % 32, 0, "{what}: width of {}", packed.port);
    }
    for (name, packed) in main.outputs.iter().zip(&spec.outputs) {
        let result = main.body.iter().flat_map(|s| &s.results).find(|r| r.name == *name).expect("an output");
        assert_eq!((name.as_str(), &result.ty), (packed.port, &packed.ty()), "{what}");
    }
    for chip in mil::Chip::ALL {
        // the dialect that the oldest chips want has no 8-bit activations
        let old = spec.program.clone().in_dialect(mil::Dialect::Ios16);
        let quantises = main.body.iter().any(|s| s.op == "quantize");
        assert_eq!(mil::check(&old).is_err(), quantises, "{what}");
        let target = mil::rules::Target { chip, ..Default::default() };
        let broken = mil::rules::check(&spec.program, &[], &target);
        let refused: Vec<_> = broken.iter().filter(|v| v.severity == mil::rules::Severity::Error).collect();
        assert!(refused.is_empty(), "{what} on {chip}: {}", refused[0]);
    }
    let names = spec.inputs.iter().map(|p| p.port);
    assert!(names.is_sorted(), "{what}: ports in the order of the alphabet");
    assert!(spec.inputs.iter().map(|p| p.bytes()).is_sorted(), "{what}: ports in the order of their sizes");
    assert!(spec.flops > 0.0 || ["softmax", "final_norm", "attn_norm_bwd", "ffn_norm_bwd"].contains(&spec.name), "{what}");
}

#[test]
fn weights_as_parameters_lie_once_for_both_passes() {
    let shape = shape("stories110m", 256);
    let options = PipelineOptions { weights: WeightForm::Parameters, ..of(Pipeline::Dynamic, KernelForm::Fused) };
    let specs = build(&options, &shape).specs;
    let weights = |spec: &KernelSpec| spec.inputs.iter().filter(|p| p.fields[0].holds.is_some()).cloned().collect::<Vec<_>>();
    let all: Vec<_> = specs.iter().flat_map(weights).map(|p| p.fields).collect();
    let mut distinct = all.clone();
    distinct.sort_by_key(|f| f[0].name);
    distinct.dedup();
    assert_eq!((all.len(), distinct.len()), (8, 4));
    let elements: usize = distinct.iter().flatten().map(|f| f.channels * f.width).sum();
    assert_eq!(elements, 4 * 768 * 768 + 3 * 768 * 2048);
}
