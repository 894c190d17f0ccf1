//! `generate`, `eval`, `logits` and `bench`, driven end to end: figures from PyTorch and llama2.c, and what goes wrong.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use safetensors::SafeTensors;
use serde_json::Value as Json;

/// Runs the program with an own cache, in an environment without settings.
fn run(args: &[&str], cache: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    command.env("AUTOANE_CACHE", cache).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one JSON object of a run that succeeds.
fn json(args: &[&str], cache: &Path) -> Json {
    let output = run(&[args, &["--json"]].concat(), cache);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program ends with `code`, prints nothing on stdout, and says each of `words`.
fn fails(args: &[&str], cache: &Path, code: i32, words: &[&str]) {
    let output = run(args, cache);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(output.stdout.is_empty(), "{args:?}");
    for word in words {
        assert!(said.contains(word), "{args:?}: no `{word}` in: {said}");
    }
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The released model of 260 thousand parameters and the stories it was trained on, when they are on this machine.
fn released() -> Option<(PathBuf, PathBuf)> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("AUTOANE_SHARED").map_or(beside, PathBuf::from);
    let found = (shared.join("data/stories260K"), shared.join("data/tinystories/tinystories-valid.txt.gz"));
    if found.0.is_dir() && found.1.is_file() {
        return Some(found);
    }
    eprintln!("SKIPPED: {} and the stories beside it are not there", found.0.display());
    None
}

/// Shape and values of a NumPy file of f32.
fn read_npy(path: &Path) -> (String, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    assert!(end % 64 == 0 && header.ends_with('\n'), "{header:?}");
    assert!(header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split_once("'shape': (").unwrap().1.split_once(')').unwrap().0.to_owned();
    (shape, bytes[end..].as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

/// A tensor of four-byte values of a model's golden file.
fn expected(model: &str, tensor: &str) -> Vec<[u8; 4]> {
    let file = fs::read(golden(model).join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&file).unwrap();
    file.tensor(tensor).unwrap().data().as_chunks::<4>().0.to_vec()
}

fn joined(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// Mean cross-entropy in nats of each id after the first, and how many there are.
fn sum_of_losses(logits: &[f32], ids: &[u32]) -> (f64, usize) {
    let vocab = logits.len() / ids.len();
    let loss = |(row, next): (&[f32], &u32)| {
        let sum: f64 = row.iter().map(|&z| f64::from(z).exp()).sum();
        sum.ln() - f64::from(row[*next as usize])
    };
    (logits.chunks_exact(vocab).zip(&ids[1..]).map(loss).sum(), ids.len() - 1)
}

#[test]
fn logits_are_those_of_pytorch() {
    let dir = tempfile::tempdir().unwrap();
    for model in ["llama-tied-gqa", "llama3-rope", "mistral-window", "qwen2", "qwen3"] {
        let ids: Vec<u32> = expected(model, "tokens")[..32].iter().map(|b| u32::from_le_bytes(*b)).collect();
        let out = dir.path().join(format!("{model}.npy"));
        let said = json(&["logits", text(&golden(model)), "--tokens", &joined(&ids), "--out", text(&out)], dir.path());
        assert_eq!(said["shape"], serde_json::json!([32, 97]));
        assert_eq!(said["out"], text(&out));
        let (shape, logits) = read_npy(&out);
        assert_eq!(shape, "32, 97");
        let theirs = expected(model, "logits");
        assert_eq!(logits.len(), 32 * 97);
        let off = logits.iter().zip(&theirs).map(|(a, b)| (a - f32::from_le_bytes(*b)).abs()).fold(0.0, f32::max);
        assert!(off < 6e-5, "{model}: logits differ by {off}");
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 5, "temporary files are left: {left:?}");
}

#[test]
fn logits_that_cannot_be_made_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (model, out) = (golden("qwen3"), dir.path().join("l.npy"));
    fails(&["logits", text(&model), "--tokens", "1,97", "--out", text(&out)], dir.path(), 2, &["id 97", "position 1"]);
    assert!(!out.exists());
    let nowhere = dir.path().join("no/folder/l.npy");
    fails(&["logits", text(&model), "--tokens", "1", "--out", text(&nowhere)], dir.path(), 73, &["l.npy"]);
    fails(&["logits", "/nowhere", "--tokens", "1", "--out", text(&out)], dir.path(), 66, &["/nowhere"]);
    fails(&["logits", text(&model), "--tokens", "x", "--out", text(&out)], dir.path(), 2, &["x"]);
}

/// Windows of a raw token file, scored by hand from the logits of the same model.
#[test]
fn eval_of_a_token_file_agrees_with_the_logits() {
    let dir = tempfile::tempdir().unwrap();
    let (model, seq) = (golden("qwen2"), 16);
    let ids: Vec<u32> = (0..seq as u32 * 5 + 1).map(|i| (i * i * 31 + i * 7) % 97).collect();
    let data = dir.path().join("tokens.bin");
    fs::write(&data, ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    let args = ["eval", text(&model), "--data", text(&data), "--seq-len", "16", "--batch-size", "2", "--val-fraction", "1"];
    let said = json(&args, dir.path());
    let means: Vec<f64> = (0..5).map(|w| window_mean(&model, &ids[w * seq..=(w + 1) * seq], dir.path())).collect();
    let mean = means.iter().sum::<f64>() / 5.0;
    let se = (means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 4.0 / 5.0).sqrt();
    let number = |key: &str| said[key].as_f64().unwrap();
    assert!((number("loss") - mean).abs() < 1e-5, "{said}: {mean}");
    assert!((number("loss_se") - se).abs() < 1e-5, "{said}: {se}");
    assert!((number("perplexity") - mean.exp()).abs() < 1e-3 * mean.exp(), "{said}");
    assert_eq!((said["tokens"].as_u64(), said["windows"].as_u64(), said["seq_len"].as_u64()), (Some(80), Some(5), Some(16)));
    assert_eq!((&said["bpb"], &said["compact"]), (&Json::Null, &Json::Null));
    // fewer tokens: evenly spaced windows
    let few = json(&[&args[..], &["--val-tokens", "32"]].concat(), dir.path());
    assert_eq!(few["windows"], 2);
    assert!((few["loss"].as_f64().unwrap() - (means[0] + means[2]) / 2.0).abs() < 1e-5, "{few}: {means:?}");
}

/// Mean loss of one window, from its logits.
fn window_mean(model: &Path, window: &[u32], dir: &Path) -> f64 {
    let out = dir.join("window.npy");
    json(&["logits", text(model), "--tokens", &joined(&window[..window.len() - 1]), "--out", text(&out)], dir);
    let mut logits = read_npy(&out).1;
    // the last id is a target only
    logits.extend(vec![0.0; 97]);
    let (sum, tokens) = sum_of_losses(&logits, window);
    sum / tokens as f64
}

#[test]
fn eval_says_what_is_wrong_with_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let model = golden("qwen2");
    let eval = |data: &str, code, words: &[&str]| fails(&["eval", text(&model), "--data", data], dir.path(), code, words);
    eval("/nowhere.txt", 66, &["/nowhere.txt"]);
    eval("stories", 2, &["--tokenizer"]);
    let bad = dir.path().join("bad.bin");
    fs::write(&bad, [0u8; 1001]).unwrap();
    eval(text(&bad), 65, &["bad.bin"]);
    let beyond: Vec<u8> = (0..2000u16).flat_map(|i| (i % 98).to_le_bytes()).collect();
    fs::write(&bad, beyond).unwrap();
    eval(text(&bad), 65, &["bad.bin", "97"]);
    fs::write(&bad, [1, 0, 2, 0]).unwrap();
    eval(text(&bad), 65, &["bad.bin"]);
}

#[test]
fn text_needs_a_tokenizer_and_an_answer_that_fits() {
    let dir = tempfile::tempdir().unwrap();
    fails(&["generate", text(&golden("qwen3"))], dir.path(), 2, &["--tokenizer"]);
    fails(&["generate", "/nowhere"], dir.path(), 66, &["/nowhere"]);
    fails(&["eval", text(&golden("qwen3")), "--data", "tinystories"], dir.path(), 2, &["--tokenizer"]);
    let Some((model, _)) = released() else { return };
    let long = "Once upon a time there was a cat. ".repeat(100);
    fails(&["generate", text(&model), "--prompt", &long], dir.path(), 2, &["context is 512"]);
    fails(&["eval", text(&model), "--data", "tinystories"], dir.path(), 69, &["data download tinystories"]);
    let tokenizer = model.join("tokenizer.json");
    let small = golden("qwen3");
    let args = ["generate", text(&small), "--tokenizer", text(&tokenizer), "--prompt", "Once upon a time"];
    fails(&args, dir.path(), 2, &["0 to 96", "--tokenizer"]);
}

#[test]
fn a_released_model_tells_the_known_story() {
    let Some((model, _)) = released() else { return };
    let dir = tempfile::tempdir().unwrap();
    let args = ["generate", text(&model), "--temperature", "0", "--max-tokens", "40"];
    let known =
        "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a big, r";
    let output = run(&args, dir.path());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{known}\n"));
    let said = json(&args, dir.path());
    assert_eq!(said["text"], known);
    assert_eq!((said["tokens"].as_u64(), said["prompt_tokens"].as_u64()), (Some(40), Some(1)));
    assert!(said["tokens_per_second"].as_f64().unwrap() > 0.0);
    // a prompt is continued where the model would have gone anyway, its first space kept
    let rest = json(&[&args[..], &["--prompt", "Once upon a time, there was a little girl"]].concat(), dir.path());
    assert!(rest["text"].as_str().unwrap().starts_with(" named Lily. She loved to play"), "{rest}");
    let file = dir.path().join("prompt.txt");
    fs::write(&file, "Once upon a time, there was a little girl\r\n").unwrap();
    let from_file = json(&[&args[..], &["--prompt-file", text(&file)]].concat(), dir.path());
    assert_eq!(from_file["text"], rest["text"]);
    assert!(from_file["prompt_tokens_per_second"].as_f64().unwrap() > 0.0);
    assert!(from_file["decode_tokens_per_second"].as_f64().unwrap() > 0.0);
    fails(&[&args[..], &["--prompt-file", "nowhere.txt"]].concat(), dir.path(), 66, &["nowhere.txt"]);
    fails(&[&args[..], &["--prompt-file", text(&file), "--prompt", "x"]].concat(), dir.path(), 2, &["--prompt-file"]);
    // a stop text that no token ends with, and one that never comes
    let stopped = json(&[&args[..], &["--stop", "zebra", "--stop", "e loved to pl"]].concat(), dir.path());
    assert_eq!(stopped["text"], known.split_once("e loved").unwrap().0);
    assert_eq!(stopped["stopped"], "stop");
    let punished = json(&[&args[..], &["--repetition-penalty", "1.3", "--penalty-window", "0"]].concat(), dir.path());
    assert_ne!(punished["text"], known);
    let expanded = json(&[&args[..], &["--weights", "f32"]].concat(), dir.path());
    assert_eq!(expanded["text"], known);
    let sampled =
        |seed: &str| json(&["generate", text(&model), "--max-tokens", "30", "--seed", seed], dir.path())["text"].clone();
    assert_eq!(sampled("1"), sampled("1"));
    assert_ne!(sampled("1"), sampled("2"));
}

#[test]
fn a_released_model_has_the_known_loss() {
    let Some((model, stories)) = released() else { return };
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("stories.txt.gz");
    fs::copy(&stories, &copy).unwrap();
    // prepared by the program, so that documents are those that it sees
    let args = ["eval", text(&model), "--data", text(&copy), "--val-fraction", "1", "--val-tokens", "4096", "--seq-len", "128"];
    let said = json(&args, dir.path());
    assert!((1.2..2.2).contains(&said["loss"].as_f64().unwrap()), "{said}");
    assert!((0.7..1.6).contains(&said["bpb"].as_f64().unwrap()), "{said}");
    let prepared = fs::read_dir(dir.path().join("data")).unwrap().next().unwrap().unwrap().path();
    let tokens = data::Prepared::open(&prepared).unwrap().tokens().unwrap();
    let mut ids = vec![0; tokens.len() as usize];
    tokens.read(0, &mut ids);
    let (mut sum, mut count, out) = (0.0, 0, dir.path().join("story.npy"));
    for story in ids.split(|&id| id == 2).filter(|s| !s.is_empty()).take(8) {
        let mut window = vec![1];
        window.extend(story);
        window.truncate(512);
        json(&["logits", text(&model), "--tokens", &joined(&window), "--out", text(&out)], dir.path());
        let (loss, tokens) = sum_of_losses(&read_npy(&out).1, &window);
        (sum, count) = (sum + loss, count + tokens);
    }
    assert_eq!(count, 2485);
    assert!((sum / 2485.0 - 1.3579).abs() < 1e-4, "{}", sum / 2485.0);
}

#[test]
fn bench_measures_a_step_and_its_kernels() {
    let dir = tempfile::tempdir().unwrap();
    let model = golden("qwen3");
    let said = json(&["bench", text(&model), "--seq-len", "32", "--batch-size", "2", "--max-time", "200ms"], dir.path());
    let number = |key: &str| said[key].as_f64().unwrap();
    assert!(number("ms_per_step") > 0.0 && number("best_ms_per_step") <= number("ms_per_step"), "{said}");
    assert!(number("tokens_per_second") > 0.0 && number("of_peak") < 1.0, "{said}");
    let kernels = said["kernels"].as_array().unwrap();
    let named = |name: &str| kernels.iter().any(|k| k["name"] == name && k["ms"].as_f64().unwrap() > 0.0);
    for name in ["qkv, forward", "classifier, weight gradient", "attention, backward", "head norms", "optimizer", "gradient norm"]
    {
        assert!(named(name), "{name} is missing: {said}");
    }
    assert!(number("kernels_ms") > 0.2 * number("best_ms_per_step"), "{said}");
    let under = &said["circumstances"];
    assert!(under["percentiles_ms"]["p10"].as_f64() <= under["percentiles_ms"]["p90"].as_f64(), "{under}");
    assert!(under["disturbed"].is_array(), "{under}");
    let flags = ["--estimator", "all", "--samples", "40", "--seq-len", "8", "--batch-size", "1", "--mezo-eps", "1e-2"];
    let said = json(&[&["bench", text(&model)], &flags[..]].concat(), dir.path());
    let methods = said["methods"].as_array().unwrap();
    assert_eq!(methods.len(), 9, "{said}");
    let n = said["weights"].as_f64().unwrap();
    for m in methods {
        // forty directions of n: the mean leans towards the gradient, and its spread is what theory says
        assert_eq!(m["estimates"], 40, "{m}");
        // that of some is larger by design, once they have learnt from a step
        let learns = matches!(m["method"].as_str(), Some("p-gap" | "agzo" | "zo-muon"));
        assert!((learns || m["cosine"].as_f64().unwrap().abs() < 10.0 / n.sqrt()) && m["layer_cosines"].is_object(), "{m}");
    }
    let of_mezo = methods[0]["variance"].as_f64().unwrap() / n;
    assert!((0.3..3.0).contains(&of_mezo), "{said}");
    fails(&["bench", text(&model), "--estimator", "backprop"], dir.path(), 2, &["mezo"]);
    fails(&["bench", "auto"], dir.path(), 2, &["preset"]);
    fails(&["bench", "storys-36m"], dir.path(), 2, &["did you mean `stories-36m`?"]);
}

#[test]
fn what_is_claimed_is_checked_and_what_is_broken_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let said = json(&["verify"], dir.path());
    assert_eq!(said["failed"], 0, "{said}");
    assert!(said["passed"].as_u64().unwrap() >= 25, "{said}");
    for claim in said["claims"].as_array().unwrap() {
        assert!(claim["outcome"] != "skipped" || claim["id"] == "neural/hardware", "{claim}");
        assert!(claim["detail"].as_str().is_some_and(|d| !d.is_empty()), "{claim}");
    }
    let mut broken = std::process::Command::new(env!("CARGO_BIN_EXE_autoane"));
    let output = broken.args(["verify", "gradients", "--tamper", "norm-backward"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(1) && said.contains("FAILED") && said.contains("gradients/pytorch"), "{said}");
    fails(&["verify", "gradient-descent"], dir.path(), 2, &["--list"]);
    assert!(json(&["verify", "formats", "--list"], dir.path())["claims"].as_array().unwrap().len() == 2);
}

#[test]
fn power_says_what_a_command_takes_or_which_meter_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.args(["power", "--idle", "200ms", "--interval", "50ms", "--json", "--", "true"]).current_dir(dir.path());
    let output = command.output().unwrap();
    if output.status.code() == Some(69) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("RAPL") && said.contains("powermetrics"), "{said}");
    } else {
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(said["parts"][0]["joules"].as_f64().is_some() && said["exit_code"] == 0, "{said}");
    }
    fails(&["power"], dir.path(), 2, &["COMMAND"]);
}
