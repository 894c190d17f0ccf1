//! What the paths on a command line point at: runs, checkpoints, model folders, token files.

mod hint;

pub use hint::{instead_of_model, instead_of_run};

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use data::tokens::Width;
use train::checkpoint::{CheckpointError, CheckpointStore, MANIFEST, verify};

use crate::config::{RESOLVED_FILE, TokenWidth};
use crate::exit::{self, Exit};
use crate::out::Out;

/// Folder of a run's checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";

/// Whether `path` is a run folder.
pub fn is_run(path: &Path) -> bool {
    path.join(RESOLVED_FILE).is_file() && !path.join(MANIFEST).is_file()
}

/// Whether `path` is a checkpoint of ours.
pub fn is_checkpoint(path: &Path) -> bool {
    path.join(MANIFEST).is_file()
}

/// The model folder that `path` means: itself, or the best whole checkpoint of a run (the last one if there is no best).
/// A checkpoint is verified; what had to be passed over is said loudly.
///
/// # Errors
/// 65 for a damaged checkpoint, 66 when there is none, or no model: what is there instead, and what to pass.
pub fn model_folder(path: &Path, out: Out) -> anyhow::Result<PathBuf> {
    if is_checkpoint(path) {
        verify(path).map_err(|error| damaged(path, &error))?;
        return Ok(path.to_path_buf());
    }
    if !is_run(path) {
        return match instead_of_model(path) {
            Some(message) => Err(Exit::new(exit::MISSING, message).into()),
            None => Ok(path.to_path_buf()),
        };
    }
    let store = CheckpointStore::view(&path.join(CHECKPOINTS));
    if let Some(step) = store.best() {
        let best = store.path_of(step);
        match verify(&best) {
            Ok(()) => return Ok(best),
            Err(error) => out.warn(format!("the best checkpoint is not whole, the last one is taken: {error}")),
        }
    }
    let loaded = store.load_last().map_err(|error| none_whole(path, error))?;
    for skipped in &loaded.skipped {
        out.warn(format!("{}: passed over: {}", skipped.path.display(), skipped.reason));
    }
    Ok(loaded.path)
}

/// A checkpoint that is not what its manifest says: which file, and what to do.
pub fn damaged(path: &Path, error: &CheckpointError) -> anyhow::Error {
    let message = match hint::run_around(path) {
        Some(run) => format!("{error}. The checkpoint is damaged; pass its run, {}, for one that is whole", run.display()),
        None => format!("{error}. The checkpoint is damaged; copy it again, or export it again with `autoane convert`"),
    };
    Exit::new(error.exit_code(), message).into()
}

/// Every checkpoint of the run is damaged.
pub fn none_whole(run: &Path, error: CheckpointError) -> anyhow::Error {
    if !matches!(error, CheckpointError::NoneWhole { .. }) {
        return error.into();
    }
    let next = "restore one from a copy, or train again with --overwrite and the settings in config.resolved.toml";
    Exit::new(error.exit_code(), format!("{error}. The weights of {} are lost; {next}", run.display())).into()
}

/// Bytes at each end of a token file that are looked at.
const LOOK: u64 = 1 << 16;

/// Width of the tokens of the raw file `path`: the one asked for; four bytes for a vocabulary that two cannot number; else
/// four if every second half-word at both ends of the file is zero, which text in two-byte tokens never is.
///
/// # Errors
/// Those of reading.
pub fn token_width(path: &Path, asked: TokenWidth, vocab: Option<usize>) -> anyhow::Result<Width> {
    match asked {
        TokenWidth::U16 => return Ok(Width::U16),
        TokenWidth::U32 => return Ok(Width::U32),
        TokenWidth::Auto if vocab.is_some_and(|v| v > 1 << 16) => return Ok(Width::U32),
        TokenWidth::Auto => {}
    }
    let read = |e| data::DataError::reading(path, e);
    let mut file = File::open(path).map_err(read)?;
    let len = file.metadata().map_err(read)?.len();
    if len < 8 || len % 4 != 0 {
        return Ok(Width::U16);
    }
    let mut both = Vec::new();
    for start in [0, len.saturating_sub(LOOK) & !3] {
        file.seek(SeekFrom::Start(start)).map_err(read)?;
        (&mut file).take(LOOK).read_to_end(&mut both).map_err(read)?;
    }
    let high = both.chunks_exact(4).all(|w| w[2] == 0 && w[3] == 0);
    let low = both.chunks_exact(4).any(|w| w[0] != 0 || w[1] != 0);
    Ok(if high && low { Width::U32 } else { Width::U16 })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn widths_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.bin");
        let narrow: Vec<u8> = (0u16..1000).flat_map(|i| (i % 50).to_le_bytes()).collect();
        std::fs::write(&path, narrow).unwrap();
        assert_eq!(token_width(&path, TokenWidth::Auto, None).unwrap(), Width::U16);
        assert_eq!(token_width(&path, TokenWidth::Auto, Some(70_000)).unwrap(), Width::U32);
        let wide: Vec<u8> = (0u32..1000).flat_map(|i| (i % 50).to_le_bytes()).collect();
        std::fs::write(&path, wide).unwrap();
        assert_eq!(token_width(&path, TokenWidth::Auto, Some(512)).unwrap(), Width::U32);
        assert_eq!(token_width(&path, TokenWidth::U16, None).unwrap(), Width::U16);
    }
}
