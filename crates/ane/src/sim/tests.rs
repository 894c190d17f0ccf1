//! The simulator as a device.

use super::*;
use crate::Surface;

#[test]
fn surfaces_are_counted_while_they_live() {
    let sim = Simulator::new(Profile::default(), 1);
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
    let sim = Simulator::new(Profile::default(), 1);
    let error = sim.surface(usize::MAX).unwrap_err();
    assert!(error.to_string().contains("address"), "{error}");
    let unlimited = Simulator::new(Profile { surface_limit: usize::MAX, ..Profile::default() }, 1);
    assert!(unlimited.surface(usize::MAX).is_err());
}

#[test]
fn a_text_that_is_no_program_is_refused_as_the_compiler_does() {
    let sim = Simulator::new(Profile::default(), 1);
    let error = sim.compile(&Source { name: "k", text: "program", blobs: &[] }).unwrap_err();
    let DeviceError::Failed { domain, code, text, .. } = error else { panic!("{error}") };
    assert_eq!((domain.as_str(), code), ("com.apple.appleneuralengine.compiler", 1));
    assert!(text.contains("err=(InvalidMILProgram)"), "{text}");
    assert_eq!(sim.counters().compiles, 0);
}
