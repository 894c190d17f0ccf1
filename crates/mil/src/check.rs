//! Whether a program means something: names, single assignment, literals, and the types and shapes of every operation by the
//! table of operations. Limits of the engine are not looked at; they are the numbered rules.

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use crate::ops::{self, Call, Given, Operation, Opset, Value, shortened};
use crate::{Argument, Binding, DType, Elements, Function, Literal, Program, Span, Statement, Type};

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{span}: {message}")]
pub struct CheckError {
    /// The statement, or the function where an input or output is at fault; 0:0 for the program as a whole.
    pub span: Span,
    /// What was found, what was expected, what to do.
    pub message: String,
}

/// A program that passed.
#[derive(Clone, Copy, Debug)]
pub struct Checked<'p> {
    program: &'p Program,
}

impl<'p> Checked<'p> {
    /// The program. Types of its statements are those that the operations give.
    pub fn program(&self) -> &'p Program {
        self.program
    }
}

/// Largest number of elements of a tensor.
const ELEMENTS: usize = 1 << 40;
/// Largest rank.
pub(crate) const RANK: usize = 8;

/// Checks every function of `program`.
pub fn check(program: &Program) -> Result<Checked<'_>, CheckError> {
    if program.functions.is_empty() {
        return Err(CheckError { span: Span::default(), message: "the program has no function".into() });
    }
    let mut names = HashSet::new();
    for function in &program.functions {
        let once = || format!("two functions are called `{}`", shortened(&function.name));
        let first = names.insert(function.name.as_str());
        first.then_some(()).ok_or_else(once).and_then(|()| identifier(&function.name)).map_err(at(function.span))?;
        check_function(function)?;
    }
    Ok(Checked { program })
}

fn at(span: Span) -> impl Fn(String) -> CheckError {
    move |message| CheckError { span, message }
}

fn check_function(function: &Function) -> Result<(), CheckError> {
    let here = at(function.span);
    let opset = Opset::of_name(&function.opset).ok_or_else(|| {
        let known = Opset::ALL.map(Opset::name).join(", ");
        here(format!("`{}` is no set of operations: they are {known}", shortened(&function.opset)))
    })?;
    let mut scope = Scope { opset, values: HashMap::with_capacity(function.inputs.len() + function.body.len()) };
    for Binding { name, ty } in &function.inputs {
        let input = Value { ty, literal: None, constant: false };
        positive(ty).and_then(|()| scope.define(name, input)).map_err(|e| here(format!("input `{}`: {e}", shortened(name))))?;
    }
    for statement in &function.body {
        scope.statement(statement).map_err(at(statement.span))?;
    }
    if function.outputs.is_empty() {
        return Err(here(format!("function `{}` returns nothing", shortened(&function.name))));
    }
    let mut returned = HashSet::new();
    for name in &function.outputs {
        scope.value(name).and_then(|v| positive(v.ty)).map_err(|e| here(format!("output `{}`: {e}", shortened(name))))?;
        if !returned.insert(name) {
            return Err(here(format!("`{}` is returned twice; return an `identity` of it", shortened(name))));
        }
    }
    Ok(())
}

/// Values defined so far.
struct Scope<'p> {
    opset: Opset,
    values: HashMap<&'p str, Value<'p>>,
}

impl<'p> Scope<'p> {
    fn value(&self, name: &str) -> Result<Value<'p>, String> {
        self.values.get(name).copied().ok_or_else(|| {
            let hint = ops::nearest(name, self.values.keys().copied());
            format!("no value is called `{}` here{hint}", shortened(name))
        })
    }

    fn define(&mut self, name: &'p str, value: Value<'p>) -> Result<(), String> {
        identifier(name)?;
        sized(value.ty)?;
        match self.values.insert(name, value) {
            Some(_) => Err(format!("`{}` is assigned twice: a name stands for one value", shortened(name))),
            None => Ok(()),
        }
    }

    fn statement(&mut self, statement: &'p Statement) -> Result<(), String> {
        let operation = ops::find(&statement.op).ok_or_else(|| ops::unknown(&statement.op))?;
        let named = |e: String| format!("`{}`: {e}", operation.name);
        if operation.since > self.opset {
            return Err(named(format!("exists from {} on; the function is written for {}", operation.since, self.opset)));
        }
        let arguments = self.arguments(operation, statement).map_err(named)?;
        let constant = arguments.iter().all(|(_, g)| match g {
            Given::One(value) => value.constant,
            Given::Many(values) => values.iter().all(|v| v.constant),
        });
        let types = Call::new(operation, arguments).and_then(|call| call.infer()).map_err(named)?;
        self.results(statement, types, constant).map_err(named)
    }

    fn arguments(&self, operation: &Operation, statement: &'p Statement) -> Result<Vec<(&'p str, Given<'p>)>, String> {
        let mut given = Vec::with_capacity(statement.arguments.len() + statement.attributes.len());
        for (name, argument) in &statement.arguments {
            let value = match argument {
                Argument::Name(value) => Given::One(self.value(value)?),
                Argument::Names(values) => Given::Many(values.iter().map(|v| self.value(v)).collect::<Result<_, _>>()?),
                Argument::Literal(literal) => Given::One(literal_value(name, literal)?),
            };
            given.push((name.as_str(), value));
        }
        for (name, literal) in &statement.attributes {
            let value = literal_value(name, literal)?;
            if name != "name" && operation.is_constant() {
                given.push((name.as_str(), Given::One(value)));
            } else if name != "name" || literal.ty != Type::scalar(DType::String) {
                return Err(attribute(operation, name));
            }
        }
        Ok(given)
    }

    fn results(&mut self, statement: &'p Statement, types: Vec<Type>, constant: bool) -> Result<(), String> {
        if types.len() != statement.results.len() {
            return Err(format!("it has {} results; {} are named", types.len(), statement.results.len()));
        }
        let literal = if statement.op == "const" { statement.attribute("val") } else { None };
        for (Binding { name, ty }, inferred) in statement.results.iter().zip(&types) {
            if ty != inferred {
                return Err(format!("its result is {inferred}; `{}` is declared {ty}", shortened(name)));
            }
            if literal.is_none() && ty.shape.contains(&0) {
                return Err(format!("its result {ty} has no elements"));
            }
            self.define(name, Value { ty, literal, constant })?;
        }
        Ok(())
    }
}

fn literal_value<'p>(name: &str, literal: &'p Literal) -> Result<Value<'p>, String> {
    check_literal(literal).map_err(|e| format!("`{}`: {e}", shortened(name)))?;
    Ok(Value::literal(literal))
}

fn attribute(operation: &Operation, name: &str) -> String {
    match operation.parameter(name) {
        Some(_) => format!("`{name}` is an argument: it belongs between the parentheses"),
        None if name == "name" => "the attribute `name` is a text".into(),
        None => format!("no attribute is called `{}`; it has `name`", shortened(name)),
    }
}

/// Words that stand for something else wherever a value may be named.
const RESERVED: [&str; 8] = ["program", "func", "tensor", "state", "dict", "true", "false", "BLOBFILE"];

/// Whether `name` is a letter or underscore, then letters, digits and underscores, and no word of the language.
pub(crate) fn identifier(name: &str) -> Result<(), String> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(letters) {
        return Err(format!("`{}` is no name: a letter or `_`, then letters, digits and `_`", shortened(name)));
    }
    if RESERVED.contains(&name) || DType::of_name(name).is_some() {
        return Err(format!("`{name}` is a word of the language and cannot name a value"));
    }
    Ok(())
}

fn sized(ty: &Type) -> Result<(), String> {
    if ty.shape.len() > RANK {
        return Err(format!("a tensor has at most {RANK} axes; this has {}", ty.shape.len()));
    }
    match ty.elements() {
        Some(n) if n <= ELEMENTS => Ok(()),
        _ => Err(format!("{ty} has more than 2^40 elements")),
    }
}

fn positive(ty: &Type) -> Result<(), String> {
    match (ty.dtype, ty.shape.contains(&0)) {
        (DType::String, _) => Err("texts are constants: an input or output is a tensor of numbers".into()),
        (_, true) => Err(format!("{ty} has no elements")),
        _ => Ok(()),
    }
}

/// Whether the elements of `literal` are those that its type says.
pub(crate) fn check_literal(literal: &Literal) -> Result<(), String> {
    let ty = &literal.ty;
    sized(ty)?;
    let (found, fits) = match &literal.elements {
        Elements::Floats(v) => {
            if let Some(odd) = v.iter().find(|v| !v.is_finite()) {
                return Err(format!("{odd} cannot be written in the language"));
            }
            (v.len(), ty.dtype.is_float())
        }
        Elements::Ints(v) => {
            if let Some(n) = range(ty.dtype).and_then(|(low, high)| v.iter().find(|n| !(low..=high).contains(*n))) {
                return Err(format!("{n} does not fit {}", ty.dtype));
            }
            (v.len(), range(ty.dtype).is_some())
        }
        Elements::Bools(v) => (v.len(), ty.dtype == DType::Bool),
        Elements::Strings(v) => (v.len(), ty.dtype == DType::String),
        Elements::Blob { .. } if ty.dtype == DType::String || ty.shape.contains(&0) => {
            return Err(format!("{ty} cannot lie in a weight file"));
        }
        Elements::Blob { .. } => return Ok(()),
    };
    if !fits {
        return Err(format!("these are no elements of {ty}"));
    }
    match ty.elements() {
        Some(n) if n == found => Ok(()),
        _ => Err(format!("{ty} does not have {found} elements")),
    }
}

/// Smallest and largest value of an integer type, as far as literals go.
fn range(dtype: DType) -> Option<(i64, i64)> {
    Some(match dtype {
        DType::Int4 => (-8, 7),
        DType::Uint4 => (0, 15),
        DType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DType::Uint8 => (0, u8::MAX.into()),
        DType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DType::Uint16 => (0, u16::MAX.into()),
        DType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DType::Uint32 => (0, u32::MAX.into()),
        DType::Int64 => (i64::MIN, i64::MAX),
        DType::Uint64 => (0, i64::MAX),
        DType::Fp16 | DType::Fp32 | DType::Bf16 | DType::Bool | DType::String => return None,
    })
}
