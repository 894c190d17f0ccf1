//! Claims about text and files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use data::{Dataset, DatasetOptions, Loader, LoaderOptions, Order, Stories, Tokenizer};
use formats::{Dtype, Encoding, SpecialIds, blzt, gguf, hf, llama2c};
use model::{Layout, ModelSpec};

use crate::subject::{Golden, Tricky};
use crate::tamper::{interleaved, rounded};
use crate::{Broken, Found, Row, Tamper, World, so};

pub const CLAIMS: &[Row] = &[
    ("data/stories", "the built-in stories are the same for the same seed, and others for another", "none", stories),
    ("data/tokenizer", "texts come back from their ids, whatever bytes they hold", "none", tokenizer),
    ("data/windows", "window k holds tokens kS to kS + S, and its targets are one later", "none", windows),
    ("data/refused", "a token file of odd length, or with ids beyond the vocabulary, is an error", "none", refused),
    (
        "formats/round-trips",
        "a model goes through Hugging Face, GGUF, BLZT and llama2.c files and comes back bit for bit",
        "none",
        round_trips,
    ),
    ("formats/truncated", "a file that ends early is an error, wherever it ends", "none", truncated),
];

fn stories(world: &World<'_>) -> Found {
    let seed_of = |seed| if world.broken(Tamper::Seedless) { 1 } else { seed };
    let texts = |seed| (0..20).map(|i| Stories::new(seed_of(seed)).story(i)).collect::<Vec<_>>();
    let (first, again, other) = (texts(1), texts(1), texts(2));
    let words = first.iter().map(|s| s.split_whitespace().count()).sum::<usize>();
    so(first == again && first != other, format!("20 stories, {words} words"))
}

fn tokenizer(world: &World<'_>) -> Found {
    let documents: Vec<String> = (0..200).map(|i| Stories::new(1).story(i)).collect();
    let tokenizer = Tokenizer::train(&documents, 600).map_err(Broken::of)?;
    let nasty =
        ["", " ", "\r\n\t", "a\u{0}b", "žluťoučký kůň", "日本語🙂👩‍👩‍👧", "1234567890", "   three   spaces ", "\u{a0}\u{feff}"];
    let texts = documents.iter().map(String::as_str).take(50).chain(nasty);
    let mut wrong = Vec::new();
    for text in texts {
        let ids = tokenizer.encode(text).map_err(Broken::of)?;
        let mut back = tokenizer.decode(&ids);
        if world.broken(Tamper::Spaces) {
            back = back.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        if back != text {
            wrong.push(text.to_owned());
        }
    }
    so(wrong.is_empty(), format!("59 texts, {} of them changed", wrong.len()))
}

fn open(path: &Path, vocab: usize) -> data::Result<Dataset> {
    Dataset::open(path, DatasetOptions { vocab_size: Some(vocab), compact: false, ..DatasetOptions::default() })
}

fn windows(world: &World<'_>) -> Found {
    let path = world.scratch.join("tokens.bin");
    let ids: Vec<u32> = (0..1000u32).map(|i| i * 7 % 501).collect();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| (*id as u16).to_le_bytes()).collect();
    fs::write(&path, bytes).map_err(Broken::of)?;
    let data = Arc::new(open(&path, 501).map_err(Broken::of)?);
    let options = LoaderOptions { seq_len: 16, order: Order::Sequential, val_fraction: 0.0, ..LoaderOptions::default() };
    let mut loader = Loader::new(data, options).map_err(Broken::of)?;
    let mut batch = loader.batch(3);
    loader.fill(&mut batch);
    let later = usize::from(!world.broken(Tamper::Unshifted));
    let targets = |batch: &data::Batch| if later == 0 { batch.inputs.clone() } else { batch.targets.clone() };
    let first = batch.inputs == ids[..48] && targets(&batch) == ids[1..49];
    loader.fill(&mut batch);
    let second = batch.inputs == ids[48..96] && targets(&batch) == ids[49..97];
    loader.seek(0);
    loader.fill(&mut batch);
    so(first && second && batch.inputs == ids[..48], "two batches, and the first again")
}

fn refused(world: &World<'_>) -> Found {
    let file = |name: &str, bytes: &[u8]| {
        let path = world.scratch.join(name);
        fs::write(&path, bytes).map(|()| path).map_err(Broken::of)
    };
    let whole: Vec<u8> = (0..500u16).flat_map(|i| (i % 90).to_le_bytes()).collect();
    let beyond = |vocab| if world.broken(Tamper::Unbounded) { usize::from(u16::MAX) } else { vocab };
    let odd = open(&file("odd.bin", &whole[..whole.len() - 1])?, 90).is_err();
    let beyond = open(&file("beyond.bin", &whole)?, beyond(89)).is_err();
    let sound = open(&file("sound.bin", &whole)?, 90).is_ok();
    so(odd && beyond && sound, format!("odd length refused: {odd}, id 89 of 89 refused: {beyond}, the sound file opens: {sound}"))
}

/// Writes a model in every format; gives their names with what comes back.
fn written(dir: &Path, spec: &ModelSpec, params: &[f32]) -> Result<Vec<(&'static str, formats::Model)>, Broken> {
    let layout = Layout::of(spec);
    let (source, special) = (formats::flat(params, &layout), SpecialIds::default());
    fs::create_dir_all(dir).map_err(Broken::of)?;
    let at = |name: &str| dir.join(name);
    hf::write(&at("hf"), spec, &source, &hf::WriteOptions { dtype: Dtype::F32, special: &special, rows: None })
        .map_err(Broken::of)?;
    let extra = gguf::Metadata::new(&at("m.gguf"));
    let options = gguf::WriteOptions { encoding: Encoding::F32, special: &special, rows: None, extra: &extra };
    gguf::write(&at("m.gguf"), spec, &source, &options).map_err(Broken::of)?;
    blzt::write(&at("m.blzt"), spec, &source, &blzt::WriteOptions::default()).map_err(Broken::of)?;
    llama2c::write(&at("m.bin"), spec, &source, &llama2c::WriteOptions::default()).map_err(Broken::of)?;
    let opened = ["hf", "m.gguf", "m.blzt", "m.bin"].map(|name| formats::open(&at(name)).map(|m| (name, m)));
    opened.into_iter().collect::<Result<_, _>>().map_err(Broken::of)
}

fn round_trips(world: &World<'_>) -> Found {
    let golden = Golden::open(world)?;
    // what all four can say: heads as wide as dim / heads, a plain theta of 10,000, an epsilon of 1e-5
    let tricky = Tricky::new().spec;
    let spec = ModelSpec { head_dim: 8, rope: model::Rope::plain(1e4), residual_scale: 1.0, tied: true, ..tricky };
    let params = engine::init(&spec, &Layout::of(&spec), 5);
    let mut changed = Vec::new();
    for (name, opened) in written(&world.scratch.join("trips"), &spec, &params)? {
        let mut back = opened.load(&Layout::of(&spec)).map_err(Broken::of)?;
        match world.tamper {
            Some(Tamper::Rounded) => rounded(&mut back),
            Some(Tamper::Pairs) => interleaved(&mut back, 8 * spec.dim, false),
            _ => {}
        }
        if back.iter().zip(&params).any(|(a, b)| a.to_bits() != b.to_bits()) || back.len() != params.len() {
            changed.push(name);
        }
    }
    so(
        changed.is_empty(),
        format!(
            "four formats, {} weights ({} of the golden model beside); changed: {changed:?}",
            params.len(),
            golden.params.len()
        ),
    )
}

fn truncated(world: &World<'_>) -> Found {
    let spec = ModelSpec { head_dim: 8, rope: model::Rope::plain(1e4), residual_scale: 1.0, tied: true, ..Tricky::new().spec };
    let params = engine::init(&spec, &Layout::of(&spec), 5);
    let dir = world.scratch.join("ends");
    drop(written(&dir, &spec, &params)?);
    let (mut cuts, mut taken) = (0, Vec::new());
    for name in ["hf/model.safetensors", "m.gguf", "m.blzt", "m.bin"] {
        let path = dir.join(name);
        let whole = fs::read(&path).map_err(Broken::of)?;
        for i in 0..60 {
            // close together at the head of the file, and then apart
            let len = if i < 30 { i * 7 } else { whole.len() * (i - 29) / 31 };
            let mut cut = whole[..len.min(whole.len() - 1)].to_vec();
            if world.broken(Tamper::Padded) {
                cut.resize(whole.len(), 0);
            }
            fs::write(&path, cut).map_err(Broken::of)?;
            let folder = if name.starts_with("hf") { dir.join("hf") } else { path.clone() };
            cuts += 1;
            if formats::open(&folder).and_then(|m| m.load(&Layout::of(m.spec()))).is_ok() {
                taken.push(format!("{name} at {len}"));
            }
        }
        fs::write(&path, whole).map_err(Broken::of)?;
    }
    so(taken.is_empty(), format!("{cuts} cuts; taken for whole: {taken:?}"))
}
