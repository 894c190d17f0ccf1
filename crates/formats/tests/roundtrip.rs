//! Written folders come back bit for bit, and an independent reader sees the same.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;

use common::{folder, preset_spec, shared, special, tiny, tiny_specs, weights, write};
use formats::hf::{self, WriteOptions};
use formats::{Dtype, names};
use formats::{Fill, VocabRows};
use half::{bf16, f16};
use model::{Layout, ModelSpec, Part, TensorId};
use safetensors::SafeTensors;

#[test]
fn every_shape_comes_back_and_the_reference_reader_agrees() {
    for (name, spec) in tiny_specs() {
        let (dir, values) = folder(&spec);
        let opened = hf::open(dir.path()).unwrap();
        assert_eq!(opened.spec(), &spec, "{name}");
        assert_eq!(opened.special(), &special());
        assert_eq!(opened.load(opened.layout()).unwrap(), values, "{name}");
        let bytes = fs::read(dir.path().join("model.safetensors")).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(reference.len(), opened.layout().tensors().len());
        for t in opened.layout().tensors() {
            let view = reference.tensor(&names::hf(t.id)).unwrap();
            let expected: Vec<u8> = values[t.range.clone()].iter().flat_map(|v| v.to_le_bytes()).collect();
            assert_eq!(view.data(), expected, "{name} {:?}", t.id);
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
        assert_eq!(reference.tensor("lm_head.weight").is_ok(), !spec.tied, "a tied head is written once");
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert!(length.is_multiple_of(8));
    }
}

#[test]
fn equal_models_make_equal_bytes_and_nothing_temporary_stays() {
    let spec = tiny();
    let (a, b) = (folder(&spec).0, folder(&spec).0);
    for name in ["model.safetensors", "config.json", "generation_config.json"] {
        assert_eq!(fs::read(a.path().join(name)).unwrap(), fs::read(b.path().join(name)).unwrap());
    }
    assert_eq!(fs::read_dir(a.path()).unwrap().count(), 3);
}

#[test]
fn halves_are_rounded_to_nearest_and_an_overflow_is_an_error() {
    let spec = tiny();
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    for (dtype, round) in
        [(Dtype::F16, (|v| f16::from_f32(v).to_f32()) as fn(f32) -> f32), (Dtype::Bf16, |v| bf16::from_f32(v).to_f32())]
    {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &spec, &values, dtype, None);
        let expected: Vec<f32> = values.iter().map(|v| round(*v)).collect();
        assert_eq!(hf::open(dir.path()).unwrap().load(&layout).unwrap(), expected, "{dtype:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    let large = vec![70_000.0; layout.len()];
    let options = WriteOptions { dtype: Dtype::F16, special: &special(), rows: None };
    let error = hf::write(dir.path(), &spec, &formats::flat(&large, &layout), &options).unwrap_err();
    assert!(error.exit_code() == 65 && error.to_string().contains("model.embed_tokens.weight"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a failed write leaves nothing");
}

#[test]
fn a_compact_vocabulary_is_expanded_and_gathered_again() {
    let ids: Vec<u32> = vec![0, 2, 3, 4, 11, 30, 35];
    for (name, full) in tiny_specs() {
        let compact = Layout::of(&full.with_vocab(ids.len()));
        let values = weights(&compact);
        let row: Vec<f32> = (0..full.dim).map(|i| i as f32).collect();
        let (base_dir, base_values) = folder(&full);
        let base = hf::open(base_dir.path()).unwrap();
        for fill in [Fill::Row(&row), Fill::Base(&base)] {
            let dir = tempfile::tempdir().unwrap();
            write(dir.path(), &full, &values, Dtype::F32, Some(VocabRows { full_of: &ids, vocab: full.vocab, fill }));
            let opened = hf::open(dir.path()).unwrap();
            assert_eq!(opened.load_rows(&compact, &ids).unwrap(), values, "{name}");
            let all = opened.load(opened.layout()).unwrap();
            for id in [TensorId::Embed, TensorId::Head] {
                let matrix = &all[opened.layout().range(id)];
                for (i, got) in matrix.chunks_exact(full.dim).enumerate().filter(|(i, _)| !ids.contains(&(*i as u32))) {
                    let expected = match fill {
                        Fill::Row(row) => row,
                        Fill::Base(_) => &base_values[opened.layout().range(id)][i * full.dim..][..full.dim],
                    };
                    assert_eq!(got, expected, "{name} {id:?} row {i}");
                }
            }
        }
    }
}

#[test]
fn a_compact_vocabulary_that_does_not_fit_is_refused() {
    let full = tiny();
    let row = vec![0.0; full.dim];
    let (dir, _) = folder(&full);
    let opened = hf::open(dir.path()).unwrap();
    let layout = Layout::of(&full.with_vocab(2));
    for (full_of, vocab, fill) in [
        (&[5, 3], full.vocab, &row[..]),
        (&[3, 3], full.vocab, &row[..]),
        (&[3, 37], full.vocab, &row[..]),
        (&[3, 5], full.vocab + 1, &row[..]),
        (&[3, 5], full.vocab, &row[1..]),
    ] {
        let rows = Some(VocabRows { full_of, vocab, fill: Fill::Row(fill) });
        let options = WriteOptions { dtype: Dtype::F32, special: &special(), rows };
        let values = weights(&layout);
        let out = tempfile::tempdir().unwrap();
        assert_eq!(hf::write(out.path(), &full, &formats::flat(&values, &layout), &options).unwrap_err().exit_code(), 65);
    }
    assert_eq!(opened.load_rows(&layout, &[1, 37]).unwrap_err().exit_code(), 65);
    assert_eq!(opened.load_rows(&layout, &[1]).unwrap_err().exit_code(), 65);
    assert_eq!(opened.load(&layout).unwrap_err().exit_code(), 65);
}

#[test]
fn the_residual_scale_moves_into_the_weights_that_write_the_stream() {
    let spec = ModelSpec { residual_scale: 0.25, ..tiny_specs().remove(1).1 };
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    let dir = tempfile::tempdir().unwrap();
    assert!(write(dir.path(), &spec, &values, Dtype::F32, None).folded);
    let opened = hf::open(dir.path()).unwrap();
    assert_eq!(opened.spec(), &ModelSpec { residual_scale: 1.0, ..spec });
    let back = opened.load(&layout).unwrap();
    for t in layout.tensors() {
        let folded = matches!(t.id, TensorId::Layer(_, Part::O | Part::OBias | Part::Down));
        let factor = if folded { 0.25 } else { 1.0 };
        let expected: Vec<f32> = values[t.range.clone()].iter().map(|v| v * factor).collect();
        assert_eq!(back[t.range.clone()], expected, "{:?}", t.id);
    }
}

#[test]
fn a_model_may_be_rewritten_over_itself() {
    let spec = tiny();
    let (dir, values) = folder(&spec);
    let opened = hf::open(dir.path()).unwrap();
    let options = WriteOptions { dtype: Dtype::F32, special: &special(), rows: None };
    hf::write(dir.path(), &spec, &opened.source(), &options).unwrap();
    assert_eq!(hf::open(dir.path()).unwrap().load(&Layout::of(&spec)).unwrap(), values);
}

#[test]
fn a_folder_that_cannot_be_made_is_73() {
    let spec = tiny();
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    let file = tempfile::NamedTempFile::new().unwrap();
    let options = WriteOptions { dtype: Dtype::F32, special: &special(), rows: None };
    let error = hf::write(&file.path().join("x"), &spec, &formats::flat(&values, &layout), &options).unwrap_err();
    assert_eq!(error.exit_code(), 73, "{error}");
}

#[test]
fn released_files_open() {
    for (what, params) in
        [("data/fixtures/tiny_llama3", 106_816), ("data/fixtures/tiny_qwen3", 106_880), ("data/stories260K", 260_032)]
    {
        let Some(path) = shared(what) else { continue };
        let opened = hf::open(&path).unwrap();
        let values = opened.load(opened.layout()).unwrap();
        assert!(values.iter().all(|v| v.is_finite()) && values.iter().any(|v| *v != 0.0));
        if params > 0 {
            assert_eq!(values.len(), params, "{what}");
        }
        let bytes = fs::read(path.join("model.safetensors")).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        for t in opened.layout().tensors() {
            let view = reference.tensor(&names::hf(t.id)).unwrap();
            let expected: Vec<f32> = match view.dtype() {
                safetensors::Dtype::BF16 => {
                    view.data().chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
                }
                _ => view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            };
            assert_eq!(values[t.range.clone()], expected, "{what} {:?}", t.id);
        }
        let described = hf::inspect(&path).unwrap();
        assert!(described.problem.is_none() && described.tensors.len() == reference.len());
    }
}

#[test]
fn a_published_preset_has_the_published_size() {
    let spec = preset_spec("stories-36m").with_vocab(100);
    let (dir, values) = folder(&spec);
    assert_eq!(hf::open(dir.path()).unwrap().load(&Layout::of(&spec)).unwrap(), values);
}
