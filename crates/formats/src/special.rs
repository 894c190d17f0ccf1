//! [`SpecialIds`]: the token ids that a model gives a meaning.

/// Ids with a meaning, as configurations carry them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialIds {
    /// Begins a text.
    pub bos: Option<u32>,
    /// Each of them ends a text.
    pub eos: Vec<u32>,
    /// Fills a batch.
    pub pad: Option<u32>,
}
