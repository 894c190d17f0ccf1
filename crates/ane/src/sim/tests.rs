//! The simulator as a device: what programs give, what is refused, what goes wrong when it should.

mod faults;
mod programs;
mod runs;

use half::f16;

use super::*;
use crate::cost::Machine;
use crate::{Kernel, Surface};

fn source<'a>(text: &'a str, blobs: &'a [(String, Vec<u8>)]) -> Source<'a> {
    Source { name: "k", text, blobs }
}

fn open(words: &str) -> Simulator {
    Simulator::new(words.parse().unwrap(), 2)
}

/// A kernel with surfaces of the size it asks for.
struct Bound {
    kernel: SimKernel,
    request: SimRequest,
    inputs: Vec<SimSurface>,
    outputs: Vec<SimSurface>,
}

impl Bound {
    fn new(sim: &Simulator, text: &str, blobs: &[(String, Vec<u8>)]) -> Bound {
        let kernel = sim.compile(&source(text, blobs)).unwrap();
        let surfaces =
            |ports: &[crate::Port]| -> Vec<SimSurface> { ports.iter().map(|p| sim.surface(p.surface_bytes).unwrap()).collect() };
        let (inputs, outputs) = (surfaces(kernel.inputs()), surfaces(kernel.outputs()));
        let request = kernel.request(&inputs, &outputs).unwrap();
        Bound { kernel, request, inputs, outputs }
    }

    fn write(&self, input: usize, values: &[f32]) {
        let port = &self.kernel.inputs()[input];
        let fill = |bytes: &mut [u8]| {
            for (row, part) in layout::rows_mut(port, bytes).zip(values.chunks(port.shape[3])) {
                let halves = part.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes());
                row.iter_mut().zip(halves).for_each(|(to, from)| *to = from);
            }
        };
        self.inputs[input].write(fill).unwrap();
    }

    fn read(&self, output: usize) -> Vec<f32> {
        let port = &self.kernel.outputs()[output];
        let values = |bytes: &[u8]| -> Vec<f32> {
            let halves = layout::rows(port, bytes).flat_map(|row| row.as_chunks::<2>().0);
            halves.map(|b| f16::from_le_bytes(*b).to_f32()).collect()
        };
        self.outputs[output].read(values).unwrap()
    }

    fn evaluate(&self) -> Result<(), DeviceError> {
        self.kernel.evaluate(&self.request)
    }
}

/// `main` over `inputs` (name and type) with `body`, returning `outputs`.
fn program(inputs: &str, body: &str, outputs: &str) -> String {
    format!(
        "program(1.3)\n[buildInfo = dict<string, string>({{{{\"coremlc-version\", \"3505.4.1\"}}}})]\n{{\n    \
         func main<ios18>({inputs}) {{\n{body}    }} -> ({outputs});\n}}\n"
    )
}

/// `y_out = a_in + b_in`, `[1, c, 1, w]`.
fn add(c: usize, w: usize) -> String {
    let ty = format!("tensor<fp16, [1, {c}, 1, {w}]>");
    let body = format!("        {ty} y_out = add(x = a_in, y = b_in)[name = string(\"y_out\")];\n");
    program(&format!("{ty} a_in, {ty} b_in"), &body, "y_out")
}

fn code(error: &DeviceError) -> i64 {
    match error {
        DeviceError::Failed { code, .. } => *code,
        other => panic!("{other}"),
    }
}
