//! Compilation: what is refused, what counts, what is kept.

use super::*;

#[test]
fn surfaces_are_counted_while_they_live() {
    let sim = open("m4");
    let a = sim.surface(100).unwrap();
    let b = a.clone();
    assert_eq!((a.len(), a.is_empty(), sim.counters().surface_bytes), (100, false, 100));
    b.write(|bytes| bytes[99] = 7).unwrap();
    assert_eq!(a.read(|bytes| (bytes[0], bytes[99])).unwrap(), (0, 7));
    drop(a);
    assert_eq!(sim.counters().surface_bytes, 100);
    drop(b);
    assert_eq!(sim.counters().surface_bytes, 0);
}

#[test]
fn what_cannot_be_addressed_is_no_surface() {
    let error = open("m4").surface(usize::MAX).unwrap_err();
    assert!(error.to_string().contains("address"), "{error}");
    let unlimited = Simulator::new(Profile { surface_limit: usize::MAX, ..Profile::default() }, 1);
    assert!(unlimited.surface(usize::MAX).is_err());
}

#[test]
fn a_text_that_is_no_program_is_refused_as_the_compiler_does() {
    let sim = open("m4");
    for text in ["program", "", &add(4, 32).replace("add(", "sum_of("), &add(4, 32).replace("-> (y_out)", "-> (z_out)")] {
        let error = sim.compile(&source(text, &[])).unwrap_err();
        let DeviceError::Failed { domain, code, text, .. } = error else { panic!("{error}") };
        assert_eq!((domain.as_str(), code), ("com.apple.appleneuralengine.compiler", 1));
        assert!(text.contains("err=(InvalidMILProgram)"), "{text}");
    }
    assert_eq!(sim.counters(), Counters { modelled: true, ..Counters::default() });
}

#[test]
fn only_programs_that_load_use_up_the_budget() {
    let sim = open("m4,budget=2,compile=2");
    let texts: Vec<String> = (1..=4).map(|c| add(c, 32)).collect();
    assert_eq!(sim.compiles_left(), Some(2));
    let first = sim.compile(&source(&texts[0], &[])).unwrap();
    let fault = sim.compile(&source(&texts[1], &[])).unwrap_err();
    assert!(fault.to_string().contains("injected"), "{fault}");
    assert!(sim.compile(&source("nothing", &[])).is_err());
    assert_eq!(sim.compiles_left(), Some(1));
    let second = sim.compile(&source(&texts[1], &[])).unwrap();
    drop((first, second));
    let over = sim.compile(&source(&texts[2], &[])).unwrap_err();
    assert_eq!(over, DeviceError::Budget { kernel: "k".into(), what: "compiled", used: 2, limit: 2 });
    assert_eq!(sim.counters().loaded, 0);
}

#[test]
fn loaded_programs_are_limited_and_unloading_makes_room() {
    let sim = open("m4,loaded=1");
    let first = sim.compile(&source(&add(4, 32), &[])).unwrap();
    let over = sim.compile(&source(&add(5, 32), &[])).unwrap_err();
    assert!(matches!(over, DeviceError::Budget { what: "loaded", used: 1, limit: 1, .. }), "{over}");
    first.unload();
    first.unload();
    assert_eq!((first.state(), sim.counters().loaded), (1, 0));
    let second = sim.compile(&source(&add(5, 32), &[])).unwrap();
    assert!(first.load().is_err());
    drop(second);
    first.load().unwrap();
    first.load().unwrap();
    assert_eq!((first.state(), sim.counters().loaded, sim.counters().compiles), (3, 1, 2));
}

#[test]
fn an_unloaded_program_does_not_run() {
    let bound = Bound::new(&open("m4"), &add(4, 32), &[]);
    bound.kernel.unload();
    assert!(bound.evaluate().unwrap_err().to_string().contains("not loaded"));
    bound.kernel.load().unwrap();
    bound.evaluate().unwrap();
}

#[test]
fn the_same_program_is_loaded_from_the_cache_while_it_lives() {
    let sim = open("m4");
    let Latency { compile, reload, .. } = sim.profile().latency;
    let first = sim.compile(&source(&add(4, 32), &[])).unwrap();
    let second = sim.compile(&source(&add(4, 32), &[])).unwrap();
    assert_eq!(first.identifier(), second.identifier());
    assert_eq!(sim.counters().compiles, 2);
    assert!((sim.counters().compile_seconds - (compile + reload)).abs() < 1e-12);
    drop((first, second));
    let _third = sim.compile(&source(&add(4, 32), &[])).unwrap();
    assert!((sim.counters().compile_seconds - (2.0 * compile + reload)).abs() < 1e-12);
}

#[test]
fn strict_refuses_what_depends_on_the_order_of_ports() {
    let text = add(4, 32).replace("a_in", "z_in");
    let error = open("m3,strict").compile(&source(&text, &[])).unwrap_err().to_string();
    assert!(error.contains("CompilationFailure") && error.contains("ANE-40"), "{error}");
    let kernel = open("m3").compile(&source(&text, &[])).unwrap();
    assert!(kernel.warnings().iter().any(|w| w.contains("ANE-40")), "{:?}", kernel.warnings());
    assert_eq!(open("m3,strict").compile(&source(&add(4, 32), &[])).unwrap().framework_inputs(), ["a_in", "b_in"]);
}

#[test]
fn ports_by_number_are_those_of_the_framework() {
    let text = add(4, 32).replace("add(", "sub(").replace("a_in", "z_in");
    let value = |words: &str| {
        let sim = open(words);
        let bound = Bound::new(&sim, &text, &[]);
        bound.write(0, &[5.0; 128]);
        bound.write(1, &[1.0; 128]);
        let request = bound.kernel.request_by_number(&bound.inputs, &bound.outputs).unwrap();
        bound.kernel.evaluate(&request).unwrap();
        let names = bound.kernel.framework_inputs().concat();
        (names, bound.read(0)[0])
    };
    assert_eq!(value("m4,ports=declaration"), ("z_inb_in".into(), 4.0));
    assert_eq!(value("m4,ports=alphabetical"), ("b_inz_in".into(), -4.0));
}

#[test]
fn the_device_says_what_it_is() {
    assert_eq!(open("m4-max,strict").describe(), "simulator of the Neural Engine of M4 Max, strict");
    assert_eq!(open("m1").profile().machine, Machine::of_name("m1").unwrap());
    assert!(open("m1").peak_flops().unwrap() < open("m4").peak_flops().unwrap());
}
