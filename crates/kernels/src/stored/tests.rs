//! Every type and instruction set against sums in f64 over the elements that the bytes mean.
#![allow(clippy::unwrap_used)]

use super::decode::f16_to_f32;
use super::*;
use crate::{Cpu, Isa};

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// The value of an f16 by its definition.
fn f16_value(bits: u16) -> f64 {
    let (sign, exponent, fraction) = (bits >> 15, i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let magnitude = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// Blocks of 32: a byte `s`, then a byte `q` each, which mean `s q / 2^12`.
const BYTES: Stored = Stored::Coded(Coded { weights: 32, bytes: 33, decode: decode_bytes });

fn decode_bytes(bytes: &[u8], out: &mut [f32]) {
    for (out, block) in out.chunks_exact_mut(32).zip(bytes.chunks_exact(33)) {
        out.iter_mut().zip(&block[1..]).for_each(|(o, q)| *o = f32::from(block[0]) * f32::from(*q as i8) / 4096.0);
    }
}

/// Bytes of some matrix of a type, and the elements that they mean.
struct Sample {
    floats: Vec<f32>,
    bytes: Vec<u8>,
    means: Vec<f64>,
}

impl Sample {
    fn of(stored: Stored, rows: usize, cols: usize) -> Sample {
        let floats = values(rows * cols, 5);
        let words = |mask: u16| floats.iter().map(move |f| (f.to_bits() >> 16) as u16 & mask);
        match stored {
            Stored::F32 => Sample { means: floats.iter().map(|&f| f64::from(f)).collect(), bytes: Vec::new(), floats },
            // without the highest bit of the exponent: sizes from 2^-24 to 2
            Stored::F16 => Sample {
                bytes: words(0xbfff).flat_map(u16::to_le_bytes).collect(),
                means: words(0xbfff).map(f16_value).collect(),
                floats,
            },
            Stored::Bf16 => Sample {
                bytes: words(0xffff).flat_map(u16::to_le_bytes).collect(),
                means: words(0xffff).map(|w| f64::from(f32::from_bits(u32::from(w) << 16))).collect(),
                floats,
            },
            Stored::Q8_0 => {
                let (mut bytes, mut means) = (Vec::new(), Vec::new());
                for (b, block) in floats.chunks(BLOCK).enumerate() {
                    let d = 0x2000 + (b * 37 % 1000) as u16;
                    bytes.extend(d.to_le_bytes());
                    for (i, f) in block.iter().enumerate() {
                        let q = if i % 31 == 3 { i8::MIN } else { (f * 127.0) as i8 };
                        bytes.push(q as u8);
                        means.push(f16_value(d) * f64::from(q));
                    }
                }
                Sample { floats, bytes, means }
            }
            Stored::Coded(coded) => {
                let scale = |b: usize| (b * 37 % 101 + 1) as u8;
                let block = |(b, block): (usize, &[f32])| {
                    std::iter::once(scale(b)).chain(block.iter().map(|f| (f * 127.0) as i8 as u8)).collect::<Vec<u8>>()
                };
                let bytes: Vec<u8> = floats.chunks(coded.weights).enumerate().flat_map(block).collect();
                let mut decoded = vec![0.0; floats.len()];
                (coded.decode)(&bytes, &mut decoded);
                Sample { means: decoded.iter().map(|&f| f64::from(f)).collect(), bytes, floats: decoded }
            }
        }
    }

    fn matrix(&self, stored: Stored, rows: usize, cols: usize) -> Matrix<'_> {
        let elements = match stored {
            Stored::F32 => Elements::F32(&self.floats),
            Stored::F16 => Elements::F16(&self.bytes),
            Stored::Bf16 => Elements::Bf16(&self.bytes),
            Stored::Q8_0 => Elements::Q8_0(&self.bytes),
            Stored::Coded(coded) => Elements::Coded(coded, &self.bytes),
        };
        Matrix::new(elements, rows, cols).unwrap()
    }
}

/// `x` as products with q8_0 see it: its own definition, not the kernel's code.
fn rounded(x: &[f32]) -> Vec<f64> {
    let blocks = x.chunks(BLOCK).flat_map(|block| {
        let d = block.iter().fold(0.0f32, |m, x| m.max(x.abs())) / 127.0;
        block.iter().map(move |&x| f64::from(d) * (f64::from(x) / f64::from(d)).round())
    });
    blocks.collect()
}

/// A number with eight bits of mantissa: bf16.
fn short(x: f64) -> f64 {
    let bits = (x as f32).to_bits();
    f64::from(f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000))
}

fn check(stored: Stored, m: usize, rows: usize, cols: usize) {
    let (a, b) = (Sample::of(stored, rows, cols), Sample::of(stored, 3, cols));
    let weights = [a.matrix(stored, rows, cols), b.matrix(stored, 3, cols)];
    let x = values(m * cols, 11);
    let few = m <= ROWS_MAX;
    // on tiles both sides are rounded
    let sees = |isa: Isa, x: &[f64]| -> Vec<f64> {
        let tiles = isa == Isa::Amx && stored == Stored::Q8_0 && !few;
        x.iter().map(|&x| if tiles { short(x) } else { x }).collect()
    };
    let seen = if stored == Stored::Q8_0 && few { rounded(&x) } else { x.iter().map(|&x| f64::from(x)).collect() };
    for isa in Isa::available() {
        let run = |threads| {
            let (cpu, n) = (Cpu::with_isa(threads, isa), rows + 3);
            let mut y = vec![f32::NAN; m * n];
            Operand::new(cols, stored != Stored::F32).product(&cpu, &mut y, &x, &weights);
            y
        };
        let y = run(2);
        assert!(y.iter().zip(run(3)).all(|(a, b)| a.to_bits() == b.to_bits()), "{isa:?} {stored:?}: threads");
        for (at, &y) in y.iter().enumerate() {
            let (i, j) = (at / (rows + 3), at % (rows + 3));
            let means = if j < rows { &a.means[j * cols..] } else { &b.means[(j - rows) * cols..] };
            let (x, w) = (sees(isa, &seen[i * cols..(i + 1) * cols]), sees(isa, &means[..cols]));
            let terms = || x.iter().zip(&w).map(|(x, w)| x * w);
            let (exact, size): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
            // one byte off where the f32 quotient and the f64 one round apart
            let byte = if stored == Stored::Q8_0 && few { 1e-2 } else { 0.0 };
            let bound = size * (1e-6 + byte / cols as f64);
            assert!((f64::from(y) - exact).abs() <= bound, "{isa:?} {stored:?} [{m}, {cols}] at {i}, {j}: {y} {exact}");
        }
    }
}

#[test]
fn few_rows_in_floats() {
    for stored in [Stored::F32, Stored::F16, Stored::Bf16] {
        for (m, rows, cols) in [(1, 1, 1), (1, 7, 15), (2, 5, 64), (3, 40, 65), (5, 9, 130), (8, 4, 577), (1, 300, 200)] {
            check(stored, m, rows, cols);
        }
    }
}

#[test]
fn few_rows_in_blocks() {
    for (m, rows, cols) in [(1, 1, 32), (1, 7, 64), (2, 5, 96), (3, 40, 512), (5, 9, 544), (8, 4, 576), (1, 300, 1056)] {
        check(Stored::Q8_0, m, rows, cols);
        check(BYTES, m, rows, cols);
    }
}

/// Weights that are decoded as they are read give the bits that they give after an expansion to f32.
#[test]
fn coded_rows_are_the_expanded_ones_to_the_last_bit() {
    for (m, cols) in [(1, 32), (1, 288), (3, 576), (8, 1056), (20, 576)] {
        let (sample, x) = (Sample::of(BYTES, 13, cols), values(m * cols, 3));
        for isa in Isa::available() {
            let product = |stored| {
                let mut y = vec![f32::NAN; m * 13];
                let weights = [sample.matrix(stored, 13, cols)];
                Operand::new(cols, true).product(&Cpu::with_isa(2, isa), &mut y, &x, &weights);
                y
            };
            assert_eq!(product(BYTES), product(Stored::F32), "{isa:?} [{m}, {cols}]");
        }
    }
}

#[test]
fn many_rows() {
    for stored in [Stored::F32, Stored::F16, Stored::Bf16, Stored::Q8_0, BYTES] {
        check(stored, 9, 33, 96);
        check(stored, 67, 50, 32);
        check(stored, 40, 700, 512);
    }
}

#[test]
fn every_f16_is_its_value() {
    for bits in 0..=u16::MAX {
        let (value, defined) = (f64::from(f16_to_f32(bits)), f16_value(bits));
        assert!(value == defined || (value.is_nan() && defined.is_nan()), "{bits:04x}: {value} {defined}");
    }
}

#[test]
fn decoded_rows_are_what_the_bytes_mean() {
    for stored in [Stored::F32, Stored::F16, Stored::Bf16, Stored::Q8_0, BYTES] {
        let sample = Sample::of(stored, 50, 416);
        let matrix = sample.matrix(stored, 50, 416);
        let cpu = Cpu::new(2);
        let mut out = vec![0.0; 47 * 416];
        matrix.decode(&cpu, 3, &mut out);
        assert!(out.iter().zip(&sample.means[3 * 416..]).all(|(a, b)| f64::from(*a) == *b), "{stored:?}");
        matrix.gather(&cpu, &mut out[..2 * 416], &[49, 7]);
        assert!(out[416..2 * 416].iter().zip(&sample.means[7 * 416..]).all(|(a, b)| f64::from(*a) == *b), "{stored:?}");
    }
}

#[test]
fn a_row_alone_has_the_bits_that_it_has_among_others() {
    for stored in [Stored::F32, Stored::F16, Stored::Bf16, Stored::Q8_0, BYTES] {
        let (cpu, sample, x) = (Cpu::new(2), Sample::of(stored, 21, 608), values(7 * 608, 3));
        let weights = [sample.matrix(stored, 21, 608)];
        let mut operand = Operand::new(608, true);
        let (mut all, mut one) = (vec![0.0; 7 * 21], vec![0.0; 21]);
        operand.product(&cpu, &mut all, &x, &weights);
        for i in 0..7 {
            operand.product(&cpu, &mut one, &x[i * 608..(i + 1) * 608], &weights);
            assert_eq!(one, all[i * 21..(i + 1) * 21], "{stored:?}");
        }
    }
}

#[test]
fn zeros_and_what_is_no_number() {
    let cpu = Cpu::new(1);
    let sample = Sample::of(Stored::Q8_0, 2, 64);
    let weights = [sample.matrix(Stored::Q8_0, 2, 64)];
    let mut y = [f32::NAN; 2];
    Operand::new(64, true).product(&cpu, &mut y, &[0.0; 64], &weights);
    assert_eq!(y, [0.0; 2]);
    for (isa, bad) in Isa::available().flat_map(|isa| [(isa, f32::NAN), (isa, f32::INFINITY)]) {
        let mut x = [0.5; 64];
        x[40] = bad;
        Operand::new(64, true).product(&Cpu::with_isa(1, isa), &mut y, &x, &weights);
        assert!(y.iter().all(|y| !y.is_finite()), "{} {bad}: {y:?}", isa.name());
    }
    assert!(Matrix::new(Elements::Q8_0(&[0; 34]), 1, 33).is_none());
    assert!(Matrix::new(Elements::F16(&[0; 34]), 2, 8).is_none());
    let coded = |weights| Elements::Coded(Coded { weights, bytes: 33, decode: decode_bytes }, &[0; 66]);
    assert!(Matrix::new(coded(32), 2, 32).is_some() && Matrix::new(coded(32), 2, 33).is_none());
    assert!(Matrix::new(coded(0), 2, 32).is_none() && Matrix::new(coded(48), 2, 48).is_none());
    assert!(Matrix::new(Elements::F32(&[0.0; 4]), usize::MAX, 4).is_none());
}
