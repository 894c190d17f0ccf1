//! [`Metadata`]: the keys and values of a file, and typed access that names the key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::value::{Array, Strings, Value};
use crate::error::FormatError;

/// Keys and values, in the order of the file.
#[derive(Clone, Debug)]
pub struct Metadata {
    path: PathBuf,
    entries: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl Metadata {
    /// No keys yet; `path` is for messages.
    pub fn new(path: &Path) -> Metadata {
        Metadata { path: path.into(), entries: Vec::new(), index: HashMap::new() }
    }

    /// Appends a key; `false`, with nothing changed, when it is there already.
    #[must_use]
    pub fn insert(&mut self, key: &str, value: Value) -> bool {
        if self.index.contains_key(key) {
            return false;
        }
        self.index.insert(key.to_owned(), self.entries.len());
        self.entries.push((key.to_owned(), value));
        true
    }

    /// The file that it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).map(|i| &self.entries[*i].1)
    }

    /// All, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// How messages name `key`.
    pub fn at(&self, key: &str) -> String {
        format!("key `{key}`")
    }

    fn typed<'a, T>(&'a self, key: &str, expected: &str, of: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>, FormatError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        of(value).map(Some).ok_or_else(|| FormatError::bad(&self.path, self.at(key), value.to_string(), expected))
    }

    fn needed<T>(&self, key: &str, value: Option<T>) -> Result<T, FormatError> {
        value.ok_or_else(|| FormatError::bad(&self.path, self.at(key), "nothing", "this key"))
    }

    /// A whole number, 0 or more, of any width.
    ///
    /// # Errors
    /// `Bad` when it is something else; so for the others.
    pub fn size(&self, key: &str) -> Result<Option<usize>, FormatError> {
        self.typed(key, "a whole number, 0 or more", |v| v.as_integer().and_then(|n| usize::try_from(n).ok()))
    }

    /// The same where there is no default.
    ///
    /// # Errors
    /// `Bad` also when there is no such key.
    pub fn need_size(&self, key: &str) -> Result<usize, FormatError> {
        self.needed(key, self.size(key)?)
    }

    /// A token id.
    ///
    /// # Errors
    /// `Bad`.
    pub fn id(&self, key: &str) -> Result<Option<u32>, FormatError> {
        self.typed(key, "a token id", |v| v.as_integer().and_then(|n| u32::try_from(n).ok()))
    }

    /// A finite number.
    ///
    /// # Errors
    /// `Bad`.
    pub fn number(&self, key: &str) -> Result<Option<f64>, FormatError> {
        self.typed(key, "a finite number", |v| v.as_number().filter(|n| n.is_finite()))
    }

    /// The same where there is no default.
    ///
    /// # Errors
    /// `Bad` also when there is no such key.
    pub fn need_number(&self, key: &str) -> Result<f64, FormatError> {
        self.needed(key, self.number(key)?)
    }

    /// A truth value.
    ///
    /// # Errors
    /// `Bad`.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, FormatError> {
        self.typed(key, "true or false", |v| if let Value::Bool(b) = v { Some(*b) } else { None })
    }

    /// A text.
    ///
    /// # Errors
    /// `Bad`.
    pub fn text(&self, key: &str) -> Result<Option<&str>, FormatError> {
        self.typed(key, "a text", |v| if let Value::Text(t) = v { Some(t.as_str()) } else { None })
    }

    /// The same where there is no default.
    ///
    /// # Errors
    /// `Bad` also when there is no such key.
    pub fn need_text(&self, key: &str) -> Result<&str, FormatError> {
        self.needed(key, self.text(key)?)
    }

    /// A list.
    ///
    /// # Errors
    /// `Bad`.
    pub fn list(&self, key: &str) -> Result<Option<&Array>, FormatError> {
        self.typed(key, "a list", |v| if let Value::List(a) = v { Some(a) } else { None })
    }

    /// A list of texts.
    ///
    /// # Errors
    /// `Bad`.
    pub fn texts(&self, key: &str) -> Result<Option<&Strings>, FormatError> {
        self.typed(key, "a list of texts", |v| if let Value::List(Array::Text(t)) = v { Some(t) } else { None })
    }
}
