//! Constraints of architectures, kept by construction: dim = heads x head_dim, kv_heads divides heads, head_dim is even.

use serde::{Deserialize, Serialize};

use crate::{Config, Space, space::Range};

/// Parameters that shape the model; they are no flags of `train` but numbers of a `config.json`.
pub const NAMES: &[&str] = &["depth", "dim", "hidden", "heads", "kv-heads", "head-dim"];

/// Largest size of any kind: far beyond what trains, and small enough that products do not overflow.
pub const LARGEST: usize = 1 << 20;

/// Sizes of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Width of the residual stream.
    pub dim: usize,
    /// Layers.
    pub depth: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width inside the feed-forward block.
    pub hidden: usize,
}

impl Shape {
    /// The shape that `config` makes of `self`: what the space does not name follows what it names, so that no
    /// configuration breaks a constraint.
    pub fn with(self, space: &Space, config: &[f64]) -> Shape {
        let get = |name: &str| {
            let i = space.position(name)?;
            let value = match &space.params.get(i)?.range {
                Range::Choice(choices) => choices.get(*config.get(i)? as usize)?.parse::<f64>().ok()?,
                _ => *config.get(i)?,
            };
            (value >= 1.0).then_some(value.min(LARGEST as f64) as usize)
        };
        let mut s = self;
        s.depth = get("depth").unwrap_or(s.depth);
        let (dim, heads, head_dim) = (get("dim"), get("heads"), get("head-dim"));
        if let Some(hd) = head_dim {
            s.head_dim = (hd / 2 * 2).max(2);
        }
        match (dim, heads) {
            (Some(dim), Some(heads)) => {
                s.head_dim = (dim / heads / 2 * 2).max(2);
                s.heads = heads;
            }
            (Some(dim), None) => s.heads = (dim / s.head_dim).max(1),
            (None, Some(heads)) => s.heads = heads,
            (None, None) => s.heads = (self.dim / s.head_dim).max(1),
        }
        s.dim = s.heads * s.head_dim;
        let share = self.heads.checked_div(self.kv_heads).unwrap_or(1).max(1);
        let wanted = get("kv-heads").unwrap_or_else(|| (s.heads / share).max(1));
        s.kv_heads = largest_divisor(s.heads, wanted);
        let follows = (self.hidden as f64 / self.dim.max(1) as f64 * s.dim as f64 / 32.0).round() as usize * 32;
        s.hidden = get("hidden").unwrap_or(if s.dim == self.dim { self.hidden } else { follows.max(32) });
        s
    }
}

/// The largest divisor of `n` up to `most`, at least 1.
fn largest_divisor(n: usize, most: usize) -> usize {
    let small = (1..).take_while(|d| d * d <= n).filter(|d| n.is_multiple_of(*d));
    small.flat_map(|d| [d, n / d]).filter(|d| *d <= most).max().unwrap_or(1)
}

/// `config` with the values that its shape really has, where the ranges hold them: no two configurations of a study differ
/// in name alone. `proportion`: the original's rule, hidden within 128 of 2.75 dim.
pub fn settle(space: &Space, base: Shape, mut config: Config, proportion: bool) -> Config {
    if proportion && let (Some(d), Some(h)) = (space.position("dim"), space.position("hidden")) {
        let follows = (2.75 * config[d] / 64.0).round() * 64.0;
        if (config[h] - follows).abs() > 128.0 {
            config[h] = space.params[h].nearest(follows);
        }
    }
    let shape = base.with(space, &config);
    let real = [("dim", shape.dim), ("heads", shape.heads), ("kv-heads", shape.kv_heads), ("head-dim", shape.head_dim)];
    for (name, value) in real {
        let Some(i) = space.position(name) else { continue };
        let param = &space.params[i];
        if !matches!(param.range, Range::Choice(_)) && param.nearest(value as f64) == value as f64 {
            config[i] = value as f64;
        }
    }
    config
}
