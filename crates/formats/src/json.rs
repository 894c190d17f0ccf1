//! JSON files that were written by others: one value, no duplicate keys, a size limit, and typed access that names the key.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{FormatError, clean, shown};
use crate::place;

/// Largest JSON side file (not the header of a tensor file).
const LIMIT: u64 = 64 << 20;

/// Reads the object in `path`.
pub(crate) fn read_object(path: &Path, expected: &str) -> Result<Map<String, Value>, FormatError> {
    let (file, len) = place::open_file(path, expected)?;
    if len > LIMIT {
        return Err(FormatError::bad(path, "size", format!("{len} bytes"), format!("at most {LIMIT}")));
    }
    let mut bytes = Vec::with_capacity(len as usize);
    file.take(LIMIT).read_to_end(&mut bytes).map_err(|e| FormatError::read(path, expected, e))?;
    parse_object(path, &bytes)
}

/// The object in `bytes`; `path` is for messages.
pub(crate) fn parse_object(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, FormatError> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(map))) => Ok(map),
        Ok(Strict(other)) => Err(FormatError::bad(path, "top level", kind(&other), "a JSON object")),
        Err(e) => {
            Err(FormatError::bad(path, format!("line {} column {}", e.line(), e.column()), clean(&e.to_string()), "valid JSON"))
        }
    }
}

/// What kind of value it is, for messages.
pub(crate) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => format!("the text {}", shown(s)),
        Value::Array(a) => format!("a list of {}", a.len()),
        Value::Object(_) => "an object".into(),
    }
}

/// A value whose objects have no key twice: which of the two holds would depend on the reader.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("number that is not finite"))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {} twice", shown(&key))));
            }
            let Strict(value) = map.next_value()?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Typed access to the keys of one object. A key that is absent or `null` is `None`.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    pub path: &'a Path,
    pub within: &'a str,
    pub map: &'a Map<String, Value>,
}

impl<'a> Keys<'a> {
    /// How messages name `key`.
    pub fn at(&self, key: &str) -> String {
        if self.within.is_empty() { format!("key `{key}`") } else { format!("key `{}.{key}`", self.within) }
    }

    pub fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    fn typed<T>(&self, key: &str, expected: &str, get: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, FormatError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        get(value).map(Some).ok_or_else(|| FormatError::bad(self.path, self.at(key), kind(value), expected))
    }

    /// A whole number that is not negative.
    pub fn size(&self, key: &str) -> Result<Option<usize>, FormatError> {
        self.typed(key, "a whole number, 0 or more", |v| v.as_u64().and_then(|n| usize::try_from(n).ok()))
    }

    /// The same where there is no default.
    pub fn need_size(&self, key: &str) -> Result<usize, FormatError> {
        self.size(key)?.ok_or_else(|| FormatError::bad(self.path, self.at(key), "nothing", "a whole number"))
    }

    pub fn number(&self, key: &str) -> Result<Option<f64>, FormatError> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub fn need_number(&self, key: &str) -> Result<f64, FormatError> {
        self.number(key)?.ok_or_else(|| FormatError::bad(self.path, self.at(key), "nothing", "a number"))
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, FormatError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub fn text(&self, key: &str) -> Result<Option<&'a str>, FormatError> {
        self.typed(key, "a text", Value::as_str)
    }

    pub fn list(&self, key: &str) -> Result<Option<&'a [Value]>, FormatError> {
        self.typed(key, "a list", |v| v.as_array().map(Vec::as_slice))
    }

    pub fn object(&self, key: &'a str) -> Result<Option<Keys<'a>>, FormatError> {
        let map = self.typed(key, "an object", Value::as_object)?;
        Ok(map.map(|map| Keys { path: self.path, within: key, map }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_json_is_refused_with_its_place() {
        let deep = "[".repeat(100_000);
        for (text, expected) in [
            ("{\"a\": 1, \"a\": 2}", "`a` twice"),
            ("{\"x\": {\"b\": 1, \"b\": 1}}", "`b` twice"),
            ("{\"a\": NaN}", "line 1 column"),
            ("{\"a\": 1e999}", "number out of range"),
            ("[1]", "a list of 1"),
            ("{} {}", "trailing characters"),
            ("", "EOF"),
            (deep.as_str(), "recursion limit"),
        ] {
            let error =
                parse_object(Path::new("c.json"), text.as_bytes()).map(|_| ()).map_err(|e| (e.exit_code(), e.to_string()));
            let Err((code, message)) = error else { panic!("accepted: {text:.40}") };
            assert_eq!(code, 65);
            assert!(message.contains(expected) && message.contains("c.json"), "{text:.40}: {message}");
        }
    }
}
