//! Seeds of the formats without a table of tensors: BLZT checkpoints, model files and tokenizers of llama2.c.

use formats::blzt::{self, Adam};
use formats::flat;
use formats::llama2c::{self, Version};
use model::Layout;

use super::hf::{spec, spec_of, weights};
use super::{Seed, written};

pub fn blzt() -> Vec<Seed> {
    let spec = spec();
    let layout = Layout::of(&spec);
    let values = weights(&layout);
    let source = flat(&values, &layout);
    let adam = Some(Adam { t: 3, first: &source, second: &source, residual_scale: 1.0, rows: None });
    let moments = blzt::WriteOptions { step: 3, total_steps: 9, adam, ..Default::default() };
    let mut seeds = vec![
        written("plain", |path| blzt::write(path, &spec, &source, &Default::default())),
        written("moments", |path| blzt::write(path, &spec, &source, &moments)),
    ];
    let sound = seeds[0].1.clone();
    seeds.extend(spoiled(&sound, 96));
    seeds
}

pub fn llama2c() -> Vec<Seed> {
    let file = |name: &str, spec: &model::ModelSpec, version| {
        let layout = Layout::of(spec);
        let values = weights(&layout);
        let options = llama2c::WriteOptions { version, rows: None };
        written(name, |path| llama2c::write(path, spec, &flat(&values, &layout), &options))
    };
    let own = spec_of("llama", r#""tie_word_embeddings":false"#);
    let mut seeds =
        vec![file("legacy", &spec(), Version::Legacy), file("own-head", &own, Version::Legacy), file("v1", &spec(), Version::V1)];
    for i in [0, 2] {
        let sound = seeds[i].1.clone();
        let named = |(name, bytes): Seed| (format!("{i}-{name}"), bytes);
        seeds.extend(spoiled(&sound, 44).into_iter().map(named));
    }
    seeds
}

/// Every word of the header by itself as the largest, the smallest and no number; the file cut and made longer.
fn spoiled(sound: &[u8], header: usize) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for at in (0..header).step_by(4) {
        for word in [0, 1, -1, i32::MAX, i32::MIN] {
            let mut bytes = sound.to_vec();
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            seeds.push((format!("word-{at}-is-{word}"), bytes));
        }
    }
    seeds.push(("cut".into(), sound[..sound.len() - 3].to_vec()));
    seeds.push(("header-alone".into(), sound[..header].to_vec()));
    seeds.push(("longer".into(), [sound, &[0; 5]].concat()));
    seeds
}

pub fn tokenizers() -> Vec<Seed> {
    let record = |score: f32, length: u32, text: &[u8]| [&score.to_le_bytes(), length.to_le_bytes().as_slice(), text].concat();
    let token = |score: f32, text: &str| record(score, text.len() as u32, text.as_bytes());
    let with = |more: Vec<u8>| {
        let mut bytes =
            [7u32.to_le_bytes().to_vec(), token(0.0, "<unk>"), token(0.0, "\n<s>\n"), token(0.0, "\n</s>\n")].concat();
        (0..256).for_each(|b| bytes.extend(token(0.0, &format!("<0x{b:02X}>"))));
        bytes.extend(more);
        bytes
    };
    let words = ["a", "b", "ab", " ", " a", " ab"].iter().enumerate().flat_map(|(i, text)| token(-(i as f32), text)).collect();
    let seed = |name: &str, bytes: Vec<u8>| (name.to_owned(), bytes);
    vec![
        seed("sound", with(words)),
        seed("padding", with([token(0.0, ""), token(0.0, "")].concat())),
        seed("not-a-number", with(token(f32::NAN, "a"))),
        seed("infinite", with(token(f32::NEG_INFINITY, "a"))),
        seed("not-utf8", with(record(0.0, 2, &[0xff, 0xfe]))),
        seed("longer-than-the-file", with(record(0.0, 1000, b"a"))),
        seed("length-2-32", with(record(0.0, u32::MAX, b"a"))),
        seed("twice", with([token(0.0, "a"), token(0.0, "a")].concat())),
        seed("few", [7u32.to_le_bytes().to_vec(), token(0.0, "a"), token(0.0, "b")].concat()),
        seed("empty", Vec::new()),
        seed("longest-alone", vec![7, 0, 0, 0]),
    ]
}
