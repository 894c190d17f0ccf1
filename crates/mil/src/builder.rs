//! [`Builder`]: a program written call by call.
//!
//! Methods take and give [`Var`]s and have no `Result`: the first error is kept, everything after it does nothing, and
//! [`Builder::finish`] returns it. Flags, axes, pads and shapes become named constants, since the compiler refuses them in
//! place; equal constants are made once. Names are unique, have two characters or more, and are no names of operations:
//! on the oldest chips other names gave zeros without a word.

mod names;
mod operations;

use std::collections::{HashMap, HashSet};

use thiserror::Error;

use crate::check::check_literal;
use crate::ops::{self, Call, Given, Opset, Value};
use crate::printer::Written;
use crate::{Argument, Binding, DType, Dialect, Elements, Function, Literal, Program, Span, Statement, Type};

/// A value of the program being built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var(usize);

/// The first mistake made in building.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{subject}`: {message}")]
pub struct BuildError {
    /// Operation or name at fault.
    pub subject: String,
    /// What is wrong with it.
    pub message: String,
}

/// What an operation is given.
#[derive(Clone, Debug)]
pub enum Operand<'a> {
    /// A value.
    One(Var),
    /// Several, as `concat` takes them.
    Many(&'a [Var]),
    /// A constant, which gets a name.
    Constant(Literal),
}

impl From<Var> for Operand<'_> {
    fn from(var: Var) -> Self {
        Operand::One(var)
    }
}

impl<'a> From<&'a [Var]> for Operand<'a> {
    fn from(vars: &'a [Var]) -> Self {
        Operand::Many(vars)
    }
}

impl From<Literal> for Operand<'_> {
    fn from(literal: Literal) -> Self {
        Operand::Constant(literal)
    }
}

/// A value: its name may change until the end.
#[derive(Clone, Debug)]
struct Node {
    name: String,
    ty: Type,
    literal: Option<Literal>,
    constant: bool,
}

#[derive(Clone, Debug)]
enum Use {
    One(usize),
    Many(Vec<usize>),
}

#[derive(Clone, Debug)]
struct Step {
    op: &'static str,
    results: Vec<usize>,
    arguments: Vec<(String, Use)>,
    attributes: Vec<(String, Literal)>,
}

/// A program with one function, `main`, being built.
#[derive(Clone, Debug)]
pub struct Builder {
    dialect: Dialect,
    nodes: Vec<Node>,
    inputs: Vec<usize>,
    steps: Vec<Step>,
    /// By their text.
    constants: HashMap<String, Var>,
    taken: HashSet<String>,
    error: Option<BuildError>,
}

/// What stands for a value that an error kept from being made: the first node.
const NOTHING: Var = Var(0);

impl Builder {
    /// An empty program.
    pub fn new(dialect: Dialect) -> Builder {
        let nothing = Node { name: String::new(), ty: Type::new(DType::Fp16, &[1; 4]), literal: None, constant: false };
        Builder {
            dialect,
            nodes: vec![nothing],
            inputs: Vec::new(),
            steps: Vec::new(),
            constants: HashMap::new(),
            taken: HashSet::new(),
            error: None,
        }
    }

    /// An input of the function.
    pub fn input(&mut self, name: &str, ty: &Type) -> Var {
        if ty.shape.contains(&0) || ty.elements().is_none() {
            return self.fail(name, format!("no input can be {ty}"));
        }
        let Some(name) = self.claim(name) else { return NOTHING };
        let var = self.node(Node { name, ty: ty.clone(), literal: None, constant: false });
        self.inputs.push(var.0);
        var
    }

    /// Type of a value; `[1, 1, 1, 1]` of fp16 where an error kept it from being made.
    pub fn ty(&self, var: Var) -> &Type {
        &self.nodes.get(var.0).unwrap_or(&self.nodes[0]).ty
    }

    /// The error so far.
    pub fn error(&self) -> Option<&BuildError> {
        self.error.as_ref()
    }

    /// Gives `var` another name.
    pub fn name(&mut self, var: Var, name: &str) -> Var {
        match self.nodes.get(var.0) {
            None => return self.fail(name, "it is to name a value of another program".into()),
            Some(node) if self.error.is_some() || node.name == name => return var,
            Some(_) => {}
        }
        if let Some(new) = self.claim(name) {
            let old = std::mem::replace(&mut self.nodes[var.0].name, new);
            self.taken.remove(&old);
        }
        var
    }

    /// A constant called `name`, or the equal one that exists.
    pub fn constant(&mut self, name: &str, literal: Literal) -> Var {
        self.constant_named(literal, |b| b.claim(name))
    }

    /// A constant whose elements lie in a weight file: `path` in the program, `offset` of the record.
    pub fn blob(&mut self, name: &str, ty: &Type, path: &str, offset: u64) -> Var {
        self.constant(name, Literal::blob(ty.clone(), path, offset))
    }

    /// A constant that is named for its kind.
    pub fn literal(&mut self, literal: Literal) -> Var {
        let kind = match &literal.elements {
            Elements::Floats(_) if literal.ty.shape.is_empty() => "number",
            Elements::Floats(_) => "numbers",
            Elements::Ints(_) if literal.ty.shape.is_empty() => "integer",
            Elements::Ints(_) => "integers",
            Elements::Bools(_) => "flag",
            Elements::Strings(_) => "text",
            Elements::Blob { .. } => "weights",
        };
        self.constant_named(literal, |b| Some(b.fresh(kind)))
    }

    fn constant_named(&mut self, literal: Literal, name: impl FnOnce(&mut Builder) -> Option<String>) -> Var {
        if self.error.is_some() {
            return NOTHING;
        }
        if let Err(e) = check_literal(&literal) {
            return self.fail("const", e);
        }
        let text = Written(self.dialect, &literal).to_string();
        if let Some(var) = self.constants.get(&text) {
            return *var;
        }
        let Some(name) = name(self) else { return NOTHING };
        let node = Node { name, ty: literal.ty.clone(), literal: Some(literal.clone()), constant: true };
        let var = self.node(node);
        let attributes = vec![("val".to_owned(), literal)];
        self.steps.push(Step { op: "const", results: vec![var.0], arguments: Vec::new(), attributes });
        self.constants.insert(text, var);
        var
    }

    /// Operation `op` with one result.
    pub fn op(&mut self, op: &str, arguments: &[(&str, Operand<'_>)]) -> Var {
        let results = self.op_many(op, arguments);
        match results[..] {
            [one] => one,
            _ => self.fail(op, format!("it has {} results", results.len())),
        }
    }

    /// Operation `op` with any number of results; one that stands for nothing after an error.
    pub fn op_many(&mut self, op: &str, arguments: &[(&str, Operand<'_>)]) -> Vec<Var> {
        let mut uses = Vec::with_capacity(arguments.len());
        for (name, operand) in arguments {
            let used = match operand {
                Operand::One(var) => Use::One(var.0),
                Operand::Many(vars) => Use::Many(vars.iter().map(|v| v.0).collect()),
                Operand::Constant(literal) => Use::One(self.literal(literal.clone()).0),
            };
            uses.push(((*name).to_owned(), used));
        }
        let foreign = |used: &Use| match used {
            Use::One(i) => *i >= self.nodes.len(),
            Use::Many(all) => all.iter().any(|&i| i >= self.nodes.len()),
        };
        if uses.iter().any(|(_, used)| foreign(used)) {
            self.fail(op, "it is given a value of another program".into());
        }
        if self.error.is_some() {
            return vec![NOTHING];
        }
        match self.types(op, &uses) {
            Ok((op, types, constant)) => self.push(op, uses, Vec::new(), types, constant),
            Err(e) => vec![self.fail(op, e)],
        }
    }

    /// The row of `op`, and what `uses` give with it.
    fn types(&self, op: &str, uses: &[(String, Use)]) -> Result<(&'static str, Vec<Type>, bool), String> {
        let operation = ops::find(op).ok_or_else(|| ops::unknown(op))?;
        if operation.is_constant() {
            return Err("its parameters are attributes: it has a method of its own".into());
        }
        let opset = opset(self.dialect);
        if operation.since > opset {
            return Err(format!("exists from {} on; the program is written for {opset}", operation.since));
        }
        let given = uses.iter().map(|(name, used)| (name.as_str(), self.given(used))).collect();
        let constant = uses.iter().all(|(_, used)| match used {
            Use::One(i) => self.nodes[*i].constant,
            Use::Many(all) => all.iter().all(|i| self.nodes[*i].constant),
        });
        let types = Call::new(operation, given)?.infer()?;
        Ok((operation.name, types, constant))
    }

    fn given(&self, used: &Use) -> Given<'_> {
        let value = |i: usize| {
            let node = &self.nodes[i];
            Value { ty: &node.ty, literal: node.literal.as_ref(), constant: node.constant }
        };
        match used {
            Use::One(i) => Given::One(value(*i)),
            Use::Many(all) => Given::Many(all.iter().map(|&i| value(i)).collect()),
        }
    }

    fn push(
        &mut self,
        op: &'static str,
        arguments: Vec<(String, Use)>,
        attributes: Vec<(String, Literal)>,
        types: Vec<Type>,
        constant: bool,
    ) -> Vec<Var> {
        let mut vars = Vec::with_capacity(types.len());
        for ty in types {
            let name = self.fresh(op);
            vars.push(self.node(Node { name, ty, literal: None, constant }));
        }
        self.steps.push(Step { op, results: vars.iter().map(|v| v.0).collect(), arguments, attributes });
        vars
    }

    /// The program that returns `outputs`, each under the name beside it. The first error of any call before, or of the names.
    pub fn finish(mut self, outputs: &[(Var, &str)]) -> Result<Program, BuildError> {
        if outputs.is_empty() {
            self.fail("main", "it returns nothing".into());
        }
        let mut returned = Vec::with_capacity(outputs.len());
        for &(var, name) in outputs {
            // an input keeps its name, and so does what was returned under another
            let keeps = self.inputs.contains(&var.0) || returned.contains(&var.0);
            let var = if keeps { self.op("identity", &[("x", var.into())]) } else { var };
            returned.push(self.name(var, name).0);
        }
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(self.program(&returned)),
        }
    }

    fn program(&self, outputs: &[usize]) -> Program {
        let binding = |&i: &usize| Binding { name: self.nodes[i].name.clone(), ty: self.nodes[i].ty.clone() };
        let function = Function {
            name: "main".into(),
            opset: opset(self.dialect).name().into(),
            inputs: self.inputs.iter().map(binding).collect(),
            body: self.steps.iter().map(|step| self.statement(step)).collect(),
            outputs: outputs.iter().map(|&i| self.nodes[i].name.clone()).collect(),
            span: Span::default(),
        };
        let (version, build_info) = preamble(self.dialect);
        let build_info = build_info.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        Program { dialect: self.dialect, version: version.into(), build_info, functions: vec![function] }
    }

    fn statement(&self, step: &Step) -> Statement {
        let name = |&i: &usize| self.nodes[i].name.clone();
        let argument = |used: &Use| match used {
            Use::One(i) => Argument::Name(name(i)),
            Use::Many(all) => Argument::Names(all.iter().map(name).collect()),
        };
        let results: Vec<Binding> =
            step.results.iter().map(|i| Binding { name: name(i), ty: self.nodes[*i].ty.clone() }).collect();
        let label = results.first().map_or("", |r| r.name.as_str());
        let mut attributes = vec![("name".to_owned(), Literal::string(label))];
        attributes.extend(step.attributes.iter().cloned());
        let arguments = step.arguments.iter().map(|(n, used)| (n.clone(), argument(used))).collect();
        Statement { results, op: step.op.into(), arguments, attributes, span: Span::default() }
    }
}

impl Program {
    /// The same program as `dialect` writes it, to be checked again: the older set of operations is smaller.
    pub fn in_dialect(mut self, dialect: Dialect) -> Program {
        let (version, build_info) = preamble(dialect);
        self.version = version.into();
        self.build_info = build_info.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        self.dialect = dialect;
        for function in &mut self.functions {
            function.opset = opset(dialect).name().into();
        }
        self
    }
}

/// The set of operations that programs of `dialect` are built for.
fn opset(dialect: Dialect) -> Opset {
    match dialect {
        Dialect::Ios18 => Opset::Ios18,
        Dialect::Ios16 => Opset::Ios16,
    }
}

/// Version and `buildInfo` that the compiler accepts.
fn preamble(dialect: Dialect) -> (&'static str, &'static [(&'static str, &'static str)]) {
    match dialect {
        Dialect::Ios18 => (
            "1.3",
            &[
                ("coremlc-component-MIL", "3510.2.1"),
                ("coremlc-version", "3505.4.1"),
                ("coremltools-component-milinternal", ""),
                ("coremltools-version", "9.0"),
            ],
        ),
        Dialect::Ios16 => ("1.0", &[("coremlc-version", "3505.4.1")]),
    }
}
