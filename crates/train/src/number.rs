//! Serde form of floats that may be NaN or infinite: JSON has no word for them, so they are `null`, and `null` reads as NaN.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a finite number, or null.
pub fn serialize<T: Copy + Into<f64> + Serialize, S: Serializer>(value: &T, out: S) -> Result<S::Ok, S::Error> {
    let wide: f64 = (*value).into();
    wide.is_finite().then_some(*value).serialize(out)
}

/// Reads a number; null is NaN.
pub fn deserialize<'de, T: From<f32> + Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(input)?.unwrap_or_else(|| T::from(f32::NAN)))
}
