//! GGUF files that are wrong: each ends in code 65 with what is wrong, and none takes memory that the file does not hold.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use common::{special, tiny, weights};
use formats::Encoding;
use formats::gguf::{self, Container, Metadata, WriteOptions};
use model::Layout;

/// A file, written by hand.
#[derive(Clone)]
struct Raw {
    version: u32,
    tensors: Option<u64>,
    keys: Option<u64>,
    kv: Vec<(String, u32, Vec<u8>)>,
    infos: Vec<(String, Vec<u64>, u32, u64)>,
    alignment: usize,
    data: usize,
}

fn text(t: &str) -> Vec<u8> {
    [&(t.len() as u64).to_le_bytes(), t.as_bytes()].concat()
}

impl Raw {
    fn new() -> Raw {
        let infos = vec![("a".into(), vec![8, 2], 0, 0), ("b".into(), vec![32], 8, 64)];
        Raw { version: 3, tensors: None, keys: None, kv: vec![("k".into(), 4, vec![1, 0, 0, 0])], infos, alignment: 32, data: 98 }
    }

    fn kv(mut self, key: &str, kind: u32, bytes: Vec<u8>) -> Raw {
        self.kv.push((key.into(), kind, bytes));
        self
    }

    fn info(mut self, at: usize, change: impl FnOnce(&mut (String, Vec<u64>, u32, u64))) -> Raw {
        change(&mut self.infos[at]);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend(self.tensors.unwrap_or(self.infos.len() as u64).to_le_bytes());
        out.extend(self.keys.unwrap_or(self.kv.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.kv {
            out.extend(text(key));
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        for (name, dims, kind, offset) in &self.infos {
            out.extend(text(name));
            out.extend((dims.len() as u32).to_le_bytes());
            dims.iter().for_each(|d| out.extend(d.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(self.alignment) + self.data, 0);
        out
    }
}

fn open(bytes: &[u8]) -> Result<Container, formats::FormatError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.gguf");
    fs::write(&path, bytes).unwrap();
    Container::open(&path)
}

fn list(kind: u32, n: u64) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &n.to_le_bytes()].concat()
}

#[test]
fn the_container_takes_what_the_format_allows() {
    assert_eq!(open(&Raw::new().bytes()).unwrap().tensors().len(), 2);
    for (name, raw) in [
        ("version 2", Raw { version: 2, ..Raw::new() }),
        ("padding after the last tensor", Raw { data: 128, ..Raw::new() }),
        ("another alignment", Raw { alignment: 64, ..Raw::new().kv("general.alignment", 4, 64u32.to_le_bytes().to_vec()) }),
        ("an empty list", Raw::new().kv("l", 9, list(8, 0))),
    ] {
        open(&raw.bytes()).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[test]
fn the_container_refuses_what_the_format_forbids() {
    let huge = u64::MAX;
    let nested = [list(9, 1), list(9, 1), list(9, 1), list(9, 1), list(4, 0)].concat();
    let cases: Vec<(&str, Raw)> = vec![
        ("version", Raw { version: 1, ..Raw::new() }),
        ("version", Raw { version: 4, ..Raw::new() }),
        ("big-endian", Raw { version: 3u32.swap_bytes(), ..Raw::new() }),
        ("number of tensors", Raw { tensors: Some(huge), ..Raw::new() }),
        ("number of tensors", Raw { tensors: Some(1000), ..Raw::new() }),
        ("number of keys", Raw { keys: Some(huge / 13), ..Raw::new() }),
        ("number of keys", Raw { keys: Some(60_000), ..Raw::new() }),
        ("key `k`: found it twice", Raw::new().kv("k", 0, vec![1])),
        ("value type 13", Raw::new().kv("x", 13, vec![0; 8])),
        ("truth value", Raw::new().kv("x", 7, vec![2])),
        ("UTF-8", Raw::new().kv("x", 8, [&1u64.to_le_bytes()[..], &[0xff]].concat())),
        ("`x`", Raw::new().kv("x", 8, huge.to_le_bytes().to_vec())),
        ("`x`", Raw::new().kv("x", 8, 1000u64.to_le_bytes().to_vec())),
        ("`x`", Raw::new().kv("x", 9, list(10, huge / 8 + 2))),
        ("`x`", Raw::new().kv("x", 9, list(8, 1 << 40))),
        ("value type 99", Raw::new().kv("x", 9, list(99, 0))),
        ("4 levels", Raw::new().kv("x", 9, nested)),
        ("item 1", Raw::new().kv("x", 9, [list(8, 2), text("a"), 500u64.to_le_bytes().to_vec()].concat())),
        ("alignment", Raw::new().kv("general.alignment", 4, 0u32.to_le_bytes().to_vec())),
        ("alignment", Raw::new().kv("general.alignment", 4, 24u32.to_le_bytes().to_vec())),
        ("alignment", Raw::new().kv("general.alignment", 8, text("32"))),
        ("0 dimensions", Raw::new().info(0, |i| i.1 = vec![])),
        ("5 dimensions", Raw::new().info(0, |i| i.1 = vec![1, 1, 1, 2, 8])),
        ("dimensions [8, 0]", Raw::new().info(0, |i| i.1 = vec![8, 0])),
        ("dimensions", Raw::new().info(0, |i| i.1 = vec![1 << 62, 1 << 62])),
        ("whole blocks of 32", Raw::new().info(1, |i| i.1 = vec![33])),
        ("tensor type 4", Raw::new().info(0, |i| i.2 = 4)),
        ("it twice", Raw::new().info(1, |i| i.0 = "a".into())),
        ("65 bytes", Raw::new().info(0, |i| i.0 = "n".repeat(65))),
        ("an overlap", Raw::new().info(1, |i| i.3 = 32)),
        ("a hole", Raw::new().info(1, |i| i.3 = 96)),
        ("no multiple", Raw::new().info(1, |i| i.3 = 65)),
        ("within the", Raw { data: 97, ..Raw::new() }),
        ("within the", Raw::new().info(1, |i| i.1 = vec![32, 1 << 50])),
        ("after the last tensor", Raw { data: 129, ..Raw::new() }),
    ];
    for (expected, raw) in cases {
        let error = open(&raw.bytes()).map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 65, "{error}");
        assert!(error.to_string().contains(expected) && error.to_string().contains("m.gguf"), "{expected}: {error}");
    }
    for bytes in [&b""[..], b"GGU", b"GGUF", b"GGUF\x03\0\0\0", b"NOPE\x03\0\0\0\0\0\0\0"] {
        assert_eq!(open(bytes).unwrap_err().exit_code(), 65);
    }
}

fn tiny_file(dir: &Path) -> PathBuf {
    let path = dir.join("m.gguf");
    let spec = tiny();
    let layout = Layout::of(&spec);
    let (values, special, extra) = (weights(&layout), special(), Metadata::new(&path));
    let options = WriteOptions { encoding: Encoding::F32, special: &special, rows: None, extra: &extra };
    gguf::write(&path, &spec, &formats::flat(&values, &layout), &options).unwrap();
    path
}

#[test]
fn no_truncation_and_no_flipped_header_bit_is_taken_for_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = tiny_file(dir.path());
    let good = fs::read(&path).unwrap();
    let model = formats::open(&path).unwrap();
    let (spec, values) = (model.spec().clone(), model.load(model.layout()).unwrap());
    let header = Container::open(&path).unwrap().tensors()[0].start as usize;
    for cut in (0..header).step_by(37).chain((header..good.len()).step_by(997)) {
        fs::write(&path, &good[..cut]).unwrap();
        assert_eq!(formats::open(&path).unwrap_err().exit_code(), 65, "cut at {cut}");
    }
    for bit in (0..header * 8).step_by(23) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        match formats::open(&path) {
            Err(error) => assert_eq!(error.exit_code(), 65, "bit {bit}: {error}"),
            // a name nobody reads, a number that is only information: then the weights are those that were written, or others
            // of the same shape
            Ok(model) => {
                assert!(same_sizes(model.spec(), &spec), "bit {bit}: {:?}", model.spec());
                assert_eq!(model.load(model.layout()).unwrap().len(), values.len(), "bit {bit}");
            }
        }
    }
}

/// Equal in all that a flipped bit may not change unseen: the sizes that the tensors prove.
fn same_sizes(a: &model::ModelSpec, b: &model::ModelSpec) -> bool {
    (a.dim, a.layers, a.hidden, a.vocab, a.q_dim(), a.kv_dim()) == (b.dim, b.layers, b.hidden, b.vocab, b.q_dim(), b.kv_dim())
}

#[test]
fn absent_and_foreign_tensors_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = tiny_file(dir.path());
    let good = fs::read(&path).unwrap();
    let renamed = |from: &[u8], to: &[u8]| {
        let at = good.windows(from.len()).position(|w| w == from).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        fs::write(&path, bytes).unwrap();
        formats::open(&path).unwrap_err().to_string()
    };
    assert!(renamed(b"blk.1.attn_k.weight", b"blk.1.attn_x.weight").contains("blk.1.attn_x.weight"));
    assert!(renamed(b"blk.1.attn_k.weight", b"rope_freqs...rot.ww").contains("rope_freqs"));
    assert!(renamed(b"token_embd.weight", b"tokem_embd.weight").contains("token_embd.weight"));
    assert!(renamed(b"llama.attention.head_count_kv", b"llama.attention.head_count_kW").contains("attn_k"));
    assert!(renamed(b"llama.block_count", b"llama.block_coumt").contains("key `llama.block_count`"));
    let llama = b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0llama";
    assert!(renamed(llama, b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0gamma").contains("`gamma` is not supported"));
}

#[test]
fn a_lie_about_size_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.gguf");
    let bytes = Raw::new().kv("x", 9, list(0, 1 << 33)).bytes();
    fs::write(&path, bytes).unwrap();
    // a file with a hole: it has the size that it claims, and nothing in it
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 34).unwrap();
    let began = Instant::now();
    let error = Container::open(&path).unwrap_err();
    assert_eq!(error.exit_code(), 65, "{error}");
    assert!(began.elapsed().as_secs_f64() < 1.0);
}
