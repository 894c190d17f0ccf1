//! The weights of an opened model as they are stored: where they lie in its file, which is mapped, or, where that cannot be,
//! copied in the file's own type.

use std::sync::Arc;

use engine::{BaseWeights, DecodeWeights, EngineError, Frozen};
use formats::{Encoding, Mapped};
use kernels::stored::{Coded, Held, Numbers};
use model::{Layout, Role, TensorInfo};

/// All weights of `file`; matrices as they are stored, unless they are to be expanded to f32.
///
/// # Errors
/// Those of reading.
pub fn read(file: &formats::Model, expand: bool) -> anyhow::Result<DecodeWeights<'static>> {
    DecodeWeights::read(file.spec(), |t| elements(file, t, None, expand))
}

/// The weights of a model of `layout` over the ids `ids` of `file`, all of them without: matrices as they are stored.
///
/// # Errors
/// Those of reading.
pub fn frozen(file: &formats::Model, layout: &Layout, ids: Option<&[u32]>) -> anyhow::Result<BaseWeights> {
    let frozen = Frozen::read(layout, |t| elements(file, t, ids.filter(|_| t.role == Role::Embedding), false))?;
    Ok(BaseWeights::Stored(Arc::new(frozen)))
}

fn elements(file: &formats::Model, t: &TensorInfo, ids: Option<&[u32]>, expand: bool) -> anyhow::Result<Numbers<'static>> {
    if ids.is_none()
        && let Some((encoding, mapped)) = file.mapped(t.id)?
        && (encoding == Encoding::F32 || !expand)
        && let Some(numbers) = in_place(encoding, mapped)
    {
        return Ok(numbers);
    }
    let vector = matches!(t.role, Role::Norm | Role::Bias);
    match file.encoding(t.id).filter(|e| !vector && !expand && *e != Encoding::F32) {
        Some(encoding) => Ok(numbers(encoding, Held::Owned(bytes(file, t, ids, encoding)?))),
        None => Ok(Numbers::F32(Held::Owned(floats(file, t, ids)?))),
    }
}

/// A mapped matrix; none where its floats do not lie as the processor reads them.
fn in_place(encoding: Encoding, mapped: Mapped) -> Option<Numbers<'static>> {
    if encoding == Encoding::F32 {
        return mapped.floats().map(|floats| Numbers::F32(Held::Shared(Arc::new(floats))));
    }
    Some(numbers(encoding, Held::Shared(Arc::new(mapped))))
}

/// Bytes in an encoding that is not f32.
fn numbers(encoding: Encoding, bytes: Held<'static, u8>) -> Numbers<'static> {
    match encoding {
        Encoding::F16 => Numbers::F16(bytes),
        Encoding::Bf16 => Numbers::Bf16(bytes),
        Encoding::Q8_0 => Numbers::Q8_0(bytes),
        other => {
            let coded = Coded { weights: other.block_len(), bytes: other.block_bytes(), decode: other.decoder() };
            Numbers::Coded(coded, bytes)
        }
    }
}

fn missing(t: &TensorInfo) -> EngineError {
    EngineError::Length { what: "stored weight", found: 0, expected: t.range.len() }
}

fn floats(file: &formats::Model, t: &TensorInfo, ids: Option<&[u32]>) -> anyhow::Result<Vec<f32>> {
    let Some(ids) = ids else { return Ok(file.tensor(t.id)?.ok_or_else(|| missing(t))?) };
    let mut floats = vec![0.0; ids.len() * t.shape[1]];
    for (row, id) in floats.chunks_exact_mut(t.shape[1]).zip(ids) {
        file.read_rows(t.id, *id as usize..*id as usize + 1, row)?;
    }
    Ok(floats)
}

fn bytes(file: &formats::Model, t: &TensorInfo, ids: Option<&[u32]>, encoding: Encoding) -> anyhow::Result<Vec<u8>> {
    let Some(ids) = ids else { return Ok(file.raw(t.id)?.ok_or_else(|| missing(t))?) };
    let row = encoding.bytes_of(t.shape[1]).ok_or_else(|| missing(t))?;
    let mut bytes = vec![0; ids.len() * row];
    for (row, id) in bytes.chunks_exact_mut(row).zip(ids) {
        file.raw_rows(t.id, *id as usize..*id as usize + 1, row)?;
    }
    Ok(bytes)
}
