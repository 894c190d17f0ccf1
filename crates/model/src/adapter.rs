//! [`AdapterSpec`]: low-rank adapters (LoRA, Hu et al., arXiv 2106.09685) of some matrices of a model, and the layout of their
//! weights, which are a flat array of their own beside that of the model.
//!
//! `y = W x + s B A x`, with `A` `[rank, in]`, `B` `[out, rank]` and `s = alpha / rank`, or `alpha / sqrt(rank)` (rsLoRA,
//! Kalajdzievski, arXiv 2312.03732).

use serde::{Deserialize, Serialize};

use crate::layout::Part;

/// The parts of an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Half {
    /// Reads the input: `[rank, in]`.
    A,
    /// Writes the output: `[out, rank]`; zero at the beginning.
    B,
    /// Length of each row of the matrix with the adapter, in the form that has them: `[1, out]`.
    M,
}

/// Low-rank adapters of the same matrices in every block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterSpec {
    /// Rank of each.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f32,
    /// Scale by the square root of the rank.
    pub rank_stabilized: bool,
    /// Matrices that have one.
    pub targets: Vec<AdapterTarget>,
    /// Whether the gains of norms are trained too.
    pub norms: bool,
    /// How it is applied.
    pub form: AdapterForm,
}

/// How an adapter is applied while it is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdapterForm {
    /// Beside the weights, which are only read: `y = W x + s B (A x)`.
    #[default]
    Split,
    /// Multiplied out into a copy of the weights at each step: `y = (W + s B A) x`.
    Merged,
    /// Beside the weights, each row of the sum with a trained length: `y = m / |W + s B A| (W x + s B (A x))` (DoRA, Liu et
    /// al., arXiv 2402.09353).
    Dora,
}

/// A matrix that can have an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterTarget {
    /// `q_proj`
    QProj,
    /// `k_proj`
    KProj,
    /// `v_proj`
    VProj,
    /// `o_proj`
    OProj,
    /// `gate_proj`
    GateProj,
    /// `up_proj`
    UpProj,
    /// `down_proj`
    DownProj,
}

impl AdapterTarget {
    /// Every one, in the order of the layout.
    pub const ALL: [AdapterTarget; 7] = [
        AdapterTarget::QProj,
        AdapterTarget::KProj,
        AdapterTarget::VProj,
        AdapterTarget::OProj,
        AdapterTarget::GateProj,
        AdapterTarget::UpProj,
        AdapterTarget::DownProj,
    ];

    /// Its name in Hugging Face models.
    pub fn name(self) -> &'static str {
        match self {
            AdapterTarget::QProj => "q_proj",
            AdapterTarget::KProj => "k_proj",
            AdapterTarget::VProj => "v_proj",
            AdapterTarget::OProj => "o_proj",
            AdapterTarget::GateProj => "gate_proj",
            AdapterTarget::UpProj => "up_proj",
            AdapterTarget::DownProj => "down_proj",
        }
    }

    /// The weight of the block.
    pub fn part(self) -> Part {
        match self {
            AdapterTarget::QProj => Part::Q,
            AdapterTarget::KProj => Part::K,
            AdapterTarget::VProj => Part::V,
            AdapterTarget::OProj => Part::O,
            AdapterTarget::GateProj => Part::Gate,
            AdapterTarget::UpProj => Part::Up,
            AdapterTarget::DownProj => Part::Down,
        }
    }

    /// The targets that `text` names: `attention`, `ffn`, `all`, or names between commas, in the order of the layout.
    ///
    /// # Errors
    /// The word that names none.
    pub fn parse_list(text: &str) -> Result<Vec<AdapterTarget>, String> {
        let mut targets = Vec::new();
        for word in text.split(',').map(str::trim) {
            let (attention, ffn) = AdapterTarget::ALL.split_at(4);
            match word {
                "all" => targets.extend(AdapterTarget::ALL),
                "attention" => targets.extend(attention),
                "ffn" => targets.extend(ffn),
                name => targets.push(*AdapterTarget::ALL.iter().find(|t| t.name() == name).ok_or_else(|| name.to_owned())?),
            }
        }
        targets.sort_unstable();
        targets.dedup();
        Ok(targets)
    }
}

impl AdapterSpec {
    /// Factor on `B A`.
    pub fn scale(&self) -> f32 {
        let rank = self.rank as f32;
        self.alpha / if self.rank_stabilized { rank.sqrt() } else { rank }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_as_people_name_them() {
        assert_eq!(AdapterTarget::parse_list("all").map(|t| t.len()), Ok(7));
        assert_eq!(AdapterTarget::parse_list("v_proj,q_proj"), Ok(vec![AdapterTarget::QProj, AdapterTarget::VProj]));
        assert_eq!(AdapterTarget::parse_list("attention,q_proj").map(|t| t.len()), Ok(4));
        assert_eq!(AdapterTarget::parse_list("q_proj,head"), Err("head".to_owned()));
    }

    #[test]
    fn the_scale_is_alpha_over_the_rank_or_its_root() {
        let mut spec = AdapterSpec {
            rank: 16,
            alpha: 8.0,
            rank_stabilized: false,
            targets: vec![AdapterTarget::QProj],
            norms: false,
            form: AdapterForm::Split,
        };
        assert_eq!(spec.scale(), 0.5);
        spec.rank_stabilized = true;
        assert_eq!(spec.scale(), 2.0);
    }
}
