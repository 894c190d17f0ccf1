//! Values of the metadata: numbers, texts, and lists of one type, which may be lists again.

use std::fmt;

use crate::error::shown;

/// Types of values; the numbers are those of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// 8 bits.
    U8 = 0,
    /// 8 bits, signed.
    I8 = 1,
    /// 16 bits.
    U16 = 2,
    /// 16 bits, signed.
    I16 = 3,
    /// 32 bits.
    U32 = 4,
    /// 32 bits, signed.
    I32 = 5,
    /// Single precision.
    F32 = 6,
    /// One byte, 0 or 1.
    Bool = 7,
    /// Length in bytes, then UTF-8.
    Text = 8,
    /// Type and number of the items, then the items.
    List = 9,
    /// 64 bits.
    U64 = 10,
    /// 64 bits, signed.
    I64 = 11,
    /// Double precision.
    F64 = 12,
}

impl ValueType {
    /// The type that the file numbers `id`.
    pub fn from_id(id: u32) -> Option<ValueType> {
        use ValueType as T;
        let all = [T::U8, T::I8, T::U16, T::I16, T::U32, T::I32, T::F32, T::Bool, T::Text, T::List, T::U64, T::I64, T::F64];
        all.into_iter().find(|t| *t as u32 == id)
    }

    /// Fewest bytes that a value takes in a file.
    pub(super) fn least_bytes(self) -> u64 {
        match self {
            ValueType::U8 | ValueType::I8 | ValueType::Bool => 1,
            ValueType::U16 | ValueType::I16 => 2,
            ValueType::U32 | ValueType::I32 | ValueType::F32 => 4,
            ValueType::U64 | ValueType::I64 | ValueType::F64 | ValueType::Text => 8,
            ValueType::List => 12,
        }
    }
}

/// Texts, one behind the other in one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    text: String,
    ends: Vec<usize>,
}

impl Strings {
    pub(super) fn with_capacity(n: usize) -> Strings {
        Strings { text: String::new(), ends: Vec::with_capacity(n) }
    }

    /// Appends one.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number `i`.
    pub fn get(&self, i: usize) -> Option<&str> {
        let end = *self.ends.get(i)?;
        let start = i.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    /// All, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i).unwrap_or_default())
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Strings {
        let mut out = Strings::default();
        texts.into_iter().for_each(|t| out.push(t.as_ref()));
        out
    }
}

/// A list of values of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Array {
    /// Numbers.
    U8(Vec<u8>),
    /// Numbers.
    I8(Vec<i8>),
    /// Numbers.
    U16(Vec<u16>),
    /// Numbers.
    I16(Vec<i16>),
    /// Numbers.
    U32(Vec<u32>),
    /// Numbers.
    I32(Vec<i32>),
    /// Numbers.
    F32(Vec<f32>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Texts.
    Text(Strings),
    /// Lists.
    List(Vec<Array>),
    /// Numbers.
    U64(Vec<u64>),
    /// Numbers.
    I64(Vec<i64>),
    /// Numbers.
    F64(Vec<f64>),
}

impl Array {
    /// Type of the items.
    pub fn item_type(&self) -> ValueType {
        match self {
            Array::U8(_) => ValueType::U8,
            Array::I8(_) => ValueType::I8,
            Array::U16(_) => ValueType::U16,
            Array::I16(_) => ValueType::I16,
            Array::U32(_) => ValueType::U32,
            Array::I32(_) => ValueType::I32,
            Array::F32(_) => ValueType::F32,
            Array::Bool(_) => ValueType::Bool,
            Array::Text(_) => ValueType::Text,
            Array::List(_) => ValueType::List,
            Array::U64(_) => ValueType::U64,
            Array::I64(_) => ValueType::I64,
            Array::F64(_) => ValueType::F64,
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        match self {
            Array::U8(a) => a.len(),
            Array::I8(a) => a.len(),
            Array::U16(a) => a.len(),
            Array::I16(a) => a.len(),
            Array::U32(a) => a.len(),
            Array::I32(a) => a.len(),
            Array::F32(a) => a.len(),
            Array::Bool(a) => a.len(),
            Array::Text(a) => a.len(),
            Array::List(a) => a.len(),
            Array::U64(a) => a.len(),
            Array::I64(a) => a.len(),
            Array::F64(a) => a.len(),
        }
    }

    /// Whether there are no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Item `i`; copies it.
    pub fn get(&self, i: usize) -> Option<Value> {
        Some(match self {
            Array::U8(a) => Value::U8(*a.get(i)?),
            Array::I8(a) => Value::I8(*a.get(i)?),
            Array::U16(a) => Value::U16(*a.get(i)?),
            Array::I16(a) => Value::I16(*a.get(i)?),
            Array::U32(a) => Value::U32(*a.get(i)?),
            Array::I32(a) => Value::I32(*a.get(i)?),
            Array::F32(a) => Value::F32(*a.get(i)?),
            Array::Bool(a) => Value::Bool(*a.get(i)?),
            Array::Text(a) => Value::Text(a.get(i)?.to_owned()),
            Array::List(a) => Value::List(a.get(i)?.clone()),
            Array::U64(a) => Value::U64(*a.get(i)?),
            Array::I64(a) => Value::I64(*a.get(i)?),
            Array::F64(a) => Value::F64(*a.get(i)?),
        })
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Number.
    U8(u8),
    /// Number.
    I8(i8),
    /// Number.
    U16(u16),
    /// Number.
    I16(i16),
    /// Number.
    U32(u32),
    /// Number.
    I32(i32),
    /// Number.
    F32(f32),
    /// Truth value.
    Bool(bool),
    /// Text.
    Text(String),
    /// List.
    List(Array),
    /// Number.
    U64(u64),
    /// Number.
    I64(i64),
    /// Number.
    F64(f64),
}

impl Value {
    /// A whole number of any width.
    pub fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Value::U8(v) => v.into(),
            Value::I8(v) => v.into(),
            Value::U16(v) => v.into(),
            Value::I16(v) => v.into(),
            Value::U32(v) => v.into(),
            Value::I32(v) => v.into(),
            Value::U64(v) => v.into(),
            Value::I64(v) => v.into(),
            _ => return None,
        })
    }

    /// Any number. A single that stands for a decimal is that decimal: 1.1, not 1.10000002.
    pub fn as_number(&self) -> Option<f64> {
        match *self {
            Value::F32(v) => v.to_string().parse().ok(),
            Value::F64(v) => Some(v),
            _ => self.as_integer().map(|v| v as f64),
        }
    }
}

/// As messages and tables show it: long lists and texts are cut, control characters escaped.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Value::Text(v) => f.write_str(&shown(v)),
            Value::List(v) => write!(f, "{v}"),
            Value::Bool(v) => write!(f, "{v}"),
            Value::F32(v) => write!(f, "{v:?}"),
            Value::F64(v) => write!(f, "{v:?}"),
            other => write!(f, "{}", other.as_integer().unwrap_or_default()),
        }
    }
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const SHOWN: usize = 8;
        if self.len() > SHOWN {
            write!(f, "{} items: ", self.len())?;
        }
        f.write_str("[")?;
        for i in 0..self.len().min(SHOWN) {
            let separator = if i > 0 { ", " } else { "" };
            match self {
                Array::List(lists) => write!(f, "{separator}list of {}", lists[i].len())?,
                _ => write!(f, "{separator}{}", self.get(i).unwrap_or(Value::Bool(false)))?,
            }
        }
        f.write_str(if self.len() > SHOWN { ", ...]" } else { "]" })
    }
}
