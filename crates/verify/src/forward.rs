//! Claims about what a model computes.

use engine::{CpuEngine, DecodeWeights, Decoder, Options, Shape, Walk};

use crate::subject::{Golden, SEQ, floats};
use crate::tamper::{Tampered, windows};
use crate::{Broken, Found, Row, Tamper, World, farthest, within};

pub const CLAIMS: &[Row] = &[
    ("forward/logits", "logits of a released form are those of PyTorch", "6e-5", logits),
    ("forward/loss", "so is the loss", "1e-5 of it", loss),
    ("forward/cache", "decoding with a cache gives the same logits", "6e-5", cache),
    ("forward/threads", "loss and gradients are the same bits whatever the number of threads", "none", threads),
];

fn logits(world: &World<'_>) -> Found {
    let golden = Golden::open(world)?;
    let shape = Shape { rows: 1, seq: SEQ };
    let mut walk = Walk::with_blocks(world.cpu, &golden.spec, shape, Options::INFERENCE, Tampered(world.tamper));
    let mut all = Vec::new();
    for window in windows(&golden.batch()) {
        all.extend(walk.logits(&golden.params, window).map_err(Broken::of)?);
    }
    within(farthest(&all, &floats("logits")?), 6e-5, "off by")
}

fn loss(world: &World<'_>) -> Found {
    let golden = Golden::open(world)?;
    let batch = golden.batch();
    let shape = Shape { rows: batch.rows, seq: SEQ };
    let mut walk = Walk::with_blocks(world.cpu, &golden.spec, shape, Options::INFERENCE, Tampered(world.tamper));
    let found = walk.loss(&golden.params, &batch).map_err(Broken::of)?.mean();
    let expected = f64::from(floats("loss")?.first().copied().unwrap_or(f32::NAN));
    within((found - expected).abs() / expected, 1e-5, &format!("{found:.6}, PyTorch {expected:.6}: off by"))
}

fn cache(world: &World<'_>) -> Found {
    let golden = Golden::open(world)?;
    let (expected, vocab) = (floats("logits")?, golden.spec.vocab);
    let weights = DecodeWeights::borrowed(&golden.spec, &golden.params).map_err(Broken::of)?;
    let mut decoder = Decoder::new(world.cpu, &golden.spec, &weights, SEQ);
    let mut off = 0f64;
    for (fed, piece) in [(0, 5), (5, 1), (6, 19), (25, 1), (26, 6)] {
        let logits = decoder.feed(&golden.tokens[fed..fed + piece]).map_err(Broken::of)?;
        let at = fed + piece - 1;
        off = off.max(farthest(logits, &expected[at * vocab..(at + 1) * vocab]));
    }
    within(off, 6e-5, "off by")
}

fn threads(world: &World<'_>) -> Found {
    let golden = Golden::open(world)?;
    let batch = golden.batch();
    let mut all = Vec::new();
    for threads in [1, 2, 3, 4] {
        let cpu = kernels::Cpu::with_isa(threads, world.cpu.isa());
        let mut engine = CpuEngine::new(&cpu, &golden.spec, Shape { rows: batch.rows, seq: SEQ }, Options::TRAINING);
        let mut grad = vec![0.0; golden.layout.len()];
        let loss = engine.loss_and_grad(&golden.params, &batch, &mut grad, false).map_err(Broken::of)?;
        if world.broken(Tamper::Threads) {
            grad.iter_mut().for_each(|g| *g = *g / threads as f32 * threads as f32);
        }
        all.push((loss.sum.to_bits(), grad.iter().map(|g| g.to_bits()).collect::<Vec<_>>()));
    }
    crate::so(all.windows(2).all(|w| w[0] == w[1]), "1, 2, 3 and 4 threads")
}
