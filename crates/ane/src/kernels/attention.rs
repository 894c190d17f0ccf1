//! Attention over one window, forward and backward, with as few transposes as the layout of surfaces allows.
//!
//! A head is `[hd, s]`, a column a token, as projections leave it. Query heads of a group that share a key head are laid one
//! below the other, `[1, kv, g s, hd]`, so that no key is copied, and the sum over the group in the gradient of a key is the
//! product's own. With one query head a key head nothing is transposed at all.
//! Legend: s tokens, h query heads, kv key heads, g = h / kv, hd head width.

use mil::Var;

use super::graph::Graph;
use crate::Baked;

/// Which way to rotate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Forward pass.
    Forward,
    /// Backward pass: the opposite angle.
    Back,
}

/// Queries, keys and values of one window: `[1, h hd, 1, s]`, `[1, kv hd, 1, s]` twice; queries and keys rotated.
#[derive(Clone, Copy)]
pub(super) struct Heads {
    pub q: Var,
    pub k: Var,
    pub v: Var,
}

impl Graph<'_> {
    /// `[1, heads, hd, s]` of `[1, heads hd, 1, s]`.
    pub fn split(&mut self, x: Var) -> Var {
        let (hd, [_, c, _, s]) = (self.shape.head_dim, self.extents(x));
        self.b.reshape(x, &[1, c / hd, hd, s])
    }

    /// Every head of `[1, heads hd, 1, s]` rotated: `(a, b) -> (a cos - b sin, b cos + a sin)` over its two halves, by the
    /// tables `[1, 1, hd/2, s]`.
    pub fn rotate(&mut self, x: Var, turn: Turn) -> Var {
        if !self.shape.rotates {
            return x;
        }
        let (half, s) = (self.shape.head_dim / 2, self.shape.seq);
        let heads = self.split(x);
        let n = self.extents(heads)[1];
        let cos = self.baked(Baked::RopeCos, &[1, 1, half, s]);
        let sin = self.baked(Baked::RopeSin, &[1, 1, half, s]);
        let (first, second) =
            (self.b.slice(heads, &[0, 0, 0, 0], &[1, n, half, s]), self.b.slice(heads, &[0, 0, half, 0], &[1, n, half, s]));
        let (first_cos, first_sin) = (self.b.mul(first, cos), self.b.mul(first, sin));
        let (second_cos, second_sin) = (self.b.mul(second, cos), self.b.mul(second, sin));
        let (a, b) = match turn {
            Turn::Forward => (self.b.sub(first_cos, second_sin), self.b.add(second_cos, first_sin)),
            Turn::Back => (self.b.add(first_cos, second_sin), self.b.sub(second_cos, first_sin)),
        };
        let rotated = self.b.concat(&[a, b], 2);
        self.channels(rotated)
    }

    /// Scores `[1, h, s, s]` plus the causal mask, through the softmax.
    pub fn masked_softmax(&mut self, scores: Var) -> Var {
        let s = self.shape.seq;
        let mask = self.baked(Baked::CausalMask, &[1, 1, s, s]);
        let masked = self.b.add(scores, mask);
        self.b.softmax(masked, -1)
    }

    /// One over the root of the head width.
    pub fn score_scale(&mut self) -> Var {
        self.b.scalar(1.0 / (self.shape.head_dim as f64).sqrt())
    }

    /// Mixed values `[1, h hd, 1, s]`.
    pub fn attend(&mut self, heads: Heads) -> Var {
        let (k, v) = (self.split(heads.k), self.split(heads.v));
        let (_, probs) = self.probabilities(heads.q, k);
        let probs = self.by_key_head(probs);
        let mixed = self.spread(probs, v);
        self.query_columns(mixed)
    }

    /// Gradients of queries, keys and values as they were before their rotation, from that of the mixed values `da`
    /// `[1, h hd, 1, s]`: `dS = P (dP - sum P dP)`, summed over the query heads of a group.
    pub fn attend_back(&mut self, heads: Heads, da: Var) -> Heads {
        let (k, v) = (self.split(heads.k), self.split(heads.v));
        let (q, probs) = self.probabilities(heads.q, k);
        let da = self.query_rows(da);
        let dp = self.meet(da, v);
        let dp = self.by_query_head(dp);
        let ds = self.softmax_back(probs, dp);
        let (probs, ds) = (self.by_key_head(probs), self.by_key_head(ds));
        let (dk, dv) = (self.gather(q, ds), self.gather(da, probs));
        let (dk, dv) = (self.channels(dk), self.channels(dv));
        let (dq, scale) = (self.spread(ds, k), self.score_scale());
        let dq = self.b.mul(dq, scale);
        let dq = self.query_columns(dq);
        Heads { q: self.rotate(dq, Turn::Back), k: self.rotate(dk, Turn::Back), v: dv }
    }

    /// Gradient of the scores `[1, h, s, s]`.
    pub fn softmax_back(&mut self, probs: Var, dp: Var) -> Var {
        let weighted = self.b.mul(probs, dp);
        let sum = self.b.reduce_sum(weighted, &[-1]);
        let centred = self.b.sub(dp, sum);
        self.b.mul(probs, centred)
    }

    /// Queries in rows and scaled, and the probabilities `[1, h, s, s]`. The scale is on the queries: there are fewer of them
    /// than scores, and products stay below where they saturate.
    fn probabilities(&mut self, q: Var, k: Var) -> (Var, Var) {
        let scale = self.score_scale();
        let q = self.b.mul(q, scale);
        let q = self.query_rows(q);
        let scores = self.meet(q, k);
        let scores = self.by_query_head(scores);
        (q, self.masked_softmax(scores))
    }

    /// `[1, kv, g s, hd]` of `[1, h hd, 1, s]`; where g is 1 `[1, h, hd, s]`, and the products below take it the other way up.
    fn query_rows(&mut self, x: Var) -> Var {
        let heads = self.split(x);
        if self.shape.group() == 1 {
            return heads;
        }
        let rows = self.turn(heads);
        self.by_key_head(rows)
    }

    /// The inverse.
    fn query_columns(&mut self, x: Var) -> Var {
        if self.shape.group() == 1 {
            return self.channels(x);
        }
        let rows = self.by_query_head(x);
        let heads = self.turn(rows);
        self.channels(heads)
    }

    /// `[1, kv, g s, n]` of `[1, h, s, n]`.
    fn by_key_head(&mut self, x: Var) -> Var {
        let (g, [_, h, s, n]) = (self.shape.group(), self.extents(x));
        if g == 1 { x } else { self.b.reshape(x, &[1, h / g, g * s, n]) }
    }

    /// `[1, h, s, n]` of `[1, kv, g s, n]`.
    fn by_query_head(&mut self, x: Var) -> Var {
        let (g, [_, kv, gs, n]) = (self.shape.group(), self.extents(x));
        if g == 1 { x } else { self.b.reshape(x, &[1, kv * g, gs / g, n]) }
    }

    /// Every query row times every key: `[g s, hd] [hd, s] -> [g s, s]`.
    fn meet(&mut self, rows: Var, keys: Var) -> Var {
        let upright = self.shape.group() == 1;
        self.matmul(rows, keys, upright, false)
    }

    /// Rows weighed by scores, over the queries: `[g s, hd]^T [g s, s] -> [hd, s]`.
    fn gather(&mut self, rows: Var, scores: Var) -> Var {
        let upright = self.shape.group() == 1;
        self.matmul(rows, scores, !upright, false)
    }

    /// Keys weighed by scores, over the keys: `[g s, s] [hd, s]^T -> [g s, hd]`, or `[hd, s]` where g is 1.
    fn spread(&mut self, scores: Var, keys: Var) -> Var {
        if self.shape.group() == 1 { self.matmul(keys, scores, false, true) } else { self.matmul(scores, keys, false, true) }
    }
}
