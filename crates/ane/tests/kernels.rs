//! Every kernel through the interpreter, in fp16 op by op, against a block in f64; gradients against finite differences.

mod reference;
mod runner;

use ane::kernels::{dynamic, dynamic_original, extras, fixed, layers, original, products};
use ane::{KernelForm, KernelSpec, WeightForm};
use model::{Part, TensorId};
use reference::{Defect, Reference, cases, dot, gradient, noise};
use runner::{Outputs, run, run_in};

/// Tokens: few, for every one of every input of the backward pass is moved to see what the loss does.
const S: usize = 16;
const LAYER: usize = 1;
const FORMS: [KernelForm; 2] = [KernelForm::Fused, KernelForm::Original];
const WEIGHTS: [WeightForm; 2] = [WeightForm::Packed, WeightForm::Parameters];

/// Largest error, over the largest value: a handful of roundings to 11 bits (4.9e-4). The worst that was seen is half of it,
/// behind a norm.
const FORWARD: f64 = 2.5e-3;
const BACKWARD: f64 = 2e-3;
/// The same where activations are read from tables, whose own error is 3e-3.
const TABLES: f64 = 8e-3;
/// What a defect makes of it at least.
const WRONG: f64 = 0.05;

fn shape(model: &Reference) -> ane::BlockShape {
    ane::BlockShape::of(&model.spec, S)
}

fn stream(seed: u64, width: usize) -> Vec<f64> {
    noise(seed, S * width, 1.0)
}

/// Largest error over the largest value.
fn error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let worst =
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, |m: f64, e| if e.is_nan() { e } else { m.max(e) });
    worst / largest
}

/// Asserts that fields of `found` are what they should be.
fn agree(what: &str, found: &Outputs, expected: &[(&str, &[f64])], tolerance: f64) {
    for (field, values) in expected {
        let off = error(found.get(field), values);
        assert!(off <= tolerance, "{what}: {field} is off by {off:.2e} of its largest value");
    }
}

fn built(spec: Result<KernelSpec, mil::BuildError>) -> KernelSpec {
    spec.unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn dynamic_attention_forward() {
    for model in cases() {
        let x = stream(1, model.spec.dim);
        let part = model.attention_from_norm(LAYER, x.clone());
        for weights in WEIGHTS {
            let found = run(&built(dynamic::attn_fwd(&shape(&model), weights)), &model, LAYER, &[("xnorm", &x)]);
            let fields = [("out", &part.out), ("q", &part.q), ("k", &part.k), ("v", &part.v), ("attn", &part.attn)];
            agree("attn_fwd", &found, &fields.map(|(n, v)| (n, v.as_slice())), FORWARD);
            let found = run(&built(dynamic_original::sdpa_fwd(&shape(&model), weights)), &model, LAYER, &[("xnorm", &x)]);
            let fields = [("xnorm", &x), ("q", &part.q), ("k", &part.k), ("v", &part.v), ("attn", &part.attn)];
            agree("sdpa_fwd", &found, &fields.map(|(n, v)| (n, v.as_slice())), FORWARD);
            let found = run(&built(dynamic_original::wo_fwd(&shape(&model), weights)), &model, LAYER, &[("attn", &part.attn)]);
            agree("wo_fwd", &found, &[("out", &part.out)], FORWARD);
        }
    }
}

#[test]
fn a_model_without_rotation() {
    let mut model = cases().remove(0);
    model.spec.no_rope = (0..model.spec.layers).collect();
    let x = stream(1, model.spec.dim);
    let [q, k, v] = [Part::Q, Part::K, Part::V].map(|part| model.project(LAYER, part, &x));
    let attn = model.mix(&q, &k, &v);
    for spec in
        [dynamic::attn_fwd(&shape(&model), WeightForm::Packed), dynamic_original::sdpa_fwd(&shape(&model), WeightForm::Packed)]
    {
        let found = run(&built(spec), &model, LAYER, &[("xnorm", &x)]);
        agree("without rotation", &found, &[("q", &q), ("k", &k), ("attn", &attn)], FORWARD);
    }
}

#[test]
fn dynamic_feed_forward() {
    for model in cases() {
        let (x, x2) = (stream(2, model.spec.dim), stream(3, model.spec.dim));
        let part = model.ffn_from_norm(LAYER, x.clone());
        for weights in WEIGHTS {
            let found = run(&built(dynamic::ffn_fwd(&shape(&model), weights)), &model, LAYER, &[("x2norm", &x)]);
            agree("ffn_fwd", &found, &[("out", &part.out), ("h1", &part.h1), ("h3", &part.h3)], FORWARD);
            let inputs = [("x2norm", x.as_slice()), ("x2", &x2)];
            let found = run(&built(dynamic_original::ffn_fused(&shape(&model), weights)), &model, LAYER, &inputs);
            let next = model.add_branch(&x2, &part.out);
            agree("ffn_fused", &found, &[("x_next", &next), ("h1", &part.h1), ("h3", &part.h3), ("gate", &part.act)], FORWARD);
        }
    }
}

#[test]
fn static_forward() {
    for model in cases() {
        let x = stream(4, model.spec.dim);
        let (attention, ffn) = (model.attention(LAYER, &x), model.ffn(LAYER, &x));
        for form in FORMS {
            let found = run(&built(fixed::fwd_attn(&shape(&model), form)), &model, LAYER, &[("x", &x)]);
            let a = &attention;
            let fields = [("out", &a.out), ("q", &a.q), ("k", &a.k), ("v", &a.v), ("attn", &a.attn)];
            agree("fwd_attn", &found, &fields.map(|(n, v)| (n, v.as_slice())), FORWARD);
            let more = run(&built(fixed::fwd_ffn(&shape(&model), form)), &model, LAYER, &[("x2", &x)]);
            agree("fwd_ffn", &more, &[("out", &ffn.out), ("h1", &ffn.h1), ("h3", &ffn.h3)], FORWARD);
            if form == KernelForm::Original {
                agree("fwd_attn", &found, &[("xnorm", &a.xnorm)], FORWARD);
                agree("fwd_ffn", &more, &[("gate", &ffn.act), ("xnorm", &ffn.xnorm)], FORWARD);
            }
        }
    }
}

#[test]
fn several_layers_forward() {
    for model in cases() {
        let x = stream(5, model.spec.dim);
        let found = FORMS.map(|form| run(&built(layers::layers_fwd(&shape(&model), form, 2)), &model, 0, &[("x", &x)]));
        let mut stream = x;
        for layer in 0..2 {
            let attention = model.attention(layer, &stream);
            let middle = model.add_branch(&stream, &attention.out);
            let ffn = model.ffn(layer, &middle);
            stream = model.add_branch(&middle, &ffn.out);
            let fields = [("x2", &middle), ("q", &attention.q), ("attn", &attention.attn), ("h3", &ffn.h3), ("x_next", &stream)];
            for found in &found {
                agree("layers_fwd", &found.port(layer), &fields.map(|(n, v)| (n, v.as_slice())), 2.0 * FORWARD);
            }
        }
    }
}

/// What the backward pass of the feed-forward part is given, and what it should return.
struct FfnBackward {
    h1: Vec<f64>,
    h3: Vec<f64>,
    dffn: Vec<f64>,
    dx: Vec<f64>,
    dh1: Vec<f64>,
    dh3: Vec<f64>,
}

fn ffn_backward(model: &Reference) -> FfnBackward {
    let (x, dffn) = (stream(6, model.spec.dim), stream(7, model.spec.dim));
    let part = model.ffn_from_norm(LAYER, x.clone());
    let dact = model.project_back(LAYER, Part::Down, &dffn);
    let silu = |a: f64| a / (1.0 + (-a).exp());
    let rounded = |v: &[f64]| v.iter().map(|v| half::f16::from_f64(*v).to_f64()).collect::<Vec<f64>>();
    let (h1, h3) = (rounded(&part.h1), rounded(&part.h3));
    let slope = |a: &f64| (silu(a + 1e-5) - silu(a - 1e-5)) / 2e-5;
    let dh1 = h1.iter().zip(&h3).zip(&dact).map(|((a, b), d)| d * b * slope(a)).collect();
    let dh3 = h1.iter().zip(&dact).map(|(a, d)| d * silu(*a)).collect();
    let dx = gradient(&x, |x| dot(&dffn, &model.ffn_from_norm(LAYER, x.to_vec()).out));
    FfnBackward { h1, h3, dffn, dx, dh1, dh3 }
}

#[test]
fn feed_forward_backward() {
    for model in cases() {
        let b = ffn_backward(&model);
        let inputs = [("dffn", b.dffn.as_slice()), ("h1", &b.h1), ("h3", &b.h3)];
        let kernels = WEIGHTS.map(|weights| dynamic::ffn_bwd(&shape(&model), weights));
        for spec in kernels.into_iter().chain([fixed::ffn_bwd(&shape(&model))]) {
            let found = run(&built(spec), &model, LAYER, &inputs);
            agree("ffn_bwd", &found, &[("dx", &b.dx), ("dh1", &b.dh1), ("dh3", &b.dh3)], BACKWARD);
        }
        for weights in WEIGHTS {
            let found = run(&built(dynamic_original::ffn_bwd_w2t(&shape(&model), weights)), &model, LAYER, &[("dffn", &b.dffn)]);
            agree("ffn_bwd_w2t", &found, &[("dact", &model.project_back(LAYER, Part::Down, &b.dffn))], BACKWARD);
            let inputs = [("dh1", b.dh1.as_slice()), ("dh3", &b.dh3)];
            let found = run(&built(dynamic_original::ffn_bwd_w13t(&shape(&model), weights)), &model, LAYER, &inputs);
            agree("ffn_bwd_w13t", &found, &[("dx", &b.dx)], BACKWARD);
        }
    }
}

/// What the backward pass of attention is given, and what it should return: gradients before the rotation.
struct AttentionBackward {
    q: Vec<f64>,
    k: Vec<f64>,
    v: Vec<f64>,
    dout: Vec<f64>,
    dq: Vec<f64>,
    dk: Vec<f64>,
    dv: Vec<f64>,
}

fn attention_backward(model: &Reference) -> AttentionBackward {
    let spec = &model.spec;
    let (q, k) = (stream(8, spec.q_dim()), stream(9, spec.kv_dim()));
    let (v, dout) = (stream(10, spec.kv_dim()), stream(11, spec.dim));
    let loss = |q: &[f64], k: &[f64], v: &[f64]| dot(&dout, &model.attention_of(LAYER, q, k, v));
    let dq = gradient(&q, |q| loss(q, &k, &v));
    let dk = gradient(&k, |k| loss(&q, k, &v));
    let dv = gradient(&v, |v| loss(&q, &k, v));
    let (q, k) = (model.rotate(&q, spec.heads), model.rotate(&k, spec.kv_heads));
    AttentionBackward { q, k, v, dq, dk, dv, dout }
}

#[test]
fn attention_backward_in_one() {
    for model in cases() {
        let b = attention_backward(&model);
        let inputs = [("q", b.q.as_slice()), ("k", &b.k), ("v", &b.v), ("dout", &b.dout)];
        let kernels = WEIGHTS.map(|weights| dynamic::attn_bwd(&shape(&model), weights));
        for spec in kernels.into_iter().chain([fixed::attn_bwd(&shape(&model))]) {
            let found = run(&built(spec), &model, LAYER, &inputs);
            agree("attn_bwd", &found, &[("dq", &b.dq), ("dk", &b.dk), ("dv", &b.dv)], BACKWARD);
        }
    }
}

/// `[s, h hd]` of `[s, kv hd]`: each head as often as it is read.
fn tiled(model: &Reference, x: &[f64]) -> Vec<f64> {
    let (hd, group) = (model.spec.head_dim, model.spec.group());
    x.chunks(hd).flat_map(|head| head.repeat(group)).collect()
}

/// `[s, kv hd]` of `[s, h hd]`: the sum over the heads that read the same.
fn summed(model: &Reference, x: &[f64]) -> Vec<f64> {
    let (hd, group) = (model.spec.head_dim, model.spec.group());
    x.chunks(hd * group).flat_map(|heads| (0..hd).map(|i| heads.iter().skip(i).step_by(hd).sum()).collect::<Vec<f64>>()).collect()
}

#[test]
fn attention_backward_in_two() {
    for model in cases() {
        let b = attention_backward(&model);
        let (shape, spec) = (shape(&model), &model.spec);
        let (k, v) = (tiled(&model, &b.k), tiled(&model, &b.v));
        let da = model.project_back(LAYER, Part::O, &b.dout);
        let inputs = [("q", b.q.as_slice()), ("k_tiled", &k), ("v_tiled", &v), ("dout", &b.dout), ("da", &da)];
        for projects in [true, false] {
            let first = run(&built(original::sdpa_bwd1(&shape, projects)), &model, LAYER, &inputs);
            let (probs, dp) = (first.get("probs").to_vec(), first.get("dp").to_vec());
            let inputs = [("probs", probs.as_slice()), ("dp", &dp), ("q", &b.q), ("k_tiled", &k)];
            let second = run(&built(original::sdpa_bwd2(&shape)), &model, LAYER, &inputs);
            // what is left to the CPU
            let dk = summed(&model, second.get("dk_full"));
            let found = Outputs::of(&[
                ("dv", summed(&model, first.get("dv_full"))),
                ("dq", back(&model, second.get("dq"), spec.heads)),
                ("dk", back(&model, &dk, spec.kv_heads)),
            ]);
            agree("sdpa_bwd", &found, &[("dq", &b.dq), ("dk", &b.dk), ("dv", &b.dv)], BACKWARD);
        }
        for weights in WEIGHTS {
            let found = run(&built(dynamic_original::wot_bwd(&shape, weights)), &model, LAYER, &[("dout", &b.dout)]);
            agree("wot_bwd", &found, &[("da", &da)], BACKWARD);
        }
    }
}

/// The opposite rotation: by turning, and turning the other half about.
fn back(model: &Reference, x: &[f64], heads: usize) -> Vec<f64> {
    let hd = model.spec.head_dim;
    let conjugate = |x: &[f64]| {
        let flip = |(i, v): (usize, &f64)| if i % hd < hd / 2 { *v } else { -v };
        x.iter().enumerate().map(flip).collect::<Vec<f64>>()
    };
    conjugate(&model.rotate(&conjugate(x), heads))
}

#[test]
fn projections_backward() {
    for model in cases() {
        let (spec, shape) = (&model.spec, shape(&model));
        let (dq, dk) = (stream(12, spec.q_dim()), stream(13, spec.kv_dim()));
        let dv = stream(14, spec.kv_dim());
        let [by_q, by_k, by_v] =
            [(Part::Q, &dq), (Part::K, &dk), (Part::V, &dv)].map(|(part, dy)| model.project_back(LAYER, part, dy));
        let by_kv: Vec<f64> = by_k.iter().zip(&by_v).map(|(a, b)| a + b).collect();
        let dx: Vec<f64> = by_kv.iter().zip(&by_q).map(|(a, b)| a + b).collect();
        let inputs = [("dq", dq.as_slice()), ("dk", &dk), ("dv", &dv)];
        let kernels = WEIGHTS.map(|weights| dynamic::qkv_bwd(&shape, weights));
        for spec in kernels.into_iter().chain([fixed::qkv_bwd(&shape)]) {
            agree("qkv_bwd", &run(&built(spec), &model, LAYER, &inputs), &[("dx", &dx)], BACKWARD);
        }
        for weights in WEIGHTS {
            let found = run(&built(dynamic_original::q_bwd(&shape, weights)), &model, LAYER, &inputs);
            agree("q_bwd", &found, &[("dx", &by_q)], BACKWARD);
            let found = run(&built(dynamic_original::kv_bwd(&shape, weights)), &model, LAYER, &inputs);
            agree("kv_bwd", &found, &[("dx", &by_kv)], BACKWARD);
        }
    }
}

#[test]
fn products_alone() {
    for model in cases() {
        let shape = shape(&model);
        for part in [Part::Q, Part::K, Part::V, Part::O, Part::Gate, Part::Up, Part::Down] {
            let cols = model.layout.get(TensorId::Layer(LAYER, part)).expect("a matrix of the block").shape[1];
            let x = stream(15, cols);
            let y = model.project(LAYER, part, &x);
            let inputs = ["xnorm", "x2norm", "attn", "act"].map(|field| (field, x.as_slice()));
            for form in FORMS {
                for weights in WEIGHTS {
                    let found = run(&built(products::matmul(&shape, form, weights, part)), &model, LAYER, &inputs);
                    agree("matmul", &found, &[("y", &y)], FORWARD);
                }
            }
            let found = run(&built(products::conv(&shape, part, false)), &model, LAYER, &inputs);
            agree("conv", &found, &[("y", &y)], FORWARD);
        }
    }
}

#[test]
fn products_of_neighbours() {
    for model in cases() {
        let (shape, x) = (shape(&model), stream(16, model.spec.dim));
        let beside = |parts: &[Part]| {
            let each: Vec<_> = parts.iter().map(|part| model.project(LAYER, *part, &x)).collect();
            (0..S)
                .flat_map(|t| each.iter().flat_map(move |y| y[t * y.len() / S..(t + 1) * y.len() / S].to_vec()))
                .collect::<Vec<f64>>()
        };
        let (qkv, gate_up) = (beside(&[Part::Q, Part::K, Part::V]), beside(&[Part::Gate, Part::Up]));
        for weights in WEIGHTS {
            let found = run(&built(products::matmul_qkv(&shape, weights)), &model, LAYER, &[("xnorm", &x)]);
            agree("wqkv", &found, &[("y", &qkv)], FORWARD);
            let found = run(&built(products::matmul_gate_up(&shape, weights)), &model, LAYER, &[("x2norm", &x)]);
            agree("w13", &found, &[("y", &gate_up)], FORWARD);
        }
        let x2 = stream(17, model.spec.dim);
        let ffn = model.ffn_from_norm(LAYER, x.clone());
        let next = model.add_branch(&x2, &ffn.out);
        let found = run(&built(products::qkv_conv(&shape, false)), &model, LAYER, &[("xnorm", &x)]);
        agree("qkv_conv", &found, &[("y", &qkv)], FORWARD);
        let found = run(&built(products::ffn_conv(&shape, KernelForm::Fused, false)), &model, LAYER, &[("x2norm", &x)]);
        agree("ffn_conv", &found, &[("out", &ffn.out), ("h1", &ffn.h1), ("h3", &ffn.h3)], FORWARD);
        let inputs = [("x2norm", x.as_slice()), ("x2", &x2)];
        let found = run(&built(products::ffn_conv(&shape, KernelForm::Original, false)), &model, LAYER, &inputs);
        agree("ffn_conv", &found, &[("x_next", &next)], FORWARD);
    }
}

#[test]
fn classifier_softmax_and_norms() {
    for model in cases() {
        let (shape, x) = (shape(&model), stream(18, model.spec.dim));
        let normed = model.norm(TensorId::FinalNorm, &x);
        let found = run(&built(extras::final_norm(&shape)), &model, LAYER, &[("x", &x)]);
        agree("final_norm", &found, &[("xnorm", &normed)], FORWARD);
        let logits = reference::times_transposed(&x, &model.tensor(TensorId::Embed), model.spec.dim);
        let found = run(&built(extras::classifier(&shape)), &model, LAYER, &[("x", &x)]);
        agree("classifier", &found, &[("logits", &logits)], FORWARD);
        let softmax = |row: &[f64]| {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(|v| v.exp() / sum).collect::<Vec<f64>>()
        };
        let probs: Vec<f64> = logits.chunks(model.spec.vocab).flat_map(softmax).collect();
        let found = run(&built(extras::softmax(&shape)), &model, LAYER, &[("logits", &logits)]);
        agree("softmax", &found, &[("probs", &probs)], FORWARD);
        let dy = stream(19, model.spec.dim);
        for part in [Part::AttnNorm, Part::FfnNorm] {
            let dx = gradient(&x, |x| dot(&dy, &model.norm(TensorId::Layer(LAYER, part), x)));
            let found = run(&built(extras::norm_bwd(&shape, part)), &model, LAYER, &[("dy", &dy), ("x", &x)]);
            agree("norm_bwd", &found, &[("dx", &dx)], BACKWARD);
        }
    }
}

/// In the numerics of every chip: activations by tables, products in tiles of four, saturation.
#[test]
fn a_layer_on_every_chip() {
    for model in cases() {
        let (shape, x) = (shape(&model), stream(21, model.spec.dim));
        let (attention, ffn) = (model.attention(LAYER, &x), model.ffn(LAYER, &x));
        let b = attention_backward(&model);
        for chip in mil::Chip::ALL {
            let at = |spec, inputs: &[_]| run_in(mil::Numerics::ane(chip), &built(spec), &model, LAYER, inputs);
            for form in FORMS {
                let found = at(fixed::fwd_attn(&shape, form), &[("x", &x)]);
                agree(&format!("fwd_attn on {chip}"), &found, &[("out", &attention.out), ("q", &attention.q)], TABLES);
                let found = at(fixed::fwd_ffn(&shape, form), &[("x2", &x)]);
                agree(&format!("fwd_ffn on {chip}"), &found, &[("out", &ffn.out)], TABLES);
            }
            let inputs = [("q", b.q.as_slice()), ("k", &b.k), ("v", &b.v), ("dout", &b.dout)];
            let found = at(dynamic::attn_bwd(&shape, WeightForm::Packed), &inputs);
            agree(&format!("attn_bwd on {chip}"), &found, &[("dq", &b.dq), ("dk", &b.dk), ("dv", &b.dv)], TABLES);
        }
    }
}

/// Streams of the sizes that untrained embeddings and the outliers of trained models have.
#[test]
fn norms_of_small_and_large_streams() {
    for model in cases() {
        for (scale, outlier) in [(0.02, 0.02), (1.0, 3000.0)] {
            let mut x = noise(20, S * model.spec.dim, scale);
            x[0] = outlier;
            let found = run(&built(extras::final_norm(&shape(&model))), &model, LAYER, &[("x", &x)]);
            agree("final_norm", &found, &[("xnorm", &model.norm(TensorId::FinalNorm, &x))], FORWARD);
        }
    }
}

#[test]
fn a_key_head_is_that_of_its_group_not_of_the_remainder() {
    let model = &cases()[2];
    let wrong = model.with(Defect::GroupByModulo);
    let x = stream(1, model.spec.dim);
    for spec in
        [dynamic::attn_fwd(&shape(model), WeightForm::Packed), dynamic_original::sdpa_fwd(&shape(model), WeightForm::Packed)]
    {
        let found = run(&built(spec), model, LAYER, &[("xnorm", &x)]);
        assert!(error(found.get("attn"), &wrong.attention_from_norm(LAYER, x.clone()).attn) > WRONG);
    }
    let b = attention_backward(&wrong);
    let inputs = [("q", b.q.as_slice()), ("k", &b.k), ("v", &b.v), ("dout", &b.dout)];
    let found = run(&built(dynamic::attn_bwd(&shape(model), WeightForm::Packed)), model, LAYER, &inputs);
    for (field, expected) in [("dq", &b.dq), ("dk", &b.dk), ("dv", &b.dv)] {
        assert!(error(found.get(field), expected) > WRONG, "{field}");
    }
}

#[test]
fn the_rotation_has_the_base_of_the_model() {
    let model = &cases()[2];
    let wrong = model.with(Defect::FixedTheta);
    let x = stream(1, model.spec.dim);
    let part = wrong.attention_from_norm(LAYER, x.clone());
    for spec in
        [dynamic::attn_fwd(&shape(model), WeightForm::Packed), dynamic_original::sdpa_fwd(&shape(model), WeightForm::Packed)]
    {
        let found = run(&built(spec), model, LAYER, &[("xnorm", &x)]);
        assert!(error(found.get("q"), &part.q) > WRONG && error(found.get("k"), &part.k) > WRONG);
    }
}

#[test]
fn a_residual_connection_inside_a_kernel_has_the_scale_of_the_model() {
    let model = &cases()[2];
    let wrong = model.with(Defect::UnscaledBranch);
    let (x, x2) = (stream(2, model.spec.dim), stream(3, model.spec.dim));
    let next = wrong.add_branch(&x2, &wrong.ffn_from_norm(LAYER, x.clone()).out);
    let inputs = [("x2norm", x.as_slice()), ("x2", &x2)];
    let kernels = [
        dynamic_original::ffn_fused(&shape(model), WeightForm::Packed),
        products::ffn_conv(&shape(model), KernelForm::Original, false),
    ];
    for spec in kernels {
        assert!(error(run(&built(spec), model, LAYER, &inputs).get("x_next"), &next) > WRONG);
    }
}

#[test]
fn the_gain_of_a_norm_is_in_its_gradient_once() {
    let model = &cases()[2];
    let (x, dy) = (stream(18, model.spec.dim), stream(19, model.spec.dim));
    let (id, d) = (TensorId::Layer(LAYER, Part::FfnNorm), model.spec.dim);
    let gain = model.tensor(id);
    // gain r (dy - x sum(dy gain x) r^2 / d)
    let row = |(x, dy): (&[f64], &[f64])| {
        let r2 = 1.0 / (dot(x, x) / d as f64 + f64::from(model.spec.norm_eps));
        let along: f64 = (0..d).map(|c| dy[c] * gain[c] * x[c]).sum::<f64>() * r2 / d as f64;
        (0..d).map(|c| gain[c] * r2.sqrt() * (dy[c] - x[c] * along)).collect::<Vec<f64>>()
    };
    let wrong: Vec<f64> = x.chunks(d).zip(dy.chunks(d)).flat_map(row).collect();
    let found = run(&built(extras::norm_bwd(&shape(model), Part::FfnNorm)), model, LAYER, &[("dy", &dy), ("x", &x)]);
    assert!(error(found.get("dx"), &wrong) > WRONG);
}
