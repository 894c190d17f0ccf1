//! Milliseconds of each kernel of a pipeline on the simulator, and what its products alone would take:
//! `cargo run --release -p ane --example simulator_bench -- [PRESET] [PIPELINE] [SEQ] [THREADS]`.

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use ane::kernels::set;
use ane::kernels::weights::{Model, file};
use ane::{BlockShape, Device, Kernel, Pipeline, PipelineOptions, Profile, Simulator, Source};
use kernels::Cpu;
use kernels::gemm::MatRef;
use model::Layout;

const ROUNDS: usize = 5;

fn best_ms<E>(mut f: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        f()?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(best)
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |i: usize, default: &'static str| words.get(i).map_or(default, String::as_str).to_owned();
    let spec = model::preset(&word(0, "stories110m")).ok_or("no such preset")?.spec;
    let pipeline = word(1, "dynamic").parse::<Pipeline>()?;
    let (seq, threads) = (word(2, "256").parse()?, word(3, "2").parse()?);
    let layout = Layout::of(&spec);
    let params = vec![0.01; layout.len()];
    let model = Model { spec: &spec, layout: &layout, params: &params, seq };
    let cpu = Arc::new(Cpu::new(threads));
    let sim = Simulator::on(Profile::default(), cpu.clone());

    let n = 768;
    let (a, mut c) = (vec![0.5; n * n], vec![0.0; n * n]);
    let ms = best_ms(|| -> Result<(), Box<dyn Error>> {
        cpu.gemm(&mut c, n, MatRef::new(&a, n, n), MatRef::new(&a, n, n), false);
        Ok(())
    })?;
    let flops_ms = 2.0 * (n * n * n) as f64 / ms;
    println!("{:<20} {:>9} {:>9} {:>9}", "kernel", "compile", "evaluate", "products");
    for kernel in set(&PipelineOptions::of(pipeline), &BlockShape::of(&spec, seq))?.specs {
        let blobs: Vec<(String, Vec<u8>)> =
            kernel.baked.iter().map(|(path, what)| (path.clone(), file(*what, &model, 0))).collect();
        let text = kernel.program.to_string();
        let start = Instant::now();
        let loaded = sim.compile(&Source { name: kernel.name, text: &text, blobs: &blobs })?;
        let compile = start.elapsed().as_secs_f64() * 1e3;
        let surfaces = |ports: &[ane::Port]| ports.iter().map(|p| sim.surface(p.surface_bytes)).collect::<Result<Vec<_>, _>>();
        let request = loaded.request(&surfaces(loaded.inputs())?, &surfaces(loaded.outputs())?)?;
        let evaluate = best_ms(|| loaded.evaluate(&request))?;
        println!("{:<20} {compile:>9.2} {evaluate:>9.2} {:>9.2}", kernel.name, kernel.flops / flops_ms);
    }
    Ok(())
}
