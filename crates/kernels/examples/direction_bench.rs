//! Nanoseconds an element of a random direction, on one thread and on all. `cargo run --release --example direction_bench`.

use std::time::Instant;

use kernels::direction::{Distribution, Noise};
use kernels::{Cpu, Isa};

fn main() {
    let n = 1 << 24;
    let mut out = vec![0.0f32; n];
    for threads in [1, 2] {
        for isa in Isa::available() {
            let cpu = Cpu::with_isa(threads, isa);
            for distribution in [Distribution::Rademacher, Distribution::Gaussian] {
                let noise = Noise { seed: 1, distribution, isa };
                let mut best = f64::INFINITY;
                for _ in 0..7 {
                    let began = Instant::now();
                    cpu.pool().chunks_mut(&mut out, 16_384, |i, out| {
                        let mut z = [0.0; 2048];
                        for (j, out) in out.chunks_mut(2048).enumerate() {
                            noise.fill(i * 16_384 + j * 2048, &mut z);
                            out.iter_mut().zip(&z).for_each(|(w, z)| *w += 1e-3 * z);
                        }
                    });
                    best = best.min(began.elapsed().as_secs_f64());
                }
                println!("{threads} threads, {:8} {distribution:?}: {:.3} ns", isa.name(), best * 1e9 / n as f64);
            }
        }
    }
}
