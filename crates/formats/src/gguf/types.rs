//! Types of tensors: ggml's table, with the bytes of a block, so that every tensor can be placed even where it cannot be read.

use crate::encoding::Encoding;

/// One type of ggml.
#[derive(Debug)]
pub(super) struct TensorType {
    /// Number in the file.
    pub id: u32,
    /// ggml's name.
    pub name: &'static str,
    /// Weights of a block.
    pub weights: u64,
    /// Bytes of a block.
    pub bytes: u64,
}

const fn row(id: u32, name: &'static str, weights: u64, bytes: u64) -> TensorType {
    TensorType { id, name, weights, bytes }
}

const TABLE: [TensorType; 34] = [
    row(0, "F32", 1, 4),
    row(1, "F16", 1, 2),
    row(2, "Q4_0", 32, 18),
    row(3, "Q4_1", 32, 20),
    row(6, "Q5_0", 32, 22),
    row(7, "Q5_1", 32, 24),
    row(8, "Q8_0", 32, 34),
    row(9, "Q8_1", 32, 40),
    row(10, "Q2_K", 256, 84),
    row(11, "Q3_K", 256, 110),
    row(12, "Q4_K", 256, 144),
    row(13, "Q5_K", 256, 176),
    row(14, "Q6_K", 256, 210),
    row(15, "Q8_K", 256, 292),
    row(16, "IQ2_XXS", 256, 66),
    row(17, "IQ2_XS", 256, 74),
    row(18, "IQ3_XXS", 256, 98),
    row(19, "IQ1_S", 256, 50),
    row(20, "IQ4_NL", 32, 18),
    row(21, "IQ3_S", 256, 110),
    row(22, "IQ2_S", 256, 82),
    row(23, "IQ4_XS", 256, 136),
    row(24, "I8", 1, 1),
    row(25, "I16", 1, 2),
    row(26, "I32", 1, 4),
    row(27, "I64", 1, 8),
    row(28, "F64", 1, 8),
    row(29, "IQ1_M", 256, 56),
    row(30, "BF16", 1, 2),
    row(34, "TQ1_0", 256, 54),
    row(35, "TQ2_0", 256, 66),
    row(39, "MXFP4", 32, 17),
    row(40, "NVFP4", 64, 36),
    row(41, "Q1_0", 128, 18),
];

/// The type that the file numbers `id`.
pub(super) fn from_id(id: u32) -> Option<&'static TensorType> {
    TABLE.iter().find(|t| t.id == id)
}

/// The encoding that ggml calls `name`, if weights of it can be read.
pub(super) fn encoding(name: &str) -> Option<Encoding> {
    Encoding::all().find(|e| e.name() == name)
}

/// The number of an encoding.
pub(super) fn id_of(encoding: Encoding) -> u32 {
    TABLE.iter().find(|t| t.name == encoding.name()).map_or(0, |t| t.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_has_the_block_of_its_type() {
        for e in Encoding::all() {
            let t = from_id(id_of(e));
            let block = t.map(|t| (t.name, t.weights as usize, t.bytes as usize));
            assert_eq!(block, Some((e.name(), e.block_len(), e.block_bytes())));
        }
        // 29 is another type: a table that has bfloat there reads noise
        assert_eq!((id_of(Encoding::Bf16), from_id(29).map(|t| t.name)), (30, Some("IQ1_M")));
    }
}
