//! Forward against the definition, backward against finite differences, both in f64.
#![allow(clippy::unwrap_used)]

use super::*;

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// `o[b t, q]` by the definition.
fn reference(a: &Attention<'_>, qkv: &[f64]) -> Vec<f64> {
    let (stride, hd, rows) = (a.stride(), a.head_dim, qkv.len() / (a.t * a.stride()));
    let mut o = vec![0.0; rows * a.t * a.q_dim()];
    let at = |b: usize, t: usize, col: usize| (b * a.t + t) * stride + col;
    for b in 0..rows {
        for h in 0..a.heads {
            let kv = h / (a.heads / a.kv_heads);
            for i in 0..a.t {
                let score = |j: usize| {
                    let dot: f64 = (0..hd).map(|c| qkv[at(b, i, h * hd + c)] * qkv[at(b, j, a.q_dim() + kv * hd + c)]).sum();
                    (dot / (hd as f64).sqrt()).exp()
                };
                let seen: Vec<(usize, f64)> = (a.lo(b, i)..=i).map(|j| (j, score(j))).collect();
                let sum: f64 = seen.iter().map(|s| s.1).sum();
                for (j, p) in seen {
                    for c in 0..hd {
                        let v = qkv[at(b, j, a.q_dim() + (a.kv_heads + kv) * hd + c)];
                        o[(b * a.t + i) * a.q_dim() + h * hd + c] += p / sum * v;
                    }
                }
            }
        }
    }
    o
}

fn check(a: &Attention<'_>, rows: usize) {
    let cpu = Cpu::new(2);
    let qkv = values(rows * a.t * a.stride(), 7);
    let (mut o, mut lse) = (vec![0.0; rows * a.t * a.q_dim()], vec![0.0; rows * a.t * a.heads]);
    attention(&cpu, a, &mut o, &mut lse, &qkv);
    let wide: Vec<f64> = qkv.iter().map(|&x| f64::from(x)).collect();
    for (x, y) in o.iter().zip(reference(a, &wide)) {
        assert!((f64::from(*x) - y).abs() < 1e-5, "{x} {y}");
    }
    let doo = values(o.len(), 9);
    let mut dqkv = vec![f32::NAN; qkv.len()];
    attention_backward(&cpu, a, &mut dqkv, &doo, &o, &lse, &qkv);
    let objective = |x: &[f64]| -> f64 { reference(a, x).iter().zip(&doo).map(|(o, d)| o * f64::from(*d)).sum() };
    for i in (0..qkv.len()).step_by(37) {
        let mut x = wide.clone();
        x[i] += 1e-4;
        let up = objective(&x);
        x[i] -= 2e-4;
        let slope = (up - objective(&x)) / 2e-4;
        assert!((f64::from(dqkv[i]) - slope).abs() < 2e-4, "at {i}: {} against {slope}", dqkv[i]);
    }
}

#[test]
fn causal_multi_head() {
    check(&Attention { t: 7, heads: 2, kv_heads: 2, head_dim: 6, window: usize::MAX, starts: None }, 2);
}

#[test]
fn grouped_heads_longer_than_a_block() {
    check(&Attention { t: 45, heads: 4, kv_heads: 2, head_dim: 8, window: usize::MAX, starts: None }, 1);
}

#[test]
fn sliding_window_and_documents() {
    let starts: Vec<u32> = (0..40).map(|i| if i < 13 { 0 } else { 13 }).collect();
    check(&Attention { t: 40, heads: 2, kv_heads: 1, head_dim: 16, window: 9, starts: Some(&starts) }, 1);
    check(&Attention { t: 40, heads: 2, kv_heads: 1, head_dim: 16, window: usize::MAX, starts: Some(&starts) }, 1);
}

#[test]
fn bits_do_not_depend_on_threads() {
    let a = Attention { t: 33, heads: 6, kv_heads: 3, head_dim: 32, window: usize::MAX, starts: None };
    let qkv = values(3 * a.t * a.stride(), 3);
    let run = |threads| {
        let cpu = Cpu::new(threads);
        let (mut o, mut lse) = (vec![0.0; 3 * a.t * a.q_dim()], vec![0.0; 3 * a.t * a.heads]);
        attention(&cpu, &a, &mut o, &mut lse, &qkv);
        let mut dqkv = vec![0.0; qkv.len()];
        attention_backward(&cpu, &a, &mut dqkv, &o, &o, &lse, &qkv);
        dqkv
    };
    assert_eq!(run(1), run(3));
}
