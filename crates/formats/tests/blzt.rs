//! BLZT checkpoints: weights, moments, and what the format cannot say.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs::File;
use std::io::Write;
use std::path::Path;

use common::{preset_spec, tiny, tiny_specs, weights};
use formats::blzt::{self, Adam, WriteOptions};
use formats::{Assumed, Fill, Format, VocabRows, flat, open};
use model::{Layout, ModelSpec, Part, Rope, TensorId};

fn scaled(values: &[f32], by: f32) -> Vec<f32> {
    values.iter().map(|v| v * by).collect()
}

fn header(spec: &ModelSpec, adam_t: i32) -> Vec<u8> {
    let [layers, vocab, dim, hidden, heads, seq] =
        [spec.layers, spec.vocab, spec.dim, spec.hidden, spec.heads, spec.context].map(|n| n as i32);
    let mut bytes = Vec::new();
    let words = [0x424C_5A54, 4, 7, 100, layers, vocab, dim, hidden, heads, seq];
    words.iter().for_each(|w: &i32| bytes.extend(w.to_le_bytes()));
    [3e-4f32, 2.5].iter().for_each(|f| bytes.extend(f.to_le_bytes()));
    [1f64, 2.0, 3.0].iter().for_each(|f| bytes.extend(f.to_le_bytes()));
    let words = [9, 0, adam_t, spec.kv_heads as i32, spec.head_dim as i32, spec.q_dim() as i32];
    words.iter().for_each(|w| bytes.extend(w.to_le_bytes()));
    assert_eq!(bytes.len(), 96);
    bytes
}

/// The file by the words of its description alone.
fn by_hand(spec: &ModelSpec, adam_t: i32, arrays: [&[f32]; 3]) -> Vec<u8> {
    let layout = Layout::of(spec);
    let mut bytes = header(spec, adam_t);
    let mut put = |id, values: &[f32]| {
        let info = layout.get(id).unwrap();
        let (cols, hd) = (info.shape[1], spec.head_dim);
        let values = &values[info.range.clone()];
        let rows: Vec<usize> = match id {
            TensorId::Layer(_, Part::Q | Part::K) => {
                (0..info.shape[0]).map(|r| r / hd * hd + r % hd / 2 + r % 2 * (hd / 2)).collect()
            }
            _ => (0..info.shape[0]).collect(),
        };
        rows.iter().for_each(|r| bytes.extend(values[r * cols..(r + 1) * cols].iter().flat_map(|v| v.to_le_bytes())));
    };
    use Part::*;
    let block = [Q, K, V, O, Gate, Down, Up, AttnNorm, FfnNorm];
    for l in 0..spec.layers {
        block.iter().for_each(|part| put(TensorId::Layer(l, *part), arrays[0]));
        for part in block {
            arrays[1..].iter().for_each(|values| put(TensorId::Layer(l, part), values));
        }
    }
    for id in [TensorId::FinalNorm, TensorId::Embed] {
        arrays.iter().for_each(|values| put(id, values));
    }
    bytes
}

#[test]
fn weights_and_moments_are_where_the_description_puts_them() {
    let dir = tempfile::tempdir().unwrap();
    let (path, again) = (dir.path().join("a.blzt"), dir.path().join("b.blzt"));
    let spec = ModelSpec { head_dim: 10, ..tiny() };
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    let (m, v) = (scaled(&values, 0.5), scaled(&values, 0.25));
    let bytes = by_hand(&spec, 12, [&values, &m, &v]);
    std::fs::write(&path, &bytes).unwrap();
    let model = open(&path).unwrap();
    assert_eq!((model.format(), model.spec()), (Format::Blzt, &spec));
    assert!(model.load(&layout).unwrap() == values);
    let moments = blzt::moments(&path).unwrap().unwrap();
    assert_eq!(moments.t, 12);
    assert!(moments.first.load(&layout).unwrap() == m && moments.second.load(&layout).unwrap() == v);
    let header = blzt::read_header(&path).unwrap();
    assert_eq!((header.step, header.total_steps, header.learning_rate, header.loss), (7, 100, 3e-4, 2.5));

    let options = WriteOptions {
        step: 7,
        total_steps: 100,
        learning_rate: 3e-4,
        loss: 2.5,
        rows: None,
        adam: Some(Adam { t: 12, first: &flat(&m, &layout), second: &flat(&v, &layout), rows: None, residual_scale: 1.0 }),
    };
    assert_eq!(blzt::write(&again, &spec, &flat(&values, &layout), &options).unwrap(), bytes.len() as u64);
    let mut ours = std::fs::read(&again).unwrap();
    ours[48..80].copy_from_slice(&bytes[48..80]); // times, which are not known here
    assert!(ours == bytes);
}

#[test]
fn without_moments_there_are_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.blzt");
    let spec = tiny();
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    blzt::write(&path, &spec, &flat(&values, &layout), &WriteOptions::default()).unwrap();
    let zeros = vec![0.0; layout.len()];
    let (ours, expected) = (std::fs::read(&path).unwrap(), by_hand(&spec, 0, [&values, &zeros, &zeros]));
    assert!(ours[96..] == expected[96..]);
    assert!(blzt::moments(&path).unwrap().is_none(), "no update made any");
}

/// The size is exact, and known before anything is read: a file of 4.3 GB that takes no room on the disk.
#[test]
fn the_size_is_that_of_the_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.blzt");
    let spec = preset_spec("smollm2-360m");
    let mut file = File::create(&path).unwrap();
    file.write_all(&header(&spec, 0)).unwrap();
    for (len, good) in [(4_341_853_536, true), (4_341_853_535, false), (4_341_853_537, false), (96, false), (95, false)] {
        file.set_len(len).unwrap();
        match open(&path) {
            Ok(model) => assert!(good && model.spec().layers == 32, "{len}"),
            Err(error) => {
                let message = error.to_string();
                assert!(!good && error.exit_code() == 65 && message.contains(&len.to_string()), "{message}");
                assert!(len < 96 || message.contains("4341853536"), "{message}");
            }
        }
    }
}

#[test]
fn a_hostile_header_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.blzt");
    let spec = tiny();
    let values = weights(&Layout::of(&spec));
    let good = by_hand(&spec, 0, [&values, &values, &values]);
    for (at, word, named) in [
        (4, 3, "version"),
        (16, -1, "n_layers"),
        (16, i32::MAX, "layers"),
        (16, 4000, "size"),
        (20, 0, "vocab_size"),
        (24, i32::MIN, "dim"),
        (28, i32::MAX, "hidden"),
        (32, 5, "kv_heads"),
        (36, 0, "seq_len"),
        (80, -1, "adam_t"),
        (88, 7, "head_dim"),
        (92, 31, "q_dim"),
    ] {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&i32::to_le_bytes(word));
        std::fs::write(&path, &bytes).unwrap();
        let error = open(&path).expect_err(named);
        assert!(error.exit_code() == 65 && error.to_string().contains(named), "{named}: {error}");
    }
}

#[test]
fn what_the_format_cannot_say_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.blzt");
    for (name, spec) in tiny_specs().into_iter().filter(|(name, _)| *name != "llama") {
        let layout = Layout::of(&spec);
        let values = weights(&layout);
        let error = blzt::write(&path, &spec, &flat(&values, &layout), &WriteOptions::default()).expect_err(name);
        assert!(error.exit_code() == 65 && error.to_string().contains("BLZT") && !path.exists(), "{name}: {error}");
    }
}

#[test]
fn what_the_format_does_not_say_is_said_by_the_user() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.blzt");
    let spec = ModelSpec { rope: Rope::plain(1e5), norm_eps: 1e-6, ..tiny() };
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    blzt::write(&path, &spec, &flat(&values, &layout), &WriteOptions::default()).unwrap();
    let silent = open(&path).unwrap();
    assert_eq!(silent.format().unsaid(), ["rope theta", "norm eps", "residual scale"]);
    assert_eq!((silent.spec().rope, silent.spec().norm_eps, silent.spec().residual_scale), (Rope::plain(1e4), 1e-5, 1.0));
    let given = Assumed { rope_theta: Some(1e5), norm_eps: Some(1e-6), residual_scale: Some(0.25) };
    assert_eq!(silent.assuming(&given).unwrap().spec(), &ModelSpec { residual_scale: 0.25, ..spec });
    for bad in [
        Assumed { rope_theta: Some(-1.0), ..Assumed::default() },
        Assumed { norm_eps: Some(0.0), ..Assumed::default() },
        Assumed { residual_scale: Some(f32::NAN), ..Assumed::default() },
    ] {
        assert_eq!(open(&path).unwrap().assuming(&bad).unwrap_err().exit_code(), 65);
    }
}

/// A scale inside the weights makes their gradients smaller by it: the moments follow, and unseen rows have none.
#[test]
fn folding_and_expanding_take_the_moments_along() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.blzt");
    let full = ModelSpec { residual_scale: 0.5, ..tiny() };
    let compact = full.with_vocab(3);
    let layout = Layout::of(&compact);
    let values = weights(&layout);
    let row = vec![9.0; full.dim];
    let full_of = [1, 5, 36];
    let rows = Some(VocabRows { full_of: &full_of, vocab: full.vocab, fill: Fill::Row(&row) });
    let source = flat(&values, &layout);
    let adam = Adam { t: 3, first: &source, second: &source, rows, residual_scale: full.residual_scale };
    let options = WriteOptions { rows, adam: Some(adam), ..WriteOptions::default() };
    blzt::write(&path, &full, &flat(&values, &layout), &options).unwrap();
    let (model, moments) = (open(&path).unwrap(), blzt::moments(&path).unwrap().unwrap());
    for (array, power) in [(&model, 1), (&moments.first, -1), (&moments.second, -2)] {
        let back = array.load_rows(&layout, &full_of).unwrap();
        for t in layout.tensors() {
            let leaves = matches!(t.id, TensorId::Layer(_, Part::O | Part::Down));
            let by = if leaves { 0.5f32.powi(power) } else { 1.0 };
            assert!(back[t.range.clone()] == scaled(&values[t.range.clone()], by), "{:?}", t.id);
        }
    }
    let mut unseen = vec![0.0; full.dim];
    model.read_rows(TensorId::Embed, 0..1, &mut unseen).unwrap();
    assert_eq!(unseen, row);
    moments.second.read_rows(TensorId::Embed, 0..1, &mut unseen).unwrap();
    assert_eq!(unseen, vec![0.0; full.dim]);
    assert!(Path::new(&path).exists());
}
