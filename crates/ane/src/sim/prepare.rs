//! From the text of a program to what a dispatch needs: parsed, checked, its weights read, its ports laid out. Once, when it
//! is compiled.

use mil::Type;

use super::errors::{compilation_failure, invalid_program};
use super::latency::Work;
use super::layout;
use super::profile::{PortOrder, Profile};
use super::state::Shared;
use super::stub::{Executable, Tensor, check, parse};
use super::work;
use crate::{DeviceError, Port, Source};

/// What the framework calls the function that a request runs.
const MAIN: &str = "main";

/// A program that can be evaluated.
pub struct Prepared {
    pub identifier: String,
    /// In the order of the program.
    pub inputs: Vec<Port>,
    /// In the order of the program.
    pub outputs: Vec<Port>,
    /// The framework's port i is the program's input `framework_inputs[i]`.
    pub framework_inputs: Vec<usize>,
    /// As `framework_inputs`.
    pub framework_outputs: Vec<usize>,
    /// Of one evaluation.
    pub work: Work,
    input_types: Vec<Type>,
    executable: Executable,
    function: String,
}

impl Prepared {
    /// Compiles `source` for the device.
    ///
    /// # Errors
    /// When the text is no program, or the profile refuses it.
    pub fn new(source: &Source<'_>, identifier: String, device: &Shared) -> Result<Prepared, DeviceError> {
        let refuse = |why: String| compilation_failure(source.name, why);
        let program = parse(source.text).map_err(|e| invalid_program(source.name, e))?;
        check(&program).map_err(|e| invalid_program(source.name, e))?;
        let main = program.functions.iter().find(|f| f.name == MAIN).or(program.functions.first());
        let main = main.ok_or_else(|| invalid_program(source.name, "it has no function"))?;
        let types = work::types(main);
        let profile = &device.profile;

        let inputs: Vec<(&str, &Type)> = main.inputs.iter().map(|b| (b.name.as_str(), &b.ty)).collect();
        let outputs: Option<Vec<(&str, &Type)>> =
            main.outputs.iter().map(|n| Some((n.as_str(), *types.get(n.as_str())?))).collect();
        let outputs = outputs.ok_or_else(|| invalid_program(source.name, "an output is not defined"))?;
        let framework_inputs = order("input", &inputs, profile).map_err(refuse)?;
        let framework_outputs = order("output", &outputs, profile).map_err(refuse)?;

        let executable = Executable::new(&program, source.blobs).map_err(|e| refuse(e.to_string()))?;
        Ok(Prepared {
            identifier,
            inputs: ports(&inputs, &framework_inputs, true, profile).map_err(refuse)?,
            outputs: ports(&outputs, &framework_outputs, false, profile).map_err(refuse)?,
            framework_inputs,
            framework_outputs,
            work: work::of(main, &types),
            input_types: inputs.iter().map(|(_, ty)| (*ty).clone()).collect(),
            executable,
            function: main.name.clone(),
        })
    }

    /// Tensors of the inputs, zero.
    pub fn tensors(&self) -> Vec<Tensor> {
        self.input_types.iter().map(Tensor::zeros).collect()
    }

    /// Evaluates the program.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, String> {
        self.executable.run(&self.function, inputs)
    }
}

/// Indices of ports in the order in which the framework numbers them.
fn order(side: &str, ports: &[(&str, &Type)], profile: &Profile) -> Result<Vec<usize>, String> {
    let declared: Vec<usize> = (0..ports.len()).collect();
    let mut sorted = declared.clone();
    sorted.sort_by_key(|&i| ports[i].0);
    if profile.strict && sorted != declared {
        let names: Vec<&str> = ports.iter().map(|p| p.0).collect();
        return Err(format!(
            "{side}s {names:?} are not in the order of the alphabet: some systems number them so, others as declared"
        ));
    }
    Ok(if profile.port_order == PortOrder::Alphabetical { sorted } else { declared })
}

fn ports(bindings: &[(&str, &Type)], framework: &[usize], ascending: bool, profile: &Profile) -> Result<Vec<Port>, String> {
    if let Some((name, ty)) = bindings.iter().find(|(_, ty)| ty.dtype.bits() % 8 != 0 || ty.dtype.bits() == 0) {
        return Err(format!("port `{name}` is {ty}, whose elements are no whole bytes"));
    }
    let ports = layout::ports(bindings, framework, ascending, profile);
    ports
        .filter(|ports| ports.iter().all(|p| p.surface_bytes <= profile.surface_limit))
        .ok_or_else(|| format!("a port needs more than the {} bytes that the device can address", profile.surface_limit))
}
