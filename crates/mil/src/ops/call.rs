//! [`Call`]: an operation with what is given for its parameters, sorted and checked for kind.

use super::{Fallback, Inferred, Kind, Need, Operation, Parameter, nearest, shortened};
use crate::{DType, Elements, Literal, Type};

/// A value as far as it is known before the program runs.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// Its type.
    pub ty: &'a Type,
    /// Its elements, where it is a `const`.
    pub literal: Option<&'a Literal>,
    /// Whether it depends on no input of the function.
    pub constant: bool,
}

impl<'a> Value<'a> {
    /// A constant in place.
    pub fn literal(literal: &'a Literal) -> Value<'a> {
        Value { ty: &literal.ty, literal: Some(literal), constant: true }
    }
}

/// What is given for a parameter.
#[derive(Clone, Debug)]
pub enum Given<'a> {
    /// One value.
    One(Value<'a>),
    /// Several: `(a, b)`.
    Many(Vec<Value<'a>>),
}

/// An operation and its arguments.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    operation: &'static Operation,
    given: Vec<Option<Given<'a>>>,
}

impl<'a> Call<'a> {
    /// `operation` with `arguments`; an error says which parameter is unknown, given twice, missing or of the wrong kind.
    pub fn new(operation: &'static Operation, arguments: Vec<(&str, Given<'a>)>) -> Result<Call<'a>, String> {
        let mut given: Vec<Option<Given<'a>>> = operation.parameters.iter().map(|_| None).collect();
        for (name, argument) in arguments {
            let place = operation.parameters.iter().position(|p| p.name == name).ok_or_else(|| stray(operation, name))?;
            suits(&operation.parameters[place], &argument)?;
            if given[place].replace(argument).is_some() {
                return Err(format!("`{name}` is given twice"));
            }
        }
        let missing = operation.parameters.iter().zip(&given).find(|(p, g)| p.need == Need::Required && g.is_none());
        match missing {
            Some((p, _)) => Err(format!("`{}` is missing: it takes {}", p.name, takes(p.kind))),
            None => Ok(Call { operation, given }),
        }
    }

    /// Types of the results.
    pub fn infer(&self) -> Inferred {
        (self.operation.infer)(self)
    }

    fn given(&self, name: &str) -> Option<&Given<'a>> {
        let place = self.operation.parameters.iter().position(|p| p.name == name)?;
        self.given.get(place)?.as_ref()
    }

    /// The one value given for `name`.
    pub fn value(&self, name: &str) -> Option<Value<'a>> {
        match self.given(name)? {
            Given::One(value) => Some(*value),
            Given::Many(_) => None,
        }
    }

    /// The values given for `name`.
    pub fn values(&self, name: &str) -> &[Value<'a>] {
        match self.given(name) {
            Some(Given::Many(values)) => values,
            Some(Given::One(value)) => std::slice::from_ref(value),
            None => &[],
        }
    }

    /// Type of what is given for `name`.
    pub fn ty(&self, name: &str) -> Result<&'a Type, String> {
        self.value(name).map(|v| v.ty).ok_or_else(|| format!("`{name}` is missing"))
    }

    /// Names and types of the floating-point constants that are given.
    pub fn numbers(&self) -> impl Iterator<Item = (&'static str, &'a Type)> {
        let floats = self.operation.parameters.iter().filter(|p| p.kind == Kind::Float);
        floats.filter_map(|p| Some((p.name, self.value(p.name)?.ty)))
    }

    fn elements(&self, name: &str) -> Option<&'a Elements> {
        Some(&self.value(name)?.literal?.elements)
    }

    fn default(&self, name: &str) -> Option<Fallback> {
        match self.operation.parameter(name)?.need {
            Need::Or(default) => Some(default),
            Need::Required | Need::Optional => None,
        }
    }

    /// The integers given for `name`.
    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        match self.elements(name)? {
            Elements::Ints(values) => Some(values),
            _ => None,
        }
    }

    /// The truth values given for `name`.
    pub fn flags(&self, name: &str) -> Option<&'a [bool]> {
        match self.elements(name)? {
            Elements::Bools(values) => Some(values),
            _ => None,
        }
    }

    /// The integer given for `name`, or its default.
    pub fn int(&self, name: &str) -> Option<i64> {
        match (self.ints(name), self.default(name)) {
            (Some(values), _) => values.first().copied(),
            (None, Some(Fallback::Int(value))) => Some(value),
            _ => None,
        }
    }

    /// The truth value given for `name`, or its default; false where there is neither.
    pub fn flag(&self, name: &str) -> bool {
        match (self.flags(name), self.default(name)) {
            (Some(values), _) => values.first() == Some(&true),
            (None, default) => default == Some(Fallback::Bool(true)),
        }
    }

    /// The text given for `name`, or its default; empty where there is neither.
    pub fn text(&self, name: &str) -> &'a str {
        match (self.elements(name), self.default(name)) {
            (Some(Elements::Strings(values)), _) => values.first().map_or("", String::as_str),
            (None, Some(Fallback::Text(value))) => value,
            _ => "",
        }
    }

    /// The number given for `name`, or its default.
    pub fn float(&self, name: &str) -> Option<f64> {
        match (self.elements(name), self.default(name)) {
            (Some(Elements::Floats(values)), _) => values.first().copied(),
            (None, Some(Fallback::Float(value))) => Some(value),
            _ => None,
        }
    }
}

fn stray(operation: &Operation, name: &str) -> String {
    let hint = match nearest(name, operation.parameters.iter().map(|p| p.name)) {
        hint if !hint.is_empty() => hint,
        _ if operation.parameters.len() > 12 => String::new(),
        _ => format!("; it has {}", operation.parameters.iter().map(|p| format!("`{}`", p.name)).collect::<Vec<_>>().join(", ")),
    };
    format!("no parameter is called `{}`{hint}", shortened(name))
}

fn takes(kind: Kind) -> &'static str {
    match kind {
        Kind::Tensor => "a tensor",
        Kind::Tensors => "several tensors, `(a, b)`",
        Kind::Literal => "a constant",
        Kind::Constant => "a constant tensor",
        Kind::Int => "a constant integer, `int32(1)`",
        Kind::Ints => "a constant vector of integers, `tensor<int32, [2]>([0, 1])`",
        Kind::Bool => "a constant truth value, `bool(true)`",
        Kind::Bools => "a constant vector of truth values",
        Kind::Text => "a constant text, `string(\"valid\")`",
        Kind::Float => "a constant floating-point number, `fp16(0.5)`",
    }
}

/// Whether `argument` is of the kind that `parameter` takes.
fn suits(parameter: &Parameter, argument: &Given<'_>) -> Result<(), String> {
    let found = match argument {
        Given::Many(_) if parameter.kind == Kind::Tensors => return Ok(()),
        Given::Many(_) => "several values".to_owned(),
        Given::One(value) if fits(parameter.kind, value) => return Ok(()),
        Given::One(value) => match (value.constant, value.literal) {
            (false, _) => format!("a value of type {} that is known only when the program runs", value.ty),
            (true, None) => format!("a computed value of type {}", value.ty),
            (true, Some(Literal { elements: Elements::Blob { .. }, .. })) => format!("{} in a weight file", value.ty),
            (true, Some(_)) => format!("a constant of type {}", value.ty),
        },
    };
    Err(format!("`{}` takes {}; found {found}", parameter.name, takes(parameter.kind)))
}

fn fits(kind: Kind, value: &Value<'_>) -> bool {
    let rank = value.ty.shape.len();
    let elements = value.literal.map(|l| &l.elements);
    match kind {
        // a tuple of one value may be written without parentheses
        Kind::Tensor | Kind::Tensors => value.ty.dtype != DType::String,
        Kind::Literal => value.literal.is_some(),
        Kind::Constant => value.constant && value.ty.dtype != DType::String,
        Kind::Int => rank == 0 && matches!(elements, Some(Elements::Ints(_))),
        Kind::Ints => rank == 1 && matches!(elements, Some(Elements::Ints(_))),
        Kind::Bool => rank == 0 && matches!(elements, Some(Elements::Bools(_))),
        Kind::Bools => rank == 1 && matches!(elements, Some(Elements::Bools(_))),
        Kind::Text => rank == 0 && matches!(elements, Some(Elements::Strings(_))),
        Kind::Float => rank == 0 && matches!(elements, Some(Elements::Floats(_))),
    }
}
