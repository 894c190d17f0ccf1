//! A batch of training windows, and the sum of their losses.

pub use kernels::cross_entropy::IGNORE;

/// `rows` windows of `seq` tokens, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Windows.
    pub rows: usize,
    /// Tokens a window.
    pub seq: usize,
    /// Token ids `[rows seq]`.
    pub inputs: &'a [u32],
    /// The id to be predicted at each position `[rows seq]`, or [`IGNORE`].
    pub targets: &'a [u32],
    /// First position of its window that each token may attend to `[rows seq]`; none: the whole window.
    pub starts: Option<&'a [u32]>,
}

impl Batch<'_> {
    /// Tokens of the batch, padding included.
    pub fn len(&self) -> usize {
        self.rows * self.seq
    }

    /// Whether the batch has no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens that carry loss.
    pub fn predicted(&self) -> usize {
        self.targets.iter().filter(|&&t| t != IGNORE).count()
    }
}

/// Sum of cross-entropies, in nats, and the number of tokens summed over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LossSum {
    /// Sum over tokens, in nats.
    pub sum: f64,
    /// Tokens with a target.
    pub tokens: usize,
}

impl LossSum {
    /// Mean over tokens, in nats; 0 without tokens, which change no gradient.
    pub fn mean(self) -> f64 {
        if self.tokens == 0 { 0.0 } else { self.sum / self.tokens as f64 }
    }
}

impl std::ops::AddAssign for LossSum {
    fn add_assign(&mut self, other: LossSum) {
        self.sum += other.sum;
        self.tokens += other.tokens;
    }
}
