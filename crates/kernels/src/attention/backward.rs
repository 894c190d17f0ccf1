//! The backward pass of one key head and its query heads, block of queries by block of keys.
//!
//! With `g_ij = (do_i v_j - delta_i) p_ij / sqrt(hd)` and `delta_i = do_i o_i`:
//! `dq_i = sum_j g_ij k_j`, `dk_j = sum_i g_ij q_i`, `dv_j = sum_i p_ij do_i`.

use super::forward::scores;
use super::pack::{panels, rows};
use super::tile::{Strided, tile};
use super::{Attention, Columns, KEYS, PANEL, QUERIES, apart, visible};
use crate::Cpu;
use crate::math::{dot, exp};
use crate::simd::{LANES, multiversion};

/// What the backward pass is given.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    /// Gradient of the output `[b t, q]`.
    pub doo: &'a [f32],
    /// Output of the forward pass `[b t, q]`.
    pub o: &'a [f32],
    /// Its log-sum-exps `[b t, h]`.
    pub lse: &'a [f32],
    /// Its input `[b t, q + 2 kv]`.
    pub qkv: &'a [f32],
}

/// Keys and values of a head, and the sums of their gradients, `[t, hd]` each.
struct Keys<'s> {
    /// Keys in panels.
    kt: &'s [f32],
    /// Values in panels.
    vt: &'s [f32],
    k: &'s [f32],
    dk: &'s mut [f32],
    dv: &'s mut [f32],
}

/// A block of queries of a head, `[m, hd]` each, and its products with a block of keys, `[m, KEYS]`.
struct Queries<'s> {
    q: &'s mut [f32],
    doo: &'s mut [f32],
    dq: &'s mut [f32],
    delta: &'s mut [f32],
    s: &'s mut [f32],
    ds: &'s mut [f32],
}

pub(super) fn head(cpu: &Cpu, a: &Attention<'_>, b: usize, kv: usize, out: &Columns, known: Known<'_>, scratch: &mut [f32]) {
    let (t, hd, stride, isa) = (a.t, a.head_dim, a.stride(), cpu.isa());
    let (group, first, whole) = (a.heads / a.kv_heads, b * t, t.next_multiple_of(PANEL) * hd);
    let row = &known.qkv[first * stride..(first + t) * stride];
    let (k, v) = (&row[a.q_dim() + kv * hd..], &row[a.q_dim() + (a.kv_heads + kv) * hd..]);
    let (kt, rest) = scratch.split_at_mut(whole);
    let (vt, rest) = rest.split_at_mut(whole);
    let (k_rows, rest) = rest.split_at_mut(t * hd);
    let (dk, rest) = rest.split_at_mut(t * hd);
    let (dv, rest) = rest.split_at_mut(t * hd);
    let (q, rest) = rest.split_at_mut(QUERIES * hd);
    let (doo, rest) = rest.split_at_mut(QUERIES * hd);
    let (dq, rest) = rest.split_at_mut(QUERIES * hd);
    let (delta, rest) = rest.split_at_mut(QUERIES);
    let (s, rest) = rest.split_at_mut(QUERIES * apart(KEYS));
    let ds = &mut rest[..QUERIES * apart(KEYS)];
    panels(isa, kt, k, stride, t, hd);
    panels(isa, vt, v, stride, t, hd);
    rows(k_rows, k, stride, hd);
    dk.fill(0.0);
    dv.fill(0.0);
    let mut keys = Keys { kt, vt, k: k_rows, dk, dv };
    for h in kv * group..(kv + 1) * group {
        for start in (0..t).step_by(QUERIES) {
            let m = QUERIES.min(t - start);
            let [q, doo, dq] = [&mut *q, &mut *doo, &mut *dq].map(|x| &mut x[..m * hd]);
            let at = (first + start) * a.q_dim() + h * hd;
            rows(q, &row[start * stride + h * hd..], stride, hd);
            rows(doo, &known.doo[at..], a.q_dim(), hd);
            for (r, (delta, doo)) in delta.iter_mut().zip(doo.chunks_exact(hd)).enumerate() {
                *delta = product(isa, doo, &known.o[at + r * a.q_dim()..][..hd]);
            }
            let mut queries = Queries { q, doo, dq, delta: &mut *delta, s: &mut *s, ds: &mut *ds };
            block(cpu, a, b, h, start, &mut keys, &mut queries, known.lse);
            out.write(first + start, h * hd, hd, queries.dq);
        }
    }
    out.write(first, a.q_dim() + kv * hd, hd, keys.dk);
    out.write(first, a.q_dim() + (a.kv_heads + kv) * hd, hd, keys.dv);
}

/// All keys of the queries from `start` on: fills `dq`, adds to `dk` and `dv`.
#[allow(clippy::too_many_arguments)]
fn block(cpu: &Cpu, a: &Attention<'_>, b: usize, h: usize, start: usize, keys: &mut Keys<'_>, x: &mut Queries<'_>, lse: &[f32]) {
    let (hd, isa, lds, scale) = (a.head_dim, cpu.isa(), apart(KEYS), 1.0 / (a.head_dim as f32).sqrt());
    let m = x.q.len() / hd;
    let seen = visible(a, b, &(start..start + m));
    for from in seen.clone().step_by(KEYS) {
        let n = KEYS.min(seen.end - from);
        scores(isa, x.s, lds, x.q, &keys.kt[from * hd..], n, hd);
        scores(isa, x.ds, lds, x.doo, &keys.vt[from * hd..], n, hd);
        for r in 0..m {
            let i = start + r;
            let [lo, hi] = [a.lo(b, i), i + 1].map(|j| j.clamp(from, from + n) - from);
            let cells = r * lds..r * lds + n;
            let lse = lse[(b * a.t + i) * a.heads + h];
            softmax_backward_row(isa, &mut x.s[cells.clone()], &mut x.ds[cells], lo, hi, scale, lse, x.delta[r]);
        }
        let of_keys = from * hd..(from + n) * hd;
        let turned = |data| Strided { data, row: 1, col: lds };
        tile(isa, &mut keys.dv[of_keys.clone()], hd, turned(x.s), x.doo, hd, n, hd, m, true);
        tile(isa, &mut keys.dk[of_keys.clone()], hd, turned(x.ds), x.q, hd, n, hd, m, true);
        let ds = Strided { data: x.ds, row: lds, col: 1 };
        tile(isa, x.dq, hd, ds, &keys.k[of_keys], hd, m, hd, n, from > seen.start);
    }
}

multiversion! {
    fn product(a: &[f32], b: &[f32]) -> f32 {
        dot::<FMA>(a, b)
    }
}

multiversion! {
    /// Scores become probabilities over `lo..hi`, and `ds = do v` becomes the gradient of the scores (times `scale`, for q
    /// and k); both are zero elsewhere.
    fn softmax_backward_row(s: &mut [f32], ds: &mut [f32], lo: usize, hi: usize, scale: f32, lse: f32, delta: f32) {
        // whole vectors; what lies outside is overwritten
        let (start, end) = (lo / LANES * LANES, hi.next_multiple_of(LANES).min(s.len()));
        for (s, ds) in s[start..end].iter_mut().zip(&mut ds[start..end]) {
            let p = exp(*s * scale - lse);
            *s = p;
            *ds = p * (*ds - delta) * scale;
        }
        for x in [s, ds] {
            x[..lo].fill(0.0);
            x[hi..].fill(0.0);
        }
    }
}
