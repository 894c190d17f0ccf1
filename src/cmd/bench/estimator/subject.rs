//! What `bench --estimator` looks at: the weights of a model or of an adapter, a batch of text, and the gradient there.

use std::path::Path;

use anyhow::Context;
use engine::{Adapting, BaseWeights, Batch, CpuEngine, Engine, Options};
use kernels::Cpu;
use model::{AdapterSpec, Layout, ModelSpec};
use train::Trainer;

use crate::cli::BenchArgs;
use crate::cmd::bench::{Job, random_tokens};
use crate::config::{self, Device, Given, LoraForm, ModelChoice, Origin, RESOLVED_FILE, Resolved, Sources, TrainConfig};
use crate::out::Out;
use crate::run::{Files, RunFolder};
use crate::wire::{self, Wired};
use crate::{exit, model_file};

/// Weights at a batch, and the gradient of its mean loss there.
pub struct Subject<'a> {
    pub name: String,
    pub cpu: &'a Cpu,
    pub config: TrainConfig,
    pub spec: ModelSpec,
    /// Of the weights that are looked at.
    pub layout: Layout,
    pub params: Vec<f32>,
    pub gradient: Vec<f32>,
    /// The base and what is adapted, where the weights are an adapter's.
    adapter: Option<(BaseWeights, AdapterSpec)>,
    text: Text,
}

struct Text {
    rows: usize,
    seq: usize,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    starts: Option<Vec<u32>>,
}

impl<'a> Subject<'a> {
    /// What `args` name: a run with its text, a model with `--data`, or a model or preset with random tokens.
    pub fn new(job: &Job, args: &BenchArgs, cpu: &'a Cpu, out: Out) -> anyhow::Result<Subject<'a>> {
        let run = Path::new(&args.model);
        if args.lora && args.data.is_none() {
            return Err(exit::usage("--lora adapts a model to text: add --data, or name the run folder of an adapter"));
        }
        let mut subject = if args.data.is_none() && run.join(RESOLVED_FILE).is_file() {
            Subject::of_run(run, args, cpu, out)?
        } else if let Some(data) = &args.data {
            Subject::of_data(data, args, cpu, out)?
        } else {
            Subject::of_noise(job, args, cpu, out)?
        };
        let mut gradient = vec![0.0; subject.layout.len()];
        let (mut engine, batch) = (subject.engine(Options::TRAINING), subject.batch());
        engine.refresh(&subject.params);
        let loss = engine.loss_and_grad_unless(&subject.params, &batch, &mut gradient, false, &mut || false);
        let tokens = loss.context("gradient")?.unwrap_or_default().tokens.max(1);
        drop(engine);
        gradient.iter_mut().for_each(|g| *g /= tokens as f32);
        subject.gradient = gradient;
        Ok(subject)
    }

    /// A run at its last checkpoint, on text of its own.
    fn of_run(path: &Path, args: &BenchArgs, cpu: &'a Cpu, out: Out) -> anyhow::Result<Subject<'a>> {
        let folder = RunFolder::resume(path)?;
        let mut resolved = Resolved::of(&Sources { resume: Some(path.to_path_buf()), ..Sources::default() })?;
        resolved.config.device = Device::Cpu;
        let wired = wire::open(&mut resolved, cpu, folder.vocab()?, out)?;
        let mut trainer = Trainer::new(wire::parts(&resolved.config, &wired, cpu, out)?);
        if let Some(loaded) = folder.last()? {
            let (layout, config) = (Layout::of(&wired.spec), String::new());
            let files = Files { wired: &wired, cpu, layout, config, seq_len: resolved.config.seq_len, probe: Vec::new() };
            trainer.restore(folder.relative(&loaded.path), |into| files.read(&loaded.path, into))?;
        }
        let params = trainer.params().to_vec();
        drop(trainer);
        Subject::of(wired, resolved.config, params, args, cpu)
    }

    /// A model that is there or a preset, or a new adapter of one, on `data`.
    fn of_data(data: &str, args: &BenchArgs, cpu: &'a Cpu, out: Out) -> anyhow::Result<Subject<'a>> {
        let mut typed = vec![("model", args.model.clone()), ("data", data.to_owned())];
        typed.extend(args.lora.then(|| ("lora", "true".to_owned())));
        typed.extend(args.seq_len.map(|n| ("seq-len", n.to_string())));
        let given = |(key, text): (&str, String)| {
            let setting = config::setting(key).context("a setting")?;
            Given::checked(setting, text, Origin::Flag).map_err(exit::usage)
        };
        let flags = typed.into_iter().map(given).collect::<anyhow::Result<_>>()?;
        let mut resolved = Resolved::of(&Sources { flags, ..Sources::default() })?;
        let wired = wire::open(&mut resolved, cpu, None, out)?;
        let params = wire::initial_params(&wired, &wired.trained(), resolved.config.seed, cpu)?;
        Subject::of(wired, resolved.config, params, args, cpu)
    }

    fn of(wired: Wired, config: TrainConfig, params: Vec<f32>, args: &BenchArgs, cpu: &'a Cpu) -> anyhow::Result<Subject<'a>> {
        let batch_size = args.batch_size.unwrap_or(config.batch_size);
        let config = TrainConfig { batch_size, lora_form: LoraForm::Split, ..config };
        let mut loader = wire::loader(&config, &wired.data)?;
        let mut batch = loader.batch(batch_size);
        loader.fill(&mut batch);
        let text = Text { rows: batch.rows, seq: batch.seq, inputs: batch.inputs, targets: batch.targets, starts: batch.starts };
        let layout = wired.trained();
        let adapter = wired.adapter.map(|adapter| (adapter.base, adapter.spec));
        Ok(Subject { name: wired.name, cpu, config, spec: wired.spec, layout, params, gradient: Vec::new(), adapter, text })
    }

    /// A model or preset on random tokens.
    fn of_noise(job: &Job, args: &BenchArgs, cpu: &'a Cpu, out: Out) -> anyhow::Result<Subject<'a>> {
        let layout = Layout::of(&job.spec);
        let params = match ModelChoice::of(&args.model)? {
            ModelChoice::Path(path) => model_file::open(&path, out)?.params()?,
            _ => engine::init(&job.spec, &layout, 0),
        };
        let (rows, seq) = (job.config.batch_size, job.config.seq_len);
        let tokens = random_tokens(rows * seq + 1, job.spec.vocab);
        let text = Text { rows, seq, inputs: tokens[..rows * seq].to_vec(), targets: tokens[1..].to_vec(), starts: None };
        let (name, config, spec) = (job.name.clone(), job.config.clone(), job.spec.clone());
        Ok(Subject { name, cpu, config, spec, layout, params, gradient: Vec::new(), adapter: None, text })
    }

    /// Whether the weights are an adapter's.
    pub fn is_adapter(&self) -> bool {
        self.adapter.is_some()
    }

    /// Whether it is an adapter in split form.
    pub fn is_beside(&self) -> bool {
        self.is_adapter() && self.config.lora_form == LoraForm::Split
    }

    /// What computes losses there.
    pub fn engine(&self, options: Options) -> Box<dyn Engine + 'a> {
        let walk = CpuEngine::new(self.cpu, &self.spec, wire::engine_shape(&self.config).0, options);
        match &self.adapter {
            Some((base, spec)) => Box::new(Adapting::new(walk, base.clone(), spec)),
            None => Box::new(walk),
        }
    }

    pub fn batch(&self) -> Batch<'_> {
        let Text { rows, seq, inputs, targets, starts } = &self.text;
        Batch { rows: *rows, seq: *seq, inputs, targets, starts: starts.as_deref() }
    }
}
