//! Seeds of tokenizers, token files, text and the record of a run.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use data::{PrepareOptions, Source, Tokenizer, TokenizerChoice};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::gpt2::tokenizer_json;
use super::{Seed, hostile_json, in_folder, texts};

/// What a fuzzed tokenizer has to encode.
pub const TEXT: &str = "Once upon\r\na time: it's 1234567 \u{a0}\u{4f60}\u{597d} \u{1f600}<|endoftext|>  the end.\n\n";

/// A sound tokenizer.
pub fn tokenizer_folder(dir: &Path) {
    fs::write(dir.join("tokenizer.json"), tokenizer_json()).expect("a tokenizer can be written");
}

/// A sound prepared folder.
pub fn prepared_folder(dir: &Path) {
    let text = dir.join("source.txt");
    fs::write(&text, TEXT).expect("a text can be written");
    prepare_into(dir, text);
}

/// Prepares `text` with the sound tokenizer; the files come to lie in `dir`.
fn prepare_into(dir: &Path, text: std::path::PathBuf) {
    let tokenizer = Tokenizer::from_bytes(tokenizer_json().into_bytes(), None, &text).expect("a sound tokenizer");
    let out = dir.join("prepared");
    let options = PrepareOptions {
        source: Source::Files(vec![text]),
        tokenizer: TokenizerChoice::Given(Arc::new(tokenizer)),
        threads: 1,
        template: None,
    };
    data::prepare(&options, &out, &mut |_, _| {}).expect("a text can be prepared");
    for entry in fs::read_dir(&out).expect("the folder was just made").flatten() {
        fs::rename(entry.path(), dir.join(entry.file_name())).expect("files can be moved");
    }
}

/// A sound prepared folder of prompts with completions, of which some tokens carry loss.
pub fn masked_folder(dir: &Path) {
    let text = dir.join("source.jsonl");
    let line = r#"{"prompt":"What is it? ","completion":"It is a cat."}"#;
    fs::write(&text, format!("{line}\n{line}\n")).expect("a text can be written");
    prepare_into(dir, text);
}

pub fn masks() -> Vec<Seed> {
    let sound = in_folder("mask", |dir| {
        masked_folder(dir);
        fs::read(dir.join("mask.bin")).expect("the mask was just written")
    });
    let mut none = sound.clone();
    none.iter_mut().for_each(|b| *b &= !1);
    let mut beyond = sound.clone();
    beyond[0] = 4;
    vec![
        ("none".into(), none),
        ("beyond".into(), beyond),
        ("short".into(), sound[1..].to_vec()),
        ("long".into(), [&sound[..], &[1]].concat()),
        ("empty".into(), Vec::new()),
        ("all-ones".into(), vec![0xff; sound.len()]),
        ("sound".into(), sound),
    ]
}

pub fn manifests() -> Vec<Seed> {
    let sound = in_folder("prepared", |dir| {
        prepared_folder(dir);
        fs::read_to_string(dir.join("manifest.json")).expect("the manifest was just written")
    });
    let mut seeds = hostile_json();
    seeds.extend(texts([
        ("tokens-2-63", sound.replacen("\"tokens\": ", "\"tokens\": 9223372036854775807", 1)),
        ("vocab-large", sound.replacen("\"vocab_size\": ", "\"vocab_size\": 1677", 1)),
        ("wide", sound.replacen("u16", "u32", 1)),
        ("sound", sound),
    ]));
    seeds
}

pub fn tokenizers() -> Vec<Seed> {
    let sound = tokenizer_json();
    let mut seeds = hostile_json();
    let model = |kind: &str| format!(r#"{{"version":"1.0","added_tokens":[],"model":{kind}}}"#);
    seeds.extend(texts([
        ("id-2-32", sound.replacen("\"id\": 0", "\"id\": 4294967295", 1)),
        ("id-2-24", sound.replacen("\"id\": 0", "\"id\": 16777215", 1)),
        ("merge-of-nothing", sound.replacen("\"merges\": [", "\"merges\": [[\"zz\",\"qq\"],", 1)),
        ("regex-of-death", sound.replacen("\"ByteLevel\"", "\"Split\",\"pattern\":{\"Regex\":\"(a*)*b\"},\"behavior\":\"Isolated\",\"invert\":false", 1)),
        ("wordpiece", model(r#"{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"x","max_input_chars_per_word":9,"vocab":{"[UNK]":0}}"#)),
        ("unigram", model(r#"{"type":"Unigram","unk_id":0,"vocab":[["<unk>",0.0],["a",-1.5]],"byte_fallback":false}"#)),
        ("unigram-unk-beyond", model(r#"{"type":"Unigram","unk_id":7,"vocab":[["a",-1e308]],"byte_fallback":true}"#)),
        ("word-level", model(r#"{"type":"WordLevel","vocab":{"a":0},"unk_token":"b"}"#)),
        ("no-unknown", model(r#"{"type":"BPE","vocab":{"a":0},"merges":[]}"#)),
        ("bpe-gap", model(r#"{"type":"BPE","vocab":{"a":5,"b":9},"merges":["a b"]}"#)),
        ("sound", sound),
    ]));
    seeds
}

pub fn tokenizer_configs() -> Vec<Seed> {
    let mut seeds = hostile_json();
    seeds.extend(texts([
        (
            "sound",
            r#"{"eos_token":"<|endoftext|>","bos_token":null,"chat_template":"{{ messages }}","add_bos_token":false}"#.into(),
        ),
        ("object", r#"{"eos_token":{"__type":"AddedToken","content":"<|endoftext|>"}}"#.into()),
        ("unknown", r#"{"eos_token":"nowhere"}"#.into()),
        ("number", r#"{"eos_token":7}"#.into()),
    ]));
    seeds
}

pub fn templates() -> Vec<Seed> {
    texts([
        (
            "chatml",
            "{%- for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m.content | trim + '<|im_end|>' }}{% endfor -%}
            {% if add_generation_prompt and not messages[-1].x %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
                .into(),
        ),
        (
            "namespace",
            "{% set ns = namespace(n=0) %}{% macro one(m, i=1) %}{{ m.role.upper()[:2] ~ i }}{% endmacro %}
            {% for m in messages if m.role != 'system' %}{% set ns.n = ns.n + loop.index0 %}{{ one(m, ns.n) }}{% else %}-{% endfor %}"
                .into(),
        ),
        ("methods", "{{ messages | map(attribute='content') | join(',') | replace('a', 'b') }}{{ eos_token.split('s') | tojson }}".into()),
        ("raise", "{{ raise_exception('no \u{1b}[2J') }}".into()),
        ("clock", "{{ strftime_now('%d %b %Y %H:%M') }}{% generation %}x{% endgeneration %}".into()),
        ("repetition", "{{ 'x' * 100000000000 }}".into()),
        ("loops", "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}".into()),
        ("recursion", "{% macro m(n) %}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}".into()),
        ("nested", format!("{{{{ {}x{} }}}}", "(".repeat(3000), ")".repeat(3000))),
        ("file", "{% include '/etc/passwd' %}{% from 'x' import y %}".into()),
        ("unfinished", "{% for m in messages %}".into()),
    ])
}

pub fn token_files() -> Vec<Seed> {
    let bytes = |ids: &[u32]| ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>();
    vec![
        ("sound".into(), bytes(&[0, 5, 999, 3])),
        ("empty".into(), Vec::new()),
        ("odd".into(), vec![1, 2, 3]),
        ("beyond".into(), bytes(&[1000])),
        ("all-ones".into(), vec![0xff; 64]),
        ("largest".into(), bytes(&[(1 << 24) - 1])),
    ]
}

pub fn jsonl() -> Vec<Seed> {
    texts([
        ("sound", "{\"text\": \"Once upon a time.\"}\n{\"id\": 1, \"text\": \"The \\u00e9nd \\ud83d\\ude00\"}\n".into()),
        ("not-an-object", "[1]\n".into()),
        ("lone-surrogate", "{\"text\":\"\\ud800\"}\n".into()),
        ("bom", "\u{feff}{\"text\":\"a\"}\n\n\n".into()),
        ("deep", "{\"text\":\"a\",\"x\":".to_owned() + &"[".repeat(9_000)),
        ("long", format!("{{\"text\":\"{}\"}}", "ab ".repeat(9_000))),
        ("twice", "{\"text\":\"a\",\"text\":\"b\"}\n".into()),
    ])
}

pub fn plain() -> Vec<Seed> {
    let mut seeds = texts([
        ("sound", "Once upon a time.\n<|endoftext|>\nThe end.\r\n".into()),
        ("marker-only", "<|endoftext|>".repeat(50)),
        ("marker-cut", "a<|endof".into()),
        ("spaces", " \n\t\u{a0}".repeat(200)),
    ]);
    seeds.push(("not-utf8".into(), b"ab\xff\xfe\x80 c".to_vec()));
    seeds.push(("cut-utf8".into(), b"caf\xc3".to_vec()));
    seeds
}

pub fn gzip() -> Vec<Seed> {
    let pack = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory takes it");
        encoder.finish().expect("memory takes it")
    };
    let line = b"{\"text\":\"Once upon a time\"}\n";
    let bomb = [b"{\"text\":\"", vec![b'a'; 1 << 20].as_slice(), b"\"}"].concat();
    let (sound, bomb) = (pack(line), pack(&bomb));
    vec![
        ("two-members".into(), [sound.clone(), sound.clone()].concat()),
        ("cut".into(), sound[..sound.len() - 5].to_vec()),
        ("bomb".into(), bomb),
        ("not-gzip".into(), line.to_vec()),
        ("sound".into(), sound),
    ]
}

pub fn vocab_maps() -> Vec<Seed> {
    let mut seeds = hostile_json();
    seeds.extend(texts([
        ("sound", json!({ "full_vocab": 8, "full_of": [0, 1, 4, 5], "counts": [0, 3, 2, 1] }).to_string()),
        ("identity", json!({ "full_vocab": 3, "full_of": [0, 1, 2], "counts": [1, 1, 1] }).to_string()),
        ("decreasing", json!({ "full_vocab": 8, "full_of": [4, 1], "counts": [1, 1] }).to_string()),
        ("beyond", json!({ "full_vocab": 2, "full_of": [1, 2], "counts": [1, 1] }).to_string()),
        ("vocab-2-63", r#"{"full_vocab":9223372036854775807,"full_of":[1],"counts":[1]}"#.into()),
        ("fewer-counts", json!({ "full_vocab": 8, "full_of": [1, 2], "counts": [1] }).to_string()),
    ]));
    seeds
}

pub fn progress() -> Vec<Seed> {
    let sound = serde_json::to_string(&train::trainer::Progress::default()).expect("a plain structure");
    let mut seeds = hostile_json();
    seeds.extend(texts([
        ("negative", sound.replacen("0", "-1", 1)),
        ("huge", sound.replacen("0", "1e300", 1)),
        ("sound", sound),
    ]));
    seeds
}

pub fn events() -> Vec<Seed> {
    let step = r#"{"type":"step","step":1,"seconds":0.5,"tokens":64,"loss":4.5,"lr":1e-3,"grad_norm":0.7,"tokens_per_second":128.0,"rss_bytes":1}"#;
    texts([
        (
            "sound",
            format!("{{\"type\":\"started\"}}\n{step}\n{{\"type\":\"eval\",\"step\":1,\"val_loss\":4.0,\"val_loss_se\":0.1}}\n"),
        ),
        ("torn", format!("{step}\n{}", &step[..40])),
        ("nan", format!("{}\n", step.replace("4.5", "NaN"))),
        ("step-2-63", format!("{}\n", step.replace("\"step\":1", "\"step\":9223372036854775808"))),
        ("deep", "[".repeat(9_000) + "\n"),
        ("no-newlines", "x".repeat(9_000)),
    ])
}
