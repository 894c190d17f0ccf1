//! Ids on a nasty corpus against those of `tokenizers`, `sentencepiece` and llama.cpp. How the figures were made stands in
//! `tokenizers/README.md`.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use data::Tokenizer;
use formats::gguf;
use formats::tokenizer::Vocabulary;
use serde_json::Value;

fn shared(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("AUTOANE_SHARED").map_or(beside, Into::into);
    if shared.join("data/smollm2").is_dir() {
        return Some(shared.join("data"));
    }
    eprintln!("SKIPPED: {test}: no {} (set AUTOANE_SHARED)", shared.display());
    None
}

fn read(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tokenizers").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn corpus() -> Vec<String> {
    serde_json::from_value(read("corpus.json")).unwrap()
}

fn expected(name: &str) -> Vec<Vec<u32>> {
    serde_json::from_value(read("expected.json")["ids"][name].clone()).unwrap()
}

fn tokenizer(vocabulary: &Vocabulary) -> Tokenizer {
    let path = Path::new("tokenizer.json");
    let files = vocabulary.to_json(path).unwrap();
    Tokenizer::from_bytes(files.tokenizer, Some(files.config), path).unwrap()
}

fn llama2c(path: &Path) -> Vocabulary {
    Vocabulary::from_llama2c(&std::fs::read(path).unwrap(), path).unwrap()
}

/// Ids as expected, and the same text whether decoded at once or token by token.
fn agrees(name: &str, tokenizer: &Tokenizer) {
    let (texts, expected) = (corpus(), expected(name));
    assert_eq!(texts.len(), expected.len());
    for (i, (text, ids)) in texts.iter().zip(&expected).enumerate() {
        assert_eq!(&tokenizer.encode(text).unwrap(), ids, "{name}, text {i}: {text:?}");
        let mut stream = tokenizer.decode_stream();
        let mut streamed: String = ids.iter().map(|&id| stream.push(id)).collect();
        streamed += &stream.finish();
        assert_eq!(streamed, tokenizer.decode(ids), "{name}, text {i}");
    }
}

#[test]
fn byte_level_ids_are_those_of_the_reference() {
    let Some(data) = shared("byte_level_ids") else { return };
    let folder = data.join("smollm2");
    agrees("smollm", &Tokenizer::load(&folder).unwrap());
    let mut vocabulary = Vocabulary::from_folder(&folder).unwrap().unwrap();
    assert_eq!(vocabulary.pre.as_deref(), Some("smollm"));
    for pre in ["smollm", "gpt-2", "llama-bpe", "qwen2", "tekken", "default"] {
        vocabulary.pre = Some(pre.to_owned());
        agrees(pre, &tokenizer(&vocabulary));
    }
}

#[test]
fn sentencepiece_ids_are_those_of_the_reference() {
    let Some(data) = shared("sentencepiece_ids") else { return };
    agrees("stories260K", &Tokenizer::load(&data.join("stories260K")).unwrap());
    for (name, path) in [("stories260K", "stories260K/tok512.bin"), ("llama2", "llama2-tokenizer/tokenizer.bin")] {
        let vocabulary = llama2c(&data.join(path));
        agrees(name, &tokenizer(&vocabulary));
        // and after its scores were made anew from ranked merges
        let files = vocabulary.to_json(Path::new(path)).unwrap();
        let again = Vocabulary::from_json(&files.tokenizer, Some(&files.config), Path::new(path)).unwrap();
        agrees(name, &tokenizer(&again));
    }
}

#[test]
fn ids_of_a_tokenizer_inside_gguf_are_those_of_the_reference() {
    let Some(data) = shared("ids_of_a_tokenizer_inside_gguf") else { return };
    let file = gguf::Container::open(&data.join("fixtures/llama-2-tiny-random.gguf")).unwrap();
    let vocabulary = Vocabulary::from_gguf(file.metadata()).unwrap().unwrap();
    agrees("llama2", &tokenizer(&vocabulary));
}

/// Every text comes back, but for special tokens, which are left out, and SentencePiece's sign for a space.
#[test]
fn texts_come_back() {
    let Some(data) = shared("texts_come_back") else { return };
    let smollm2 = Tokenizer::load(&data.join("smollm2")).unwrap();
    let llama2 = tokenizer(&llama2c(&data.join("llama2-tokenizer/tokenizer.bin")));
    let mut special = 0;
    for text in corpus() {
        for tokenizer in [&smollm2, &llama2] {
            let ids = tokenizer.encode(&text).unwrap();
            if ids.iter().any(|&id| tokenizer.is_special(id)) {
                special += 1;
            } else if !text.contains('\u{2581}') {
                assert_eq!(tokenizer.decode(&ids), text);
            }
        }
    }
    assert_eq!(special, 11);
}
