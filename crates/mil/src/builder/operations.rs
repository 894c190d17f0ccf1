//! The operations that our programs use, each as a method. All others are reached through [`Builder::op`].

use super::{Builder, NOTHING, Operand, Use, Var};
use crate::ops::{self, Call, Given, Value};
use crate::{DType, Literal};

/// Largest number that does not become infinite in fp16.
const LARGEST: f64 = 65_519.0;

impl Builder {
    /// A constant of fp16.
    pub fn scalar(&mut self, value: f64) -> Var {
        if value.abs() > LARGEST {
            return self.fail("const", format!("{value} does not fit fp16"));
        }
        self.literal(Literal::float(DType::Fp16, value))
    }

    fn extents(&mut self, op: &str, extents: &[usize]) -> Operand<'static> {
        let numbers: Result<Vec<i64>, _> = extents.iter().map(|&e| i32::try_from(e).map(i64::from)).collect();
        match numbers {
            Ok(numbers) => Literal::ints(&numbers).into(),
            Err(_) => self.fail(op, format!("{extents:?} does not fit int32")).into(),
        }
    }

    fn unary(&mut self, op: &str, x: Var) -> Var {
        self.op(op, &[("x", x.into())])
    }

    fn binary(&mut self, op: &str, x: Var, y: Var) -> Var {
        self.op(op, &[("x", x.into()), ("y", y.into())])
    }

    /// The part of `x` that begins at `begin` and has the shape `size`.
    pub fn slice(&mut self, x: Var, begin: &[usize], size: &[usize]) -> Var {
        let (begin, size) = (self.extents("slice_by_size", begin), self.extents("slice_by_size", size));
        self.op("slice_by_size", &[("x", x.into()), ("begin", begin), ("size", size)])
    }

    /// `x` in another shape, row-major.
    pub fn reshape(&mut self, x: Var, shape: &[usize]) -> Var {
        let shape = self.extents("reshape", shape);
        self.op("reshape", &[("x", x.into()), ("shape", shape)])
    }

    /// `x` with axis `perm[i]` as its axis `i`.
    pub fn transpose(&mut self, x: Var, perm: &[usize]) -> Var {
        let perm = self.extents("transpose", perm);
        self.op("transpose", &[("x", x.into()), ("perm", perm)])
    }

    /// Matrix product of the last two axes, `x` and `y` transposed first where `tx` and `ty`.
    pub fn matmul(&mut self, x: Var, y: Var, tx: bool, ty: bool) -> Var {
        let (tx, ty) = (Literal::bool(tx).into(), Literal::bool(ty).into());
        self.op("matmul", &[("transpose_x", tx), ("transpose_y", ty), ("x", x.into()), ("y", y.into())])
    }

    /// `x + y`
    pub fn add(&mut self, x: Var, y: Var) -> Var {
        self.binary("add", x, y)
    }

    /// `x - y`
    pub fn sub(&mut self, x: Var, y: Var) -> Var {
        self.binary("sub", x, y)
    }

    /// `x y`, element by element.
    pub fn mul(&mut self, x: Var, y: Var) -> Var {
        self.binary("mul", x, y)
    }

    /// `x / y`
    pub fn real_div(&mut self, x: Var, y: Var) -> Var {
        self.binary("real_div", x, y)
    }

    /// The larger of `x` and `y`.
    pub fn maximum(&mut self, x: Var, y: Var) -> Var {
        self.binary("maximum", x, y)
    }

    /// The smaller of `x` and `y`.
    pub fn minimum(&mut self, x: Var, y: Var) -> Var {
        self.binary("minimum", x, y)
    }

    /// `x` to the power of a constant.
    pub fn pow(&mut self, x: Var, power: f64) -> Var {
        let power = self.scalar(power);
        self.binary("pow", x, power)
    }

    /// `1 / (1 + exp(-x))`
    pub fn sigmoid(&mut self, x: Var) -> Var {
        self.unary("sigmoid", x)
    }

    /// Hyperbolic tangent.
    pub fn tanh(&mut self, x: Var) -> Var {
        self.unary("tanh", x)
    }

    /// e to the power of `x`.
    pub fn exp(&mut self, x: Var) -> Var {
        self.unary("exp", x)
    }

    /// `max(x, 0)`
    pub fn relu(&mut self, x: Var) -> Var {
        self.unary("relu", x)
    }

    /// Softmax along `axis`, which may count from the end.
    pub fn softmax(&mut self, x: Var, axis: i64) -> Var {
        self.op("softmax", &[("axis", Literal::int(DType::Int32, axis).into()), ("x", x.into())])
    }

    fn reduce(&mut self, op: &str, x: Var, axes: &[i64]) -> Var {
        let (axes, keep) = (Literal::ints(axes).into(), Literal::bool(true).into());
        self.op(op, &[("x", x.into()), ("axes", axes), ("keep_dims", keep)])
    }

    /// Sums along `axes`, which stay with extent 1.
    pub fn reduce_sum(&mut self, x: Var, axes: &[i64]) -> Var {
        self.reduce("reduce_sum", x, axes)
    }

    /// Largest elements along `axes`, which stay with extent 1.
    pub fn reduce_max(&mut self, x: Var, axes: &[i64]) -> Var {
        self.reduce("reduce_max", x, axes)
    }

    /// Convolution without padding, stride 1: for `[out, in, 1, 1]` the product `W x` at every position.
    pub fn conv(&mut self, x: Var, weight: Var) -> Var {
        let axes = self.ty(x).shape.len().saturating_sub(2);
        let (ones, zeros) = (Literal::ints(&vec![1; axes]), Literal::ints(&vec![0; 2 * axes]));
        let arguments = [
            ("dilations", ones.clone().into()),
            ("groups", Literal::int(DType::Int32, 1).into()),
            ("pad", zeros.into()),
            ("pad_type", Literal::string("valid").into()),
            ("strides", ones.into()),
            ("weight", weight.into()),
            ("x", x.into()),
        ];
        self.op("conv", &arguments)
    }

    /// `values` one after the other along `axis`.
    pub fn concat(&mut self, values: &[Var], axis: i64) -> Var {
        let (axis, interleave) = (Literal::int(DType::Int32, axis).into(), Literal::bool(false).into());
        self.op("concat", &[("axis", axis), ("interleave", interleave), ("values", values.into())])
    }

    /// `x` in another element type.
    pub fn cast(&mut self, x: Var, dtype: DType) -> Var {
        self.op("cast", &[("dtype", Literal::string(dtype.name()).into()), ("x", x.into())])
    }

    /// `round(x / scale)` as int8, with the ends of the type for what lies beyond.
    pub fn quantize(&mut self, x: Var, scale: f64) -> Var {
        let (dtype, scale) = (Literal::string(DType::Int8.name()).into(), self.scalar(scale));
        self.op("quantize", &[("input", x.into()), ("output_dtype", dtype), ("scale", scale.into())])
    }

    /// `scale x` as fp16, of int8 or uint8.
    pub fn dequantize(&mut self, x: Var, scale: f64) -> Var {
        let scale = self.scalar(scale);
        self.op("dequantize", &[("input", x.into()), ("scale", scale.into())])
    }

    /// `scale (data - zero_point)`, known when the program is compiled. A scale is a number, or a vector along `axis`.
    pub fn constexpr_affine_dequantize(&mut self, data: Literal, scale: Literal, zero_point: Literal, axis: i64) -> Var {
        let axis = Literal::int(DType::Int32, axis);
        let parameters = vec![("axis", axis), ("quantized_data", data), ("scale", scale), ("zero_point", zero_point)];
        self.constexpr("constexpr_affine_dequantize", parameters)
    }

    /// An operation whose parameters are attributes.
    pub fn constexpr(&mut self, op: &str, parameters: Vec<(&str, Literal)>) -> Var {
        if self.error.is_some() {
            return NOTHING;
        }
        let infer = || {
            let operation = ops::find(op).filter(|o| o.is_constant()).ok_or_else(|| ops::unknown(op))?;
            let literals = parameters.iter().map(|(_, l)| l).try_for_each(crate::check::check_literal);
            literals?;
            let given = parameters.iter().map(|(n, l)| (*n, Given::One(Value::literal(l)))).collect();
            Ok::<_, String>((operation.name, Call::new(operation, given)?.infer()?))
        };
        match infer() {
            Ok((op, types)) => {
                let attributes = parameters.into_iter().map(|(n, l)| (n.to_owned(), l)).collect();
                self.push(op, Vec::<(String, Use)>::new(), attributes, types, true).first().copied().unwrap_or(NOTHING)
            }
            Err(e) => self.fail(op, e),
        }
    }
}
