//! Lines as Python writes them: JSON with the bare words `NaN`, `Infinity` and `-Infinity`.

use serde_json::Value as Json;

/// The object on a line; the bare words become strings. None when it is no object.
pub fn read(line: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(line).ok()?;
    let value: Json = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => serde_json::from_str(&quoted(text)).ok()?,
    };
    value.is_object().then_some(value)
}

/// `text` with the bare words in quotes.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut in_string, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let word = (!in_string).then(|| ["NaN", "Infinity", "-Infinity"].into_iter().find(|w| rest.starts_with(w))).flatten();
        if let Some(word) = word {
            out.extend(["\"", word, "\""]);
            rest = &rest[word.len()..];
            continue;
        }
        match c {
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}
