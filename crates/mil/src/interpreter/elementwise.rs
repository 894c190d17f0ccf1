//! Operations that work element by element: activations, arithmetic, comparisons, choices and casts.

use super::RunError;
use super::call::{Call, Kernel, wrap};
use super::special::{erf, erfc};
use super::zip::{broadcast, zip};
use crate::DType;
use crate::numerics::Activation;
use crate::tensor::{Data, Real, Tensor, is_int};

type Outcome<F> = Result<Vec<Tensor<F>>, RunError>;

/// The function of an elementwise operation.
pub(super) fn kernel<F: Real>(op: &str) -> Option<Kernel<F>> {
    activation(op).or_else(|| function(op)).or_else(|| arithmetic(op)).or_else(|| logic(op))
}

fn activation<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "relu" => |c| map(c, |x| if x > F::of(0.0) { x } else { keep_nan(x) }),
        "relu6" => |c| map(c, |x| clamp(x, F::of(0.0), F::of(6.0))),
        "sigmoid" => |c| table(c, Activation::Sigmoid, sigmoid),
        "tanh" => |c| table(c, Activation::Tanh, |x| x.apply(f32::tanh, f64::tanh)),
        "silu" => |c| table(c, Activation::Silu, |x| x * sigmoid(x)),
        "gelu" => gelu,
        "softplus" => |c| map(c, softplus),
        "softsign" => |c| map(c, |x| x / (F::of(1.0) + abs(x))),
        "erf" => |c| map(c, |x| F::of(erf(x.wide()))),
        "elu" => |c| {
            let alpha = F::of(c.number("alpha", 1.0)?);
            map(c, move |x| if x < F::of(0.0) { alpha * x.apply(f32::exp_m1, f64::exp_m1) } else { x })
        },
        "leaky_relu" => |c| {
            let alpha = F::of(c.number("alpha", 0.01)?);
            map(c, move |x| if x < F::of(0.0) { alpha * x } else { x })
        },
        "thresholded_relu" => |c| {
            let alpha = F::of(c.number("alpha", 1.0)?);
            map(c, move |x| if x < alpha { F::of(0.0) } else { x })
        },
        "linear_activation" => |c| {
            let (alpha, beta) = (F::of(c.number("alpha", 1.0)?), F::of(c.number("beta", 0.0)?));
            map(c, move |x| alpha * x + beta)
        },
        "scaled_tanh" => |c| {
            let (alpha, beta) = (F::of(c.number("alpha", 1.0)?), F::of(c.number("beta", 1.0)?));
            map(c, move |x| alpha * (beta * x).apply(f32::tanh, f64::tanh))
        },
        "sigmoid_hard" => |c| {
            let (alpha, beta) = (F::of(c.number("alpha", 0.2)?), F::of(c.number("beta", 0.5)?));
            map(c, move |x| clamp(alpha * x + beta, F::of(0.0), F::of(1.0)))
        },
        "clamped_relu" => |c| {
            let (alpha, beta) = (F::of(c.number("alpha", 0.0)?), F::of(c.number("beta", 1.0)?));
            map(c, move |x| smaller(if x < F::of(0.0) { alpha * x } else { x }, beta))
        },
        "clip" => |c| {
            let bound = |name, default| c.number(name, default).map(F::of);
            let (low, high) = (bound("alpha", f64::NEG_INFINITY)?, bound("beta", f64::INFINITY)?);
            map(c, move |x| clamp(x, low, high))
        },
        "threshold" => |c| {
            let alpha = F::of(c.number("alpha", f64::NEG_INFINITY)?);
            map(c, move |x| if x < alpha { alpha } else { x })
        },
        "prelu" => |c| per_channel(c, |x, alpha, _| if x < F::of(0.0) { alpha * x } else { x }),
        "softplus_parametric" => |c| per_channel(c, |x, alpha, beta| alpha * softplus(beta * x)),
        _ => return None,
    })
}

fn function<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "exp" => |c| map(c, |x| x.apply(f32::exp, f64::exp)),
        "exp2" => |c| map(c, |x| x.apply(f32::exp2, f64::exp2)),
        "log" => logarithm,
        "sqrt" => |c| map(c, |x| x.apply(f32::sqrt, f64::sqrt)),
        "rsqrt" => |c| {
            let epsilon = F::of(c.number("epsilon", 1e-12)?);
            map(c, move |x| F::of(1.0) / (x + epsilon).apply(f32::sqrt, f64::sqrt))
        },
        "inverse" => |c| {
            let epsilon = F::of(c.number("epsilon", 1e-4)?);
            map(c, move |x| F::of(1.0) / (x + epsilon))
        },
        "square" => |c| either(c, |x| x * x, i64::wrapping_mul_self),
        "abs" => |c| either(c, abs, i64::wrapping_abs),
        "sign" => |c| either(c, sign, i64::signum),
        "ceil" => |c| map(c, |x| x.apply(f32::ceil, f64::ceil)),
        "floor" => |c| map(c, |x| x.apply(f32::floor, f64::floor)),
        "round" => |c| map(c, |x| x.apply(f32::round_ties_even, f64::round_ties_even)),
        "sin" => |c| map(c, |x| x.apply(f32::sin, f64::sin)),
        "cos" => |c| map(c, |x| x.apply(f32::cos, f64::cos)),
        "tan" => |c| map(c, |x| x.apply(f32::tan, f64::tan)),
        "asin" => |c| map(c, |x| x.apply(f32::asin, f64::asin)),
        "acos" => |c| map(c, |x| x.apply(f32::acos, f64::acos)),
        "atan" => |c| map(c, |x| x.apply(f32::atan, f64::atan)),
        "sinh" => |c| map(c, |x| x.apply(f32::sinh, f64::sinh)),
        "cosh" => |c| map(c, |x| x.apply(f32::cosh, f64::cosh)),
        "asinh" => |c| map(c, |x| x.apply(f32::asinh, f64::asinh)),
        "acosh" => |c| map(c, |x| x.apply(f32::acosh, f64::acosh)),
        "atanh" => |c| map(c, |x| x.apply(f32::atanh, f64::atanh)),
        "identity" => |c| {
            let x = c.tensor("x")?;
            Ok(vec![x.clone()])
        },
        "cast" => cast,
        _ => return None,
    })
}

fn arithmetic<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "add" => |c| pair(c, |x, y| x + y, |x, y| Some(x.wrapping_add(y))),
        "sub" => |c| pair(c, |x, y| x - y, |x, y| Some(x.wrapping_sub(y))),
        "mul" => |c| pair(c, |x, y| x * y, |x, y| Some(x.wrapping_mul(y))),
        "real_div" => |c| pair(c, |x, y| x / y, i64::checked_div),
        "floor_div" => |c| pair(c, |x, y| (x / y).apply(f32::floor, f64::floor), floor_div),
        "mod" => |c| pair(c, remainder, |x, y| Some(x.wrapping_sub(floor_div(x, y)?.wrapping_mul(y)))),
        "pow" => |c| pair(c, F::powf, |x, y| Some(x.wrapping_pow(u32::try_from(y).ok()?))),
        "maximum" => |c| pair(c, larger, |x, y| Some(x.max(y))),
        "minimum" => |c| pair(c, smaller, |x, y| Some(x.min(y))),
        _ => return None,
    })
}

fn logic<F: Real>(op: &str) -> Option<Kernel<F>> {
    Some(match op {
        "equal" => |c| compare(c, |x, y| x == y, |x, y| x == y, |x, y| x == y),
        "not_equal" => |c| compare(c, |x, y| x != y, |x, y| x != y, |x, y| x != y),
        "greater" => |c| compare(c, |x, y| x > y, |x, y| x > y, |x, y| x & !y),
        "greater_equal" => |c| compare(c, |x, y| x >= y, |x, y| x >= y, |x, y| x | !y),
        "less" => |c| compare(c, |x, y| x < y, |x, y| x < y, |x, y| !x & y),
        "less_equal" => |c| compare(c, |x, y| x <= y, |x, y| x <= y, |x, y| !x | y),
        "logical_and" => |c| truths(c, |x, y| x & y),
        "logical_or" => |c| truths(c, |x, y| x | y),
        "logical_xor" => |c| truths(c, |x, y| x ^ y),
        "logical_not" => |c| {
            let x = c.tensor("x")?;
            let values = c.bools(x)?.iter().map(|b| !b).collect();
            c.moved(DType::Bool, &x.ty.shape, Data::Bools(values))
        },
        "select" => select,
        _ => return None,
    })
}

trait Squared {
    fn wrapping_mul_self(self) -> Self;
}

impl Squared for i64 {
    fn wrapping_mul_self(self) -> i64 {
        self.wrapping_mul(self)
    }
}

fn keep_nan<F: Real>(x: F) -> F {
    if x.wide().is_nan() { x } else { F::of(0.0) }
}

fn abs<F: Real>(x: F) -> F {
    x.apply(f32::abs, f64::abs)
}

fn sign<F: Real>(x: F) -> F {
    let zero = F::of(0.0);
    if x > zero {
        F::of(1.0)
    } else if x < zero {
        F::of(-1.0)
    } else {
        x
    }
}

/// `x` within `[low, high]`; NaN stays.
fn clamp<F: Real>(x: F, low: F, high: F) -> F {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

fn larger<F: Real>(x: F, y: F) -> F {
    if x > y || x.wide().is_nan() { x } else { y }
}

fn smaller<F: Real>(x: F, y: F) -> F {
    if x < y || x.wide().is_nan() { x } else { y }
}

fn sigmoid<F: Real>(x: F) -> F {
    F::of(1.0) / (F::of(1.0) + (-x).apply(f32::exp, f64::exp))
}

/// `log(1 + exp(x))`, without overflow.
fn softplus<F: Real>(x: F) -> F {
    let zero = F::of(0.0);
    let tail = (-abs(x)).apply(f32::exp, f64::exp).apply(f32::ln_1p, f64::ln_1p);
    if x > zero { x + tail } else { tail }
}

/// The remainder that has the sign of `y`.
fn remainder<F: Real>(x: F, y: F) -> F {
    let rest = x % y;
    let zero = F::of(0.0);
    if rest != zero && (rest < zero) != (y < zero) { rest + y } else { rest }
}

fn floor_div(x: i64, y: i64) -> Option<i64> {
    let quotient = x.checked_div(y)?;
    Some(if x % y != 0 && (x < 0) != (y < 0) { quotient - 1 } else { quotient })
}

/// `f` of every element.
fn map<F: Real>(call: &Call<'_, F>, f: impl Fn(F) -> F) -> Outcome<F> {
    let x = call.tensor("x")?;
    let values = call.floats(x)?.iter().map(|v| f(*v)).collect();
    call.result(x.ty.dtype, &x.ty.shape, Data::Floats(values))
}

/// `f` of floating-point elements, `g` of integers.
fn either<F: Real>(call: &Call<'_, F>, f: impl Fn(F) -> F, g: impl Fn(i64) -> i64) -> Outcome<F> {
    let x = call.tensor("x")?;
    match &x.data {
        Data::Ints(v) => call.result(x.ty.dtype, &x.ty.shape, Data::Ints(v.iter().map(|v| g(*v)).collect())),
        _ => map(call, f),
    }
}

/// `f` of every element, or the table of `activation` where the profile says so.
fn table<F: Real>(call: &Call<'_, F>, activation: Activation, f: impl Fn(F) -> F) -> Outcome<F> {
    if !call.numerics.tables {
        return map(call, f);
    }
    let table = crate::numerics::Table::new(activation);
    map(call, |x| F::of(f64::from(table.at(x.wide() as f32))))
}

/// `x/2 (1 + erf(x/√2))`, or the approximation that `mode` names.
fn gelu<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let cubic = |x: F| F::of((2.0 / std::f64::consts::PI).sqrt()) * (x + F::of(0.044_715) * x * x * x);
    match call.text("mode")?.unwrap_or("EXACT") {
        "EXACT" => table(call, Activation::Gelu, |x| F::of(x.wide() * 0.5 * erfc(-x.wide() * std::f64::consts::FRAC_1_SQRT_2))),
        "TANH_APPROXIMATION" => map(call, |x| F::of(0.5) * x * (F::of(1.0) + cubic(x).apply(f32::tanh, f64::tanh))),
        "SIGMOID_APPROXIMATION" => map(call, |x| x * sigmoid(F::of(1.702) * x)),
        mode => Err(call.invalid(format!("mode `{mode}`; there are EXACT, TANH_APPROXIMATION and SIGMOID_APPROXIMATION"))),
    }
}

/// `log(x + epsilon)`; an engine gives -45440 for zero and 0 for what has no logarithm.
fn logarithm<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let epsilon = F::of(call.number("epsilon", 1e-45)?);
    let engine = call.numerics.no_nan;
    map(call, move |x| {
        let x = x + epsilon;
        if engine && x.wide() as f32 <= f32::MIN_POSITIVE && x >= F::of(0.0) {
            return F::of(-45440.0);
        }
        x.apply(f32::ln, f64::ln)
    })
}

/// `f` of every element and its channel's `alpha` and `beta`: axis 1.
fn per_channel<F: Real>(call: &Call<'_, F>, f: impl Fn(F, F, F) -> F) -> Outcome<F> {
    let x = call.tensor("x")?;
    let alpha = call.floats(call.tensor("alpha")?)?;
    let beta = call.optional("beta").map(|t| call.floats(t)).transpose()?.unwrap_or(alpha);
    let channels = x.ty.shape.get(1).copied().unwrap_or(1);
    let fits = |v: &[F]| v.len() == channels || v.len() == 1;
    call.require(fits(alpha) && fits(beta), || format!("{channels} channels, {} parameters", alpha.len()))?;
    let inner: usize = x.ty.shape.iter().skip(2).product();
    let at = |v: &[F], i: usize| v[if v.len() == 1 { 0 } else { i / inner % channels }];
    let values = call.floats(x)?.iter().enumerate().map(|(i, x)| f(*x, at(alpha, i), at(beta, i))).collect();
    call.result(x.ty.dtype, &x.ty.shape, Data::Floats(values))
}

/// Two tensors and the shape of both together.
type Operands<'a, F> = (&'a Tensor<F>, &'a Tensor<F>, Vec<usize>);

fn operands<'a, F: Real>(call: &Call<'a, F>) -> Result<Operands<'a, F>, RunError> {
    let (x, y) = (call.tensor("x")?, call.tensor("y")?);
    let shape = broadcast(&x.ty.shape, &y.ty.shape)
        .ok_or_else(|| call.invalid(format!("shapes {:?} and {:?} do not go together", x.ty.shape, y.ty.shape)))?;
    call.elements(&shape)?;
    Ok((x, y, shape))
}

/// `f` of every pair of elements, `g` of pairs of integers, which may have no result.
fn pair<F: Real>(call: &Call<'_, F>, f: impl Fn(F, F) -> F, g: impl Fn(i64, i64) -> Option<i64>) -> Outcome<F> {
    let (x, y, shape) = operands(call)?;
    let data = match (&x.data, &y.data) {
        (Data::Floats(a), Data::Floats(b)) => Data::Floats(zip((&x.ty.shape, a), (&y.ty.shape, b), &shape, f)),
        (Data::Ints(a), Data::Ints(b)) => {
            let values: Option<Vec<i64>> = zip((&x.ty.shape, a), (&y.ty.shape, b), &shape, g).into_iter().collect();
            Data::Ints(values.ok_or_else(|| call.invalid("a pair of integers has no result"))?)
        }
        _ => return Err(call.invalid(format!("{} and {} do not go together", x.ty, y.ty))),
    };
    call.result(x.ty.dtype, &shape, data)
}

fn compare<F: Real>(
    call: &Call<'_, F>,
    f: impl Fn(F, F) -> bool,
    g: impl Fn(i64, i64) -> bool,
    h: impl Fn(bool, bool) -> bool,
) -> Outcome<F> {
    let (x, y, shape) = operands(call)?;
    let (p, q) = (&x.ty.shape, &y.ty.shape);
    let values = match (&x.data, &y.data) {
        (Data::Floats(a), Data::Floats(b)) => zip((p, a), (q, b), &shape, f),
        (Data::Ints(a), Data::Ints(b)) => zip((p, a), (q, b), &shape, g),
        (Data::Bools(a), Data::Bools(b)) => zip((p, a), (q, b), &shape, h),
        _ => return Err(call.invalid(format!("{} and {} cannot be compared", x.ty, y.ty))),
    };
    call.moved(DType::Bool, &shape, Data::Bools(values))
}

fn truths<F: Real>(call: &Call<'_, F>, f: impl Fn(bool, bool) -> bool) -> Outcome<F> {
    let (x, y, shape) = operands(call)?;
    let values = zip((&x.ty.shape, call.bools(x)?), (&y.ty.shape, call.bools(y)?), &shape, f);
    call.moved(DType::Bool, &shape, Data::Bools(values))
}

/// `a` where `cond` holds, `b` elsewhere.
fn select<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let (cond, a, b) = (call.tensor("cond")?, call.tensor("a")?, call.tensor("b")?);
    let joined = broadcast(&a.ty.shape, &b.ty.shape).and_then(|s| broadcast(&s, &cond.ty.shape));
    let shape = joined.ok_or_else(|| call.invalid(format!("{}, {} and {} do not go together", cond.ty, a.ty, b.ty)))?;
    call.elements(&shape)?;
    let flags = call.bools(cond)?;
    let data = match (&a.data, &b.data) {
        (Data::Floats(x), Data::Floats(y)) => Data::Floats(chosen((cond, flags), (a, x), (b, y), &shape)),
        (Data::Ints(x), Data::Ints(y)) => Data::Ints(chosen((cond, flags), (a, x), (b, y), &shape)),
        (Data::Bools(x), Data::Bools(y)) => Data::Bools(chosen((cond, flags), (a, x), (b, y), &shape)),
        _ => return Err(call.invalid(format!("{} and {} do not go together", a.ty, b.ty))),
    };
    call.moved(a.ty.dtype, &shape, data)
}

type Values<'a, F, T> = (&'a Tensor<F>, &'a [T]);

fn chosen<F: Real, T: Copy>(cond: Values<'_, F, bool>, a: Values<'_, F, T>, b: Values<'_, F, T>, shape: &[usize]) -> Vec<T> {
    let pairs = zip((&a.0.ty.shape, a.1), (&b.0.ty.shape, b.1), shape, |x, y| (x, y));
    zip((&cond.0.ty.shape, cond.1), (shape, &pairs), shape, |c, (x, y)| if c { x } else { y })
}

/// The elements as numbers of another type: to nearest between floating-point types, towards zero to integers.
fn cast<F: Real>(call: &Call<'_, F>) -> Outcome<F> {
    let x = call.tensor("x")?;
    let name = call.text("dtype")?.unwrap_or_default();
    let target = DType::of_name(name).filter(|t| *t != DType::String);
    let target = target.ok_or_else(|| call.invalid(format!("cannot cast to `{name}`")))?;
    let data = match &x.data {
        Data::Floats(v) if target.is_float() => Data::Floats(v.clone()),
        Data::Ints(v) if is_int(target) => Data::Ints(v.clone()),
        Data::Strings(_) => return Err(call.invalid("a text cannot be cast")),
        Data::Floats(v) if is_int(target) => Data::Ints(v.iter().map(|x| wrap(target, x.wide() as i64)).collect()),
        Data::Floats(v) => Data::Bools(v.iter().map(|x| *x != F::of(0.0)).collect()),
        Data::Ints(v) if target.is_float() => Data::Floats(v.iter().map(|x| F::of(*x as f64)).collect()),
        Data::Ints(v) => Data::Bools(v.iter().map(|x| *x != 0).collect()),
        Data::Bools(v) if target.is_float() => Data::Floats(v.iter().map(|b| F::of(f64::from(u8::from(*b)))).collect()),
        Data::Bools(v) if is_int(target) => Data::Ints(v.iter().map(|b| i64::from(*b)).collect()),
        Data::Bools(v) => Data::Bools(v.clone()),
    };
    call.result(target, &x.ty.shape, data)
}
