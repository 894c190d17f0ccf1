//! Claims about arithmetic: products, the cross-entropy, rotations, noise.

use kernels::cross_entropy::cross_entropy_backward;
use kernels::gemm::MatRef;
use kernels::noise::Philox;
use kernels::rope::{RopeTable, Turn, rope};
use kernels::{Cpu, Isa};

use crate::tamper::{interleaved, rounded};
use crate::{Found, Row, Tamper, World, farthest, so, within};

pub const CLAIMS: &[Row] = &[
    (
        "numbers/products",
        "matrix products agree with f64, in every instruction set of this machine",
        "4e-6 of the sum of magnitudes",
        products,
    ),
    ("numbers/cross-entropy", "the loss is log-sum-exp, its gradient softmax minus one-hot, as in f64", "1e-6", cross_entropy),
    (
        "numbers/rotation",
        "rotations are those of the formula at positions up to 4095, and turn back exactly enough",
        "1e-4",
        rotation,
    ),
    ("numbers/noise", "noise is a function of seed and place, with mean 0 and variance 1", "0.01", noise),
];

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut values = vec![0.0; n];
    Philox::new(seed, 0x766c).fill_normal(&mut values, 0);
    values
}

fn products(world: &World<'_>) -> Found {
    let (m, n, k) = (37, 65, 190);
    let (a, b) = (values(m * k, 1), values(n * k, 2));
    let mut worst = (0.0, "");
    for isa in [Isa::Scalar, Isa::Avx2, Isa::Avx512, Isa::Amx, Isa::Neon].into_iter().filter(|isa| isa.is_available()) {
        let cpu = Cpu::with_isa(world.cpu.pool().threads(), isa);
        let (mut c, mut left) = (vec![0.0; m * n], a.clone());
        if world.broken(Tamper::Rounded) {
            rounded(&mut left);
        }
        cpu.gemm(&mut c, n, MatRef::new(&left, m, k), MatRef::new(&b, n, k).t(), false);
        for i in 0..m * n {
            let pairs = || a[i / n * k..][..k].iter().zip(&b[i % n * k..][..k]).map(|(a, b)| f64::from(*a) * f64::from(*b));
            let (exact, size): (f64, f64) = (pairs().sum(), pairs().map(f64::abs).sum());
            let off = (f64::from(c[i]) - exact).abs() / size;
            if off > worst.0 || off.is_nan() {
                worst = (off, isa.name());
            }
        }
    }
    within(worst.0, 4e-6, &format!("worst in {}:", worst.1))
}

fn cross_entropy(world: &World<'_>) -> Found {
    let (n, v) = (5, 333);
    let logits: Vec<f32> = values(n * v, 3).iter().map(|z| z * 10.0).collect();
    let targets: Vec<u32> = (0..n as u32).map(|i| i * 66).collect();
    let (mut losses, mut gradient) = (vec![0.0; n], logits.clone());
    cross_entropy_backward(world.cpu, &mut losses, &mut gradient, &targets, v);
    if world.broken(Tamper::Guard) {
        losses.iter_mut().for_each(|l| *l = -((-*l).exp() + 1e-10).ln());
    }
    let mut off = 0f64;
    for (i, row) in logits.chunks(v).enumerate() {
        let max = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f64 = row.iter().map(|z| f64::from(z - max).exp()).sum();
        let y = targets[i] as usize;
        off = off.max((f64::from(losses[i]) - (sum.ln() - f64::from(row[y] - max))).abs() / f64::from(losses[i]).max(1.0));
        for (j, z) in row.iter().enumerate() {
            let exact = f64::from(z - max).exp() / sum - f64::from(u8::from(j == y));
            off = off.max((f64::from(gradient[i * v + j]) - exact).abs());
        }
    }
    within(off, 1e-6, "off by")
}

fn rotation(world: &World<'_>) -> Found {
    let (hd, theta, first) = (64, 500_000f64, 4000);
    let frequencies: Vec<f32> = (0..hd / 2).map(|i| theta.powf(-2.0 * i as f64 / hd as f64) as f32).collect();
    let table = RopeTable::new(&frequencies, 1.0, first + 96);
    let x = values(96 * hd, 4);
    let (mut turned, neighbours) = (x.clone(), world.broken(Tamper::Pairs));
    if neighbours {
        interleaved(&mut turned, hd, false);
    }
    rope(world.cpu, &mut turned, hd, 1, &table, first, 96, Turn::Forward);
    if neighbours {
        interleaved(&mut turned, hd, true);
    }
    let mut exact = vec![0.0; x.len()];
    for (t, row) in x.chunks(hd).enumerate() {
        for i in 0..hd / 2 {
            // the angle is rounded to f32, as the field's programs have it
            let angle = f64::from((first + t) as f32 * frequencies[i]);
            let (a, b) = (f64::from(row[i]), f64::from(row[i + hd / 2]));
            exact[t * hd + i] = (a * angle.cos() - b * angle.sin()) as f32;
            exact[t * hd + i + hd / 2] = (a * angle.sin() + b * angle.cos()) as f32;
        }
    }
    let off = farthest(&turned, &exact);
    rope(world.cpu, &mut turned, hd, 1, &table, first, 96, Turn::Back);
    within(off.max(farthest(&turned, &x)), 1e-4, "off by")
}

fn noise(world: &World<'_>) -> Found {
    let n = 200_000;
    let all = values(n, 5);
    let mut part = vec![0.0; 100];
    Philox::new(5, 0x766c).fill_normal(&mut part, if world.broken(Tamper::Pieces) { 0 } else { 1000 });
    let mean = all.iter().map(|z| f64::from(*z)).sum::<f64>() / n as f64;
    let variance = all.iter().map(|z| f64::from(*z).powi(2)).sum::<f64>() / n as f64;
    let placed = part == all[1000..1100];
    so(
        placed && mean.abs() < 0.01 && (variance - 1.0).abs() < 0.01,
        format!("mean {mean:.4}, variance {variance:.4}, by place: {placed}"),
    )
}
