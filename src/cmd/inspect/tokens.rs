//! Token files and prepared folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{Prepared, TokenFile, Tokenizer};
use serde_json::json;

use super::Report;
use crate::config::TokenWidth;
use crate::out::{self, Out};
use crate::place;

/// Ids that are listed by frequency, and tokens that are shown as text.
const SHOWN: usize = 16;
const SAMPLE: usize = 64;

/// How to read a raw token file.
#[derive(Clone, Debug)]
pub struct TokensOptions {
    /// Ids of the vocabulary.
    pub vocab: Option<usize>,
    /// Width of a token.
    pub width: TokenWidth,
    /// Tokenizer for showing text.
    pub tokenizer: Option<PathBuf>,
}

impl Default for TokensOptions {
    fn default() -> TokensOptions {
        TokensOptions { vocab: None, width: TokenWidth::Auto, tokenizer: None }
    }
}

/// Describes a raw token file or a prepared folder; every token is read.
pub fn describe(path: &Path, options: &TokensOptions, out: Out) -> anyhow::Result<Report> {
    let given = options.tokenizer.as_deref().map(crate::tokenizer_file::load).transpose()?.map(Arc::new);
    let _progress = out.progress("reading every token", 0);
    if path.is_dir() {
        let prepared = Prepared::open(path)?;
        prepared.verify()?;
        prepared.mask()?;
        let mut report = Report::new("prepared tokens");
        add_manifest(&mut report, &prepared);
        add_tokens(&mut report, &prepared.tokens()?, Some(prepared.manifest.vocab_size), Some(&prepared.tokenizer))?;
        return Ok(report);
    }
    let mut report = Report::new("raw token file");
    let vocab = options.vocab.or(given.as_ref().map(|t| t.vocab_size()));
    let width = place::token_width(path, options.width, vocab)?;
    add_tokens(&mut report, &TokenFile::open(path, Some(width))?, vocab, given.as_ref())?;
    Ok(report)
}

fn add_manifest(report: &mut Report, prepared: &Prepared) {
    let m = &prepared.manifest;
    report.fact(
        "integrity",
        if m.mask.is_some() {
            "tokens, mask and tokenizer agree with manifest.json"
        } else {
            "tokens and tokenizer agree with manifest.json"
        },
    );
    report.fact("documents", m.documents);
    report.fact("text_bytes", m.text_bytes);
    report.fact("bytes_per_token", (m.text_bytes as f64 / m.tokens.max(1) as f64 * 1000.0).round() / 1000.0);
    report.fact("vocab_size", m.vocab_size);
    report.fact("end_of_text_id", m.eot);
    report.fact("tokens_sha256", m.tokens_sha256.clone());
    report.fact("tokenizer_sha256", m.tokenizer_sha256.clone());
    if let Some(mask) = &m.mask {
        report.fact("loss_tokens", mask.loss_tokens);
        report.fact("mask_sha256", mask.sha256.clone());
    }
    report.fact("sources", json!(m.sources));
    let row = |s: &data::prepare::SourceEntry| vec![s.name.clone(), s.bytes.to_string(), s.sha256.clone()];
    report.more.push(out::align(&["source", "bytes", "sha256"], &m.sources.iter().map(row).collect::<Vec<_>>()));
}

fn add_tokens(
    report: &mut Report,
    tokens: &TokenFile,
    vocab: Option<usize>,
    tokenizer: Option<&Arc<Tokenizer>>,
) -> anyhow::Result<()> {
    let scan = tokens.scan(vocab)?;
    report.fact("tokens", scan.tokens);
    report.fact("bytes_a_token", tokens.width().bytes());
    report.fact("distinct_ids", scan.distinct());
    report.fact("largest_id", json!(scan.max_id));
    let mut ids: Vec<usize> = (0..scan.counts.len()).filter(|id| scan.counts[*id] > 0).collect();
    ids.sort_by_key(|id| (std::cmp::Reverse(scan.counts[*id]), *id));
    ids.truncate(SHOWN);
    let name = |id: usize| tokenizer.and_then(|t| t.id_to_token(id as u32)).unwrap_or_default();
    let entry = |id: &usize| json!({ "id": id, "count": scan.counts[*id], "token": name(*id) });
    report.fact("frequent", json!(ids.iter().map(entry).collect::<Vec<_>>()));
    let row = |id: &usize| vec![id.to_string(), scan.counts[*id].to_string(), format!("{:?}", name(*id))];
    report.more.push(out::align(&["frequent id", "times", "token"], &ids.iter().map(row).collect::<Vec<_>>()));
    if let Some(tokenizer) = tokenizer {
        let mut first = vec![0; SAMPLE.min(tokens.len() as usize)];
        tokens.read(0, &mut first);
        let text = tokenizer.decode(&first);
        report.more.push(format!("begins: {text:?}"));
        report.fact("begins", json!([text]));
    }
    Ok(())
}
