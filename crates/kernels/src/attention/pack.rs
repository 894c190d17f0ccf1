//! Copies of keys and values in the order in which products read them.

use super::PANEL;
use crate::simd::multiversion;

multiversion! {
    /// `x[t, hd]`, rows `stride` apart, transposed in panels of [`PANEL`] rows: `out[t / PANEL, hd, PANEL]`. What stands in
    /// the last panel beyond `t` is left as it was.
    pub(super) fn panels(out: &mut [f32], x: &[f32], stride: usize, t: usize, hd: usize) {
        for (p, panel) in out.chunks_exact_mut(PANEL * hd).enumerate() {
            for j in 0..PANEL.min(t - p * PANEL) {
                let row = &x[(p * PANEL + j) * stride..][..hd];
                for (to, x) in panel[j..].iter_mut().step_by(PANEL).zip(row) {
                    *to = *x;
                }
            }
        }
    }
}

/// Rows of `hd` values that are `stride` apart in `x`, one after the other, as many as `out` holds.
pub(super) fn rows(out: &mut [f32], x: &[f32], stride: usize, hd: usize) {
    for (out, x) in out.chunks_exact_mut(hd).zip(x.chunks(stride)) {
        out.copy_from_slice(&x[..hd]);
    }
}
