//! The temporary folder of a program: `IDENTIFIER/model.mil` and its weight files, which the system's compiler reads.
//!
//! The identifier is a hash of the program, so that two processes (or two loaded programs) that are equal share a folder.
//! Whoever uses it holds a shared lock of the file `IDENTIFIER.lock` beside it; whoever leaves removes it if nobody else
//! does.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Prefix of weight files in a program: the folder itself.
const MODEL_PATH: &str = "@model_path/";

/// Where the weight file `key` of a program lies in its folder; none when it would not lie in it.
pub fn relative(key: &str) -> Option<PathBuf> {
    let rest = key.strip_prefix(MODEL_PATH)?;
    let path = Path::new(rest);
    let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
    let hostile = rest.is_empty() || rest.contains(['\\', '\0']) || rest.split('/').any(|part| part.is_empty() || part == ".");
    (plain && !hostile && path != Path::new("model.mil")).then(|| path.to_path_buf())
}

/// A file of a program: where it lies in its folder, and its bytes.
pub type ProgramFile<'b> = (PathBuf, &'b [u8]);

/// The weight files of a program.
///
/// # Errors
/// The name that would lie outside the folder.
pub fn files(blobs: &[(String, Vec<u8>)]) -> Result<Vec<ProgramFile<'_>>, String> {
    let file = |(key, bytes): &'_ (String, Vec<u8>)| relative(key).map(|path| (path, bytes.len())).ok_or_else(|| key.clone());
    let paths: Vec<(PathBuf, usize)> = blobs.iter().map(file).collect::<Result<_, _>>()?;
    Ok(paths.into_iter().zip(blobs).map(|((path, _), (_, bytes))| (path, bytes.as_slice())).collect())
}

/// The folder of a program, removed with the last of its users.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    lock_path: PathBuf,
    lock: File,
}

impl TemporaryFolder {
    /// Writes `text` and `files` into the folder `identifier` of `root`.
    ///
    /// # Errors
    /// Those of the file system; [`io::ErrorKind::InvalidInput`] when the identifier is not a plain name.
    pub fn create(root: &Path, identifier: &str, text: &str, files: &[ProgramFile<'_>]) -> io::Result<TemporaryFolder> {
        let plain = !identifier.is_empty() && identifier.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !plain {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the identifier {identifier:?} is not a plain name"),
            ));
        }
        let lock_path = root.join(format!("{identifier}.lock"));
        let lock = shared_lock(&lock_path)?;
        // from here on dropping it removes what was written
        let folder = TemporaryFolder { path: root.join(identifier), lock_path, lock };
        fs::create_dir_all(folder.path.join("weights"))?;
        put(&folder.path.join("model.mil"), text.as_bytes())?;
        for (path, bytes) in files {
            put(&folder.path.join(path), bytes)?;
        }
        Ok(folder)
    }

    /// Where it is.
    #[cfg(test)]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A shared lock of the file at `path` as it is there: whoever left last may have removed the file that was opened, and then
/// the lock of it keeps nobody away.
fn shared_lock(path: &Path) -> io::Result<File> {
    loop {
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        lock.lock_shared()?;
        if is_at(&lock, path) {
            return Ok(lock);
        }
    }
}

/// Whether `file` is the one at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |m: fs::Metadata| (m.dev(), m.ino());
    file.metadata().ok().map(id) == fs::metadata(path).ok().map(id)
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Writes a file unless it is there already: another user of the folder may be reading it.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let same_length = fs::metadata(path).is_ok_and(|m| m.len() == bytes.len() as u64);
    if same_length && fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let fresh = path.with_extension(format!("new-{}-{}", std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed)));
    fs::write(&fresh, bytes)?;
    fs::rename(&fresh, path)
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // a lock that is held is not turned into another one: what that does differs between systems
        let alone = self.lock.unlock().is_ok() && self.lock.try_lock().is_ok();
        if alone {
            // what cannot be removed is left to the system, which empties its temporary folder
            let _ = fs::remove_dir_all(&self.path);
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn weight_files_lie_in_the_folder_or_are_refused() {
        assert_eq!(relative("@model_path/weights/wq.bin"), Some(PathBuf::from("weights/wq.bin")));
        for hostile in [
            "weights/wq.bin",
            "@model_path/",
            "@model_path/../x.bin",
            "@model_path/weights/../../x.bin",
            "@model_path//etc/passwd",
            "@model_path/./x.bin",
            "@model_path/weights/",
            "@model_path/weights\\..\\x",
            "@model_path/a\0b",
            "@model_path/model.mil",
            "/etc/passwd",
        ] {
            assert_eq!(relative(hostile), None, "{hostile:?}");
        }
        let blobs = [("@model_path/weights/a.bin".to_owned(), vec![1]), ("@model_path/../b".to_owned(), vec![2])];
        assert_eq!(files(&blobs), Err("@model_path/../b".to_owned()));
        assert_eq!(files(&blobs[..1]), Ok(vec![(PathBuf::from("weights/a.bin"), &[1u8][..])]));
    }

    #[test]
    fn files_are_there_while_one_user_is_and_gone_after_the_last() {
        let root = tempfile::tempdir().unwrap();
        let files = [(PathBuf::from("weights/a.bin"), &b"weights"[..])];
        let one = TemporaryFolder::create(root.path(), "ab_12", "program", &files).unwrap();
        let two = TemporaryFolder::create(root.path(), "ab_12", "program", &files).unwrap();
        let path = one.path().to_path_buf();
        drop(one);
        assert_eq!(fs::read(path.join("model.mil")).unwrap(), b"program");
        assert_eq!(fs::read(path.join("weights/a.bin")).unwrap(), b"weights");
        drop(two);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn users_that_come_and_go_at_once_never_lose_their_files() {
        let root = tempfile::tempdir().unwrap();
        let user = || {
            for _ in 0..2000 {
                let files = [(PathBuf::from("weights/a.bin"), &b"weights"[..])];
                let folder = TemporaryFolder::create(root.path(), "ab", "program", &files).unwrap();
                assert_eq!(fs::read(folder.path().join("model.mil")).unwrap(), b"program");
            }
        };
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(user))));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_left_half_written_is_written_anew() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("ab/weights")).unwrap();
        fs::write(root.path().join("ab/weights/a.bin"), b"wei").unwrap();
        let files = [(PathBuf::from("weights/a.bin"), &b"weights"[..])];
        let folder = TemporaryFolder::create(root.path(), "ab", "program", &files).unwrap();
        assert_eq!(fs::read(folder.path().join("weights/a.bin")).unwrap(), b"weights");
    }

    #[test]
    fn an_identifier_that_leads_elsewhere_and_a_folder_that_cannot_be_made_leave_nothing() {
        let root = tempfile::tempdir().unwrap();
        for hostile in ["", "..", "a/b", "/etc", "a.b"] {
            assert!(TemporaryFolder::create(root.path(), hostile, "", &[]).is_err(), "{hostile}");
        }
        fs::write(root.path().join("ab"), b"a file where the folder goes").unwrap();
        assert!(TemporaryFolder::create(root.path(), "ab", "", &[]).is_err());
        assert!(!root.path().join("ab.lock").exists());
    }
}
