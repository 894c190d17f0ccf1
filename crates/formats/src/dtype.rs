//! Element types of weights in files, and their conversion to and from f32.

use half::{bf16, f16};

/// Element type of a weight that can be trained from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Dtype {
    /// IEEE single precision.
    #[default]
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    Bf16,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        if self == Dtype::F32 { 4 } else { 2 }
    }

    /// Name in a safetensors header.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "F32",
            Dtype::F16 => "F16",
            Dtype::Bf16 => "BF16",
        }
    }

    /// Name in a `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Dtype::F32 => "float32",
            Dtype::F16 => "float16",
            Dtype::Bf16 => "bfloat16",
        }
    }

    /// The type that a safetensors header calls `name`, if weights may have it.
    pub fn from_name(name: &str) -> Option<Dtype> {
        [Dtype::F32, Dtype::F16, Dtype::Bf16].into_iter().find(|d| d.name() == name)
    }

    /// Little-endian `bytes` to f32; `out` holds `bytes.len() / size` elements.
    pub(crate) fn decode(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Dtype::F32 => {
                let (words, _) = bytes.as_chunks::<4>();
                out.iter_mut().zip(words).for_each(|(o, w)| *o = f32::from_le_bytes(*w));
            }
            Dtype::F16 => {
                let (words, _) = bytes.as_chunks::<2>();
                out.iter_mut().zip(words).for_each(|(o, w)| *o = f16::from_le_bytes(*w).to_f32());
            }
            Dtype::Bf16 => {
                let (words, _) = bytes.as_chunks::<2>();
                out.iter_mut().zip(words).for_each(|(o, w)| *o = bf16::from_le_bytes(*w).to_f32());
            }
        }
    }

    /// Appends `values` to `out`, little-endian, rounded to nearest even.
    pub(crate) fn encode(self, values: &[f32], out: &mut Vec<u8>) {
        match self {
            Dtype::F32 => values.iter().for_each(|v| out.extend_from_slice(&v.to_le_bytes())),
            Dtype::F16 => values.iter().for_each(|v| out.extend_from_slice(&f16::from_f32(*v).to_le_bytes())),
            Dtype::Bf16 => values.iter().for_each(|v| out.extend_from_slice(&bf16::from_f32(*v).to_le_bytes())),
        }
    }

    /// Largest magnitude that does not become infinite.
    pub(crate) fn largest(self) -> f32 {
        match self {
            Dtype::F32 => f32::MAX,
            // halfway to the next power of two rounds up
            Dtype::F16 => 65_519.996,
            Dtype::Bf16 => f32::from_bits(0x7f7f_7fff),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_a_round_trip() {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            for bits in 0..=u16::MAX {
                let mut value = [0.0];
                dtype.decode(&bits.to_le_bytes(), &mut value);
                let mut back = Vec::new();
                dtype.encode(&value, &mut back);
                assert!(value[0].is_nan() || back == bits.to_le_bytes(), "{dtype:?} {bits:#x}");
            }
        }
    }

    #[test]
    fn the_largest_value_stays_finite_and_the_next_does_not() {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            for (value, finite) in [(dtype.largest(), true), (dtype.largest().next_up(), false)] {
                let (mut bytes, mut back) = (Vec::new(), [0.0]);
                dtype.encode(&[value], &mut bytes);
                dtype.decode(&bytes, &mut back);
                assert_eq!(back[0].is_finite(), finite, "{dtype:?} {value}");
            }
        }
    }
}
