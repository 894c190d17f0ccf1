//! Speed of a training step (loss and gradient) of a preset, as a share of the measured peak.
//!
//! `cargo run --release -p engine --example step_bench -- [PRESET] [VOCABULARY] [SEQUENCE] [WINDOWS] [THREADS] [STEPS]`

use std::time::{Duration, Instant};

use engine::{Batch, CpuEngine, Options, Shape, init};
use kernels::{Cpu, ceilings};
use model::{Layout, flops_per_token, preset};

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, default: usize| arguments.get(i).map_or(Ok(default), |text| text.parse());
    let name = arguments.first().map_or("stories-1m", String::as_str);
    let spec = preset(name).ok_or(format!("no preset is called {name}"))?.spec.with_vocab(number(1, 2959)?);
    let (seq, rows, threads, steps) = (number(2, 256)?, number(3, 8)?, number(4, 2)?, number(5, 11)?);
    let cpu = Cpu::new(threads);
    let layout = Layout::of(&spec);
    let params = init(&spec, &layout, 1);
    let mut grad = vec![0.0; params.len()];
    let mut engine = CpuEngine::new(&cpu, &spec, Shape { rows, seq }, Options::TRAINING);
    let ids: Vec<u32> = (0..=rows * seq).map(|i| (i * 7919 % spec.vocab) as u32).collect();
    let batch = Batch { rows, seq, inputs: &ids[1..], targets: &ids[..rows * seq], starts: None };
    let (mut losses, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..steps.max(1) {
        let start = Instant::now();
        engine.loss(&params, &batch)?;
        losses.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        engine.loss_and_grad(&params, &batch, &mut grad, false)?;
        whole.push(start.elapsed().as_secs_f64());
    }
    let peak = ceilings::fma_gflops(&cpu, Duration::from_millis(500));
    let flops = flops_per_token(&spec, seq);
    println!("{name}, {rows} x {seq} tokens, {threads} threads, {}: peak {peak:.0} GFLOP/s", cpu.isa().name());
    for (what, times, flops) in [("loss", &mut losses, flops.forward), ("loss and gradient", &mut whole, flops.train)] {
        let (median, best) = (median(times), times[0]);
        let [speed, best_speed] = [median, best].map(|time| flops * (rows * seq) as f64 / time / 1e9);
        let [median, best, share] = [1e3 * median, 1e3 * best, 100.0 * speed / peak];
        println!(
            "{what:18} median {median:7.2} ms {speed:6.1} GFLOP/s {share:5.1}%  best {best:7.2} ms {best_speed:6.1} GFLOP/s"
        );
    }
    Ok(())
}
