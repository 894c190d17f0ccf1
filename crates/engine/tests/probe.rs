//! Losses beside the weights, against losses of weights that were really moved there.
#![allow(clippy::unwrap_used)]

use engine::{Batch, CpuEngine, Direction, Engine, IGNORE, Options, Probe, Shape};
use kernels::direction::{Distribution, Noise};
use kernels::{Cpu, Isa};
use model::{Family, Layout, ModelSpec, Rope, RopeScaling};

fn spec(tied: bool, vocab: usize) -> ModelSpec {
    ModelSpec {
        family: Family::Qwen3,
        dim: 24,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        head_dim: 8,
        hidden: 40,
        vocab,
        context: 32,
        rope: Rope { theta: 1e4, scaling: RopeScaling::None },
        no_rope: Vec::new(),
        norm_eps: 1e-5,
        tied,
        qkv_bias: true,
        o_bias: true,
        qk_norm: true,
        window: None,
        residual_scale: 0.7,
    }
}

fn moved(params: &[f32], direction: &dyn Direction, scale: f32) -> Vec<f32> {
    let mut z = vec![0.0; params.len()];
    direction.fill(0, params, &mut z);
    params.iter().zip(&z).map(|(w, z)| w + scale * z).collect()
}

#[test]
fn a_probe_is_the_loss_of_moved_weights_and_leaves_the_weights_alone() {
    for (tied, vocab) in [(true, 50), (false, 50), (true, 3001)] {
        let (spec, shape, cpu) = (spec(tied, vocab), Shape { rows: 2, seq: 9 }, Cpu::new(2));
        let params = engine::init(&spec, &Layout::of(&spec), 5);
        let before: Vec<u32> = params.iter().map(|w| w.to_bits()).collect();
        let inputs: Vec<u32> = (0..18).map(|i| (i * i * 7 + 3) % vocab as u32).collect();
        let mut targets: Vec<u32> = inputs.iter().map(|i| (i * 5 + 1) % vocab as u32).collect();
        targets[4] = IGNORE;
        let batch = Batch { rows: 2, seq: 9, inputs: &inputs, targets: &targets, starts: None };
        let mut walk = CpuEngine::new(&cpu, &spec, shape, Options::INFERENCE);
        for distribution in [Distribution::Gaussian, Distribution::Rademacher] {
            let noise = Noise { seed: 11, distribution, isa: Isa::best() };
            let scales = [0.02, -0.05];
            let probe = Probe { direction: &noise, second: None, scales };
            let found = walk.losses_along(&params, &batch, &probe, &mut || false).unwrap().unwrap();
            let first = walk.token_losses()[..18].to_vec();
            for (found, scale) in found.into_iter().zip(scales) {
                let want = walk.loss(&moved(&params, &noise, scale), &batch).unwrap();
                assert_eq!(found.tokens, want.tokens);
                assert!((found.sum - want.sum).abs() < 1e-5 * want.sum, "{found:?} {want:?}");
            }
            assert!((first.iter().map(|l| f64::from(*l)).sum::<f64>() - found[0].sum).abs() < 1e-9);
            let one = Cpu::new(1);
            let mut alone = CpuEngine::new(&one, &spec, shape, Options::INFERENCE);
            let same = alone.losses_along(&params, &batch, &probe, &mut || false).unwrap().unwrap();
            assert_eq!(same.map(|l| l.sum.to_bits()), found.map(|l| l.sum.to_bits()), "thread count");
            // the walk looks its weights up where they were before
            let plain = walk.loss(&params, &batch).unwrap();
            let still = Probe { direction: &noise, second: None, scales: [0.0, 0.0] };
            let found = walk.losses_along(&params, &batch, &still, &mut || false).unwrap().unwrap();
            assert!(found.iter().all(|l| (l.sum - plain.sum).abs() < 1e-5 * plain.sum));
        }
        assert!(params.iter().map(|w| w.to_bits()).eq(before));
    }
}

#[test]
fn a_probe_can_be_left_midway() {
    let (spec, cpu) = (spec(true, 50), Cpu::new(1));
    let params = engine::init(&spec, &Layout::of(&spec), 5);
    let mut walk = CpuEngine::new(&cpu, &spec, Shape { rows: 1, seq: 4 }, Options::INFERENCE);
    let batch = Batch { rows: 1, seq: 4, inputs: &[1, 2, 3, 4], targets: &[2, 3, 4, 5], starts: None };
    let noise = Noise { seed: 1, distribution: Distribution::Gaussian, isa: Isa::best() };
    let probe = Probe { direction: &noise, second: None, scales: [1e-3, -1e-3] };
    let plain = walk.loss(&params, &batch).unwrap();
    let (mut calls, engine): (_, &mut dyn Engine) = (0, &mut walk);
    let left = engine.losses_along(&cpu, &params, &batch, &probe, &mut || {
        calls += 1;
        calls == 2
    });
    assert_eq!((left.unwrap(), calls), (None, 2));
    assert_eq!(walk.loss(&params, &batch).unwrap(), plain);
    let mut training = CpuEngine::new(&cpu, &spec, Shape { rows: 1, seq: 4 }, Options::TRAINING);
    assert!(training.losses_along(&params, &batch, &probe, &mut || false).is_err());
}
