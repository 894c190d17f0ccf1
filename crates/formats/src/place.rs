//! Files that a model folder may name: regular files of that folder, and nothing else.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{FormatError, shown};

/// Opens a regular file and says how long it is. A pipe or a device would block or never end.
pub(crate) fn open_file(path: &Path, expected: &str) -> Result<(File, u64), FormatError> {
    let failed = |e| FormatError::read(path, expected, e);
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(FormatError::bad(path, "path", "something that is not a file", expected));
    }
    let file = File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    Ok((file, meta.len()))
}

/// `dir/name`, where `name` (taken from the file `source`) must be a plain file name that does not lead outside.
pub(crate) fn inside(dir: &Path, name: &str, source: &Path) -> Result<PathBuf, FormatError> {
    let plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
    if !plain {
        return Err(FormatError::bad(source, "file name", shown(name), "a plain file name inside the model's folder"));
    }
    let path = dir.join(name);
    let is_link = std::fs::symlink_metadata(&path).is_ok_and(|m| m.file_type().is_symlink());
    if is_link && !link_stays(dir, &path) {
        let expected = "a file inside the model's folder; copy the file in if you trust it";
        return Err(FormatError::bad(&path, "symbolic link", "a target outside the folder", expected));
    }
    Ok(path)
}

/// Whether a link ends in its own folder, or in the blob store of the hub cache that the folder is a snapshot of
/// (`models--X/snapshots/REV/` and `models--X/blobs/`).
fn link_stays(dir: &Path, path: &Path) -> bool {
    let (Ok(dir), Ok(target)) = (dir.canonicalize(), path.canonicalize()) else {
        // a dangling link is reported as missing by whoever opens it
        return !path.exists();
    };
    let snapshots = dir.parent().filter(|p| p.file_name().is_some_and(|n| n == "snapshots"));
    let blobs = snapshots.and_then(Path::parent).map(|repo| repo.join("blobs"));
    target.starts_with(&dir) || blobs.is_some_and(|blobs| target.parent() == Some(&blobs))
}
