//! `autoane eval`: loss, perplexity and bits per byte over fixed windows, each with its standard error.

use std::path::Path;
use std::sync::Arc;

use data::{Dataset, DatasetOptions, IGNORE, Loader, LoaderOptions, Order, Packing, Tokenizer, VocabMap};
use engine::{BaseWeights, CpuEngine, Options, Params, Shape};
use kernels::Cpu;
use model::{Layout, ModelSpec};
use serde_json::{Value as Json, json};
use train::loss::{Estimate, LossStats};
use train::trainer::Evaluation;

use crate::cli::EvalArgs;
use crate::config::{self, TokenWidth, TrainConfig};
use crate::corpus::{self, Corpus, Tok};
use crate::model_file::{self, OpenModel};
use crate::out::{self, Out};
use crate::sample::weights;
use crate::{exit, place};

/// Tokens a window when neither the command line nor the model's training says it.
const SEQ_LEN: usize = 256;

/// Which windows are read. What was not asked for is as in the run that made the model, so that a run is measured as it
/// measured itself; for any other model as in a run by default.
struct Windowing {
    data: String,
    width: TokenWidth,
    seq: usize,
    packing: Packing,
    val_fraction: f64,
    val_tokens: usize,
    batch_size: usize,
    /// Whether some tokens carry no loss.
    masked: bool,
}

impl Windowing {
    fn of(args: &EvalArgs, model: &OpenModel, out: Out) -> anyhow::Result<Windowing> {
        let defaults = TrainConfig { seq_len: SEQ_LEN.min(model.spec().context), ..TrainConfig::default() };
        let (config, ours) = model.trained.as_ref().map_or((&defaults, false), |t| (&t.config, true));
        let (context, seq) = (model.spec().context, args.seq_len.unwrap_or(config.seq_len));
        if seq > context {
            out.warn(format!("windows of {seq} tokens are longer than the {context} positions that the model was made for"));
        }
        let data = args.data.clone().unwrap_or_else(|| config.data.clone());
        if ours && args.data.is_none() && !corpus::is_text(&data) && !Path::new(&data).exists() {
            let what = format!("the data of the run, {data}, is not there any more");
            return Err(exit::Exit::new(exit::MISSING, format!("{what}; name the data to read with --data")).into());
        }
        let asked = args.packing.as_deref().map(config::Packing::parse).transpose().map_err(exit::usage)?;
        // a run that trained on everything held nothing out: its end is as good as any other part
        let held_out = if config.val_fraction > 0.0 { config.val_fraction } else { defaults.val_fraction };
        Ok(Windowing {
            width: if args.data.is_none() { config.token_width } else { TokenWidth::Auto },
            data,
            seq,
            packing: loader_packing(asked.unwrap_or(config.packing)),
            val_fraction: args.val_fraction.unwrap_or(held_out),
            val_tokens: args.val_tokens.unwrap_or(config.val_tokens),
            // products of other sizes may go another way, with other last bits
            batch_size: args.batch_size.unwrap_or(config.batch_size),
            masked: false,
        })
    }
}

/// Evaluates a model.
pub fn run(args: &EvalArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    let model = model_file::open_said(&args.model, &args.assumed, out)?;
    let mut how = Windowing::of(args, &model, out)?;
    let corpus = find(args, &how.data, &model, cpu.pool().threads(), out)?;
    let full = dataset(&corpus, how.width, model.spec().vocab, None)?;
    how.masked = full.mask().is_some();
    if how.masked && args.packing.is_none() && (model.trained.is_none() || args.data.is_some()) {
        how.packing = Packing::Documents;
    }
    let weights = weights::frozen(&model.file, model.file.layout(), None)?;
    out.work_begins();
    let score = score(&cpu, model.spec(), weights, full, &how, out)?;
    out.work_ends(None, Some(score.stats.tokens()));
    let compact = match &model.map {
        Some(map) => compact_score(&cpu, &model, map, &corpus, &how, out)?.map(|s| (s, map.len())),
        None => None,
    };
    let recorded = model.trained.as_ref().and_then(|t| t.evaluation);
    report(&score, compact.as_ref(), recorded, &how, out)
}

/// The data, in ids of the model's tokenizer.
fn find(args: &EvalArgs, data: &str, model: &OpenModel, threads: usize, out: Out) -> anyhow::Result<Corpus> {
    let tokenizer = if corpus::is_text(data) {
        Some(model.need_tokenizer(args.tokenizer.as_deref())?)
    } else {
        model.tokenizer_or(args.tokenizer.as_deref())?
    };
    let of_run = || model.trained.as_ref().and_then(|t| t.config.template.as_deref());
    let template = args.template.as_deref().or_else(of_run);
    let corpus = corpus::locate(data, tokenizer.clone().map(Tok::Given), template, threads, out)?;
    let differs = |a: &Arc<Tokenizer>, b: &Arc<Tokenizer>| a.sha256() != b.sha256();
    if let (Some(ours), Some(theirs)) = (&tokenizer, &corpus.tokenizer)
        && differs(ours, theirs)
    {
        out.warn(format!("{data} was prepared with another tokenizer than the model's"));
    }
    Ok(corpus)
}

/// The tokens over the ids of `map`, or over all `vocab`.
fn dataset(corpus: &Corpus, width: TokenWidth, vocab: usize, map: Option<VocabMap>) -> anyhow::Result<Dataset> {
    let raw = corpus.path.is_file();
    let width = raw.then(|| place::token_width(&corpus.path, width, Some(vocab))).transpose()?;
    let vocab_size = Some(map.as_ref().map_or(vocab, |m| m.full_vocab));
    corpus.open(DatasetOptions { width, vocab_size, tokenizer: corpus.tokenizer.clone(), compact: false, map })
}

/// The score over the ids that training saw; none when the data has others.
fn compact_score(
    cpu: &Cpu,
    model: &OpenModel,
    map: &VocabMap,
    corpus: &Corpus,
    how: &Windowing,
    out: Out,
) -> anyhow::Result<Option<Score>> {
    match dataset(corpus, how.width, model.spec().vocab, Some(map.clone())) {
        Ok(data) => {
            let spec = model.spec().with_vocab(map.len());
            let weights = weights::frozen(&model.file, &Layout::of(&spec), Some(&map.full_of))?;
            score(cpu, &spec, weights, data, how, out).map(Some)
        }
        Err(error) => {
            out.say(format!("no loss over the {} ids that training saw: the data has others ({error:#})", map.len()));
            Ok(None)
        }
    }
}

/// Losses of windows, and the bytes of text behind their targets.
struct Score {
    stats: LossStats,
    bytes: u64,
}

fn score(cpu: &Cpu, spec: &ModelSpec, weights: BaseWeights, data: Dataset, how: &Windowing, out: Out) -> anyhow::Result<Score> {
    let params = Params { base: weights.as_base(), adapter: &[] };
    let (mut windows, seq) = (Windows::new(Arc::new(data), how)?, how.seq);
    let rows = how.batch_size.min(windows.count);
    let mut engine = CpuEngine::new(cpu, spec, Shape { rows, seq }, Options::INFERENCE);
    let (mut batch, mut score) = (data::Batch::default(), Score { stats: LossStats::new(), bytes: 0 });
    let mut progress = out.progress("evaluating", windows.count as u64);
    for first in (0..windows.count).step_by(rows) {
        windows.fill(first, rows.min(windows.count - first), &mut batch);
        let (inputs, targets, starts) = (&batch.inputs[..], &batch.targets[..], batch.starts.as_deref());
        engine.loss(params, &engine::Batch { rows: batch.rows, seq, inputs, targets, starts })?;
        for (losses, targets) in engine.token_losses().chunks(seq).zip(targets.chunks(seq)) {
            let sum = losses.iter().map(|&l| f64::from(l)).sum();
            score.stats.add(sum, targets.iter().filter(|t| **t != IGNORE).count() as u64);
        }
        score.bytes += windows.bytes(targets);
        let done = (first + batch.rows) as u64;
        progress.update(done, format!("{done} of {} windows, loss {:.4}", windows.count, score.stats.mean().value));
    }
    Ok(score)
}

/// The windows that are read: the fixed ones of the validation split, or evenly spaced ones of all the data.
struct Windows {
    loader: Loader,
    whole: bool,
    count: usize,
    one: data::Batch,
}

impl Windows {
    fn new(data: Arc<Dataset>, how: &Windowing) -> anyhow::Result<Windows> {
        let whole = how.val_fraction >= 1.0;
        let most = how.val_tokens.div_ceil(how.seq);
        let options = LoaderOptions {
            seq_len: how.seq,
            order: Order::Sequential,
            packing: how.packing,
            val_fraction: if whole { 0.0 } else { how.val_fraction },
            max_val_windows: Some(most),
            seed: 0,
        };
        let loader = Loader::new(data, options)?;
        let count = if whole { most.min(loader.train_windows() as usize) } else { loader.val_windows() };
        if count == 0 {
            let what = format!("--val-fraction {} of {} tokens leaves nothing to read", how.val_fraction, loader.train_tokens());
            return Err(exit::usage(format!("{what}; --val-fraction 1 reads all of it")));
        }
        Ok(Windows { one: loader.batch(1), loader, whole, count })
    }

    /// Windows `first .. first + rows` into `batch`.
    fn fill(&mut self, first: usize, rows: usize, batch: &mut data::Batch) {
        if !self.whole {
            self.loader.fill_val(first, rows, batch);
            return;
        }
        let seq = self.loader.options().seq_len;
        batch.reshape(rows, seq, self.one.starts.is_some());
        for row in 0..rows {
            let at = u128::from(self.loader.train_windows()) * (first + row) as u128 / self.count as u128;
            self.loader.fill_window(at as u64, &mut self.one);
            batch.inputs[row * seq..(row + 1) * seq].copy_from_slice(&self.one.inputs);
            batch.targets[row * seq..(row + 1) * seq].copy_from_slice(&self.one.targets);
            if let (Some(all), Some(one)) = (&mut batch.starts, &self.one.starts) {
                all[row * seq..(row + 1) * seq].copy_from_slice(one);
            }
        }
    }

    /// Bytes of the text that `targets` stand for; 0 without a tokenizer.
    fn bytes(&self, targets: &[u32]) -> u64 {
        let data = self.loader.dataset();
        let Some(tokenizer) = data.tokenizer() else { return 0 };
        let full = targets.iter().filter_map(|&id| data.vocab().to_full(id));
        full.map(|id| tokenizer.token_bytes(id) as u64).sum()
    }
}

fn report(
    score: &Score,
    compact: Option<&(Score, usize)>,
    recorded: Option<Evaluation>,
    how: &Windowing,
    out: Out,
) -> anyhow::Result<()> {
    let (loss, perplexity) = (score.stats.mean(), score.stats.perplexity());
    let bpb = score.stats.bits_per_byte(score.bytes);
    let shown = |e: Estimate| out::estimate(e.value, e.se, 4);
    out.line(format!("loss           {} nats a token", shown(loss)))?;
    out.line(format!("perplexity     {}", shown(perplexity)))?;
    out.line(format!("bits per byte  {}", bpb.map_or_else(|| "unknown without a tokenizer".to_owned(), shown)))?;
    if let Some((compact, ids)) = compact {
        out.line(format!("loss           {} over the {ids} ids that training saw", shown(compact.stats.mean())))?;
    }
    if let Some(recorded) = recorded {
        out.line(format!("in training    {} at step {}", shown(recorded.loss), recorded.step))?;
    }
    let (tokens, windows, seq, packing) = (score.stats.tokens(), score.stats.windows(), how.seq, name(how.packing));
    out.line(format!(
        "read           {} tokens{} of {}, {windows} windows of {seq} ({packing})",
        out::count(tokens as f64),
        if how.masked { " with loss" } else { "" },
        how.data,
    ))?;
    let compact = compact.map_or(Json::Null, |(compact, ids)| {
        let loss = compact.stats.mean();
        json!({ "loss": loss.value, "loss_se": loss.se, "ids": ids })
    });
    out.json(&json!({
        "loss": loss.value,
        "loss_se": loss.se,
        "perplexity": perplexity.value,
        "perplexity_se": perplexity.se,
        "bpb": bpb.map(|b| b.value),
        "bpb_se": bpb.map(|b| b.se),
        "tokens": tokens,
        "windows": windows,
        "masked": how.masked,
        "seq_len": seq,
        "packing": packing,
        "data": how.data,
        "compact": compact,
        "recorded": recorded.map(|r| json!({ "step": r.step, "val_loss": r.loss.value, "val_loss_se": r.loss.se })),
    }))
}

fn loader_packing(packing: config::Packing) -> Packing {
    match packing {
        config::Packing::Stream => Packing::Stream,
        config::Packing::Documents => Packing::Documents,
    }
}

fn name(packing: Packing) -> &'static str {
    match packing {
        Packing::Stream => config::Packing::Stream.name(),
        Packing::Documents => config::Packing::Documents.name(),
    }
}
