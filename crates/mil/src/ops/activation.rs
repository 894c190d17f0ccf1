//! Activations: element by element, floating-point, of the shape of their argument.

use super::elementwise::{float_same, floats};
use super::{Call, Inferred, Kind, Operation, Parameter, constant, parameter, tensor, text};

const X: &[Parameter] = &[tensor("x")];

/// A number without a default.
const fn given(name: &'static str) -> Parameter {
    parameter(name, Kind::Float)
}

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("clamped_relu", &[tensor("x"), given("alpha"), given("beta")], float_same),
    Operation::new("elu", &[tensor("x"), given("alpha")], float_same),
    Operation::new("gelu", &[tensor("x"), text("mode", "EXACT")], gelu),
    Operation::new("leaky_relu", &[tensor("x"), given("alpha")], float_same),
    Operation::new("linear_activation", &[tensor("x"), given("alpha"), given("beta")], float_same),
    Operation::new("prelu", &[tensor("x"), constant("alpha")], per_channel),
    Operation::new("relu", X, float_same),
    Operation::new("relu6", X, float_same),
    Operation::new("scaled_tanh", &[tensor("x"), given("alpha"), given("beta")], float_same),
    Operation::new("sigmoid", X, float_same),
    Operation::new("sigmoid_hard", &[tensor("x"), given("alpha"), given("beta")], float_same),
    Operation::new("silu", X, float_same),
    Operation::new("softplus", X, float_same),
    Operation::new("softplus_parametric", &[tensor("x"), constant("alpha"), constant("beta")], per_channel),
    Operation::new("softsign", X, float_same),
    Operation::new("tanh", X, float_same),
    Operation::new("thresholded_relu", &[tensor("x"), given("alpha")], float_same),
];

const MODES: [&str; 3] = ["EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"];

fn gelu(call: &Call<'_>) -> Inferred {
    let mode = call.text("mode");
    if !MODES.contains(&mode) {
        return Err(format!("`mode` is one of {}; found `{}`", MODES.join(", "), super::shortened(mode)));
    }
    float_same(call)
}

/// `alpha`, and `beta` where there is one, have an element a channel: `[x.shape[1]]`.
fn per_channel(call: &Call<'_>) -> Inferred {
    let x = floats(call, "x")?;
    let channels =
        *x.shape.get(1).filter(|_| x.shape.len() >= 3).ok_or_else(|| format!("`x` must have rank 3 or more; it is {x}"))?;
    for name in ["alpha", "beta"] {
        if let Some(ty) = call.value(name).map(|v| v.ty).filter(|ty| ty.dtype != x.dtype || ty.shape != [channels]) {
            return Err(format!("`{name}` must be tensor<{}, [{channels}]>, an element a channel; it is {ty}", x.dtype));
        }
    }
    Ok(vec![x.clone()])
}
