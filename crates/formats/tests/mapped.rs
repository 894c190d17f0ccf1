//! Weights that are read where they lie: the bytes that reading gives, or nothing at all.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::{self, OpenOptions};

use common::{folder, special, tiny, weights, write};
use formats::gguf::{self, Metadata, WriteOptions};
use formats::{Dtype, Encoding, FormatError};
use model::{Layout, Part, TensorId};

#[test]
fn matrices_of_a_folder_are_its_bytes_and_vectors_are_not_mapped() {
    let spec = tiny();
    let values = weights(&Layout::of(&spec));
    for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &spec, &values, dtype, None);
        let model = formats::open(dir.path()).unwrap();
        for t in model.layout().tensors() {
            let mapped = model.mapped(t.id).unwrap();
            assert_eq!(mapped.is_some(), t.shape[0] > 1, "{:?}", t.id);
            let Some((encoding, mapped)) = mapped else { continue };
            assert_eq!((encoding, mapped.as_ref()), (dtype.into(), &*model.raw(t.id).unwrap().unwrap()), "{:?}", t.id);
            if let (Encoding::F32, Some(floats)) = (encoding, mapped.floats()) {
                assert_eq!(floats.as_ref(), &values[t.range.clone()]);
            }
        }
    }
}

#[test]
fn the_map_outlives_the_model_and_its_name() {
    let (dir, values) = folder(&tiny());
    let model = formats::open(dir.path()).unwrap();
    let range = model.layout().range(TensorId::Embed);
    let (_, mapped) = model.mapped(TensorId::Embed).unwrap().unwrap();
    drop((model, dir));
    assert_eq!(mapped.floats().unwrap().as_ref(), &values[range]);
}

#[test]
fn rows_that_lie_in_another_order_are_not_mapped() {
    let (spec, dir) = (tiny(), tempfile::tempdir().unwrap());
    let (layout, path) = (Layout::of(&spec), dir.path().join("m.gguf"));
    let (special, extra) = (special(), Metadata::new(&path));
    let options = WriteOptions { encoding: Encoding::F16, special: &special, rows: None, extra: &extra };
    gguf::write(&path, &spec, &formats::flat(&weights(&layout), &layout), &options).unwrap();
    let model = formats::open(&path).unwrap();
    for (part, there) in [(Part::Q, false), (Part::K, false), (Part::V, true), (Part::Down, true)] {
        let id = TensorId::Layer(1, part);
        let mapped = model.mapped(id).unwrap();
        assert_eq!(mapped.is_some(), there, "{part:?}");
        if let Some((_, mapped)) = mapped {
            assert_eq!(mapped.as_ref(), &*model.raw(id).unwrap().unwrap());
        }
    }
}

#[test]
fn floats_that_begin_between_words_are_not_read_as_floats() {
    let (dir, _) = folder(&tiny());
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    // a space more in the header: every tensor begins a byte later
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let header = &bytes[8..8 + length as usize];
    let later = [&(length + 1).to_le_bytes()[..], header, b" ", &bytes[8 + length as usize..]].concat();
    fs::write(&path, later).unwrap();
    let model = formats::open(dir.path()).unwrap();
    let (_, mapped) = model.mapped(TensorId::Embed).unwrap().unwrap();
    assert_eq!(mapped.as_ref(), &*model.raw(TensorId::Embed).unwrap().unwrap());
    assert!(mapped.floats().is_none());
}

#[test]
fn a_file_that_became_shorter_is_an_error_and_no_fault() {
    let (dir, _) = folder(&tiny());
    let model = formats::open(dir.path()).unwrap();
    OpenOptions::new().write(true).open(dir.path().join("model.safetensors")).unwrap().set_len(1000).unwrap();
    let error = model.mapped(TensorId::Embed).unwrap_err();
    assert!(matches!(&error, FormatError::Bad { .. }), "{error}");
    assert_eq!(error.exit_code(), 65);
}
