use super::*;
use crate::stories::Stories;
use crate::test_shared;
use std::time::Instant;

fn corpus(n: u64) -> Vec<String> {
    let stories = Stories::new(42);
    (0..n).map(|i| stories.story(i)).collect()
}

#[test]
fn training_is_deterministic_and_bounded_in_time() {
    let documents = corpus(5000);
    let bytes: usize = documents.iter().map(String::len).sum();
    let start = Instant::now();
    let a = Tokenizer::train(&documents, 4096).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("trained {} ids on {:.1} MB in {seconds:.2} s", a.vocab_size(), bytes as f64 / 1e6);
    let b = Tokenizer::train(&documents, 4096).unwrap();
    assert_eq!(a.json(), b.json());
    assert_eq!((a.vocab_size(), a.eos(), a.token_to_id(END_OF_TEXT)), (4096, Some(0), Some(0)));
    assert_eq!(Tokenizer::train(&documents, 256).unwrap_err().exit_code(), 2);
}

/// Counting words here and in the library must give the same merges.
#[test]
fn training_equals_the_library() {
    use tokenizers::models::TrainerWrapper;
    use tokenizers::models::bpe::{BPE, BpeTrainer};
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    let mut documents = corpus(150);
    documents.extend(awkward().into_iter().filter(|t| !t.contains(END_OF_TEXT)).take(500));
    let ours = Tokenizer::train(&documents, 900).unwrap();
    let mut trainer: TrainerWrapper = BpeTrainer::builder()
        .vocab_size(900)
        .min_frequency(2)
        .show_progress(false)
        .special_tokens(vec![tokenizers::AddedToken::from(END_OF_TEXT, true)])
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build()
        .into();
    let mut theirs = tokenizers::Tokenizer::new(BPE::default());
    theirs.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    theirs.with_decoder(Some(ByteLevel::new(false, true, true)));
    theirs.train(&mut trainer, documents.iter()).unwrap();
    assert_eq!(String::from_utf8_lossy(ours.json()), theirs.to_string(true).unwrap());
}

#[test]
fn any_text_round_trips() {
    let tokenizer = Tokenizer::train(&corpus(200), 600).unwrap();
    let nasty = [
        "",
        " ",
        "\r\n\r\n",
        "a  b\tc\n\n d",
        "naïve café — “quoted” … ✓ 🦊👩‍👩‍👧",
        "\u{a0}x\u{2028}",
        "don't 're 'S 's",
        "x\u{0}y",
        "١٢٣ ½",
    ];
    for text in nasty.into_iter().map(String::from).chain(corpus(20)) {
        let ids = tokenizer.encode(&text).unwrap();
        assert_eq!(tokenizer.decode(&ids), text);
        let mut stream = tokenizer.decode_stream();
        let mut streamed: String = ids.iter().map(|&id| stream.push(id)).collect();
        streamed += &stream.finish();
        assert_eq!(streamed, text);
        assert_eq!(ids.iter().map(|&id| tokenizer.token_bytes(id)).sum::<usize>(), text.len());
        assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
    }
    assert_eq!(tokenizer.token_bytes(0), 0);
    assert_eq!(tokenizer.decode(&[0, 0]), "");
    assert_eq!(tokenizer.decode(&[999_999]), "");
}

#[test]
fn a_stream_holds_unfinished_characters_back() {
    let tokenizer = Tokenizer::train(&corpus(50), 300).unwrap();
    let ids = tokenizer.encode("🦊").unwrap();
    assert_eq!(ids.len(), 4);
    let mut stream = tokenizer.decode_stream();
    let parts: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    assert_eq!(parts, ["", "", "", "🦊"]);
    stream.push(ids[0]);
    assert_eq!(stream.finish(), "\u{FFFD}");
}

#[test]
fn threads_do_not_change_ids() {
    let documents = corpus(300);
    let tokenizer = Tokenizer::train(&documents, 1000).unwrap();
    let one = encode_documents(&tokenizer, &documents, 1).unwrap();
    for threads in [2, 3, 7, 1000] {
        assert_eq!(encode_documents(&tokenizer, &documents, threads).unwrap(), one, "{threads}");
    }
}

/// The hand-written splitting must give what the library gives, and give up on what it cannot decide.
fn check_fast_path(tokenizer: &Tokenizer, texts: &[String]) -> usize {
    let split = tokenizer.split.as_ref().unwrap();
    let mut encoder = Encoder::new(tokenizer);
    let mut decided = 0;
    for text in texts {
        decided += usize::from(split.decides(text));
        let mut ids = Vec::new();
        encoder.encode_into(text, &mut ids).unwrap();
        assert_eq!(ids, tokenizer.inner.encode(text.as_str(), false).unwrap().get_ids(), "{text:?}");
    }
    decided
}

fn awkward() -> Vec<String> {
    let pieces = [
        " ",
        "  ",
        "\n",
        "\n\n",
        "\t",
        "'s",
        "'re",
        "'",
        "''",
        "word",
        "Ünï",
        "12",
        "3",
        ".",
        "...",
        "—",
        " 7",
        "\r\n",
        "<|endoftext|>",
        "é",
        "½",
        "日本",
        "\u{a0}",
        "I'll",
        "_",
        "<",
    ];
    let mut draws = crate::rng::Draws::new(5, 5);
    (0..4000).map(|_| (0..1 + draws.below(8)).map(|_| draws.pick(&pieces)).collect()).collect()
}

#[test]
fn fast_splitting_equals_the_library() {
    let tokenizer = Tokenizer::train(&corpus(200), 800).unwrap();
    assert!(check_fast_path(&tokenizer, &awkward()) > 1000);
    assert_eq!(check_fast_path(&tokenizer, &corpus(50)), 50);
}

#[test]
fn smollm2_fast_splitting_equals_the_library() {
    let Some(shared) = test_shared("smollm2_fast_splitting") else { return };
    let tokenizer = Tokenizer::load(&shared.join("data/smollm2/tokenizer.json")).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.eos()), (49_152, Some(0)));
    assert!(check_fast_path(&tokenizer, &awkward()) > 1000);
    let mut texts = Vec::new();
    let valid = shared.join("data/tinystories/tinystories-valid.txt.gz");
    crate::source::read_file(&valid, &mut None, &mut |item| {
        if let crate::source::Item::Text(piece) = item {
            texts.push(piece.text);
        }
        Ok(true)
    })
    .unwrap();
    assert_eq!(texts.len(), 300);
    let decided = check_fast_path(&tokenizer, &texts);
    eprintln!("{decided} of 300 texts split by hand");
    assert!(decided > 250);
}

#[test]
fn llama2_style_tokenizer_round_trips() {
    let Some(shared) = test_shared("llama2_style_tokenizer") else { return };
    let tokenizer = Tokenizer::load(&shared.join("data/stories260K")).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.eos()), (512, Some(2)));
    for text in ["Once upon a time\nthere was a “fox” 🦊.", " two  spaces"] {
        let ids = tokenizer.encode(text).unwrap();
        assert_eq!(tokenizer.decode(&ids), text);
        let mut stream = tokenizer.decode_stream();
        let streamed: String = ids.iter().map(|&id| stream.push(id)).collect();
        assert_eq!(streamed, text);
        // The dummy space in front is a byte that the text does not have.
        assert_eq!(ids.iter().map(|&id| tokenizer.token_bytes(id)).sum::<usize>(), text.len() + 1);
    }
}

#[test]
fn saved_tokenizers_load_and_bad_ones_are_named() {
    let folder = crate::test_folder("saved_tokenizers");
    let tokenizer = Tokenizer::train(&corpus(20), 300).unwrap();
    tokenizer.save(&folder).unwrap();
    let loaded = Tokenizer::load(&folder).unwrap();
    assert_eq!((loaded.sha256(), loaded.eos()), (tokenizer.sha256(), tokenizer.eos()));
    std::fs::write(folder.join("tokenizer_config.json"), r#"{"eos_token":{"content":"<nope>"}}"#).unwrap();
    assert_eq!(Tokenizer::load(&folder).unwrap_err().exit_code(), 65);
    std::fs::write(folder.join("tokenizer.json"), "{").unwrap();
    assert_eq!(Tokenizer::load(&folder).unwrap_err().exit_code(), 65);
    assert_eq!(Tokenizer::load(&folder.join("nowhere")).unwrap_err().exit_code(), 66);
}
