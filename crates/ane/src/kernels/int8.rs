//! Convolutions in 8 bits: weights with a scale a row, activations with a scale a token that the program itself finds.
//!
//! `x = m q / 127` with `m` the largest magnitude of the token's channels; the product of `q / 127` and the weights is then
//! multiplied with `m`. A fixed scale would have to suit the largest activation of any token of any layer.

use mil::Var;
use model::Part;

use super::graph::Graph;
use super::ports::matrix;

impl Graph<'_> {
    /// `W x` for each of `parts`, with weights as constants, in 8 bits where `int8`.
    pub fn project_in(&mut self, int8: bool, parts: &[Part], x: Var) -> Vec<Var> {
        if !int8 {
            return parts.iter().map(|&part| self.project(part, x)).collect();
        }
        let (levels, largest) = self.quantised(x);
        let product = |g: &mut Self, &part: &Part| {
            let (_, rows, cols) = matrix(g.shape, part);
            let w = g.baked_int8(part, rows, cols);
            let y = g.conv(levels, w);
            g.b.mul(y, largest)
        };
        parts.iter().map(|part| product(self, part)).collect()
    }

    /// `x / m` in 127 steps a sign, and `m` `[1, 1, 1, s]`.
    fn quantised(&mut self, x: Var) -> (Var, Var) {
        let minus = self.b.scalar(-1.0);
        let negative = self.b.mul(x, minus);
        let magnitude = self.b.maximum(x, negative);
        let largest = self.b.reduce_max(magnitude, &[1]);
        // a token of zeros is divided by something, too
        let tiny = self.b.scalar(f64::from(f32::from(half::f16::MIN_POSITIVE)));
        let largest = self.b.add(largest, tiny);
        let ratio = self.b.real_div(x, largest);
        let step = 1.0 / 127.0;
        let levels = self.b.quantize(ratio, step);
        (self.b.dequantize(levels, step), largest)
    }
}
