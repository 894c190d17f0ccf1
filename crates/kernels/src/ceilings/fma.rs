//! Independent chains of multiply-adds in registers.
#![allow(unsafe_code)]
// Constant indices keep the chains in registers.
#![allow(clippy::needless_range_loop)]

use crate::gemm::Isa;

/// Chains and their width in floats: (chains, width).
fn shape(isa: Isa) -> (usize, usize) {
    match isa {
        // of a block of c: see `amx::peak`
        Isa::Amx => (1024, 1),
        Isa::Avx512 => (16, 16),
        Isa::Avx2 => (12, 8),
        Isa::Neon | Isa::Accelerate => (24, 4),
        Isa::Scalar => (12, 4),
    }
}

/// Operations of [`chains`].
pub(super) fn flops(isa: Isa, steps: usize) -> f64 {
    let (chains, width) = shape(isa);
    2.0 * (chains * width * steps) as f64
}

/// Runs `steps` multiply-adds on every chain; the result only keeps the work alive.
pub(super) fn chains(isa: Isa, steps: usize) -> f32 {
    // SAFETY: an `Isa` that a `Cpu` holds is available.
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Amx => crate::gemm::amx::peak(steps),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { x86::avx512(steps) },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { x86::avx2(steps) },
        #[cfg(target_arch = "aarch64")]
        Isa::Neon | Isa::Accelerate => unsafe { neon(steps) },
        _ => scalar(steps),
    }
}

fn scalar(steps: usize) -> f32 {
    let mut sums = [[0.0f32; 4]; 12];
    let (a, b) = std::hint::black_box(([1.0f32; 4], [0.999f32; 4]));
    for _ in 0..steps {
        for sums in &mut sums {
            for l in 0..4 {
                sums[l] = sums[l] * b[l] + a[l];
            }
        }
    }
    sums.as_flattened().iter().sum()
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) fn avx512(steps: usize) -> f32 {
        let (a, b) = std::hint::black_box((_mm512_set1_ps(1.0), _mm512_set1_ps(0.999)));
        let mut sums = [_mm512_setzero_ps(); 16];
        for _ in 0..steps {
            for i in 0..16 {
                sums[i] = _mm512_fmadd_ps(sums[i], b, a);
            }
        }
        let mut total = 0.0;
        for i in 0..16 {
            total += _mm512_reduce_add_ps(sums[i]);
        }
        total
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(steps: usize) -> f32 {
        let (a, b) = std::hint::black_box((_mm256_set1_ps(1.0), _mm256_set1_ps(0.999)));
        let mut sums = [_mm256_setzero_ps(); 12];
        for _ in 0..steps {
            for i in 0..12 {
                sums[i] = _mm256_fmadd_ps(sums[i], b, a);
            }
        }
        let mut total = 0.0;
        for i in 0..12 {
            total += _mm256_cvtss_f32(sums[i]);
        }
        total
    }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
fn neon(steps: usize) -> f32 {
    use std::arch::aarch64::*;
    let (a, b) = std::hint::black_box((vdupq_n_f32(1.0), vdupq_n_f32(0.999)));
    let mut sums = [vdupq_n_f32(0.0); 24];
    for _ in 0..steps {
        for i in 0..24 {
            sums[i] = vfmaq_f32(a, sums[i], b);
        }
    }
    let mut total = 0.0;
    for i in 0..24 {
        total += vaddvq_f32(sums[i]);
    }
    total
}
