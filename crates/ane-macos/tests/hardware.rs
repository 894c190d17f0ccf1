//! The engine of the Mac that this runs on; elsewhere there is nothing here.
#![cfg(all(target_os = "macos", target_arch = "aarch64"))]
#![allow(clippy::unwrap_used)]

use ane::{Device, DeviceError, Kernel, Source, Surface};
use ane_macos::Hardware;

const ADD: &str = r#"program(1.3)
[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3510.2.1"}, {"coremlc-version", "3505.4.1"}, {"coremltools-component-milinternal", ""}, {"coremltools-version", "9.0"}})]
{
    func main<ios18>(tensor<fp16, [1, 64, 1, 256]> x_in) {
        tensor<fp16, [1, 64, 1, 256]> y_out = add(x = x_in, y = x_in)[name = string("y_out")];
    } -> (y_out);
}
"#;

fn device() -> Option<Hardware> {
    match ane_macos::open() {
        Ok(device) => Some(device),
        Err(DeviceError::Unavailable(why)) => {
            println!("SKIPPED: the Neural Engine: {why}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn twice_a_surface_comes_back() {
    let Some(device) = device() else { return };
    let kernel = device.compile(&Source { name: "add", text: ADD, blobs: &[] }).unwrap();
    assert_eq!((kernel.inputs()[0].name.as_str(), kernel.outputs()[0].name.as_str()), ("x_in", "y_out"));
    let input = device.surface(kernel.inputs()[0].surface_bytes).unwrap();
    let output = device.surface(kernel.outputs()[0].surface_bytes).unwrap();
    // 1.5 in fp16
    input.write(|bytes| bytes.chunks_exact_mut(2).for_each(|b| b.copy_from_slice(&[0x00, 0x3e]))).unwrap();
    let request = kernel.request(std::slice::from_ref(&input), std::slice::from_ref(&output)).unwrap();
    for _ in 0..3 {
        kernel.evaluate(&request).unwrap();
    }
    // 3.0
    let stride = kernel.outputs()[0].row_stride;
    let right = output.read(|bytes| (0..64).all(|c| bytes[c * stride..c * stride + 512].chunks(2).all(|b| b == [0x00, 0x42])));
    assert!(right.unwrap());
    assert_eq!((device.counters().dispatches, device.counters().loaded), (3, 1));
    drop((request, kernel));
    assert_eq!(device.counters().loaded, 0);
}

#[test]
fn a_text_that_the_compiler_refuses_is_an_error() {
    let Some(device) = device() else { return };
    let text = ADD.replace("add(", "no_such_operation(");
    assert!(device.compile(&Source { name: "bad", text: &text, blobs: &[] }).is_err());
    assert_eq!(device.counters().loaded, 0);
}

#[test]
fn a_surface_in_use_is_not_given_out_again() {
    let Some(device) = device() else { return };
    let surface = device.surface(1).unwrap();
    assert_eq!(surface.read(<[u8]>::len).unwrap(), surface.len());
    assert!(surface.write(|_| surface.read(|_| ()).is_err()).unwrap());
    assert!(surface.read(|_| surface.write(|_| ()).is_err()).unwrap());
}
