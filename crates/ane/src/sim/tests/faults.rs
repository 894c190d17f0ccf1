//! Evaluations that fail, or lie.

use super::*;

#[test]
fn requests_need_a_surface_a_port_that_holds_its_data() {
    let sim = open("m4");
    let bound = Bound::new(&sim, &add(4, 32), &[]);
    let (a, y) = (&bound.inputs[0], &bound.outputs);
    let error = bound.kernel.request(std::slice::from_ref(a), y).unwrap_err();
    assert_eq!(error.to_string(), "k: inputs: expected 2, found 1");
    let small = sim.surface(255).unwrap();
    let error = bound.kernel.request(&[a.clone(), small], y).unwrap_err();
    assert_eq!(error.to_string(), "k: bytes of input `b_in`: expected at least 256, found 255");
    let other = Bound::new(&sim, &add(5, 32), &[]);
    assert!(matches!(bound.kernel.evaluate(&other.request), Err(DeviceError::Mismatch { .. })));
}

#[test]
fn surfaces_below_the_minimum_fail_with_0x1d() {
    let sim = open("m4,minimum=49152");
    let bound = Bound::new(&sim, &add(4, 32), &[]);
    assert_eq!(bound.inputs[0].len(), 49152);
    bound.evaluate().unwrap();
    let small = vec![sim.surface(256).unwrap(), sim.surface(49152).unwrap()];
    let request = bound.kernel.request(&small, &bound.outputs).unwrap();
    let error = bound.kernel.evaluate(&request).unwrap_err();
    assert_eq!(code(&error), 0x1d);
    assert!(error.to_string().contains("status=0x1d : statusType=0x9: Program Inference error"), "{error}");
}

/// `y_out` is the larger input, `z_out` the smaller one.
fn uneven() -> String {
    let (small, large) = ("tensor<fp16, [1, 2, 1, 32]>", "tensor<fp16, [1, 4, 1, 32]>");
    let body = format!(
        "        {large} y_out = add(x = b_in, y = b_in)[name = string(\"y_out\")];\n        \
         {small} z_out = add(x = a_in, y = a_in)[name = string(\"z_out\")];\n"
    );
    program(&format!("{small} a_in, {large} b_in"), &body, "y_out, z_out")
}

#[test]
fn surfaces_are_as_large_as_the_rule_of_sizes_asks() {
    for (words, inputs, outputs) in [
        ("m4,sizes=any", [128, 256], [256, 128]),
        ("m4,sizes=uniform", [256, 256], [256, 256]),
        ("m4,sizes=ascending", [128, 256], [256, 128]),
    ] {
        let bound = Bound::new(&open(words), &uneven(), &[]);
        let bytes = |surfaces: &[SimSurface]| -> Vec<usize> { surfaces.iter().map(Surface::len).collect() };
        assert_eq!((bytes(&bound.inputs), bytes(&bound.outputs)), (inputs.to_vec(), outputs.to_vec()), "{words}");
        bound.evaluate().unwrap();
    }
}

#[test]
fn uneven_sizes_fail_where_they_must_be_uniform() {
    let sim = open("m4,sizes=uniform");
    let bound = Bound::new(&sim, &uneven(), &[]);
    let inputs = [sim.surface(128).unwrap(), sim.surface(256).unwrap()];
    let request = bound.kernel.request(&inputs, &bound.outputs).unwrap();
    assert_eq!(code(&bound.kernel.evaluate(&request).unwrap_err()), 0x1d);
}

#[test]
fn descending_inputs_give_zeros_where_they_must_ascend() {
    let sim = open("m4,sizes=ascending");
    let bound = Bound::new(&sim, &uneven(), &[]);
    bound.write(0, &[1.0; 64]);
    bound.write(1, &[2.0; 128]);
    bound.evaluate().unwrap();
    assert_eq!((bound.read(0)[0], bound.read(1)[0]), (4.0, 2.0));
    let inputs = [sim.surface(512).unwrap(), bound.inputs[1].clone()];
    let request = bound.kernel.request(&inputs, &bound.outputs).unwrap();
    bound.kernel.evaluate(&request).unwrap();
    assert_eq!((bound.read(0), bound.read(1)), (vec![0.0; 128], vec![0.0; 64]));
}

#[test]
fn faults_come_when_they_are_due() {
    let sim = open("m4,memory=2,evaluate=3,zeros=4");
    let bound = Bound::new(&sim, &add(4, 32), &[]);
    bound.write(0, &[1.0; 128]);
    bound.evaluate().unwrap();
    assert_eq!(code(&bound.evaluate().unwrap_err()), 0x2);
    assert_eq!(code(&bound.evaluate().unwrap_err()), 0x1d);
    assert_eq!(bound.read(0), [1.0; 128]);
    bound.evaluate().unwrap();
    assert_eq!(bound.read(0), [0.0; 128]);
    bound.evaluate().unwrap();
    assert_eq!(bound.read(0), [1.0; 128]);
    assert_eq!(sim.counters().dispatches, 5);
}

#[test]
fn times_are_the_models() {
    let sim = open("m4");
    let bound = Bound::new(&sim, &add(4, 32), &[]);
    let Latency { floor, wake, .. } = sim.profile().latency;
    bound.evaluate().unwrap();
    let first = sim.counters().evaluate_seconds;
    assert!((wake + floor..wake + 1.1 * floor).contains(&first), "{first}");
    bound.evaluate().unwrap();
    let second = sim.counters().evaluate_seconds - first;
    assert!((floor..1.1 * floor).contains(&second), "{second}");
}
