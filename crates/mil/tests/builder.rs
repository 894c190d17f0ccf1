//! Programs written by the builder: what they look like, that they pass the checker, and which mistakes are kept.

#![allow(clippy::unwrap_used)]

use mil::{Builder, DType, Dialect, Literal, Operand, Type, check};

const X: [usize; 4] = [1, 8, 1, 4];

fn fp16(shape: &[usize]) -> Type {
    Type::new(DType::Fp16, shape)
}

/// Gain and projection of a stream, in two layers' worth of operations.
fn projection(dialect: Dialect) -> mil::Program {
    let mut b = Builder::new(dialect);
    let x = b.input("x_in", &fp16(&X));
    let square = b.mul(x, x);
    let sum = b.reduce_sum(square, &[1]);
    let eps = b.scalar(0.00001);
    let sum = b.add(sum, eps);
    let r = b.pow(sum, -0.5);
    let normed = b.mul(x, r);
    let w = b.blob("w_q", &fp16(&[6, 8, 1, 1]), "@model_path/weights/w_q.bin", 64);
    let y = b.conv(normed, w);
    let both = b.concat(&[y, normed], 1);
    b.finish(&[(both, "y_out")]).unwrap()
}

#[test]
fn the_later_dialect_is_printed_as_the_compiler_wants_it() {
    let program = projection(Dialect::Ios18);
    check(&program).unwrap();
    let text = program.to_string();
    let expected = r#"program(1.3)
[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3510.2.1"}, {"coremlc-version", "3505.4.1"}, {"coremltools-component-milinternal", ""}, {"coremltools-version", "9.0"}})]
{
    func main<ios18>(tensor<fp16, [1, 8, 1, 4]> x_in) {
        tensor<fp16, [1, 8, 1, 4]> mul_2 = mul(x = x_in, y = x_in)[name = string("mul_2")];
        tensor<int32, [1]> integers_3 = const()[name = string("integers_3"), val = tensor<int32, [1]>([1])];
        bool flag_4 = const()[name = string("flag_4"), val = bool(true)];
        tensor<fp16, [1, 1, 1, 4]> reduce_sum_5 = reduce_sum(x = mul_2, axes = integers_3, keep_dims = flag_4)[name = string("reduce_sum_5")];
        fp16 number_6 = const()[name = string("number_6"), val = fp16(0.00001)];
"#;
    assert!(text.starts_with(expected), "{text}");
    let last = r#"tensor<fp16, [1, 14, 1, 4]> y_out = concat(axis = integer_13, interleave = flag_17, values = (conv_16, mul_10))[name = string("y_out")];
    } -> (y_out);
}
"#;
    assert!(text.ends_with(last), "{text}");
    let blob = r#"val = tensor<fp16, [6, 8, 1, 1]>(BLOBFILE(path = string("@model_path/weights/w_q.bin"), offset = uint64(64)))"#;
    assert!(text.contains(blob), "{text}");
}

#[test]
fn the_earlier_dialect_writes_scalars_as_tensors() {
    let program = projection(Dialect::Ios16);
    check(&program).unwrap();
    let text = program.to_string();
    assert!(text.starts_with("program(1.0)\n[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{"), "{text}");
    assert!(text.contains("func main<ios16>("), "{text}");
    let flag = r#"tensor<bool, []> flag_4 = const()[name = tensor<string, []>("flag_4"), val = tensor<bool, []>(true)];"#;
    assert!(text.contains(flag), "{text}");
    assert!(text.contains(r#"offset = tensor<uint64, []>(64)"#), "{text}");
}

#[test]
fn equal_constants_are_made_once() {
    let mut b = Builder::new(Dialect::Ios18);
    assert_eq!(b.scalar(0.5), b.scalar(0.5));
    assert_ne!(b.scalar(0.5), b.scalar(0.25));
    // 0 and -0 are not one number
    assert_ne!(b.scalar(0.0), b.scalar(-0.0));
    assert_ne!(b.literal(Literal::float(DType::Fp32, 0.5)), b.scalar(0.5));
    let ty = fp16(&[2]);
    assert_eq!(b.blob("first", &ty, "@model_path/weights/w.bin", 64), b.blob("second", &ty, "@model_path/weights/w.bin", 64));
}

#[test]
fn methods_give_the_types_of_the_table() {
    let mut b = Builder::new(Dialect::Ios18);
    let x = b.input("x_in", &fp16(&X));
    let part = b.slice(x, &[0, 2, 0, 0], &[1, 4, 1, 4]);
    let heads = b.reshape(part, &[1, 2, 2, 4]);
    let turned = b.transpose(heads, &[0, 1, 3, 2]);
    let scores = b.matmul(turned, heads, false, false);
    assert_eq!(b.ty(scores).shape, [1, 2, 4, 4]);
    let probs = b.softmax(scores, -1);
    let weight = b.constexpr_affine_dequantize(
        Literal::blob(Type::new(DType::Int8, &[3, 8, 1, 1]), "@model_path/weights/q.bin", 64),
        Literal::float(DType::Fp16, 0.125),
        Literal::int(DType::Int8, 0),
        0,
    );
    let levels = b.quantize(x, 0.125);
    assert_eq!(b.ty(levels).dtype, DType::Int8);
    let back = b.dequantize(levels, 0.125);
    let y = b.conv(back, weight);
    assert_eq!(b.ty(y).shape, [1, 3, 1, 4]);
    let wide = b.cast(y, DType::Fp32);
    let halves = b.op_many(
        "split",
        &[
            ("x", probs.into()),
            ("num_splits", Literal::int(DType::Int32, 2).into()),
            ("axis", Literal::int(DType::Int32, 1).into()),
        ],
    );
    assert_eq!(halves.len(), 2);
    assert_eq!(b.ty(halves[1]).shape, [1, 1, 4, 4]);
    let program = b.finish(&[(wide, "y_out"), (halves[0], "first_half"), (x, "x_out")]).unwrap();
    check(&program).unwrap();
    let text = program.to_string();
    assert!(text.contains("constexpr_affine_dequantize()[name = "), "{text}");
    assert!(text.ends_with("} -> (y_out, first_half, x_out);\n}\n"), "{text}");
}

/// The error of a program that `build` builds.
fn error(build: impl FnOnce(&mut Builder, mil::Var) -> mil::Var) -> String {
    let mut b = Builder::new(Dialect::Ios18);
    let x = b.input("x_in", &fp16(&X));
    let y = build(&mut b, x);
    // nothing after an error matters
    let y = b.reshape(y, &[1, 1, 1, 1, 77]);
    b.finish(&[(y, "y_out")]).unwrap_err().to_string()
}

#[test]
fn the_first_mistake_is_the_one_that_is_told() {
    let add = error(|b, x| {
        let y = b.slice(x, &[0, 0, 0, 0], &[1, 3, 1, 4]);
        b.add(x, y)
    });
    let expected = "`add`: shapes do not go together: `x` is tensor<fp16, [1, 8, 1, 4]>, `y` is tensor<fp16, [1, 3, 1, 4]>";
    assert_eq!(add, expected);
    assert_eq!(error(|b, _| b.input("mul", &fp16(&X))), "`mul`: an operation is called so");
    assert_eq!(error(|b, _| b.input("x", &fp16(&X))), "`x`: a name has two characters or more");
    assert_eq!(error(|b, _| b.input("x_in", &fp16(&X))), "`x_in`: the name is taken");
    assert_eq!(error(|b, _| b.scalar(1e6)), "`const`: 1000000 does not fit fp16");
    let relo = error(|b, x| b.op("relo", &[("x", x.into())]));
    assert_eq!(relo, "`relo`: no operation is called `relo`; did you mean `relu`?");
    let axis = error(|b, x| b.op("softmax", &[("x", x.into()), ("axes", Operand::One(x))]));
    assert_eq!(axis, "`softmax`: no parameter is called `axes`; did you mean `axis`?");
    let slice = error(|b, x| b.slice(x, &[0, 6, 0, 0], &[1, 3, 1, 4]));
    assert_eq!(slice, "`slice_by_size`: axis 1 of tensor<fp16, [1, 8, 1, 4]> has no 3 elements from 6 on");
}
