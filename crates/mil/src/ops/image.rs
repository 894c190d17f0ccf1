//! Resizing of `[n, c, h, w]`.

use super::elementwise::floats;
use super::{Call, Inferred, Kind, Operation, Parameter, constant, flag, int, parameter, tensor, text};
use crate::Type;

const X: Parameter = tensor("x");
const SAMPLING: Parameter = text("sampling_mode", "DEFAULT");
const PADDING: Parameter = text("padding_mode", "constant");
const PADDED: Parameter = constant("padding_value").optional();
const COORDINATES: Parameter = text("coordinates_mode", "normalized_minus_one_to_one");
const CORNERS: Parameter = flag("align_corners", true);

const fn factor(name: &'static str) -> Parameter {
    // whole factors may be written as integers
    parameter(name, Kind::Literal)
}

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        "affine",
        &[
            X,
            tensor("transform_matrix"),
            int("output_height"),
            int("output_width"),
            SAMPLING,
            PADDING,
            PADDED,
            COORDINATES,
            CORNERS,
        ],
        affine,
    ),
    Operation::new("resample", &[X, tensor("coordinates"), SAMPLING, PADDING, PADDED, COORDINATES, CORNERS], resample),
    Operation::new("resize_bilinear", &[X, int("target_size_height"), int("target_size_width"), SAMPLING], resize),
    Operation::new("resize_nearest_neighbor", &[X, int("target_size_height"), int("target_size_width")], resize),
    Operation::new("upsample_bilinear", &[X, factor("scale_factor_height"), factor("scale_factor_width"), CORNERS], upsample),
    Operation::new("upsample_nearest_neighbor", &[X, factor("scale_factor_height"), factor("scale_factor_width")], upsample),
];

/// `x` with other extents in its last two axes.
fn sized(x: &Type, [height, width]: [Option<usize>; 2]) -> Inferred {
    let mut shape = x.shape.clone();
    match (shape.as_mut_slice(), height.filter(|&n| n > 0), width.filter(|&n| n > 0)) {
        ([_, .., h, w], Some(height), Some(width)) => (*h, *w) = (height, width),
        _ => return Err(format!("{x} must be [..., h, w], and its new extents positive")),
    }
    Ok(vec![Type { dtype: x.dtype, shape }])
}

fn extents(call: &Call<'_>, names: [&str; 2]) -> [Option<usize>; 2] {
    names.map(|name| call.int(name).and_then(|n| usize::try_from(n).ok()))
}

fn resize(call: &Call<'_>) -> Inferred {
    sized(floats(call, "x")?, extents(call, ["target_size_height", "target_size_width"]))
}

/// Extents times the factors, rounded down.
fn upsample(call: &Call<'_>) -> Inferred {
    let x = floats(call, "x")?;
    let [.., h, w] = x.shape[..] else { return Err(format!("`x` must be [..., h, w]; it is {x}")) };
    let grown = |name: &str, extent: usize| {
        let factor = call.float(name).or(call.ints(name).and_then(|v| v.first()).map(|&v| v as f64))?;
        let size = (extent as f64 * factor).floor();
        (1.0..4_294_967_296.0).contains(&size).then_some(size as usize)
    };
    sized(x, [grown("scale_factor_height", h), grown("scale_factor_width", w)])
}

fn affine(call: &Call<'_>) -> Inferred {
    let (x, matrix) = (floats(call, "x")?, call.ty("transform_matrix")?);
    if x.shape.len() != 4 || matrix.shape.len() != 2 || matrix.shape[1] != 6 {
        return Err(format!("`x` must be [n, c, h, w] and `transform_matrix` [n, 6]; they are {x} and {matrix}"));
    }
    sized(x, extents(call, ["output_height", "output_width"]))
}

/// A place an element of the result: `[n, h, w, 2]`.
fn resample(call: &Call<'_>) -> Inferred {
    let (x, places) = (floats(call, "x")?, call.ty("coordinates")?);
    match (&x.shape[..], &places.shape[..]) {
        ([n, _, _, _], [m, h, w, 2]) if n == m => sized(x, [Some(*h), Some(*w)]),
        _ => Err(format!("`x` must be [n, c, h, w] and `coordinates` [n, h, w, 2]; they are {x} and {places}")),
    }
}
