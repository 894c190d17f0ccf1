//! Data that is short, odd, foreign or missing.

use crate::common::{Bench, tokens, write_tokens};

#[test]
fn bad_token_files_end_in_65_and_are_named() {
    let bench = Bench::new();
    std::fs::write(bench.path("odd.bin"), [1, 0, 2]).unwrap();
    write_tokens(&bench.path("short.bin"), &tokens(9, 97));
    let mut foreign = tokens(500, 97);
    foreign[321] = 5000;
    write_tokens(&bench.path("foreign.bin"), &foreign);
    std::fs::write(bench.path("empty.bin"), []).unwrap();
    bench.fails("r", &["--steps", "1", "--data", "odd.bin"], 65, &["odd.bin"]);
    bench.fails("r", &["--steps", "1", "--data", "short.bin"], 65, &["short.bin"]);
    bench.fails("r", &["--steps", "1", "--data", "foreign.bin"], 65, &["foreign.bin", "5000", "321"]);
    bench.fails("r", &["--steps", "1", "--data", "empty.bin"], 65, &["empty.bin"]);
    bench.fails("r", &["--steps", "1", "--data", "nothing.bin"], 66, &["nothing.bin"]);
}

#[test]
fn without_a_validation_split_nothing_is_evaluated() {
    let bench = Bench::new();
    let json = bench.train("run", &["--steps", "3", "--val-fraction", "0"]);
    assert!(json["val_loss"].is_null() && json["val_loss_se"].is_null());
    assert!(bench.events("run").iter().all(|e| e["type"] != "eval"));
}

#[test]
fn a_compact_vocabulary_is_expanded_on_export() {
    let bench = Bench::new();
    // only every third id occurs
    let sparse: Vec<u16> = tokens(6000, 32).iter().map(|t| 3 * t).collect();
    write_tokens(&bench.path("sparse.bin"), &sparse);
    bench.train("run", &["--steps", "5", "--data", "sparse.bin"]);
    let model = formats::hf::open(&bench.path("run/checkpoints/last")).unwrap();
    assert_eq!(model.spec().vocab, 97, "exports carry the full vocabulary");
    let json = bench.train("longer", &["--steps", "120", "--data", "sparse.bin", "--learning-rate", "1e-2"]);
    let eval = crate::common::program()
        .args(["eval", "longer", "--data", "sparse.bin", "--seq-len", "16", "--json"])
        .current_dir(bench.dir.path())
        .output()
        .unwrap();
    let eval: serde_json::Value = serde_json::from_slice(&eval.stdout).unwrap();
    let (trained, full) = (json["val_loss"].as_f64().unwrap(), eval["loss"].as_f64().unwrap());
    assert!((eval["compact"]["loss"].as_f64().unwrap() - trained).abs() < 1e-5);
    assert!((full - trained).abs() < 0.01, "{trained} in training, {full} over the full vocabulary");
    let manifest = std::fs::read_to_string(bench.path("run/data.manifest.json")).unwrap();
    assert!(manifest.contains("\"trained_ids\": 32"), "{manifest}");
}

#[test]
fn text_is_tokenized_and_documents_are_kept_apart() {
    let bench = Bench::new();
    let story =
        |i: usize| format!("{{\"text\": \"The cat number {i} sat on the mat and said hello to the dog number {}.\"}}\n", i % 7);
    std::fs::write(bench.path("s.jsonl"), (0..400).map(story).collect::<String>()).unwrap();
    let flags =
        ["--data", "s.jsonl", "--vocab-size", "300", "--steps", "20", "--packing", "documents", "--learning-rate", "1e-2"];
    let mut command = bench.command("run", &flags);
    let output = command.env("AUTOANE_CACHE", bench.path("cache")).output().unwrap();
    assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["val_bpb"].is_number());
    assert!(bench.path("run/checkpoints/last/tokenizer.json").is_file());
    let mut cut = bench.command("cut", &flags);
    let killed = cut
        .env("AUTOANE_CACHE", bench.path("cache"))
        .args(["--save-every", "7"])
        .env("AUTOANE_CRASH_AT", "before-last")
        .output()
        .unwrap();
    assert!(killed.status.code().is_none());
    let cache = bench.path("cache");
    let resume = ["train", "--resume", "cut"];
    let output =
        crate::common::program().args(resume).env("AUTOANE_CACHE", cache).current_dir(bench.dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
    assert!(bench.weights("run") == bench.weights("cut"), "packed documents resume exactly");
    let sample = bench.events("run").into_iter().find(|e| e["type"] == "sample").unwrap();
    assert!(sample["text"].is_string());
}

#[test]
fn a_bad_line_of_jsonl_is_named() {
    let bench = Bench::new();
    std::fs::write(bench.path("bad.jsonl"), "{\"text\": \"one\"}\n{\"txt\": \"two\"}\n").unwrap();
    let output =
        bench.command("r", &["--data", "bad.jsonl", "--steps", "1"]).env("AUTOANE_CACHE", bench.path("c")).output().unwrap();
    crate::common::expect(&output, 65, &["bad.jsonl", "2"]);
}

#[test]
fn subfolders_of_a_text_folder_are_read() {
    let bench = Bench::new();
    std::fs::create_dir_all(bench.path("texts/deep/er")).unwrap();
    let text = |what: &str| (0..200).map(|i| format!("{what} number {i} is here.\n")).collect::<String>();
    std::fs::write(bench.path("texts/a.txt"), text("bird")).unwrap();
    std::fs::write(bench.path("texts/deep/er/b.txt"), text("fish")).unwrap();
    let flags = ["--data", "texts", "--vocab-size", "280", "--steps", "1"];
    let output = bench.command("run", &flags).env("AUTOANE_CACHE", bench.path("cache")).output().unwrap();
    assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
    let manifest = std::fs::read_to_string(bench.path("run/data.manifest.json")).unwrap();
    assert!(manifest.contains("er/b.txt") && manifest.contains("\"documents\": 2"), "{manifest}");
}

/// Weight decay reached embedding rows that no gradient ever does: a base model lost the words that the data does not use.
#[test]
fn rows_of_ids_that_never_occur_stay_untouched_without_compaction_too() {
    let bench = Bench::new();
    let sparse: Vec<u16> = tokens(6000, 32).iter().map(|t| 3 * t).collect();
    write_tokens(&bench.path("sparse.bin"), &sparse);
    let base = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/llama-untied-mha");
    let before = formats::hf::open(std::path::Path::new(base)).unwrap();
    assert!(!before.spec().tied);
    for (out, optimizer) in [("adam", "adamw"), ("sgd", "sgd")] {
        let mut command = crate::common::program();
        command.args(["train", base, "--data", "sparse.bin", "--no-compact-vocab", "--out", out, "--optimizer", optimizer]);
        command.args(["--steps", "8", "--seq-len", "16", "--weight-decay", "1", "--learning-rate", "0.05", "--threads", "1"]);
        let output = command.current_dir(bench.dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", crate::common::text(&output.stderr));
        let after = formats::hf::open(&bench.path(out).join("checkpoints/last")).unwrap();
        let (rows, d) = (before.spec().vocab, before.spec().dim);
        let table = |model: &formats::Model| model.tensor(model::TensorId::Embed).unwrap().unwrap();
        let (old, new) = (table(&before), table(&after));
        for id in 0..rows {
            let row = id * d..(id + 1) * d;
            let occurs = sparse.contains(&(id as u16));
            assert_eq!(old[row.clone()] != new[row], occurs, "{optimizer}: row {id}");
        }
    }
}

/// The original drew ids that training had never seen, whose rows were noise.
#[test]
fn only_ids_that_training_saw_are_sampled_unless_all_are_asked_for() {
    let bench = Bench::new();
    let story = |i: usize| format!("{{\"text\": \"The cat {i} sat on mat {}.\"}}\n", i % 7);
    std::fs::write(bench.path("s.jsonl"), (0..300).map(story).collect::<String>()).unwrap();
    let program = |args: &[&str]| {
        let mut command = crate::common::program();
        let output = command.args(args).current_dir(bench.dir.path()).env("AUTOANE_CACHE", bench.path("cache")).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", crate::common::text(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let shape = ["train", "--model-config", crate::common::SHAPE, "--out", "run", "--json"];
    program(&[&shape[..], &["--data", "s.jsonl", "--vocab-size", "290", "--steps", "3", "--seq-len", "16"]].concat());
    let map = std::fs::read_to_string(bench.path("run/checkpoints/last/trainer/vocab.json")).unwrap();
    let seen: Vec<u64> = serde_json::from_str::<serde_json::Value>(&map).unwrap()["full_of"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_u64().unwrap())
        .collect();
    assert!(seen.len() < 150, "most bytes do not occur in the text");
    // so hot that every id is as likely as any other
    let hot = ["generate", "run", "--temperature", "100", "--top-p", "1", "--max-tokens", "40", "--json"];
    let drawn = |more: &[&str]| -> Vec<u64> {
        let ids = (1..6).flat_map(|seed| {
            let seed = seed.to_string();
            let said = program(&[&hot[..], &["--seed", &seed], more].concat());
            said["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect::<Vec<_>>()
        });
        ids.collect()
    };
    let ids = drawn(&[]);
    assert!(ids.len() > 40 && ids.iter().all(|id| seen.contains(id)), "{ids:?}");
    assert!(drawn(&["--all-ids"]).iter().any(|id| !seen.contains(id)), "all ids were asked for");
    let eval = program(&["eval", "run", "--json"]);
    assert!(eval["loss"].is_number() && eval["compact"]["loss"].is_number(), "both losses are told: {eval}");
    assert_eq!(eval["compact"]["ids"].as_u64(), Some(seen.len() as u64));
}
