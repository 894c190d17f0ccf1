//! Stored elements as f32: rows of an embedding, panels of a large product.
#![allow(unsafe_code)]

use super::{BLOCK, BLOCK_BYTES, Elements, Matrix};
use crate::simd::multiversion;
use crate::{Cpu, Isa};

/// Elements that a task decodes.
const TASK: usize = 16 << 10;

/// f16 to f32, exactly: the exponent is rebased by a product, which also normalises what is subnormal.
#[inline(always)]
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    const REBASE: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = (u32::from(bits) & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * REBASE).to_bits();
    let special = if magnitude >= 0x0f80_0000 { 0x7f80_0000 } else { 0 };
    f32::from_bits(finite | special | (u32::from(bits) & 0x8000) << 16)
}

/// bf16 to f32, exactly.
#[inline(always)]
pub(crate) fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

impl Matrix<'_> {
    /// Rows `first..` into `out[rows, cols]`, on all threads.
    ///
    /// # Panics
    /// When the matrix has fewer rows than `out` wants, or `out` is no whole number of them.
    pub fn decode(&self, cpu: &Cpu, first: usize, out: &mut [f32]) {
        assert!(out.len().is_multiple_of(self.cols) && first + out.len() / self.cols <= self.rows, "rows out of range");
        let rows = (TASK / self.cols).max(1);
        cpu.pool().chunks_mut(out, rows * self.cols, |i, out| self.decode_part(cpu.isa(), first + i * rows, out));
    }

    /// Rows `ids[i]` into `out[i]`: an embedding.
    ///
    /// # Panics
    /// When an id is not below the number of rows.
    pub fn gather(&self, cpu: &Cpu, out: &mut [f32], ids: &[u32]) {
        for (out, &id) in out.chunks_exact_mut(self.cols).zip(ids) {
            self.decode_part(cpu.isa(), id as usize, out);
        }
    }

    fn decode_part(&self, isa: Isa, first: usize, out: &mut [f32]) {
        let at = first * self.cols..first * self.cols + out.len();
        match self.elements {
            Elements::F32(floats) => out.copy_from_slice(&floats[at]),
            #[cfg(target_arch = "x86_64")]
            Elements::F16(bytes) if matches!(isa, Isa::Avx512 | Isa::Amx) => {
                // SAFETY: an `Isa` is only made where the processor has the instructions it names.
                unsafe { super::avx512::decode_f16(out, &bytes[2 * at.start..2 * at.end]) }
            }
            Elements::F16(bytes) => f16(isa, out, &bytes[2 * at.start..2 * at.end]),
            Elements::Bf16(bytes) => bf16(isa, out, &bytes[2 * at.start..2 * at.end]),
            Elements::Q8_0(bytes) => q8_0(isa, out, &bytes[at.start / BLOCK * BLOCK_BYTES..at.end / BLOCK * BLOCK_BYTES]),
            Elements::Coded(coded, bytes) => (coded.decode)(&bytes[coded.bytes_of(at.start)..coded.bytes_of(at.end)], out),
        }
    }
}

multiversion! {
    fn f16(out: &mut [f32], bytes: &[u8]) {
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *out = f16_to_f32(u16::from_le_bytes(*bytes));
        }
    }
}

multiversion! {
    fn bf16(out: &mut [f32], bytes: &[u8]) {
        for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *out = bf16_to_f32(u16::from_le_bytes(*bytes));
        }
    }
}

multiversion! {
    fn q8_0(out: &mut [f32], bytes: &[u8]) {
        for (out, block) in out.as_chunks_mut::<BLOCK>().0.iter_mut().zip(bytes.as_chunks::<BLOCK_BYTES>().0) {
            let d = f16_to_f32(u16::from_le_bytes([block[0], block[1]]));
            for (out, &q) in out.iter_mut().zip(&block[2..]) {
                *out = d * f32::from(q as i8);
            }
        }
    }
}
