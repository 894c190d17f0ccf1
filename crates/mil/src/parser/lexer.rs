//! Words of the language with their places.

use super::{ParseError, error};
use crate::Span;
use crate::ops::shortened;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'t> {
    /// Letters, digits and underscores, not beginning with a digit.
    Word(&'t str),
    /// A number as it is written, with its sign.
    Number(&'t str),
    /// A text without its quotes, escapes resolved.
    Text(String),
    /// One of `( ) [ ] { } < > , = ;`.
    Mark(char),
    /// `->`
    Arrow,
    /// Nothing is left.
    End,
}

impl Token<'_> {
    /// What it is, for a message.
    pub(super) fn described(&self) -> String {
        match self {
            Token::Word(word) => format!("`{}`", shortened(word)),
            Token::Number(number) => format!("the number {}", shortened(number)),
            Token::Text(text) => format!("the text \"{}\"", shortened(text)),
            Token::Mark(mark) => format!("`{mark}`"),
            Token::Arrow => "`->`".into(),
            Token::End => "the end of the text".into(),
        }
    }
}

/// Reads words off a text.
pub(super) struct Lexer<'t> {
    rest: &'t str,
    span: Span,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Lexer<'t> {
        Lexer { rest: text, span: Span { line: 1, column: 1 } }
    }

    /// The next word and where it begins.
    pub(super) fn next(&mut self) -> Result<(Token<'t>, Span), ParseError> {
        let space = self.rest.len() - self.rest.trim_ascii_start().len();
        self.advance(space);
        let begin = self.span;
        let Some(first) = self.rest.chars().next() else { return Ok((Token::End, begin)) };
        let token = match first {
            'a'..='z' | 'A'..='Z' | '_' => Token::Word(self.take(|c| c.is_ascii_alphanumeric() || c == '_')),
            '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>' | ',' | '=' | ';' | '?' => {
                self.advance(1);
                Token::Mark(first)
            }
            '-' if self.rest.starts_with("->") => {
                self.advance(2);
                Token::Arrow
            }
            '0'..='9' | '-' | '+' => Token::Number(self.number()),
            '"' => Token::Text(self.text()?),
            _ if self.rest.starts_with("//") || first == '#' => {
                return Err(error(begin, "the language has no comments: remove it"));
            }
            _ => return Err(error(begin, format!("`{}` begins no word of the language", first.escape_debug()))),
        };
        Ok((token, begin))
    }

    /// Takes `bytes` bytes, which end between two characters.
    fn advance(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        for c in taken.chars() {
            if c == '\n' {
                self.span = Span { line: self.span.line + 1, column: 1 };
            } else {
                self.span.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    /// Takes the longest beginning whose characters `belong`.
    fn take(&mut self, mut belong: impl FnMut(char) -> bool) -> &'t str {
        self.advance(self.rest.find(|c| !belong(c)).unwrap_or(self.rest.len()))
    }

    /// Takes what looks like a number; whether it is one, its reader says.
    fn number(&mut self) -> &'t str {
        let hex = self.rest.trim_start_matches(['-', '+']).starts_with("0x");
        let exponent = if hex { ['p', 'P'] } else { ['e', 'E'] };
        // a sign may stand at the beginning and after the letter of the exponent
        let mut signed = true;
        self.take(|c| {
            let belongs = c.is_ascii_alphanumeric() || c == '.' || (signed && matches!(c, '-' | '+'));
            signed = exponent.contains(&c);
            belongs
        })
    }

    fn text(&mut self) -> Result<String, ParseError> {
        let begin = self.span;
        self.advance(1);
        let mut text = String::new();
        loop {
            text.push_str(self.take(|c| !matches!(c, '"' | '\\' | '\n')));
            let mut next = self.rest.chars();
            match (next.next(), next.next()) {
                (Some('"'), _) => {
                    self.advance(1);
                    return Ok(text);
                }
                (Some('\\'), Some(escape)) => {
                    let place = self.span;
                    text.push(
                        escaped(escape).ok_or_else(|| error(place, format!("`\\{}` escapes nothing", escape.escape_debug())))?,
                    );
                    self.advance(1 + escape.len_utf8());
                }
                _ => return Err(error(begin, "the text that begins here does not end on its line: a `\"` is missing")),
            }
        }
    }
}

fn escaped(letter: char) -> Option<char> {
    Some(match letter {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '"' | '\\' | '\'' => letter,
        _ => return None,
    })
}
