//! Matrices in the type that a file stores, and their products with few or many rows of activations.
//!
//! `y[m, n] = x[m, k] w[n, k]^T` for `w` in f32, f16, bf16 or q8_0. Up to [`ROWS_MAX`] rows (8) go through dot products
//! that read the stored bytes once (decoding is bound by that traffic); more rows go through [`Cpu::gemm`], a panel of
//! decoded rows at a time. Each output is one sum of fixed order, whatever the number of threads.
//!
//! q8_0 (ggml): blocks of 32 elements of a row, `d: f16` then 32 signed bytes `q`, element `d q`. Its arithmetic depends on
//! the number of rows, and with it the last digits of a logit on how a text was cut into passes:
//!
//! | rows | activations | sums |
//! |---|---|---|
//! | 1 to 8 | rounded to the same form, `d = max|x| / 127` of a block: off by up to 1/254 of its largest | integers in a block, then f32 |
//! | 9 and more | as they are | f32 |
//! | 9 and more, with AMX | rounded to bf16, as the weights are: off by up to 2^-8 of themselves | f32 |
//!
//! Other blocks of quantised weights are [`Coded`]: whoever reads the file brings the function that decodes them, and activations stay
//! f32. f16 and bf16 weights are widened, and activations stay f32. Infinities: the 8-bit form has none, so a block of activations
//! with an infinity or a NaN makes every output NaN; in the other rows of the table they act as in f32 (infinity times a
//! weight of 0 is NaN). A NaN never comes out as a number.
//! Legend: m rows of activations, k columns of a weight, n its rows.

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod decode;
mod dots;
mod held;
mod product;
mod quantised;

use crate::gemm::Halves;

pub use held::Held;
pub use product::{Operand, ROWS_MAX};
pub use quantised::Quantised;

/// Elements of a block of q8_0.
pub const BLOCK: usize = 32;
/// Bytes of a block of q8_0.
pub const BLOCK_BYTES: usize = 34;

/// A type that weights are stored in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// 32-bit IEEE floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// The upper halves of 32-bit IEEE floats.
    Bf16,
    /// Blocks of 32 bytes with a scale.
    Q8_0,
    /// Blocks that [`Coded::decode`] knows.
    Coded(Coded),
}

/// Blocks of weights in a form that only their reader knows.
#[derive(Clone, Copy, Debug)]
pub struct Coded {
    /// Weights of a block; a divisor of [`CODED_BLOCK`].
    pub weights: usize,
    /// Its bytes.
    pub bytes: usize,
    /// Whole blocks to as many weights.
    pub decode: fn(&[u8], &mut [f32]),
}

/// Most weights of a block of [`Coded`] weights.
pub const CODED_BLOCK: usize = 256;

impl PartialEq for Coded {
    fn eq(&self, other: &Coded) -> bool {
        (self.weights, self.bytes) == (other.weights, other.bytes) && std::ptr::fn_addr_eq(self.decode, other.decode)
    }
}

impl Eq for Coded {}

impl Coded {
    /// Bytes of `weights` weights, whole blocks.
    fn bytes_of(&self, weights: usize) -> usize {
        weights / self.weights * self.bytes
    }
}

impl Stored {
    /// Bytes of a row of `cols` elements; none where no whole number of blocks fits it.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        match self {
            Stored::F32 => cols.checked_mul(4),
            Stored::F16 | Stored::Bf16 => cols.checked_mul(2),
            Stored::Q8_0 => cols.is_multiple_of(BLOCK).then(|| cols / BLOCK * BLOCK_BYTES),
            Stored::Coded(coded) => {
                let whole = coded.weights > 0 && CODED_BLOCK.is_multiple_of(coded.weights) && cols.is_multiple_of(coded.weights);
                whole.then(|| (cols / coded.weights).checked_mul(coded.bytes)).flatten()
            }
        }
    }
}

/// The elements of a matrix, row after row, little-endian.
#[derive(Clone, Copy, Debug)]
pub enum Elements<'a> {
    /// See [`Stored::F32`].
    F32(&'a [f32]),
    /// See [`Stored::F16`].
    F16(&'a [u8]),
    /// See [`Stored::Bf16`].
    Bf16(&'a [u8]),
    /// See [`Stored::Q8_0`].
    Q8_0(&'a [u8]),
    /// See [`Stored::Coded`].
    Coded(Coded, &'a [u8]),
}

/// A weight `[rows, cols]` that is read where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    elements: Elements<'a>,
    rows: usize,
    cols: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix `[rows, cols]` of `elements`; none when their number is another, or a row is no whole number of blocks.
    pub fn new(elements: Elements<'a>, rows: usize, cols: usize) -> Option<Matrix<'a>> {
        let (stored, found) = match elements {
            Elements::F32(floats) => (Stored::F32, floats.len().checked_mul(4)?),
            Elements::F16(bytes) => (Stored::F16, bytes.len()),
            Elements::Bf16(bytes) => (Stored::Bf16, bytes.len()),
            Elements::Q8_0(bytes) => (Stored::Q8_0, bytes.len()),
            Elements::Coded(coded, bytes) => (Stored::Coded(coded), bytes.len()),
        };
        let expected = stored.row_bytes(cols)?.checked_mul(rows)?;
        (cols > 0 && found == expected).then_some(Matrix { elements, rows, cols })
    }

    /// Rows: outputs of the product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: inputs of the product.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The elements, where they are f32.
    pub fn floats(&self) -> Option<&'a [f32]> {
        if let Elements::F32(floats) = self.elements { Some(floats) } else { None }
    }

    /// The bytes of the elements, where they are bfloat16.
    pub fn halves_bytes(&self) -> Option<&'a [u8]> {
        if let Elements::Bf16(bytes) = self.elements { Some(bytes) } else { None }
    }

    /// The matrix as the right side of a product, where its elements are bfloat16.
    pub fn halves(&self) -> Option<Halves<'a>> {
        Halves::new(&[self.halves_bytes()?], self.cols)
    }

    /// The type of the elements.
    pub fn stored(&self) -> Stored {
        match self.elements {
            Elements::F32(_) => Stored::F32,
            Elements::F16(_) => Stored::F16,
            Elements::Bf16(_) => Stored::Bf16,
            Elements::Q8_0(_) => Stored::Q8_0,
            Elements::Coded(coded, _) => Stored::Coded(coded),
        }
    }

    /// Bytes that the matrix takes where it lies.
    pub fn bytes(&self) -> usize {
        match self.elements {
            Elements::F32(floats) => 4 * floats.len(),
            Elements::F16(bytes) | Elements::Bf16(bytes) | Elements::Q8_0(bytes) | Elements::Coded(_, bytes) => bytes.len(),
        }
    }
}

/// The elements of a weight, whoever keeps them.
#[derive(Clone, Debug)]
pub enum Numbers<'a> {
    /// See [`Stored::F32`].
    F32(Held<'a, f32>),
    /// See [`Stored::F16`].
    F16(Held<'a, u8>),
    /// See [`Stored::Bf16`].
    Bf16(Held<'a, u8>),
    /// See [`Stored::Q8_0`].
    Q8_0(Held<'a, u8>),
    /// See [`Stored::Coded`].
    Coded(Coded, Held<'a, u8>),
}

/// A [`Matrix`] that may own its elements.
#[derive(Clone, Debug)]
pub struct Weight<'a> {
    numbers: Numbers<'a>,
    rows: usize,
    cols: usize,
}

impl<'a> Weight<'a> {
    /// As [`Matrix::new`].
    pub fn new(numbers: Numbers<'a>, rows: usize, cols: usize) -> Option<Weight<'a>> {
        let weight = Weight { numbers, rows, cols };
        let elements = weight.matrix().elements;
        Matrix::new(elements, rows, cols).is_some().then_some(weight)
    }

    /// The elements, borrowed.
    pub fn numbers(&self) -> Numbers<'_> {
        match &self.numbers {
            Numbers::F32(floats) => Numbers::F32(Held::Borrowed(floats)),
            Numbers::F16(bytes) => Numbers::F16(Held::Borrowed(bytes)),
            Numbers::Bf16(bytes) => Numbers::Bf16(Held::Borrowed(bytes)),
            Numbers::Q8_0(bytes) => Numbers::Q8_0(Held::Borrowed(bytes)),
            Numbers::Coded(coded, bytes) => Numbers::Coded(*coded, Held::Borrowed(bytes)),
        }
    }

    /// The matrix.
    pub fn matrix(&self) -> Matrix<'_> {
        let elements = match &self.numbers {
            Numbers::F32(floats) => Elements::F32(floats),
            Numbers::F16(bytes) => Elements::F16(bytes),
            Numbers::Bf16(bytes) => Elements::Bf16(bytes),
            Numbers::Q8_0(bytes) => Elements::Q8_0(bytes),
            Numbers::Coded(coded, bytes) => Elements::Coded(*coded, bytes),
        };
        Matrix { elements, rows: self.rows, cols: self.cols }
    }
}

#[cfg(test)]
mod tests;
