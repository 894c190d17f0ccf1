//! What is measured on the validation windows.

use engine::{Batch, Objective};
use serde::{Deserialize, Serialize};

use super::add_windows;
use crate::loss::{Estimate, LossStats};

/// A measurement on the fixed validation windows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Step after which it was made.
    pub step: u64,
    /// Mean loss in nats a token.
    pub loss: Estimate,
    /// Bits a byte of text, where the bytes are known.
    pub bpb: Option<Estimate>,
    /// `exp(loss)`.
    pub perplexity: Estimate,
    /// Tokens measured.
    pub tokens: u64,
    /// Share of predicted tokens that are not the most likely one, and of answers with such a token, where these are what is
    /// made small.
    #[serde(default)]
    pub errors: Option<[Estimate; 2]>,
}

/// What the validation windows add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measures {
    pub loss: LossStats,
    pub tokens_missed: LossStats,
    pub answers_missed: LossStats,
}

impl Measures {
    /// Adds a batch: losses and hits of its tokens.
    pub fn add(&mut self, losses: &[f32], hits: &[bool], batch: &Batch<'_>) {
        add_windows(&mut self.loss, losses, batch);
        if hits.is_empty() {
            return;
        }
        let window = |i: usize| i * batch.seq..(i + 1) * batch.seq;
        let all: Vec<_> = engine::answers(batch).collect();
        for w in (0..batch.rows).map(window) {
            let predicted = w.clone().filter(|&i| batch.targets[i] != engine::IGNORE);
            let (tokens, missed) = predicted.fold((0, 0), |(n, missed), i| (n + 1, missed + u64::from(!hits[i])));
            self.tokens_missed.add(missed as f64, tokens);
            let answers = all.iter().filter(|a| w.contains(&a.start));
            let (answers, missed) =
                answers.fold((0, 0), |(n, missed), a| (n + 1, missed + u64::from(hits[a.clone()].contains(&false))));
            self.answers_missed.add(missed as f64, answers);
        }
    }
}

impl Evaluation {
    pub(super) fn new(step: u64, measures: &Measures, bytes: Option<u64>, objective: Objective) -> Evaluation {
        let stats = &measures.loss;
        let errors = [measures.tokens_missed.mean(), measures.answers_missed.mean()];
        Evaluation {
            step,
            loss: stats.mean(),
            bpb: bytes.and_then(|b| stats.bits_per_byte(b)),
            perplexity: stats.perplexity(),
            tokens: stats.tokens(),
            errors: (objective != Objective::Loss).then_some(errors),
        }
    }

    /// What is made small, and the loss, which decides between equals.
    pub(super) fn rank(&self, objective: Objective) -> (Estimate, f64) {
        let measure = match (objective, self.errors) {
            (Objective::Accuracy, Some([tokens, _])) => tokens,
            (Objective::ExactMatch, Some([_, answers])) => answers,
            _ => self.loss,
        };
        (measure, self.loss.value)
    }
}
