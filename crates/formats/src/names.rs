//! What other programs call our weights. The only place that knows; each format adds a column.

use model::{Half, Part, TensorId};

/// The names of one weight of a block.
struct Row {
    part: Part,
    /// After `model.layers.N.`
    hf: &'static str,
    /// After `blk.N.`
    gguf: &'static str,
}

const fn row(part: Part, hf: &'static str, gguf: &'static str) -> Row {
    Row { part, hf, gguf }
}

const BLOCK: [Row; 15] = [
    row(Part::AttnNorm, "input_layernorm.weight", "attn_norm.weight"),
    row(Part::Q, "self_attn.q_proj.weight", "attn_q.weight"),
    row(Part::K, "self_attn.k_proj.weight", "attn_k.weight"),
    row(Part::V, "self_attn.v_proj.weight", "attn_v.weight"),
    row(Part::QBias, "self_attn.q_proj.bias", "attn_q.bias"),
    row(Part::KBias, "self_attn.k_proj.bias", "attn_k.bias"),
    row(Part::VBias, "self_attn.v_proj.bias", "attn_v.bias"),
    row(Part::QNorm, "self_attn.q_norm.weight", "attn_q_norm.weight"),
    row(Part::KNorm, "self_attn.k_norm.weight", "attn_k_norm.weight"),
    row(Part::O, "self_attn.o_proj.weight", "attn_output.weight"),
    row(Part::OBias, "self_attn.o_proj.bias", "attn_output.bias"),
    row(Part::FfnNorm, "post_attention_layernorm.weight", "ffn_norm.weight"),
    row(Part::Gate, "mlp.gate_proj.weight", "ffn_gate.weight"),
    row(Part::Up, "mlp.up_proj.weight", "ffn_up.weight"),
    row(Part::Down, "mlp.down_proj.weight", "ffn_down.weight"),
];

const HF_BLOCK: &str = "model.layers.";
const HF_EMBED: &str = "model.embed_tokens.weight";
const HF_NORM: &str = "model.norm.weight";
const HF_HEAD: &str = "lm_head.weight";

const GGUF_BLOCK: &str = "blk.";
pub(crate) const GGUF_EMBED: &str = "token_embd.weight";
const GGUF_NORM: &str = "output_norm.weight";
pub(crate) const GGUF_HEAD: &str = "output.weight";
/// Divisors of the rotation frequencies, `[head_dim / 2]`.
pub(crate) const GGUF_ROPE: &str = "rope_freqs.weight";

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
        // peft's, without what it puts before every name
        TensorId::Adapter(l, part, half) => {
            let matrix = hf(TensorId::Layer(l, part));
            let half = match half {
                Half::A => "lora_A",
                Half::B => "lora_B",
                Half::M => "lora_magnitude_vector",
            };
            format!("{}.{half}.weight", matrix.trim_end_matches(".weight"))
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
    in_block(name, HF_BLOCK, |r| r.hf)
}

/// The weight of a block that is called `prefix N . name`, with the names of one column.
fn in_block(name: &str, prefix: &str, column: fn(&Row) -> &'static str) -> Option<TensorId> {
    let (layer, rest) = name.strip_prefix(prefix)?.split_once('.')?;
    let row = BLOCK.iter().find(|r| column(r) == rest)?;
    let number: usize = layer.parse().ok()?;
    // `+1` and `01` parse as well, and would be a second name for the same weight
    (number.to_string() == layer).then_some(TensorId::Layer(number, row.part))
}

/// The name of `id` in GGUF files.
pub fn gguf(id: TensorId) -> String {
    match id {
        TensorId::Embed => GGUF_EMBED.into(),
        TensorId::FinalNorm => GGUF_NORM.into(),
        TensorId::Head => GGUF_HEAD.into(),
        TensorId::Layer(l, part) => gguf_block(l, BLOCK.iter().find(|r| r.part == part).map_or("", |r| r.gguf)),
        TensorId::Adapter(l, part, half) => {
            let half = match half {
                Half::A => "lora_a",
                Half::B => "lora_b",
                Half::M => "lora_m",
            };
            format!("{}.{half}", gguf(TensorId::Layer(l, part)))
        }
    }
}

/// The tensor `name` of block `layer` in GGUF files.
pub(crate) fn gguf_block(layer: usize, name: &str) -> String {
    format!("{GGUF_BLOCK}{layer}.{name}")
}

/// The weight that GGUF files call `name`.
pub fn from_gguf(name: &str) -> Option<TensorId> {
    match name {
        GGUF_EMBED => Some(TensorId::Embed),
        GGUF_NORM => Some(TensorId::FinalNorm),
        GGUF_HEAD => Some(TensorId::Head),
        _ => in_block(name, GGUF_BLOCK, |r| r.gguf),
    }
}

/// Tensors of GGUF files that are no weights: what is derived from the keys, or read apart.
pub(crate) fn gguf_harmless(name: &str) -> bool {
    name == GGUF_ROPE || name.ends_with(".attn_rot_embd") || name == "rope_freqs"
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
            assert_eq!(from_gguf(&gguf(t.id)), Some(t.id));
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
