//! The bridge over a device of a few lines, which does what no real one does on demand.

use std::mem::MaybeUninit;
use std::sync::{Arc, Mutex};

use ane::{Counters, Device, DeviceError, Kernel, Port, Source, Stage, Surface};

use crate::bridge::{Bridge, Kernels};
use crate::error::{BridgeError, guarded, last};

/// Copies its input to its output, rows of 3 bytes at a stride of 4; what it does next is in its script.
#[derive(Clone, Default)]
struct Copying(Arc<Mutex<Script>>);

impl Copying {
    fn state(&self) -> (bool, bool) {
        let script = self.0.lock().unwrap();
        (script.fail, script.panic)
    }
}

#[derive(Default)]
struct Script {
    fail: bool,
    panic: bool,
    loaded: i32,
}

#[derive(Clone)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

struct Loaded {
    script: Copying,
    ports: [Port; 1],
}

impl Surface for Bytes {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn read<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Result<R, DeviceError> {
        Ok(f(&self.0.lock().unwrap()))
    }

    fn write<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> Result<R, DeviceError> {
        Ok(f(&mut self.0.lock().unwrap()))
    }
}

impl Kernel for Loaded {
    type Surface = Bytes;
    type Request = (Bytes, Bytes);

    fn inputs(&self) -> &[Port] {
        &self.ports
    }

    fn outputs(&self) -> &[Port] {
        &self.ports
    }

    fn request(&self, inputs: &[Bytes], outputs: &[Bytes]) -> Result<(Bytes, Bytes), DeviceError> {
        Ok((inputs[0].clone(), outputs[0].clone()))
    }

    fn evaluate(&self, (x, y): &(Bytes, Bytes)) -> Result<(), DeviceError> {
        let (fail, panic) = self.script.state();
        assert!(!panic, "as scripted");
        if fail {
            let (kernel, domain, text) = ("copy".into(), "d".into(), "t".into());
            return Err(DeviceError::Failed { kernel, stage: Stage::Evaluate, domain, code: 0x1d, text });
        }
        y.0.lock().unwrap()[..8].copy_from_slice(&x.0.lock().unwrap()[..8]);
        Ok(())
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        self.script.0.lock().unwrap().loaded -= 1;
    }
}

impl Device for Copying {
    type Surface = Bytes;
    type Kernel = Loaded;

    fn describe(&self) -> String {
        "copying".into()
    }

    fn compile(&self, _: &Source<'_>) -> Result<Loaded, DeviceError> {
        self.0.lock().unwrap().loaded += 1;
        let port = Port { name: "x".into(), shape: [1, 2, 1, 3], element_bytes: 1, row_stride: 4, surface_bytes: 8 };
        Ok(Loaded { script: self.clone(), ports: [port] })
    }

    fn surface(&self, bytes: usize) -> Result<Bytes, DeviceError> {
        Ok(Bytes(Arc::new(Mutex::new(vec![0xff; bytes]))))
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

fn read(bridge: &Bridge<Copying>, handle: usize, bytes: usize) -> Result<Vec<u8>, BridgeError> {
    let mut data = vec![MaybeUninit::new(0xaa); bytes];
    bridge.read_output(handle, 0, &mut data)?;
    Ok(data.iter().map(|b| byte(b.as_ptr())).collect())
}

#[allow(unsafe_code)]
fn byte(at: *const u8) -> u8 {
    // SAFETY: callers point to bytes of vectors that were filled, or of a text up to its NUL.
    unsafe { *at }
}

#[test]
fn rows_are_padded_for_the_device_alone() {
    let bridge = Bridge::new(Copying::default());
    let kernel = bridge.compile("", &[], &[7], &[9]).unwrap();
    bridge.write_input(kernel, 0, &[1, 2, 3, 4, 5, 6, 7]).unwrap();
    bridge.evaluate(kernel).unwrap();
    assert_eq!(read(&bridge, kernel, 6).unwrap(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(read(&bridge, kernel, 4).unwrap(), [1, 2, 3, 4]);
    assert_eq!(read(&bridge, kernel, 9).unwrap(), [1, 2, 3, 4, 5, 6, 0, 0, 0]);
    bridge.write_input(kernel, 0, &[9, 8, 7, 6]).unwrap();
    bridge.evaluate(kernel).unwrap();
    assert_eq!(read(&bridge, kernel, 6).unwrap(), [9, 8, 7, 6, 5, 6]);
}

#[test]
fn bounds_are_those_that_the_caller_named() {
    let bridge = Bridge::new(Copying::default());
    let kernel = bridge.compile("", &[], &[7], &[6]).unwrap();
    let bounds = |side, index, bytes, size| BridgeError::Bounds { side, index, bytes, size };
    assert_eq!(bridge.write_input(kernel, 0, &[0; 8]), Err(bounds("input", 0, 8, 7)));
    assert_eq!(read(&bridge, kernel, 7), Err(bounds("output", 0, 7, 6)));
    for index in [1, -1, i64::MAX, i64::MIN] {
        assert_eq!(bridge.write_input(kernel, index, &[]), Err(BridgeError::Index { side: "input", index, count: 1 }));
    }
    let error = bridge.compile("", &[], &[5], &[6]).unwrap_err();
    assert_eq!(error.to_string(), "input 0 (`x`) has 5 bytes, and the program needs 6");
    assert_eq!(bridge.compile("", &[], &[], &[6]), Err(BridgeError::Ports { side: "inputs", expected: 1, found: 0 }));
    assert_eq!(bridge.compile("", &[], &[6], &[6, 6]), Err(BridgeError::Ports { side: "outputs", expected: 1, found: 2 }));
}

#[test]
fn outputs_of_a_failed_evaluation_cannot_be_read() {
    let device = Copying::default();
    let bridge = Bridge::new(device.clone());
    let kernel = bridge.compile("", &[], &[6], &[6]).unwrap();
    device.0.lock().unwrap().fail = true;
    assert!(bridge.evaluate(kernel).unwrap_err().to_string().contains("code 0x1d"));
    assert_eq!(read(&bridge, kernel, 6), Err(BridgeError::NoResult));
    device.0.lock().unwrap().fail = false;
    bridge.evaluate(kernel).unwrap();
    assert!(read(&bridge, kernel, 6).is_ok());
}

#[test]
fn a_panic_is_an_error_with_its_words() {
    let device = Copying::default();
    let bridge = Bridge::new(device.clone());
    let kernel = bridge.compile("", &[], &[6], &[6]).unwrap();
    device.0.lock().unwrap().panic = true;
    assert!(!guarded(false, || bridge.evaluate(kernel).map(|()| true)));
    let text: Vec<u8> = (0..).map(|i| byte(last().wrapping_add(i).cast())).take_while(|b| *b != 0).collect();
    assert_eq!(String::from_utf8(text).unwrap(), "internal error: as scripted");
    assert_eq!(read(&bridge, kernel, 6), Err(BridgeError::NoResult));
    device.0.lock().unwrap().panic = false;
    assert!(bridge.evaluate(kernel).is_ok());
}

#[test]
fn a_freed_handle_is_known_for_ever() {
    let device = Copying::default();
    let bridge = Bridge::new(device.clone());
    let first = bridge.compile("", &[], &[6], &[6]).unwrap();
    bridge.free(first).unwrap();
    assert_eq!(device.0.lock().unwrap().loaded, 0);
    let second = bridge.compile("", &[], &[6], &[6]).unwrap();
    assert_ne!(first, second);
    for handle in [0, first, second + 1, usize::MAX] {
        assert_eq!(bridge.free(handle), Err(BridgeError::Handle));
        assert_eq!(bridge.evaluate(handle), Err(BridgeError::Handle));
        assert_eq!(bridge.write_input(handle, 0, &[]), Err(BridgeError::Handle));
        assert_eq!(read(&bridge, handle, 1), Err(BridgeError::Handle));
    }
    assert_eq!(bridge.compile_count(), 2);
    bridge.reset_compile_count();
    assert_eq!(bridge.compile_count(), 0);
}

#[test]
fn names_of_weight_files_are_looked_at_before_the_device_is_asked() {
    let bridge = Bridge::new(Copying::default());
    let error = bridge.compile("", &[("@model_path/../x".into(), vec![])], &[6], &[6]).unwrap_err();
    assert!(matches!(error, BridgeError::WeightName { .. }));
    assert_eq!(bridge.compile_count(), 0);
}
