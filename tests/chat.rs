//! `chat`, and tokenizers from every kind of file, driven end to end.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde_json::{Value as Json, json};

/// Runs the program with an own cache, in an environment without settings; `input` is its standard input.
fn run(args: &[&str], input: &str, cache: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autoane"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AUTOANE_")) {
        command.env_remove(name);
    }
    let mut child = command.env("AUTOANE_CACHE", cache).spawn().unwrap();
    // a program that does not read its input may have ended
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn json_of(args: &[&str], input: &str, cache: &Path) -> Json {
    let output = run(&[args, &["--json"]].concat(), input, cache);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fails(args: &[&str], cache: &Path, code: i32, words: &[&str]) {
    let output = run(args, "", cache);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{args:?}: no `{word}` in: {said}");
    }
}

fn shared(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("AUTOANE_SHARED").map_or(beside, PathBuf::from);
    if shared.join("data/stories260K").is_dir() {
        return Some(shared.join("data"));
    }
    eprintln!("SKIPPED: {test}: no {} (set AUTOANE_SHARED)", shared.display());
    None
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every message in a line of its own.
const LINES: &str = "{{ bos_token }}{% for m in messages %}{{ m.content }}\n{% endfor %}";

/// The released model of 260 thousand parameters, with a template.
fn model(data: &Path, dir: &Path, template: Option<&str>) -> PathBuf {
    let folder = dir.join("model");
    fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(data.join("stories260K").join(name), folder.join(name)).unwrap();
    }
    let config = json!({ "bos_token": { "content": "<s>" }, "eos_token": "</s>", "chat_template": template });
    fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
    folder
}

#[test]
fn turns_go_on_from_the_cache_and_say_what_a_fresh_start_says() {
    let Some(data) = shared("turns_go_on") else { return };
    let dir = tempfile::tempdir().unwrap();
    let model = model(&data, dir.path(), Some(LINES));
    let greedy = ["--temperature", "0", "--max-tokens", "20"];
    let chat = [&["chat", text(&model)], &greedy[..]].concat();
    let two = json_of(&chat, "Once upon a time\r\n\nThe end\n", dir.path());
    let (messages, turns) = (two["messages"].as_array().unwrap(), two["turns"].as_array().unwrap());
    let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
    assert_eq!((turns.len(), turns[0]["cached_tokens"].as_u64()), (2, Some(0)));
    // all of the first turn stands in the cache, but for the last token of the reply, which was never fed
    let first = turns[0]["prompt_tokens"].as_u64().unwrap() + turns[0]["tokens"].as_u64().unwrap();
    assert!(turns[1]["cached_tokens"].as_u64().unwrap() >= first - 2, "{turns:?}");
    assert_eq!(turns[0]["tokens"], 20);
    // the same text as one prompt, without a cache
    for turn in 0..2 {
        let prompt: String = messages[..=2 * turn].iter().map(|m| m["content"].as_str().unwrap().to_owned() + "\n").collect();
        let plain = json_of(&[&["generate", text(&model), "--prompt", &prompt], &greedy[..]].concat(), "", dir.path());
        assert_eq!(plain["text"], messages[2 * turn + 1]["content"], "turn {turn}");
    }
    let one = json_of(&[&chat[..], &["--system", "Hm.", "--prompt", "Lily"]].concat(), "", dir.path());
    assert_eq!(one["messages"].as_array().unwrap().len(), 3);
    // streamed, the reply is all that stdout gets
    let streamed = run(&[&chat[..], &["--system", "Hm.", "--prompt", "Lily"]].concat(), "", dir.path());
    assert_eq!(String::from_utf8_lossy(&streamed.stdout), one["text"].as_str().unwrap().to_owned() + "\n");
}

#[test]
fn a_reply_ends_where_the_template_ends_a_turn() {
    let Some(data) = shared("a_reply_ends") else { return };
    let dir = tempfile::tempdir().unwrap();
    // a full stop is made the special token that ends a turn: only the template says so
    let template = "{% for m in messages %}{{ m.content }}{{ '.' if m.role == 'assistant' else '\n' }}{% endfor %}";
    let model = model(&data, dir.path(), Some(template));
    let path = model.join("tokenizer.json");
    let mut tree: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let mut stop = tree["added_tokens"][0].clone();
    (stop["id"], stop["content"]) = (tree["model"]["vocab"]["."].clone(), json!("."));
    tree["added_tokens"].as_array_mut().unwrap().push(stop);
    fs::write(&path, tree.to_string()).unwrap();
    let args = ["chat", text(&model), "--prompt", "Once upon a time", "--temperature", "0", "--max-tokens", "400"];
    let reply = json_of(&args, "", dir.path());
    assert_eq!(reply["turns"][0]["stopped"], "end", "{reply}");
    assert!(reply["turns"][0]["tokens"].as_u64().unwrap() > 1);
    assert!(!reply["text"].as_str().unwrap().contains('.'));
}

#[test]
fn a_reply_ends_before_a_stop_text_and_the_conversation_goes_on() {
    let Some(data) = shared("a_reply_ends_before") else { return };
    let dir = tempfile::tempdir().unwrap();
    let model = model(&data, dir.path(), Some(LINES));
    let chat = ["chat", text(&model), "--temperature", "0", "--max-tokens", "60"];
    let whole = json_of(&[&chat[..], &["--prompt", "Once upon a time"]].concat(), "", dir.path());
    let reply = whole["text"].as_str().unwrap();
    // in the middle of a word, so that it lies in several tokens
    let stop = reply.split_whitespace().nth(5).unwrap();
    let before = &reply[..reply.find(stop).unwrap()];
    let args = [&chat[..], &["--stop", "never said", "--stop", stop]].concat();
    let told = json_of(&args, "Once upon a time\nThe end\n", dir.path());
    assert_eq!((told["messages"][1]["content"].as_str(), told["turns"][0]["stopped"].as_str()), (Some(before), Some("stop")));
    assert_eq!(told["turns"].as_array().unwrap().len(), 2);
    let streamed = run(&[&args[..], &["--prompt", "Once upon a time"]].concat(), "", dir.path());
    assert_eq!(String::from_utf8_lossy(&streamed.stdout), before.to_owned() + "\n");
}

#[test]
fn what_cannot_be_talked_with_says_what_to_do() {
    let Some(data) = shared("what_cannot_be_talked_with") else { return };
    let dir = tempfile::tempdir().unwrap();
    let model = model(&data, dir.path(), None);
    let chat = ["chat", text(&model), "--prompt", "Hi"];
    fails(&chat, dir.path(), 2, &["no chat template", "--template FILE"]);
    let file = dir.path().join("t.jinja");
    fs::write(&file, "{{ raise_exception('only rhymes are taken') }}").unwrap();
    let with = [&chat[..], &["--template", text(&file)]].concat();
    fails(&with, dir.path(), 65, &["t.jinja", "only rhymes are taken"]);
    fails(&[&chat[..], &["--template", "/nowhere.jinja"]].concat(), dir.path(), 66, &["/nowhere.jinja"]);
    fs::write(&file, b"\xFF").unwrap();
    fails(&with, dir.path(), 65, &["byte offset 0"]);
    fs::write(&file, LINES.replace("{{ m.content }}", &"far too long ".repeat(400))).unwrap();
    fails(&with, dir.path(), 2, &["there is room for 512"]);
}

/// The engine charges nothing for a list that is made of the same list twice: without a guard this takes all memory.
#[test]
fn a_template_that_doubles_a_list_is_given_up() {
    let Some(data) = shared("a_template_that_doubles") else { return };
    let dir = tempfile::tempdir().unwrap();
    let doubling = "{% set ns = namespace(x=[1]) %}{% for i in range(200) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}";
    let model = model(&data, dir.path(), Some(doubling));
    let began = Instant::now();
    fails(&["chat", text(&model), "--prompt", "Hi"], dir.path(), 65, &["chat_template", "takes too long or makes too much"]);
    // of the processor it is a second; the rest is other programs
    assert!(began.elapsed().as_secs_f64() < 45.0);
}

#[test]
fn a_tokenizer_is_taken_from_any_file_that_holds_one() {
    let Some(data) = shared("a_tokenizer_is_taken") else { return };
    let dir = tempfile::tempdir().unwrap();
    let model = model(&data, dir.path(), None);
    let ids = |tokenizer: &Path| {
        let args = ["generate", text(&model), "--tokenizer", text(tokenizer), "--prompt", "Once upon", "--max-tokens", "8"];
        json_of(&args, "", dir.path())["ids"].clone()
    };
    let own = ids(&data.join("stories260K/tokenizer.json"));
    assert_eq!(ids(&data.join("stories260K")), own);
    // by what they hold, not by their names
    let renamed = dir.path().join("vocabulary");
    fs::copy(data.join("stories260K/tok512.bin"), &renamed).unwrap();
    assert_eq!(ids(&renamed), own);
    let other = dir.path().join("other");
    fs::write(&other, "neither").unwrap();
    let generate = ["generate", text(&model), "--prompt", "x", "--tokenizer"];
    fails(&[&generate[..], &[text(&other)]].concat(), dir.path(), 65, &["other", "tokenizer.bin of llama2.c"]);
    let gguf = data.join("fixtures/llama-2-tiny-random.gguf");
    fails(&[&generate[..], &[text(&gguf)]].concat(), dir.path(), 2, &["the model has ids 0 to 511"]);
    let told = json_of(&["inspect", text(&data.join("llama2-tokenizer/tokenizer.bin"))], "", dir.path());
    assert_eq!((told["kind"].as_str(), told["vocab_size"].as_u64()), (Some("tokenizer"), Some(32_000)));
}

/// What a run learned from text with another program's tokenizer can be read without that program's file.
#[test]
fn training_leaves_the_tokenizer_in_the_checkpoint() {
    let Some(data) = shared("training_leaves_the_tokenizer") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (story, out) = (dir.path().join("story.txt"), dir.path().join("run"));
    fs::write(&story, "Once upon a time there was a “fox” 🦊. It was red.\n".repeat(200)).unwrap();
    let tok = data.join("stories260K/tok512.bin");
    let shape = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/llama-tied-gqa/config.json");
    let mut args = vec!["train", "--data", text(&story), "--tokenizer", text(&tok), "--out", text(&out), "--steps", "1"];
    let mut config: Json = serde_json::from_slice(&fs::read(&shape).unwrap()).unwrap();
    config["vocab_size"] = json!(512);
    let shape = dir.path().join("config.json");
    fs::write(&shape, config.to_string()).unwrap();
    args.extend(["--model-config", text(&shape), "--seq-len", "16", "--batch-size", "2", "--threads", "1"]);
    json_of(&args, "", dir.path());
    let written = data::Tokenizer::load(&out.join("checkpoints/last")).unwrap();
    let theirs = data::Tokenizer::load(&data.join("stories260K")).unwrap();
    for text in ["Once upon a time", " two  spaces\n", "naïve 🦊 <s>"] {
        assert_eq!(written.encode(text).unwrap(), theirs.encode(text).unwrap());
    }
    assert_eq!(written.eos(), Some(2));
}
