//! Weight files.

use std::collections::HashSet;

use super::scene::{Findings, Scene};
use super::{Confidence, EVERY, Rule, Severity};
use crate::{DType, Elements, Literal, Span, Type};

/// Most bytes of constants that compiled.
const MOST_BAKED: u64 = 1_500_000_000;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "ANE-44",
        title: "A program holds at most 1.5 GB of constants.",
        evidence: "1.5 GB compiles, 3.4 GB fails with `Not implemented` (ANEForge#45)",
        confidence: Confidence::Single,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: baked,
    },
    Rule {
        id: "ANE-45",
        title: "The record of a blob says what lies there: sentinel, type, bytes, and the offset of the data from the start of the file.",
        evidence: "storage format of coremltools; macOS 15 checks the size, so that files of mx with a fixed one compiled for 512 channels alone; macOS 26 is lenient",
        confidence: Confidence::Settled,
        chips: EVERY,
        strict: Severity::Error,
        lenient: Severity::Warning,
        find: records,
    },
];

/// Every constant that lies in a file.
fn blobs<'a>(scene: &Scene<'a>) -> impl Iterator<Item = (Span, &'a Literal, &'a str, u64)> {
    let attributes = scene.function.body.iter().flat_map(|s| s.attributes.iter().map(move |(_, l)| (s.span, l)));
    attributes.filter_map(|(span, literal)| match &literal.elements {
        Elements::Blob { path, offset } => Some((span, literal, path.as_str(), *offset)),
        _ => None,
    })
}

fn baked(scene: &Scene<'_>, found: &mut Findings) {
    let mut seen = HashSet::new();
    let distinct = blobs(scene).filter(|(_, _, path, offset)| seen.insert((*path, *offset)));
    let total = distinct.fold(0u64, |sum, (_, l, ..)| sum.saturating_add(l.ty.bytes().map_or(u64::MAX, |b| b as u64)));
    if total > MOST_BAKED {
        found.add(scene.function.span, format!("the weight files hold {total} bytes"));
    }
}

fn records(scene: &Scene<'_>, found: &mut Findings) {
    for (span, literal, path, offset) in blobs(scene) {
        let Some((_, file)) = scene.blobs.iter().find(|(name, _)| name == path) else { continue };
        if let Err(error) = data(file, offset, &literal.ty) {
            found.add(span, format!("{path} at {offset}: {error}"));
        }
    }
}

/// What a record begins with.
const SENTINEL: u32 = 0xDEAD_BEEF;

/// The bytes of a constant of type `ty` whose record lies at `offset` of `file`.
pub(super) fn data<'a>(file: &'a [u8], offset: u64, ty: &Type) -> Result<&'a [u8], String> {
    let begin = usize::try_from(offset).ok().filter(|o| o % 64 == 0).ok_or("a record lies at a multiple of 64")?;
    let record = begin.checked_add(64).and_then(|end| file.get(begin..end)).ok_or("the file ends before the record does")?;
    let u32_at = |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    if u32_at(0) != SENTINEL {
        return Err(format!("expected the sentinel {SENTINEL:#x}, found {:#x}", u32_at(0)));
    }
    let code = code(ty.dtype).ok_or_else(|| format!("no file holds {}", ty.dtype))?;
    if u32_at(4) != code {
        return Err(format!("expected type {code} ({}), found {}", ty.dtype, u32_at(4)));
    }
    let bytes = ty.bytes().map_or(u64::MAX, |b| b as u64);
    if u64_at(8) != bytes {
        return Err(format!("expected {bytes} bytes of {ty}, found {}", u64_at(8)));
    }
    let (from, to) = (usize::try_from(u64_at(16)).ok(), u64_at(16).checked_add(bytes).and_then(|e| usize::try_from(e).ok()));
    let data = from.filter(|f| *f > begin).zip(to).and_then(|(from, to)| file.get(from..to));
    data.ok_or_else(|| format!("the data at {} does not lie between the record and the end of the file", u64_at(16)))
}

/// Number of a type in a record.
fn code(dtype: DType) -> Option<u32> {
    Some(match dtype {
        DType::Fp16 => 1,
        DType::Fp32 => 2,
        DType::Uint8 => 3,
        DType::Int8 => 4,
        DType::Bf16 => 5,
        DType::Int16 => 6,
        DType::Uint16 => 7,
        DType::Int4 => 8,
        DType::Uint4 => 11,
        DType::Int32 => 14,
        DType::Uint32 => 15,
        _ => return None,
    })
}
