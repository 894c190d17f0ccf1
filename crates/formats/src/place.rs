//! Files that are read, and files that are put in their place: regular ones, inside the model's folder, and nothing else.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::Mmap;

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

/// An open file and its size.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    file: File,
    len: u64,
    /// Made when it is first asked for.
    map: Mutex<Option<Arc<Mmap>>>,
}

impl DataFile {
    /// Opens a regular file.
    pub fn open(path: &Path, expected: &str) -> Result<DataFile, FormatError> {
        let (file, len) = open_file(path, expected)?;
        Ok(DataFile { path: path.into(), file, len, map: Mutex::new(None) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// All of it, mapped.
    pub fn map(&self) -> Result<Arc<Mmap>, FormatError> {
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = &*map {
            return Ok(map.clone());
        }
        let expected = format!("the {} bytes that it had when it was opened", self.len);
        let made = crate::mapped::map(&self.file, self.len).map_err(|e| FormatError::read(&self.path, &expected, e))?;
        let made = made.ok_or_else(|| FormatError::bad(&self.path, "size", "fewer bytes", expected))?;
        Ok(map.insert(Arc::new(made)).clone())
    }

    /// Fills `buffer` from `offset` on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FormatError> {
        let expected = "the size that it had when it was opened";
        self.file.read_exact_at(buffer, offset).map_err(|e| FormatError::read(&self.path, expected, e))
    }
}

/// Writes `path` under another name, syncs it, and puts it in its place. `fill` is given `path`, for messages.
pub(crate) fn replace(path: &Path, fill: &mut dyn FnMut(&Path, &mut File) -> Result<(), FormatError>) -> Result<(), FormatError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp-{}", std::process::id()));
    let mut file = File::create(&temporary).map_err(|e| FormatError::create(&temporary, e))?;
    let done = fill(path, &mut file)
        .and_then(|()| file.sync_all().map_err(|e| FormatError::write(path, e)))
        .and_then(|()| fs::rename(&temporary, path).map_err(|e| FormatError::create(path, e)));
    if done.is_err() {
        // the error that is returned matters more than what is left behind
        let _ = fs::remove_file(&temporary);
    }
    done
}

/// Makes the names in `dir` outlive a power cut.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), FormatError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| FormatError::write(dir, e))
}

/// Longest file name that the systems' folders take, in bytes.
const LONGEST_NAME: usize = 255;

/// `dir/name`, where `name` (taken from the file `source`) must be a plain file name that does not lead outside.
pub(crate) fn inside(dir: &Path, name: &str, source: &Path) -> Result<PathBuf, FormatError> {
    let plain =
        !name.is_empty() && name != "." && name != ".." && !name.contains(|c: char| c == '/' || c == '\\' || c.is_control());
    if !plain || name.len() > LONGEST_NAME {
        let expected = format!("a plain file name inside the model's folder, of at most {LONGEST_NAME} bytes");
        return Err(FormatError::bad(source, "file name", shown(name), expected));
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
