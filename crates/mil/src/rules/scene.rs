//! What rules ask about a function: types, definitions, uses and constants by name.

use std::collections::HashMap;

use crate::{Argument, Binding, Elements, Function, Literal, Program, Span, Statement, Type};

use super::Target;

/// What a rule found.
#[derive(Default)]
pub(super) struct Findings(pub Vec<(Span, String)>);

impl Findings {
    pub(super) fn add(&mut self, span: Span, message: impl Into<String>) {
        self.0.push((span, message.into()));
    }
}

/// A function with what is known of its values.
pub(super) struct Scene<'a> {
    pub program: &'a Program,
    pub function: &'a Function,
    pub blobs: &'a [(String, Vec<u8>)],
    pub target: &'a Target,
    types: HashMap<&'a str, &'a Type>,
    definitions: HashMap<&'a str, &'a Statement>,
    users: HashMap<&'a str, Vec<&'a Statement>>,
    constant: HashMap<&'a str, bool>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        program: &'a Program,
        function: &'a Function,
        blobs: &'a [(String, Vec<u8>)],
        target: &'a Target,
    ) -> Scene<'a> {
        let (types, definitions) = (HashMap::new(), HashMap::new());
        let (users, constant) = (HashMap::new(), HashMap::new());
        let mut scene = Scene { program, function, blobs, target, types, definitions, users, constant };
        scene.types.extend(function.inputs.iter().map(|b| (b.name.as_str(), &b.ty)));
        for statement in &function.body {
            scene.enter(statement);
        }
        scene
    }

    fn enter(&mut self, statement: &'a Statement) {
        let constant = is_const(statement) || names(statement).all(|n| self.is_constant(n));
        for name in names(statement) {
            self.users.entry(name).or_default().push(statement);
        }
        for Binding { name, ty } in &statement.results {
            self.types.insert(name, ty);
            self.definitions.insert(name, statement);
            self.constant.insert(name, constant);
        }
    }

    pub(super) fn ty(&self, name: &str) -> Option<&'a Type> {
        self.types.get(name).copied()
    }

    pub(super) fn definition(&self, name: &str) -> Option<&'a Statement> {
        self.definitions.get(name).copied()
    }

    /// Statements that read `name`; twice where one reads it twice.
    pub(super) fn users(&self, name: &str) -> &[&'a Statement] {
        self.users.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether the value is known when the program is compiled: a constant, or computed from constants alone.
    pub(super) fn is_constant(&self, name: &str) -> bool {
        self.constant.get(name).copied().unwrap_or(false)
    }

    /// Statements that compute something at run time.
    pub(super) fn computing(&self) -> impl Iterator<Item = &'a Statement> {
        self.function.body.iter().filter(|s| s.results.iter().any(|r| !self.is_constant(&r.name)))
    }

    /// Statements of operation `op`.
    pub(super) fn of_op(&self, op: &'static str) -> impl Iterator<Item = &'a Statement> {
        self.function.body.iter().filter(move |s| s.op == op)
    }

    /// The name given for parameter `parameter`.
    pub(super) fn operand(&self, statement: &'a Statement, parameter: &str) -> Option<&'a str> {
        match statement.argument(parameter)? {
            Argument::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Type of what is given for `parameter`.
    pub(super) fn operand_type(&self, statement: &'a Statement, parameter: &str) -> Option<&'a Type> {
        match statement.argument(parameter)? {
            Argument::Name(name) => self.ty(name),
            Argument::Literal(literal) => Some(&literal.ty),
            Argument::Names(_) => None,
        }
    }

    /// The constant given for `parameter`, in place or by name.
    pub(super) fn literal(&self, statement: &'a Statement, parameter: &str) -> Option<&'a Literal> {
        match statement.argument(parameter)? {
            Argument::Literal(literal) => Some(literal),
            Argument::Name(name) => self.definition(name).filter(|d| d.op == "const")?.attribute("val"),
            Argument::Names(_) => None,
        }
    }

    pub(super) fn ints(&self, statement: &'a Statement, parameter: &str) -> Option<&'a [i64]> {
        match &self.literal(statement, parameter)?.elements {
            Elements::Ints(values) => Some(values),
            _ => None,
        }
    }

    pub(super) fn flag(&self, statement: &'a Statement, parameter: &str) -> bool {
        let literal = self.literal(statement, parameter).map(|l| &l.elements);
        matches!(literal, Some(Elements::Bools(values)) if values.first() == Some(&true))
    }

    /// Inputs and outputs of the function with their types.
    pub(super) fn ports(&self) -> impl Iterator<Item = (&'a str, &'a Type)> {
        let inputs = self.function.inputs.iter().map(|b| (b.name.as_str(), &b.ty));
        inputs.chain(self.outputs())
    }

    pub(super) fn outputs(&self) -> impl Iterator<Item = (&'a str, &'a Type)> {
        self.function.outputs.iter().filter_map(|name| Some((name.as_str(), self.ty(name)?)))
    }

    /// Where a value is defined: the function's place for its inputs.
    pub(super) fn span(&self, name: &str) -> Span {
        self.definition(name).map_or(self.function.span, |s| s.span)
    }
}

/// Names that the arguments of a statement read.
pub(super) fn names(statement: &Statement) -> impl Iterator<Item = &str> {
    statement
        .arguments
        .iter()
        .flat_map(|(_, argument)| match argument {
            Argument::Name(name) => std::slice::from_ref(name),
            Argument::Names(names) => names.as_slice(),
            Argument::Literal(_) => &[],
        })
        .map(String::as_str)
}

pub(super) fn is_const(statement: &Statement) -> bool {
    statement.op == "const" || statement.op.starts_with("constexpr_")
}

/// Name of the first result.
pub(super) fn result(statement: &Statement) -> &str {
    statement.results.first().map_or("", |r| r.name.as_str())
}
