//! How byte-level tokenizers cut text into words before merging: what `tokenizer.ggml.pre` names, and how a
//! `tokenizer.json` says the same.
//!
//! Names and expressions are those of llama.cpp (`llama-vocab.cpp`); where it rewrites an expression for its own engine,
//! the one of the released `tokenizer.json` stands here. An expression cuts text into its matches and what lies between.

use serde_json::{Value, json};

/// One way of cutting.
pub(super) struct Pre {
    /// Names that mean it; the first is the one that is written.
    pub names: &'static [&'static str],
    cut: Cut,
    /// A word that is a token as a whole is not merged from its letters.
    pub ignore_merges: bool,
    /// A begin token stands before a text unless the file says otherwise.
    pub adds_bos: bool,
    /// Text is brought to Unicode's composed form first.
    pub composed: bool,
}

enum Cut {
    /// The expression that is built into the `ByteLevel` step.
    Gpt2,
    /// The same, after each digit is cut off.
    DigitsGpt2,
    /// One expression.
    One(&'static str),
    /// One after the other, each within the words of the one before.
    Each(&'static [&'static str]),
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

const LLAMA3: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const fn plain(names: &'static [&'static str], cut: Cut) -> Pre {
    Pre { names, cut, ignore_merges: false, adds_bos: false, composed: false }
}

const fn llama(names: &'static [&'static str], cut: Cut) -> Pre {
    Pre { ignore_merges: true, adds_bos: true, ..plain(names, cut) }
}

/// What is known. Of two that cut alike, the first is the one that a `tokenizer.json` is recognised as.
const KNOWN: [Pre; 8] = [
    plain(&["gpt-2", "phi-2", "mpt", "olmo", "jais"], Cut::Gpt2),
    plain(&["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"], Cut::DigitsGpt2),
    llama(&["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"], Cut::One(LLAMA3)),
    plain(&["smaug-bpe", "dbrx"], Cut::One(LLAMA3)),
    Pre { composed: true, ..plain(&["qwen2", "megrez"], Cut::One(QWEN2)) },
    plain(&["deepseek-r1-qwen", "stablelm2"], Cut::One(QWEN2)),
    llama(&["tekken"], Cut::One(TEKKEN)),
    plain(&["default"], Cut::Each(&[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"])),
];

/// The entry of a name.
pub(super) fn find(name: &str) -> Option<&'static Pre> {
    KNOWN.iter().find(|pre| pre.names.contains(&name))
}

/// All names, for messages.
pub(super) fn names() -> String {
    KNOWN.iter().flat_map(|pre| pre.names).copied().collect::<Vec<_>>().join(", ")
}

/// The entry that cuts as the `pre_tokenizer` of a `tokenizer.json` does, under the same flags.
pub(super) fn recognise(pre_tokenizer: &Value, composed: bool, ignore_merges: bool) -> Option<&'static Pre> {
    let steps = steps(pre_tokenizer)?;
    KNOWN.iter().find(|pre| pre.composed == composed && pre.ignore_merges == ignore_merges && pre.cuts(&steps))
}

impl Pre {
    /// The `pre_tokenizer` of a `tokenizer.json`.
    pub fn json(&self) -> Value {
        match self.cut {
            Cut::Gpt2 => byte_level(true),
            Cut::DigitsGpt2 => json!({
                "type": "Sequence",
                "pretokenizers": [{ "type": "Digits", "individual_digits": true }, byte_level(true)],
            }),
            Cut::One(pattern) => sequence(&[pattern]),
            Cut::Each(patterns) => sequence(patterns),
        }
    }

    fn cuts(&self, steps: &[String]) -> bool {
        let own: &[&str] = match &self.cut {
            Cut::Gpt2 => &[GPT2],
            Cut::DigitsGpt2 => &[DIGIT, GPT2],
            Cut::One(pattern) => std::slice::from_ref(pattern),
            Cut::Each(patterns) => patterns,
        };
        own.len() == steps.len() && own.iter().zip(steps).all(|(own, step)| same(step, own))
    }
}

const DIGIT: &str = r"\p{N}";

/// Equal expressions, some of which are written in more than one way.
fn same(found: &str, known: &str) -> bool {
    let plain =
        |text: &str| text.replace("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", "(?i:'s|'t|'re|'ve|'m|'ll|'d)");
    plain(found) == plain(known)
}

/// The expressions that a `pre_tokenizer` cuts by, in order; `None` when a step of it does something else.
fn steps(value: &Value) -> Option<Vec<String>> {
    let parts = match value["type"].as_str()? {
        "Sequence" => value["pretokenizers"].as_array()?.as_slice(),
        _ => std::slice::from_ref(value),
    };
    let mut all = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        match part["type"].as_str()? {
            "Digits" if part["individual_digits"] == true => all.push(DIGIT.to_owned()),
            "Split" if part["invert"] != true && part["behavior"] == "Isolated" => {
                all.push(part["pattern"]["Regex"].as_str()?.to_owned());
            }
            // older files cut by what is not between the matches, which is the same where everything matches
            "Split" if part["invert"] == true && part["behavior"] == "Removed" => {
                all.push(part["pattern"]["Regex"].as_str()?.to_owned());
            }
            // the alphabet step comes last, and must not add a space that text does not have
            "ByteLevel" if i + 1 == parts.len() && part["add_prefix_space"] != true => {
                if part["use_regex"] != false {
                    all.push(GPT2.to_owned());
                }
            }
            _ => return None,
        }
    }
    let ends = parts.last().is_some_and(|last| last["type"] == "ByteLevel");
    ends.then_some(all)
}

fn sequence(patterns: &[&str]) -> Value {
    let split = |p: &&str| json!({ "type": "Split", "pattern": { "Regex": p }, "behavior": "Isolated", "invert": false });
    let mut all: Vec<Value> = patterns.iter().map(split).collect();
    all.push(byte_level(false));
    json!({ "type": "Sequence", "pretokenizers": all })
}

pub(super) fn byte_level(use_regex: bool) -> Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_written_so_that_it_is_recognised() {
        for known in &KNOWN {
            let found = recognise(&known.json(), known.composed, known.ignore_merges).map(|pre| pre.names);
            assert_eq!(found, Some(known.names));
        }
    }

    #[test]
    fn names_are_unique_and_unknown_ones_are_not_guessed() {
        let mut all: Vec<&str> = KNOWN.iter().flat_map(|pre| pre.names).copied().collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(find("llama-bpe2").is_none() && find("").is_none());
        let other = json!({ "type": "Split", "pattern": { "Regex": "a+" }, "behavior": "Isolated", "invert": false });
        let sequence = json!({ "type": "Sequence", "pretokenizers": [other, byte_level(false)] });
        assert!(recognise(&sequence, false, false).is_none());
        assert!(recognise(&json!({ "type": "Whitespace" }), false, false).is_none());
    }
}
