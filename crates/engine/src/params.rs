//! [`Params`]: the weights of a walk: those of the model, and those of an adapter beside it.

use std::ops::Range;

use crate::Base;

/// Flat arrays of weights.
#[derive(Clone, Copy, Debug)]
pub struct Params<'p> {
    /// The model, in the order of its layout.
    pub base: Base<'p>,
    /// Its adapter, in the order of the adapter's layout; empty without.
    pub adapter: &'p [f32],
}

impl<'p> Params<'p> {
    /// The vector at `place`.
    pub fn at(self, place: &Place) -> &'p [f32] {
        match place {
            Place::Base(range) => self.base.vector(range.clone()),
            Place::Adapter(range) => &self.adapter[range.clone()],
        }
    }
}

impl<'p> From<&'p [f32]> for Params<'p> {
    fn from(base: &'p [f32]) -> Params<'p> {
        Params { base: Base::Flat(base), adapter: &[] }
    }
}

impl<'p> From<&'p Vec<f32>> for Params<'p> {
    fn from(base: &'p Vec<f32>) -> Params<'p> {
        Params { base: Base::Flat(base), adapter: &[] }
    }
}

/// In which of the arrays a weight lies, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the model's.
    Base(Range<usize>),
    /// In the adapter's.
    Adapter(Range<usize>),
}
