//! Forward against the definition, backward against finite differences, both in f64.
#![allow(clippy::unwrap_used)]

use super::tile::{Strided, tile};
use super::*;
use crate::Isa;

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
    for isa in Isa::available() {
        check_on(Cpu::with_isa(2, isa), a, rows);
    }
}

fn check_on(cpu: Cpu, a: &Attention<'_>, rows: usize) {
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
    for i in (0..qkv.len()).step_by((qkv.len() / 60).max(37)) {
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
fn longer_than_a_block_of_keys() {
    check(&Attention { t: 170, heads: 2, kv_heads: 1, head_dim: 6, window: usize::MAX, starts: None }, 1);
    check(&Attention { t: 200, heads: 1, kv_heads: 1, head_dim: 4, window: 140, starts: None }, 1);
    let starts: Vec<u32> = (0..180).map(|i| if i < 140 { 0 } else { 140 }).collect();
    check(&Attention { t: 180, heads: 1, kv_heads: 1, head_dim: 4, window: usize::MAX, starts: Some(&starts) }, 1);
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

#[test]
fn tiles_of_every_instruction_set() {
    let shapes = [(1, 1, 1), (3, 17, 5), (7, 16, 9), (8, 32, 4), (12, 16, 3), (13, 33, 20), (15, 50, 1), (32, 64, 33)];
    for isa in Isa::available() {
        for ((m, n, k), form) in shapes.into_iter().flat_map(|shape| (0..4).map(move |form| (shape, form))) {
            let (turned, accumulate) = (form & 1 != 0, form & 2 != 0);
            let (a, b, before) = (values(m * k, 1), values(k * (n + 3), 2), values(m * (n + 2), 3));
            let (row, col) = if turned { (1, m) } else { (k, 1) };
            let mut c = before.clone();
            tile(isa, &mut c, n + 2, Strided { data: &a, row, col }, &b, n + 3, m, n, k, accumulate);
            for (at, (&got, &was)) in c.iter().zip(&before).enumerate() {
                let (i, j) = (at / (n + 2), at % (n + 2));
                let sum: f32 = (0..k).map(|p| a[i * row + p * col] * b[p * (n + 3) + j.min(n)]).sum();
                let want = if j >= n { was } else { sum + if accumulate { was } else { 0.0 } };
                assert!((got - want).abs() <= 1e-5 * (1.0 + k as f32), "{}: {m} {n} {k} {form} at ({i}, {j})", isa.name());
            }
        }
    }
}
