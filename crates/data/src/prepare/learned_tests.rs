//! Masks of prepared data, of each form.
use super::*;
use crate::{Batch, Dataset, DatasetOptions, IGNORE, Loader, LoaderOptions, Order, Packing};

const CHATML: &str = include_str!("../../tests/templates/chatml.jinja");

fn prepare_lines(test: &str, lines: &[String], template: bool) -> Result<Prepared> {
    let folder = crate::test_folder(test);
    let path = folder.join("d.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let template = template.then(|| TemplateChoice { source: CHATML.into(), path: "chatml.jinja".into() });
    let tokenizer = TokenizerChoice::Train { vocab: 300 };
    let options = PrepareOptions { source: Source::open(&path)?, tokenizer, template, threads: 2 };
    prepare(&options, &folder.join("out"), &mut |_, _| {})
}

/// Each token with whether it carries loss and whether it ends a document.
fn flagged(prepared: &Prepared) -> Vec<(u32, bool, bool)> {
    let (tokens, mask) = (prepared.tokens().unwrap(), prepared.mask().unwrap().unwrap());
    let mut ids = vec![0; tokens.len() as usize];
    tokens.read(0, &mut ids);
    let all = ids.into_iter().zip(0..);
    all.map(|(id, i)| (id, mask.carries_loss(i), mask.ends_document(i))).collect()
}

fn learned_text(prepared: &Prepared) -> String {
    let eot = prepared.manifest.eot;
    let shown = |(id, _, _): &(u32, bool, bool)| if *id == eot { "|".into() } else { prepared.tokenizer.decode(&[*id]) };
    flagged(prepared).iter().filter(|t| t.1).map(shown).collect()
}

fn pairs(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{{\"prompt\": \"What is {i}? \", \"completion\": \"It is {}.\"}}", i * i % 97)).collect()
}

#[test]
fn completions_and_their_ends_carry_loss() {
    let prepared = prepare_lines("mask_pairs", &pairs(3), false).unwrap();
    assert_eq!(learned_text(&prepared), "It is 0.|It is 1.|It is 4.|");
    let flags = flagged(&prepared);
    let eot = prepared.manifest.eot;
    assert!(flags.iter().filter(|(id, _, _)| *id == eot).all(|(_, loss, end)| *loss && *end), "the end is always learned");
    assert_eq!(flags.iter().filter(|t| t.2).count(), 3);
    let entry = prepared.manifest.mask.clone().unwrap();
    assert_eq!(entry.loss_tokens, flags.iter().filter(|t| t.1).count() as u64);
    prepared.verify().unwrap();
}

#[test]
fn the_ids_of_a_prompt_are_those_it_has_alone() {
    let prepared = prepare_lines("mask_prompt", &pairs(50), false).unwrap();
    for (i, document) in flagged(&prepared).split(|t| t.2).take(50).enumerate() {
        let prompt: Vec<u32> = document.iter().filter(|t| !t.1).map(|t| t.0).collect();
        assert_eq!(prompt, prepared.tokenizer.encode(&format!("What is {i}? ")).unwrap());
    }
}

#[test]
fn what_the_assistant_says_carries_loss() {
    let talk = |a: &str, b: &str| {
        let turn = |role: &str, text: &str| format!("{{\"role\": \"{role}\", \"content\": \"{text}\"}}");
        format!(
            "{{\"messages\": [{}, {}, {}, {}]}}",
            turn("user", a),
            turn("assistant", b),
            turn("user", a),
            turn("assistant", b)
        )
    };
    let lines = [talk("One?", "Two."), talk("Three?", "Four.")];
    let prepared = prepare_lines("mask_chat", &lines, true).unwrap();
    let said = learned_text(&prepared);
    assert_eq!(said, "Two.<|im_end|>\nTwo.<|im_end|>\n|Four.<|im_end|>\nFour.<|im_end|>\n|");
    let missing = prepare_lines("mask_chat_none", &lines, false).unwrap_err();
    assert!(missing.exit_code() == 65 && missing.to_string().contains("d.jsonl, line 1"), "{missing}");
}

/// Where the end of text is what ends a turn, it ends no document midway and is not doubled, and nobody learns the template's
/// line break after it.
#[test]
fn an_end_of_text_inside_a_template_is_the_end_of_a_turn() {
    let plain = prepare_lines("mask_eot_tokenizer", &pairs(20), false).unwrap().tokenizer;
    let eot = plain.id_to_token(plain.eos().unwrap()).unwrap();
    let segments = [("a ", false), ("b", true), (" c ", false), ("d", true)].map(|(text, learned)| {
        let text = if learned { format!("{text}{eot}\n") } else { text.to_owned() };
        crate::example::Segment { text, learned }
    });
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    let how = learned::Learned { tokenizer: &plain, eot: plain.eos().unwrap() };
    let into = learned::Tokens { ids: &mut ids, mask: &mut mask };
    how.encode(&segments, &mut crate::tokenizer::Encoder::new(&plain), into).unwrap();
    let ends: Vec<usize> = (0..ids.len()).filter(|i| ids[*i] == how.eot).collect();
    assert_eq!((ends.len(), ends[1]), (2, ids.len() - 1));
    assert_eq!((mask[ends[0]], mask[ends[0] + 1], mask[ends[1]]), (1, 0, 3));
}

#[test]
fn mixed_files_and_data_that_teach_nothing_are_refused() {
    let mut lines = pairs(2);
    lines.push("{\"text\": \"plain\"}".into());
    let mixed = prepare_lines("mask_mixed", &lines, false).unwrap_err();
    assert!(mixed.exit_code() == 65 && mixed.to_string().contains("d.jsonl, line 3"), "{mixed}");
    let silent = ["{\"messages\": [{\"role\": \"user\", \"content\": \"Hello there\"}]}".to_owned()];
    let silent = prepare_lines("mask_silent", &silent, true).unwrap_err();
    assert!(silent.exit_code() == 65 && silent.to_string().contains("to learn"), "{silent}");
}

#[test]
fn a_damaged_mask_is_refused_and_made_again() {
    let prepared = prepare_lines("mask_damaged", &pairs(40), false).unwrap();
    let path = prepared.folder.join("mask.bin");
    let good = std::fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[0] ^= 1;
    flipped[1] ^= 1;
    for bad in [&good[1..], &flipped, &[9u8; 5]] {
        std::fs::write(&path, bad).unwrap();
        let error = Dataset::open(&prepared.folder, DatasetOptions::default()).unwrap_err();
        assert!(error.exit_code() == 65 && error.to_string().contains("mask.bin"), "{error}");
    }
    let mut moved = good.clone();
    let (a, b) = (good.iter().position(|f| *f == 1).unwrap(), good.iter().position(|f| *f == 0).unwrap());
    moved.swap(a, b);
    std::fs::write(&path, moved).unwrap();
    assert_eq!(prepared.verify().unwrap_err().exit_code(), 65, "the same share of loss elsewhere");
    std::fs::remove_file(&path).unwrap();
    let manifest = prepared.folder.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"version\": 2", "\"version\": 1")).unwrap();
    assert_eq!(Prepared::open(&prepared.folder).unwrap_err().exit_code(), 65, "a reader of version 1 would not heed a mask");
}

fn loader(data: &std::sync::Arc<Dataset>, order: Order, packing: Packing) -> Loader {
    let options = LoaderOptions { seq_len: 16, order, packing, val_fraction: 0.2, max_val_windows: Some(8), seed: 3 };
    Loader::new(data.clone(), options).unwrap()
}

#[test]
fn windows_hold_loss_and_only_where_the_mask_has_it() {
    let mut lines = pairs(200);
    // a prompt of many windows, in which nothing is learned
    lines.insert(50, format!("{{\"prompt\": \"{}\", \"completion\": \"Yes.\"}}", "What is it? ".repeat(100)));
    let prepared = prepare_lines("mask_windows", &lines, false).unwrap();
    let options = DatasetOptions { compact: false, ..Default::default() };
    let data = std::sync::Arc::new(Dataset::open(&prepared.folder, options).unwrap());
    // a completion begins with "It", the prompt never says it: what is learned is all between it and the end
    let it = prepared.tokenizer.encode("It is").unwrap()[0];
    for packing in [Packing::Stream, Packing::Documents] {
        for order in [Order::Sequential, Order::Shuffled] {
            let mut loader = loader(&data, order, packing);
            let mut batch: Batch = loader.batch(4);
            let mut learned_first = 0;
            for _ in 0..2 * loader.train_windows() / 4 {
                let cursor = loader.cursor();
                loader.fill(&mut batch);
                for row in batch.targets.chunks(16) {
                    assert!(row.iter().any(|t| *t != IGNORE), "{packing:?} {order:?}: a window without loss");
                }
                let pairs = batch.inputs.iter().zip(&batch.targets);
                assert!(pairs.clone().all(|(i, t)| *i != data.eot().unwrap() || *t == IGNORE), "the first of a prompt is none");
                learned_first += batch.targets.iter().filter(|t| **t == it).count();
                let mut again = self::loader(&data, order, packing);
                again.seek(cursor);
                let mut same = again.batch(4);
                again.fill(&mut same);
                assert_eq!((&same, again.cursor()), (&batch, loader.cursor()));
            }
            assert!(learned_first > 100);
            let (mut targets, mut bytes) = (0, 0);
            let expected = (loader.val_targets(), loader.val_bytes().unwrap());
            let mut windows = loader.val_batches(3);
            while windows.next_into(&mut batch) {
                targets += batch.loss_tokens() as u64;
                let ids = batch.targets.iter().filter(|t| **t != IGNORE);
                bytes += ids.map(|id| prepared.tokenizer.token_bytes(*id) as u64).sum::<u64>();
            }
            assert_eq!((targets, bytes), expected);
        }
    }
}

#[test]
fn packed_examples_see_only_themselves() {
    let prepared = prepare_lines("mask_packed", &pairs(60), false).unwrap();
    let data = std::sync::Arc::new(Dataset::open(&prepared.folder, DatasetOptions::default()).unwrap());
    let mut loader = loader(&data, Order::Shuffled, Packing::Documents);
    let mut batch = loader.batch(4);
    loader.fill(&mut batch);
    let eot = data.eot_compact().unwrap();
    let starts = batch.starts.unwrap();
    for (row, starts) in batch.inputs.chunks(16).zip(starts.chunks(16)) {
        for (i, start) in starts.iter().enumerate() {
            assert!(row[*start as usize + 1..=i.max(*start as usize)].iter().all(|id| *id != eot), "{row:?} {starts:?}");
        }
    }
}

#[test]
fn a_split_that_teaches_nothing_is_refused() {
    let mut lines = pairs(20);
    lines.push(format!("{{\"prompt\": \"{}\", \"completion\": \"\"}}", "What is it? ".repeat(400)));
    let prepared = prepare_lines("mask_val", &lines, false).unwrap();
    let data = std::sync::Arc::new(Dataset::open(&prepared.folder, DatasetOptions::default()).unwrap());
    let options = LoaderOptions { seq_len: 16, val_fraction: 0.1, packing: Packing::Stream, ..Default::default() };
    let last = data.tokens().len();
    let with = |val_fraction: f64| Loader::new(data.clone(), LoaderOptions { val_fraction, ..options });
    assert!(data.mask().unwrap().carries_loss(last - 1));
    // only the end of the last document is learned there, and it lies beyond the last whole window
    if let Err(error) = with(0.1) {
        assert!(error.exit_code() == 65 && error.to_string().contains("validation split"), "{error}");
    }
    assert!(with(0.0).is_ok());
}
