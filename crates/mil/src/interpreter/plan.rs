//! A function made ready: names are slots, and each step knows which values nobody needs after it.

use std::collections::HashMap;

use super::call::{Call, Kernel};
use super::constants::{self, Files};
use super::{RunError, kernel};
use crate::blob::Validation;
use crate::numerics::Numerics;
use crate::tensor::{Data, Real, Tensor};
use crate::{Argument, Binding, Function, Program, Span, Statement};

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Slot(usize),
    Constant(usize),
}

#[derive(Debug)]
struct Step<F> {
    op: String,
    span: Span,
    kernel: Kernel<F>,
    arguments: Vec<(String, Vec<Place>)>,
    results: Vec<Binding>,
    slots: Vec<usize>,
    /// Slots that no later step and no output reads.
    dead: Vec<usize>,
    /// Slot whose elements, in another shape, are the result, and that is dead: they need not be copied.
    renames: Option<usize>,
}

/// Operations whose result is the elements of `x` in the shape that the program declares.
const RENAMING: [&str; 5] = ["reshape", "expand_dims", "squeeze", "flatten2d", "identity"];

/// A function made ready.
#[derive(Debug)]
pub(super) struct Plan<F> {
    name: String,
    pub inputs: Vec<Binding>,
    steps: Vec<Step<F>>,
    constants: Vec<Tensor<F>>,
    outputs: Vec<Place>,
    slots: usize,
}

/// Every function of `program`.
pub(super) fn all<F: Real>(
    program: &Program,
    blobs: &[(String, Vec<u8>)],
    numerics: &Numerics,
    validation: Validation,
) -> Result<Vec<Plan<F>>, RunError> {
    let files = Files { blobs, validation };
    program.functions.iter().map(|f| Planner::new(files, numerics).plan(f)).collect()
}

/// The plan of the function `name`.
pub(super) fn named<'p, F>(plans: &'p [Plan<F>], name: &str) -> Result<&'p Plan<F>, RunError> {
    plans.iter().find(|p| p.name == name).ok_or_else(|| {
        let known: Vec<_> = plans.iter().map(|p| format!("`{}`", p.name)).collect();
        RunError::Function { name: name.to_owned(), known: known.join(", ") }
    })
}

struct Planner<'a, F> {
    files: Files<'a>,
    numerics: &'a Numerics,
    places: HashMap<&'a str, Place>,
    constants: Vec<Tensor<F>>,
    slots: usize,
}

impl<'a, F: Real> Planner<'a, F> {
    fn new(files: Files<'a>, numerics: &'a Numerics) -> Self {
        Planner { files, numerics, places: HashMap::new(), constants: Vec::new(), slots: 0 }
    }

    fn plan(mut self, function: &'a Function) -> Result<Plan<F>, RunError> {
        for input in &function.inputs {
            self.define(&input.name);
        }
        let mut steps = Vec::new();
        for statement in &function.body {
            if statement.op == "const" {
                self.constant(statement)?;
                continue;
            }
            let step = self.step(statement)?;
            if statement.op.starts_with("constexpr_") {
                self.fold(&step, statement)?;
            } else {
                steps.push(step);
            }
        }
        let outputs = function.outputs.iter().map(|name| self.place(name, function.span)).collect::<Result<Vec<_>, _>>()?;
        bury(&mut steps, &outputs);
        let (name, inputs) = (function.name.clone(), function.inputs.clone());
        Ok(Plan { name, inputs, steps, constants: self.constants, outputs, slots: self.slots })
    }

    fn define(&mut self, name: &'a str) -> usize {
        self.places.insert(name, Place::Slot(self.slots));
        self.slots += 1;
        self.slots - 1
    }

    fn place(&self, name: &str, span: Span) -> Result<Place, RunError> {
        self.places.get(name).copied().ok_or_else(|| RunError::Undefined { name: name.to_owned(), span })
    }

    fn keep(&mut self, tensor: Tensor<F>) -> Place {
        self.constants.push(tensor);
        Place::Constant(self.constants.len() - 1)
    }

    fn literal(&mut self, literal: &crate::Literal, span: Span) -> Result<Place, RunError> {
        let tensor = constants::tensor(literal, span, self.files, self.numerics)?;
        Ok(self.keep(tensor))
    }

    fn constant(&mut self, statement: &'a Statement) -> Result<(), RunError> {
        let span = statement.span;
        let missing = || RunError::Invalid { op: "const".to_owned(), span, message: "attribute `val` is missing".to_owned() };
        let (Some(literal), [result]) = (statement.attribute("val"), &statement.results[..]) else { return Err(missing()) };
        let place = self.literal(literal, span)?;
        self.places.insert(&result.name, place);
        Ok(())
    }

    fn step(&mut self, statement: &'a Statement) -> Result<Step<F>, RunError> {
        let span = statement.span;
        let Some(kernel) = kernel::<F>(&statement.op) else {
            return Err(RunError::Unsupported { op: statement.op.clone(), span });
        };
        let mut arguments = Vec::new();
        for (name, argument) in &statement.arguments {
            let places = match argument {
                Argument::Name(value) => vec![self.place(value, span)?],
                Argument::Names(values) => values.iter().map(|v| self.place(v, span)).collect::<Result<_, _>>()?,
                Argument::Literal(literal) => vec![self.literal(literal, span)?],
            };
            arguments.push((name.clone(), places));
        }
        for (name, literal) in statement.attributes.iter().filter(|(name, _)| name != "name") {
            arguments.push((name.clone(), vec![self.literal(literal, span)?]));
        }
        let slots = statement.results.iter().map(|r| self.define(&r.name)).collect();
        let results = statement.results.clone();
        Ok(Step { op: statement.op.clone(), span, kernel, arguments, results, slots, dead: Vec::new(), renames: None })
    }

    /// Computes a constant expression here and now.
    fn fold(&mut self, step: &Step<F>, statement: &'a Statement) -> Result<(), RunError> {
        let values = Values { inputs: &[], slots: Vec::new(), constants: &self.constants };
        let results = step.run(&values, self.numerics)?;
        for (tensor, binding) in results.into_iter().zip(&statement.results) {
            let place = self.keep(tensor);
            self.places.insert(&binding.name, place);
        }
        Ok(())
    }
}

/// Notes for each step which slots are read by it last.
fn bury<F>(steps: &mut [Step<F>], outputs: &[Place]) {
    let mut alive: Vec<Place> = outputs.to_vec();
    for step in steps.iter_mut().rev() {
        let read = step.arguments.iter().flat_map(|(_, places)| places).copied();
        let touched: Vec<Place> = read.chain(step.slots.iter().map(|s| Place::Slot(*s))).collect();
        for place in touched {
            if let (Place::Slot(slot), false) = (place, alive.contains(&place)) {
                step.dead.push(slot);
                alive.push(place);
            }
        }
        step.renames = step.renamed();
    }
}

struct Values<'a, F> {
    /// The first slots, as long as nothing else is in them.
    inputs: &'a [Tensor<F>],
    slots: Vec<Option<Tensor<F>>>,
    constants: &'a [Tensor<F>],
}

impl<F> Values<'_, F> {
    fn get(&self, place: Place) -> Option<&Tensor<F>> {
        match place {
            Place::Slot(slot) => self.slots.get(slot)?.as_ref().or_else(|| self.inputs.get(slot)),
            Place::Constant(i) => self.constants.get(i),
        }
    }
}

impl<F> Step<F> {
    fn renamed(&self) -> Option<usize> {
        let x = self.arguments.iter().find(|(name, _)| name == "x");
        match x.map(|(_, places)| places.as_slice()) {
            Some(&[Place::Slot(slot)]) if self.dead.contains(&slot) && RENAMING.contains(&self.op.as_str()) => Some(slot),
            _ => None,
        }
    }

    /// The result, if it is what lies in a slot and another name for it.
    fn rename(&self, values: &mut Values<'_, F>) -> Option<Tensor<F>> {
        let (slot, [declared]) = (self.renames?, self.results.as_slice()) else { return None };
        let fits = |x: &mut Tensor<F>| x.ty.dtype == declared.ty.dtype && declared.ty.elements() == Some(x.data.len());
        let mut x = values.slots.get_mut(slot)?.take_if(fits)?;
        x.ty = declared.ty.clone();
        Some(x)
    }
}

impl<F: Real> Step<F> {
    fn run(&self, values: &Values<'_, F>, numerics: &Numerics) -> Result<Vec<Tensor<F>>, RunError> {
        let undefined = |name: &str| RunError::Undefined { name: name.to_owned(), span: self.span };
        let mut arguments = Vec::with_capacity(self.arguments.len());
        for (name, places) in &self.arguments {
            let found: Option<Vec<_>> = places.iter().map(|p| values.get(*p)).collect();
            arguments.push((name.as_str(), found.ok_or_else(|| undefined(name))?));
        }
        let call = Call { op: &self.op, span: self.span, arguments, results: &self.results, numerics };
        let results = (self.kernel)(&call)?;
        call.require(results.len() == self.results.len(), || {
            format!("gives {} results, the program names {}", results.len(), self.results.len())
        })?;
        for (found, declared) in results.iter().zip(&self.results) {
            if found.ty != declared.ty {
                return Err(RunError::Declared {
                    op: self.op.clone(),
                    name: declared.name.clone(),
                    span: self.span,
                    declared: declared.ty.to_string(),
                    found: found.ty.to_string(),
                });
            }
        }
        Ok(results)
    }
}

impl<F: Real> Plan<F> {
    /// Runs it.
    pub fn run(&self, inputs: &[Tensor<F>], numerics: &Numerics) -> Result<Vec<Tensor<F>>, RunError> {
        self.fit(inputs)?;
        self.steps(&self.admit(inputs, numerics), numerics)
    }

    /// Runs it on inputs whose elements are numbers of their types.
    pub fn run_rounded(&self, inputs: &[Tensor<F>], numerics: &Numerics) -> Result<Vec<Tensor<F>>, RunError> {
        self.fit(inputs)?;
        if numerics.no_nan { self.steps(&self.admit(inputs, numerics), numerics) } else { self.steps(inputs, numerics) }
    }

    fn steps(&self, inputs: &[Tensor<F>], numerics: &Numerics) -> Result<Vec<Tensor<F>>, RunError> {
        let mut values = Values { inputs, slots: vec![None; self.slots], constants: &self.constants };
        for step in &self.steps {
            let results = match step.rename(&mut values) {
                Some(result) => vec![result],
                None => step.run(&values, numerics)?,
            };
            for (slot, tensor) in step.slots.iter().zip(results) {
                values.slots[*slot] = Some(tensor);
            }
            for slot in &step.dead {
                values.slots[*slot] = None;
            }
        }
        let undefined = || RunError::Undefined { name: self.name.clone(), span: Span::default() };
        let output = |(i, place): (usize, &Place)| {
            let last = !self.outputs[i + 1..].contains(place);
            let owned = match *place {
                Place::Slot(slot) if last => values.slots.get_mut(slot).and_then(Option::take),
                _ => None,
            };
            owned.or_else(|| values.get(*place).cloned()).ok_or_else(undefined)
        };
        self.outputs.iter().enumerate().map(output).collect()
    }

    /// Whether the inputs are those that the function takes.
    fn fit(&self, inputs: &[Tensor<F>]) -> Result<(), RunError> {
        if inputs.len() != self.inputs.len() {
            return Err(RunError::Inputs { function: self.name.clone(), expected: self.inputs.len(), found: inputs.len() });
        }
        match inputs.iter().zip(&self.inputs).find(|(t, binding)| t.ty != binding.ty || !t.is_whole()) {
            None => Ok(()),
            Some((tensor, Binding { name, ty })) => {
                Err(RunError::Input { name: name.clone(), expected: ty.clone(), found: tensor.ty.clone() })
            }
        }
    }

    /// The inputs rounded to their types.
    fn admit(&self, inputs: &[Tensor<F>], numerics: &Numerics) -> Vec<Tensor<F>> {
        let mut inputs = inputs.to_vec();
        for tensor in &mut inputs {
            if let Data::Floats(values) = &mut tensor.data {
                numerics.admit(tensor.ty.dtype, values);
            }
        }
        inputs
    }
}
