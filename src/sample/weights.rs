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
    elements(file, t, None, if expand { None } else { kept(file, t) })
}

/// The weight `t` of a model over the ids `ids` of `file`, all of them without: in the type that it is stored in, where that is
/// read.
///
/// # Errors
/// Those of reading.
pub fn numbers_of(file: &formats::Model, t: &TensorInfo, ids: Option<&[u32]>) -> anyhow::Result<Numbers<'static>> {
    elements(file, t, ids.filter(|_| t.role == Role::Embedding), kept(file, t))
}

/// Whether a weight of `file` is held in f32.
pub fn is_f32(file: &formats::Model, t: &TensorInfo) -> bool {
    kept(file, t).is_none()
}

/// The type that a weight of `file` is held in, if that is not f32.
fn kept(file: &formats::Model, t: &TensorInfo) -> Option<Encoding> {
    let vector = matches!(t.role, Role::Norm | Role::Bias);
    let read = |e: &Encoding| matches!(e, Encoding::F16 | Encoding::Bf16 | Encoding::Q8_0);
    file.encoding(t.id).filter(|e| !vector && read(e))
}

fn elements(
    file: &formats::Model,
    t: &TensorInfo,
    ids: Option<&[u32]>,
    kept: Option<Encoding>,
) -> anyhow::Result<Numbers<'static>> {
    let missing = || EngineError::Length { what: "stored weight", found: 0, expected: t.range.len() };
    let Some(encoding) = kept else {
        let floats = match ids {
            None => file.tensor(t.id)?.ok_or_else(missing)?,
            Some(ids) => {
                let mut floats = vec![0.0; ids.len() * t.shape[1]];
                for (row, id) in floats.chunks_exact_mut(t.shape[1]).zip(ids) {
                    file.read_rows(t.id, *id as usize..*id as usize + 1, row)?;
                }
                floats
            }
        };
        return Ok(Numbers::F32(Cow::Owned(floats)));
    };
    let bytes = match ids {
        None => file.raw(t.id)?.ok_or_else(missing)?,
        Some(ids) => {
            let row = encoding.bytes_of(t.shape[1]).ok_or_else(missing)?;
            let mut bytes = vec![0; ids.len() * row];
            for (row, id) in bytes.chunks_exact_mut(row).zip(ids) {
                file.raw_rows(t.id, *id as usize..*id as usize + 1, row)?;
            }
            bytes
        }
    };
    Ok(match encoding {
        Encoding::F16 => Numbers::F16(Cow::Owned(bytes)),
        Encoding::Bf16 => Numbers::Bf16(Cow::Owned(bytes)),
        _ => Numbers::Q8_0(Cow::Owned(bytes)),
    })
}
