//! Model folders, checkpoints, tensor files.

use std::path::Path;

use formats::{Description, Format, SpecialIds, TensorEntry};
use model::{Layout, ModelSpec, flops_per_token};
use serde_json::json;
use train::checkpoint::verify;

use super::Report;
use crate::{out, place};

/// Describes a model folder, a checkpoint of ours, a tensor file or a `config.json`.
pub fn describe(path: &Path) -> anyhow::Result<Report> {
    let checkpoint = place::is_checkpoint(path);
    let mut report = Report::new(match (checkpoint, path.is_dir(), path.extension().is_some_and(|e| e == "json")) {
        (true, ..) => "checkpoint",
        (_, true, _) => Format::Hf.title(),
        (_, _, true) => "model configuration",
        _ if is_gguf(path) => Format::Gguf.title(),
        _ => "safetensors file",
    });
    if checkpoint && let Err(error) = verify(path) {
        report.fact("integrity", "damaged");
        report.problem = Some((error.exit_code(), place::damaged(path, &error).to_string()));
        return Ok(report);
    }
    let found = formats::inspect(path)?;
    if checkpoint {
        report.fact("integrity", "every file agrees with MANIFEST.sha256");
        report.fact("trainer_state", path.join("trainer").join("state.json").is_file());
    }
    if let Some(config) = &found.config {
        add_spec(&mut report, &config.spec, &config.special);
    }
    add_tensors(&mut report, &found);
    if path.is_dir() {
        report.fact("tokenizer", path.join("tokenizer.json").is_file());
    } else if let Some(name) = found.metadata.get("tokenizer.ggml.model") {
        report.fact("tokenizer", name != "`none`");
    }
    report.problem = found.problem.map(|problem| (0, problem.to_string()));
    if report.problem.is_none() && path.is_dir() && path.join("tokenizer.json").is_file() {
        report.problem = crate::tokenizer_file::load(path).err().map(|error| (0, error.to_string()));
    }
    Ok(report)
}

/// Whether `path` is a GGUF file.
pub fn is_gguf(path: &Path) -> bool {
    path.is_file() && formats::sniff(path).is_ok_and(|format| format == Format::Gguf)
}

/// What is wrong with a file that begins like a model of llama2.c and has another size: a model that was cut, or tokens.
pub fn almost_llama2c(path: &Path) -> Option<String> {
    let begins = formats::sniff(path).is_ok_and(|format| format == Format::Llama2c);
    let error = formats::open(path).err().filter(|_| begins)?;
    Some(format!("{error}. Read as raw tokens here, for it begins like a llama2.c model but has another size"))
}

/// Describes a llama2.c file or a BLZT checkpoint; `None` for a file of another kind. A token file may begin like the
/// header of llama2.c, and then has another size.
///
/// # Errors
/// 65 for one that is damaged.
pub fn of_one_file(path: &Path, name: &str) -> anyhow::Result<Option<Report>> {
    let format = if path.is_file() { formats::sniff(path).ok() } else { None };
    let Some(format) = format.filter(|f| matches!(f, Format::Blzt | Format::Llama2c)) else { return Ok(None) };
    let model = match formats::open(path) {
        Err(_) if format == Format::Llama2c && name.ends_with(".bin") => return Ok(None),
        opened => opened?,
    };
    let mut report = Report::new(format.title());
    report.fact("integrity", "the size is that of the header");
    add_spec(&mut report, model.spec(), model.special());
    report.fact("not_said", json!(format.unsaid()));
    let beside =
        crate::model_file::own_vocabulary(&model).map(|found| found.map(|_| crate::model_file::beside_or_inside(&model)));
    let (tokenizer, problem) = beside.map_or_else(|e| (None, Some((0, crate::exit::explain(&e)))), |found| (found, None));
    report.fact("tokenizer", tokenizer.map_or(json!(false), |path| json!(path)));
    report.problem = problem;
    if format == Format::Blzt {
        let header = formats::blzt::read_header(path)?;
        report.fact("step", header.step);
        report.fact("total_steps", header.total_steps);
        report.fact("learning_rate", json!(header.learning_rate));
        report.fact("loss", json!(header.loss));
        report.fact("adam_updates", header.adam_t);
    }
    report.more.push(format!(
        "not said by this format: {}, and the tokenizer, which lies beside it or nowhere",
        format.unsaid().join(", ")
    ));
    Ok(Some(report))
}

fn add_spec(report: &mut Report, s: &ModelSpec, special: &SpecialIds) {
    let layout = Layout::of(s);
    report.fact("architecture", format!("{:?}", s.family).to_lowercase());
    report.fact("params", layout.len());
    report.fact("flops_per_token", flops_per_token(s, 256.min(s.context)).train);
    report.fact("spec", json!(s));
    report.fact("bos_id", json!(special.bos));
    report.fact("eos_ids", json!(special.eos));
    let heads = format!("{} heads, {} kv heads of {}", s.heads, s.kv_heads, s.head_dim);
    let tying = if s.tied { "tied" } else { "untied" };
    let mut text = format!(
        "dim {}, {} layers, {heads}, hidden {}, vocabulary {} ({tying}), context {}\nrope theta {}, scaling {}, norm eps {:e}",
        s.dim, s.layers, s.hidden, s.vocab, s.context, s.rope.theta, s.rope.scaling, s.norm_eps
    );
    let extras = [
        (s.qkv_bias, "biases on q, k, v".to_owned()),
        (s.o_bias, "bias on o".to_owned()),
        (s.qk_norm, "norms on q and k".to_owned()),
        (s.window.is_some(), format!("sliding window {}", s.window.map_or(0, |w| w.size))),
        (!s.no_rope.is_empty(), format!("no rotation in layers {:?}", s.no_rope)),
        (s.residual_scale != 1.0, format!("residual scale {}", s.residual_scale)),
    ];
    for (_, extra) in extras.iter().filter(|(there, _)| *there) {
        text.push_str(&format!(", {extra}"));
    }
    report.more.push(text);
}

fn add_tensors(report: &mut Report, found: &Description) {
    report.fact("file_bytes", found.bytes);
    report.fact("tensor_count", found.tensors.len());
    report.fact("metadata", json!(found.metadata));
    if !found.metadata.is_empty() {
        let rows: Vec<_> = found.metadata.iter().map(|(k, v)| vec![k.escape_default().to_string(), v.clone()]).collect();
        report.more.push(out::align(&["key", "value"], &rows));
    }
    let entry = |t: &TensorEntry| {
        let x = &t.tensor;
        json!({ "file": t.file, "name": x.name, "dtype": x.dtype, "shape": x.shape, "offset": x.start, "bytes": x.bytes })
    };
    report.fact("tensors", json!(found.tensors.iter().map(entry).collect::<Vec<_>>()));
    if found.tensors.is_empty() {
        return;
    }
    let row = |t: &TensorEntry| {
        let shape: Vec<String> = t.tensor.shape.iter().map(u64::to_string).collect();
        let name = t.tensor.name.escape_default().to_string(); // names come from the file: no control characters
        vec![name, t.tensor.dtype.clone(), format!("[{}]", shape.join(", ")), t.tensor.start.to_string(), t.file.clone()]
    };
    let rows: Vec<_> = found.tensors.iter().map(row).collect();
    report.more.push(out::align(&["tensor", "type", "shape", "offset", "file"], &rows));
}
