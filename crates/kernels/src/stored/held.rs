//! [`Held`]: elements of a weight, and who keeps them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A slice that is borrowed, owned, or part of what is kept by all who read it: a file that is mapped.
#[derive(Clone)]
pub enum Held<'a, T> {
    /// Kept by somebody else.
    Borrowed(&'a [T]),
    /// Kept for one weight alone.
    Owned(Vec<T>),
    /// Kept as long as anybody has it.
    Shared(Arc<dyn AsRef<[T]> + Send + Sync>),
}

impl<T> Deref for Held<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Held::Borrowed(slice) => slice,
            Held::Owned(vec) => vec,
            Held::Shared(shared) => (**shared).as_ref(),
        }
    }
}

impl<T> From<Vec<T>> for Held<'_, T> {
    fn from(vec: Vec<T>) -> Self {
        Held::Owned(vec)
    }
}

impl<'a, T> From<&'a [T]> for Held<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Held::Borrowed(slice)
    }
}

impl<T> fmt::Debug for Held<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} elements", self.len())
    }
}
