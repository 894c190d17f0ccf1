//! Text to [`Program`]: a lexer and a descent along the grammar, one function a rule. Nothing recurses deeper than a tensor has
//! axes, and nothing is allocated that the text does not hold. What the text means is the checker's to say.
//!
//! Of the language as coremltools writes it, everything is read that programs for the engine use; both dialects may be mixed,
//! and the first scalar type says which one the program is printed in.

mod lexer;
mod literal;
mod number;

use thiserror::Error;

use crate::check::identifier;
use crate::ops::shortened;
use crate::{Argument, Binding, Dialect, Function, Literal, Program, Span, Statement};
use lexer::{Lexer, Token};

/// Where a text is no program, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{span}: {message}")]
pub struct ParseError {
    /// The word at fault.
    pub span: Span,
    /// What was found, what was expected, what to do.
    pub message: String,
}

fn error(span: Span, message: impl Into<String>) -> ParseError {
    ParseError { span, message: message.into() }
}

/// Attributes of a statement that are read.
const ATTRIBUTES: usize = 64;
/// Bytes of the longest text: more numbers than that belong in a weight file.
const LONGEST: usize = 1 << 28;

/// The program that `text` says.
pub fn parse(text: &str) -> Result<Program, ParseError> {
    if text.len() > LONGEST {
        return Err(error(Span { line: 1, column: 1 }, format!("the text has {} bytes; {LONGEST} are read", text.len())));
    }
    let mut lexer = Lexer::new(text);
    let (token, span) = lexer.next()?;
    Parser { lexer, token, span, dialect: None }.program()
}

/// The rules of the grammar, one word ahead.
struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    span: Span,
    /// As the first scalar type was written.
    dialect: Option<Dialect>,
}

/// The rest of a list in brackets; words.
impl<'t> Parser<'t> {
    fn span(&self) -> Span {
        self.span
    }

    /// Takes the word that is ahead.
    fn bump(&mut self) -> Result<(Token<'t>, Span), ParseError> {
        let (token, span) = self.lexer.next()?;
        Ok((std::mem::replace(&mut self.token, token), std::mem::replace(&mut self.span, span)))
    }

    fn at(&self, mark: char) -> bool {
        self.token == Token::Mark(mark)
    }

    fn at_word(&self, word: &str) -> bool {
        self.token == Token::Word(word)
    }

    fn expected(&self, what: &str) -> ParseError {
        error(self.span, format!("expected {what}, found {}", self.token.described()))
    }

    /// Takes `mark`, which must be ahead.
    fn mark(&mut self, mark: char) -> Result<(), ParseError> {
        if self.skips(mark)? { Ok(()) } else { Err(self.expected(&format!("`{mark}`"))) }
    }

    /// Takes `mark` where it is ahead.
    fn skips(&mut self, mark: char) -> Result<bool, ParseError> {
        let there = self.at(mark);
        if there {
            self.bump()?;
        }
        Ok(there)
    }

    /// Whether a list goes on: takes `,`, or `close` at its end.
    fn continues(&mut self, close: char) -> Result<bool, ParseError> {
        if self.skips(close)? {
            return Ok(false);
        }
        if !self.skips(',')? {
            return Err(self.expected(&format!("`,` or `{close}`")));
        }
        if self.at(close) {
            return Err(error(self.span, format!("nothing follows the last `,`: remove it before `{close}`")));
        }
        Ok(true)
    }

    /// Takes a word that is not a mark, a number or a text.
    fn word(&mut self, what: &str) -> Result<(&'t str, Span), ParseError> {
        match self.token {
            Token::Word(word) => Ok((word, self.bump()?.1)),
            _ => Err(self.expected(what)),
        }
    }

    /// Takes the word `keyword`.
    fn keyword(&mut self, keyword: &str) -> Result<(), ParseError> {
        if !self.at_word(keyword) {
            return Err(self.expected(&format!("`{keyword}`")));
        }
        self.bump().map(drop)
    }

    /// Takes a name for something that is defined here.
    fn new_name(&mut self) -> Result<String, ParseError> {
        let (name, span) = self.word("a name")?;
        identifier(name).map_err(|e| error(span, e))?;
        Ok(name.to_owned())
    }

    fn text(&mut self) -> Result<String, ParseError> {
        match self.bump()? {
            (Token::Text(text), _) => Ok(text),
            (other, span) => Err(error(span, format!("expected a text, found {}", other.described()))),
        }
    }

    fn scalars(&mut self, dialect: Dialect) {
        self.dialect.get_or_insert(dialect);
    }
}

/// The rules of a program.
impl Parser<'_> {
    fn program(mut self) -> Result<Program, ParseError> {
        self.keyword("program")?;
        self.mark('(')?;
        let version = self.version()?;
        self.mark(')')?;
        let build_info = if self.skips('[')? { self.build_info()? } else { Vec::new() };
        self.mark('{')?;
        let mut functions = Vec::new();
        while !self.skips('}')? {
            functions.push(self.function()?);
        }
        if self.token != Token::End {
            return Err(self.expected("the end of the text after the program"));
        }
        // where no scalar is written, the version tells
        let by_version = if version == "1.0" { Dialect::Ios16 } else { Dialect::Ios18 };
        Ok(Program { dialect: self.dialect.unwrap_or(by_version), version, build_info, functions })
    }

    /// `1.3`
    fn version(&mut self) -> Result<String, ParseError> {
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        match self.token {
            Token::Number(text) if text.split_once('.').is_some_and(|(a, b)| digits(a) && digits(b)) => {
                self.bump()?;
                Ok(text.to_owned())
            }
            _ => Err(self.expected("a version like 1.3")),
        }
    }

    /// `buildInfo = dict<string, string>({{"a", "b"}, {"c", "d"}})]`
    fn build_info(&mut self) -> Result<Vec<(String, String)>, ParseError> {
        let (name, span) = self.word("`buildInfo`")?;
        if name != "buildInfo" {
            return Err(error(span, format!("a program has no attribute but `buildInfo`; found `{}`", shortened(name))));
        }
        self.mark('=')?;
        self.keyword("dict")?;
        self.mark('<')?;
        self.string_type()?;
        self.mark(',')?;
        self.string_type()?;
        self.mark('>')?;
        self.mark('(')?;
        self.mark('{')?;
        let mut pairs = Vec::new();
        let mut more = !self.skips('}')?;
        while more {
            self.mark('{')?;
            let key = self.text()?;
            self.mark(',')?;
            pairs.push((key, self.text()?));
            self.mark('}')?;
            more = self.continues('}')?;
        }
        self.mark(')')?;
        self.mark(']')?;
        Ok(pairs)
    }

    fn string_type(&mut self) -> Result<(), ParseError> {
        let span = self.span;
        let ty = self.ty()?;
        if ty == crate::Type::scalar(crate::DType::String) {
            return Ok(());
        }
        Err(error(span, format!("expected `string`, found {ty}")))
    }

    /// `func main<ios18>(tensor<fp16, [1]> x) { ... } -> (y);`
    fn function(&mut self) -> Result<Function, ParseError> {
        let span = self.span;
        self.keyword("func")?;
        let name = self.new_name()?;
        self.mark('<')?;
        let opset = self.word("a set of operations like `ios18`")?.0.to_owned();
        self.mark('>')?;
        self.mark('(')?;
        let mut inputs = Vec::new();
        let mut more = !self.skips(')')?;
        while more {
            inputs.push(self.binding()?);
            more = self.continues(')')?;
        }
        self.mark('{')?;
        let mut body = Vec::new();
        while !self.skips('}')? {
            body.push(self.statement()?);
        }
        if self.token != Token::Arrow {
            return Err(self.expected("`-> (...)`, what the function returns"));
        }
        self.bump()?;
        let outputs = self.names()?;
        self.mark(';')?;
        Ok(Function { name, opset, inputs, body, outputs, span })
    }

    fn binding(&mut self) -> Result<Binding, ParseError> {
        let ty = self.ty()?;
        Ok(Binding { ty, name: self.new_name()? })
    }

    /// `(a, b)`
    fn names(&mut self) -> Result<Vec<String>, ParseError> {
        self.mark('(')?;
        let mut names = Vec::new();
        loop {
            names.push(self.word("the name of a value")?.0.to_owned());
            if !self.continues(')')? {
                return Ok(names);
            }
        }
    }

    /// `fp16 y = exp(x = x)[name = string("y")];`
    fn statement(&mut self) -> Result<Statement, ParseError> {
        let span = self.span;
        let mut results = vec![self.binding()?];
        while self.skips(',')? {
            results.push(self.binding()?);
        }
        self.mark('=')?;
        let op = self.word("the name of an operation")?.0.to_owned();
        self.mark('(')?;
        let mut arguments = Vec::new();
        let mut more = !self.skips(')')?;
        while more {
            let name = self.key()?;
            arguments.push((name, self.argument()?));
            more = self.continues(')')?;
        }
        let attributes = if self.skips('[')? { self.attributes()? } else { Vec::new() };
        self.mark(';')?;
        Ok(Statement { results, op, arguments, attributes, span })
    }

    /// `name =`
    fn key(&mut self) -> Result<String, ParseError> {
        let name = self.word("`NAME = VALUE`")?.0.to_owned();
        self.mark('=')?;
        Ok(name)
    }

    fn argument(&mut self) -> Result<Argument, ParseError> {
        match self.token {
            Token::Mark('(') => self.names().map(Argument::Names),
            // seen in working programs, though only of flags
            Token::Word(flag @ ("true" | "false")) => {
                self.bump()?;
                Ok(Argument::Literal(Literal::bool(flag == "true")))
            }
            Token::Word(word) if literal::begins_type(word) => self.literal().map(Argument::Literal),
            Token::Word(word) => {
                self.bump()?;
                Ok(Argument::Name(word.to_owned()))
            }
            Token::Number(_) | Token::Text(_) | Token::Mark('[') => {
                Err(self.expected("the name of a value, or a constant with its type as `int32(1)`"))
            }
            _ => Err(self.expected("the name of a value or a constant")),
        }
    }

    /// `name = string("y"), val = fp16(1.0)]`
    fn attributes(&mut self) -> Result<Vec<(String, Literal)>, ParseError> {
        let mut attributes: Vec<(String, Literal)> = Vec::new();
        loop {
            let span = self.span;
            let name = self.key()?;
            if attributes.iter().any(|(n, _)| *n == name) {
                return Err(error(span, format!("the attribute `{}` is given twice", shortened(&name))));
            }
            if attributes.len() == ATTRIBUTES {
                return Err(error(span, format!("a statement has at most {ATTRIBUTES} attributes")));
            }
            attributes.push((name, self.literal()?));
            if !self.continues(']')? {
                return Ok(attributes);
            }
        }
    }
}
