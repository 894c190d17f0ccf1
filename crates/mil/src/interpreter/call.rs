//! What an operation is given: its arguments by name, and how to round.

use super::{MOST_ELEMENTS, RunError};
use crate::numerics::Numerics;
use crate::tensor::{Data, Real, Tensor};
use crate::{Binding, DType, Span, Type};

/// Carries out an operation.
pub(super) type Kernel<F> = fn(&Call<'_, F>) -> Result<Vec<Tensor<F>>, RunError>;

/// An operation with its arguments.
pub(super) struct Call<'a, F> {
    pub op: &'a str,
    pub span: Span,
    pub arguments: Vec<(&'a str, Vec<&'a Tensor<F>>)>,
    pub results: &'a [Binding],
    pub numerics: &'a Numerics,
}

impl<'a, F: Real> Call<'a, F> {
    /// The error that says `message`.
    pub fn invalid(&self, message: impl Into<String>) -> RunError {
        RunError::Invalid { op: self.op.to_owned(), span: self.span, message: message.into() }
    }

    /// Whether `fine`; the error that says `message` otherwise.
    pub fn require(&self, fine: bool, message: impl FnOnce() -> String) -> Result<(), RunError> {
        if fine { Ok(()) } else { Err(self.invalid(message())) }
    }

    /// All values given for parameter `name`; none when it was left out.
    pub fn many(&self, name: &str) -> &[&'a Tensor<F>] {
        self.arguments.iter().find(|(n, _)| *n == name).map_or(&[], |(_, values)| values)
    }

    pub fn optional(&self, name: &str) -> Option<&'a Tensor<F>> {
        self.many(name).first().copied()
    }

    pub fn tensor(&self, name: &str) -> Result<&'a Tensor<F>, RunError> {
        self.optional(name).ok_or_else(|| self.invalid(format!("parameter `{name}` is missing")))
    }

    /// The elements of a floating-point tensor.
    pub fn floats(&self, tensor: &'a Tensor<F>) -> Result<&'a [F], RunError> {
        match &tensor.data {
            Data::Floats(v) => Ok(v),
            _ => Err(self.invalid(format!("expected floating-point numbers, found {}", tensor.ty))),
        }
    }

    pub fn bools(&self, tensor: &'a Tensor<F>) -> Result<&'a [bool], RunError> {
        match &tensor.data {
            Data::Bools(v) => Ok(v),
            _ => Err(self.invalid(format!("expected truth values, found {}", tensor.ty))),
        }
    }

    /// The integers given for `name`.
    pub fn ints(&self, name: &str) -> Result<Option<&'a [i64]>, RunError> {
        match self.optional(name).map(|t| &t.data) {
            None => Ok(None),
            Some(Data::Ints(v)) => Ok(Some(v)),
            Some(_) => Err(self.invalid(format!("`{name}` takes integers"))),
        }
    }

    pub fn int(&self, name: &str) -> Result<Option<i64>, RunError> {
        Ok(self.ints(name)?.and_then(|v| v.first().copied()))
    }

    /// The integers given for `name`, which must not be negative.
    pub fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>, RunError> {
        let Some(values) = self.ints(name)? else { return Ok(None) };
        let sizes: Option<Vec<usize>> = values.iter().map(|v| usize::try_from(*v).ok()).collect();
        sizes.map(Some).ok_or_else(|| self.invalid(format!("`{name}` must not be negative")))
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool, RunError> {
        Ok(self.flags(name)?.and_then(|v| v.first().copied()).unwrap_or(default))
    }

    pub fn flags(&self, name: &str) -> Result<Option<&'a [bool]>, RunError> {
        self.optional(name).map(|t| self.bools(t)).transpose()
    }

    pub fn text(&self, name: &str) -> Result<Option<&'a str>, RunError> {
        match self.optional(name).map(|t| &t.data) {
            None => Ok(None),
            Some(Data::Strings(v)) => Ok(v.first().map(String::as_str)),
            Some(_) => Err(self.invalid(format!("`{name}` takes a text"))),
        }
    }

    /// The number given for `name`.
    pub fn number(&self, name: &str, default: f64) -> Result<f64, RunError> {
        match self.optional(name).map(|t| &t.data) {
            None => Ok(default),
            Some(Data::Floats(v)) => Ok(v.first().map_or(default, |x| x.wide())),
            Some(Data::Ints(v)) => Ok(v.first().map_or(default, |x| *x as f64)),
            Some(_) => Err(self.invalid(format!("`{name}` takes a number"))),
        }
    }

    /// Place `axis` among `rank` axes, counted from the end where it is negative.
    pub fn place(&self, axis: i64, rank: usize) -> Result<usize, RunError> {
        let place = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
        let place = place.and_then(|p| usize::try_from(p).ok()).filter(|p| *p < rank);
        place.ok_or_else(|| self.invalid(format!("axis {axis} of {rank}")))
    }

    /// The axis given for `name`.
    pub fn axis(&self, name: &str, default: i64, rank: usize) -> Result<usize, RunError> {
        self.place(self.int(name)?.unwrap_or(default), rank)
    }

    /// The axes given for `name`, sorted, each once; all where it was left out.
    pub fn axes(&self, name: &str, rank: usize) -> Result<Vec<usize>, RunError> {
        let Some(given) = self.ints(name)? else { return Ok((0..rank).collect()) };
        let mut axes = given.iter().map(|a| self.place(*a, rank)).collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        Ok(axes)
    }

    /// Number of elements of `shape`, which must be one that can be held.
    pub fn elements(&self, shape: &[usize]) -> Result<usize, RunError> {
        let count = shape.iter().try_fold(1usize, |n, extent| n.checked_mul(*extent));
        count.filter(|n| *n <= MOST_ELEMENTS).ok_or_else(|| RunError::TooLarge {
            op: self.op.to_owned(),
            span: self.span,
            elements: count.map_or("too many".to_owned(), |n| n.to_string()),
            limit: MOST_ELEMENTS,
        })
    }

    /// A result of type `dtype` and `shape`, floating-point numbers rounded.
    pub fn result(&self, dtype: DType, shape: &[usize], mut data: Data<F>) -> Result<Vec<Tensor<F>>, RunError> {
        match &mut data {
            Data::Floats(v) => self.numerics.finish(dtype, v),
            Data::Ints(v) => v.iter_mut().for_each(|x| *x = wrap(dtype, *x)),
            Data::Bools(_) | Data::Strings(_) => {}
        }
        self.moved(dtype, shape, data)
    }

    /// A result whose elements were elements of `dtype` before.
    pub fn moved(&self, dtype: DType, shape: &[usize], data: Data<F>) -> Result<Vec<Tensor<F>>, RunError> {
        Ok(vec![Tensor::new(Type::new(dtype, shape), data).map_err(|e| self.invalid(e.to_string()))?])
    }
}

/// `x` modulo the range of an integer type.
pub(super) fn wrap(dtype: DType, x: i64) -> i64 {
    match dtype {
        DType::Int4 => x << 60 >> 60,
        DType::Uint4 => x & 15,
        DType::Int8 => i64::from(x as i8),
        DType::Uint8 => i64::from(x as u8),
        DType::Int16 => i64::from(x as i16),
        DType::Uint16 => i64::from(x as u16),
        DType::Int32 => i64::from(x as i32),
        DType::Uint32 => i64::from(x as u32),
        _ => x,
    }
}
