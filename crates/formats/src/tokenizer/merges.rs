//! Scores to ranked merges and back.
//!
//! SentencePiece joins, again and again, the neighbouring pair whose concatenation is the piece of the highest score, the
//! leftmost of equals. A `tokenizer.json` says the same by a ranked list of all pairs that make a piece: ordered by the
//! score of what they make, then by the length of the left half, as transformers' converter orders them.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::vocabulary::{PAD_SCORE, TokenType, Vocabulary};
use crate::error::{FormatError, shown};

/// Longest piece that joins may make, in bytes; the longest of released vocabularies has 93.
const LONGEST: usize = 256;

/// Most pairs for each piece on average; released vocabularies have about two.
const MOST_PAIRS: usize = 8;

/// Two pieces, as ids, whose concatenation is a piece.
type Pair = (u32, u32);

/// All pairs of pieces that make a piece, the first to be joined first.
///
/// # Errors
/// `Bad` (65) for pieces that are too long, or too many pairs, to be a vocabulary.
pub(super) fn from_scores(vocabulary: &Vocabulary, path: &Path) -> Result<Vec<Pair>, FormatError> {
    let pieces = pieces(vocabulary);
    let mut found: Vec<(f32, usize, usize, Pair)> = Vec::new();
    let most = MOST_PAIRS.saturating_mul(pieces.len()).saturating_add(LONGEST * LONGEST);
    let mut tried = 0usize;
    for (id, piece) in normal(vocabulary) {
        if piece.len() > LONGEST {
            let at = format!("token {id}");
            return Err(FormatError::bad(path, at, format!("a piece of {} bytes", piece.len()), format!("at most {LONGEST}")));
        }
        let mut own = Vec::new();
        for (at, _) in piece.char_indices().skip(1) {
            let Some(&left) = pieces.get(&piece[..at]) else { continue };
            tried += 1;
            if let Some(&right) = pieces.get(&piece[at..]) {
                own.push((left, right));
            }
        }
        own.sort_unstable();
        let chars = |id: u32| vocabulary.tokens[id as usize].chars().count();
        found.extend(own.into_iter().map(|pair| (0.0 + vocabulary.scores[id as usize], chars(pair.0), chars(pair.1), pair)));
        if found.len() > most || tried > 8 * most {
            let expected = format!("at most {MOST_PAIRS} ways a piece, on average, to make it of two others");
            return Err(FormatError::bad(path, format!("token {id}"), format!("{} ways so far", found.len()), expected));
        }
    }
    // stable: of equals the one of the smaller id stays first
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then((b.1, b.2).cmp(&(a.1, a.2))));
    Ok(found.into_iter().map(|(_, _, _, pair)| pair).collect())
}

/// Ids of the pieces that joins make and take.
fn pieces(vocabulary: &Vocabulary) -> HashMap<&str, u32> {
    normal(vocabulary).map(|(id, piece)| (piece, id)).collect()
}

fn normal(vocabulary: &Vocabulary) -> impl Iterator<Item = (u32, &str)> {
    let all = vocabulary.tokens.iter().zip(&vocabulary.types).enumerate();
    all.filter(|(_, (_, kind))| **kind == TokenType::Normal).map(|(id, (text, _))| (id as u32, text.as_str()))
}

/// Scores with which joining by score does what `merges` does by rank.
///
/// Where the pieces stand in the order in which they are made, these are SentencePiece's own: 0 for the first piece, -1 for
/// the next. Else the rank counts. Pieces whose merges stand mixed (as runs of spaces do in Llama's) share a score.
///
/// # Errors
/// `Inexpressible` (65) when no scores can: a pair of pieces that would be joined is not among the merges, or stands in
/// another order.
pub(super) fn to_scores(vocabulary: &mut Vocabulary, merges: &[Pair], path: &Path) -> Result<(), FormatError> {
    let made = made_by(vocabulary, merges)?;
    let blocks = blocks(&made);
    let alone = blocks.last().is_some_and(|last| last + 1 == made.iter().collect::<HashSet<_>>().len());
    let by_id = alone && made.is_sorted();
    let first = normal(vocabulary).next().map_or(0, |(id, _)| id);
    let rank: HashMap<u32, usize> = made.iter().copied().zip(blocks.iter().copied()).collect();
    let score = |id: u32| match vocabulary.types[id as usize] {
        TokenType::Normal if by_id => 0.0 - (id - first) as f32,
        // single characters are made by no merge: they come after all that are
        TokenType::Normal => 0.0 - rank.get(&id).map_or(made.len() + id as usize, |rank| *rank) as f32,
        TokenType::Unused => PAD_SCORE,
        _ => 0.0,
    };
    vocabulary.scores = (0..vocabulary.tokens.len() as u32).map(score).collect();
    same_order(vocabulary, merges, &blocks, path)
}

/// The piece that each merge makes.
fn made_by(vocabulary: &Vocabulary, merges: &[Pair]) -> Result<Vec<u32>, FormatError> {
    let pieces = pieces(vocabulary);
    let mut made = Vec::with_capacity(merges.len());
    for &(left, right) in merges {
        let text = vocabulary.tokens[left as usize].clone() + &vocabulary.tokens[right as usize];
        let why = "it is a special token, which scores cannot make";
        made.push(*pieces.get(text.as_str()).ok_or_else(|| FormatError::inexpressible("tokenizer", shown(&text), why))?);
    }
    Ok(made)
}

/// Numbers the merges by block, so that all merges of a piece are in one, in the smallest blocks for which that holds.
fn blocks(made: &[u32]) -> Vec<usize> {
    let last: HashMap<u32, usize> = made.iter().copied().zip(0..).collect();
    let (mut block, mut end) = (0, 0);
    let mut numbers = Vec::with_capacity(made.len());
    for (at, id) in made.iter().enumerate() {
        if at > end {
            block += 1;
        }
        end = end.max(last.get(id).copied().unwrap_or(at)).max(at);
        numbers.push(block);
    }
    numbers
}

/// Whether the scores give the merges again. Pairs that make the same piece, and nothing else, may stand in any order:
/// joining by score does not know one.
fn same_order(vocabulary: &Vocabulary, merges: &[Pair], blocks: &[usize], path: &Path) -> Result<(), FormatError> {
    let again = from_scores(vocabulary, path)?;
    let text = |id: u32| shown(&vocabulary.tokens[id as usize]);
    let refuse = |(left, right): Pair, what: &str| {
        let found = format!("{what} {} and {}", text(left), text(right));
        FormatError::inexpressible("tokenizer", found, "the scores of a SentencePiece vocabulary would give other ids")
    };
    let known: HashSet<Pair> = merges.iter().copied().collect();
    if let Some(pair) = again.iter().find(|pair| !known.contains(pair)) {
        return Err(refuse(*pair, "no merge of"));
    }
    let made = made_by(vocabulary, merges)?;
    for (at, pair) in merges.iter().enumerate() {
        let mixed = (at > 0 && blocks[at - 1] == blocks[at] && made[at - 1] != made[at])
            || blocks.get(at + 1) == Some(&blocks[at]) && made[at + 1] != made[at];
        if again.len() != merges.len() || mixed && again[at] != *pair {
            return Err(refuse(*pair, "in another order, the merge of"));
        }
    }
    Ok(())
}
