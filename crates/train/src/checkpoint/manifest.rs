//! `MANIFEST.sha256`: one `sha256sum -c` line a file, sorted by path.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::disk::sync_dir;
use super::error::CheckpointError;

/// Name of the manifest.
pub const MANIFEST: &str = "MANIFEST.sha256";

/// No manifest of ours comes near it.
const LIMIT: u64 = 1 << 20;
/// Bytes of a path inside a checkpoint.
const LONGEST_PATH: usize = 1024;

/// Hashes and syncs every file under `dir`, writes the manifest, and syncs the folders.
pub(super) fn seal(dir: &Path) -> Result<(), CheckpointError> {
    let mut text = String::new();
    let (files, folders) = tree(dir)?;
    for name in files.keys().filter(|n| *n != MANIFEST) {
        let path = dir.join(name);
        let file = File::open(&path).map_err(|e| CheckpointError::io(&path, "reading", e))?;
        file.sync_all().map_err(|e| CheckpointError::io(&path, "syncing", e))?;
        text.push_str(&format!("{}  {name}\n", hash(&path, file)?));
    }
    let path = dir.join(MANIFEST);
    let mut file = File::create(&path).map_err(|e| CheckpointError::create(&path, e))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| CheckpointError::io(&path, "writing", e))?;
    folders.iter().rev().try_for_each(|folder| sync_dir(folder))
}

/// Checks every file of the checkpoint `dir` against its manifest.
///
/// # Errors
/// `Missing` without a folder or a manifest, `Corrupt` with the file that differs, `Io`.
pub fn verify(dir: &Path) -> Result<(), CheckpointError> {
    if !dir.is_dir() {
        return Err(CheckpointError::Missing { path: dir.into(), expected: "a checkpoint folder" });
    }
    let path = dir.join(MANIFEST);
    let listed = parse(&path, &read(&path)?)?;
    let (files, _) = tree(dir)?;
    for (name, expected) in &listed {
        let path = dir.join(name);
        if !files.contains_key(name) {
            return Err(CheckpointError::corrupt(&path, "the file is missing", "a file that the manifest lists"));
        }
        let file = File::open(&path).map_err(|e| CheckpointError::io(&path, "reading", e))?;
        let found = hash(&path, file)?;
        if found != *expected {
            let size = files.get(name).copied().unwrap_or(0);
            let found = format!("sha256 {found} ({size} bytes)");
            return Err(CheckpointError::corrupt(&path, found, format!("sha256 {expected}, as {MANIFEST} says")));
        }
    }
    // a manifest cut at the end of a line still parses: the files that it no longer names give it away
    let ours = |name: &str| name.ends_with(".json") || name.ends_with(".safetensors");
    match files.keys().find(|name| ours(name) && !listed.contains_key(*name)) {
        Some(name) => Err(CheckpointError::corrupt(&path, "a manifest that is cut short", format!("a line for {name}"))),
        None => Ok(()),
    }
}

fn read(path: &Path) -> Result<String, CheckpointError> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => CheckpointError::Missing { path: path.into(), expected: "the checkpoint's manifest" },
        _ => CheckpointError::io(path, "reading", e),
    };
    let meta = fs::symlink_metadata(path).map_err(failed)?;
    if !meta.is_file() || meta.len() > LIMIT {
        return Err(CheckpointError::corrupt(path, format!("{} bytes", meta.len()), format!("a file of at most {LIMIT}")));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(LIMIT).read_to_end(&mut bytes).map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| CheckpointError::corrupt(path, "bytes that are not text", "sha256sum lines"))
}

/// Path to hash.
fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, String>, CheckpointError> {
    let mut listed = BTreeMap::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bad = |found: &str| {
            CheckpointError::corrupt(path, format!("line {}: {found}", number + 1), "64 hex digits, two spaces, a relative path")
        };
        let line = line.strip_suffix('\n').ok_or_else(|| bad("no line end"))?;
        let (sum, name) = line.split_once("  ").ok_or_else(|| bad("no path"))?;
        let hex = sum.len() == 64 && sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let inside = !name.is_empty() && Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        if !hex || !inside || name.len() > LONGEST_PATH || name.contains(char::is_control) {
            return Err(bad(if hex { "a path that leads outside, or is none" } else { "no hash" }));
        }
        if listed.insert(name.to_owned(), sum.to_owned()).is_some() {
            return Err(bad("a path that was listed before"));
        }
    }
    if listed.is_empty() {
        return Err(CheckpointError::corrupt(path, "no lines", "at least one file"));
    }
    Ok(listed)
}

fn hash(path: &Path, mut file: File) -> Result<String, CheckpointError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(CheckpointError::io(path, "reading", e)),
        }
    }
    Ok(hasher.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Every file under `dir` (relative path to size) and every folder, `dir` first. Links and devices are refused: what they
/// lead to is not part of the checkpoint.
type Tree = (BTreeMap<String, u64>, Vec<PathBuf>);

fn tree(dir: &Path) -> Result<Tree, CheckpointError> {
    let (mut files, mut folders) = (BTreeMap::new(), vec![dir.to_path_buf()]);
    let mut next = 0;
    while let Some(folder) = folders.get(next).cloned() {
        next += 1;
        let failed = |e| CheckpointError::io(&folder, "reading", e);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
            if kind.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(dir).ok().and_then(Path::to_str).filter(|n| !n.contains(['\n', '\\']));
            match name {
                Some(name) if kind.is_file() => {
                    files.insert(name.to_owned(), entry.metadata().map_err(failed)?.len());
                }
                _ => return Err(CheckpointError::corrupt(&path, "a link, a device or an odd name", "plain files")),
            }
        }
    }
    Ok((files, folders))
}
