//! `loss = ln sum exp(z) - z_y`, gradient `softmax(z) - onehot(y)`.

use kernels::Isa;
use kernels::cross_entropy::{IGNORE, cross_entropy, cross_entropy_backward};

use crate::check::{close, gradient, on_every_cpu, values, wide};

fn loss_of(z: &[f64], y: u32) -> f64 {
    if y == IGNORE {
        return 0.0;
    }
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    max + z.iter().map(|z| (z - max).exp()).sum::<f64>().ln() - z[y as usize]
}

/// On each instruction set: losses, losses of the pass with gradient, and that gradient.
fn run(logits: &[f32], targets: &[u32], v: usize) -> Vec<(Isa, Vec<Vec<f32>>)> {
    on_every_cpu(|cpu| {
        let (mut losses, mut again) = (vec![f32::NAN; targets.len()], vec![f32::NAN; targets.len()]);
        let mut gradient = logits.to_vec();
        cross_entropy(cpu, &mut losses, &mut logits.to_vec(), targets, v);
        cross_entropy_backward(cpu, &mut again, &mut gradient, targets, v);
        vec![losses, again, gradient]
    })
}

/// The largest width crosses the blocks of 1024 in which sums are taken.
#[test]
fn cross_entropy_backward_is_the_gradient() {
    for (n, v) in [(1, 1), (5, 2), (7, 37), (19, 16), (3, 1029), (2, 2085)] {
        let logits: Vec<f32> = values(n * v, 1).iter().map(|z| 5.0 * z).collect();
        let targets: Vec<u32> = (0..n).map(|i| if i % 3 == 1 { IGNORE } else { (i * 31 % v) as u32 }).collect();
        let rows = || logits.chunks_exact(v).zip(&targets);
        let losses: Vec<f64> = rows().map(|(z, y)| loss_of(&wide(z), *y)).collect();
        let slopes: Vec<f64> = rows().flat_map(|(z, y)| gradient(&wide(z), |z| loss_of(z, *y))).collect();
        for (isa, out) in run(&logits, &targets, v) {
            close(&format!("{isa:?} loss of [{n}, {v}]"), &out[0], &losses, 1e-6);
            assert_eq!(out[0], out[1], "{isa:?}: the two losses of [{n}, {v}]");
            close(&format!("{isa:?} gradient of [{n}, {v}]"), &out[2], &slopes, 3e-6);
        }
    }
}

#[test]
fn an_ignored_row_has_no_loss_and_no_gradient() {
    let v = 37;
    let mut logits = values(3 * v, 1);
    logits[v] = f32::NAN;
    for (isa, out) in run(&logits, &[4, IGNORE, 36], v) {
        assert_eq!((out[0][1], out[1][1]), (0.0, 0.0), "{isa:?}");
        assert!(out[2][v..2 * v].iter().all(|g| *g == 0.0), "{isa:?}");
        assert!(out[0][0] > 0.0 && out[0][2] > 0.0 && out[2][0] != 0.0, "{isa:?}: its neighbours have");
    }
}

/// `-ln(p + eps)` flattens where p is small, and `-ln(p)` ends in infinity: the loss here does neither.
#[test]
fn cross_entropy_is_log_sum_exp() {
    for v in [2, 16, 37, 1029] {
        for gap in [27.631_021f32, 60.0, 100.0, 2e4] {
            // p of the target is exp(-gap): 1e-12, 1e-26, below the smallest f32, and nothing
            let mut logits = vec![-gap; 2 * v];
            (logits[0], logits[v]) = (0.0, 0.0);
            let targets = [v as u32 - 1, 0];
            let expected = [loss_of(&wide(&logits[..v]), targets[0]), loss_of(&wide(&logits[v..]), targets[1])];
            for (isa, out) in run(&logits, &targets, v) {
                for losses in &out[..2] {
                    let error = (f64::from(losses[0]) - expected[0]).abs();
                    assert!(error <= 1e-6 * expected[0], "{isa:?}: {} instead of {}", losses[0], expected[0]);
                    assert!((f64::from(losses[1]) - expected[1]).abs() <= 1e-7, "{isa:?}: {}", losses[1]);
                }
                assert!((out[2][v - 1] + 1.0).abs() <= 1e-6, "{isa:?}: the slope at a lost target is {}", out[2][v - 1]);
            }
        }
    }
}

#[test]
fn logits_of_ten_thousand_do_not_overflow() {
    let v = 37;
    for at in [1e4f32, -1e4] {
        let logits: Vec<f32> = values(2 * v, 1).iter().map(|z| at + 4.0 * z).collect();
        let targets = [3, 36];
        let rows = || logits.chunks_exact(v).zip(targets);
        let losses: Vec<f64> = rows().map(|(z, y)| loss_of(&wide(z), y)).collect();
        let slopes: Vec<f64> = rows().flat_map(|(z, y)| gradient(&wide(z), |z| loss_of(z, y))).collect();
        for (isa, out) in run(&logits, &targets, v) {
            close(&format!("{isa:?} loss at {at}"), &out[0], &losses, 1e-6);
            close(&format!("{isa:?} gradient at {at}"), &out[2], &slopes, 3e-6);
        }
    }
}

/// Wherever the NaN stands: in a whole vector, in the rest of the row, at the target or not.
#[test]
fn a_nan_logit_gives_a_nan_loss() {
    let v = 1029;
    for at in [0, 5, 1023, 1024, v - 1] {
        for target in [0, v - 1] {
            let mut logits = values(v, 1);
            logits[at] = f32::NAN;
            for (isa, out) in run(&logits, &[target as u32], v) {
                assert!(out[0][0].is_nan() && out[1][0].is_nan(), "{isa:?}: NaN at {at}, target {target}: {}", out[0][0]);
            }
        }
    }
}
