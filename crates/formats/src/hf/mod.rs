//! Hugging Face folders: `config.json` and `model.safetensors` (or shards with an index).

pub mod config;
mod describe;
mod inspect;
mod load;
mod open;
mod rope;
mod rows;
mod shards;
mod write;

pub use config::{Config, SpecialIds};
pub use describe::to_config_json;
pub use inspect::{Description, inspect};
pub use open::{HfModel, TensorEntry, open};
pub use rows::{Fill, VocabRows};
pub use write::{Source, WriteOptions, Written, flat, write};
