//! What the `tokenizers` crate takes on trust: merges that fit their vocabulary, and ids that the file has tokens for.
//!
//! It copies the two parts of a merge into a buffer of the longest token's size, the second without the prefix of
//! continuing subwords, before it asks whether the result is a token. A file can make that copy fail.

use serde_json::{Map, Value};

/// Ids that a vocabulary may leave unused for each that it uses, and how many it may in any case.
const SPARSE: usize = 16;
const ALWAYS: usize = 1 << 20;

/// Why the merges of `tree`, a `tokenizer.json`, cannot be right; `None` when they can, or when there are none.
pub(super) fn broken_merge(tree: &Value) -> Option<String> {
    let model = tree.get("model")?;
    let merges = model.get("merges")?.as_array()?;
    let vocab = model.get("vocab")?.as_object()?;
    let prefix = model.get("continuing_subword_prefix").and_then(Value::as_str).unwrap_or_default();
    let mut whole = String::new();
    let broken = |merge: &&Value| !parts(merge).is_none_or(|parts| joins(parts, prefix, vocab, &mut whole));
    merges.iter().find(broken).map(|merge| format!("a merge of {:.80}, which does not make a token", merge.to_string()))
}

/// The two parts of a merge in either of its forms; `None` for what the library refuses itself.
fn parts(merge: &Value) -> Option<(&str, &str)> {
    match merge {
        Value::String(line) => line.split_once(' '),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(a), Value::String(b)] => Some((a, b)),
            _ => None,
        },
        _ => None,
    }
}

fn joins((a, b): (&str, &str), prefix: &str, vocab: &Map<String, Value>, whole: &mut String) -> bool {
    let Some(rest) = b.get(prefix.len()..) else { return false };
    whole.clear();
    whole.push_str(a);
    whole.push_str(rest);
    vocab.contains_key(whole.as_str())
}

/// Whether `tokens` tokens justify tables of `vocab_size` ids.
pub(super) fn is_dense(vocab_size: usize, tokens: usize) -> bool {
    vocab_size <= ALWAYS.max(SPARSE.saturating_mul(tokens))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Tokenizer;
    use std::path::Path;

    fn refused(model: &str) -> String {
        let json = format!(r#"{{"version":"1.0","added_tokens":[],"model":{model}}}"#);
        let error = Tokenizer::from_bytes(json.into_bytes(), None, Path::new("tokenizer.json")).unwrap_err();
        assert_eq!(error.exit_code(), 65);
        error.to_string()
    }

    #[test]
    fn a_merge_longer_than_any_token_is_refused() {
        for merges in [r#"["a b"]"#, r#"[["a","b"]]"#] {
            let message = refused(&format!(r#"{{"type":"BPE","vocab":{{"a":5,"b":9}},"merges":{merges}}}"#));
            assert!(message.contains("does not make a token"), "{message}");
        }
    }

    #[test]
    fn a_merge_shorter_than_the_prefix_is_refused() {
        let vocab = r#""vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]"#;
        for prefix in ["##", "\u{e9}"] {
            let message = refused(&format!(r#"{{"type":"BPE",{vocab},"continuing_subword_prefix":"{prefix}"}}"#));
            assert!(message.contains("does not make a token"), "{message}");
        }
    }

    #[test]
    fn a_lone_large_id_does_not_fill_the_memory() {
        let message = refused(r#"{"type":"BPE","vocab":{"a":0,"b":16777215},"merges":[]}"#);
        assert!(message.contains("16777216"), "{message}");
    }
}
