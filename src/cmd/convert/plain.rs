//! The formats that are a header and f32 weights: llama2.c, and BLZT with the moments of a run.

use std::path::Path;

use formats::blzt::{self, Adam};
use formats::safetensors::Container;
use formats::{Fill, VocabRows, llama2c};
use model::Layout;
use serde_json::json;

use crate::cli::{ConvertArgs, ConvertTo, DtypeArg};
use crate::exit;
use crate::model_file::read_map;
use crate::out::{self, Out};
use crate::run::read_state;

/// Writes `model`, opened at `input`, as a file.
pub fn run(args: &ConvertArgs, input: &Path, model: &formats::Model, out: Out) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    if args.dtype != DtypeArg::F32 {
        return Err(exit::usage("--dtype: a llama2.c file and a BLZT checkpoint have f32"));
    }
    let (format, bytes) = match args.to {
        ConvertTo::Blzt => ("blzt", write_blzt(args, input, model, out)?),
        _ => ("llama2c", llama2c::write(&args.output, model.spec(), &model.source(), &llama2c::WriteOptions::default())?),
    };
    let params = model.layout().len();
    let (count, size) = (out::count(params as f64), out::bytes(bytes));
    out.line(format!("{}: {count} parameters in F32, {size}", args.output.display()))?;
    out.json(&json!({
        "input": args.input, "output": args.output, "format": format, "dtype": "float32", "params": params,
        "bytes": bytes, "seconds": began.elapsed().as_secs_f64(),
    }))
}

fn write_blzt(args: &ConvertArgs, input: &Path, model: &formats::Model, out: Out) -> anyhow::Result<u64> {
    let spec = model.spec();
    let (theta, eps) = (spec.rope.theta, spec.norm_eps);
    out.warn(format!(
        "BLZT does not say the rope theta ({theta}), the norm eps ({eps:e}) or the tokenizer: whoever reads it must be told, \
         here with --rope-theta, --norm-eps and --tokenizer"
    ));
    if spec.residual_scale != 1.0 {
        out.warn(format!("the residual scale {} is folded into the weights: read them with 1", spec.residual_scale));
    }
    let mut options = blzt::WriteOptions::default();
    let state = input.join("trainer/state.json").is_file().then(|| read_state(input)).transpose()?;
    let Some(state) = state else { return Ok(blzt::write(&args.output, spec, &model.source(), &options)?) };
    options.step = state.step;
    options.total_steps = state.step;
    let map = read_map(&input.join("trainer/vocab.json"), spec)?;
    let layout = Layout::of(&spec.with_vocab(map.as_ref().map_or(spec.vocab, |m| m.len())));
    let Some([first, second]) = moments(&input.join("trainer/optimizer.safetensors"), &layout)? else {
        out.warn("the run has no moments of AdamW for every weight: zeros are written");
        return Ok(blzt::write(&args.output, spec, &model.source(), &options)?);
    };
    let (first, second) = (formats::flat(&first, &layout), formats::flat(&second, &layout));
    let zeros = vec![0.0; spec.dim];
    let rows = map.as_ref().map(|m| VocabRows { full_of: &m.full_of, vocab: spec.vocab, fill: Fill::Row(&zeros) });
    let t = state.progress.optimizer_t;
    options.adam = Some(Adam { t, first: &first, second: &second, rows, residual_scale: state.residual_scale });
    Ok(blzt::write(&args.output, spec, &model.source(), &options)?)
}

/// Both moments of every weight, if the file has them.
fn moments(path: &Path, layout: &Layout) -> anyhow::Result<Option<[Vec<f32>; 2]>> {
    if !path.is_file() {
        return Ok(None);
    }
    let arrays = Container::open(path)?;
    let names = ["exp_avg", "exp_avg_sq"];
    let whole = |name: &str| arrays.tensors().iter().any(|t| t.name == name && t.bytes == 4 * layout.len() as u64);
    if !names.into_iter().all(whole) {
        return Ok(None);
    }
    let mut both = [vec![0.0; layout.len()], vec![0.0; layout.len()]];
    for (name, values) in names.into_iter().zip(&mut both) {
        arrays.read_f32(name, values)?;
    }
    Ok(Some(both))
}
