//! Adapters on the command line: found where a model is expected, and joined with their base.

use std::path::{Path, PathBuf};

use formats::adapter::{Adapter, is_one};

use crate::exit;
use crate::out::Out;

/// The model that `path` means, and the adapter over it where `path` is one; its base is `base`, or the folder that its
/// configuration names, if that is on this machine.
///
/// # Errors
/// Those of reading an adapter; a usage error when its base is not known, or when `base` is given for something else.
pub fn resolve(path: &Path, base: Option<&Path>, out: Out) -> anyhow::Result<(PathBuf, Option<Adapter>)> {
    if !is_one(path) {
        return match base {
            Some(_) => Err(exit::usage(format!("--base: {} is no adapter", path.display()))),
            None => Ok((path.to_path_buf(), None)),
        };
    }
    let adapter = Adapter::open(path)?;
    let named = adapter.base.as_ref().map(PathBuf::from).filter(|p| p.exists());
    let found = base.map(Path::to_path_buf).or(named);
    let Some(base) = found else {
        let says = adapter.base.as_ref().map_or(String::new(), |b| format!(" (it says {b:?})"));
        let what = format!("{} is a {}: name the model that it is for{says} with --base", path.display(), adapter.kind);
        return Err(exit::usage(what));
    };
    out.say(format!("{} of {} over {}", adapter.kind, path.display(), base.display()));
    Ok((base, Some(adapter)))
}

/// `model` with the adapter merged into it, if there is one.
///
/// # Errors
/// 65 for an adapter of another model.
pub fn merged(model: formats::Model, adapter: Option<Adapter>) -> anyhow::Result<formats::Model> {
    match adapter {
        Some(adapter) => Ok(model.merged(adapter)?),
        None => Ok(model),
    }
}
