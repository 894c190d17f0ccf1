//! Constants of a program as tensors.

use half::{bf16, f16};

use super::{MOST_ELEMENTS, RunError};
use crate::blob::{self, Validation};
use crate::numerics::Numerics;
use crate::tensor::{Data, Real, SizeError, Tensor, is_int};
use crate::{DType, Elements, Literal, Span, Type};

/// Weight files and how exact they must be.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub blobs: &'a [(String, Vec<u8>)],
    pub validation: Validation,
}

/// The tensor that `literal` says.
pub(super) fn tensor<F: Real>(
    literal: &Literal,
    span: Span,
    files: Files<'_>,
    numerics: &Numerics,
) -> Result<Tensor<F>, RunError> {
    let too_large = || RunError::TooLarge {
        op: "const".to_owned(),
        span,
        elements: literal.ty.elements().map_or("too many".to_owned(), |n| n.to_string()),
        limit: MOST_ELEMENTS,
    };
    if literal.ty.elements().is_none_or(|n| n > MOST_ELEMENTS) {
        return Err(too_large());
    }
    let mut tensor = match &literal.elements {
        Elements::Blob { path, offset } => from_file(&literal.ty, path, *offset, span, files)?,
        elements => {
            let data = data(&literal.ty, elements).map_err(|error| RunError::Constant { span, error })?;
            Tensor::new(literal.ty.clone(), data).map_err(|error| RunError::Constant { span, error })?
        }
    };
    if let Data::Floats(values) = &mut tensor.data {
        numerics.admit(literal.ty.dtype, values);
    }
    Ok(tensor)
}

fn from_file<F: Real>(ty: &Type, path: &str, offset: u64, span: Span, files: Files<'_>) -> Result<Tensor<F>, RunError> {
    let Some((_, file)) = files.blobs.iter().find(|(name, _)| name == path) else {
        return Err(RunError::NoFile { path: path.to_owned(), span });
    };
    let bytes = blob::data(file, offset, ty, files.validation);
    let bytes = bytes.map_err(|error| RunError::Blob { path: path.to_owned(), span, error })?;
    Tensor::from_bytes(ty, bytes).map_err(|error| RunError::Constant { span, error })
}

fn data<F: Real>(ty: &Type, elements: &Elements) -> Result<Data<F>, SizeError> {
    Ok(match (elements, ty.dtype) {
        (Elements::Floats(v), t) if t.is_float() => Data::Floats(v.iter().map(|x| F::of(round(t, *x))).collect()),
        (Elements::Ints(v), t) if t.is_float() => Data::Floats(v.iter().map(|x| F::of(round(t, *x as f64))).collect()),
        (Elements::Ints(v), t) if is_int(t) => Data::Ints(v.clone()),
        (Elements::Bools(v), DType::Bool) => Data::Bools(v.clone()),
        (Elements::Strings(v), DType::String) => Data::Strings(v.clone()),
        _ => {
            let expected = "elements of its own type".to_owned();
            return Err(SizeError { ty: ty.clone(), expected, found: 0, unit: "such elements" });
        }
    })
}

/// What the text says, rounded once, to the type of the constant.
fn round(dtype: DType, x: f64) -> f64 {
    match dtype {
        DType::Fp16 => f64::from(f16::from_f64(x)),
        DType::Bf16 => f64::from(bf16::from_f64(x)),
        _ => f64::from(x as f32),
    }
}
