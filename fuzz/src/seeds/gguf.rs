//! Seeds of GGUF files: sound ones of each family and encoding, then one for each way in which readers have failed.

use std::path::Path;

use formats::gguf::{self, Metadata, Value};
use formats::tokenizer::Vocabulary;
use formats::{Encoding, flat};
use model::Layout;

use super::gpt2::tokenizer_json;
use super::hf::{FAMILIES, spec_of, special, weights};
use super::{Seed, sequence, written};

const ENCODINGS: [Encoding; 4] = [Encoding::F32, Encoding::F16, Encoding::Bf16, Encoding::Q8_0];

/// Types of values.
const U32: u32 = 4;
const STRING: u32 = 8;
const ARRAY: u32 = 9;
const U64: u32 = 10;

pub fn files() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = FAMILIES.iter().enumerate().map(|(i, (family, more))| sound(i, family, more)).collect();
    seeds.extend(hostile().into_iter().map(|(name, bytes)| (name.to_owned(), bytes)));
    seeds
}

fn sound(i: usize, family: &str, more: &str) -> Seed {
    let (spec, special) = (spec_of(family, more), special());
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    let source = flat(&values, &layout);
    let mut extra = Metadata::new(Path::new("extra"));
    for (key, value) in [("general.name", "tiny"), ("tokenizer.ggml.model", "gpt2")] {
        assert!(extra.insert(key, Value::Text(value.into())), "{key} twice");
    }
    let encoding = ENCODINGS[i % ENCODINGS.len()];
    let options = gguf::WriteOptions { encoding, special: &special, rows: None, extra: &extra };
    let name = format!("{i}-{family}-{}", encoding.name());
    written(&name, |path| gguf::write(path, &spec, &source, &options))
}

/// Files of one kind of tokenizer each, without weights but for one tensor.
pub fn vocabularies() -> Vec<Seed> {
    let file = |name: &str, vocabulary: Vocabulary| {
        let mut extra = Metadata::new(Path::new("extra"));
        vocabulary.to_gguf(&mut extra);
        let (spec, special) = (spec_of("llama", ""), special());
        let layout = Layout::of(&spec);
        let values = weights(&layout);
        let options = gguf::WriteOptions { encoding: Encoding::Q8_0, special: &special, rows: None, extra: &extra };
        written(name, |path| gguf::write(path, &spec, &flat(&values, &layout), &options))
    };
    let path = Path::new("tokenizer");
    let bytes = sequence::tokenizers().swap_remove(0).1;
    let pieces = Vocabulary::from_llama2c(&bytes, path).expect("a sound tokenizer");
    let merges = Vocabulary::from_json(tokenizer_json().as_bytes(), None, path).expect("a sound tokenizer");
    let template = |text: &str| Vocabulary { chat_template: Some(text.into()), ..merges.clone() };
    vec![
        file("pieces", pieces.clone()),
        file("merges", merges.clone()),
        file("template", template("{% for m in messages %}{{ m['content'] }}{% endfor %}")),
        file("no-score", Vocabulary { scores: Vec::new(), ..pieces.clone() }),
        file("not-a-number", Vocabulary { scores: vec![f32::NAN; pieces.scores.len()], ..pieces }),
        file("unknown-pre", Vocabulary { pre: Some("no-such".into()), ..merges.clone() }),
        file("merge-without-a-space", Vocabulary { merges: vec!["ab".into()], ..merges }),
    ]
}

/// A header: magic, version, numbers of tensors and of keys.
fn head(tensors: u64, keys: u64) -> Vec<u8> {
    [b"GGUF".as_slice(), &3u32.to_le_bytes(), &tensors.to_le_bytes(), &keys.to_le_bytes()].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A key and its value, whose bytes are given.
fn key(name: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [text(name), kind.to_le_bytes().to_vec(), value.to_vec()].concat()
}

fn array(kind: u32, count: u64, items: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), count.to_le_bytes().as_slice(), items].concat()
}

fn tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let sizes = dims.iter().flat_map(|d| d.to_le_bytes()).collect::<Vec<u8>>();
    [text(name), (dims.len() as u32).to_le_bytes().to_vec(), sizes, kind.to_le_bytes().to_vec(), offset.to_le_bytes().to_vec()]
        .concat()
}

/// One tensor of f32 that is the whole file.
fn lone(dims: &[u64], offset: u64, data: usize) -> Vec<u8> {
    let mut bytes = [head(1, 0), tensor("a", dims, 0, offset)].concat();
    bytes.resize(bytes.len().next_multiple_of(32) + data, 7);
    bytes
}

fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let many = |count, items: &[u8]| [head(0, 1), key("a", ARRAY, &array(U32, count, items))].concat();
    let nested: Vec<u8> = (0..9000).flat_map(|_| array(ARRAY, 1, &[])).collect();
    let align = |n: u32| [head(1, 1), key("general.alignment", U32, &n.to_le_bytes()), tensor("a", &[1], 0, 0)].concat();
    vec![
        ("empty", Vec::new()),
        ("magic-alone", b"GGUF".to_vec()),
        ("version-1", [b"GGUF".as_slice(), &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat()),
        ("big-endian", [b"GGUF".as_slice(), &[0, 0, 0, 3], &[0; 16]].concat()),
        ("tensors-2-63", head(1 << 63, 0)),
        ("keys-2-64", head(0, u64::MAX)),
        ("array-2-63", many(1 << 63, &[])),
        ("array-2-62-wraps-to-nothing", many(1 << 62, &[])),
        ("array-beyond-the-file", many(1000, &[1, 2, 3])),
        ("array-of-arrays", [head(0, 1), key("a", ARRAY, &nested)].concat()),
        ("array-of-unknown", [head(0, 1), key("a", ARRAY, &array(77, 3, &[0; 12]))].concat()),
        ("string-2-64", [head(0, 1), key("a", STRING, &u64::MAX.to_le_bytes())].concat()),
        ("key-2-63", [head(0, 1), (1u64 << 63).to_le_bytes().to_vec()].concat()),
        ("key-not-utf8", [head(0, 1), 2u64.to_le_bytes().to_vec(), vec![0xff, 0xfe, 4, 0, 0, 0, 1, 0, 0, 0]].concat()),
        ("key-twice", [head(0, 2), key("a", U32, &[1, 0, 0, 0]), key("a", U32, &[2, 0, 0, 0])].concat()),
        ("bool-2", [head(0, 1), key("a", 7, &[2])].concat()),
        ("alignment-0", align(0)),
        ("alignment-3", align(3)),
        ("alignment-2-31", align(1 << 31)),
        ("dimensions-overflow", lone(&[1 << 32, 1 << 32, 4], 0, 4)),
        ("dimensions-wrap-to-the-size", lone(&[(1 << 62) + 1], 0, 4)),
        ("five-dimensions", lone(&[1, 1, 1, 1, 1], 0, 4)),
        ("no-elements", lone(&[0], 0, 0)),
        ("offset-2-63", lone(&[1], 1 << 63, 4)),
        ("offset-unaligned", lone(&[1], 3, 8)),
        ("tensor-beyond-the-file", lone(&[1 << 20], 0, 64)),
        ("row-is-no-block", [head(1, 0), tensor("a", &[33], 8, 0), vec![0; 64]].concat()),
        ("unknown-type", [head(1, 0), tensor("a", &[32], 4_000_000, 0), vec![0; 64]].concat()),
        ("overlap", [head(2, 0), tensor("a", &[16], 0, 0), tensor("b", &[16], 0, 32), vec![0; 160]].concat()),
        ("tensor-twice", [head(2, 0), tensor("a", &[8], 0, 0), tensor("a", &[8], 0, 32), vec![0; 96]].concat()),
        ("architecture-number", [head(0, 1), key("general.architecture", U64, &[1; 8])].concat()),
    ]
}
