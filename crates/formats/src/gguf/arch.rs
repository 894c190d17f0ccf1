//! Architectures: which families a GGUF file can hold, and under which names.

use model::Family;

use super::metadata::Metadata;
use crate::error::{FormatError, shown};

/// One architecture of llama.cpp.
#[derive(Debug)]
pub(super) struct Arch {
    /// `general.architecture`, and the first part of the keys.
    pub name: &'static str,
    /// What its models are here.
    pub family: Family,
    /// Rows of Q and K lie in interleaved pairs (ggml's rotation `NORM`), else in halves (`NEOX`).
    pub interleaved: bool,
    /// Which layers have biases on Q, K and V.
    pub qkv_bias: Biases,
    /// The output projection may have one.
    pub o_bias: bool,
}

/// What an architecture has of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Biases {
    /// With or without.
    Either,
    /// Always.
    Always,
    /// Not at all.
    Never,
}

const ARCHS: [Arch; 4] = [
    Arch { name: "llama", family: Family::Llama, interleaved: true, qkv_bias: Biases::Either, o_bias: true },
    Arch { name: "qwen2", family: Family::Qwen2, interleaved: false, qkv_bias: Biases::Always, o_bias: false },
    Arch { name: "qwen3", family: Family::Qwen3, interleaved: false, qkv_bias: Biases::Never, o_bias: false },
    Arch { name: "smollm3", family: Family::SmolLm3, interleaved: true, qkv_bias: Biases::Never, o_bias: false },
];

/// Our own note, where the architecture does not tell families apart.
pub(super) const FAMILY: &str = "autoane.family";
const MISTRAL: &str = "mistral";

/// Layers of smollm3 without rotation: each fourth, which is no key of the file.
pub(super) fn no_rope(family: Family, layers: usize) -> Vec<usize> {
    let last = if family == Family::SmolLm3 { layers } else { 0 };
    (0..last).filter(|layer| layer % 4 == 3).collect()
}

impl Arch {
    /// The key `rest` of this architecture.
    pub fn key(&self, rest: &str) -> String {
        format!("{}.{rest}", self.name)
    }

    /// How a family is written, with the note that the name of the architecture leaves out.
    pub fn of(family: Family) -> (&'static Arch, Option<&'static str>) {
        let note = (family == Family::Mistral).then_some(MISTRAL);
        (ARCHS.iter().find(|a| a.family == family).unwrap_or(&ARCHS[0]), note)
    }

    /// Architecture and family of a file.
    pub fn read(metadata: &Metadata) -> Result<(&'static Arch, Family), FormatError> {
        const KEY: &str = "general.architecture";
        let name = metadata.need_text(KEY)?;
        let Some(arch) = ARCHS.iter().find(|a| a.name == name) else {
            let names: Vec<&str> = ARCHS.iter().map(|a| a.name).collect();
            let supported = format!("supported are {}", names.join(", "));
            return Err(FormatError::unsupported(metadata.path(), metadata.at(KEY), shown(name), supported));
        };
        let mistral = metadata.text(FAMILY)? == Some(MISTRAL) && arch.family == Family::Llama;
        Ok((arch, if mistral { Family::Mistral } else { arch.family }))
    }
}
