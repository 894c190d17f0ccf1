//! What the cases share: inputs, the machine's instruction sets, finite differences, comparisons.

use kernels::{Cpu, Isa};

/// Step of the finite differences.
const H: f64 = 1e-5;

/// `n` numbers in `[-1, 1)`, a function of `seed`.
pub fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// `n` gains between 0.4 and 2.4: a missing or a second factor of them shows.
pub fn gains(n: usize, seed: u64) -> Vec<f32> {
    values(n, seed).iter().map(|x| 1.4 + x).collect()
}

/// The same numbers in f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// `sum a b`.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Gradient of `f` at `x`, by central differences.
pub fn gradient(x: &[f64], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut x = x.to_vec();
    (0..x.len())
        .map(|i| {
            let kept = x[i];
            x[i] = kept + H;
            let up = f(&x);
            x[i] = kept - H;
            let down = f(&x);
            x[i] = kept;
            (up - down) / (2.0 * H)
        })
        .collect()
}

/// `start + step` where a kernel adds to what is there, `step` where it does not.
pub fn added(start: &[f32], step: &[f64], accumulate: bool) -> Vec<f64> {
    assert_eq!(start.len(), step.len());
    let start = start.iter().map(|&s| if accumulate { f64::from(s) } else { 0.0 });
    start.zip(step).map(|(s, g)| s + g).collect()
}

/// The arrays that `kernel` wrote, once for each instruction set of this machine.
///
/// # Panics
/// When they depend on the number of threads.
pub fn on_every_cpu(kernel: impl Fn(&Cpu) -> Vec<Vec<f32>>) -> Vec<(Isa, Vec<Vec<f32>>)> {
    let run = |isa: Isa| {
        let one = kernel(&Cpu::with_isa(1, isa));
        for threads in [2, 3] {
            let other = kernel(&Cpu::with_isa(threads, isa));
            assert!(bits(&one) == bits(&other), "{isa:?}: {threads} threads give other bits than one");
        }
        (isa, one)
    };
    Isa::available().map(run).collect()
}

fn bits(arrays: &[Vec<f32>]) -> Vec<Vec<u32>> {
    arrays.iter().map(|a| a.iter().map(|x| x.to_bits()).collect()).collect()
}

/// Compares elementwise: the error may be `tolerance` of the element and of the array's root mean square.
///
/// # Panics
/// Where it is larger, or a number is NaN.
#[track_caller]
pub fn close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let scale = (dot(expected, expected) / expected.len() as f64).sqrt();
    for (i, (&f, e)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(f) - e).abs();
        assert!(error <= tolerance * (scale + e.abs()), "{what}[{i}] = {f}, expected {e} (error {error:e})");
    }
}
