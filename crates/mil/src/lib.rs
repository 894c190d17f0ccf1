//! MIL, the language that Apple's compilers of the Neural Engine read: a syntax tree with builder, printer, parser, checker
//! and interpreter as siblings around it. It knows nothing of transformers or of macOS.

mod builder;
mod check;
mod chip;
pub mod ops;
mod parser;
mod printer;
mod program;
pub mod rules;

pub use builder::{BuildError, Builder, Operand, Var};
pub use check::{CheckError, Checked, check};
pub use chip::Chip;
pub use parser::{ParseError, parse};
pub use program::{Argument, Binding, DType, Dialect, Elements, Function, Literal, Program, Span, Statement, Type};
