//! The weights of an opened model for decoding: in the file's own type where a kernel reads it, else in f32.

use std::borrow::Cow;

use engine::{DecodeWeights, EngineError};
use formats::Encoding;
use kernels::stored::Numbers;
use model::{Role, TensorInfo};

/// All weights of `file`; matrices in f32, f16, bf16 or q8_0 as they are stored, unless they are to be expanded to f32.
///
/// # Errors
/// Those of reading.
pub fn read(file: &formats::Model, expand: bool) -> anyhow::Result<DecodeWeights<'static>> {
    DecodeWeights::read(file.spec(), |t| numbers(file, t, expand))
}

fn numbers(file: &formats::Model, t: &TensorInfo, expand: bool) -> anyhow::Result<Numbers<'static>> {
    let vector = matches!(t.role, Role::Norm | Role::Bias);
    let encoding = file.encoding(t.id).filter(|_| !expand && !vector);
    let stored = match encoding {
        Some(Encoding::F16) => file.raw(t.id)?.map(|bytes| Numbers::F16(Cow::Owned(bytes))),
        Some(Encoding::Bf16) => file.raw(t.id)?.map(|bytes| Numbers::Bf16(Cow::Owned(bytes))),
        Some(Encoding::Q8_0) => file.raw(t.id)?.map(|bytes| Numbers::Q8_0(Cow::Owned(bytes))),
        _ => file.tensor(t.id)?.map(|floats| Numbers::F32(Cow::Owned(floats))),
    };
    Ok(stored.ok_or(EngineError::Length { what: "stored weight", found: 0, expected: t.range.len() })?)
}
