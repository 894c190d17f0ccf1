//! What several kernels have in them: RMSNorm, the gated unit, and their derivatives, by the decompositions that the device is
//! known to take.
//! Legend: d dim, s tokens, ff hidden.

use mil::Var;

use super::graph::Graph;
use crate::Baked;

/// Factor on the stream before it is squared: a channel may then reach 4,000, sixteen times what fp16 can square, and squares
/// of untrained embeddings (0.02) keep two digits each, their sum three.
const BEFORE_SQUARE: f64 = 1.0 / 16.0;

impl Graph<'_> {
    /// `1 / rms` of each token `[1, 1, 1, s]`, of the stream `[1, d, 1, s]`: `f / sqrt(sum (c x)^2 + c^2 d eps)` with
    /// `f = c sqrt(d)`. The mean is never formed: it leaves fp16 on either side before the sum does.
    pub fn inverse_rms(&mut self, x: Var) -> Var {
        let d = self.shape.dim as f64;
        let (before, after) = (self.b.scalar(BEFORE_SQUARE), self.b.scalar(BEFORE_SQUARE * d.sqrt()));
        let eps = self.b.scalar(BEFORE_SQUARE * BEFORE_SQUARE * d * f64::from(self.shape.norm_eps));
        let small = self.b.mul(x, before);
        let square = self.b.mul(small, small);
        let sum = self.b.reduce_sum(square, &[1]);
        let sum = self.b.add(sum, eps);
        let inverse = self.b.pow(sum, -0.5);
        self.b.mul(inverse, after)
    }

    /// `x / rms(x) * gain`  `[1, d, 1, s]`
    pub fn rms_norm(&mut self, x: Var, gain: Baked) -> Var {
        let r = self.inverse_rms(x);
        let normed = self.b.mul(x, r);
        let gain = self.gain(gain);
        self.b.mul(normed, gain)
    }

    /// `(g - xh mean(g xh)) / rms` with `g = dy gain`, `xh = x / rms`: the gradient of the stream, by way of the norm alone.
    pub fn rms_norm_back(&mut self, dy: Var, x: Var, gain: Baked) -> Var {
        let r = self.inverse_rms(x);
        let normed = self.b.mul(x, r);
        let gain = self.gain(gain);
        let g = self.b.mul(dy, gain);
        let along = self.b.mul(g, normed);
        let sum = self.b.reduce_sum(along, &[1]);
        let per_channel = self.b.scalar(1.0 / self.shape.dim as f64);
        let mean = self.b.mul(sum, per_channel);
        let parallel = self.b.mul(normed, mean);
        let across = self.b.sub(g, parallel);
        self.b.mul(across, r)
    }

    fn gain(&mut self, gain: Baked) -> Var {
        self.baked(gain, &[1, self.shape.dim, 1, 1])
    }

    /// `silu(h1) h3`  `[1, ff, 1, s]`
    pub fn swiglu(&mut self, h1: Var, h3: Var) -> Var {
        let sigmoid = self.b.sigmoid(h1);
        let silu = self.b.mul(h1, sigmoid);
        self.b.mul(silu, h3)
    }

    /// Gradients of `h1` and `h3` from that of their product: `dact h3 sigma (1 + h1 (1 - sigma))`, `dact h1 sigma`.
    pub fn swiglu_back(&mut self, dact: Var, h1: Var, h3: Var) -> (Var, Var) {
        let one = self.b.scalar(1.0);
        let sigmoid = self.b.sigmoid(h1);
        let rest = self.b.sub(one, sigmoid);
        let slope = self.b.mul(h1, rest);
        let slope = self.b.add(one, slope);
        let slope = self.b.mul(sigmoid, slope);
        let dsilu = self.b.mul(dact, h3);
        let silu = self.b.mul(h1, sigmoid);
        (self.b.mul(dsilu, slope), self.b.mul(dact, silu))
    }

    /// `x + a branch`, with `a` the residual scale.
    pub fn add_branch(&mut self, x: Var, branch: Var) -> Var {
        let scale = f64::from(self.shape.residual_scale);
        if scale == 1.0 {
            return self.b.add(x, branch);
        }
        let scale = self.b.scalar(scale);
        let scaled = self.b.mul(branch, scale);
        self.b.add(x, scaled)
    }
}
