//! [`Objective`]: what is counted over the predicted tokens of a batch, and what an answer is.

use std::ops::Range;

use crate::batch::IGNORE;
use crate::{Batch, LossSum};

/// What methods that need no derivative make small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Objective {
    /// Mean cross-entropy, nats a token.
    #[default]
    Loss,
    /// Share of predicted tokens that are not the most likely one: 1 - accuracy.
    Accuracy,
    /// Share of answers of which some token is not the most likely one: 1 - exact match. Greedy decoding of a prompt gives an
    /// answer word for word exactly when each of its tokens is the most likely one after those before it.
    ExactMatch,
}

impl Objective {
    /// Sum over the batch, and the number of what is summed over. `losses` are those of each token, `hits` whether its
    /// target is the most likely one; where the objective is not the loss, `losses` become what each token counts.
    pub(crate) fn total(self, batch: &Batch<'_>, losses: &mut [f32], hits: &[bool]) -> LossSum {
        match self {
            Objective::Loss => {
                LossSum { sum: losses[..batch.len()].iter().map(|&l| f64::from(l)).sum(), tokens: batch.predicted() }
            }
            Objective::Accuracy => {
                for ((loss, hit), target) in losses.iter_mut().zip(hits).zip(batch.targets) {
                    *loss = f32::from(u8::from(*target != IGNORE && !hit));
                }
                LossSum { sum: losses[..batch.len()].iter().map(|&l| f64::from(l)).sum(), tokens: batch.predicted() }
            }
            Objective::ExactMatch => {
                let mut counted = LossSum::default();
                losses[..batch.len()].fill(0.0);
                for answer in answers(batch) {
                    let missed = hits[answer.clone()].contains(&false);
                    losses[answer].fill(f32::from(u8::from(missed)));
                    counted += LossSum { sum: f64::from(u8::from(missed)), tokens: 1 };
                }
                counted
            }
        }
    }
}

/// Answers of a batch: runs of predicted tokens in one window and one document.
pub fn answers<'b>(batch: &'b Batch<'b>) -> impl Iterator<Item = Range<usize>> + 'b {
    let same = |a: usize, b: usize| a / batch.seq == b / batch.seq && batch.starts.is_none_or(|starts| starts[a] == starts[b]);
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = (at..batch.len()).find(|&i| batch.targets[i] != IGNORE)?;
        let end = (start + 1..batch.len()).find(|&i| batch.targets[i] == IGNORE || !same(start, i));
        at = end.unwrap_or(batch.len());
        Some(start..at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: u32 = IGNORE;

    fn batch<'a>(targets: &'a [u32], starts: Option<&'a [u32]>) -> Batch<'a> {
        Batch { rows: 2, seq: 4, inputs: targets, targets, starts }
    }

    #[test]
    fn an_answer_ends_where_the_prompt_the_document_or_the_window_does() {
        let targets = [X, 5, 6, 7, 8, 9, X, 1];
        let found = |starts| answers(&batch(&targets, starts)).collect::<Vec<_>>();
        assert_eq!(found(None), [1..4, 4..6, 7..8]);
        assert_eq!(found(Some(&[0, 0, 0, 3, 0, 0, 0, 0])), [1..3, 3..4, 4..6, 7..8]);
        assert_eq!(answers(&batch(&[X; 8], None)).count(), 0);
    }

    #[test]
    fn misses_are_counted_by_token_and_by_answer() {
        let targets = [X, 5, 6, 7, 8, 9, X, 1];
        let hits = [false, true, false, true, true, true, false, true];
        let mut losses = [0.5; 8];
        assert_eq!(Objective::Loss.total(&batch(&targets, None), &mut losses, &hits), LossSum { sum: 4.0, tokens: 6 });
        let exact = Objective::ExactMatch.total(&batch(&targets, None), &mut losses.clone(), &hits);
        assert_eq!(exact, LossSum { sum: 1.0, tokens: 3 });
        assert_eq!(Objective::Accuracy.total(&batch(&targets, None), &mut losses, &hits), LossSum { sum: 1.0, tokens: 6 });
        assert_eq!(losses, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
