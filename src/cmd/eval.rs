//! `autoane eval`: loss, perplexity and bits per byte over fixed windows, each with its standard error.

use std::sync::Arc;

use data::{Dataset, DatasetOptions, IGNORE, Loader, LoaderOptions, Order, Packing, Tokenizer, VocabMap};
use engine::{CpuEngine, Options, Shape};
use kernels::Cpu;
use model::ModelSpec;
use serde_json::{Value as Json, json};
use train::loss::{Estimate, LossStats};

use crate::cli::EvalArgs;
use crate::config::TokenWidth;
use crate::corpus::{self, Corpus, Tok};
use crate::model_file::{self, OpenModel};
use crate::out::{self, Out};
use crate::{exit, place};

/// Tokens a window when neither the command line nor the model's training says it.
const SEQ_LEN: usize = 256;

/// Evaluates a model.
pub fn run(args: &EvalArgs, out: Out) -> anyhow::Result<()> {
    let cpu = args.machine.cpu()?;
    let model = model_file::open_assuming(&args.model, &args.assumed.given(), out)?;
    let seq = seq_len(args, &model, out);
    let corpus = find(args, &model, cpu.pool().threads(), out)?;
    let full = dataset(&corpus, model.spec().vocab, None)?;
    let params = model.params()?;
    let score = score(&cpu, model.spec(), &params, full, args, seq, out)?;
    drop(params);
    let compact = match &model.map {
        Some(map) => compact_score(&cpu, &model, map, &corpus, args, seq, out)?.map(|s| (s, map.len())),
        None => None,
    };
    report(&score, compact.as_ref(), seq, out)
}

fn seq_len(args: &EvalArgs, model: &OpenModel, out: Out) -> usize {
    let context = model.spec().context;
    let seq = args.seq_len.unwrap_or_else(|| model.seq_len.unwrap_or(SEQ_LEN).min(context));
    if seq > context {
        out.warn(format!("windows of {seq} tokens are longer than the {context} positions that the model was made for"));
    }
    seq
}

/// The data, in ids of the model's tokenizer.
fn find(args: &EvalArgs, model: &OpenModel, threads: usize, out: Out) -> anyhow::Result<Corpus> {
    let tokenizer = if corpus::is_text(&args.data) {
        Some(model.need_tokenizer(args.tokenizer.as_deref())?)
    } else {
        model.tokenizer_or(args.tokenizer.as_deref())?
    };
    let corpus = corpus::locate(&args.data, tokenizer.clone().map(Tok::Given), threads, out)?;
    let differs = |a: &Arc<Tokenizer>, b: &Arc<Tokenizer>| a.sha256() != b.sha256();
    if let (Some(ours), Some(theirs)) = (&tokenizer, &corpus.tokenizer)
        && differs(ours, theirs)
    {
        out.warn(format!("{} was prepared with another tokenizer than the model's", args.data));
    }
    Ok(corpus)
}

/// The tokens over the ids of `map`, or over all `vocab`.
fn dataset(corpus: &Corpus, vocab: usize, map: Option<VocabMap>) -> anyhow::Result<Dataset> {
    let raw = corpus.path.is_file();
    let width = raw.then(|| place::token_width(&corpus.path, TokenWidth::Auto, Some(vocab))).transpose()?;
    let vocab_size = Some(map.as_ref().map_or(vocab, |m| m.full_vocab));
    let options = DatasetOptions { width, vocab_size, tokenizer: corpus.tokenizer.clone(), compact: false, map };
    Ok(Dataset::open(&corpus.path, options)?)
}

/// The score over the ids that training saw; none when the data has others.
fn compact_score(
    cpu: &Cpu,
    model: &OpenModel,
    map: &VocabMap,
    corpus: &Corpus,
    args: &EvalArgs,
    seq: usize,
    out: Out,
) -> anyhow::Result<Option<Score>> {
    match dataset(corpus, model.spec().vocab, Some(map.clone())) {
        Ok(data) => {
            let (spec, params) = model.compact(map)?;
            score(cpu, &spec, &params, data, args, seq, out).map(Some)
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

fn score(
    cpu: &Cpu,
    spec: &ModelSpec,
    params: &[f32],
    data: Dataset,
    args: &EvalArgs,
    seq: usize,
    out: Out,
) -> anyhow::Result<Score> {
    let mut windows = Windows::new(Arc::new(data), args, seq)?;
    let rows = args.batch_size.min(windows.count);
    let mut engine = CpuEngine::new(cpu, spec, Shape { rows, seq }, Options::INFERENCE);
    let (mut batch, mut score) = (data::Batch::default(), Score { stats: LossStats::new(), bytes: 0 });
    let mut progress = out.progress("evaluating", windows.count as u64);
    for first in (0..windows.count).step_by(rows) {
        windows.fill(first, rows.min(windows.count - first), &mut batch);
        let (inputs, targets) = (&batch.inputs[..], &batch.targets[..]);
        engine.loss(params, &engine::Batch { rows: batch.rows, seq, inputs, targets, starts: None })?;
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
    fn new(data: Arc<Dataset>, args: &EvalArgs, seq: usize) -> anyhow::Result<Windows> {
        let whole = args.val_fraction >= 1.0;
        let most = args.val_tokens.div_ceil(seq);
        let options = LoaderOptions {
            seq_len: seq,
            order: Order::Sequential,
            packing: Packing::Stream,
            val_fraction: if whole { 0.0 } else { args.val_fraction },
            max_val_windows: Some(most),
            seed: 0,
        };
        let loader = Loader::new(data, options)?;
        let count = if whole { most.min(loader.train_windows() as usize) } else { loader.val_windows() };
        if count == 0 {
            let what = format!("--val-fraction {} of {} tokens leaves nothing to read", args.val_fraction, loader.train_tokens());
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
        batch.reshape(rows, seq, false);
        for row in 0..rows {
            let at = u128::from(self.loader.train_windows()) * (first + row) as u128 / self.count as u128;
            self.loader.fill_at(at as u64, &mut self.one);
            batch.inputs[row * seq..(row + 1) * seq].copy_from_slice(&self.one.inputs);
            batch.targets[row * seq..(row + 1) * seq].copy_from_slice(&self.one.targets);
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

fn report(score: &Score, compact: Option<&(Score, usize)>, seq: usize, out: Out) -> anyhow::Result<()> {
    let (loss, perplexity) = (score.stats.mean(), score.stats.perplexity());
    let bpb = score.stats.bits_per_byte(score.bytes);
    let shown = |e: Estimate| format!("{:.4} ± {:.4}", e.value, e.se);
    out.line(format!("loss           {} nats a token", shown(loss)))?;
    out.line(format!("perplexity     {}", shown(perplexity)))?;
    out.line(format!("bits per byte  {}", bpb.map_or_else(|| "unknown without a tokenizer".to_owned(), shown)))?;
    if let Some((compact, ids)) = compact {
        out.line(format!("loss           {} over the {ids} ids that training saw", shown(compact.stats.mean())))?;
    }
    let (tokens, windows) = (score.stats.tokens(), score.stats.windows());
    out.line(format!("read           {} tokens, {windows} windows of {seq}", out::count(tokens as f64)))?;
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
        "seq_len": seq,
        "compact": compact,
    }))
}
