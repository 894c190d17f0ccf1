#![allow(clippy::unwrap_used)]

use super::*;
use crate::{Argument, Chip, DType, Data, Dialect, Elements, Function, Literal, Product, Span, Statement, Type};

fn fp16(shape: &[usize]) -> Type {
    Type::new(DType::Fp16, shape)
}

fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::floats(fp16(shape), values.to_vec()).unwrap()
}

/// A program that returns what `op` makes of its inputs `i0`, `i1`, ...
fn program(op: &str, inputs: &[Type], names: &[&str], constants: &[(&str, Literal)], results: &[Type]) -> Program {
    let binding = |name: String, ty: &Type| Binding { name, ty: ty.clone() };
    let named = names.iter().enumerate().map(|(i, n)| ((*n).to_owned(), Argument::Name(format!("i{i}"))));
    let given = constants.iter().map(|(n, l)| ((*n).to_owned(), Argument::Literal(l.clone())));
    let statement = Statement {
        results: results.iter().enumerate().map(|(i, t)| binding(format!("o{i}"), t)).collect(),
        op: op.to_owned(),
        arguments: named.chain(given).collect(),
        attributes: vec![("name".to_owned(), Literal::string("o0"))],
        span: Span { line: 3, column: 1 },
    };
    let function = Function {
        name: "main".to_owned(),
        opset: "ios18".to_owned(),
        inputs: inputs.iter().enumerate().map(|(i, t)| binding(format!("i{i}"), t)).collect(),
        outputs: (0..results.len()).map(|i| format!("o{i}")).collect(),
        body: vec![statement],
        span: Span::default(),
    };
    Program { dialect: Dialect::Ios18, version: "1.3".to_owned(), build_info: Vec::new(), functions: vec![function] }
}

fn run(
    numerics: Numerics,
    op: &str,
    inputs: &[(&str, Tensor)],
    constants: &[(&str, Literal)],
    result: &Type,
) -> Result<Vec<f32>, RunError> {
    let types: Vec<Type> = inputs.iter().map(|(_, t)| t.ty.clone()).collect();
    let names: Vec<&str> = inputs.iter().map(|(n, _)| *n).collect();
    let tensors: Vec<Tensor> = inputs.iter().map(|(_, t)| t.clone()).collect();
    let program = program(op, &types, &names, constants, std::slice::from_ref(result));
    let outputs = Executable::new(&program, &[], numerics)?.run("main", &tensors)?;
    match &outputs[0].data {
        Data::Floats(v) => Ok(v.clone()),
        other => panic!("{other:?}"),
    }
}

fn unary(numerics: Numerics, op: &str, x: f32) -> f32 {
    run(numerics, op, &[("x", tensor(&[1], &[x]))], &[], &fp16(&[1])).unwrap()[0]
}

fn dot(numerics: Numerics, a: &[f32], b: &[f32]) -> f32 {
    let (x, y) = (tensor(&[1, a.len()], a), tensor(&[b.len(), 1], b));
    run(numerics, "matmul", &[("x", x), ("y", y)], &[], &fp16(&[1, 1])).unwrap()[0]
}

fn ones(n: usize) -> Vec<f32> {
    vec![1.0; n]
}

#[test]
fn a_sum_of_16000_ones_is_exact() {
    for chip in Chip::ALL {
        assert_eq!(dot(Numerics::ane(chip), &ones(16000), &ones(16000)), 16000.0);
    }
}

#[test]
fn a_large_number_and_1024_ones() {
    let mut a = vec![4096.0];
    a.extend(ones(1024));
    assert_eq!(dot(Numerics::ane(Chip::M1), &a, &ones(1025)), 5116.0);
    assert_eq!(dot(Numerics::exact(), &a, &ones(1025)), 5120.0);
}

/// Of sixteen ones between a and -a all survive below 4096, four from there on.
#[test]
fn ones_between_large_numbers_that_cancel() {
    for a in [1.0, 100.0, 2047.0, 2048.0, 2050.0, 3000.0, 4094.0] {
        assert_eq!(dot(Numerics::ane(Chip::M1), &[a, -a, 1.0].repeat(16), &ones(48)), 16.0, "{a}");
    }
    for a in [4096.0, 4100.0, 5000.0, 8192.0, 16384.0, 30000.0] {
        assert_eq!(dot(Numerics::ane(Chip::M1), &[a, -a, 1.0].repeat(16), &ones(48)), 4.0, "{a}");
        assert_eq!(dot(Numerics::exact(), &[a, -a, 1.0].repeat(16), &ones(48)), 16.0, "{a}");
    }
}

#[test]
fn products_end_at_32768_and_sums_do_not() {
    let m1 = || Numerics::ane(Chip::M1);
    assert_eq!(dot(m1(), &[32752.0], &[1.0]), 32752.0);
    assert_eq!(dot(m1(), &[16384.0, 16384.0], &[1.0, 1.0]), f32::INFINITY);
    assert_eq!(dot(m1(), &[-16384.0, -16384.0], &[1.0, 1.0]), f32::NEG_INFINITY);
    // what passes through it overflows too
    let a = [16384.0, 0.0, 0.0, 0.0, 16384.0, 0.0, 0.0, 0.0, -30000.0];
    assert_eq!(dot(m1(), &a, &ones(9)), f32::INFINITY);
    assert_eq!(dot(Numerics::ane(Chip::M5), &a, &ones(9)), 2768.0);
    let x = tensor(&[1, 2], &[32752.0, 32752.0]);
    let axes = [("axes", Literal::ints(&[1])), ("keep_dims", Literal::bool(true))];
    assert_eq!(run(m1(), "reduce_sum", &[("x", x)], &axes, &fp16(&[1, 1])), Ok(vec![65504.0]));
}

#[test]
fn products_take_denormals_for_zero_on_m1_alone() {
    let small = 3.0e-5;
    assert_eq!(dot(Numerics::ane(Chip::M1), &[small], &[1.0]), 0.0);
    assert!(dot(Numerics::ane(Chip::M5), &[small], &[1.0]) > 0.0);
    let x = tensor(&[1], &[small]);
    let one = tensor(&[1], &[1.0]);
    assert!(run(Numerics::ane(Chip::M1), "mul", &[("x", x), ("y", one)], &[], &fp16(&[1])).unwrap()[0] > 0.0);
}

#[test]
fn slices_along_rows_overflow_above_4094_on_m1_and_m2() {
    let x = || tensor(&[1, 1, 1, 4], &[0.0, 4094.0, 4096.0, -4096.0]);
    let constants = [("begin", Literal::ints(&[0, 0, 0, 1])), ("size", Literal::ints(&[1, 1, 1, 3]))];
    let slice = |numerics| run(numerics, "slice_by_size", &[("x", x())], &constants, &fp16(&[1, 1, 1, 3])).unwrap();
    for chip in [Chip::M1, Chip::M2] {
        assert_eq!(slice(Numerics::ane(chip)), [4094.0, f32::INFINITY, f32::NEG_INFINITY]);
    }
    assert_eq!(slice(Numerics::ane(Chip::M3)), [4094.0, 4096.0, -4096.0]);
}

#[test]
fn no_nan_comes_out_of_an_engine() {
    let engine = || Numerics::ane(Chip::M1);
    for (op, expected) in [
        ("relu", f32::INFINITY),
        ("sigmoid", 1.0),
        ("tanh", 1.0),
        ("erf", 1.0),
        ("exp", f32::INFINITY),
        ("softplus", f32::INFINITY),
    ] {
        assert_eq!(unary(engine(), op, f32::NAN), expected, "{op}");
    }
    assert_eq!(unary(engine(), "sqrt", -1.0).to_bits(), 0);
    assert_eq!(unary(engine(), "rsqrt", -1.0).to_bits(), 0);
    assert_eq!(unary(engine(), "log", -1.0).to_bits(), 0);
    assert_eq!(unary(engine(), "log", 0.0), -45440.0);
    let pair = |op: &str, a: f32, b: f32| {
        run(engine(), op, &[("x", tensor(&[1], &[a])), ("y", tensor(&[1], &[b]))], &[], &fp16(&[1])).unwrap()[0]
    };
    assert_eq!(pair("sub", f32::INFINITY, f32::INFINITY).to_bits(), 0);
    assert_eq!(pair("mul", 0.0, f32::INFINITY).to_bits(), 0);
    assert_eq!(pair("real_div", 1.0, -0.0), f32::INFINITY);
    let x = tensor(&[1, 3], &[1.0, f32::NAN, 2.0]);
    let softmax = run(engine(), "softmax", &[("x", x)], &[("axis", Literal::int(DType::Int32, -1))], &fp16(&[1, 3]));
    assert_eq!(softmax, Ok(vec![0.0, 1.0, 0.0]));
    assert!(unary(Numerics::exact(), "sqrt", -1.0).is_nan());
}

#[test]
fn activations_of_an_engine_at_zero_and_where_they_overflow() {
    let m1 = || Numerics::ane(Chip::M1);
    assert_eq!(unary(m1(), "gelu", 0.0), round_to_fp16(-0.000543));
    assert_eq!(unary(m1(), "silu", 0.0), round_to_fp16(-0.001259));
    assert_eq!(unary(Numerics::exact(), "silu", 0.0), 0.0);
    assert_eq!(unary(m1(), "exp", 11.094), f32::INFINITY);
    assert!(unary(m1(), "exp", 11.0).is_finite());
    assert_eq!(unary(m1(), "square", 256.0), f32::INFINITY);
}

fn round_to_fp16(x: f32) -> f32 {
    crate::round_fp16(x)
}

#[test]
fn a_literal_is_rounded_once_from_what_the_text_says() {
    let half = run(
        Numerics::exact(),
        "mul",
        &[("x", tensor(&[1], &[1.0]))],
        &[("y", Literal::float(DType::Fp16, 0.001302))],
        &fp16(&[1]),
    );
    assert_eq!(half.unwrap()[0], 0.001_301_765_4);
}

#[test]
fn each_operation_rounds_in_the_exact_profile_and_none_in_the_oracle() {
    let x = || tensor(&[2], &[1.0, 2048.0]);
    let y = || tensor(&[2], &[1.0 / 1024.0 / 4.0, 1.0]);
    let add = |numerics| run(numerics, "add", &[("x", x()), ("y", y())], &[], &fp16(&[2])).unwrap();
    assert_eq!(add(Numerics::exact()), [1.0, 2048.0]);
    assert_eq!(add(Numerics::oracle()), [1.0 + 1.0 / 4096.0, 2049.0]);
}

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + seed * 11) % 17) as f32 / 8.0 - 1.0).collect()
}

#[test]
fn an_injected_product_takes_the_place_of_the_own_one() {
    let (m, n, k) = (5, 11, 13);
    let naive = |p: &Product, a: &[f32], b: &[f32], c: &mut [f32]| {
        for i in 0..p.m {
            for j in 0..p.n {
                let at = |l: usize| {
                    let x = if p.transpose_a { a[l * p.m + i] } else { a[i * p.k + l] };
                    x * if p.transpose_b { b[j * p.k + l] } else { b[l * p.n + j] }
                };
                c[i * p.n + j] = (0..p.k).map(at).sum();
            }
        }
    };
    for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
        let x = tensor(&[2, if ta { k } else { m }, if ta { m } else { k }], &numbers(2 * m * k, 1));
        let y = tensor(&[1, if tb { n } else { k }, if tb { k } else { n }], &numbers(n * k, 2));
        let flags = [("transpose_x", Literal::bool(ta)), ("transpose_y", Literal::bool(tb))];
        let product =
            |numerics| run(numerics, "matmul", &[("x", x.clone()), ("y", y.clone())], &flags, &fp16(&[2, m, n])).unwrap();
        let own = product(Numerics::exact());
        assert_eq!(own, product(Numerics::exact().with_matmul(std::sync::Arc::new(naive))));
        assert!(own.iter().any(|x| *x != 0.0));
    }
    // the model of an engine does not give its sums away
    let zeros = Numerics::ane(Chip::M1).with_matmul(std::sync::Arc::new(|_, _, _, c| c.fill(0.0)));
    assert_eq!(dot(zeros, &[2.0], &[3.0]), 6.0);
}

#[test]
fn a_convolution_agrees_with_its_definition() {
    let (cin, cout, h, w, kh, kw) = (4, 6, 5, 7, 3, 2);
    let (x, weight) = (numbers(2 * cin * h * w, 3), numbers(cout * cin / 2 * kh * kw, 4));
    let (oh, ow) = ((h + 1 - (kh - 1) * 2 - 1) / 2 + 1, (w + 2 - kw) / 3 + 1);
    let constants = [
        (
            "weight",
            Literal {
                ty: fp16(&[cout, cin / 2, kh, kw]),
                elements: Elements::Floats(weight.iter().map(|x| f64::from(*x)).collect()),
            },
        ),
        ("strides", Literal::ints(&[2, 3])),
        ("pad_type", Literal::string("custom")),
        ("pad", Literal::ints(&[1, 0, 0, 2])),
        ("dilations", Literal::ints(&[2, 1])),
        ("groups", Literal::int(DType::Int32, 2)),
        ("bias", Literal { ty: fp16(&[cout]), elements: Elements::Floats((0..cout).map(|i| i as f64).collect()) }),
    ];
    let found =
        run(Numerics::oracle(), "conv", &[("x", tensor(&[2, cin, h, w], &x))], &constants, &fp16(&[2, cout, oh, ow])).unwrap();
    let mut expected = Vec::new();
    for (n, o, y0, x0) in (0..2 * cout * oh * ow).map(|i| (i / (cout * oh * ow), i / (oh * ow) % cout, i / ow % oh, i % ow)) {
        let mut sum = o as f32;
        for (c, i, j) in (0..cin / 2 * kh * kw).map(|i| (i / (kh * kw), i / kw % kh, i % kw)) {
            let (row, col) = (y0 * 2 + i * 2, x0 * 3 + j);
            if (1..=h).contains(&row) && col < w {
                let channel = o / (cout / 2) * (cin / 2) + c;
                sum += weight[((o * (cin / 2) + c) * kh + i) * kw + j] * x[((n * cin + channel) * h + row - 1) * w + col];
            }
        }
        expected.push(sum);
    }
    assert_eq!(found, expected);
}

#[test]
fn what_the_checker_would_refuse_is_an_error_and_not_a_panic() {
    let x = || tensor(&[2, 2], &[1.0; 4]);
    type Case<'a> = (&'a str, &'a [(&'a str, Literal)], Type);
    let cases: [Case<'_>; 8] = [
        ("reshape", &[("shape", Literal::ints(&[3, 1]))], fp16(&[3, 1])),
        ("reshape", &[("shape", Literal::ints(&[i64::MAX, i64::MAX]))], fp16(&[1])),
        ("transpose", &[("perm", Literal::ints(&[0, 0]))], fp16(&[2, 2])),
        ("slice_by_size", &[("begin", Literal::ints(&[0, 1])), ("size", Literal::ints(&[2, 2]))], fp16(&[2, 2])),
        ("reduce_sum", &[("axes", Literal::ints(&[2]))], fp16(&[2])),
        ("tile", &[("reps", Literal::ints(&[1 << 20, 1 << 20]))], fp16(&[2])),
        ("add", &[("y", Literal::ints(&[1, 2]))], fp16(&[2, 2])),
        ("relu", &[], fp16(&[4])),
    ];
    for (op, constants, result) in cases {
        let outcome = run(Numerics::exact(), op, &[("x", x())], constants, &result);
        assert!(outcome.is_err(), "{op} {constants:?}");
    }
    assert!(matches!(run(Numerics::exact(), "div", &[("x", x())], &[], &fp16(&[1])), Err(RunError::Unsupported { .. })));
}

#[test]
fn inputs_must_be_what_the_function_takes() {
    let program = program("relu", &[fp16(&[2])], &["x"], &[], &[fp16(&[2])]);
    let ready = Executable::new(&program, &[], Numerics::exact()).unwrap();
    assert!(matches!(ready.run("main", &[]), Err(RunError::Inputs { .. })));
    assert!(matches!(ready.run("main", &[tensor(&[1], &[1.0])]), Err(RunError::Input { .. })));
    let hollow = Tensor { ty: fp16(&[2]), data: Data::Floats(vec![1.0]) };
    assert!(matches!(ready.run("main", &[hollow]), Err(RunError::Input { .. })));
    assert!(matches!(ready.run("other", &[]), Err(RunError::Function { .. })));
}

/// Operations that no engine runs: they are read and checked, so that the rules can say so, and not interpreted.
const NOT_RUN: [&str; 18] = [
    "affine",
    "band_part",
    "gather_along_axis",
    "gather_nd",
    "one_hot",
    "random_uniform",
    "resample",
    "resize_bilinear",
    "resize_nearest_neighbor",
    "reverse_sequence",
    "scatter",
    "scatter_along_axis",
    "scatter_nd",
    "shape",
    "sliding_windows",
    "upsample_bilinear",
    "upsample_nearest_neighbor",
    "const",
];

#[test]
fn every_operation_of_the_table_has_a_function() {
    for operation in crate::ops::all() {
        assert_eq!(kernel::<f32>(operation.name).is_none(), NOT_RUN.contains(&operation.name), "{}", operation.name);
    }
}
