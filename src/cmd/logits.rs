//! `autoane logits`: logits of given tokens as a NumPy file.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use engine::{CpuEngine, Options, Shape};
use serde_json::json;

use crate::cli::LogitsArgs;
use crate::exit::{self, Exit};
use crate::model_file;
use crate::out::Out;

/// Writes the logits of `args.tokens`.
pub fn run(args: &LogitsArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    let model = model_file::open_said(&args.model, &args.assumed, out)?;
    let (spec, tokens) = (model.spec(), &args.tokens);
    if let Some((at, id)) = tokens.iter().enumerate().find(|(_, id)| **id as usize >= spec.vocab) {
        return Err(exit::usage(format!("--tokens: id {id} at position {at}; the model has ids 0 to {}", spec.vocab - 1)));
    }
    if tokens.len() > spec.context {
        out.warn(format!("{} tokens are more than the {} positions that the model was made for", tokens.len(), spec.context));
    }
    let params = model.params()?;
    let mut engine = CpuEngine::new(&cpu, spec, Shape { rows: 1, seq: tokens.len() }, Options::INFERENCE);
    let logits = engine.logits(&params, tokens)?;
    let shape = [tokens.len(), spec.vocab];
    write_npy(&args.out, shape, &logits)?;
    out.line(args.out.display().to_string())?;
    out.json(&json!({ "out": args.out.display().to_string(), "shape": shape }))
}

/// Writes `values` as a NumPy array of `shape`, to a temporary sibling that is renamed.
fn write_npy(path: &Path, shape: [usize; 2], values: &[f32]) -> anyhow::Result<()> {
    let temporary = sibling(path);
    let file = File::create(&temporary).map_err(|e| failed(path, exit::CANNOT_WRITE, &e))?;
    let written = write_values(file, shape, values).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|e| {
        // the error that is reported matters more than what is left behind
        let _ = fs::remove_file(&temporary);
        failed(path, exit::IO, &e)
    })
}

fn write_values(file: File, shape: [usize; 2], values: &[f32]) -> std::io::Result<()> {
    let mut to = BufWriter::new(file);
    to.write_all(&header(shape))?;
    for value in values {
        to.write_all(&value.to_le_bytes())?;
    }
    to.into_inner()?.sync_all()
}

/// Header of the npy format, version 1.0: its length is a multiple of 64 and it ends with a line break.
fn header([rows, cols]: [usize; 2]) -> Vec<u8> {
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {cols}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    text += &" ".repeat(length - text.len() - 1);
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}

fn sibling(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial-{}", std::process::id()))
}

fn failed(path: &Path, code: u8, error: &std::io::Error) -> anyhow::Error {
    Exit::new(code, format!("{}: cannot write: {error}", path.display())).into()
}
