//! SwiGLU: `act = silu(gate) * up`, `silu(g) = g * sigmoid(g)` (Shazeer, arXiv 2002.05202).
//!
//! Backward: `dup = dact * silu(g)`, `dgate = dact * up * s * (1 + g (1 - s))` with `s = sigmoid(g)`.
//! Gate and up lie side by side: `gu[n, 2 ff]`.

use std::array::{from_mut, from_ref};

use crate::Cpu;
use crate::math::sigmoid;
use crate::simd::{LANES, multiversion};

const ROWS: usize = 8;

/// `act[n, ff]` from `gu[n, 2 ff]`.
pub fn swiglu(cpu: &Cpu, act: &mut [f32], gu: &[f32], ff: usize) {
    cpu.pool().chunks_mut(act, ROWS * ff, |i, act| {
        let at = i * ROWS * 2 * ff;
        forward_rows(cpu.isa(), act, &gu[at..at + 2 * act.len()], ff);
    });
}

/// `gu[n, 2 ff]` becomes its own gradient, from `dact[n, ff]`.
pub fn swiglu_backward(cpu: &Cpu, gu: &mut [f32], dact: &[f32], ff: usize) {
    cpu.pool().chunks_mut(gu, ROWS * 2 * ff, |i, gu| {
        let at = i * ROWS * ff;
        backward_rows(cpu.isa(), gu, &dact[at..at + gu.len() / 2], ff);
    });
}

multiversion! {
    fn forward_rows(act: &mut [f32], gu: &[f32], ff: usize) {
        for (act, gu) in act.chunks_exact_mut(ff).zip(gu.chunks_exact(2 * ff)) {
            let (gate, up) = gu.split_at(ff);
            for ((a, g), u) in act.iter_mut().zip(gate).zip(up) {
                *a = g * sigmoid(*g) * u;
            }
        }
    }
}

multiversion! {
    fn backward_rows(gu: &mut [f32], dact: &[f32], ff: usize) {
        for (gu, dact) in gu.chunks_exact_mut(2 * ff).zip(dact.chunks_exact(ff)) {
            let (gate, up) = gu.split_at_mut(ff);
            let ((gates, _), (ups, _), (dacts, _)) = (gate.as_chunks_mut::<LANES>(), up.as_chunks_mut::<LANES>(), dact.as_chunks::<LANES>());
            for ((g, u), da) in gates.iter_mut().zip(ups).zip(dacts) {
                backward_lanes(g, u, da);
            }
            let whole = ff / LANES * LANES;
            for ((g, u), da) in gate[whole..].iter_mut().zip(&mut up[whole..]).zip(&dact[whole..]) {
                backward_lanes(from_mut(g), from_mut(u), from_ref(da));
            }
        }
    }
}

/// Gate and up become their gradients. A constant count: LLVM does not see that the three of a longer loop are disjoint.
#[inline(always)]
fn backward_lanes<const N: usize>(gate: &mut [f32; N], up: &mut [f32; N], dact: &[f32; N]) {
    let (x, u) = (*gate, *up);
    for l in 0..N {
        let s = sigmoid(x[l]);
        gate[l] = dact[l] * u[l] * s * (1.0 + x[l] * (1.0 - s));
        up[l] = dact[l] * x[l] * s;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradient_is_that_of_the_formula() {
        for ff in [1, 15, 16, 37, 64] {
            let cpu = Cpu::new(2);
            let gu: Vec<f32> = (0..9 * 2 * ff).map(|i| (i * 37 % 23) as f32 * 0.3 - 3.0).collect();
            let dact: Vec<f32> = (0..9 * ff).map(|i| (i * 29 % 17) as f32 * 0.2 - 1.5).collect();
            let mut grad = gu.clone();
            swiglu_backward(&cpu, &mut grad, &dact, ff);
            for (i, &da) in dact.iter().enumerate() {
                let at = i / ff * 2 * ff + i % ff;
                let (g, u, da) = (f64::from(gu[at]), f64::from(gu[at + ff]), f64::from(da));
                let s = 1.0 / (1.0 + (-g).exp());
                let (dgate, dup) = (da * u * s * (1.0 + g * (1.0 - s)), da * g * s);
                assert!((f64::from(grad[at]) - dgate).abs() < 1e-5, "gate {i} of {ff}");
                assert!((f64::from(grad[at + ff]) - dup).abs() < 1e-5, "up {i} of {ff}");
            }
        }
    }
}
