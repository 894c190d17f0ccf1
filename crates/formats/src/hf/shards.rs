//! The tensor files of a folder: one, or those that an index names.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::{FormatError, shown};
use crate::json::{self, Keys, kind};
use crate::place;
use crate::safetensors::Container;

pub(super) const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Each stays open; more would meet the limit of open files.
const SHARD_LIMIT: usize = 512;

/// Opens every tensor file of the folder.
pub(super) fn open(dir: &Path) -> Result<Vec<Container>, FormatError> {
    if std::fs::symlink_metadata(dir.join(SINGLE)).is_ok() {
        return Ok(vec![Container::open(&place::inside(dir, SINGLE, dir)?)?]);
    }
    let index = place::inside(dir, INDEX, dir)?;
    if std::fs::symlink_metadata(&index).is_err() {
        let pickle = std::fs::symlink_metadata(dir.join("pytorch_model.bin")).is_ok();
        let hint = if pickle { "; pytorch_model.bin is a pickle, which is never read: convert it to safetensors" } else { "" };
        return Err(FormatError::Missing { path: dir.join(SINGLE), expected: format!("it, or {INDEX}{hint}") });
    }
    let map = json::read_object(&index, "an index of shards")?;
    let keys = Keys { path: &index, within: "", map: &map };
    let Some(weights) = keys.object("weight_map")? else {
        return Err(FormatError::bad(&index, keys.at("weight_map"), "nothing", "an object of tensor names to file names"));
    };
    listed(dir, &index, weights.map)
}

/// The shards of a `weight_map`, which must name each tensor's file and nothing that is not there.
fn listed(dir: &Path, index: &Path, map: &Map<String, Value>) -> Result<Vec<Container>, FormatError> {
    let mut files = BTreeSet::new();
    for (tensor, file) in map {
        let at = || format!("weight_map entry {}", shown(tensor));
        let name = file.as_str().ok_or_else(|| FormatError::bad(index, at(), kind(file), "a file name"))?;
        files.insert(name);
    }
    if files.is_empty() || files.len() > SHARD_LIMIT {
        let found = format!("{} shards", files.len());
        return Err(FormatError::bad(index, "key `weight_map`", found, format!("1 to {SHARD_LIMIT}")));
    }
    // all names are judged before any file is opened
    let paths: Vec<PathBuf> = files.iter().map(|name| place::inside(dir, name, index)).collect::<Result<_, _>>()?;
    let shards: Vec<Container> = paths.iter().map(|path| Container::open(path)).collect::<Result<_, _>>()?;
    let mut owner: HashMap<&str, &str> = HashMap::new();
    for (shard, file) in shards.iter().zip(&files) {
        for tensor in shard.tensors() {
            let bad = |found: &str, expected: String| {
                Err(FormatError::bad(shard.path(), format!("tensor {}", shown(&tensor.name)), found, expected))
            };
            if let Some(other) = owner.insert(&tensor.name, file) {
                return bad("a duplicate", format!("it once, and {} has it", shown(other)));
            }
            match map.get(&tensor.name).and_then(Value::as_str) {
                Some(listed) if listed == *file => {}
                Some(listed) => return bad("it here", format!("it in {}, as the index says", shown(listed))),
                None => return bad("it here", format!("an entry for it in {INDEX}")),
            }
        }
    }
    match map.keys().find(|name| !owner.contains_key(name.as_str())) {
        Some(name) => {
            let expected = "a tensor of the shard that the index names";
            Err(FormatError::bad(index, format!("weight_map entry {}", shown(name)), "a tensor that is not there", expected))
        }
        None => Ok(shards),
    }
}
