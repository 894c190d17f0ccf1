//! Speed of attention, forward and backward, for each instruction set that this processor has:
//! `cargo run --release -p kernels --example attention_bench -- [WINDOW] [ROWS] [HEADS] [KEY HEADS] [HEAD WIDTH] [THREADS] [ROUNDS]`
#![allow(missing_docs)]

use std::time::Instant;

use kernels::attention::{Attention, attention, attention_backward};
use kernels::noise::Philox;
use kernels::{Cpu, Isa};

/// Median and best.
fn of(mut times: Vec<f64>) -> [f64; 2] {
    times.sort_by(f64::total_cmp);
    [times[times.len() / 2], times[0]]
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let number = |i: usize, default: usize| numbers.get(i).copied().unwrap_or(default);
    let (t, rows, heads, kv_heads, head_dim) = (number(0, 2048), number(1, 1), number(2, 8), number(3, 2), number(4, 64));
    let (threads, rounds) = (number(5, 2), number(6, 9));
    let a = Attention { t, heads, kv_heads, head_dim, window: usize::MAX, starts: None };
    let (n, q, stride) = (rows * t, heads * head_dim, (heads + 2 * kv_heads) * head_dim);
    let noise = |len, stream| {
        let mut values = vec![0.0; len];
        Philox::new(1, stream).fill_normal(&mut values, 0);
        values
    };
    let (qkv, doo) = (noise(n * stride, 1), noise(n * q, 2));
    let (mut o, mut lse, mut dqkv) = (vec![0.0; n * q], vec![0.0; n * heads], vec![0.0; n * stride]);
    // products of the pairs that a causal window needs: two forward, five backward
    let pairs = 2.0 * (rows * heads * head_dim) as f64 * (t * (t + 1) / 2) as f64;
    for isa in [Isa::Avx512, Isa::Avx2, Isa::Neon].into_iter().filter(|isa| isa.is_available()) {
        let cpu = Cpu::with_isa(threads, isa);
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        for _ in 0..rounds.max(1) {
            let start = Instant::now();
            attention(&cpu, &a, &mut o, &mut lse, &qkv);
            forward.push(start.elapsed().as_secs_f64());
            let start = Instant::now();
            attention_backward(&cpu, &a, &mut dqkv, &doo, &o, &lse, &qkv);
            backward.push(start.elapsed().as_secs_f64());
        }
        let rate = |products: f64, seconds: f64| products * pairs / seconds / 1e9;
        print!("{rows} x {t}, {heads} heads over {kv_heads} of {head_dim}, {threads} threads, {:6}:", isa.name());
        for (what, times, products) in [("forward", forward, 2.0), ("backward", backward, 5.0)] {
            let [median, best] = of(times);
            let [ms, best_ms] = [1e3 * median, 1e3 * best];
            print!(
                " {what} median {ms:7.2} ms {:5.1} GFLOP/s, best {best_ms:7.2} ms {:5.1} GFLOP/s;",
                rate(products, median),
                rate(products, best)
            );
        }
        println!();
    }
}
