//! What other programs call our weights. The only place that knows; each format adds a column.

use model::{Part, TensorId};

/// The names of one weight of a block.
struct Row {
    part: Part,
    /// After `model.layers.N.`
    hf: &'static str,
}

const fn row(part: Part, hf: &'static str) -> Row {
    Row { part, hf }
}

const BLOCK: [Row; 15] = [
    row(Part::AttnNorm, "input_layernorm.weight"),
    row(Part::Q, "self_attn.q_proj.weight"),
    row(Part::K, "self_attn.k_proj.weight"),
    row(Part::V, "self_attn.v_proj.weight"),
    row(Part::QBias, "self_attn.q_proj.bias"),
    row(Part::KBias, "self_attn.k_proj.bias"),
    row(Part::VBias, "self_attn.v_proj.bias"),
    row(Part::QNorm, "self_attn.q_norm.weight"),
    row(Part::KNorm, "self_attn.k_norm.weight"),
    row(Part::O, "self_attn.o_proj.weight"),
    row(Part::OBias, "self_attn.o_proj.bias"),
    row(Part::FfnNorm, "post_attention_layernorm.weight"),
    row(Part::Gate, "mlp.gate_proj.weight"),
    row(Part::Up, "mlp.up_proj.weight"),
    row(Part::Down, "mlp.down_proj.weight"),
];

const HF_BLOCK: &str = "model.layers.";
const HF_EMBED: &str = "model.embed_tokens.weight";
const HF_NORM: &str = "model.norm.weight";
const HF_HEAD: &str = "lm_head.weight";

/// The name of `id` in Hugging Face files.
pub fn hf(id: TensorId) -> String {
    match id {
        TensorId::Embed => HF_EMBED.into(),
        TensorId::FinalNorm => HF_NORM.into(),
        TensorId::Head => HF_HEAD.into(),
        TensorId::Layer(l, part) => {
            let name = BLOCK.iter().find(|r| r.part == part).map_or("", |r| r.hf);
            format!("{HF_BLOCK}{l}.{name}")
        }
    }
}

/// The weight that Hugging Face files call `name`.
pub fn from_hf(name: &str) -> Option<TensorId> {
    match name {
        HF_EMBED => return Some(TensorId::Embed),
        HF_NORM => return Some(TensorId::FinalNorm),
        HF_HEAD => return Some(TensorId::Head),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix(HF_BLOCK)?.split_once('.')?;
    let row = BLOCK.iter().find(|r| r.hf == rest)?;
    let number: usize = layer.parse().ok()?;
    // `+1` and `01` parse as well, and would be a second name for the same weight
    (number.to_string() == layer).then_some(TensorId::Layer(number, row.part))
}

/// Tensors of older files that hold nothing but derived constants.
pub(crate) fn hf_harmless(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Layout, preset};

    #[test]
    fn names_go_there_and_back_for_every_weight() {
        let Some(preset) = preset("qwen3-0.6b") else { panic!("preset") };
        let spec = model::ModelSpec { qkv_bias: true, o_bias: true, tied: false, ..preset.spec };
        for t in Layout::of(&spec).tensors() {
            assert_eq!(from_hf(&hf(t.id)), Some(t.id));
        }
    }

    #[test]
    fn only_one_spelling_is_a_name() {
        for name in ["model.layers.01.mlp.up_proj.weight", "model.layers.+1.mlp.up_proj.weight", "model.layers.1.", "norm.weight"]
        {
            assert_eq!(from_hf(name), None, "{name}");
        }
    }
}
