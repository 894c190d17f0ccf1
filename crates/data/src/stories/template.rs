//! The template language: `{slot}` a value of the cast (which may hold slots itself), `{~list}` a fresh word of a
//! list, `{an}` the article that fits the next word, `[a|b|]` one of the alternatives, `\n` a new paragraph.
//! The first letter of a template, of a quotation and after a full stop becomes a capital.

use super::cast::Cast;
use super::shared;
use super::words::WORDS;
use crate::rng::Draws;

/// Deepest nesting of slots and alternatives.
const DEPTH: usize = 8;

pub(super) struct Writer<'a> {
    out: &'a mut String,
    cast: &'a Cast,
    draws: &'a mut Draws,
    capital: bool,
    article: Option<usize>,
    fresh: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut String, cast: &'a Cast, draws: &'a mut Draws) -> Self {
        Self { out, cast, draws, capital: true, article: None, fresh: true }
    }

    /// Tells one of the templates as the next sentences; a template that comes to nothing adds no space.
    pub(super) fn beat(&mut self, templates: &[&'static str]) {
        let template = self.draws.pick(templates);
        if template == "\n" {
            return self.paragraph();
        }
        if let Some(shared) = shared::find(template) {
            return self.beat(shared);
        }
        let mark = self.out.len();
        if !self.fresh {
            self.out.push(' ');
        }
        let told = self.out.len();
        self.capital = true;
        self.expand(template, 0);
        if self.out.len() == told {
            self.out.truncate(mark);
        }
    }

    fn expand(&mut self, template: &str, depth: usize) {
        let mut rest = template;
        while let Some(at) = rest.find(['{', '[', '\n']) {
            self.push(&rest[..at]);
            let tail = &rest[at + 1..];
            rest = match rest.as_bytes()[at] {
                b'{' => {
                    let end = tail.find('}').unwrap_or(tail.len());
                    self.slot(&tail[..end], depth);
                    tail.get(end + 1..).unwrap_or_default()
                }
                b'[' => self.alternatives(tail, depth),
                _ => {
                    self.paragraph();
                    tail
                }
            };
        }
        self.push(rest);
    }

    fn paragraph(&mut self) {
        let end = self.out.trim_end_matches(' ').len();
        self.out.truncate(end);
        self.out.push_str("\n\n");
        self.fresh = true;
    }

    fn slot(&mut self, name: &str, depth: usize) {
        if name == "an" {
            self.push("a");
            self.article = Some(self.out.len());
            return;
        }
        let value = match name.strip_prefix('~') {
            Some(list) => WORDS.list(list).map(|words| self.draws.pick(words)),
            None => self.cast.get(name),
        };
        debug_assert!(value.is_some(), "no slot {name}");
        let value = value.unwrap_or_default();
        if depth < DEPTH && value.contains('{') { self.expand(value, depth + 1) } else { self.push(value) }
    }

    /// Tells one alternative of `tail`, which begins after `[`; returns what follows the matching `]`.
    fn alternatives<'t>(&mut self, tail: &'t str, depth: usize) -> &'t str {
        let (mut count, mut level, mut end) = (1, 0, tail.len());
        for (i, byte) in tail.bytes().enumerate() {
            match byte {
                b'[' => level += 1,
                b']' if level == 0 => {
                    end = i;
                    break;
                }
                b']' => level -= 1,
                b'|' if level == 0 => count += 1,
                _ => {}
            }
        }
        let chosen = self.draws.below(count);
        let (mut index, mut start, mut level) = (0, 0, 0);
        for (i, byte) in tail[..end].bytes().chain([b'|']).enumerate() {
            match byte {
                b'[' => level += 1,
                b']' => level -= 1,
                b'|' if level == 0 => {
                    if index == chosen {
                        self.expand(&tail[start..i], depth + 1);
                        break;
                    }
                    (index, start) = (index + 1, i + 1);
                }
                _ => {}
            }
        }
        tail.get(end + 1..).unwrap_or_default()
    }

    fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.fresh = false;
        if let Some(at) = self.article {
            let word = text.trim_start();
            if !word.is_empty() {
                self.article = None;
                if takes_an(word) {
                    self.out.insert(at, 'n');
                }
            }
        }
        // An alternative that came to nothing leaves a space too many.
        let mut text = if self.out.ends_with(' ') { text.trim_start_matches(' ') } else { text };
        if self.out.ends_with(' ') && text.starts_with(['.', ',', '!', '?']) {
            self.out.pop();
        }
        while !text.is_empty() {
            if self.capital
                && let Some(at) = text.find(|c: char| c.is_ascii_alphabetic())
            {
                self.out.push_str(&text[..at]);
                self.out.push(text.as_bytes()[at].to_ascii_uppercase() as char);
                text = &text[at + 1..];
                self.capital = false;
                continue;
            }
            // After this piece the next letter is a capital: a full stop and a space, or an opening quotation mark.
            let end = sentence_end(self.out.as_bytes(), text);
            self.out.push_str(&text[..end.unwrap_or(text.len())]);
            self.capital |= end.is_some();
            text = &text[end.unwrap_or(text.len())..];
        }
    }
}

/// Where in `text`, which follows `out`, a sentence or a quotation begins. A quotation after a comma may go on in the
/// middle of a sentence, so its template says which case it has.
fn sentence_end(out: &[u8], text: &str) -> Option<usize> {
    let mut last = out.last().copied().unwrap_or(b' ');
    let mut before = out.len().checked_sub(2).map_or(b' ', |i| out[i]);
    for (i, &byte) in text.as_bytes().iter().enumerate() {
        let stop = byte == b' ' && matches!(last, b'.' | b'!' | b'?');
        let quote = byte == b'"' && matches!(last, b' ' | b'\n') && before != b',';
        if stop || quote {
            return Some(i + 1);
        }
        (before, last) = (last, byte);
    }
    None
}

fn takes_an(word: &str) -> bool {
    let silent = ["hour", "honest"].iter().any(|w| word.starts_with(w));
    let spoken_as_consonant = ["uni", "use", "usu", "uku", "one-", "eu"].iter().any(|w| word.starts_with(w));
    silent || word.starts_with(['a', 'e', 'i', 'o', 'u']) && (!spoken_as_consonant || word.starts_with("unin"))
}
