//! MIL, the language that Apple's compilers of the Neural Engine read: a syntax tree with builder, printer, parser, checker
//! and interpreter as siblings around it. It knows nothing of transformers or of macOS.

pub mod blob;
mod builder;
mod check;
mod chip;
mod interpreter;
mod numerics;
pub mod ops;
mod parser;
mod printer;
mod program;
pub mod rules;
mod tensor;

pub use builder::{BuildError, Builder, Operand, Var};
pub use check::{CheckError, Checked, check};
pub use chip::Chip;
pub use interpreter::{Executable, RunError};
pub use numerics::{MatMul, Numerics, Precision, Product, round_bf16, round_fp16};
pub use parser::{ParseError, parse};
pub use program::{Argument, Binding, DType, Dialect, Elements, Function, Literal, Program, Span, Statement, Type};
pub use tensor::{Data, Real, SizeError, Tensor};
