//! Between the walk's f32 rows and a surface's fp16 columns. A surface has a row a channel and a column a token; the walk a
//! row a token: every copy transposes.
//! Legend: s tokens of a window, c channels of a field.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::Field;

/// Channels that are transposed at a time: a cache line of f32.
const TILE: usize = 16;

/// Columns of the walk's rows: `data[t * stride + offset ..][..channels]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// From the first row of the window on.
    pub data: &'a [f32],
    /// Floats from one row to the next.
    pub stride: usize,
    /// First column.
    pub offset: usize,
}

/// What a copy has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// A value that fp16 cannot hold, or that is not finite.
    pub overflow: bool,
    /// A value that is not 0.
    pub alive: bool,
}

impl Seen {
    fn note(&mut self, row: &[f32]) {
        // written so that it compiles to vector code: a comparison with NaN is false
        let bounded = row.iter().fold(true, |all, v| all & (v.abs() <= LARGEST));
        self.overflow |= !bounded;
        self.alive = self.alive || row.iter().any(|v| *v != 0.0);
    }
}

impl std::ops::BitOrAssign for Seen {
    fn bitor_assign(&mut self, other: Seen) {
        self.overflow |= other.overflow;
        self.alive |= other.alive;
    }
}

/// Largest finite fp16.
const LARGEST: f32 = 65504.0;

/// Buffers of the copies; sized by the longest row they meet.
#[derive(Clone, Debug, Default)]
pub struct Copier {
    tile: Vec<f32>,
    halves: Vec<f16>,
}

impl Copier {
    /// `field[c, t] = scale * rows[t, c]` in a surface whose rows lie `row_stride` bytes apart.
    pub fn write(&mut self, surface: &mut [u8], row_stride: usize, field: &Field, rows: Rows<'_>, scale: f32) -> Seen {
        let (s, mut seen) = (field.width, Seen::default());
        self.fit(s);
        for first in (0..field.channels).step_by(TILE) {
            let width = TILE.min(field.channels - first);
            for t in 0..s {
                let row = &rows.data[t * rows.stride + rows.offset + first..][..width];
                for (c, value) in row.iter().enumerate() {
                    self.tile[c * s + t] = scale * value;
                }
            }
            for c in 0..width {
                let row = &self.tile[c * s..(c + 1) * s];
                seen.note(row);
                self.halves[..s].convert_from_f32_slice(row);
                put(surface, at(field, row_stride, first + c), &self.halves[..s]);
            }
        }
        seen
    }

    /// `rows[t, c] = scale * field[c, t]`, or added to where `add`.
    pub fn read(
        &mut self,
        surface: &[u8],
        row_stride: usize,
        field: &Field,
        (data, stride, offset): (&mut [f32], usize, usize),
        (scale, add): (f32, bool),
    ) {
        let s = field.width;
        self.fit(s);
        for first in (0..field.channels).step_by(TILE) {
            let width = TILE.min(field.channels - first);
            for c in 0..width {
                get(surface, at(field, row_stride, first + c), &mut self.halves[..s]);
                let row = &mut self.tile[c * s..(c + 1) * s];
                self.halves[..s].convert_to_f32_slice(row);
            }
            for t in 0..s {
                let row = &mut data[t * stride + offset + first..][..width];
                for (c, value) in row.iter_mut().enumerate() {
                    let found = scale * self.tile[c * s + t];
                    *value = if add { *value + found } else { found };
                }
            }
        }
    }

    /// A weight `[channels, width]` as it lies in memory.
    pub fn write_matrix(&mut self, surface: &mut [u8], row_stride: usize, field: &Field, matrix: &[f32]) {
        self.fit(field.width);
        for (c, row) in matrix.chunks_exact(field.width).take(field.channels).enumerate() {
            self.halves[..field.width].convert_from_f32_slice(row);
            put(surface, at(field, row_stride, c), &self.halves[..field.width]);
        }
    }

    /// The transpose of a weight `[width, channels]`.
    pub fn write_transposed(&mut self, surface: &mut [u8], row_stride: usize, field: &Field, matrix: &[f32]) {
        self.write(surface, row_stride, field, Rows { data: matrix, stride: field.channels, offset: 0 }, 1.0);
    }

    fn fit(&mut self, s: usize) {
        if self.halves.len() < s {
            self.halves.resize(s, f16::ZERO);
            self.tile.resize(TILE * s, 0.0);
        }
    }
}

/// What a field of a surface holds, before anything is read from it.
pub fn scan(surface: &[u8], row_stride: usize, field: &Field) -> Seen {
    let mut seen = Seen::default();
    for c in 0..field.channels {
        let first = at(field, row_stride, c);
        for bytes in surface[first..first + 2 * field.width].chunks_exact(2) {
            let bits = u16::from_le_bytes([bytes[0], bytes[1]]);
            seen.overflow |= bits & 0x7c00 == 0x7c00;
            seen.alive |= bits & 0x7fff != 0;
        }
    }
    seen
}

/// First byte of channel `c` of a field.
fn at(field: &Field, row_stride: usize, c: usize) -> usize {
    (field.first_channel + c) * row_stride + 2 * field.first_column
}

fn put(surface: &mut [u8], at: usize, row: &[f16]) {
    for (bytes, value) in surface[at..at + 2 * row.len()].chunks_exact_mut(2).zip(row) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
}

fn get(surface: &[u8], at: usize, row: &mut [f16]) {
    for (bytes, value) in surface[at..at + 2 * row.len()].chunks_exact(2).zip(row) {
        *value = f16::from_le_bytes([bytes[0], bytes[1]]);
    }
}

/// A power of two that brings values of up to `largest` to about 16: far from what fp16 flushes to zero, and far enough from
/// 2^15, where products saturate. Gradients pass through a device in this scale and leave it exactly.
pub fn gradient_scale(largest: f32) -> f32 {
    if largest > 0.0 && largest.is_finite() { (4.0 - largest.log2().floor()).clamp(-40.0, 40.0).exp2() } else { 1.0 }
}

/// Largest magnitude.
pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |m: f32, v| m.max(v.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packed;

    fn packed() -> Packed {
        Packed::width("x", 20, &[("act", 4), ("w", 6)])
    }

    #[test]
    fn what_is_written_is_read_back() {
        let p = packed();
        let mut surface = vec![0u8; p.bytes()];
        let data: Vec<f32> = (0..4 * 24).map(|i| i as f32 / 8.0).collect();
        let (field, mut copier) = (&p.fields[0], Copier::default());
        let seen = copier.write(&mut surface, 20, field, Rows { data: &data, stride: 24, offset: 3 }, 2.0);
        assert_eq!(seen, Seen { overflow: false, alive: true });
        let mut back = vec![0.0; 4 * 20];
        copier.read(&surface, 20, field, (&mut back, 20, 0), (0.5, false));
        for t in 0..4 {
            assert_eq!(back[t * 20..(t + 1) * 20], data[t * 24 + 3..][..20]);
        }
        copier.read(&surface, 20, field, (&mut back, 20, 0), (0.5, true));
        assert_eq!(back[0], 2.0 * data[3]);
    }

    #[test]
    fn a_transposed_weight_lies_input_first() {
        let p = packed();
        let mut surface = vec![0u8; p.bytes()];
        let matrix: Vec<f32> = (0..6 * 20).map(|i| i as f32).collect(); // [out 6, in 20]
        let mut copier = Copier::default();
        copier.write_transposed(&mut surface, 20, &p.fields[1], &matrix);
        let value = |c: usize, o: usize| f16::from_le_bytes([surface[c * 20 + 8 + 2 * o], surface[c * 20 + 9 + 2 * o]]).to_f32();
        assert_eq!((value(0, 1), value(19, 5)), (20.0, 119.0));
    }

    #[test]
    fn what_fp16_cannot_hold_is_seen() {
        let (p, mut surface) = (packed(), vec![0u8; packed().bytes()]);
        for (value, overflow) in [(65504.0, false), (70000.0, true), (f32::NAN, true), (f32::INFINITY, true)] {
            let data = vec![value; 80];
            let seen = Copier::default().write(&mut surface, 20, &p.fields[0], Rows { data: &data, stride: 20, offset: 0 }, 1.0);
            assert_eq!(seen.overflow, overflow, "{value}");
        }
    }

    #[test]
    fn gradients_are_brought_to_sixteen_by_powers_of_two() {
        for value in [1e-9f32, 3e-3, 1.0, 77.0, 1e6] {
            let scale = gradient_scale(value);
            assert!((16.0..32.0).contains(&(scale * value)), "{value} {scale}");
            assert_eq!(scale.log2().fract(), 0.0);
        }
        assert_eq!(gradient_scale(0.0), 1.0);
    }
}
