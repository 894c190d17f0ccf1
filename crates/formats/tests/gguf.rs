//! GGUF: files of an independent writer, our own files, and files that are wrong.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{special, tiny, tiny_specs, weights};
use formats::gguf::{self, Array, Container, Metadata, Value, WriteOptions};
use formats::{Encoding, Format, SpecialIds};
use model::{Family, Layout, ModelSpec, Part, Rope, RopeScaling, TensorId};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn write(path: &Path, spec: &ModelSpec, values: &[f32], encoding: Encoding) -> formats::Written {
    let (layout, special, extra) = (Layout::of(spec), special(), Metadata::new(path));
    let options = WriteOptions { encoding, special: &special, rows: None, extra: &extra };
    gguf::write(path, spec, &formats::flat(values, &layout), &options).unwrap()
}

#[test]
fn models_of_an_independent_writer_have_the_weights_that_went_in() {
    let base = tiny();
    let llama3 = RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_context: 32 };
    let cases = [
        ("llama", ModelSpec { tied: false, qkv_bias: true, o_bias: true, ..base.clone() }),
        ("llama3", ModelSpec { tied: false, rope: Rope { theta: 5e5, scaling: llama3 }, ..base.clone() }),
        ("qwen2", ModelSpec { family: Family::Qwen2, qkv_bias: true, norm_eps: 1e-6, ..base.clone() }),
        ("qwen3", ModelSpec { family: Family::Qwen3, qk_norm: true, head_dim: 10, ..base }),
    ];
    for (name, spec) in cases {
        let model = formats::open(&golden(&format!("{name}.gguf"))).unwrap();
        let (found, wanted) = (model.spec().rope.frequencies(spec.head_dim), spec.rope.frequencies(spec.head_dim));
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a / b - 1.0).abs() < 1e-4), "{name}: {:?}", model.spec().rope);
        assert_eq!(model.spec(), &ModelSpec { rope: model.spec().rope, ..spec.clone() }, "{name}");
        assert_eq!((model.format(), model.special()), (Format::Gguf, &special()));
        let layout = Layout::of(&spec);
        let half = name == "qwen2";
        let expected = |v: &f32, matrix: bool| if half && matrix { half::f16::from_f32(*v).to_f32() } else { *v };
        let (all, values) = (model.load(&layout).unwrap(), weights(&layout));
        for t in layout.tensors() {
            let matrix = t.role.decays();
            let wanted: Vec<f32> = values[t.range.clone()].iter().map(|v| expected(v, matrix)).collect();
            assert_eq!(all[t.range.clone()], wanted, "{name} {:?}", t.id);
        }
    }
}

#[test]
fn all_thirteen_value_types_are_read() {
    let file = Container::open(&golden("values.gguf")).unwrap();
    let expected = [
        ("t.u8", Value::U8(200)),
        ("t.i8", Value::I8(-100)),
        ("t.u16", Value::U16(60000)),
        ("t.i16", Value::I16(-30000)),
        ("t.u32", Value::U32(4_000_000_000)),
        ("t.i32", Value::I32(-2_000_000_000)),
        ("t.f32", Value::F32(1.1)),
        ("t.bool", Value::Bool(true)),
        ("t.text", Value::Text("Grüße 😀".into())),
        ("t.u64", Value::U64(1 << 63)),
        ("t.i64", Value::I64(-(1 << 62))),
        ("t.f64", Value::F64(1e300)),
        ("t.texts", Value::List(Array::Text(["a", "", "ä"].into_iter().collect()))),
        ("t.numbers", Value::List(Array::I32(vec![1, -2, 3]))),
        ("t.nested", Value::List(Array::List(vec![Array::I32(vec![1, 2]), Array::I32(vec![3])]))),
    ];
    for (key, value) in expected {
        assert_eq!(file.metadata().get(key), Some(&value), "{key}");
    }
    assert_eq!(file.metadata().number("t.f32").unwrap(), Some(1.1), "the decimal, not its neighbour in binary");
}

#[test]
fn every_shape_comes_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    for (name, spec) in tiny_specs() {
        let unsaid = match spec.rope.scaling {
            RopeScaling::Yarn { truncate, beta_fast, beta_slow, .. } => !truncate || (beta_fast, beta_slow) != (32.0, 1.0),
            _ => false,
        };
        if unsaid || spec.qkv_bias && matches!(spec.family, Family::Qwen3 | Family::SmolLm3) {
            continue; // refused below
        }
        // the layers without rotation that the architecture means
        let fourth = spec.family == Family::SmolLm3;
        let spec = if fourth { ModelSpec { layers: 5, no_rope: vec![3], ..spec } } else { spec };
        let layout = Layout::of(&spec);
        let values = weights(&layout);
        write(&path, &spec, &values, Encoding::F32);
        let first = fs::read(&path).unwrap();
        let model = formats::open(&path).unwrap();
        assert_eq!(model.spec(), &spec, "{name}");
        assert_eq!(model.special(), &special(), "{name}");
        assert_eq!(model.load(&layout).unwrap(), values, "{name}");
        write(&path, &spec, &values, Encoding::F32);
        assert_eq!(fs::read(&path).unwrap(), first, "{name}: equal models, equal bytes");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing temporary stays");
}

#[test]
fn halves_and_eight_bits_are_those_of_their_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    // rows of 24 are no whole blocks of 32, rows of 64 are
    let spec = ModelSpec { hidden: 64, ..tiny() };
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    for encoding in [Encoding::F16, Encoding::Bf16, Encoding::Q8_0] {
        write(&path, &spec, &values, encoding);
        let model = formats::open(&path).unwrap();
        let got = model.load(&layout).unwrap();
        for t in layout.tensors() {
            let used = match (t.role.decays(), encoding) {
                (false, _) => Encoding::F32,
                (true, Encoding::Q8_0) if t.shape[1] == 24 => Encoding::F16,
                _ => encoding,
            };
            assert_eq!(model.encoding(t.id), Some(used), "{:?}", t.id);
            let mut bytes = Vec::new();
            assert!(used.encode(&values[t.range.clone()], &mut bytes));
            assert_eq!(model.raw(t.id).unwrap().unwrap(), bytes, "{:?}: as stored, in our order", t.id);
            let mut expected = vec![0.0; t.range.len()];
            used.decode(&bytes, &mut expected);
            assert_eq!(got[t.range.clone()], expected, "{:?}", t.id);
        }
        let down = model.encoding(TensorId::Layer(0, Part::Down));
        assert_eq!(down, Some(encoding));
    }
}

#[test]
fn the_keys_are_those_of_the_spec() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        original_context: 16,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: RopeScaling::yarn_attention(4.0),
        truncate: true,
    };
    let rope = Rope { theta: 123_456.0, scaling: yarn };
    let spec = ModelSpec { head_dim: 10, norm_eps: 3e-6, context: 77, rope, residual_scale: 0.5, ..tiny() };
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    let eos = SpecialIds { bos: Some(3), eos: vec![5, 6, 7, 8], pad: Some(9) };
    let mut extra = Metadata::new(&path);
    assert!(extra.insert("general.name", Value::Text("a name".into())));
    assert!(extra.insert("tokenizer.ggml.eos_token_id", Value::U32(5)));
    let options = WriteOptions { encoding: Encoding::Q8_0, special: &eos, rows: None, extra: &extra };
    assert!(gguf::write(&path, &spec, &formats::flat(&values, &layout), &options).unwrap().folded);
    let file = Container::open(&path).unwrap();
    let meta = file.metadata();
    for (key, value) in [
        ("general.file_type", 7),
        ("llama.context_length", 77),
        ("llama.attention.key_length", 10),
        ("llama.attention.value_length", 10),
        ("llama.rope.dimension_count", 10),
        ("llama.rope.scaling.original_context_length", 16),
        ("tokenizer.ggml.bos_token_id", 3),
        ("tokenizer.ggml.padding_token_id", 9),
    ] {
        assert_eq!(meta.size(key).unwrap(), Some(value), "{key}");
    }
    assert_eq!(meta.number("llama.rope.freq_base").unwrap(), Some(123_456.0));
    assert_eq!(meta.number("llama.attention.layer_norm_rms_epsilon").unwrap(), Some(3e-6));
    assert_eq!(meta.text("general.name").unwrap(), Some("a name"));
    let model = formats::open(&path).unwrap();
    assert_eq!(model.spec(), &ModelSpec { residual_scale: 1.0, ..spec.clone() });
    assert_eq!(model.special(), &eos);
    let down = TensorId::Layer(1, Part::Down);
    let halved: Vec<f32> = values[layout.range(down)].iter().map(|v| v * 0.5).collect();
    let (mut bytes, mut expected) = (Vec::new(), vec![0.0; halved.len()]);
    assert!(model.encoding(down).unwrap().encode(&halved, &mut bytes));
    model.encoding(down).unwrap().decode(&bytes, &mut expected);
    assert_eq!(model.tensor(down).unwrap().unwrap(), expected, "the residual scale is inside the weights");
}

#[test]
fn what_the_architecture_cannot_say_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    let qwen3 = ModelSpec { family: Family::Qwen3, qk_norm: true, ..tiny() };
    let yarn = RopeScaling::Yarn {
        factor: 4.0,
        original_context: 16,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: 1.0,
        truncate: false,
    };
    let betas = RopeScaling::Yarn {
        factor: 4.0,
        original_context: 16,
        beta_fast: 32.0,
        beta_slow: 0.5,
        attention_factor: 1.0,
        truncate: true,
    };
    for (at, spec) in [
        ("qkv_bias", ModelSpec { qkv_bias: true, ..qwen3.clone() }),
        ("qkv_bias", ModelSpec { family: Family::Qwen2, ..tiny() }),
        ("qk_norm", ModelSpec { qk_norm: true, ..tiny() }),
        ("truncate", ModelSpec { rope: Rope { theta: 1e4, scaling: yarn }, ..tiny() }),
        ("betas", ModelSpec { rope: Rope { theta: 1e4, scaling: betas }, ..tiny() }),
        ("no_rope", ModelSpec { no_rope: vec![1], ..tiny() }),
    ] {
        let layout = Layout::of(&spec);
        let values = weights(&layout);
        let (special, extra) = (special(), Metadata::new(&path));
        let options = WriteOptions { encoding: Encoding::F32, special: &special, rows: None, extra: &extra };
        let error = gguf::write(&path, &spec, &formats::flat(&values, &layout), &options).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains(at), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn released_files_open() {
    let Some(path) = common::shared("data/fixtures/llama-2-tiny-random.gguf") else { return };
    let model = formats::open(&path).unwrap();
    let spec = model.spec();
    assert_eq!((spec.vocab, spec.dim, spec.head_dim, spec.tied, spec.rope.theta), (32_000, 8, 4, false, 10_000.0));
    let values = model.load(model.layout()).unwrap();
    assert!(values.iter().all(|v| v.is_finite()) && values.iter().any(|v| *v != 0.0));
}
