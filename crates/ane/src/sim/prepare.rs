//! From the text of a program to what a dispatch needs: parsed, checked, its weights read, its ports laid out. Once, when it
//! is compiled.

use mil::rules::{self, Process, Severity, Target};
use mil::{Data, Executable, Function, Program, RunError, Tensor, Type};

use super::errors::{compilation_failure, invalid_program};
use super::latency::Work;
use super::layout;
use super::profile::{PortOrder, Profile};
use super::state::Shared;
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
    /// What the rules say of it that is no reason to refuse it.
    pub warnings: Vec<String>,
    input_types: Vec<Type>,
    executable: Executable,
    function: String,
}

impl Prepared {
    /// Compiles `source` for the device.
    ///
    /// # Errors
    /// When the text is no program, or the device refuses it.
    pub fn new(source: &Source<'_>, identifier: String, device: &Shared) -> Result<Prepared, DeviceError> {
        let refuse = |why: String| compilation_failure(source.name, why);
        let profile = &device.profile;
        let program = mil::parse(source.text).map_err(|e| invalid_program(source.name, e))?;
        mil::check(&program).map_err(|e| invalid_program(source.name, e))?;
        let warnings = judge(&program, source, device).map_err(refuse)?;
        let main = main(&program).ok_or_else(|| invalid_program(source.name, "it has no function `main`"))?;
        let types = work::types(main);
        let inputs: Vec<(&str, &Type)> = main.inputs.iter().map(|b| (b.name.as_str(), &b.ty)).collect();
        let outputs: Option<Vec<_>> = main.outputs.iter().map(|n| Some((n.as_str(), *types.get(n.as_str())?))).collect();
        let outputs = outputs.ok_or_else(|| invalid_program(source.name, "an output is not defined"))?;
        let (framework_inputs, framework_outputs) = (order(&inputs, profile), order(&outputs, profile));
        let executable = Executable::with_validation(&program, source.blobs, device.numerics.clone(), profile.blobs);
        Ok(Prepared {
            identifier,
            inputs: ports(&inputs, &framework_inputs, true, profile).map_err(refuse)?,
            outputs: ports(&outputs, &framework_outputs, false, profile).map_err(refuse)?,
            framework_inputs,
            framework_outputs,
            work: work::of(main, &types),
            warnings,
            input_types: inputs.iter().map(|(_, ty)| (*ty).clone()).collect(),
            executable: executable.map_err(|e| refuse(e.to_string()))?,
            function: main.name.clone(),
        })
    }

    /// Tensors of the inputs, zero.
    ///
    /// # Errors
    /// When a type is none that the interpreter takes.
    pub fn tensors(&self) -> Result<Vec<Tensor>, mil::SizeError> {
        let zeros = |ty: &Type| match ty.elements() {
            Some(n) if ty.dtype.is_float() => Tensor::new(ty.clone(), Data::Floats(vec![0.0; n])),
            _ => Tensor::from_bytes(ty, &vec![0; ty.bytes().unwrap_or(0)]),
        };
        self.input_types.iter().map(zeros).collect()
    }

    /// Evaluates the program.
    ///
    /// # Errors
    /// As [`Executable::run_rounded`].
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        self.executable.run_rounded(&self.function, inputs)
    }
}

/// The function that a request runs: `main`, or the only one there is.
fn main(program: &Program) -> Option<&Function> {
    let only = || if program.functions.len() == 1 { program.functions.first() } else { None };
    program.functions.iter().find(|f| f.name == MAIN).or_else(only)
}

/// Warnings of the numbered rules.
///
/// # Errors
/// The first violation that is an error, and how many more there are.
fn judge(program: &Program, source: &Source<'_>, device: &Shared) -> Result<Vec<String>, String> {
    let Profile { machine, strict, .. } = device.profile;
    // budgets of programs are the profile's own
    let process = Process { surface_bytes: device.counters().surface_bytes, ..Process::default() };
    let found = rules::check(program, source.blobs, &Target { chip: machine.chip, strict, process });
    let said = |v: &rules::Violation| format!("{}: {v}", v.span);
    let (errors, warnings): (Vec<_>, Vec<_>) = found.iter().partition(|v| v.severity == Severity::Error);
    match errors.as_slice() {
        [] => Ok(warnings.into_iter().map(said).collect()),
        [one] => Err(said(one)),
        [first, rest @ ..] => Err(format!("{} ({} more)", said(first), rest.len())),
    }
}

/// Indices of ports in the order in which the framework numbers them.
fn order(ports: &[(&str, &Type)], profile: &Profile) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ports.len()).collect();
    if profile.port_order == PortOrder::Alphabetical {
        order.sort_by_key(|&i| ports[i].0);
    }
    order
}

fn ports(bindings: &[(&str, &Type)], framework: &[usize], ascending: bool, profile: &Profile) -> Result<Vec<Port>, String> {
    if let Some((name, ty)) = bindings.iter().find(|(_, ty)| ty.dtype.bits() % 8 != 0 || ty.dtype.bits() == 0) {
        return Err(format!("port `{name}` is {ty}, whose elements are no whole bytes"));
    }
    let limit = profile.surface_limit;
    let ports = layout::ports(bindings, framework, ascending, profile);
    let fit = ports.filter(|ports| ports.iter().all(|p| p.surface_bytes <= limit));
    fit.ok_or_else(|| format!("a port needs more than the {limit} bytes that the device can address"))
}
