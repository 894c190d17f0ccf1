//! The framework's dictionaries as plain values.

use std::collections::BTreeMap;

use objc2::runtime::AnyObject;
use objc2_foundation::{NSArray, NSDictionary, NSNumber, NSString};

use crate::ports::Value;

/// Levels that are followed; the attributes of a model have five.
const DEPTH: usize = 16;

/// `object` as a plain value.
pub fn plain(object: &AnyObject) -> Value {
    level(object, DEPTH)
}

fn level(object: &AnyObject, depth: usize) -> Value {
    if depth == 0 {
        return Value::Other;
    }
    if let Some(text) = object.downcast_ref::<NSString>() {
        return Value::Text(text.to_string());
    }
    if let Some(number) = object.downcast_ref::<NSNumber>() {
        return Value::Number(number.as_i64());
    }
    if let Some(list) = object.downcast_ref::<NSArray>() {
        return Value::List(list.to_vec().iter().map(|item| level(item, depth - 1)).collect());
    }
    let Some(map) = object.downcast_ref::<NSDictionary>() else { return Value::Other };
    let (keys, values) = map.to_vecs();
    let entry = |(key, value): (&_, &_)| {
        let (key, value): (&AnyObject, &AnyObject) = (key, value);
        Some((key.downcast_ref::<NSString>()?.to_string(), level(value, depth - 1)))
    };
    let pairs = keys.iter().map(|k| &**k).zip(values.iter().map(|v| &**v));
    Value::Map(pairs.filter_map(entry).collect::<BTreeMap<_, _>>())
}
