//! `autoane data inspect --mask`: which tokens carry loss, as text with marks.

use std::path::Path;
use std::sync::Arc;

use ::data::{Mask, Prepared, Source, Tokenizer};
use serde_json::{Value as Json, json};

use crate::cli::DataInspectArgs;
use crate::corpus::{self, Tok};
use crate::exit;
use crate::out::Out;

/// Most tokens of a document that are shown.
const LONGEST: u64 = 4096;

/// One document: tokens, those with loss, and its text in stretches.
struct Record {
    tokens: u64,
    loss_tokens: u64,
    stretches: Vec<(bool, String)>,
    cut: bool,
}

/// Shows the first documents of a prepared folder, or of text that is prepared first.
pub fn show(args: &DataInspectArgs, out: Out) -> anyhow::Result<()> {
    let prepared = open(args, out)?;
    let tokens = prepared.manifest.tokens;
    let mask = prepared.mask()?;
    let loss = mask.as_ref().map_or(tokens, Mask::loss_tokens);
    let records = first_records(&prepared, mask.as_ref(), args.records)?;
    let share = loss as f64 / tokens.max(1) as f64;
    let all = if mask.is_some() { "" } else { ": all of them, for the data is plain text" };
    out.line(format!("{}: {loss} of {tokens} tokens carry loss ({:.1} %){all}", args.path.display(), 100.0 * share))?;
    for (i, record) in records.iter().enumerate() {
        let mark = |(learned, text): &(bool, String)| {
            let text = plain(text);
            if *learned { format!("[[{text}]]") } else { text }
        };
        let text: String = record.stretches.iter().map(mark).collect();
        let rest = if record.cut { " ..." } else { "" };
        out.line(format!("\nrecord {}: {} of {} tokens carry loss\n{text}{rest}", i + 1, record.loss_tokens, record.tokens))?;
    }
    out.json(&json!({
        "path": args.path, "masked": mask.is_some(), "documents": prepared.manifest.documents, "tokens": tokens,
        "loss_tokens": loss, "loss_share": share, "records": records.iter().map(Record::json).collect::<Vec<_>>(),
    }))
}

impl Record {
    fn json(&self) -> Json {
        let stretch = |(learned, text): &(bool, String)| json!({ "loss": learned, "text": text });
        json!({
            "tokens": self.tokens, "loss_tokens": self.loss_tokens, "cut": self.cut,
            "stretches": self.stretches.iter().map(stretch).collect::<Vec<_>>(),
        })
    }
}

fn open(args: &DataInspectArgs, out: Out) -> anyhow::Result<Prepared> {
    if Prepared::is_one(&args.path) {
        return Ok(Prepared::open(&args.path)?);
    }
    if args.path.is_file() && !Source::is_text(&args.path) {
        let known = "a .txt or .jsonl file, a folder of them, or a prepared folder";
        let what = format!("{}: expected {known}: a raw token file has no mask", args.path.display());
        return Err(exit::Exit::new(exit::BAD_DATA, what).into());
    }
    let tokenizer = args.tokenizer.as_deref().map(crate::tokenizer_file::load).transpose()?;
    let tok = tokenizer.map(|t| Tok::Given(Arc::new(t)));
    let name = args.path.to_string_lossy();
    let corpus = corpus::locate(&name, tok, args.template.as_deref(), meter::logical_cpus(), out)?;
    Ok(Prepared::open(Path::new(&corpus.path))?)
}

fn first_records(prepared: &Prepared, mask: Option<&Mask>, count: usize) -> anyhow::Result<Vec<Record>> {
    let (tokens, eot) = (prepared.tokens()?, prepared.manifest.eot);
    let (mut records, mut at) = (Vec::new(), 0);
    let (mut ids, mut flags) = (Vec::new(), Vec::new());
    let mut one = [0];
    while at < tokens.len() && records.len() < count {
        let (begin, mut loss_tokens) = (at, 0);
        let mut ended = false;
        while at < tokens.len() && !ended {
            tokens.read(at, &mut one);
            let learned = mask.is_none_or(|mask| mask.carries_loss(at));
            ended = mask.map_or(one[0] == eot, |mask| mask.ends_document(at));
            loss_tokens += u64::from(learned);
            if at - begin < LONGEST {
                ids.push(one[0]);
                flags.push(learned);
            }
            at += 1;
        }
        let stretches = stretches(&prepared.tokenizer, &ids, &flags);
        records.push(Record { tokens: at - begin, loss_tokens, stretches, cut: at - begin > LONGEST });
        ids.clear();
        flags.clear();
    }
    Ok(records)
}

/// Text for a terminal: control characters other than line breaks and tabs escaped.
fn plain(text: &str) -> String {
    let escape = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars().map(|c| if escape(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// Runs of tokens with and without loss, as text in which special tokens stand by their names.
fn stretches(tokenizer: &Tokenizer, ids: &[u32], flags: &[bool]) -> Vec<(bool, String)> {
    let runs = flags.chunk_by(|a, b| a == b).scan(0, |at, run| {
        let ids = &ids[*at..*at + run.len()];
        *at += run.len();
        Some((run[0], readable(tokenizer, ids)))
    });
    runs.collect()
}

fn readable(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let part = |ids: &[u32]| match ids {
        [id, ..] if tokenizer.is_special(*id) => ids.iter().filter_map(|id| tokenizer.id_to_token(*id)).collect(),
        ids => tokenizer.decode(ids),
    };
    ids.chunk_by(|a, b| tokenizer.is_special(*a) == tokenizer.is_special(*b)).map(part).collect()
}
