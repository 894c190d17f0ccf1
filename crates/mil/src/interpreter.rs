//! The interpreter: the definition of what programs compute.
//!
//! A program is made ready once ([`Executable::new`]: names become slots, constants are read, operations become functions)
//! and then run any number of times. A value is dropped after its last use. Everything runs on the calling thread, except
//! what an injected matrix product does.

mod call;
mod constants;
mod einsum;
mod elementwise;
mod error;
mod matmul;
mod movement;
mod normalise;
mod order;
mod parts;
mod plan;
mod pool;
mod product;
mod quantise;
mod reduce;
mod slice;
mod space;
pub(crate) mod special;
mod windows;
mod zip;

use crate::blob::Validation;
use crate::numerics::{Numerics, Precision};
use crate::tensor::Tensor;
use crate::{Binding, Program};
use call::Kernel;
pub use error::RunError;
use plan::Plan;

/// Most elements of a value: what a program declares is no reason to ask the machine for more.
const MOST_ELEMENTS: usize = 1 << 28;

/// A program that is ready to run.
#[derive(Debug)]
pub struct Executable {
    plans: Plans,
    numerics: Numerics,
}

#[derive(Debug)]
enum Plans {
    Single(Vec<Plan<f32>>),
    Double(Vec<Plan<f64>>),
}

impl Executable {
    /// Makes `program`, which has passed the checker, ready. `blobs` are its weight files by their path in the program.
    ///
    /// # Errors
    /// When a weight file is missing or does not hold what the program says, or for an operation that is not known.
    pub fn new(program: &Program, blobs: &[(String, Vec<u8>)], numerics: Numerics) -> Result<Executable, RunError> {
        Executable::with_validation(program, blobs, numerics, Validation::Strict)
    }

    /// As [`Executable::new`], with a say in how exact records of weight files must be.
    ///
    /// # Errors
    /// As [`Executable::new`].
    pub fn with_validation(
        program: &Program,
        blobs: &[(String, Vec<u8>)],
        numerics: Numerics,
        validation: Validation,
    ) -> Result<Executable, RunError> {
        let plans = match numerics.precision {
            Precision::Single => Plans::Single(plan::all(program, blobs, &numerics, validation)?),
            Precision::Double => Plans::Double(plan::all(program, blobs, &numerics, validation)?),
        };
        Ok(Executable { plans, numerics })
    }

    /// Runs `function` on `inputs`, in the order in which it declares them; gives its outputs in the order in which it
    /// returns them. The oracle's results are rounded to `f32`.
    ///
    /// # Errors
    /// When the function does not exist, inputs are not what it takes, or an operation fails.
    pub fn run(&self, function: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        match &self.plans {
            Plans::Single(plans) => plan::named(plans, function)?.run(inputs, &self.numerics),
            Plans::Double(_) => Ok(self.run_wide(function, inputs)?.iter().map(Tensor::convert).collect()),
        }
    }

    /// As [`Executable::run`], for inputs whose elements are numbers of their types already, as those read from bytes: they
    /// are neither rounded nor copied.
    ///
    /// # Errors
    /// As [`Executable::run`].
    pub fn run_rounded(&self, function: &str, inputs: &[Tensor]) -> Result<Vec<Tensor>, RunError> {
        match &self.plans {
            Plans::Single(plans) => plan::named(plans, function)?.run_rounded(inputs, &self.numerics),
            Plans::Double(_) => self.run(function, inputs),
        }
    }

    /// As [`Executable::run`], with results in `f64`: those of the oracle as they are, others widened.
    ///
    /// # Errors
    /// As [`Executable::run`].
    pub fn run_wide(&self, function: &str, inputs: &[Tensor]) -> Result<Vec<Tensor<f64>>, RunError> {
        match &self.plans {
            Plans::Single(_) => Ok(self.run(function, inputs)?.iter().map(Tensor::convert).collect()),
            Plans::Double(plans) => {
                let inputs: Vec<Tensor<f64>> = inputs.iter().map(Tensor::convert).collect();
                plan::named(plans, function)?.run(&inputs, &self.numerics)
            }
        }
    }

    /// Names and types of the inputs of `function`.
    ///
    /// # Errors
    /// When the function does not exist.
    pub fn inputs(&self, function: &str) -> Result<&[Binding], RunError> {
        match &self.plans {
            Plans::Single(plans) => Ok(&plan::named(plans, function)?.inputs),
            Plans::Double(plans) => Ok(&plan::named(plans, function)?.inputs),
        }
    }

    /// The profile that it runs in.
    pub fn numerics(&self) -> &Numerics {
        &self.numerics
    }
}

/// The function that carries out the operation `op`.
fn kernel<F: crate::tensor::Real>(op: &str) -> Option<Kernel<F>> {
    elementwise::kernel(op)
        .or_else(|| movement::kernel(op))
        .or_else(|| slice::kernel(op))
        .or_else(|| reduce::kernel(op))
        .or_else(|| matmul::kernel(op))
        .or_else(|| windows::kernel(op))
        .or_else(|| normalise::kernel(op))
        .or_else(|| pool::kernel(op))
        .or_else(|| order::kernel(op))
        .or_else(|| parts::kernel(op))
        .or_else(|| space::kernel(op))
        .or_else(|| quantise::kernel(op))
}

#[cfg(test)]
mod tests;
