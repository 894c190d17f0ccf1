//! `autoane convert`: a model into another format.

mod plain;

use std::fs;
use std::path::{Path, PathBuf};

use formats::Dtype;
use formats::hf::{self, WriteOptions};
use serde_json::json;

use crate::cli::{ConvertArgs, ConvertTo, DtypeArg};
use crate::exit::{self, Exit};
use crate::out::{self, Out};
use crate::{model_file, place};

/// Files of a tokenizer, copied as they are.
const TOKENIZER: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
];

/// Writes `args.input` as `args.output`.
pub fn run(args: &ConvertArgs, out: Out) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    let input = place::model_folder(&args.input, out)?;
    let model = formats::open(&input)?;
    let model = model_file::assuming(model, &args.assumed.given(), out)?;
    check_free(&args.output)?;
    if matches!(args.to, ConvertTo::Blzt | ConvertTo::Llama2c) {
        return plain::run(args, &input, &model, out);
    }
    if args.to != ConvertTo::Hf {
        return Err(exit::usage("--to: hf, blzt and llama2c can be written yet"));
    }
    let dtype = match args.dtype {
        DtypeArg::F32 => Dtype::F32,
        DtypeArg::F16 => Dtype::F16,
        DtypeArg::Bf16 => Dtype::Bf16,
        DtypeArg::Q8_0 => return Err(exit::usage("--dtype q8_0: a Hugging Face folder has f32, f16 or bf16")),
    };
    let temporary = sibling(&args.output);
    let options = WriteOptions { dtype, special: model.special(), rows: None };
    let written = hf::write(&temporary, model.spec(), &model.source(), &options);
    let done = written.map_err(anyhow::Error::from).and_then(|written| {
        copy_tokenizer(&input, &temporary)?;
        fs::rename(&temporary, &args.output).map_err(|e| cannot_write(&args.output, &e))?;
        Ok(written)
    });
    if done.is_err() {
        // the error that is reported matters more than what is left behind
        let _ = fs::remove_dir_all(&temporary);
    }
    let written = done?;
    let params = model.layout().len();
    let size = out::bytes(written.bytes);
    out.line(format!("{}: {} parameters in {}, {size}", args.output.display(), out::count(params as f64), dtype.name()))?;
    out.json(&json!({
        "input": args.input, "output": args.output, "format": "hf", "dtype": dtype.torch_name(), "params": params,
        "bytes": written.bytes, "seconds": began.elapsed().as_secs_f64(),
    }))
}

fn check_free(output: &Path) -> anyhow::Result<()> {
    let empty = fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    if !output.exists() || empty {
        return Ok(());
    }
    Err(Exit::new(exit::CANNOT_WRITE, format!("{}: exists already; name a new one", output.display())).into())
}

fn sibling(output: &Path) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.tmp-{}", std::process::id()))
}

fn copy_tokenizer(from: &Path, to: &Path) -> anyhow::Result<()> {
    for name in TOKENIZER.iter().filter(|name| from.join(name).is_file()) {
        fs::copy(from.join(name), to.join(name)).map_err(|e| cannot_write(&to.join(name), &e))?;
    }
    Ok(())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    let code = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => exit::IO,
        _ => exit::CANNOT_WRITE,
    };
    Exit::new(code, format!("{}: {error}", path.display())).into()
}
