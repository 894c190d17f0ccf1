//! [`Tensor`]: a type and its elements, as the interpreter computes with them.
//!
//! Elements of every floating-point type are held as `f32` (or `f64` in the oracle), already rounded to the grid of their
//! type, integers as `i64`: operations then need one body each, whatever the type.

use std::fmt;

use half::{bf16, f16};

use crate::{DType, Type};

/// Numbers that the interpreter can compute in.
pub trait Real:
    Copy
    + Default
    + PartialOrd
    + fmt::Debug
    + Send
    + Sync
    + 'static
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Rem<Output = Self>
    + std::ops::Neg<Output = Self>
    + std::ops::AddAssign
{
    /// The nearest number to `x`.
    fn of(x: f64) -> Self;
    /// The number as `f64`, without loss.
    fn wide(self) -> f64;
    /// `self` to the power `y`.
    fn powf(self, y: Self) -> Self;
    /// Applies a function of `f32` or `f64`, whichever this is.
    fn apply(self, single: fn(f32) -> f32, double: fn(f64) -> f64) -> Self;
    /// The elements as `f32`, where that is what they are.
    fn singles(slice: &[Self]) -> Option<&[f32]>;
    /// The elements as `f32`, to be written, where that is what they are.
    fn singles_mut(slice: &mut [Self]) -> Option<&mut [f32]>;
}

impl Real for f32 {
    fn of(x: f64) -> f32 {
        x as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn powf(self, y: f32) -> f32 {
        self.powf(y)
    }

    fn apply(self, single: fn(f32) -> f32, _: fn(f64) -> f64) -> f32 {
        single(self)
    }

    fn singles(slice: &[f32]) -> Option<&[f32]> {
        Some(slice)
    }

    fn singles_mut(slice: &mut [f32]) -> Option<&mut [f32]> {
        Some(slice)
    }
}

impl Real for f64 {
    fn of(x: f64) -> f64 {
        x
    }

    fn wide(self) -> f64 {
        self
    }

    fn powf(self, y: f64) -> f64 {
        self.powf(y)
    }

    fn apply(self, _: fn(f32) -> f32, double: fn(f64) -> f64) -> f64 {
        double(self)
    }

    fn singles(_: &[f64]) -> Option<&[f32]> {
        None
    }

    fn singles_mut(_: &mut [f64]) -> Option<&mut [f32]> {
        None
    }
}

/// Elements, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data<F = f32> {
    /// Of a floating-point type.
    Floats(Vec<F>),
    /// Of an integer type.
    Ints(Vec<i64>),
    /// Truth values.
    Bools(Vec<bool>),
    /// Texts.
    Strings(Vec<String>),
}

impl<F> Data<F> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::Floats(v) => v.len(),
            Data::Ints(v) => v.len(),
            Data::Bools(v) => v.len(),
            Data::Strings(v) => v.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A type and as many elements as it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<F = f32> {
    /// Element type and shape.
    pub ty: Type,
    /// Elements, row-major.
    pub data: Data<F>,
}

/// Why bytes or elements make no tensor of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ty} takes {expected} {unit}, found {found}")]
pub struct SizeError {
    /// Type that was wanted.
    pub ty: Type,
    /// How much that takes.
    pub expected: String,
    /// How much there is.
    pub found: usize,
    /// `bytes` or `elements`.
    pub unit: &'static str,
}

impl<F: Real> Tensor<F> {
    /// A floating-point tensor of type `ty`. Elements are taken as they are, not rounded.
    ///
    /// # Errors
    /// When there are not as many elements as the type says.
    pub fn floats(ty: Type, values: Vec<F>) -> Result<Tensor<F>, SizeError> {
        Tensor::new(ty, Data::Floats(values))
    }

    /// An integer tensor of type `ty`.
    ///
    /// # Errors
    /// As [`Tensor::floats`].
    pub fn ints(ty: Type, values: Vec<i64>) -> Result<Tensor<F>, SizeError> {
        Tensor::new(ty, Data::Ints(values))
    }

    /// A tensor of type `ty` and elements `data`, whose kind must be that of the type.
    ///
    /// # Errors
    /// When the elements are of another kind or number than the type says.
    pub fn new(ty: Type, data: Data<F>) -> Result<Tensor<F>, SizeError> {
        let tensor = Tensor { ty, data };
        if tensor.is_whole() {
            return Ok(tensor);
        }
        let expected = tensor.ty.elements().map_or("more than can be counted".to_owned(), |n| n.to_string());
        Err(SizeError { expected, found: tensor.data.len(), unit: "elements of its kind", ty: tensor.ty })
    }

    /// Whether there are as many elements as the type says, and of its kind.
    pub fn is_whole(&self) -> bool {
        let of_its_kind = match self.data {
            Data::Floats(_) => self.ty.dtype.is_float(),
            Data::Bools(_) => self.ty.dtype == DType::Bool,
            Data::Strings(_) => self.ty.dtype == DType::String,
            Data::Ints(_) => is_int(self.ty.dtype),
        };
        of_its_kind && self.ty.elements() == Some(self.data.len())
    }

    /// The tensor of type `ty` that lies in `bytes`, packed row-major, little endian, 4-bit types low half first.
    ///
    /// # Errors
    /// When there are not exactly as many bytes as the type takes.
    pub fn from_bytes(ty: &Type, bytes: &[u8]) -> Result<Tensor<F>, SizeError> {
        if ty.bytes() != Some(bytes.len()) || ty.dtype == DType::String {
            let expected = ty.bytes().map_or("more than can be counted".to_owned(), |n| n.to_string());
            return Err(SizeError { ty: ty.clone(), expected, found: bytes.len(), unit: "bytes" });
        }
        Tensor::new(ty.clone(), decode(ty, bytes))
    }

    /// The elements as bytes, packed row-major, little endian, rounded to their type.
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.data {
            Data::Floats(v) => encode_floats(self.ty.dtype, v),
            Data::Ints(v) => encode_ints(self.ty.dtype, v),
            Data::Bools(v) => v.iter().map(|b| u8::from(*b)).collect(),
            Data::Strings(_) => Vec::new(),
        }
    }

    /// Every element as a number, truth values as 0 and 1; texts have none.
    pub fn numbers(&self) -> Vec<f64> {
        match &self.data {
            Data::Floats(v) => v.iter().map(|x| x.wide()).collect(),
            Data::Ints(v) => v.iter().map(|x| *x as f64).collect(),
            Data::Bools(v) => v.iter().map(|b| f64::from(u8::from(*b))).collect(),
            Data::Strings(_) => Vec::new(),
        }
    }

    /// The same tensor with elements of another kind of number; those of floating-point types are converted to nearest.
    pub fn convert<G: Real>(&self) -> Tensor<G> {
        let data = match &self.data {
            Data::Floats(v) => Data::Floats(v.iter().map(|x| G::of(x.wide())).collect()),
            Data::Ints(v) => Data::Ints(v.clone()),
            Data::Bools(v) => Data::Bools(v.clone()),
            Data::Strings(v) => Data::Strings(v.clone()),
        };
        Tensor { ty: self.ty.clone(), data }
    }
}

/// Whether `dtype` is an integer type; truth values are not.
pub(crate) fn is_int(dtype: DType) -> bool {
    !dtype.is_float() && !matches!(dtype, DType::Bool | DType::String)
}

fn decode<F: Real>(ty: &Type, bytes: &[u8]) -> Data<F> {
    fn words<const N: usize, T>(bytes: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
    }
    let n = ty.elements().unwrap_or(0);
    match ty.dtype {
        DType::Fp16 => Data::Floats(words(bytes, |b| F::of(f64::from(f16::from_le_bytes(b))))),
        DType::Bf16 => Data::Floats(words(bytes, |b| F::of(f64::from(bf16::from_le_bytes(b))))),
        DType::Fp32 => Data::Floats(words(bytes, |b| F::of(f64::from(f32::from_le_bytes(b))))),
        DType::Int4 => Data::Ints(nibbles(bytes, n).map(|x| i64::from((x as i8) << 4 >> 4)).collect()),
        DType::Uint4 => Data::Ints(nibbles(bytes, n).map(i64::from).collect()),
        DType::Int8 => Data::Ints(bytes.iter().map(|b| i64::from(*b as i8)).collect()),
        DType::Uint8 => Data::Ints(bytes.iter().map(|b| i64::from(*b)).collect()),
        DType::Int16 => Data::Ints(words(bytes, |b| i64::from(i16::from_le_bytes(b)))),
        DType::Uint16 => Data::Ints(words(bytes, |b| i64::from(u16::from_le_bytes(b)))),
        DType::Int32 => Data::Ints(words(bytes, |b| i64::from(i32::from_le_bytes(b)))),
        DType::Uint32 => Data::Ints(words(bytes, |b| i64::from(u32::from_le_bytes(b)))),
        DType::Int64 | DType::Uint64 => Data::Ints(words(bytes, i64::from_le_bytes)),
        DType::Bool => Data::Bools(bytes.iter().map(|b| *b != 0).collect()),
        DType::String => Data::Strings(Vec::new()),
    }
}

fn nibbles(bytes: &[u8], n: usize) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|b| [b & 15, b >> 4]).take(n)
}

fn encode_floats<F: Real>(dtype: DType, values: &[F]) -> Vec<u8> {
    match dtype {
        DType::Fp16 => values.iter().flat_map(|x| f16::from_f64(x.wide()).to_le_bytes()).collect(),
        DType::Bf16 => values.iter().flat_map(|x| bf16::from_f64(x.wide()).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|x| (x.wide() as f32).to_le_bytes()).collect(),
    }
}

fn encode_ints(dtype: DType, values: &[i64]) -> Vec<u8> {
    match dtype.bits() {
        4 => values.chunks(2).map(|pair| (pair[0] & 15) as u8 | (pair.get(1).map_or(0, |x| x & 15) as u8) << 4).collect(),
        bits => values.iter().flat_map(|x| x.to_le_bytes().into_iter().take(bits / 8)).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_in_every_type() {
        for dtype in DType::ALL {
            let ty = Type::new(dtype, &[3]);
            let tensor: Tensor = match dtype {
                DType::String => continue,
                DType::Bool => Tensor::new(ty.clone(), Data::Bools(vec![true, false, true])).unwrap(),
                t if t.is_float() => Tensor::floats(ty.clone(), vec![1.5, -0.25, 3.0]).unwrap(),
                DType::Int4 | DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64 => {
                    Tensor::ints(ty.clone(), vec![-8, 7, -1]).unwrap()
                }
                _ => Tensor::ints(ty.clone(), vec![0, 15, 3]).unwrap(),
            };
            let bytes = tensor.to_bytes();
            assert_eq!(Some(bytes.len()), ty.bytes(), "{dtype}");
            assert_eq!(Tensor::from_bytes(&ty, &bytes).unwrap(), tensor, "{dtype}");
        }
    }

    #[test]
    fn a_wrong_size_is_an_error() {
        let ty = Type::new(DType::Fp16, &[2, 2]);
        assert!(Tensor::<f32>::from_bytes(&ty, &[0; 7]).is_err());
        assert!(Tensor::<f32>::floats(ty.clone(), vec![0.0; 3]).is_err());
        assert!(Tensor::<f32>::ints(ty, vec![0; 4]).is_err());
        assert!(Tensor::<f32>::from_bytes(&Type::new(DType::Fp16, &[usize::MAX, 2]), &[]).is_err());
    }
}
