//! `autoane data download`: a published set, wherever it can be had from: the folder itself, the cache of the hub's own
//! tools, or (with the feature `download`) the hub.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use data::DataError;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cli::{DataSetName, DownloadArgs};
use crate::corpus;
use crate::exit::{self, Exit};
use crate::out::{self, Out};

/// A file of a data set on the hub.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Data set: `owner/name`.
    pub repository: &'static str,
    /// Commit.
    pub revision: &'static str,
    /// Name of the file.
    pub file: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub sha256: &'static str,
}

const TINYSTORIES: Published = Published {
    repository: "roneneldan/TinyStories",
    revision: "f54c09fd23315a6f9c86f9dc80f725de7d8f9c64",
    file: "TinyStories-train.txt",
    bytes: 1_924_281_556,
    sha256: "c5cf5e22ff13614e830afbe61a99fbcbe8bcb7dd72252b989fa1117a368d401f",
};

/// Puts the set into its folder, checked.
pub fn run(args: &DownloadArgs, out: Out) -> anyhow::Result<()> {
    let set = match args.name {
        DataSetName::Tinystories => TINYSTORIES,
    };
    let default = corpus::cache_dir().join("tinystories");
    let is_default = args.out.as_ref().is_none_or(|o| *o == default);
    let folder = args.out.clone().unwrap_or(default);
    let target = folder.join(set.file);
    let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let how = if target.is_file() {
        verify(&target, &set, out)?;
        "already there"
    } else if let Some(cached) = in_hub_cache(&hub_cache(env), &set) {
        verify(&cached, &set, out)?;
        adopt(&cached, &target)?;
        "taken from the cache of the hub's tools"
    } else {
        obtain(&set, &folder, env, out)?;
        "fetched"
    };
    out.line(format!("{}: {how}, {}, sha256 as published", target.display(), out::bytes(set.bytes)))?;
    let data = if is_default { "tinystories".to_owned() } else { target.display().to_string() };
    out.say(format!("train on it with: autoane train --data {data}"));
    out.json(&json!({ "path": target, "bytes": set.bytes, "sha256": set.sha256, "how": how }))
}

#[cfg(feature = "download")]
fn obtain(set: &Published, folder: &Path, env: impl Fn(&str) -> Option<String>, out: Out) -> anyhow::Result<()> {
    if env("HF_HUB_OFFLINE").is_some_and(|v| !matches!(v.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off")) {
        return Err(instead("HF_HUB_OFFLINE is set", set, folder));
    }
    let endpoint = env("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
    let token = env("HF_TOKEN").or_else(|| fs::read_to_string(hub_home(&env).join("token")).ok());
    let remote = super::fetch::Remote { endpoint: endpoint.trim_end_matches('/'), token: token.as_deref().map(str::trim) };
    super::fetch::fetch(&remote, set, folder, out)
}

#[cfg(not(feature = "download"))]
fn obtain(set: &Published, folder: &Path, _env: impl Fn(&str) -> Option<String>, _out: Out) -> anyhow::Result<()> {
    Err(instead("this build is without the feature `download` (pure Rust, without TLS)", set, folder))
}

/// What to do where nothing can be fetched.
fn instead(why: &str, set: &Published, folder: &Path) -> anyhow::Error {
    let (repository, file, revision, folder) = (set.repository, set.file, set.revision, folder.display());
    let message = format!(
        "{why}, so nothing can be fetched here.\n\
         Fetch {file} ({}, sha256 {}) by other means, for example\n\
         \x20 hf download {repository} {file} --repo-type dataset --revision {revision} --local-dir {folder}\n\
         and check it with this command, or train on it from any place with\n\
         \x20 autoane train --data path/to/{file}\n\
         The built-in stories (--data stories, the default) need no file at all.",
        out::bytes(set.bytes),
        set.sha256,
    );
    Exit::new(exit::UNAVAILABLE, message).into()
}

/// Compares size and hash.
///
/// # Errors
/// 65 with what differs.
pub fn verify(path: &Path, set: &Published, out: Out) -> anyhow::Result<()> {
    let bad = |expected: String, found: String| DataError::Bad {
        path: path.to_path_buf(),
        place: data::Place::File,
        expected,
        found: format!("{found}; remove the file and fetch it again"),
    };
    let bytes = fs::metadata(path).map_err(|e| DataError::reading(path, e))?.len();
    if bytes != set.bytes {
        return Err(bad(format!("{} bytes", set.bytes), bytes.to_string()).into());
    }
    let (hash, _) = hash_file(path, set.bytes, out)?;
    let found = hex(hash);
    if found != set.sha256 {
        return Err(bad(format!("sha256 {}", set.sha256), found).into());
    }
    Ok(())
}

/// The hash of a file so far, and its length.
pub fn hash_file(path: &Path, total: u64, out: Out) -> anyhow::Result<(Sha256, u64)> {
    let mut file = File::open(path).map_err(|e| DataError::reading(path, e))?;
    let mut progress = out.progress("checking", total);
    let (mut hash, mut done, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut buffer).map_err(|e| DataError::reading(path, e))?;
        if n == 0 {
            return Ok((hash, done));
        }
        hash.update(&buffer[..n]);
        done += n as u64;
        progress.update(done, out::bytes(done));
    }
}

/// A hash as text.
pub fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// `HF_HOME`, or where the hub's tools put it.
fn hub_home(env: &impl Fn(&str) -> Option<String>) -> PathBuf {
    let cache =
        || env("XDG_CACHE_HOME").map_or_else(|| PathBuf::from(env("HOME").unwrap_or_default()).join(".cache"), PathBuf::from);
    env("HF_HOME").map_or_else(|| cache().join("huggingface"), PathBuf::from)
}

fn hub_cache(env: impl Fn(&str) -> Option<String>) -> PathBuf {
    env("HF_HUB_CACHE").map_or_else(|| hub_home(&env).join("hub"), PathBuf::from)
}

/// The file in any snapshot of the hub's cache, if it has the right size.
fn in_hub_cache(cache: &Path, set: &Published) -> Option<PathBuf> {
    let snapshots = cache.join(format!("datasets--{}", set.repository.replace('/', "--"))).join("snapshots");
    let found = fs::read_dir(snapshots).ok()?.filter_map(|e| e.ok()?.path().join(set.file).canonicalize().ok());
    found.into_iter().find(|path| path.metadata().is_ok_and(|m| m.len() == set.bytes))
}

/// Makes `target` the same file as `cached`, or a copy where that cannot be.
fn adopt(cached: &Path, target: &Path) -> anyhow::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| DataError::writing(folder, e))?;
    if fs::hard_link(cached, target).is_ok() {
        return Ok(());
    }
    let part = target.with_extension("part");
    fs::copy(cached, &part).and_then(|_| fs::rename(&part, target)).map_err(|e| DataError::writing(target, e))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SMALL: Published = Published {
        repository: "a/b",
        revision: "main",
        file: "f.txt",
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    #[test]
    fn a_file_is_checked_against_size_and_hash() {
        let dir = tempfile::tempdir().unwrap();
        let (path, out) = (dir.path().join("f.txt"), Out::new(false, true, false));
        for (text, word) in [("abc", None), ("abcd", Some("3 bytes")), ("abd", Some("sha256"))] {
            fs::write(&path, text).unwrap();
            let result = verify(&path, &SMALL, out);
            assert_eq!(result.as_ref().err().map(exit::code_of), word.map(|_| exit::BAD_DATA), "{text}");
            assert!(word.is_none_or(|w| result.unwrap_err().to_string().contains(w)), "{text}");
        }
    }

    #[test]
    fn the_cache_of_the_hubs_tools_is_looked_into() {
        let dir = tempfile::tempdir().unwrap();
        let env = |name: &str| (name == "HF_HOME").then(|| dir.path().to_string_lossy().into_owned());
        let snapshot = dir.path().join("hub/datasets--a--b/snapshots/123");
        fs::create_dir_all(&snapshot).unwrap();
        assert_eq!(in_hub_cache(&hub_cache(env), &SMALL), None);
        fs::write(snapshot.join("f.txt"), "abc").unwrap();
        let cached = in_hub_cache(&hub_cache(env), &SMALL).unwrap();
        let target = dir.path().join("x/f.txt");
        adopt(&cached, &target).unwrap();
        assert_eq!(fs::read(target).unwrap(), b"abc");
    }
}
