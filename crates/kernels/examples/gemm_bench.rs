//! Speed of the matrix products of a training step and of decoding, as a share of the measured peak.
//!
//! `cargo run --release -p kernels --example gemm_bench -- [THREADS] [ISA] [TOKENS] [VOCABULARY]`

use std::time::{Duration, Instant};

use kernels::ceilings;
use kernels::gemm::{Cpu, Isa, MatRef};

struct Shape {
    name: String,
    m: usize,
    n: usize,
    k: usize,
    a_transposed: bool,
    b_transposed: bool,
}

/// The three products of a linear layer [inputs] -> [outputs] over `tokens`.
fn layer(tokens: usize, inputs: usize, outputs: usize) -> [Shape; 3] {
    let shape = |name: &str, m, n, k, a_transposed, b_transposed| Shape {
        name: format!("{name} {tokens} x {inputs} -> {outputs}"),
        m,
        n,
        k,
        a_transposed,
        b_transposed,
    };
    [
        shape("fwd", tokens, outputs, inputs, false, true),
        shape("dx ", tokens, inputs, outputs, false, false),
        shape("dw ", outputs, inputs, tokens, true, false),
    ]
}

fn view(data: &[f32], rows: usize, cols: usize, transposed: bool) -> MatRef<'_> {
    if transposed { MatRef::new(data, cols, rows).t() } else { MatRef::new(data, rows, cols) }
}

/// Median and best seconds of a product.
fn seconds(cpu: &Cpu, shape: &Shape) -> (f64, f64) {
    let &Shape { m, n, k, .. } = shape;
    let fill = |len: usize| -> Vec<f32> { (0..len).map(|i| (i % 13) as f32 - 6.0).collect() };
    let (a, b, mut c) = (fill(m * k), fill(k * n), vec![0.0; m * n]);
    let (a, b) = (view(&a, m, k, shape.a_transposed), view(&b, k, n, shape.b_transposed));
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 7 || (begin.elapsed() < Duration::from_millis(300) && times.len() < 1000) {
        let start = Instant::now();
        cpu.gemm(&mut c, n, a, b, false);
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[0])
}

fn report(name: &str, flops: f64, median: f64, best: f64, peak: f64) {
    let [median, best] = [median, best].map(|seconds| flops / seconds / 1e9);
    let [median_share, best_share] = [median, best].map(|speed| 100.0 * speed / peak);
    println!("{name:28} median {median:6.1} GFLOP/s {median_share:5.1}%  best {best:6.1} {best_share:5.1}% of peak");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default| arguments.get(i).map_or(Ok(default), |text| text.parse());
    let (threads, tokens, vocabulary) = (number(0, 2)?, number(2, 1280)?, number(3, 16893)?);
    let cpu = Cpu::with_isa(threads, Isa::detect(arguments.get(1).map(String::as_str))?);
    let peak = ceilings::fma_gflops(&cpu, Duration::from_millis(500));
    println!("{} threads, {}: peak {peak:.0} GFLOP/s", cpu.pool().threads(), cpu.isa().name());
    let (mut flops, mut total, mut total_best) = (0.0, 0.0, 0.0);
    for (inputs, outputs) in [(512, 512), (512, 1408), (1408, 512), (512, vocabulary)] {
        for shape in layer(tokens, inputs, outputs) {
            let (median, best) = seconds(&cpu, &shape);
            let work = 2.0 * (shape.m * shape.n * shape.k) as f64;
            report(&shape.name, work, median, best, peak);
            flops += work;
            total += median;
            total_best += best;
        }
    }
    report("all, by work", flops, total, total_best, peak);
    let shape = Shape { name: String::new(), m: 1, n: vocabulary, k: 512, a_transposed: false, b_transposed: true };
    let (median, best) = seconds(&cpu, &shape);
    let bytes = 4.0 * (shape.n * shape.k) as f64;
    let read = ceilings::read_gbps(cpu.pool(), Duration::from_millis(500));
    let [median, best] = [median, best].map(|seconds| bytes / seconds / 1e9);
    println!("row x [512, {vocabulary}]: {median:.1} {best:.1} GB/s of weights; memory reads {read:.1} GB/s");
    Ok(())
}
