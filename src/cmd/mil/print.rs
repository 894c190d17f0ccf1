//! `mil print`: the programs of a model and pipeline, with their weight files, and an index of what lies in their surfaces.

use std::fs;
use std::path::Path;

use ::mil::{Dialect, Program};
use ane::kernels::weights::{self, Model};
use ane::kernels::{self, KernelSet, Usage};
use ane::{BlockShape, KernelSpec, Packed, Pipeline, PipelineOptions};
use model::{Layout, ModelSpec};
use serde_json::{Value as Json, json};

use crate::cli::MilPrintArgs;
use crate::config::{ModelChoice, TrainConfig};
use crate::exit::{self, Exit};
use crate::model_file;
use crate::out::Out;

/// A model with weights, and the window that programs are made for.
struct Subject {
    name: String,
    spec: ModelSpec,
    layout: Layout,
    /// Empty for a preset until they are needed.
    params: Vec<f32>,
    seq: usize,
}

/// Writes a folder a program.
pub(super) fn run(args: &MilPrintArgs, out: Out) -> anyhow::Result<()> {
    let Some(options) = args.pipeline.options() else {
        return Err(exit::usage(
            "--pipeline says which programs: matmul-only, static, static-extras, dynamic, dynamic-cpu-bwd, conv or conv-fused",
        ));
    };
    let mut subject = subject(args, out)?;
    let mut set = set(&options, &subject)?;
    for spec in &mut set.specs {
        spec.program = translated(spec, args.dialect.dialect())?;
    }
    empty(&args.out)?;
    if subject.params.is_empty() {
        subject.params = engine::init(&subject.spec, &subject.layout, TrainConfig::default().seed);
    }
    let mut programs = Vec::new();
    for usage in set.usage(subject.spec.layers) {
        for (folder, layer) in folders(&usage, subject.spec.layers) {
            write(&args.out.join(&folder), usage.spec, &subject, layer)?;
            out.line(format!("{}/model.mil", args.out.join(&folder).display()))?;
            programs.push(entry(&folder, usage.spec, layer));
        }
    }
    let [forward, backward] = set.counts.dispatches(subject.spec.layers);
    let index = json!({
        "model": subject.name, "seq_len": subject.seq, "layers": subject.spec.layers, "pipeline": options.pipeline.name(),
        "dispatches": { "forward": forward, "backward": backward }, "programs": programs,
    });
    let text = serde_json::to_string_pretty(&index)?;
    create(&args.out.join("index.json"), text.as_bytes())?;
    out.json(&json!({ "out": args.out.display().to_string(), "index": index }))
}

fn subject(args: &MilPrintArgs, out: Out) -> anyhow::Result<Subject> {
    let of = |name: String, spec: ModelSpec, params: Vec<f32>, seq: usize| {
        let layout = Layout::of(&spec);
        Subject { name, layout, params, seq: args.seq_len.unwrap_or(seq), spec }
    };
    match ModelChoice::of(&args.model)? {
        ModelChoice::Auto => Err(exit::usage("`auto` needs data to choose by; name a preset (`autoane models`) or a model")),
        ModelChoice::Preset(p) => {
            let spec = args.vocab_size.map_or_else(|| p.spec.clone(), |vocab| p.spec.with_vocab(vocab));
            spec.validate()?;
            Ok(of(p.name.to_owned(), spec, Vec::new(), p.seq_len))
        }
        ModelChoice::Shape(path) | ModelChoice::Path(path) => {
            let model = model_file::open(&path, out)?;
            let seq = model.trained.as_ref().map_or(TrainConfig::default().seq_len, |t| t.config.seq_len);
            let params = model.params()?;
            Ok(of(path.display().to_string(), model.spec().clone(), params, seq.min(model.spec().context)))
        }
    }
}

fn set(options: &PipelineOptions, subject: &Subject) -> anyhow::Result<KernelSet> {
    let attention = !matches!(options.pipeline, Pipeline::MatmulOnly | Pipeline::Conv | Pipeline::ConvFused);
    if let Some(what) = BlockShape::misfit(&subject.spec, subject.seq).filter(|_| attention) {
        let message = format!(
            "{}: the model has {what}, which pipeline {} cannot compute: matmul-only can",
            subject.name, options.pipeline
        );
        return Err(exit::usage(message));
    }
    if !subject.spec.layers.is_multiple_of(options.layers_per_program) {
        let message = format!("--ane-layers {}: {} layers cannot be divided so", options.layers_per_program, subject.spec.layers);
        return Err(exit::usage(message));
    }
    let shape = BlockShape::of(&subject.spec, subject.seq);
    kernels::set(options, &shape).map_err(|e| exit::usage(format!("{} over {} tokens: {e}", subject.name, subject.seq)))
}

/// The program of a kernel in `dialect`, which may not have all that it says.
fn translated(spec: &KernelSpec, dialect: Dialect) -> anyhow::Result<Program> {
    let program = spec.program.clone().in_dialect(dialect);
    let cannot = |e: String| exit::usage(format!("{} cannot be written in {dialect:?}: {e}", spec.name));
    let read = ::mil::parse(&program.to_string()).map_err(|e| cannot(e.message.clone()))?;
    ::mil::check(&read).map_err(|e| cannot(e.message.clone()))?;
    Ok(program)
}

/// Folders of a kernel's programs, each with the first layer whose weights it holds: one where there is one program.
fn folders(usage: &Usage<'_>, layers: usize) -> Vec<(String, usize)> {
    let name = usage.spec.name;
    if usage.programs <= 1 {
        return vec![(name.to_owned(), 0)];
    }
    (0..layers).step_by(layers.div_ceil(usage.programs)).map(|layer| (format!("{name}-{layer:02}"), layer)).collect()
}

/// Refuses a folder that holds anything.
fn empty(dir: &Path) -> anyhow::Result<()> {
    let mut entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(cannot(dir, exit::CANNOT_WRITE, &e)),
    };
    if entries.next().is_some() {
        let message = format!("{}: not empty; name a folder that does not exist", dir.display());
        return Err(Exit::new(exit::CANNOT_WRITE, message).into());
    }
    Ok(())
}

fn cannot(path: &Path, code: u8, error: &std::io::Error) -> anyhow::Error {
    Exit::new(code, format!("{}: cannot write: {error}", path.display())).into()
}

fn create(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let parent = path.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(parent).map_err(|e| cannot(parent, exit::CANNOT_WRITE, &e))?;
    fs::write(path, bytes).map_err(|e| cannot(path, exit::IO, &e))
}

fn write(dir: &Path, spec: &KernelSpec, subject: &Subject, layer: usize) -> anyhow::Result<()> {
    let text = dir.join("model.mil");
    create(&text, spec.program.to_string().as_bytes())?;
    let model = Model { spec: &subject.spec, layout: &subject.layout, params: &subject.params, seq: subject.seq };
    let first = spec.baked.iter().map(|(path, what)| (path, *what, 0));
    for (path, what, after) in first.chain(spec.deeper.iter().map(|(path, what, after)| (path, *what, *after))) {
        let Some(file) = super::weight_file(&text, path) else { continue };
        create(&file, &weights::file(what, &model, layer + after))?;
    }
    Ok(())
}

fn entry(folder: &str, spec: &KernelSpec, layer: usize) -> Json {
    let paths = spec.baked.iter().map(|(path, _)| path).chain(spec.deeper.iter().map(|(path, ..)| path));
    let files: Vec<&str> = paths.map(|path| path.trim_start_matches("@model_path/")).collect();
    json!({
        "name": spec.name, "file": format!("{folder}/model.mil"), "layer": spec.bakes_weights().then_some(layer), "weights": files,
        "inputs": spec.inputs.iter().map(surface).collect::<Vec<_>>(), "outputs": spec.outputs.iter().map(surface).collect::<Vec<_>>(),
        "flops": spec.flops,
    })
}

fn surface(packed: &Packed) -> Json {
    let fields: Vec<Json> = packed
        .fields
        .iter()
        .map(|f| {
            json!({ "name": f.name, "channels": f.channels, "width": f.width, "first_channel": f.first_channel,
                "first_column": f.first_column, "holds": f.holds.map(|h| format!("{h:?}")) })
        })
        .collect();
    json!({ "name": packed.port, "type": packed.dtype.name(), "shape": packed.shape(), "fields": fields })
}
