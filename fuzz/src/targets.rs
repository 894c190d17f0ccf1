//! The table of targets: a reader, the file that is fuzzed, the sound files beside it, and what an input may cost.

use std::path::Path;
use std::sync::Arc;

use data::chat::{ChatTemplate, Message, Surroundings};
use data::{Dataset, DatasetOptions, PrepareOptions, Source, Tokenizer, TokenizerChoice, VocabMap, Width};
use formats::adapter::{Adapter, write_peft};
use formats::tokenizer::Vocabulary;
use formats::{blzt, gguf, hf};

use crate::bounds;
use crate::folder::Complaint;
use crate::seeds;

/// One reader of one file.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Name of the file that holds the input.
    pub file: &'static str,
    /// Writes the sound files beside it.
    pub prepare: fn(&Path),
    /// Reads the folder, everything that the file leads to.
    pub read: fn(&Path) -> Result<(), Complaint>,
    /// Bytes that any input may allocate: buffers of fixed size, and the sound files' own.
    pub base: usize,
    /// Bytes that each byte of the input may allocate.
    pub factor: usize,
}

const MIB: usize = 1 << 20;

/// JSON costs most: an element of a list of digits is 2 bytes in the file and 72 in memory, three times while a list grows.
const TREE: usize = 256;

/// Compiled regular expressions have a size of their own, whatever the file's.
const PATTERNS: usize = 32 * MIB;

const fn target(name: &'static str, file: &'static str, prepare: fn(&Path), read: fn(&Path) -> Result<(), Complaint>) -> Target {
    Target { name, file, prepare, read, base: 4 * MIB, factor: TREE }
}

/// Every target.
pub static ALL: &[Target] = &[
    target("safetensors", "model.safetensors", seeds::model_folder, read_hf),
    target("config", "config.json", seeds::model_folder, read_hf),
    target("generation_config", "generation_config.json", seeds::model_folder, read_hf),
    target("index", "model.safetensors.index.json", seeds::sharded_folder, read_hf),
    target("gguf", "model.gguf", seeds::nothing, |dir| read_model(&dir.join("model.gguf"))),
    Target {
        base: PATTERNS,
        ..target("gguf_vocabulary", "model.gguf", seeds::nothing, |dir| read_gguf_vocabulary(&dir.join("model.gguf")))
    },
    target("blzt", "model.blzt", seeds::nothing, |dir| read_blzt(&dir.join("model.blzt"))),
    target("llama2c", "model.bin", seeds::nothing, |dir| read_model(&dir.join("model.bin"))),
    target("peft_config", "adapter_config.json", seeds::peft_folder, read_adapter),
    target("peft_weights", "adapter_model.safetensors", seeds::peft_folder, read_adapter),
    target("mlx_config", "adapter_config.json", seeds::mlx_folder, read_adapter),
    target("mlx_weights", "adapters.safetensors", seeds::mlx_folder, read_adapter),
    Target { base: PATTERNS, ..target("tokenizer_bin", "tokenizer.bin", seeds::nothing, read_tokenizer_bin) },
    Target { base: PATTERNS, ..target("vocabulary", "tokenizer.json", seeds::nothing, read_vocabulary) },
    Target { base: PATTERNS, ..target("tokenizer_json", "tokenizer.json", seeds::nothing, read_tokenizer) },
    target("tokenizer_config", "tokenizer_config.json", seeds::tokenizer_folder, read_tokenizer),
    Target { base: 256 * MIB, ..target("chat_template", "chat_template.jinja", seeds::nothing, read_template) },
    target("token_file", "tokens.bin", seeds::nothing, read_tokens),
    target("prepared", "manifest.json", seeds::prepared_folder, read_prepared),
    target("jsonl", "text.jsonl", seeds::tokenizer_folder, |dir| read_text(dir, "text.jsonl")),
    target("text", "text.txt", seeds::tokenizer_folder, |dir| read_text(dir, "text.txt")),
    // a piece of a long line is encoded whole: 1 MiB, which some kilobytes unpack to
    Target { base: 256 * MIB, ..target("gzip", "text.jsonl.gz", seeds::tokenizer_folder, |dir| read_text(dir, "text.jsonl.gz")) },
    target("vocab_map", "vocab.json", seeds::nothing, read_vocab_map),
    target("checkpoint", "MANIFEST.sha256", seeds::model_folder, read_checkpoint),
    target("progress", "state.json", seeds::nothing, read_progress),
    target("events", "events.jsonl", seeds::nothing, read_events),
    target("mil", "program.mil", seeds::nothing, read_program),
    target("mask", "mask.bin", seeds::masked_folder, read_prepared),
    target("study", "study.json", seeds::nothing, read_study),
    target("journal", "journal.log", seeds::nothing, read_journal),
];

/// The target called `name`.
///
/// # Panics
/// Where there is none, with the names that there are.
pub fn named(name: &str) -> &'static Target {
    let names = || ALL.iter().map(|t| t.name).collect::<Vec<_>>().join(", ");
    ALL.iter().find(|t| t.name == name).unwrap_or_else(|| panic!("no target `{name}`; there are {}", names()))
}

fn format(e: formats::FormatError) -> Complaint {
    Complaint { code: e.exit_code(), text: e.to_string() }
}

fn data(e: data::DataError) -> Complaint {
    Complaint { code: e.exit_code(), text: e.to_string() }
}

/// A model as every verb reads it: what opens must load.
fn read_model(path: &Path) -> Result<(), Complaint> {
    let model = formats::open(path).map_err(format)?;
    model.load(model.layout()).map_err(format)?;
    Ok(())
}

/// A folder, for `inspect` too, which describes more than can be opened.
fn read_hf(dir: &Path) -> Result<(), Complaint> {
    let described = hf::inspect(dir).map_err(format);
    read_model(dir)?;
    described?;
    Ok(())
}

/// A checkpoint of the original with its moments.
fn read_blzt(path: &Path) -> Result<(), Complaint> {
    let moments = blzt::moments(path).map_err(format);
    read_model(path)?;
    if let Some(moments) = moments? {
        for model in [&moments.first, &moments.second] {
            model.load(model.layout()).map_err(format)?;
        }
    }
    Ok(())
}

/// An adapter, merged into the model beside it, and written again.
fn read_adapter(dir: &Path) -> Result<(), Complaint> {
    let adapter = Adapter::open(dir).map_err(format)?;
    assert!(adapter.params() > 0, "an adapter of nothing");
    write_peft(&dir.join("again"), &adapter).map_err(format)?;
    let merged = formats::open(&dir.join("base")).map_err(format)?.merged(adapter).map_err(format)?;
    merged.load(merged.layout()).map_err(format)?;
    Ok(())
}

/// What says a vocabulary must make files that our tokenizer takes.
fn use_vocabulary(vocabulary: &Vocabulary, path: &Path) -> Result<(), Complaint> {
    let files = vocabulary.to_json(path).map_err(format)?;
    let again = Vocabulary::from_json(&files.tokenizer, Some(&files.config), path);
    let tokenizer = Tokenizer::from_bytes(files.tokenizer, Some(files.config), path).map_err(data)?;
    tokenizer.encode(seeds::TEXT).map_err(data)?;
    again.map_err(format)?;
    Ok(())
}

/// The tokenizer inside a GGUF file, which needs no weights.
fn read_gguf_vocabulary(path: &Path) -> Result<(), Complaint> {
    let file = gguf::Container::open(path).map_err(format)?;
    match Vocabulary::from_gguf(file.metadata()).map_err(format)? {
        Some(vocabulary) => use_vocabulary(&vocabulary, path),
        None => Ok(()),
    }
}

/// A tokenizer of llama2.c, written again too.
fn read_tokenizer_bin(dir: &Path) -> Result<(), Complaint> {
    let path = dir.join("tokenizer.bin");
    let bytes = std::fs::read(&path).unwrap_or_default();
    let vocabulary = Vocabulary::from_llama2c(&bytes, &path).map_err(format)?;
    assert_eq!(formats::tokenizer::is_llama2c(&bytes), true, "read, but not recognised");
    if let Ok(written) = vocabulary.to_llama2c() {
        Vocabulary::from_llama2c(&written, &path).map_err(format)?;
    }
    use_vocabulary(&vocabulary, &path)
}

/// A tokenizer of a folder as a GGUF file will say it.
fn read_vocabulary(dir: &Path) -> Result<(), Complaint> {
    match Vocabulary::from_folder(dir).map_err(format)? {
        Some(vocabulary) => use_vocabulary(&vocabulary, &dir.join("tokenizer.json")),
        None => Ok(()),
    }
}

/// A tokenizer, text through it and back.
fn read_tokenizer(dir: &Path) -> Result<(), Complaint> {
    let tokenizer = Tokenizer::load(dir).map_err(data)?;
    let ids = match tokenizer.encode(seeds::TEXT) {
        Ok(ids) => ids,
        Err(e) => return Err(data(e)),
    };
    assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()), "ids beyond the vocabulary");
    tokenizer.decode(&ids);
    let mut stream = tokenizer.decode_stream();
    for &id in &ids {
        stream.push(id);
        tokenizer.token_bytes(id);
    }
    Ok(())
}

/// A template, and a conversation through it. One that is given up leaves a thread behind, so the process ends with it;
/// the script starts another.
fn read_template(dir: &Path) -> Result<(), Complaint> {
    let path = dir.join("chat_template.jinja");
    let source = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
    let said = |role: &str, text: &str| Message { role: role.into(), content: text.into() };
    let messages = [said("system", "Be brief."), said("user", seeds::TEXT), said("assistant", " Yes. ")];
    let around = Surroundings { special: vec![("eos_token".into(), "</s>".into())], ..Surroundings::default() };
    let made = ChatTemplate::new(&source, &path).and_then(|template| template.render(&messages, true, &around));
    // given up by a clock, not for want of fuel, which happens at a line
    let text = made.as_ref().err().map(ToString::to_string).unwrap_or_default();
    if text.contains("takes too long") && !text.contains(", line ") {
        bounds::leave();
    }
    made.map(|_| ()).map_err(data)
}

/// A raw token file of either width.
fn read_tokens(dir: &Path) -> Result<(), Complaint> {
    let path = dir.join("tokens.bin");
    let open = |width, vocab_size| {
        let options = DatasetOptions { width: Some(width), vocab_size, ..DatasetOptions::default() };
        Dataset::open(&path, options).map_err(data)
    };
    let narrow = open(Width::U16, None);
    open(Width::U32, Some(1000))?;
    narrow?;
    Ok(())
}

/// A prepared folder; where its mask says what carries loss, the windows that are left are taken.
fn read_prepared(dir: &Path) -> Result<(), Complaint> {
    let opened = Dataset::open(dir, DatasetOptions::default()).map_err(data)?;
    let tokens = opened.mask().map_or(0, |mask| mask.loss_tokens());
    assert_eq!((0..1000).filter(|&i| opened.mask().is_some_and(|m| m.carries_loss(i))).count() as u64, tokens.min(1000));
    Ok(())
}

/// Text to tokens, as `data tokenize` does it.
fn read_text(dir: &Path, name: &str) -> Result<(), Complaint> {
    let tokenizer = TokenizerChoice::Given(Arc::new(Tokenizer::load(dir).map_err(data)?));
    let source = Source::open(&dir.join(name)).map_err(data)?;
    data::prepare(&PrepareOptions { source, tokenizer, threads: 1, template: None }, &dir.join("out"), &mut |_, _| {})
        .map_err(data)?;
    Ok(())
}

fn read_vocab_map(dir: &Path) -> Result<(), Complaint> {
    let path = dir.join("vocab.json");
    let bytes = std::fs::read(&path).unwrap_or_default();
    let map = VocabMap::from_json(&String::from_utf8_lossy(&bytes), &path).map_err(data)?;
    for id in 0..map.len() as u32 {
        assert_eq!(map.to_full(id).and_then(|full| map.to_compact(full)), Some(id));
    }
    Ok(())
}

fn read_checkpoint(dir: &Path) -> Result<(), Complaint> {
    train::checkpoint::verify(dir).map_err(|e| Complaint { code: e.exit_code(), text: e.to_string() })
}

/// The state of a trainer, as a resume reads it.
fn read_progress(dir: &Path) -> Result<(), Complaint> {
    let bytes = std::fs::read(dir.join("state.json")).unwrap_or_default();
    let _: Result<train::trainer::Progress, _> = serde_json::from_slice(&bytes);
    Ok(())
}

/// The record of a run; a damaged line is counted, not an error. A resume copies the lines that it keeps.
fn read_events(dir: &Path) -> Result<(), Complaint> {
    let path = dir.join("events.jsonl");
    let told = |e: train::TrainError| Complaint { code: e.exit_code(), text: e.to_string() };
    train::events::read(&path).map_err(told)?;
    train::events::EventLog::resume(&path, 10).map_err(told)?;
    train::events::read(&path).map_err(told)?;
    Ok(())
}

fn told(e: search::SearchError) -> Complaint {
    Complaint { code: e.exit_code(), text: e.to_string() }
}

/// A study: what is read is declared, proposed from and judged by.
fn read_study(dir: &Path) -> Result<(), Complaint> {
    let study = search::Study::load(dir).map_err(told)?;
    let space = &study.space;
    let baseline = study.settle(study.baseline.clone());
    let settle = |config: search::Config| study.settle(config);
    for kind in search::samplers::SamplerKind::NAMES.iter().filter_map(|n| search::samplers::SamplerKind::of(n)) {
        let trials = [(baseline.clone(), Some(1.0))];
        let admits = |_: &search::Config| true;
        let history =
            search::samplers::History { space, trials: &trials, incumbent: &baseline, settle: &settle, admits: &admits };
        if let Some(config) = search::samplers::propose(kind, &history, study.seed) {
            assert!(space.params.iter().zip(&config).all(|(p, v)| p.holds(*v)), "{} of {}", space.key(&config), space.json(&config));
        }
    }
    let mut race = search::Race::new(&study.rules);
    race.confirm(1);
    race.record(2.0, 1.0);
    search::calibration::detectable(0.1, 3.0, &study.rules, 0.8);
    Ok(())
}

/// A journal, what it says of every trial, and one more line: nothing that was read may change by it.
fn read_journal(dir: &Path) -> Result<(), Complaint> {
    let texts = ["learning-rate=1e-4..1e-2:log", "depth=1..8", "schedule=cosine|linear"];
    let space = search::Space { params: texts.iter().map(|t| search::Param::parse(t).expect("a range")).collect() };
    let path = dir.join("journal.log");
    let journal = search::Journal::open(&path, "s", "fuzz").map_err(told)?;
    let state = journal.state().map_err(told)?;
    for trial in &state.trials {
        for config in [trial.config(&space), trial.fixed(&space)].into_iter().flatten() {
            assert!(space.params.iter().zip(&config).all(|(p, v)| p.holds(*v)), "{}", space.key(&config));
        }
    }
    let (trials, next) = (state.trials.len(), state.next_trial());
    // without effect where there is one
    let after = journal.write(vec![search::journal::Op::CreateStudy { name: "s".into() }]).map_err(told)?;
    let study = after.study.unwrap_or_else(|| panic!("the study was just made"));
    let after = journal.write(vec![search::journal::Op::CreateTrial { study }]).map_err(told)?;
    assert_eq!((after.trials.len(), after.next_trial()), (trials + 1, next + 1));
    let again = search::Journal::open(&path, "s", "other").and_then(|j| j.state()).map_err(told)?;
    assert_eq!(again.trials.len(), trials + 1, "read from the start");
    Ok(())
}

/// A program of the Neural Engine: what is read must print to a text that says the same, and the rules must bear it.
fn read_program(dir: &Path) -> Result<(), Complaint> {
    let path = dir.join("program.mil");
    let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
    let told = |e: &dyn std::fmt::Display| Complaint { code: 65, text: format!("{}:{e}", path.display()) };
    let program = mil::parse(&text).map_err(|e| told(&e))?;
    let printed = program.to_string();
    let again = mil::parse(&printed).unwrap_or_else(|e| panic!("{e} in what was printed:\n{printed}"));
    assert_eq!(again.to_string(), printed, "printed twice");
    let checked = mil::check(&program).map(|_| ()).map_err(|e| told(&e));
    assert_eq!(mil::check(&again).is_ok(), checked.is_ok(), "printing changes what the checker says:\n{printed}");
    checked?;
    mil::rules::check(&program, &[], &mil::rules::Target { strict: true, ..Default::default() });
    Ok(())
}
