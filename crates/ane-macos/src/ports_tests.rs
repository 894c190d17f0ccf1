#![allow(clippy::unwrap_used)]

use mil::DType;

use super::*;

fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Attributes of a port `[1, c, h, w]` of fp16 whose rows and planes lie at these strides.
fn live(name: &str, [c, h, w]: [i64; 3], row: i64, plane: i64) -> Value {
    map(&[
        ("Name", text(name)),
        ("Type", text("Float16")),
        ("Batches", Value::Number(1)),
        ("Channels", Value::Number(c)),
        ("Depth", Value::Number(1)),
        ("Height", Value::Number(h)),
        ("Width", Value::Number(w)),
        ("Interleave", Value::Number(1)),
        ("RowStride", Value::Number(row)),
        ("PlaneStride", Value::Number(plane)),
        ("BatchStride", Value::Number(plane.saturating_mul(c))),
    ])
}

fn attributes(inputs: &[Value], outputs: &[Value], symbols: &[&str]) -> Value {
    let network = map(&[("LiveInputList", Value::List(inputs.to_vec())), ("LiveOutputList", Value::List(outputs.to_vec()))]);
    let symbols = Value::List(symbols.iter().map(|s| text(s)).collect());
    let description = map(&[("kANEFModelInputSymbolsArrayKey", symbols)]);
    map(&[("NetworkStatusList", Value::List(vec![network])), ("ANEFModelDescription", description)])
}

fn declared(name: &str, shape: &[usize]) -> Declared {
    (name.to_owned(), Type::new(DType::Fp16, shape))
}

#[test]
fn ports_are_found_by_name_whatever_the_order_and_numbered_by_their_symbols() {
    let inputs = [live("weights", [8, 1, 64], 128, 128), live("xnorm", [8, 1, 32], 64, 64)];
    let found = attributes(&inputs, &[live("out@output", [8, 1, 32], 64, 64)], &["xnorm", "weights"]);
    let ins = [declared("xnorm", &[1, 8, 1, 32]), declared("weights", &[1, 8, 1, 64])];
    let bound = bind(&ins, &found, Side::Input).unwrap();
    let seen: Vec<_> = bound.iter().map(|b| (b.port.name.as_str(), b.port.shape, b.index)).collect();
    assert_eq!(seen, [("xnorm", [1, 8, 1, 32], 0), ("weights", [1, 8, 1, 64], 1)]);
    let outs = bind(&[declared("out", &[1, 8, 1, 32])], &found, Side::Output).unwrap();
    assert_eq!((outs[0].port.name.as_str(), outs[0].index), ("out", 0));
    // without a table of symbols the place in the list is the number
    let unnumbered = attributes(&inputs, &[], &[]);
    assert_eq!(bind(&ins, &unnumbered, Side::Input).unwrap().iter().map(|b| b.index).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_name_may_stand_under_symbol() {
    let Value::Map(mut entries) = live("out@output", [4, 1, 32], 64, 64) else { unreachable!() };
    let name = entries.remove("Name").unwrap();
    entries.insert("Symbol".to_owned(), name);
    let found = attributes(&[], &[Value::Map(entries)], &[]);
    assert_eq!(bind(&[declared("out", &[1, 4, 1, 32])], &found, Side::Output).unwrap()[0].port.name, "out");
}

#[test]
fn strides_are_the_models_and_surfaces_of_a_side_are_of_one_size() {
    // 4082 columns lie in rows of 4096, as M5 has them
    let inputs = [live("aa", [100, 1, 4082], 8192, 8192), live("bb", [100, 1, 32], 64, 64)];
    let ins = [declared("aa", &[1, 100, 1, 4082]), declared("bb", &[1, 100, 1, 32])];
    let bound = bind(&ins, &attributes(&inputs, &[], &["aa", "bb"]), Side::Input).unwrap();
    assert_eq!(bound.iter().map(|b| b.port.row_stride).collect::<Vec<_>>(), [8192, 64]);
    assert_eq!(bound.iter().map(|b| b.port.surface_bytes).collect::<Vec<_>>(), [100 * 8192; 2]);
    // one row of a padded plane
    let padded = attributes(&[live("aa", [4, 1, 4], 8, 64)], &[], &[]);
    assert_eq!(bind(&[declared("aa", &[4, 4])], &padded, Side::Input).unwrap()[0].port.row_stride, 64);
}

#[test]
fn what_does_not_fit_the_declaration_is_refused_in_words() {
    let one = |value: Value, ty: &[usize]| {
        bind(&[declared("aa", ty)], &attributes(&[value], &[], &[]), Side::Input).map(|_| ()).unwrap_err()
    };
    assert!(one(live("bb", [4, 1, 32], 64, 64), &[1, 4, 1, 32]).contains("no port aa: it has bb"));
    assert!(one(live("aa", [4, 1, 32], 64, 64), &[1, 8, 1, 32]).contains("declared as tensor<fp16, [1, 8, 1, 32]>"));
    assert!(one(live("aa", [4, 2, 32], 64, 256), &[1, 4, 2, 32]).contains("strides 64, 256"));
    assert!(one(live("aa", [4, 1, 32], 32, 32), &[1, 4, 1, 32]).contains("rows of 32 elements"));
    assert!(one(live("aa", [4, 1, 32], -1, -1), &[1, 4, 1, 32]).contains("do not say RowStride"));
    assert!(one(live("aa", [i64::MAX, i64::MAX, 32], 64, 64), &[1, 4, 1, 32]).contains("declared as"));
    assert!(one(Value::Other, &[1]).contains("no port aa"));
    let none = bind(&[declared("aa", &[1])], &Value::Other, Side::Input).map(|_| ()).unwrap_err();
    assert_eq!(none, "the program declares 1 in LiveInputList, the loaded model has 0");
}

#[test]
fn a_request_is_held_against_the_ports() {
    use ane::{Device, Simulator};
    let device = Simulator::new(ane::Profile::default(), 1);
    let port =
        |bytes| Port { name: "x".to_owned(), shape: [1, 1, 1, 64], element_bytes: 2, row_stride: 128, surface_bytes: bytes };
    let surfaces = [device.surface(128).unwrap()];
    assert_eq!(fit("k", &[port(128)], &surfaces), Ok(()));
    let small = fit("k", &[port(256)], &surfaces).unwrap_err().to_string();
    assert!(small.contains("256") && small.contains("128") && small.contains('k'), "{small}");
    assert!(fit("k", &[port(128), port(128)], &surfaces).is_err());
    assert!(fit("k", &[], &surfaces).is_err());
}
