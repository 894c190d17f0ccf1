//! [`Program`] as text, in its dialect. The text of a program that was parsed says the same as the text it came from; printed,
//! parsed and printed again it is the same text.

use std::fmt::{self, Display, Formatter, Write};

use crate::{Argument, Binding, DType, Dialect, Elements, Function, Literal, Program, Statement, Type};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "program({})", self.version)?;
        if !self.build_info.is_empty() {
            // on one line: the compiler refuses it otherwise
            let text = scalar(self.dialect, DType::String);
            let pairs = self.build_info.iter().map(|(k, v)| format!("{{{}, {}}}", Quoted(k), Quoted(v))).collect::<Vec<_>>();
            writeln!(f, "[buildInfo = dict<{text}, {text}>({{{}}})]", pairs.join(", "))?;
        }
        writeln!(f, "{{")?;
        self.functions.iter().try_for_each(|function| print_function(f, self.dialect, function))?;
        writeln!(f, "}}")
    }
}

fn print_function(f: &mut Formatter<'_>, dialect: Dialect, function: &Function) -> fmt::Result {
    write!(f, "    func {}<{}>(", function.name, function.opset)?;
    bindings(f, dialect, &function.inputs)?;
    writeln!(f, ") {{")?;
    for statement in &function.body {
        f.write_str("        ")?;
        print_statement(f, dialect, statement)?;
        f.write_char('\n')?;
    }
    writeln!(f, "    }} -> ({});", function.outputs.join(", "))
}

fn print_statement(f: &mut Formatter<'_>, dialect: Dialect, statement: &Statement) -> fmt::Result {
    bindings(f, dialect, &statement.results)?;
    write!(f, " = {}(", statement.op)?;
    separated(f, &statement.arguments, |f, (name, argument)| match argument {
        Argument::Name(value) => write!(f, "{name} = {value}"),
        Argument::Names(values) => write!(f, "{name} = ({})", values.join(", ")),
        Argument::Literal(literal) => write!(f, "{name} = {}", Written(dialect, literal)),
    })?;
    f.write_char(')')?;
    if !statement.attributes.is_empty() {
        f.write_char('[')?;
        separated(f, &statement.attributes, |f, (name, literal)| write!(f, "{name} = {}", Written(dialect, literal)))?;
        f.write_char(']')?;
    }
    f.write_char(';')
}

fn bindings(f: &mut Formatter<'_>, dialect: Dialect, bindings: &[Binding]) -> fmt::Result {
    separated(f, bindings, |f, binding| write!(f, "{} {}", written_type(dialect, &binding.ty), binding.name))
}

fn separated<T>(f: &mut Formatter<'_>, items: &[T], each: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        each(f, item)?;
    }
    Ok(())
}

/// How `dialect` writes the type of a scalar.
fn scalar(dialect: Dialect, dtype: DType) -> String {
    match dialect {
        Dialect::Ios18 => dtype.to_string(),
        Dialect::Ios16 => format!("tensor<{dtype}, []>"),
    }
}

fn written_type(dialect: Dialect, ty: &Type) -> String {
    if ty.shape.is_empty() { scalar(dialect, ty.dtype) } else { ty.to_string() }
}

/// A literal in a dialect.
pub(crate) struct Written<'a>(pub Dialect, pub &'a Literal);

impl Display for Written<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Written(dialect, literal) = *self;
        write!(f, "{}(", written_type(dialect, &literal.ty))?;
        let shape = &literal.ty.shape;
        match &literal.elements {
            Elements::Floats(values) => nested(f, shape, values, &|f, v| float(f, *v)),
            Elements::Ints(values) => nested(f, shape, values, &|f, v| write!(f, "{v}")),
            Elements::Bools(values) => nested(f, shape, values, &|f, v| write!(f, "{v}")),
            Elements::Strings(values) => nested(f, shape, values, &|f, v| write!(f, "{}", Quoted(v))),
            Elements::Blob { path, offset } => {
                let (text, number) = (scalar(dialect, DType::String), scalar(dialect, DType::Uint64));
                write!(f, "BLOBFILE(path = {text}({}), offset = {number}({offset}))", Quoted(path))
            }
        }?;
        f.write_char(')')
    }
}

type Each<'e, T> = &'e dyn Fn(&mut Formatter<'_>, &T) -> fmt::Result;

/// Elements in a list for each axis; in one list where they are not as many as the shape says.
fn nested<T>(f: &mut Formatter<'_>, shape: &[usize], values: &[T], each: Each<'_, T>) -> fmt::Result {
    let fits = shape.iter().try_fold(1usize, |n, &e| n.checked_mul(e)) == Some(values.len());
    match shape {
        [] if values.len() == 1 => each(f, &values[0]),
        [outer, inner @ ..] if !inner.is_empty() && fits && !values.is_empty() => {
            f.write_char('[')?;
            let parts: Vec<&[T]> = values.chunks(values.len() / outer).collect();
            separated(f, &parts, |f, part| nested(f, inner, part, each))?;
            f.write_char(']')
        }
        _ => {
            f.write_char('[')?;
            separated(f, values, |f, v| each(f, v))?;
            f.write_char(']')
        }
    }
}

/// The shortest decimal number that is `value`, with a point or an exponent, since readers tell integers by their lack.
fn float(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    let size = value.abs();
    if value == 0.0 || (1e-7..1e16).contains(&size) { write_decimal(f, value) } else { write!(f, "{value:e}") }
}

fn write_decimal(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    if value.fract() == 0.0 { write!(f, "{value:.1}") } else { write!(f, "{value}") }
}

/// A text in quotes, with what would end it escaped.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\""),
                '\\' => f.write_str("\\\\"),
                '\n' => f.write_str("\\n"),
                '\r' => f.write_str("\\r"),
                '\t' => f.write_str("\\t"),
                c => f.write_char(c),
            }?;
        }
        f.write_char('"')
    }
}
