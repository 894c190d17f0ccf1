//! Directions that are products of two thin matrices, `s U V`, for the matrices of a model; what is no matrix, or has no
//! factors, moves along noise or stays.

use std::sync::Arc;

use engine::Direction;
use kernels::direction::Noise;
use model::{Layout, TensorInfo};

/// A matrix and where its factors lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub start: usize,
    pub end: usize,
    pub rows: usize,
    pub cols: usize,
    pub rank: usize,
    /// First float of its U, `[rows, rank]`, and of its V, `[rank, cols]`; none: it has no factors.
    pub factors: Option<[usize; 2]>,
}

impl Place {
    /// Its part of the array of all U.
    pub fn u(&self) -> std::ops::Range<usize> {
        self.factors.map_or(0..0, |[u, _]| u..u + self.rows * self.rank)
    }

    /// Its part of the array of all V.
    pub fn v(&self) -> std::ops::Range<usize> {
        self.factors.map_or(0..0, |[_, v]| v..v + self.rank * self.cols)
    }
}

/// Places of every tensor of a layout, and the lengths of both arrays of factors.
#[derive(Clone)]
pub(super) struct Places {
    pub all: Arc<[Place]>,
    pub u: usize,
    pub v: usize,
}

impl Places {
    /// Those of `layout`; `rank` says which rank a matrix has.
    pub fn of(layout: &Layout, rank: impl Fn(&TensorInfo) -> usize) -> Places {
        let (mut u, mut v) = (0, 0);
        let place = |t: &TensorInfo| {
            let [rows, cols] = t.shape;
            let rank = if rows > 1 { rank(t) } else { 0 };
            let factors = (rank > 0).then_some([u, v]);
            u += rows * rank;
            v += cols * rank;
            Place { start: t.range.start, end: t.range.end, rows, cols, rank, factors }
        };
        let all: Arc<[Place]> = layout.tensors().iter().map(place).collect();
        Places { all, u, v }
    }

    /// Those that have factors.
    pub fn matrices(&self) -> impl Iterator<Item = &Place> {
        self.all.iter().filter(|p| p.factors.is_some())
    }

    /// Weights without factors.
    pub fn others(&self) -> usize {
        self.all.iter().filter(|p| p.factors.is_none()).map(|p| p.end - p.start).sum()
    }
}

/// `s U V` for matrices, noise for the rest.
pub struct LowRank {
    places: Arc<[Place]>,
    pub(super) u: Vec<f32>,
    pub(super) v: Vec<f32>,
    /// Factor on the products.
    scale: f32,
    pub(super) noise: Noise,
    /// Whether what has no factors moves.
    others: bool,
}

impl LowRank {
    /// With factors of 0.
    pub(super) fn new(places: &Places, scale: f32, noise: Noise, others: bool) -> LowRank {
        LowRank { places: places.all.clone(), u: vec![0.0; places.u], v: vec![0.0; places.v], scale, noise, others }
    }

    /// Elements of a matrix from element `first` of it on.
    fn fill_matrix(&self, place: &Place, [u, v]: [usize; 2], first: usize, z: &mut [f32]) {
        let (r, cols, mut at) = (place.rank, place.cols, 0);
        while at < z.len() {
            let (row, col) = ((first + at) / cols, (first + at) % cols);
            let len = (cols - col).min(z.len() - at);
            let z = &mut z[at..at + len];
            z.fill(0.0);
            for k in 0..r {
                let (factor, v) = (self.scale * self.u[u + row * r + k], v + k * cols + col);
                for (z, v) in z.iter_mut().zip(&self.v[v..v + len]) {
                    *z += factor * v;
                }
            }
            at += len;
        }
    }
}

impl Direction for LowRank {
    fn fill(&self, start: usize, _weights: &[f32], z: &mut [f32]) {
        let (mut tensor, mut at) = (self.places.partition_point(|p| p.end <= start), 0);
        while at < z.len() && tensor < self.places.len() {
            let place = &self.places[tensor];
            let to = (place.end - start).min(z.len());
            match place.factors {
                Some(factors) => self.fill_matrix(place, factors, start + at - place.start, &mut z[at..to]),
                None if self.others => self.noise.fill(start + at, &mut z[at..to]),
                None => z[at..to].fill(0.0),
            }
            (tensor, at) = (tensor + 1, to);
        }
    }
}

/// Makes the columns of `x` `[rows, cols]` orthonormal, in place: Gram-Schmidt, twice, which is as exact as f32 is. A column
/// that depends on those before it becomes 0.
pub(super) fn orthonormalize(x: &mut [f32], rows: usize, cols: usize) {
    let dot = |x: &[f32], a: usize, b: usize| -> f64 {
        (0..rows).map(|i| f64::from(x[i * cols + a]) * f64::from(x[i * cols + b])).sum()
    };
    for k in 0..cols {
        let before = dot(x, k, k);
        for _ in 0..2 {
            for j in 0..k {
                let along = dot(x, j, k) as f32;
                (0..rows).for_each(|i| x[i * cols + k] -= along * x[i * cols + j]);
            }
        }
        let square = dot(x, k, k);
        let inverse = if square > 1e-10 * before { (1.0 / square.sqrt()) as f32 } else { 0.0 };
        (0..rows).for_each(|i| x[i * cols + k] *= inverse);
    }
}

/// `to = a b`, `a` `[n, k]`, `b` `[k, m]`, for a small `k`.
pub(super) fn multiply(to: &mut [f32], a: &[f32], b: &[f32], [n, k, m]: [usize; 3]) {
    for (row, a) in to.chunks_exact_mut(m).zip(a.chunks_exact(k)).take(n) {
        row.fill(0.0);
        for (a, b) in a.iter().zip(b.chunks_exact(m)) {
            row.iter_mut().zip(b).for_each(|(to, b)| *to += a * b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_orthonormal_and_dependent_ones_nothing() {
        // [4, 3]: the third column is the sum of the others
        let mut x = [1.0, 2.0, 3.0, -1.0, 0.5, -0.5, 2.0, 2.0, 4.0, 0.0, 1.0, 1.0];
        orthonormalize(&mut x, 4, 3);
        for a in 0..3 {
            for b in 0..3 {
                let dot: f32 = (0..4).map(|i| x[i * 3 + a] * x[i * 3 + b]).sum();
                let want = if a == b && a < 2 { 1.0 } else { 0.0 };
                assert!((dot - want).abs() < 1e-6, "{a} {b}: {dot}");
            }
        }
    }
}
