//! What this machine can do at most: multiply-adds and memory traffic, measured.
//!
//! Each figure is the best of many short runs: a ceiling is what a quiet machine reaches, and a neighbour only ever
//! slows a run down.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::gemm::{Cpu, Isa, MatRef};
use crate::pool::Pool;

mod fma;

/// Floats of an array whose traffic is measured: 64 MiB each, beyond the caches of most machines.
const STREAM: usize = 16 << 20;
/// Elements that a task streams over.
const CHUNK: usize = 256 << 10;
/// Side of the square product that stands for the peak where the multiply-adds are not ours.
const SIDE: usize = 1024;

/// The measured ceilings of a number of threads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceilings {
    /// Threads that took part.
    pub threads: usize,
    /// The instruction set of the multiply-adds.
    pub isa: Isa,
    /// 1e9 floating-point operations a second, a multiply-add counted as two.
    pub fma_gflops: f64,
    /// 1e9 bytes read from memory a second.
    pub read_gbps: f64,
    /// 1e9 bytes a second of a = b + s c, three arrays, 12 bytes an element.
    pub triad_gbps: f64,
}

/// Measures all ceilings with the threads and the instruction set of `cpu`, each for about `time`.
pub fn measure(cpu: &Cpu, time: Duration) -> Ceilings {
    Ceilings {
        threads: cpu.pool().threads(),
        isa: cpu.isa(),
        fma_gflops: fma_gflops(cpu, time),
        read_gbps: read_gbps(cpu.pool(), time),
        triad_gbps: triad_gbps(cpu.pool(), time),
    }
}

/// The peak of fp32 multiply-adds, in 1e9 operations a second: registers only, enough chains to hide the latency.
///
/// Where Accelerate takes the products it is the speed of a large one, for its units cannot be driven directly.
pub fn fma_gflops(cpu: &Cpu, time: Duration) -> f64 {
    if cpu.isa() == Isa::Accelerate {
        return product_gflops(cpu, time);
    }
    let threads = cpu.pool().threads();
    let steps = 100_000;
    let best = best_seconds(time, || {
        cpu.pool().run(threads, &|_| {
            black_box(fma::chains(cpu.isa(), black_box(steps)));
        });
    });
    threads as f64 * fma::flops(cpu.isa(), steps) / best / 1e9
}

fn product_gflops(cpu: &Cpu, time: Duration) -> f64 {
    let (a, mut c) = (vec![0.5; SIDE * SIDE], vec![0.0; SIDE * SIDE]);
    let a = MatRef::new(&a, SIDE, SIDE);
    let best = best_seconds(time, || cpu.gemm(&mut c, SIDE, a, a, false));
    2.0 * (SIDE as f64).powi(3) / best / 1e9
}

/// Bandwidth of reading one array, in 1e9 bytes a second.
pub fn read_gbps(pool: &Pool, time: Duration) -> f64 {
    let data = vec![1.0f32; STREAM];
    let best = best_seconds(time, || {
        pool.run(STREAM / CHUNK, &|i| {
            black_box(sum(&data[i * CHUNK..][..CHUNK]));
        });
    });
    4.0 * STREAM as f64 / best / 1e9
}

/// Bandwidth of a = b + s c, in 1e9 bytes a second, counted as 12 bytes an element.
pub fn triad_gbps(pool: &Pool, time: Duration) -> f64 {
    let (mut a, b, c) = (vec![0.0f32; STREAM], vec![1.0f32; STREAM], vec![2.0f32; STREAM]);
    let best = best_seconds(time, || {
        pool.chunks_mut(&mut a, CHUNK, |i, a| {
            let (b, c) = (&b[i * CHUNK..][..a.len()], &c[i * CHUNK..][..a.len()]);
            for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                *a = b + 0.5 * c;
            }
        });
        black_box(&mut a);
    });
    12.0 * STREAM as f64 / best / 1e9
}

fn sum(data: &[f32]) -> [f32; 32] {
    let mut sums = [0.0; 32];
    for part in data.as_chunks::<32>().0 {
        for (sum, x) in sums.iter_mut().zip(part) {
            *sum += x;
        }
    }
    sums
}

/// The shortest of the runs that fit into `time`, in seconds; at least three.
fn best_seconds(time: Duration, mut run: impl FnMut()) -> f64 {
    run();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    let mut runs = 0;
    while runs < 3 || begin.elapsed() < time {
        let start = Instant::now();
        run();
        best = best.min(start.elapsed().as_secs_f64());
        runs += 1;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_are_plausible() {
        let ceilings = measure(&Cpu::new(1), Duration::from_millis(20));
        assert_eq!(ceilings.threads, 1);
        assert!(ceilings.fma_gflops > 1.0 && ceilings.fma_gflops < 1e5, "{ceilings:?}");
        assert!(ceilings.read_gbps > 0.1 && ceilings.read_gbps < 1e4, "{ceilings:?}");
        assert!(ceilings.triad_gbps > 0.1 && ceilings.triad_gbps < 1e4, "{ceilings:?}");
    }

    #[test]
    fn no_product_beats_the_peak() {
        let cpu = Cpu::new(1);
        // A neighbour may slow down one measurement and not the other: one fair comparison is enough.
        let fair = (0..8).any(|_| {
            let peak = fma_gflops(&cpu, Duration::from_millis(50));
            product_gflops(&cpu, Duration::from_millis(20)) < peak * 1.05
        });
        assert!(fair, "every product beat the peak: the chains do not reach it");
    }
}
