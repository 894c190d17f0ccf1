//! Adapters of PEFT and of MLX: read, merged once, rewritten.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;

use common::{folder, tiny};
use formats::adapter::{Adapter, Factors, Kind, is_one, write_peft};
use formats::{Encoding, Model, open};
use model::{Layout, ModelSpec, Part, TensorId};
use serde_json::{Value, json};

const Q: TensorId = TensorId::Layer(0, Part::Q);
const DOWN: TensorId = TensorId::Layer(1, Part::Down);

/// Values without a pattern.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32).map(|i| ((i + seed).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5).collect()
}

fn write_tensors(path: &Path, tensors: &[(String, [usize; 2], Vec<f32>)]) {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, shape, values) in tensors {
        let begin = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] }));
    }
    let text = Value::Object(header).to_string();
    let bytes = [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &data].concat();
    fs::write(path, bytes).unwrap();
}

/// A PEFT adapter of `q_proj` of layer 0 (rank 3) and `down_proj` of layer 1 (rank 2).
fn peft(dir: &Path, spec: &ModelSpec, changes: Value) {
    let mut config = json!({
        "peft_type": "LORA", "r": 3, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"], "bias": "none",
        "rank_pattern": { "down_proj": 2 }, "alpha_pattern": {}, "modules_to_save": null, "use_dora": false,
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(dir.join("adapter_config.json"), config.to_string()).unwrap();
    let mut tensors = Vec::new();
    for (i, (name, [rows, cols], r)) in modules(spec).into_iter().enumerate() {
        let (a, b) = (noise(r * cols, i as u32), noise(rows * r, 77 + i as u32));
        tensors.push((format!("base_model.model.{name}.lora_A.weight"), [r, cols], a));
        tensors.push((format!("base_model.model.{name}.lora_B.weight"), [rows, r], b));
    }
    write_tensors(&dir.join("adapter_model.safetensors"), &tensors);
}

fn modules(spec: &ModelSpec) -> [(&'static str, [usize; 2], usize); 2] {
    [
        ("model.layers.0.self_attn.q_proj", [spec.q_dim(), spec.dim], 3),
        ("model.layers.1.mlp.down_proj", [spec.dim, spec.hidden], 2),
    ]
}

/// `W + scale B A` of the two modules, in f64, and every other weight as it is.
fn expected(layout: &Layout, base: &[f32], scales: [f64; 2]) -> Vec<f64> {
    let mut all: Vec<f64> = base.iter().map(|w| f64::from(*w)).collect();
    for (i, (id, r)) in [(Q, 3), (DOWN, 2)].into_iter().enumerate() {
        let info = layout.get(id).unwrap();
        let [rows, cols] = info.shape;
        let (a, b) = (noise(r * cols, i as u32), noise(rows * r, 77 + i as u32));
        for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
            let sum: f64 = (0..r).map(|k| f64::from(b[row * r + k]) * f64::from(a[k * cols + col])).sum();
            all[info.range.start + row * cols + col] += scales[i] * sum;
        }
    }
    all
}

fn near(model: &Model, expected: &[f64]) {
    let ours = model.load(model.layout()).unwrap();
    let worst = ours.iter().zip(expected).map(|(o, e)| (f64::from(*o) - e).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-6, "differs by {worst}");
}

#[test]
fn a_peft_adapter_is_merged_with_the_scale_of_its_configuration() {
    let (base, weights) = folder(&tiny());
    let layout = Layout::of(&tiny());
    let third = 6.0 / 3f64.sqrt();
    for (changes, scales) in [
        (json!({}), [2.0, 3.0]),
        (json!({ "use_rslora": true }), [third, 6.0 / 2f64.sqrt()]),
        (json!({ "alpha_pattern": { "q_proj": 1.5 } }), [0.5, 3.0]),
        (json!({ "alpha_pattern": { "layers.1.mlp.down_proj": 1, "down_proj": 4 } }), [2.0, 0.5]),
        (json!({ "alpha_pattern": { "^model.layers.0.self_attn.q_proj": 0, "^q_proj": 9, "proj": 9 } }), [0.0, 3.0]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        peft(dir.path(), &tiny(), changes);
        assert!(is_one(dir.path()) && !is_one(base.path()));
        let adapter = Adapter::open(dir.path()).unwrap();
        assert_eq!((adapter.kind, adapter.targets.len()), (Kind::Peft, 2));
        let model = open(base.path()).unwrap().merged(adapter).unwrap();
        near(&model, &expected(&layout, &weights, scales));
    }
}

/// A forward pass over the base plus twice the product is what happens when merged weights meet their adapter again.
#[test]
fn an_adapter_counts_once_however_its_model_is_read() {
    let (base, weights) = folder(&tiny());
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    peft(dir.path(), &tiny(), json!({}));
    let adapter = Adapter::open(dir.path()).unwrap();
    let model = open(base.path()).unwrap().merged(adapter.clone()).unwrap();
    let layout = model.layout().clone();
    let whole = model.load(&layout).unwrap();
    near(&model, &expected(&layout, &weights, [2.0, 3.0]));
    assert!(model.load(&layout).unwrap() == whole, "reading it twice changes nothing");
    let some: Vec<u32> = (0..tiny().vocab as u32).collect();
    assert!(model.load_rows(&layout, &some).unwrap() == whole);
    for t in layout.tensors() {
        let raw = model.raw(t.id).unwrap().unwrap();
        assert_eq!(model.encoding(t.id), Some(Encoding::F32));
        assert!(raw.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).eq(whole[t.range.clone()].iter().copied()));
        let (rows, cols) = (t.shape[0], t.shape[1]);
        let mut last = vec![0.0; cols];
        model.read_rows(t.id, rows - 1..rows, &mut last).unwrap();
        assert!(last == whole[t.range.end - cols..t.range.end], "{:?}", t.id);
    }
    // what is written is merged, and its base is untouched
    common::write(out.path(), &tiny(), &whole, formats::Dtype::F32, None);
    assert!(open(out.path()).unwrap().load(&layout).unwrap() == whole);
    assert!(open(base.path()).unwrap().load(&layout).unwrap() == weights);
    let twice = model.merged(adapter).unwrap_err();
    assert!(twice.to_string().contains("in the model already"), "{twice}");
}

#[test]
fn an_mlx_adapter_is_the_same_transposed_and_becomes_one_of_peft() {
    let spec = tiny();
    let (base, weights) = folder(&spec);
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = json!({ "fine_tune_type": "lora", "num_layers": 2, "model": "some/base",
        "lora_parameters": { "rank": 3, "scale": 1.25, "dropout": 0.0 } });
    fs::write(dir.path().join("adapter_config.json"), config.to_string()).unwrap();
    let (name, [rows, cols], r) = modules(&spec)[0];
    let (a, b) = (noise(r * cols, 0), noise(rows * r, 77));
    let turned = |v: &[f32], cols: usize| -> Vec<f32> {
        (0..cols).flat_map(|c| v.iter().skip(c).step_by(cols).copied().collect::<Vec<_>>()).collect()
    };
    let tensors = [(format!("{name}.lora_a"), [cols, r], turned(&a, cols)), (format!("{name}.lora_b"), [r, rows], turned(&b, r))];
    write_tensors(&dir.path().join("adapters.safetensors"), &tensors);
    let mlx = Adapter::open(dir.path()).unwrap();
    assert_eq!((mlx.kind, mlx.base.as_deref(), mlx.params()), (Kind::Mlx, Some("some/base"), a.len() + b.len()));
    assert_eq!(mlx.targets[&Q], Factors { rank: 3, a, b, scale: 1.25, magnitude: None });
    write_peft(out.path(), &mlx).unwrap();
    let back = Adapter::open(out.path()).unwrap();
    assert_eq!((back.kind, &back.base, &back.targets), (Kind::Peft, &mlx.base, &mlx.targets));
    let written: Value = serde_json::from_str(&fs::read_to_string(out.path().join("adapter_config.json")).unwrap()).unwrap();
    assert_eq!(
        (&written["r"], &written["lora_alpha"], &written["target_modules"]),
        (&json!(3), &json!(3.75), &json!(["q_proj"]))
    );
    let layout = Layout::of(&spec);
    let merged = open(base.path()).unwrap().merged(back).unwrap();
    let (all, q) = (expected(&layout, &weights, [1.25, 0.0]), layout.range(Q));
    near(&merged, &all);
    assert!(all[q.clone()] != weights[q].iter().map(|w| f64::from(*w)).collect::<Vec<_>>());
}

#[test]
fn ranks_and_scales_of_their_own_survive_a_rewrite() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    peft(dirs[0].path(), &tiny(), json!({ "use_rslora": true }));
    let adapter = Adapter::open(dirs[0].path()).unwrap();
    write_peft(dirs[1].path(), &adapter).unwrap();
    let back = Adapter::open(dirs[1].path()).unwrap();
    for (id, f) in &adapter.targets {
        let g = &back.targets[id];
        assert!((f.rank, &f.a, &f.b) == (g.rank, &g.a, &g.b) && (f.scale - g.scale).abs() < 1e-6 * f.scale, "{id:?}");
    }
}

#[test]
fn rows_are_given_their_lengths_where_the_base_is_read() {
    let (spec, dirs) = (tiny(), [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()]);
    peft(dirs[0].path(), &spec, json!({}));
    let mut adapter = Adapter::open(dirs[0].path()).unwrap();
    for (id, f) in &mut adapter.targets {
        f.magnitude = Some((0..f.shape()[0]).map(|j| 0.5 + j as f32 / 8.0 + if *id == Q { 1.0 } else { 0.0 }).collect());
    }
    write_peft(dirs[1].path(), &adapter).unwrap();
    let back = Adapter::open(dirs[1].path()).unwrap();
    assert_eq!(back.targets, adapter.targets);
    let plain = Adapter::open(dirs[0].path()).unwrap();
    assert_eq!(back.params(), plain.params() + spec.q_dim() + spec.dim);
    let (base, _) = folder(&spec);
    let [with, without] = [back, plain].map(|a| open(base.path()).unwrap().merged(a).unwrap());
    for id in [Q, DOWN] {
        let (with, without) = (with.tensor(id).unwrap().unwrap(), without.tensor(id).unwrap().unwrap());
        let cols = adapter.targets[&id].shape()[1];
        for (j, (row, sum)) in with.chunks(cols).zip(without.chunks(cols)).enumerate() {
            let length = |row: &[f32]| row.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>().sqrt();
            let wanted = f64::from(adapter.targets[&id].magnitude.as_ref().unwrap()[j]);
            assert!((length(row) - wanted).abs() < 1e-6 * wanted, "{id:?} {j}");
            let parallel = row.iter().zip(sum).all(|(a, b)| (f64::from(*a) * length(sum) - f64::from(*b) * wanted).abs() < 1e-5);
            assert!(parallel, "{id:?} {j}");
        }
    }
    // lengths that the configuration does not speak of are no plain adapter
    let config = dirs[1].path().join("adapter_config.json");
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("\"use_dora\": true", "\"use_dora\": false")).unwrap();
    let error = Adapter::open(dirs[1].path()).expect_err("lengths");
    assert!(error.to_string().contains("use_dora"), "{error}");
}

#[test]
fn what_an_adapter_cannot_be_is_refused_by_name() {
    for (changes, named) in [
        (json!({ "peft_type": "LOHA" }), "peft_type"),
        (json!({ "bias": "all" }), "bias"),
        (json!({ "use_dora": true }), "use_dora"),
        (json!({ "fan_in_fan_out": true }), "fan_in_fan_out"),
        (json!({ "modules_to_save": ["lm_head"] }), "modules_to_save"),
        (json!({ "alpha_pattern": { "q_proj|k_proj": 1 } }), "alpha_pattern"),
        (json!({ "r": null }), "key `r`"),
        (json!({ "lora_alpha": "8" }), "lora_alpha"),
        (json!({ "r": 4 }), "rank 4"),
        (json!({ "rank_pattern": {} }), "rank 3"),
        (json!({ "rank_pattern": { "q_proj": 0.5 } }), "rank"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        peft(dir.path(), &tiny(), changes);
        let error = Adapter::open(dir.path()).expect_err(named);
        assert!(error.exit_code() == 65 && error.to_string().contains(named), "{named}: {error}");
    }
}

#[test]
fn bad_tensors_are_named() {
    let (r, d) = (3, tiny().dim);
    let whole = |name: &str, rows, cols| (format!("base_model.model.{name}.weight"), [rows, cols], noise(rows * cols, 1));
    let q = "model.layers.0.self_attn.q_proj";
    let (a, b) = (whole(&format!("{q}.lora_A"), r, d), whole(&format!("{q}.lora_B"), tiny().q_dim(), r));
    for (tensors, named) in [
        (vec![], "none"),
        (vec![a.clone()], "both factors"),
        (vec![a.clone(), whole(&format!("{q}.lora_B"), tiny().q_dim(), 2)], "rank 2"),
        (vec![a.clone(), b.clone(), whole("model.norm", 1, d)], "model.norm"),
        (vec![whole("model.embed_tokens.lora_A", r, d)], "embed_tokens"),
        (vec![whole("model.norm.lora_A", r, d)], "model.norm"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        peft(dir.path(), &tiny(), json!({}));
        write_tensors(&dir.path().join("adapter_model.safetensors"), &tensors);
        let error = Adapter::open(dir.path()).expect_err(named);
        assert!(error.exit_code() == 65 && error.to_string().contains(named), "{named}: {error}");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("adapter_config.json"), "{}").unwrap();
    fs::write(dir.path().join("adapter_model.bin"), "pickle").unwrap();
    let error = Adapter::open(dir.path()).unwrap_err();
    assert!(error.exit_code() == 66 && error.to_string().contains("pickle"), "{error}");
}

/// peft saves the classifier of the base beside an adapter of it.
#[test]
fn a_copy_of_the_base_must_be_the_bases() {
    let spec = ModelSpec { tied: false, ..tiny() };
    let (base, weights) = folder(&spec);
    let head = Layout::of(&spec).range(TensorId::Head);
    for (change, good) in [(0.0, true), (1e-3, false)] {
        let dir = tempfile::tempdir().unwrap();
        peft(dir.path(), &spec, json!({ "rank_pattern": {} }));
        let mut copy = weights[head.clone()].to_vec();
        copy[5] += change;
        let name = "base_model.model.lm_head";
        let tensors = [
            (format!("{name}.lora_A.weight"), [3, spec.dim], noise(3 * spec.dim, 1)),
            (format!("{name}.lora_B.weight"), [spec.vocab, 3], noise(spec.vocab * 3, 2)),
            (format!("{name}.base_layer.weight"), [spec.vocab, spec.dim], copy),
        ];
        write_tensors(&dir.path().join("adapter_model.safetensors"), &tensors);
        let merged = open(base.path()).unwrap().merged(Adapter::open(dir.path()).unwrap());
        match merged {
            Ok(model) => assert!(good && model.load(model.layout()).unwrap()[head.clone()] != weights[head.clone()]),
            Err(error) => assert!(!good && error.exit_code() == 65 && error.to_string().contains("lm_head"), "{error}"),
        }
    }
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    peft(dir.path(), &tiny(), json!({}));
    for other in [ModelSpec { dim: 32, ..tiny() }, ModelSpec { layers: 1, ..tiny() }] {
        let (base, _) = folder(&other);
        let error = open(base.path()).unwrap().merged(Adapter::open(dir.path()).unwrap()).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains("model.layers."), "{error}");
    }
}
