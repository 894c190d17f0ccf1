//! The operations of the language: one table, a row an operation, with its parameters, the first operation set that has it,
//! and the function that finds the types of its results.
//!
//! Rules of shapes and defaults follow the definitions of operations in coremltools; what the engine makes of them is a
//! matter of the numbered rules. Types are never promoted: both sides of an operation have one element type.

mod activation;
mod call;
mod constexpr;
mod einsum;
mod elementwise;
mod fill;
mod image;
mod indexing;
mod linear;
mod normalize;
mod pool;
mod quantize;
mod reduce;
mod shape;
mod slice;
mod sort;
mod space;

pub use call::{Call, Given, Value};

use std::fmt;

use crate::Type;

/// Set of operations that a function is written for; each holds those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opset {
    /// iOS 15, macOS 12.
    Ios15,
    /// iOS 16, macOS 13.
    Ios16,
    /// iOS 17, macOS 14.
    Ios17,
    /// iOS 18, macOS 15.
    Ios18,
}

impl Opset {
    /// Every set, oldest first.
    pub const ALL: [Opset; 4] = [Opset::Ios15, Opset::Ios16, Opset::Ios17, Opset::Ios18];

    /// How a function names it.
    pub fn name(self) -> &'static str {
        match self {
            Opset::Ios15 => "ios15",
            Opset::Ios16 => "ios16",
            Opset::Ios17 => "ios17",
            Opset::Ios18 => "ios18",
        }
    }

    /// The set named `name`.
    pub fn of_name(name: &str) -> Option<Opset> {
        Opset::ALL.into_iter().find(|o| o.name() == name)
    }
}

impl fmt::Display for Opset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tensor, known when the program is compiled or not.
    Tensor,
    /// Several tensors: `(a, b)`.
    Tensors,
    /// A literal of any type.
    Literal,
    /// A constant tensor, in the text or in a weight file.
    Constant,
    /// A constant integer.
    Int,
    /// A constant vector of integers.
    Ints,
    /// A constant truth value.
    Bool,
    /// A constant vector of truth values.
    Bools,
    /// A constant text.
    Text,
    /// A constant floating-point number.
    Float,
}

/// What holds where nothing is given for a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fallback {
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(&'static str),
    /// A number.
    Float(f64),
}

/// Whether something must be given for a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Need {
    /// It must.
    Required,
    /// It need not; what then holds depends on the other arguments.
    Optional,
    /// It need not; then this holds.
    Or(Fallback),
}

/// A parameter of an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Keyword.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it must be given.
    pub need: Need,
}

impl Parameter {
    const fn optional(self) -> Parameter {
        Parameter { need: Need::Optional, ..self }
    }

    const fn or(self, default: Fallback) -> Parameter {
        Parameter { need: Need::Or(default), ..self }
    }
}

const fn parameter(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, kind, need: Need::Required }
}

const fn tensor(name: &'static str) -> Parameter {
    parameter(name, Kind::Tensor)
}

const fn int(name: &'static str) -> Parameter {
    parameter(name, Kind::Int)
}

const fn ints(name: &'static str) -> Parameter {
    parameter(name, Kind::Ints)
}

const fn flag(name: &'static str, default: bool) -> Parameter {
    parameter(name, Kind::Bool).or(Fallback::Bool(default))
}

const fn text(name: &'static str, default: &'static str) -> Parameter {
    parameter(name, Kind::Text).or(Fallback::Text(default))
}

const fn float(name: &'static str, default: f64) -> Parameter {
    parameter(name, Kind::Float).or(Fallback::Float(default))
}

const fn constant(name: &'static str) -> Parameter {
    parameter(name, Kind::Constant)
}

/// Types of the results, or why there are none.
pub type Inferred = Result<Vec<Type>, String>;

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
    /// The first set that has it.
    pub since: Opset,
    infer: fn(&Call<'_>) -> Inferred,
}

impl Operation {
    const fn new(name: &'static str, parameters: &'static [Parameter], infer: fn(&Call<'_>) -> Inferred) -> Operation {
        Operation { name, parameters, since: Opset::Ios15, infer }
    }

    const fn since(self, since: Opset) -> Operation {
        Operation { since, ..self }
    }

    /// Whether its result is known when the program is compiled, and its parameters are written as attributes.
    pub fn is_constant(&self) -> bool {
        self.name == "const" || self.name.starts_with("constexpr_")
    }

    /// The parameter `name`.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|p| p.name == name)
    }
}

/// Every operation.
pub fn all() -> impl Iterator<Item = &'static Operation> {
    let groups: [&'static [Operation]; 15] = [
        elementwise::OPERATIONS,
        activation::OPERATIONS,
        linear::OPERATIONS,
        normalize::OPERATIONS,
        reduce::OPERATIONS,
        shape::OPERATIONS,
        slice::OPERATIONS,
        indexing::OPERATIONS,
        image::OPERATIONS,
        space::OPERATIONS,
        fill::OPERATIONS,
        pool::OPERATIONS,
        sort::OPERATIONS,
        quantize::OPERATIONS,
        constexpr::OPERATIONS,
    ];
    groups.into_iter().flatten()
}

/// The operation `name`.
pub fn find(name: &str) -> Option<&'static Operation> {
    all().find(|o| o.name == name)
}

/// What other languages call an operation that has another name here, or none.
const ELSEWHERE: &[(&str, &str)] = &[
    ("div", "write `real_div`"),
    ("neg", "multiply by -1"),
    ("negative", "multiply by -1"),
    ("mean", "write `reduce_mean`"),
    ("sum", "write `reduce_sum`"),
    ("swish", "write `silu`, or `sigmoid` and `mul`"),
    ("permute", "write `transpose`"),
    ("dot", "write `matmul`"),
    ("rms_norm", "write `mul`, `reduce_sum`, `pow` and `mul`"),
    ("read_state", "states are refused by the engine; make the value an input and an output"),
    ("write_state", "states are refused by the engine; make the value an input and an output"),
    ("cond", "programs for the engine have no branches"),
    ("while_loop", "programs for the engine have no loops"),
];

/// Operations of the language that are not in the table: what they give is not known before the program runs, or they are
/// made of functions.
const LEFT_OUT: &[&str] = &[
    "call",
    "classify",
    "crop_resize",
    "gru",
    "list_gather",
    "list_length",
    "list_read",
    "list_scatter",
    "list_write",
    "lstm",
    "make_list",
    "non_maximum_suppression",
    "non_zero",
    "random_bernoulli",
    "random_categorical",
    "random_normal",
    "reshape_like",
    "rnn",
];

/// That there is no operation `name`, and which was meant.
pub fn unknown(name: &str) -> String {
    if LEFT_OUT.contains(&name) {
        return format!("`{name}` exists in the language, but is not supported here: programs for the engine do without");
    }
    let other = ELSEWHERE.iter().find(|(n, _)| *n == name).map(|(_, hint)| format!("; {hint}"));
    let hint = other.unwrap_or_else(|| nearest(name, all().map(|o| o.name)));
    format!("no operation is called `{}`{hint}", shortened(name))
}

/// `; did you mean ...?`, or nothing where no candidate is near.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    // the distance of long names costs their product
    let name: String = name.chars().take(64).collect();
    let near = candidates.map(|c| (strsim::jaro_winkler(&name, c), c)).max_by(|a, b| a.0.total_cmp(&b.0));
    near.filter(|(score, _)| *score > 0.8).map(|(_, c)| format!("; did you mean `{c}`?")).unwrap_or_default()
}

/// A name or text for a message: at most 64 characters of it, with control characters escaped.
pub(crate) fn shortened(text: &str) -> String {
    let mut characters = text.chars();
    let mut short: String = characters.by_ref().take(64).flat_map(char::escape_debug).collect();
    if characters.next().is_some() {
        short.push_str("...");
    }
    short
}
