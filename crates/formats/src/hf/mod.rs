//! Hugging Face folders: `config.json` and `model.safetensors` (or shards with an index).

pub mod config;
mod describe;
mod inspect;
mod open;
mod rope;
mod shards;
mod write;

pub use config::Config;
pub use describe::to_config_json;
pub use inspect::inspect;
pub use open::open;
pub use write::{WriteOptions, write};
