//! Types and literals.

use super::lexer::Token;
use super::number::{float, integer};
use super::{ParseError, Parser, error};
use crate::check::RANK;
use crate::ops::{nearest, shortened};
use crate::{DType, Dialect, Elements, Literal, Span, Type};

/// Elements of a literal on their way, of the type that the literal says.
struct Filling {
    elements: Elements,
    dtype: DType,
}

impl Filling {
    fn new(dtype: DType) -> Filling {
        let elements = match dtype {
            DType::Fp16 | DType::Fp32 | DType::Bf16 => Elements::Floats(Vec::new()),
            DType::Bool => Elements::Bools(Vec::new()),
            DType::String => Elements::Strings(Vec::new()),
            _ => Elements::Ints(Vec::new()),
        };
        Filling { elements, dtype }
    }

    fn push(&mut self, token: Token<'_>, span: Span) -> Result<(), ParseError> {
        let dtype = self.dtype;
        let wrong = |token: &Token<'_>| error(span, format!("expected an element of {dtype}, found {}", token.described()));
        match (&mut self.elements, &token) {
            (Elements::Floats(values), Token::Number(text)) => {
                let value = float(text).ok_or_else(|| wrong(&token))?;
                let finite = || error(span, format!("{} is too large for any floating-point type", shortened(text)));
                values.push(Some(value).filter(|v| v.is_finite()).ok_or_else(finite)?);
            }
            (Elements::Ints(values), Token::Number(text)) => {
                let value = integer(text).ok_or_else(|| wrong(&token))?;
                let fits = || error(span, format!("{} does not fit {dtype}", shortened(text)));
                values.push(i64::try_from(value).map_err(|_| fits())?);
            }
            (Elements::Bools(values), Token::Word("true")) => values.push(true),
            (Elements::Bools(values), Token::Word("false")) => values.push(false),
            (Elements::Strings(values), Token::Text(text)) => values.push(text.clone()),
            _ => return Err(wrong(&token)),
        }
        Ok(())
    }
}

/// Whether `word` begins a type.
pub(super) fn begins_type(word: &str) -> bool {
    matches!(word, "tensor" | "state") || DType::of_name(word).is_some()
}

impl Parser<'_> {
    /// `fp16`, `tensor<fp16, [1, 2]>`
    pub(super) fn ty(&mut self) -> Result<Type, ParseError> {
        let (word, span) = self.word("a type")?;
        match word {
            "tensor" => {
                self.mark('<')?;
                let dtype = self.dtype()?;
                self.mark(',')?;
                let shape = self.shape()?;
                self.mark('>')?;
                if shape.is_empty() {
                    self.scalars(Dialect::Ios16);
                }
                Ok(Type { dtype, shape })
            }
            "state" => Err(error(span, "states are refused by the engine; make the value an input, and return what it becomes")),
            name => {
                self.scalars(Dialect::Ios18);
                named(name, span).map(Type::scalar)
            }
        }
    }

    fn dtype(&mut self) -> Result<DType, ParseError> {
        let (name, span) = self.word("the type of the elements")?;
        named(name, span)
    }

    fn shape(&mut self) -> Result<Vec<usize>, ParseError> {
        self.mark('[')?;
        let mut shape = Vec::new();
        if self.skips(']')? {
            return Ok(shape);
        }
        loop {
            let (token, span) = self.bump()?;
            let extent = match &token {
                Token::Number(text) => integer(text).and_then(|n| usize::try_from(n).ok()),
                Token::Mark('?') => return Err(error(span, "every extent must be known: write a number for `?`")),
                _ => None,
            };
            shape.push(extent.ok_or_else(|| error(span, format!("expected an extent, found {}", token.described())))?);
            if shape.len() > RANK {
                return Err(error(span, format!("a tensor has at most {RANK} axes")));
            }
            if !self.continues(']')? {
                return Ok(shape);
            }
        }
    }

    /// `tensor<fp16, [2]>([1.0, 2.0])`
    pub(super) fn literal(&mut self) -> Result<Literal, ParseError> {
        let ty = self.ty()?;
        self.mark('(')?;
        let begin = self.span();
        let elements = if self.at_word("BLOBFILE") {
            self.blob()?
        } else if ty.shape.is_empty() {
            let mut filling = Filling::new(ty.dtype);
            let (token, span) = self.bump()?;
            filling.push(token, span)?;
            filling.elements
        } else {
            let mut filling = Filling::new(ty.dtype);
            let found = self.list(&ty, 0, &mut filling)?;
            if ty.elements() != Some(found) {
                return Err(error(begin, format!("{ty} does not have {found} elements")));
            }
            filling.elements
        };
        self.mark(')')?;
        Ok(Literal { ty, elements })
    }

    /// A list of elements, or of lists, down to as many levels as `ty` has axes; or all elements in one list. How many there are.
    fn list(&mut self, ty: &Type, depth: usize, filling: &mut Filling) -> Result<usize, ParseError> {
        let begin = self.span();
        self.mark('[')?;
        let (mut found, mut parts, nested) = (0, 0, self.at('['));
        if nested && depth + 1 >= ty.shape.len() {
            return Err(error(begin, format!("lists lie deeper here than {ty} has axes")));
        }
        if self.skips(']')? {
            return Ok(0);
        }
        loop {
            if nested {
                found += self.list(ty, depth + 1, filling)?;
            } else {
                let (token, span) = self.bump()?;
                filling.push(token, span)?;
                found += 1;
            }
            parts += 1;
            if !self.continues(']')? {
                break;
            }
        }
        let flat = !nested && depth == 0;
        let whole = nested || depth + 1 == ty.shape.len();
        if !flat && (!whole || parts != ty.shape[depth]) {
            let extent = ty.shape[depth];
            return Err(error(begin, format!("axis {depth} of {ty} has {extent} elements; this list has {parts}")));
        }
        Ok(found)
    }

    /// `BLOBFILE(path = string("..."), offset = uint64(64))`
    fn blob(&mut self) -> Result<Elements, ParseError> {
        self.bump()?;
        self.mark('(')?;
        let (mut path, mut offset) = (None, None);
        loop {
            let (name, span) = self.word("`path` or `offset`")?;
            self.mark('=')?;
            let twice = || error(span, format!("`{name}` is given twice"));
            match name {
                "path" => self.blob_path(&mut path)?.then_some(()).ok_or_else(twice)?,
                "offset" => self.blob_offset(&mut offset)?.then_some(()).ok_or_else(twice)?,
                _ => return Err(error(span, format!("expected `path` or `offset`, found `{}`", shortened(name)))),
            }
            if !self.continues(')')? {
                break;
            }
        }
        let span = self.span();
        let (path, offset) = path.zip(offset).ok_or_else(|| error(span, "a BLOBFILE has a `path` and an `offset`"))?;
        Ok(Elements::Blob { path, offset })
    }

    /// False where there was one before.
    fn blob_path(&mut self, path: &mut Option<String>) -> Result<bool, ParseError> {
        let span = self.span();
        match self.literal()?.elements {
            Elements::Strings(mut texts) if texts.len() == 1 => Ok(path.replace(texts.remove(0)).is_none()),
            _ => Err(error(span, "`path` is a text")),
        }
    }

    /// False where there was one before.
    fn blob_offset(&mut self, offset: &mut Option<u64>) -> Result<bool, ParseError> {
        let span = self.span();
        if self.ty()? != Type::scalar(DType::Uint64) {
            return Err(error(span, "`offset` is a uint64"));
        }
        self.mark('(')?;
        let (token, span) = self.bump()?;
        let value = match &token {
            Token::Number(text) => integer(text).and_then(|n| u64::try_from(n).ok()),
            _ => None,
        };
        let value = value.ok_or_else(|| error(span, format!("expected an offset, found {}", token.described())))?;
        self.mark(')')?;
        Ok(offset.replace(value).is_none())
    }
}

fn named(name: &str, span: Span) -> Result<DType, ParseError> {
    DType::of_name(name).ok_or_else(|| {
        let hint = nearest(name, DType::ALL.into_iter().map(DType::name).chain(["tensor"]));
        error(span, format!("`{}` is no type{hint}", shortened(name)))
    })
}
