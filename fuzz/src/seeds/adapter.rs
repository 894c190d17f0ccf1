//! Seeds of adapters of PEFT and of mlx-lm.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::hf::{container, model_folder, safetensors};
use super::{Seed, hostile_json, texts};

/// Rank of the sound adapters; width of the model, and of its queries.
const RANK: usize = 2;
const DIM: usize = 8;

/// A sound adapter of PEFT, and its base.
pub fn peft_folder(dir: &Path) {
    folder(dir, true);
}

/// A sound adapter of mlx-lm, and its base.
pub fn mlx_folder(dir: &Path) {
    folder(dir, false);
}

fn folder(dir: &Path, peft: bool) {
    fs::create_dir_all(dir.join("base")).expect("a folder for the base");
    model_folder(&dir.join("base"));
    let (name, config) = if peft { ("adapter_model", peft_config()) } else { ("adapters", mlx_config()) };
    fs::write(dir.join(format!("{name}.safetensors")), tensors(peft, RANK)).expect("an adapter can be written");
    fs::write(dir.join("adapter_config.json"), config).expect("an adapter can be written");
}

/// The factors of a query matrix.
fn tensors(peft: bool, rank: usize) -> Vec<u8> {
    let module = "model.layers.0.self_attn.q_proj";
    let names = if peft {
        ["A", "B"].map(|half| format!("base_model.model.{module}.lora_{half}.weight"))
    } else {
        ["a", "b"].map(|half| format!("{module}.lora_{half}"))
    };
    let shapes = if peft { [[rank, DIM], [DIM, rank]] } else { [[DIM, rank], [rank, DIM]] };
    let (mut header, bytes) = (Map::new(), 4 * rank * DIM);
    for (i, (name, shape)) in names.into_iter().zip(shapes).enumerate() {
        header.insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [i * bytes, (i + 1) * bytes] }));
    }
    let data: Vec<u8> = (0..2 * rank * DIM).flat_map(|i| (i as f32 / 64.0).to_le_bytes()).collect();
    container(&Value::Object(header).to_string(), &data)
}

fn peft_config() -> String {
    json!({ "peft_type": "LORA", "r": RANK, "lora_alpha": 4, "target_modules": ["q_proj"], "bias": "none",
            "rank_pattern": {}, "alpha_pattern": { "q_proj": 3 }, "modules_to_save": null, "use_rslora": false })
    .to_string()
}

fn mlx_config() -> String {
    json!({ "fine_tune_type": "lora", "num_layers": 2, "model": "base",
            "lora_parameters": { "rank": RANK, "scale": 20.0, "dropout": 0.0, "keys": ["self_attn.q_proj"] } })
    .to_string()
}

pub fn peft_configs() -> Vec<Seed> {
    let sound = peft_config();
    let mut seeds = hostile_json();
    seeds.extend(texts([
        ("rank-0", sound.replace("\"r\":2", "\"r\":0")),
        ("rank-2-63", sound.replace("\"r\":2", "\"r\":9223372036854775808")),
        ("alpha-huge", sound.replace("\"lora_alpha\":4", "\"lora_alpha\":1e308")),
        ("pattern", sound.replace("\"rank_pattern\":{}", "\"rank_pattern\":{\"(a*)*b\":1e300}")),
        ("dora", sound.replace("\"bias\"", "\"use_dora\":true,\"bias\"")),
        ("sound", sound),
    ]));
    seeds
}

pub fn mlx_configs() -> Vec<Seed> {
    let sound = mlx_config();
    let mut seeds = hostile_json();
    seeds.extend(texts([
        ("rank-0", sound.replace("\"rank\":2", "\"rank\":0")),
        ("scale-huge", sound.replace("20.0", "1e308")),
        ("full", sound.replace("\"lora\"", "\"full\"")),
        ("sound", sound),
    ]));
    seeds
}

/// Tensors of an adapter: of another rank than the configuration's, and what is wrong with any container.
pub fn weights(peft: bool) -> Vec<Seed> {
    let mut seeds: Vec<Seed> = safetensors();
    seeds.push(("sound".into(), tensors(peft, RANK)));
    seeds.push(("other-rank".into(), tensors(peft, 3)));
    seeds.push(("rank-0".into(), tensors(peft, 0)));
    seeds
}
