#![allow(clippy::unwrap_used)]
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;

fn shared(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("AUTOANE_SHARED").map_or(beside, Into::into);
    if shared.join("data/stories260K").is_dir() {
        return Some(shared);
    }
    eprintln!("SKIPPED: {test}: no {} (set AUTOANE_SHARED)", shared.display());
    None
}

fn tree(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn reading(value: &Value) -> Result<Vocabulary, crate::FormatError> {
    Vocabulary::from_json(value.to_string().as_bytes(), None, Path::new("tokenizer.json"))
}

/// Byte-level BPE of four words, with one special and one plain added token.
fn small() -> Vocabulary {
    let tokens = ["<|end|>", "a", "b", "c", "ab", "abc", "<tool>"];
    let mut types = vec![TokenType::Normal; 7];
    (types[0], types[6]) = (TokenType::Control, TokenType::UserDefined);
    let eos = SpecialTokens { bos: Some(0), eos: Some(0), eot: Some(0), ..SpecialTokens::default() };
    Vocabulary {
        tokens: tokens.map(str::to_owned).to_vec(),
        types,
        merges: vec!["a b".into(), "ab c".into()],
        pre: Some("llama-bpe".into()),
        special: eos,
        add_bos: Some(true),
        add_eos: Some(false),
        chat_template: Some("{{ messages }}".into()),
        chat_templates: vec![("tool_use".into(), "{{ tools }}".into())],
        ..Vocabulary::empty(Kind::Bpe)
    }
}

fn round_trip(vocabulary: &Vocabulary) -> Vocabulary {
    let files = vocabulary.to_json(Path::new("m.gguf")).unwrap();
    Vocabulary::from_json(&files.tokenizer, Some(&files.config), Path::new("tokenizer.json")).unwrap()
}

#[test]
fn byte_level_vocabularies_come_back() {
    assert_eq!(round_trip(&small()), small());
    for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "default", "deepseek-r1-qwen", "smaug-bpe"] {
        let vocabulary = Vocabulary { pre: Some(pre.into()), ..small() };
        assert_eq!(round_trip(&vocabulary), vocabulary, "{pre}");
    }
}

#[test]
fn an_unknown_pre_tokenizer_is_named_with_those_that_are_known() {
    let vocabulary = Vocabulary { pre: Some("superbpe".into()), ..small() };
    let error = vocabulary.to_json(Path::new("m.gguf")).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    let text = error.to_string();
    assert!(text.contains("`superbpe`") && text.contains("smollm") && text.contains("tekken"), "{text}");
}

/// The original's export wrote merges wrong when the file held them as pairs.
#[test]
fn both_spellings_of_merges_are_the_same() {
    let mut value = tree(&small().to_json(Path::new("m.gguf")).unwrap().tokenizer);
    assert_eq!(value["model"]["merges"], json!(["a b", "ab c"]));
    let strings = reading(&value).unwrap();
    value["model"]["merges"] = json!([["a", "b"], ["ab", "c"]]);
    assert_eq!(reading(&value).unwrap(), strings);
    assert_eq!(strings.merges, ["a b", "ab c"]);
}

/// The original's export marked no token as special.
#[test]
fn special_and_added_tokens_get_their_types() {
    use TokenType::{Control, Normal, UserDefined};
    let read = round_trip(&small());
    assert_eq!(read.types, [Control, Normal, Normal, Normal, Normal, Normal, UserDefined]);
    let mut value = tree(&small().to_json(Path::new("m.gguf")).unwrap().tokenizer);
    // an added token beyond the model's vocabulary, with a hole before it
    value["added_tokens"].as_array_mut().unwrap().push(json!({ "id": 9, "content": "<|pad|>", "special": true }));
    let read = reading(&value).unwrap();
    assert_eq!((read.tokens[9].as_str(), read.types[9]), ("<|pad|>", Control));
    assert_eq!((read.tokens[8].as_str(), read.types[8]), ("[PAD8]", TokenType::Unused));
}

#[test]
fn what_the_form_cannot_say_is_refused_by_name() {
    let good = tree(&small().to_json(Path::new("m.gguf")).unwrap().tokenizer);
    let cases: [(&str, Value, &str); 9] = [
        ("/model/type", json!("Unigram"), "Unigram"),
        ("/normalizer", json!({ "type": "Lowercase" }), "Lowercase"),
        ("/pre_tokenizer", json!({ "type": "Whitespace" }), "Whitespace"),
        ("/model/dropout", json!(0.1), "dropout"),
        ("/model/merges/0", json!("a x"), "merge 0"),
        ("/model/merges/1", json!(["ab"]), "merge 1"),
        ("/model/vocab/abc", json!(4_000_000_000u64), "`abc`"),
        ("/added_tokens/0/lstrip", json!(true), "lstrip"),
        ("/added_tokens/0/id", json!(1), "id 1"),
    ];
    for (at, value, expected) in cases {
        let mut bad = good.clone();
        *bad.pointer_mut(at).unwrap() = value;
        let error = reading(&bad).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains(expected), "{at}: {error}");
    }
    let twice = Vocabulary { tokens: vec!["a".into(); 7], ..small() };
    assert!(twice.to_json(Path::new("m.gguf")).unwrap_err().to_string().contains("token 1"));
}

#[test]
fn padding_does_not_become_tokens() {
    let mut padded = small();
    padded.pad_to(16, Path::new("m.gguf")).unwrap();
    let value = tree(&padded.to_json(Path::new("m.gguf")).unwrap().tokenizer);
    assert_eq!(value["model"]["vocab"].as_object().unwrap().len(), 7);
    assert_eq!(round_trip(&padded), small());
}

#[test]
fn a_released_sentencepiece_vocabulary_keeps_its_scores() {
    let Some(shared) = shared("a_released_sentencepiece_vocabulary") else { return };
    let bytes = std::fs::read(shared.join("data/stories260K/tok512.bin")).unwrap();
    let path = Path::new("tok512.bin");
    assert!(is_llama2c(&bytes));
    let read = Vocabulary::from_llama2c(&bytes, path).unwrap();
    assert_eq!((read.tokens.len(), read.types[0], read.types[1], read.types[3]), {
        (512, TokenType::Unknown, TokenType::Control, TokenType::Byte)
    });
    let again = round_trip(&read);
    assert_eq!((&again.tokens, &again.types, &again.scores), (&read.tokens, &read.types, &read.scores));
    // not bytes on the way over JSON, where the score of the first piece may be 0 or -0
    assert!(read.to_llama2c().unwrap() == bytes);
    // what another converter made of the same file
    let made = tree(&read.to_json(path).unwrap().tokenizer);
    let theirs = tree(&std::fs::read(shared.join("data/stories260K/tokenizer.json")).unwrap());
    for key in ["added_tokens", "normalizer", "pre_tokenizer", "decoder"] {
        assert!(made[key] == theirs[key], "{key}");
    }
    assert!(made["model"]["vocab"] == theirs["model"]["vocab"]);
    let sorted = |tree: &Value| {
        let mut merges: Vec<String> = serde_json::from_value(tree["model"]["merges"].clone()).unwrap();
        merges.sort_unstable();
        merges
    };
    assert!(sorted(&made) == sorted(&theirs));
    assert_eq!(made["post_processor"]["single"], theirs["post_processor"]["single"]);
}

/// Runs of spaces share one score in Llama 2, so that merges of several pieces stand mixed; ranked, they are the same again.
#[test]
fn equal_scores_give_the_same_merges_again() {
    let Some(shared) = shared("equal_scores_give_the_same_merges_again") else { return };
    let bytes = std::fs::read(shared.join("data/llama2-tokenizer/tokenizer.bin")).unwrap();
    let read = Vocabulary::from_llama2c(&bytes, Path::new("tokenizer.bin")).unwrap();
    let files = read.to_json(Path::new("tokenizer.bin")).unwrap();
    let again = Vocabulary::from_json(&files.tokenizer, Some(&files.config), Path::new("tokenizer.json")).unwrap();
    assert_eq!(tree(&again.to_json(Path::new("x")).unwrap().tokenizer)["model"], tree(&files.tokenizer)["model"]);
    assert_eq!(tree(&files.tokenizer)["model"]["merges"].as_array().unwrap().len(), 61_249);
}

#[test]
fn bad_tokenizer_bins_are_named_by_offset() {
    let record = |score: f32, text: &[u8]| [&score.to_le_bytes()[..], &(text.len() as u32).to_le_bytes(), text].concat();
    let file = |records: &[Vec<u8>]| [&5u32.to_le_bytes()[..], &records.concat()].concat();
    let good = file(&[record(0.0, b"<unk>"), record(-1.0, b"ab")]);
    let long = [&5u32.to_le_bytes()[..], &[0; 4], &u32::MAX.to_le_bytes()].concat();
    let cases: [(&[u8], &str); 8] = [
        (b"", "offset 0"),
        (&[0, 0, 0, 0], "offset 0"),
        (&[0xFF; 8], "offset 0"),
        (&good[..good.len() - 1], "offset 21"),
        (&good[..9], "offset 4"),
        (&long, "offset 8"),
        (&file(&[record(f32::NAN, b"a")]), "offset 4"),
        (&file(&[record(0.0, b"a\xFFb")]), "offset 13"),
    ];
    for (bytes, expected) in cases {
        let error = Vocabulary::from_llama2c(bytes, Path::new("tokenizer.bin")).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains(expected), "{bytes:?}: {error}");
    }
    Vocabulary::from_llama2c(&good, Path::new("tokenizer.bin")).unwrap();
    assert!(small().to_llama2c().unwrap_err().to_string().contains("byte-level"));
}

/// Every piece a prefix of the next one: a quadratic number of pairs from a small file.
#[test]
fn pieces_that_are_no_vocabulary_are_refused_in_no_time() {
    let mut hostile = Vocabulary::empty(Kind::SentencePiece);
    for n in 1..=250 {
        for tail in 0..200 {
            hostile.tokens.push(format!("{}{tail}", "a".repeat(n)));
        }
        hostile.tokens.push("a".repeat(n));
    }
    hostile.tokens.extend((0..200).map(|tail| tail.to_string()));
    hostile.types = vec![TokenType::Normal; hostile.tokens.len()];
    hostile.scores = vec![0.0; hostile.tokens.len()];
    let began = std::time::Instant::now();
    let error = hostile.to_json(Path::new("m.gguf")).unwrap_err();
    assert!(error.to_string().contains("ways"), "{error}");
    assert!(began.elapsed().as_secs_f64() < 2.0);
}

#[test]
fn a_folder_has_its_template_in_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Vocabulary::from_folder(dir.path()).unwrap(), None);
    let files = small().to_json(Path::new("m.gguf")).unwrap();
    std::fs::write(dir.path().join("tokenizer.json"), &files.tokenizer).unwrap();
    std::fs::write(dir.path().join("tokenizer_config.json"), &files.config).unwrap();
    assert_eq!(Vocabulary::from_folder(dir.path()).unwrap().unwrap(), small());
    std::fs::write(dir.path().join("chat_template.jinja"), "{{ bos_token }}").unwrap();
    let read = Vocabulary::from_folder(dir.path()).unwrap().unwrap();
    assert_eq!(read.chat_template.as_deref(), Some("{{ bos_token }}"));
    std::fs::write(dir.path().join("chat_template.jinja"), b"ab\xFF").unwrap();
    assert!(Vocabulary::from_folder(dir.path()).unwrap_err().to_string().contains("offset 2"));
}
