//! [`Encoding`]: how the numbers of one weight are stored, and the way to f32 and back.
//!
//! Block encodings are those of ggml: a row is cut into blocks of a fixed number of weights, each with its own scale.

use crate::blocks;
use crate::dtype::Dtype;

/// How the numbers of a weight are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    Bf16,
    /// 32 weights: scale, 8 bits each.
    Q8_0,
    /// 32 weights: scale, 4 bits each.
    Q4_0,
    /// 32 weights: scale and minimum, 4 bits each.
    Q4_1,
    /// 32 weights: scale, 5 bits each.
    Q5_0,
    /// 32 weights: scale and minimum, 5 bits each.
    Q5_1,
    /// 256 weights in 8 groups with 6-bit scales and minima, 4 bits each.
    Q4K,
    /// 256 weights in 8 groups with 6-bit scales and minima, 5 bits each.
    Q5K,
    /// 256 weights in 16 groups with 8-bit scales, 6 bits each.
    Q6K,
}

/// Everything that is fixed about an encoding.
struct Facts {
    encoding: Encoding,
    name: &'static str,
    weights: usize,
    bytes: usize,
}

const fn facts(encoding: Encoding, name: &'static str, weights: usize, bytes: usize) -> Facts {
    Facts { encoding, name, weights, bytes }
}

const TABLE: [Facts; 11] = [
    facts(Encoding::F32, "F32", 1, 4),
    facts(Encoding::F16, "F16", 1, 2),
    facts(Encoding::Bf16, "BF16", 1, 2),
    facts(Encoding::Q8_0, "Q8_0", 32, 34),
    facts(Encoding::Q4_0, "Q4_0", 32, 18),
    facts(Encoding::Q4_1, "Q4_1", 32, 20),
    facts(Encoding::Q5_0, "Q5_0", 32, 22),
    facts(Encoding::Q5_1, "Q5_1", 32, 24),
    facts(Encoding::Q4K, "Q4_K", 256, 144),
    facts(Encoding::Q5K, "Q5_K", 256, 176),
    facts(Encoding::Q6K, "Q6_K", 256, 210),
];

impl Encoding {
    /// Every encoding that can be read.
    pub fn all() -> impl Iterator<Item = Encoding> {
        TABLE.iter().map(|f| f.encoding)
    }

    fn facts(self) -> &'static Facts {
        TABLE.iter().find(|f| f.encoding == self).unwrap_or(&TABLE[0])
    }

    /// Its usual name: `F32`, `Q4_K`, ...
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Weights of one block; 1 where there are no blocks.
    pub fn block_len(self) -> usize {
        self.facts().weights
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        self.facts().bytes
    }

    /// Bytes of `n` weights; `None` unless they are whole blocks and their size fits.
    pub fn bytes_of(self, n: usize) -> Option<usize> {
        let f = self.facts();
        n.is_multiple_of(f.weights).then(|| (n / f.weights).checked_mul(f.bytes)).flatten()
    }

    /// The element type, where there are no blocks.
    pub fn dtype(self) -> Option<Dtype> {
        match self {
            Encoding::F32 => Some(Dtype::F32),
            Encoding::F16 => Some(Dtype::F16),
            Encoding::Bf16 => Some(Dtype::Bf16),
            _ => None,
        }
    }

    /// Whole blocks to f32; `out` holds as many elements as `bytes` stand for.
    pub fn decode(self, bytes: &[u8], out: &mut [f32]) {
        self.decoder()(bytes, out);
    }

    /// The function that [`Encoding::decode`] is for this encoding.
    pub fn decoder(self) -> fn(&[u8], &mut [f32]) {
        match self {
            Encoding::F32 => |bytes, out| Dtype::F32.decode(bytes, out),
            Encoding::F16 => |bytes, out| Dtype::F16.decode(bytes, out),
            Encoding::Bf16 => |bytes, out| Dtype::Bf16.decode(bytes, out),
            Encoding::Q8_0 => |bytes, out| blocks::decode(bytes, out, blocks::q8_0),
            Encoding::Q4_0 => |bytes, out| blocks::decode(bytes, out, blocks::q4_0),
            Encoding::Q4_1 => |bytes, out| blocks::decode(bytes, out, blocks::q4_1),
            Encoding::Q5_0 => |bytes, out| blocks::decode(bytes, out, blocks::q5_0),
            Encoding::Q5_1 => |bytes, out| blocks::decode(bytes, out, blocks::q5_1),
            Encoding::Q4K => |bytes, out| blocks::decode(bytes, out, blocks::q4_k),
            Encoding::Q5K => |bytes, out| blocks::decode(bytes, out, blocks::q5_k),
            Encoding::Q6K => |bytes, out| blocks::decode(bytes, out, blocks::q6_k),
        }
    }

    /// Appends `values`, whole blocks, to `out`; `false`, with nothing appended, where they cannot be said in this encoding
    /// (one of 4 to 6 bits, or values beyond its range).
    #[must_use]
    pub fn encode(self, values: &[f32], out: &mut Vec<u8>) -> bool {
        let largest = |d: Dtype| values.iter().all(|v| !v.is_finite() || v.abs() <= d.largest());
        match (self, self.dtype()) {
            (_, Some(dtype)) if largest(dtype) => dtype.encode(values, out),
            (Encoding::Q8_0, _) => return blocks::encode_q8_0(values, out),
            _ => return false,
        }
        true
    }
}

impl From<Dtype> for Encoding {
    fn from(dtype: Dtype) -> Encoding {
        match dtype {
            Dtype::F32 => Encoding::F32,
            Dtype::F16 => Encoding::F16,
            Dtype::Bf16 => Encoding::Bf16,
        }
    }
}
