//! Seeds of the targets: small sound files of our own writers, and one file for each known class of attack.
//!
//! Sources of the classes: integer overflow of counts, shapes and offsets (CVE-2024-21802 and its kind, CVE-2025-53630,
//! CVE-2026-27940), tensors beyond the end of the file (CVE-2026-7482), counts that no file justifies (gguf array of 2^63
//! elements in 43 bytes), holes and overlaps of safetensors, paths out of the folder (CVE-2024-37032), deep nesting.

mod adapter;
mod gguf;
mod gpt2;
mod hf;
mod mil;
mod sequence;
mod study;
mod text;

use std::fs;
use std::io;
use std::path::Path;

pub use adapter::{mlx_folder, peft_folder};
pub use hf::{model_folder, sharded_folder};
pub use text::{TEXT, masked_folder, prepared_folder, tokenizer_folder};

use crate::dictionary;
use crate::targets::Target;

/// A named file.
pub type Seed = (String, Vec<u8>);

/// No files beside the input.
pub fn nothing(_: &Path) {}

/// Writes the seeds of `target` into `folder`, and its words beside it.
///
/// # Errors
/// Those of the disk.
pub fn write(target: &Target, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, bytes) in of(target.name) {
        fs::write(folder.join(name), bytes)?;
    }
    fs::write(folder.with_extension("dict"), dictionary::of(target.name))
}

fn of(target: &str) -> Vec<Seed> {
    match target {
        "safetensors" => hf::safetensors(),
        "config" => hf::configs(),
        "generation_config" => hf::generation_configs(),
        "index" => hf::indices(),
        "gguf" => gguf::files(),
        "gguf_vocabulary" => gguf::vocabularies(),
        "blzt" => sequence::blzt(),
        "llama2c" => sequence::llama2c(),
        "peft_config" => adapter::peft_configs(),
        "peft_weights" => adapter::weights(true),
        "mlx_config" => adapter::mlx_configs(),
        "mlx_weights" => adapter::weights(false),
        "tokenizer_bin" => sequence::tokenizers(),
        "tokenizer_json" | "vocabulary" => text::tokenizers(),
        "tokenizer_config" => text::tokenizer_configs(),
        "chat_template" => text::templates(),
        "token_file" => text::token_files(),
        "prepared" => text::manifests(),
        "jsonl" => text::jsonl(),
        "text" => text::plain(),
        "gzip" => text::gzip(),
        "vocab_map" => text::vocab_maps(),
        "checkpoint" => hf::checkpoint_manifests(),
        "progress" => text::progress(),
        "events" => text::events(),
        "mil" => mil::programs(),
        "mask" => text::masks(),
        "study" => study::studies(),
        "journal" => study::journals(),
        other => unreachable!("no seeds for {other}"),
    }
}

/// `make` in a folder that is gone afterwards.
fn in_folder<T>(name: &str, make: impl FnOnce(&Path) -> T) -> T {
    let dir = std::env::temp_dir().join(format!("autoane-seeds-{name}-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a folder for seeds");
    let made = make(&dir);
    let _ = fs::remove_dir_all(&dir); // only untidy
    made
}

/// The bytes that `write` puts into a file.
fn written<E: std::fmt::Debug, T>(name: &str, write: impl FnOnce(&Path) -> Result<T, E>) -> Seed {
    let bytes = in_folder(name, |dir| {
        let path = dir.join("file");
        write(&path).expect("a sound file can be written");
        fs::read(path).expect("the file was just written")
    });
    (format!("sound-{name}"), bytes)
}

/// Seeds of texts.
fn texts<'a>(cases: impl IntoIterator<Item = (&'a str, String)>) -> Vec<Seed> {
    cases.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

/// What is wrong with JSON wherever it stands.
fn hostile_json() -> Vec<Seed> {
    texts([
        ("empty", String::new()),
        ("a-list", "[]".into()),
        ("deep", "[".repeat(20_000)),
        ("deep-objects", "{\"a\":".repeat(20_000)),
        ("duplicate-key", r#"{"a":1,"a":2}"#.into()),
        ("huge-number", r#"{"a":1e999}"#.into()),
        ("not-utf8", "{\"a\":\"\u{1b}[2J\u{0}\"}".into()),
        ("many-elements", format!("[{}1]", "1,".repeat(20_000))),
    ])
}
