//! Disjoint chunks of slices, one task each.

use super::{Pool, Shareable};

/// A slice that tasks take disjoint chunks of.
struct Parts<T> {
    data: Shareable<T>,
    len: usize,
    chunk: usize,
}

impl<T: Send> Parts<T> {
    fn new(data: &mut [T], chunk: usize) -> Self {
        assert!(chunk > 0, "chunk must be positive");
        Parts { data: Shareable::new(data.as_mut_ptr()), len: data.len(), chunk }
    }

    fn count(&self) -> usize {
        self.len.div_ceil(self.chunk)
    }

    /// # Safety
    /// At most one live borrow per index, within the borrow that `new` was given.
    #[allow(clippy::mut_from_ref)]
    unsafe fn part(&self, index: usize) -> &mut [T] {
        let start = index * self.chunk;
        let len = self.chunk.min(self.len - start);
        // SAFETY: chunks of different indices do not overlap and lie within the slice.
        unsafe { std::slice::from_raw_parts_mut(self.data.get().add(start), len) }
    }
}

impl Pool {
    /// Calls `f(i, part)` for each consecutive part of `chunk` elements of `data` (the last may be shorter).
    ///
    /// # Panics
    /// When `chunk` is 0, or a call of `f` panics.
    pub fn chunks_mut<T: Send>(&self, data: &mut [T], chunk: usize, f: impl Fn(usize, &mut [T]) + Sync) {
        let parts = Parts::new(data, chunk);
        // SAFETY: each task index is run once, and `data` stays borrowed until the run ends.
        self.run(parts.count(), &|i| f(i, unsafe { parts.part(i) }));
    }

    /// [`Pool::chunks_mut`] over two slices at once, each with its own chunk length; both must have as many chunks.
    ///
    /// # Panics
    /// When a chunk length is 0, the numbers of chunks differ, or a call of `f` panics.
    pub fn chunks_mut2<T: Send, U: Send>(
        &self,
        (a, a_chunk): (&mut [T], usize),
        (b, b_chunk): (&mut [U], usize),
        f: impl Fn(usize, &mut [T], &mut [U]) + Sync,
    ) {
        let (a, b) = (Parts::new(a, a_chunk), Parts::new(b, b_chunk));
        assert_eq!(a.count(), b.count(), "numbers of chunks differ");
        // SAFETY: as in `chunks_mut`.
        self.run(a.count(), &|i| unsafe { f(i, a.part(i), b.part(i)) });
    }

    /// [`Pool::chunks_mut`] over three slices at once, each with its own chunk length; all must have as many chunks.
    ///
    /// # Panics
    /// When a chunk length is 0, the numbers of chunks differ, or a call of `f` panics.
    pub fn chunks_mut3<T: Send, U: Send, V: Send>(
        &self,
        (a, a_chunk): (&mut [T], usize),
        (b, b_chunk): (&mut [U], usize),
        (c, c_chunk): (&mut [V], usize),
        f: impl Fn(usize, &mut [T], &mut [U], &mut [V]) + Sync,
    ) {
        let (a, b, c) = (Parts::new(a, a_chunk), Parts::new(b, b_chunk), Parts::new(c, c_chunk));
        assert!(a.count() == b.count() && b.count() == c.count(), "numbers of chunks differ");
        // SAFETY: as in `chunks_mut`.
        self.run(a.count(), &|i| unsafe { f(i, a.part(i), b.part(i), c.part(i)) });
    }

    /// Calls `f(i, a_i, b_i, c_i)` for parts of unequal lengths: part `i` of slice `k` is `bounds[i][k]..bounds[i + 1][k]`.
    ///
    /// # Panics
    /// When the bounds of a slice fall or pass its end, or a call of `f` panics.
    pub fn ragged_mut3<T: Send>(
        &self,
        bounds: &[[usize; 3]],
        slices: [&mut [T]; 3],
        f: impl Fn(usize, &mut [T], &mut [T], &mut [T]) + Sync,
    ) {
        assert!(bounds.windows(2).all(|w| (0..3).all(|k| w[0][k] <= w[1][k])), "bounds fall");
        let fits = |last: &[usize; 3]| last.iter().zip(&slices).all(|(end, slice)| *end <= slice.len());
        assert!(bounds.last().is_none_or(fits), "bounds pass the end");
        let data = slices.map(|slice| Shareable::new(slice.as_mut_ptr()));
        let part = |i: usize, k: usize| {
            let (start, end) = (bounds[i][k], bounds[i + 1][k]);
            // SAFETY: the bounds rise within the slice, so parts of different indices do not overlap; each task index is run
            // once, and the slices stay borrowed until the run ends.
            unsafe { std::slice::from_raw_parts_mut(data[k].get().add(start), end - start) }
        };
        self.run(bounds.len().saturating_sub(1), &|i| f(i, part(i, 0), part(i, 1), part(i, 2)));
    }
}
