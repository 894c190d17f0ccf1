//! The forward pass of one key head and its query heads: all scores of a block of queries, their softmax, the mix of values.

use super::pack::{panels, rows};
use super::tile::{Strided, tile};
use super::{Attention, Columns, KEYS, PANEL, QUERIES, apart, visible};
use crate::cross_entropy::max_of;
use crate::math::{exp, sum_lanes};
use crate::simd::{LANES, multiversion};
use crate::{Cpu, Isa};

#[allow(clippy::too_many_arguments)]
pub(super) fn head(
    cpu: &Cpu,
    a: &Attention<'_>,
    b: usize,
    kv: usize,
    out: &Columns,
    lse: &Columns,
    qkv: &[f32],
    scratch: &mut [f32],
) {
    let (t, hd, stride, isa) = (a.t, a.head_dim, a.stride(), cpu.isa());
    let (group, first, scale) = (a.heads / a.kv_heads, b * t, 1.0 / (hd as f32).sqrt());
    let row = &qkv[first * stride..(first + t) * stride];
    let (kt, rest) = scratch.split_at_mut(t.next_multiple_of(PANEL) * hd);
    let (v, rest) = rest.split_at_mut(t * hd);
    let (s, rest) = rest.split_at_mut(QUERIES * apart(t));
    let (q, rest) = rest.split_at_mut(QUERIES * hd);
    let (o, rest) = rest.split_at_mut(QUERIES * hd);
    let (sums, inverses) = rest.split_at_mut(QUERIES);
    panels(isa, kt, &row[a.q_dim() + kv * hd..], stride, t, hd);
    rows(v, &row[a.q_dim() + (a.kv_heads + kv) * hd..], stride, hd);
    for h in kv * group..(kv + 1) * group {
        for start in (0..t).step_by(QUERIES) {
            let block = start..(start + QUERIES).min(t);
            let (m, keys) = (block.len(), visible(a, b, &block));
            let (n, lds) = (keys.len(), apart(keys.len()));
            rows(&mut q[..m * hd], &row[start * stride + h * hd..], stride, hd);
            scores(isa, s, lds, &q[..m * hd], &kt[keys.start * hd..], n, hd);
            for (r, i) in block.enumerate() {
                let seen = a.lo(b, i) - keys.start..i + 1 - keys.start;
                (sums[r], inverses[r]) = exp_row(isa, &mut s[r * lds..r * lds + n], seen.start, seen.end, scale);
            }
            for at in (0..n).step_by(KEYS) {
                let p = Strided { data: &s[at..], row: lds, col: 1 };
                let values = &v[(keys.start + at) * hd..];
                tile(isa, &mut o[..m * hd], hd, p, values, hd, m, hd, KEYS.min(n - at), at > 0);
            }
            scale_rows(isa, &mut o[..m * hd], inverses, hd);
            out.write(first + start, h * hd, hd, &o[..m * hd]);
            lse.write(first + start, h, 1, &sums[..m]);
        }
    }
}

/// `s[m, n]` with rows `lds` apart: products of the rows of `q[m, hd]` with `n` keys in panels.
pub(super) fn scores(isa: Isa, s: &mut [f32], lds: usize, q: &[f32], kt: &[f32], n: usize, hd: usize) {
    let q = Strided { data: q, row: hd, col: 1 };
    for at in (0..n).step_by(PANEL) {
        tile(isa, &mut s[at..], lds, q, &kt[at * hd..], PANEL, q.data.len() / hd, PANEL.min(n - at), hd, false);
    }
}

/// Scores of one query become probabilities over `lo..hi`, zero elsewhere; returns the log-sum-exp.
pub(super) fn softmax_row(isa: Isa, s: &mut [f32], lo: usize, hi: usize, scale: f32) -> f32 {
    let (lse, factor) = exp_row(isa, s, lo, hi, scale);
    let n = s.len();
    scale_rows(isa, s, &[factor], n);
    lse
}

multiversion! {
    /// Scores of one query become `exp(scale s - max)` over `lo..hi`, zero elsewhere; returns the log-sum-exp, and what makes
    /// them probabilities.
    fn exp_row(s: &mut [f32], lo: usize, hi: usize, scale: f32) -> (f32, f32) {
        // the lowest number outside, up to a whole vector: it becomes e^-87, which changes no sum of a row whose largest is 1
        let end = hi.next_multiple_of(LANES).min(s.len());
        let (before, row) = s.split_at_mut(lo);
        before.fill(0.0);
        row[end - lo..].fill(0.0);
        row[hi - lo..end - lo].fill(f32::MIN);
        let s = &mut row[..end - lo];
        let max = max_of(s) * scale;
        let mut acc = [0.0f32; LANES];
        let (chunks, tail) = s.as_chunks_mut::<LANES>();
        for chunk in chunks {
            for l in 0..LANES {
                chunk[l] = exp(chunk[l] * scale - max);
                acc[l] += chunk[l];
            }
        }
        for (l, z) in tail.iter_mut().enumerate() {
            *z = exp(*z * scale - max);
            acc[l] += *z;
        }
        let sum = sum_lanes(acc);
        s[hi - lo..].fill(0.0);
        (max + (f64::from(sum)).ln() as f32, 1.0 / sum)
    }
}

multiversion! {
    /// Rows of `hd`, each times its factor: fewer products than probabilities would be.
    fn scale_rows(o: &mut [f32], factors: &[f32], hd: usize) {
        for (row, factor) in o.chunks_exact_mut(hd).zip(factors) {
            for x in row {
                *x *= factor;
            }
        }
    }
}
