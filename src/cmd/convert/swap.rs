//! Two names of a folder exchanged in one step, where the system can.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Exchanges what the names `a` and `b` lead to: at every moment both are there.
///
/// # Errors
/// Those of the system; also where it, or the file system, cannot.
pub fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from);
    let (a, b) = (name(a)?, name(b)?);
    if swap(&a, &b) == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// 0, or -1 with the reason in `errno`.
#[cfg(target_os = "linux")]
fn swap(a: &CString, b: &CString) -> i64 {
    let here = libc::AT_FDCWD;
    // SAFETY: both names end with a zero byte and outlive the call. By number: not every C library has the function.
    unsafe { libc::syscall(libc::SYS_renameat2, here, a.as_ptr(), here, b.as_ptr(), libc::RENAME_EXCHANGE) as i64 }
}

/// 0, or -1 with the reason in `errno`.
#[cfg(target_os = "macos")]
fn swap(a: &CString, b: &CString) -> i64 {
    // SAFETY: both names end with a zero byte and outlive the call.
    i64::from(unsafe { libc::renamex_np(a.as_ptr(), b.as_ptr(), libc::RENAME_SWAP) })
}

/// Other systems have no such call.
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn swap(_: &CString, _: &CString) -> i64 {
    -1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn two_folders_change_places_and_a_missing_one_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        for (folder, text) in [(&a, "first"), (&b, "second")] {
            std::fs::create_dir(folder).unwrap();
            std::fs::write(folder.join("file"), text).unwrap();
        }
        if cfg!(any(target_os = "linux", target_os = "macos")) {
            exchange(&a, &b).unwrap();
            assert_eq!(std::fs::read(a.join("file")).unwrap(), b"second");
            assert_eq!(std::fs::read(b.join("file")).unwrap(), b"first");
        }
        assert!(exchange(&a, &dir.path().join("nothing")).is_err());
    }
}
