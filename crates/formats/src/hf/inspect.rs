//! What a file or folder holds, also when it is no model that could be used.

use std::path::Path;

use super::config::{self, Config};
use super::open::{assemble, entries, read_config};
use super::shards;
use crate::error::FormatError;
use crate::inspect::Description;
use crate::safetensors::Container;

/// Describes a model folder, a single tensor file, or a `config.json`.
///
/// # Errors
/// `Missing`, `Io`, and `Bad` when the container itself is not sound.
pub fn inspect(path: &Path) -> Result<Description, FormatError> {
    if path.is_dir() {
        return folder(path);
    }
    if path.extension().is_some_and(|e| e == "json") {
        return Ok(describe(&[], Some(config::read(path)?)));
    }
    Ok(describe(&[Container::open(path)?], None))
}

fn folder(dir: &Path) -> Result<Description, FormatError> {
    let shards = shards::open(dir)?;
    let config = match read_config(dir) {
        Ok(config) => config,
        Err(problem) => return Ok(Description { problem: Some(problem), ..describe(&shards, None) }),
    };
    let description = describe(&shards, Some(config.clone()));
    Ok(Description { problem: assemble(dir, config, shards).err(), ..description })
}

fn describe(shards: &[Container], config: Option<Config>) -> Description {
    Description {
        bytes: shards.iter().map(Container::size).fold(0, u64::saturating_add),
        metadata: shards.iter().flat_map(|s| s.metadata().clone()).collect(),
        tensors: shards.iter().flat_map(entries).collect(),
        config,
        problem: None,
    }
}
