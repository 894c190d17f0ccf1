//! Syncing, and the space that is left.

use std::ffi::CString;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::error::CheckpointError;

/// Makes the entries of the folder `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), CheckpointError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(|e| CheckpointError::io(dir, "syncing", e))
}

/// Bytes that this user can still write to the file system of `path`, or of its nearest parent that exists. `None` when the
/// system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let path = std::path::absolute(path).ok()?;
    let there = path.ancestors().find(|p| p.exists())?;
    let name = CString::new(there.as_os_str().as_bytes()).ok()?;
    statvfs(&name)
}

#[allow(unsafe_code)]
// the widths of the fields differ between systems
#[allow(clippy::unnecessary_cast)]
fn statvfs(name: &CString) -> Option<u64> {
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `name` ends with a zero byte, and `stat` has room for what the call writes.
    if unsafe { libc::statvfs(name.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so it has filled `stat`.
    let stat = unsafe { stat.assume_init() };
    (stat.f_bavail as u64).checked_mul(stat.f_frsize as u64)
}
