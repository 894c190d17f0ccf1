//! The syntax tree: what a MIL text says, operation by operation, before any meaning is given to it.
//!
//! The tree knows no operation by name; which there are, and what they mean, stands in the table of operations.

use std::fmt;

/// Type of an element, or of a string constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// 16-bit floating point: what the engine computes in.
    Fp16,
    /// 32-bit floating point.
    Fp32,
    /// bfloat16.
    Bf16,
    /// 4-bit signed integer.
    Int4,
    /// 4-bit unsigned integer.
    Uint4,
    /// 8-bit signed integer.
    Int8,
    /// 8-bit unsigned integer.
    Uint8,
    /// 16-bit signed integer.
    Int16,
    /// 16-bit unsigned integer.
    Uint16,
    /// 32-bit signed integer: shapes, axes, paddings.
    Int32,
    /// 32-bit unsigned integer.
    Uint32,
    /// 64-bit signed integer.
    Int64,
    /// 64-bit unsigned integer: offsets of blobs.
    Uint64,
    /// Truth value.
    Bool,
    /// Text.
    String,
}

impl DType {
    /// Every type.
    pub const ALL: [DType; 15] = [
        DType::Fp16,
        DType::Fp32,
        DType::Bf16,
        DType::Int4,
        DType::Uint4,
        DType::Int8,
        DType::Uint8,
        DType::Int16,
        DType::Uint16,
        DType::Int32,
        DType::Uint32,
        DType::Int64,
        DType::Uint64,
        DType::Bool,
        DType::String,
    ];

    /// How the language writes it.
    pub fn name(self) -> &'static str {
        match self {
            DType::Fp16 => "fp16",
            DType::Fp32 => "fp32",
            DType::Bf16 => "bf16",
            DType::Int4 => "int4",
            DType::Uint4 => "uint4",
            DType::Int8 => "int8",
            DType::Uint8 => "uint8",
            DType::Int16 => "int16",
            DType::Uint16 => "uint16",
            DType::Int32 => "int32",
            DType::Uint32 => "uint32",
            DType::Int64 => "int64",
            DType::Uint64 => "uint64",
            DType::Bool => "bool",
            DType::String => "string",
        }
    }

    /// The type written `name`.
    pub fn of_name(name: &str) -> Option<DType> {
        DType::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Bits of one element in memory; 0 for text.
    pub fn bits(self) -> usize {
        match self {
            DType::Int4 | DType::Uint4 => 4,
            DType::Int8 | DType::Uint8 | DType::Bool => 8,
            DType::Fp16 | DType::Bf16 | DType::Int16 | DType::Uint16 => 16,
            DType::Fp32 | DType::Int32 | DType::Uint32 => 32,
            DType::Int64 | DType::Uint64 => 64,
            DType::String => 0,
        }
    }

    /// Whether it is a floating-point type.
    pub fn is_float(self) -> bool {
        matches!(self, DType::Fp16 | DType::Fp32 | DType::Bf16)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Element type and shape; a scalar has the empty shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// Element type.
    pub dtype: DType,
    /// Extents, outermost first; all known.
    pub shape: Vec<usize>,
}

impl Type {
    /// A tensor type.
    pub fn new(dtype: DType, shape: &[usize]) -> Type {
        Type { dtype, shape: shape.to_vec() }
    }

    /// A scalar type.
    pub fn scalar(dtype: DType) -> Type {
        Type { dtype, shape: Vec::new() }
    }

    /// Number of elements; none when it does not fit a machine word.
    pub fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &extent| n.checked_mul(extent))
    }

    /// Bytes of the elements side by side; none when that does not fit a machine word.
    pub fn bytes(&self) -> Option<usize> {
        Some(self.elements()?.checked_mul(self.dtype.bits())?.div_ceil(8))
    }
}

/// `tensor<fp16, [1, 2]>`, or `fp16` for a scalar: the later dialect.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shape.is_empty() { write!(f, "{}", self.dtype) } else { write!(f, "tensor<{}, {:?}>", self.dtype, self.shape) }
    }
}

/// Which of the two accepted ways of writing a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `program(1.3)`, `main<ios18>`, scalars written `fp16`: macOS 15 and later.
    #[default]
    Ios18,
    /// `program(1.0)`, `main<ios16>`, scalars written `tensor<fp16, []>`: accepted from M1 on.
    Ios16,
}

/// Place in the text, both counted from 1; 0 in a program that was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Elements of a literal, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    /// Floating-point numbers as the text says them, before they are rounded to their type.
    Floats(Vec<f64>),
    /// Integers; `uint64` beyond `i64` cannot be written.
    Ints(Vec<i64>),
    /// Truth values.
    Bools(Vec<bool>),
    /// Texts.
    Strings(Vec<String>),
    /// Elements that lie in a weight file: its path in the program, and the offset of the record that describes them.
    Blob {
        /// `@model_path/weights/name.bin`
        path: String,
        /// Bytes from the start of the file to the record.
        offset: u64,
    },
}

/// A constant: type and elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    /// Its type.
    pub ty: Type,
    /// Its elements, as many as the type says, except those in a blob.
    pub elements: Elements,
}

impl Literal {
    /// A floating-point scalar.
    pub fn float(dtype: DType, value: f64) -> Literal {
        Literal { ty: Type::scalar(dtype), elements: Elements::Floats(vec![value]) }
    }

    /// An integer scalar.
    pub fn int(dtype: DType, value: i64) -> Literal {
        Literal { ty: Type::scalar(dtype), elements: Elements::Ints(vec![value]) }
    }

    /// A vector of `int32`.
    pub fn ints(values: &[i64]) -> Literal {
        Literal { ty: Type::new(DType::Int32, &[values.len()]), elements: Elements::Ints(values.to_vec()) }
    }

    /// A truth value.
    pub fn bool(value: bool) -> Literal {
        Literal { ty: Type::scalar(DType::Bool), elements: Elements::Bools(vec![value]) }
    }

    /// A text.
    pub fn string(value: &str) -> Literal {
        Literal { ty: Type::scalar(DType::String), elements: Elements::Strings(vec![value.to_owned()]) }
    }

    /// A tensor whose elements lie in a weight file.
    pub fn blob(ty: Type, path: &str, offset: u64) -> Literal {
        Literal { ty, elements: Elements::Blob { path: path.to_owned(), offset } }
    }
}

/// What an operation is given for a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// A value by its name.
    Name(String),
    /// Several values, as `concat` takes them.
    Names(Vec<String>),
    /// A constant in place.
    Literal(Literal),
}

/// A value's name and type, as a function declares its inputs and a statement its results.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Name, unique in the function.
    pub name: String,
    /// Type.
    pub ty: Type,
}

/// `TYPE NAME = OP(ARGUMENTS)[ATTRIBUTES];`
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it defines; several for operations like `split`.
    pub results: Vec<Binding>,
    /// Name of the operation.
    pub op: String,
    /// Parameters and what is given for them, in the order of the text.
    pub arguments: Vec<(String, Argument)>,
    /// Attributes; `name` always, `val` of constants, the parameters of `constexpr_` operations.
    pub attributes: Vec<(String, Literal)>,
    /// Where it begins.
    pub span: Span,
}

impl Statement {
    /// What is given for parameter `name`.
    pub fn argument(&self, name: &str) -> Option<&Argument> {
        self.arguments.iter().find(|(n, _)| n == name).map(|(_, a)| a)
    }

    /// The attribute `name`.
    pub fn attribute(&self, name: &str) -> Option<&Literal> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, l)| l)
    }
}

/// `func NAME<OPSET>(INPUTS) { STATEMENTS } -> (OUTPUTS);`
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// `main`, by convention.
    pub name: String,
    /// `ios18`, `ios16`, ...
    pub opset: String,
    /// Parameters, in the order of the text.
    pub inputs: Vec<Binding>,
    /// Statements, each using values defined before it.
    pub body: Vec<Statement>,
    /// Names of what it returns.
    pub outputs: Vec<String>,
    /// Where it begins.
    pub span: Span,
}

/// A whole text.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// How it is written.
    pub dialect: Dialect,
    /// `1.3`, `1.0`, ...
    pub version: String,
    /// The pairs of `buildInfo`.
    pub build_info: Vec<(String, String)>,
    /// Functions; most programs have one, `main`.
    pub functions: Vec<Function>,
}
