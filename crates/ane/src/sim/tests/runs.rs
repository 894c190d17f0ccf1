//! What programs give, and how they lie in surfaces.

use super::*;

#[test]
fn rows_lie_at_the_stride_and_padding_is_left_alone() {
    let sim = open("m4");
    let bound = Bound::new(&sim, &add(3, 33), &[]);
    let port = &bound.kernel.outputs()[0];
    assert_eq!((port.shape, port.row_stride, port.surface_bytes), ([1, 3, 1, 33], 128, 384));
    let a: Vec<f32> = (0..99).map(|i| i as f32).collect();
    let b: Vec<f32> = (0..99).map(|i| i as f32 / -8.0).collect();
    bound.outputs[0].write(|bytes| bytes.fill(0xaa)).unwrap();
    bound.inputs[0].write(|bytes| bytes.fill(0xff)).unwrap(); // NaN where it must not be read
    bound.write(0, &a);
    bound.write(1, &b);
    bound.evaluate().unwrap();
    let sums: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
    assert_eq!(bound.read(0), sums);
    bound.outputs[0].read(|bytes| assert!(bytes[66..128].iter().all(|b| *b == 0xaa))).unwrap();
}

fn matmul(m: usize, k: usize, n: usize) -> String {
    let body = format!(
        "        bool no_t = const()[name = string(\"no_t\"), val = bool(false)];\n        \
         bool yes_t = const()[name = string(\"yes_t\"), val = bool(true)];\n        \
         tensor<fp16, [1, 1, {m}, {n}]> y_out = matmul(transpose_x = no_t, transpose_y = yes_t, x = a_in, y = b_in)\
         [name = string(\"y_out\")];\n"
    );
    program(&format!("tensor<fp16, [1, 1, {m}, {k}]> a_in, tensor<fp16, [1, 1, {n}, {k}]> b_in"), &body, "y_out")
}

fn wave(n: usize, phase: f32) -> Vec<f32> {
    (0..n).map(|i| f16::from_f32((i as f32 * 0.7 + phase).sin()).to_f32()).collect()
}

#[test]
fn products_on_the_kernels_are_those_of_definition_whatever_the_threads() {
    let (m, k, n) = (70, 96, 65);
    let (a, b) = (wave(m * k, 0.1), wave(n * k, 0.9));
    let run = |threads| {
        let bound = Bound::new(&Simulator::new(Profile::default(), threads), &matmul(m, k, n), &[]);
        bound.write(0, &a);
        bound.write(1, &b);
        bound.evaluate().unwrap();
        bound.read(0)
    };
    let y = run(1);
    assert_eq!(y, run(4));
    for (i, row) in y.chunks(n).enumerate() {
        for (j, y) in row.iter().enumerate() {
            let sum: f64 = (0..k).map(|l| f64::from(a[i * k + l]) * f64::from(b[j * k + l])).sum();
            assert!((f64::from(*y) - sum).abs() <= 0.005 * sum.abs().max(0.25), "{i} {j}: {y} {sum}");
        }
    }
}

#[test]
fn arithmetic_is_that_of_the_profile() {
    // 32768 is beyond what a product of an M1 can hold
    let value = |words: &str| {
        let bound = Bound::new(&open(words), &matmul(32, 32, 32), &[]);
        bound.write(0, &[32.0; 1024]);
        bound.write(1, &[32.0; 1024]);
        bound.evaluate().unwrap();
        bound.read(0)[0]
    };
    assert_eq!(value("m1"), 32768.0);
    assert_eq!(value("m1,numerics=f64"), 32768.0);
    assert_eq!(value("m1,numerics=engine"), f32::INFINITY);
}

#[test]
fn other_types_than_fp16_pass_through() {
    let body = "        string to = const()[name = string(\"to\"), val = string(\"fp16\")];\n        \
                tensor<fp16, [1, 2, 1, 5]> y_out = cast(dtype = to, x = x_in)[name = string(\"y_out\")];\n";
    let bound = Bound::new(&open("m4"), &program("tensor<fp32, [1, 2, 1, 5]> x_in", body, "y_out"), &[]);
    let values: Vec<f32> = (0..10).map(|i| i as f32 * 1.5).collect();
    let port = &bound.kernel.inputs()[0];
    assert_eq!((port.element_bytes, port.row_stride), (4, 64));
    let fill = |bytes: &mut [u8]| {
        for (row, part) in layout::rows_mut(port, bytes).zip(values.chunks(5)) {
            row.iter_mut().zip(part.iter().flat_map(|x| x.to_le_bytes())).for_each(|(to, from)| *to = from);
        }
    };
    bound.inputs[0].write(fill).unwrap();
    bound.evaluate().unwrap();
    assert_eq!(bound.read(0), values);
}

#[test]
fn weights_come_from_files() {
    let ty = "tensor<fp16, [2, 3, 1, 1]>";
    let body = format!(
        "        string kind = const()[name = string(\"kind\"), val = string(\"valid\")];\n        \
         tensor<int32, [2]> ones = const()[name = string(\"ones\"), val = tensor<int32, [2]>([1, 1])];\n        \
         tensor<int32, [4]> pads = const()[name = string(\"pads\"), val = tensor<int32, [4]>([0, 0, 0, 0])];\n        \
         int32 groups_n = const()[name = string(\"groups_n\"), val = int32(1)];\n        \
         {ty} w_in = const()[name = string(\"w_in\"), val = {ty}(BLOBFILE(path = string(\"@model_path/weights/w.bin\"), \
         offset = uint64(64)))];\n        \
         tensor<fp16, [1, 2, 1, 32]> y_out = conv(dilations = ones, groups = groups_n, pad = pads, pad_type = kind, \
         strides = ones, weight = w_in, x = x_in)[name = string(\"y_out\")];\n"
    );
    let text = program("tensor<fp16, [1, 3, 1, 32]> x_in", &body, "y_out");
    let weights = [1.0f32, 2.0, 3.0, -1.0, 0.5, 0.0];
    let data: Vec<u8> = weights.iter().flat_map(|w| f16::from_f32(*w).to_le_bytes()).collect();
    let file = mil::blob::single(&mil::Type::new(mil::DType::Fp16, &[2, 3, 1, 1]), &data).unwrap();
    let sim = open("m4");
    let bound = Bound::new(&sim, &text, &[("@model_path/weights/w.bin".into(), file.clone())]);
    bound.write(0, &[[1.0f32; 32], [10.0; 32], [100.0; 32]].concat());
    bound.evaluate().unwrap();
    assert_eq!(bound.read(0), [[321.0f32; 32], [4.0; 32]].concat());

    let error = sim.compile(&source(&text, &[])).unwrap_err().to_string();
    assert!(error.contains("CompilationFailure") && error.contains("w.bin"), "{error}");
    let cut = [("@model_path/weights/w.bin".to_string(), file[..file.len() - 1].to_vec())];
    assert!(sim.compile(&source(&text, &cut)).is_err());
    assert_eq!(sim.counters().compiles, 1);
}

#[test]
fn kernels_are_evaluated_from_several_threads() {
    let sim = open("m4");
    let kernels: Vec<Bound> = (0..4).map(|_| Bound::new(&sim, &add(4, 32), &[])).collect();
    std::thread::scope(|scope| {
        for (i, bound) in kernels.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..20 {
                    bound.write(0, &[i as f32; 128]);
                    bound.write(1, &[round as f32; 128]);
                    bound.evaluate().unwrap();
                    assert_eq!(bound.read(0), [(i + round) as f32; 128]);
                }
            });
        }
    });
    assert_eq!(sim.counters().dispatches, 80);
}
