//! A Rust file as the rules see it: code without comments and literals, and which lines are tests.

use std::ops::Range;

/// A Rust source file.
pub struct SourceFile {
    /// Path from the root of the repository.
    pub path: String,
    /// The code: comments, strings and character literals are blanks; lines and columns stay.
    pub code: String,
    /// Number of lines.
    pub lines: usize,
    tests: Vec<Range<usize>>,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Line of its `fn`, from 1.
    pub line: usize,
    /// Lines from `fn` to the closing brace.
    pub lines: usize,
}

impl SourceFile {
    /// Reads `text` of the file at `path`.
    pub fn new(path: &str, text: &str) -> SourceFile {
        let code = blank_literals(text);
        let tests = test_items(&code);
        SourceFile { path: path.into(), code, lines: text.lines().count(), tests }
    }

    /// Whether the whole file is a test, an example or a benchmark.
    pub fn is_test_file(&self) -> bool {
        let mut parts = self.path.split('/');
        let file = parts.next_back().unwrap_or_default();
        file == "tests.rs" || file.ends_with("_tests.rs") || parts.any(|p| matches!(p, "tests" | "examples" | "benches"))
    }

    /// Whether the byte at `at` of the code belongs to a test.
    pub fn is_test(&self, at: usize) -> bool {
        self.is_test_file() || self.tests.iter().any(|t| t.contains(&at))
    }

    /// Lines of the file that are not tests.
    pub fn shipped_lines(&self) -> usize {
        let tests: usize = self.tests.iter().map(|t| self.code[t.clone()].lines().count()).sum();
        if self.is_test_file() { 0 } else { self.lines.saturating_sub(tests) }
    }

    /// Line, from 1, of the byte at `at`.
    pub fn line(&self, at: usize) -> usize {
        self.code.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1
    }

    /// Where `word` stands in the code as a word of its own.
    pub fn find_word<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        find_word(&self.code, word)
    }

    /// Functions that are not tests.
    pub fn functions(&self) -> Vec<Function> {
        let shipped = self.find_word("fn").filter(|at| !self.is_test(*at));
        shipped.filter_map(|at| self.function(at)).collect()
    }

    fn function(&self, at: usize) -> Option<Function> {
        let rest = self.code[at + 2..].trim_start();
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        let end = item_end(&self.code, at)?;
        // `fn(f32) -> f32` is a type, and a declaration without a body ends in a semicolon
        if name.is_empty() || !self.code[..end].ends_with('}') {
            return None;
        }
        Some(Function { name, line: self.line(at), lines: self.code[at..end].lines().count() })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find_word<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let alone = move |at: &usize| {
        let before = code[..*at].chars().next_back();
        let after = code[*at + word.len()..].chars().next();
        let closed = !word.ends_with(is_word) || !after.is_some_and(is_word);
        closed && !before.is_some_and(is_word)
    };
    code.match_indices(word).map(|(at, _)| at).filter(alone)
}

/// Ranges of the items under `#[cfg(test)]`, the attribute included.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test,", "#[test]"] {
        for (at, _) in code.match_indices(attribute) {
            if !items.iter().any(|i| i.contains(&at)) {
                items.push(at..item_end(code, at).unwrap_or(code.len()));
            }
        }
    }
    items
}

/// Byte after the item that starts at `from`: after its first `;` outside brackets, or after the brace that closes it.
fn item_end(code: &str, from: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut in_body = false;
    for (at, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            '{' => {
                in_body |= depth == 0;
                depth += 1;
            }
            ')' | ']' => depth = depth.checked_sub(1)?,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 && in_body {
                    return Some(from + at + 1);
                }
            }
            ';' if depth == 0 => return Some(from + at + 1),
            _ => {}
        }
    }
    None
}

/// `text` with comments, strings and character literals as blanks of the same length.
fn blank_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let blank = literal_len(rest, out.chars().next_back());
        if blank == 0 {
            let c = rest.chars().next().unwrap_or_default();
            out.push(c);
            at += c.len_utf8();
        } else {
            out.extend(rest[..blank].bytes().map(|b| if b == b'\n' { '\n' } else { ' ' }));
            at += blank;
        }
    }
    out
}

/// Bytes of the comment or literal that `rest` begins with, 0 if it begins with code.
fn literal_len(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment_len(rest);
    }
    if rest.starts_with('"') {
        return quoted_len(rest);
    }
    if rest.starts_with('\'') {
        return char_len(rest);
    }
    let prefixed = !before.is_some_and(is_word);
    if prefixed { raw_string_len(rest) } else { 0 }
}

fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// A character literal; a lifetime is code.
fn char_len(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(rest.len(), |end| 3 + end + 1),
        Some(_) if chars.next().is_some_and(|(_, c)| c == '\'') => chars.next().map_or(rest.len(), |(at, _)| at),
        _ => 0,
    }
}

/// `r"..."`, `r#"..."#`, `br"..."`, `cr"..."`.
fn raw_string_len(rest: &str) -> usize {
    let Some(tail) = ["r", "br", "cr"].iter().find_map(|p| rest.strip_prefix(p)) else { return 0 };
    let hashes = tail.bytes().take_while(|b| *b == b'#').count();
    if !tail[hashes..].starts_with('"') {
        return 0;
    }
    let open = rest.len() - tail.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    rest[open..].find(&close).map_or(rest.len(), |end| open + end + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blank_and_lines_stay() {
        let text = "let a = \"todo // \\\" x\"; // fn no\n/* a /* b */ c\n*/ let b = 'x'; let c: &'a str = r#\"\"fn\"#;";
        let code = blank_literals(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
        for hidden in ["todo", "fn", "a /*", "c\n*"] {
            assert!(!code.contains(hidden), "{hidden}: {code}");
        }
        assert!(code.contains("let b =") && code.contains("&'a str"));
    }

    #[test]
    fn quotes_as_characters_do_not_open_strings() {
        let code = blank_literals("match c { '\"' => 1, '\\'' => 2, '\\u{1F600}' => 3, 'é' => 4 } fn after() {}");
        assert!(code.contains("fn after"), "{code}");
        assert!(!code.contains('"'));
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let text = "trait T { fn declared(&self, a: [u8; 3]); }\n\nfn long<'a>(f: fn(f32) -> f32) -> [u8; 2] {\n    \"}\";\n\n}\nfn one() {}\n";
        let functions = SourceFile::new("a.rs", text).functions();
        let expected = [("long", 3, 4), ("one", 7, 1)];
        let found: Vec<_> = functions.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn test_modules_are_not_counted() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {}\n}\nfn c() {}\n";
        let file = SourceFile::new("crates/x/src/a.rs", text);
        assert_eq!(file.shipped_lines(), 3);
        assert_eq!(file.functions().len(), 2);
        assert_eq!(SourceFile::new("crates/x/tests/a.rs", text).shipped_lines(), 0);
    }

    #[test]
    fn a_test_module_of_its_own_file_hides_nothing_after_it() {
        let file = SourceFile::new("a.rs", "#[cfg(test)]\nmod tests;\nfn c() {}\n");
        assert_eq!(file.shipped_lines(), 1);
        assert_eq!(file.functions().len(), 1);
    }
}
