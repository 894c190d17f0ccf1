//! Runs a kernel in the interpreter: surfaces filled field by field, results by field.

#![allow(dead_code)] // each test file uses its part

use ane::kernels::weights::{self, Model};
use ane::{Baked, Field, KernelSpec, Packed};
use mil::{Executable, Numerics, Tensor};

use crate::reference::Reference;

/// Results `[s, channels]`, a row a token, by port and field.
pub struct Outputs(Vec<(usize, String, Vec<f64>)>);

impl Outputs {
    pub fn of(fields: &[(&str, Vec<f64>)]) -> Outputs {
        Outputs(fields.iter().map(|(name, values)| (0, (*name).to_string(), values.clone())).collect())
    }

    pub fn get(&self, field: &str) -> &[f64] {
        let found = self.0.iter().find(|(_, name, _)| name == field);
        &found.unwrap_or_else(|| panic!("no field {field}")).2
    }

    /// Those of one port.
    pub fn port(&self, port: usize) -> Outputs {
        Outputs(self.0.iter().filter(|(p, ..)| *p == port).cloned().collect())
    }
}

/// The kernel on one window, in fp16 op by op; `inputs` are `[s, channels]`, those that it does not read are ignored.
pub fn run(spec: &KernelSpec, model: &Reference, layer: usize, inputs: &[(&str, &[f64])]) -> Outputs {
    run_in(Numerics::exact(), spec, model, layer, inputs)
}

/// The same in other numerics.
pub fn run_in(numerics: Numerics, spec: &KernelSpec, model: &Reference, layer: usize, inputs: &[(&str, &[f64])]) -> Outputs {
    mil::check(&spec.program).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
    let seq = spec.outputs[0].shape()[3];
    let of = Model { spec: &model.spec, layout: &model.layout, params: &model.params, seq };
    let deeper = spec.deeper.iter().map(|(path, what, above)| (path.clone(), weights::file(*what, &of, layer + above)));
    let first = spec.baked.iter().map(|(path, what)| (path.clone(), weights::file(*what, &of, layer)));
    let blobs: Vec<_> = first.chain(deeper).collect();
    let program = Executable::new(&spec.program, &blobs, numerics).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
    let surfaces: Vec<Tensor> = spec.inputs.iter().map(|p| surface(p, spec.name, model, layer, inputs)).collect();
    let results = program.run("main", &surfaces).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
    let mut outputs = Vec::new();
    for (port, (packed, tensor)) in spec.outputs.iter().zip(results).enumerate() {
        let (values, width) = (tensor.numbers(), packed.shape()[3]);
        for f in &packed.fields {
            let at = |t: usize, c: usize| values[(f.first_channel + c) * width + f.first_column + t];
            let rows = (0..f.width).flat_map(|t| (0..f.channels).map(move |c| (t, c))).map(|(t, c)| at(t, c));
            outputs.push((port, f.name.to_string(), rows.collect()));
        }
    }
    Outputs(outputs)
}

fn surface(packed: &Packed, kernel: &str, model: &Reference, layer: usize, inputs: &[(&str, &[f64])]) -> Tensor {
    let [_, channels, _, width] = packed.shape();
    let mut values = vec![0.0f32; channels * width];
    for f in packed.fields.iter().filter(|f| f.name != "pad") {
        let value = field_values(f, model, layer, inputs).unwrap_or_else(|| panic!("{kernel}: nothing for {}", f.name));
        for c in 0..f.channels {
            for t in 0..f.width {
                values[(f.first_channel + c) * width + f.first_column + t] = value(c, t) as f32;
            }
        }
    }
    let rounded = values.into_iter().map(|v| half::f16::from_f32(v).to_f32()).collect();
    Tensor::floats(packed.ty(), rounded).unwrap_or_else(|e| panic!("{kernel}: {e}"))
}

/// What lies in channel `c` and column `t` of a field.
fn field_values<'a>(
    f: &'a Field,
    model: &Reference,
    layer: usize,
    inputs: &[(&str, &'a [f64])],
) -> Option<Box<dyn Fn(usize, usize) -> f64 + 'a>> {
    match f.holds {
        None => {
            let values = inputs.iter().find(|(name, _)| *name == f.name)?.1;
            assert_eq!(values.len(), f.channels * f.width, "{}", f.name);
            Some(Box::new(move |c, t| values[t * f.channels + c]))
        }
        Some(Baked::Matrix(part)) => {
            let w = model.part(layer, part);
            Some(Box::new(move |c, t| w[c * f.width + t]))
        }
        Some(Baked::Transposed(part)) => {
            let w = model.part(layer, part);
            Some(Box::new(move |c, t| w[t * f.channels + c]))
        }
        Some(_) => None,
    }
}
