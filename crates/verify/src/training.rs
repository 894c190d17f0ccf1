//! Claims about how weights change, and that nothing of a run is lost.

use std::fs;
use std::time::Duration;

use engine::{CpuEngine, Options, Shape};
use train::Gradient;
use train::checkpoint::{CheckpointError, CheckpointStore, verify};
use train::gradient::{clip_factor, global_norm};
use train::optimizer::{AdamWConfig, Optimizer, OptimizerConfig};
use train::schedule::{Point, Schedule, Shape as Curve, Warmup};

use crate::subject::{Golden, SEQ, floats};
use crate::{Broken, Found, Row, Tamper, World, farthest, so, within};

pub const CLAIMS: &[Row] = &[
    ("training/adamw", "twenty clipped steps of AdamW end at the weights of PyTorch", "1.3e-3", adamw),
    ("training/schedule", "the cosine schedule is the textbook's, warm-up included", "1e-6 of the peak", schedule),
    ("training/resume", "a run that was saved and goes on ends at the weights of one that was never stopped", "none", resume),
    (
        "training/checkpoints",
        "a checkpoint that was damaged anywhere is noticed and passed over for the one before",
        "none",
        checkpoints,
    ),
    ("training/interrupted-save", "a save that fails leaves the checkpoints before it as they were", "none", interrupted),
];

fn adamw(world: &World<'_>) -> Found {
    let golden = Golden::open(world)?;
    let ids = |name| Ok::<Vec<u32>, Broken>(floats(name)?.iter().map(|f| f.to_bits()).collect());
    let (inputs, targets, clip) = (ids("batches")?, ids("batch_targets")?, floats("clip_norm")?);
    let config = OptimizerConfig::AdamW(AdamWConfig { beta1: 0.9, beta2: 0.95, eps: 1e-8 });
    let coupled = world.broken(Tamper::Coupled);
    let mut optimizer = Optimizer::new(config, &golden.layout, if coupled { 0.0 } else { 0.1 });
    let mut engine = CpuEngine::new(world.cpu, &golden.spec, Shape { rows: 2, seq: SEQ }, Options::TRAINING);
    let (mut params, mut grad) = (golden.params.clone(), vec![0.0; golden.layout.len()]);
    for (i, (inputs, targets)) in inputs.chunks(2 * SEQ).zip(targets.chunks(2 * SEQ)).take(20).enumerate() {
        let batch = engine::Batch { rows: 2, seq: SEQ, inputs, targets, starts: None };
        let loss = engine.loss_and_grad(&params, &batch, &mut grad, false).map_err(Broken::of)?;
        let norm = global_norm(world.cpu, &grad) / loss.tokens as f64;
        let clip = f64::from(clip.first().copied().unwrap_or(f32::NAN));
        let scale = (clip_factor(norm, clip) / loss.tokens as f64) as f32;
        if coupled {
            grad.iter_mut().zip(&params).for_each(|(g, w)| *g += 0.1 / scale * w);
        }
        let n = i as i32 + 1;
        let corrections =
            if world.broken(Tamper::Uncorrected) { (1.0 - 0.9f32.powi(n)) / (1.0 - 0.95f32.powi(n)).sqrt() } else { 1.0 };
        optimizer.step(world.cpu, &mut params, &Gradient::Dense { values: &grad, scale }, 3e-3 * corrections);
    }
    let mut off = 0f64;
    for t in golden.layout.tensors() {
        let expected = floats(&format!("final.{}", formats::names::hf(t.id)))?;
        off = off.max(farthest(&params[t.range.clone()], &expected));
    }
    within(off, 1.3e-3, "off by")
}

/// Weights, optimizer and batches of a small run.
struct Run<'w> {
    world: &'w World<'w>,
    golden: Golden,
    params: Vec<f32>,
    optimizer: Optimizer,
}

impl<'w> Run<'w> {
    fn new(world: &'w World<'w>) -> Result<Run<'w>, Broken> {
        let golden = Golden::open(world)?;
        let config = OptimizerConfig::AdamW(AdamWConfig { beta1: 0.9, beta2: 0.95, eps: 1e-8 });
        let optimizer = Optimizer::new(config, &golden.layout, 0.1);
        Ok(Run { world, params: golden.params.clone(), golden, optimizer })
    }

    /// Makes these steps, each on its own part of the tokens.
    fn steps(&mut self, which: std::ops::Range<usize>) -> Result<(), Broken> {
        let mut engine = CpuEngine::new(self.world.cpu, &self.golden.spec, Shape { rows: 1, seq: SEQ }, Options::TRAINING);
        let mut grad = vec![0.0; self.golden.layout.len()];
        let batch = self.golden.batch();
        for step in which {
            let at = step % batch.rows * SEQ;
            let window = at..at + SEQ;
            let (inputs, targets) = (&batch.inputs[window.clone()], &batch.targets[window]);
            let one = engine::Batch { rows: 1, seq: SEQ, inputs, targets, starts: None };
            let loss = engine.loss_and_grad(&self.params, &one, &mut grad, false).map_err(Broken::of)?;
            let gradient = Gradient::Dense { values: &grad, scale: 1.0 / loss.tokens as f32 };
            self.optimizer.step(self.world.cpu, &mut self.params, &gradient, 3e-3);
        }
        Ok(())
    }

    /// Everything of it in a file, whose tensors are named as they are in a checkpoint.
    fn save(&self, path: &std::path::Path) -> Result<(), Broken> {
        let put = |put: &mut dyn FnMut(&str, &[f32])| {
            put("weights", &self.params);
            self.optimizer.visit_state(|name, values| put(name, values));
        };
        formats::safetensors::write_f32(path, put).map_err(Broken::of)
    }

    fn load(&mut self, path: &std::path::Path, updates: u64) -> Result<(), Broken> {
        let bytes = fs::read(path).map_err(Broken::of)?;
        let file = safetensors::SafeTensors::deserialize(&bytes).map_err(Broken::of)?;
        let fill = |name: &str, values: &mut [f32]| {
            let data = file.tensor(name).map_err(Broken::of)?.data();
            let read = data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            values.iter_mut().zip(read).for_each(|(v, r)| *v = r);
            Ok::<(), Broken>(())
        };
        fill("weights", &mut self.params)?;
        if self.world.tamper == Some(Tamper::Resume) {
            return Ok(());
        }
        self.optimizer.load_state(updates, fill)
    }
}

fn resume(world: &World<'_>) -> Found {
    let (mut whole, mut before, mut after) = (Run::new(world)?, Run::new(world)?, Run::new(world)?);
    whole.steps(0..8)?;
    before.steps(0..4)?;
    let path = world.scratch.join("resume.safetensors");
    before.save(&path)?;
    after.load(&path, 4)?;
    after.steps(4..8)?;
    let moved = farthest(&whole.params, &whole.golden.params) > 0.0;
    let same = whole.params.iter().zip(&after.params).all(|(a, b)| a.to_bits() == b.to_bits());
    so(moved && same, format!("8 steps against 4 and 4: farthest {:.1e}", farthest(&whole.params, &after.params)))
}

fn schedule(world: &World<'_>) -> Found {
    let (peak, warm, all, low) = (3e-4f32, 10u64, 200u64, 0.1);
    let schedule = Schedule { peak, shape: Curve::Cosine, warmup: Warmup::Steps(warm), min_lr_ratio: low };
    let mut off = 0f64;
    for step in 0..all {
        let share = |n: u64| n as f64 / all as f64;
        let horizon = if world.broken(Tamper::Horizon) { 500.0 } else { 1.0 };
        let point = Point {
            step,
            elapsed: Duration::ZERO,
            step_time: Duration::ZERO,
            progress: share(step) / horizon,
            after: share(step + 1) / horizon,
        };
        let expected = if step < warm {
            (step + 1) as f64 / warm as f64
        } else {
            let t = (share(step) - share(warm)) / (1.0 - share(warm));
            low + (1.0 - low) * 0.5 * (1.0 + (std::f64::consts::PI * t).cos())
        };
        // the warm-up ends where annealing begins: one step is both
        if step != warm {
            off = off.max((f64::from(schedule.lr(&point)) / f64::from(peak) - expected).abs());
        }
    }
    within(off, 1e-6, "off by")
}

fn store(world: &World<'_>, name: &str) -> Result<CheckpointStore, Broken> {
    let mut store = CheckpointStore::open(&world.scratch.join(name)).map_err(Broken::of)?;
    for step in [10, 20] {
        let write = |dir: &std::path::Path| -> Result<(), CheckpointError> {
            let files = [("model.safetensors", 4000), ("config.json", 300), ("trainer/state.json", 200)];
            for (file, size) in files {
                let path = dir.join(file);
                let folder = path.parent().unwrap_or(dir);
                let bytes: Vec<u8> = (0..size).map(|i| (i as u64 * step % 251) as u8).collect();
                let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, bytes));
                written.map_err(|_| CheckpointError::Missing { path, expected: "a file that was written" })?;
            }
            Ok(())
        };
        store.save(step, write).map_err(Broken::of)?;
    }
    Ok(store)
}

fn checkpoints(world: &World<'_>) -> Found {
    let mut noticed = 0;
    let damages: [fn(&mut Vec<u8>); 4] = [
        |b| b[0] ^= 1,
        |b| {
            let last = b.len() - 1;
            b[last] ^= 128
        },
        |b| b.truncate(b.len() / 2),
        |b| b.push(0),
    ];
    for (i, damage) in damages.into_iter().enumerate() {
        for (j, file) in ["model.safetensors", "config.json", "trainer/state.json"].into_iter().enumerate() {
            let store = store(world, &format!("damaged-{i}-{j}"))?;
            let path = store.path_of(20).join(file);
            let mut bytes = fs::read(&path).map_err(Broken::of)?;
            damage(&mut bytes);
            fs::write(&path, bytes).map_err(Broken::of)?;
            let loaded = store.load_last().map_err(Broken::of)?;
            let found = if world.broken(Tamper::Manifest) { 20 } else { loaded.step };
            noticed += usize::from(found == 10 && loaded.skipped.len() == 1 && verify(&store.path_of(20)).is_err());
        }
    }
    so(noticed == 12, format!("{noticed} of 12 damages"))
}

fn interrupted(world: &World<'_>) -> Found {
    let mut store = store(world, "interrupted")?;
    let failing = |dir: &std::path::Path| -> Result<(), CheckpointError> {
        let path = dir.join("model.safetensors");
        Err(CheckpointError::Missing { path, expected: "room on the disk" })
    };
    let refused = store.save(30, failing).is_err();
    if world.broken(Tamper::InPlace) {
        fs::create_dir(store.path_of(30)).map_err(Broken::of)?;
    }
    let loaded = store.load_last().map_err(Broken::of)?;
    let left = store.steps().map_err(Broken::of)?;
    so(refused && loaded.step == 20 && left == [10, 20], format!("steps {left:?}, the last is {}", loaded.step))
}
