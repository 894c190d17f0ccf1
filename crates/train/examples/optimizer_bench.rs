//! Milliseconds of an optimizer step: `cargo run --release -p train --example optimizer_bench [threads]`.
//!
//! AdamW, SGD and Muon on stories-36m with 16,893 trained ids (one row a thread count), the norm of the gradient, and the
//! bandwidth that AdamW's seven streams of floats amount to.
#![allow(missing_docs)]

use std::time::Instant;

use kernels::gemm::Cpu;
use model::{Layout, preset};
use train::Gradient;
use train::gradient::global_norm;
use train::optimizer::{AdamWConfig, Optimizer, OptimizerConfig};

/// Median milliseconds of `rounds` calls.
fn median(rounds: usize, mut f: impl FnMut()) -> f64 {
    f();
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let most = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(2);
    let Some(preset) = preset("stories-36m") else { return };
    let layout = Layout::of(&preset.spec.with_vocab(16_893));
    let n = layout.len();
    let gradient = vec![1e-3f32; n];
    let dense = Gradient::Dense { values: &gradient, scale: 0.5 };
    let configs = [
        ("adamw", OptimizerConfig::AdamW(AdamWConfig::default()), 15),
        ("sgd", OptimizerConfig::Sgd { momentum: 0.0 }, 15),
        ("muon", OptimizerConfig::muon(), 3),
    ];
    println!("stories-36m, {n} parameters");
    for threads in 1..=most {
        let cpu = Cpu::new(threads);
        println!(
            "{threads} threads: norm {:.1} ms",
            median(15, || {
                std::hint::black_box(global_norm(&cpu, &gradient));
            })
        );
        for (name, config, rounds) in configs {
            let mut params = vec![0.02f32; n];
            let mut optimizer = Optimizer::new(config, &layout, 0.1);
            let ms = median(rounds, || optimizer.step(&cpu, &mut params, &dense, 1e-4));
            println!("{threads} threads: {name} {ms:.1} ms, {:.2} ms a million parameters", ms * 1e6 / n as f64);
            if name == "adamw" {
                println!("{threads} threads: {name} moves {:.1} GB/s", 28.0 * n as f64 / ms / 1e6);
            }
        }
    }
}
