//! Model files of llama2.c, both versions.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::{shared, tiny, tiny_specs, weights};
use formats::llama2c::{Version, WriteOptions, write};
use formats::{Assumed, Format, FormatError, flat, open};
use model::{Layout, ModelSpec, Part, Rope, TensorId};

/// A model that llama2.c can say.
fn plain(tied: bool) -> ModelSpec {
    ModelSpec { dim: 32, tied, ..tiny() }
}

fn written(path: &Path, spec: &ModelSpec, values: &[f32], version: Version) -> Result<u64, FormatError> {
    let layout = Layout::of(spec);
    write(path, spec, &flat(values, &layout), &WriteOptions { version, rows: None })
}

/// The file by the words of llama2.c's exporter alone: no code of the crate.
fn by_hand(spec: &ModelSpec, values: &[f32], version: Version) -> Vec<u8> {
    let layout = Layout::of(spec);
    let all = |part| (0..spec.layers).map(move |l| TensorId::Layer(l, part)).collect::<Vec<_>>();
    let (qkvo, ffn) = ([Part::Q, Part::K, Part::V, Part::O], [Part::Gate, Part::Down, Part::Up]);
    let mut words: Vec<i32> = [spec.dim, spec.hidden, spec.layers, spec.heads, spec.kv_heads].map(|n| n as i32).into();
    let (mut ids, mut bytes) = (Vec::new(), Vec::new());
    if version == Version::Legacy {
        words.extend([if spec.tied { spec.vocab as i32 } else { -(spec.vocab as i32) }, spec.context as i32]);
        ids.push(TensorId::Embed);
        ids.extend([vec![Part::AttnNorm], qkvo.into(), vec![Part::FfnNorm], ffn.into()].concat().into_iter().flat_map(all));
        ids.push(TensorId::FinalNorm);
    } else {
        bytes.extend(b"24ka\x01\0\0\0");
        words.extend([spec.vocab as i32, spec.context as i32]);
        ids.extend([Part::AttnNorm, Part::FfnNorm].into_iter().flat_map(all));
        ids.extend([TensorId::FinalNorm, TensorId::Embed]);
        ids.extend([&qkvo[..], &ffn].concat().into_iter().flat_map(all));
    }
    bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
    if version == Version::V1 {
        bytes.push(u8::from(spec.tied));
        bytes.resize(256, 0);
    }
    let mut put = |floats: &[f32]| bytes.extend(floats.iter().flat_map(|f| f.to_le_bytes()));
    for id in ids {
        let info = layout.get(id).unwrap();
        let (values, cols, hd) = (&values[info.range.clone()], info.shape[1], spec.head_dim);
        match id {
            TensorId::Layer(_, Part::Q | Part::K) => {
                for (pair, half) in (0..info.shape[0] / 2).flat_map(|pair| [(pair, 0), (pair, 1)]) {
                    let row = pair / (hd / 2) * hd + pair % (hd / 2) + half * hd / 2;
                    put(&values[row * cols..(row + 1) * cols]);
                }
            }
            _ => put(values),
        }
    }
    if version == Version::Legacy {
        put(&vec![0.25; spec.context * spec.head_dim]);
    }
    if !spec.tied {
        put(&values[layout.range(TensorId::Head)]);
    }
    bytes
}

#[test]
fn every_weight_is_where_the_exporter_of_llama2c_puts_it() {
    let dir = tempfile::tempdir().unwrap();
    for (tied, version) in [(true, Version::Legacy), (false, Version::Legacy), (true, Version::V1), (false, Version::V1)] {
        let spec = plain(tied);
        let values = weights(&Layout::of(&spec));
        let (path, again) = (dir.path().join("a.bin"), dir.path().join("b.bin"));
        let bytes = by_hand(&spec, &values, version);
        std::fs::write(&path, &bytes).unwrap();
        let model = open(&path).unwrap();
        assert_eq!((model.format(), model.spec()), (Format::Llama2c, &spec));
        assert!(model.load(model.layout()).unwrap() == values, "{tied} {version:?}");
        assert_eq!(written(&again, &spec, &values, version).unwrap(), bytes.len() as u64);
        let mut ours = std::fs::read(&again).unwrap();
        if version == Version::Legacy {
            // nobody reads the tables of rotations; what is behind them moves with their size
            let tables = 4 * spec.context * spec.head_dim;
            let end = bytes.len() - if tied { 0 } else { 4 * spec.vocab * spec.dim };
            assert_eq!(ours[end - tables..][..4], 1f32.to_le_bytes(), "the cosine of 0");
            ours[end - tables..end].copy_from_slice(&bytes[end - tables..end]);
        }
        assert!(ours == bytes, "{tied} {version:?}");
    }
}

#[test]
fn stories260k_is_its_hugging_face_conversion_bit_for_bit() {
    let Some(dir) = shared("data/stories260K") else { return };
    let (bin, hf) = (open(&dir.join("stories260K.bin")).unwrap(), open(&dir).unwrap());
    assert_eq!((bin.spec(), bin.special()), (hf.spec(), hf.special()));
    let weights = hf.load(hf.layout()).unwrap();
    assert!(bin.load(bin.layout()).unwrap() == weights);
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("again.bin");
    written(&path, hf.spec(), &weights, Version::Legacy).unwrap();
    let (ours, theirs) = (std::fs::read(&path).unwrap(), std::fs::read(dir.join("stories260K.bin")).unwrap());
    assert_eq!(ours.len(), theirs.len());
    let differing = ours.as_chunks::<4>().0.iter().zip(theirs.as_chunks::<4>().0).filter(|(a, b)| a != b).count();
    let tables = hf.spec().context * hf.spec().head_dim;
    let weights = ours.len() - 4 * tables;
    assert!(ours[..weights] == theirs[..weights]);
    println!("{differing} of {tables} numbers of the tables of rotations differ in their last bit");
    assert!(differing < tables / 20);
}

#[test]
fn a_file_whose_size_is_not_that_of_its_header_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    let spec = plain(true);
    for version in [Version::Legacy, Version::V1] {
        let good = by_hand(&spec, &weights(&Layout::of(&spec)), version);
        let mut long = good.clone();
        long.push(0);
        for bytes in [&good[..good.len() - 1], &good[..300], &long] {
            std::fs::write(&path, bytes).unwrap();
            let error = open(&path).unwrap_err();
            let message = error.to_string();
            assert_eq!(error.exit_code(), 65);
            assert!(message.contains(&good.len().to_string()) && message.contains(&bytes.len().to_string()), "{message}");
        }
    }
}

#[test]
fn a_hostile_header_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    let good = by_hand(&plain(true), &weights(&Layout::of(&plain(true))), Version::V1);
    let set = |at: usize, word: i32| {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        bytes
    };
    for (bytes, named) in [
        (set(4, 2), "version"),
        (set(4, 3), "version"),
        (set(8, -32), "dim"),
        (set(8, 33), "heads"),
        (set(12, i32::MAX), "hidden"),
        (set(16, i32::MAX), "layers"),
        (set(16, 4096), "size"),
        (set(20, 0), "heads"),
        (set(24, 3), "kv_heads"),
        (set(28, i32::MIN), "vocab"),
        (set(36, 2), "shared classifier"),
        (set(100, 1), "offset 100"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let error = open(&path).expect_err(named);
        assert!(error.exit_code() == 65 && error.to_string().contains(named), "{named}: {error}");
    }
    std::fs::write(&path, b"short").unwrap();
    assert_eq!(open(&path).unwrap_err().exit_code(), 65);
    assert_eq!(open(&dir.path().join("none.bin")).unwrap_err().exit_code(), 66);
}

#[test]
fn what_run_c_would_compute_otherwise_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let llama = plain(true);
    let others = [
        (ModelSpec { head_dim: 16, ..llama.clone() }, "head_dim"),
        (ModelSpec { rope: Rope::plain(1e5), ..llama.clone() }, "rope"),
        (ModelSpec { norm_eps: 1e-6, ..llama.clone() }, "norm_eps"),
    ];
    let families = tiny_specs().into_iter().filter(|(name, _)| name.contains("biases") || name.starts_with("qwen"));
    for (spec, named) in others.into_iter().chain(families.map(|(_, spec)| (spec, ""))) {
        let path = dir.path().join("model.bin");
        let error = written(&path, &spec, &weights(&Layout::of(&spec)), Version::Legacy).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains(named), "{error}");
        assert!(!path.exists());
    }
}

#[test]
fn what_the_file_does_not_say_can_be_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    let spec = plain(true);
    written(&path, &spec, &weights(&Layout::of(&spec)), Version::Legacy).unwrap();
    let given = Assumed { rope_theta: Some(5e5), norm_eps: Some(1e-6), residual_scale: None };
    let model = open(&path).unwrap().assuming(&given).unwrap();
    assert_eq!((model.spec().rope, model.spec().norm_eps), (Rope::plain(5e5), 1e-6));
    let scaled = Assumed { residual_scale: Some(0.5), ..Assumed::default() };
    assert!(open(&path).unwrap().assuming(&scaled).unwrap_err().to_string().contains("residual scale"));
}

#[test]
fn a_residual_scale_is_folded_into_what_leaves_a_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.bin");
    let spec = ModelSpec { residual_scale: 0.5, ..plain(true) };
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    written(&path, &spec, &values, Version::Legacy).unwrap();
    let back = open(&path).unwrap().load(&layout).unwrap();
    for t in layout.tensors() {
        let scale = if matches!(t.id, TensorId::Layer(_, Part::O | Part::Down)) { 0.5 } else { 1.0 };
        assert!(back[t.range.clone()].iter().zip(&values[t.range.clone()]).all(|(b, v)| *b == v * scale), "{:?}", t.id);
    }
}
