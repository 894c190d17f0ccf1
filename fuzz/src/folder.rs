//! Runs a target on an input: the bytes become a file in a folder of sound files, below `FUZZ_FOLDER`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::bounds;
use crate::targets::{self, Target};

/// The target that the environment names.
#[cfg(fuzzing)]
pub fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&'static Target> = OnceLock::new();
    CHOSEN.get_or_init(|| targets::named(&std::env::var("FUZZ_TARGET").unwrap_or_default()))
}

/// Writes `bytes` where the target's reader finds them, and reads.
///
/// # Panics
/// Where the reader panics, or takes more memory or time than its bounds, or reports a bad file without saying what.
pub fn run(target: &'static Target, bytes: &[u8]) {
    let dir = prepared(target);
    let path = dir.join(target.file);
    fs::write(&path, bytes).expect("the input can be written");
    let mut complaint = None;
    bounds::within(target.base + target.factor * bytes.len(), || complaint = (target.read)(dir).err());
    if let Some(complaint) = complaint {
        complaint.check(&path);
    }
}

/// What a reader says of a bad file.
pub struct Complaint {
    /// Exit code of the program.
    pub code: u8,
    /// The message.
    pub text: String,
}

impl Complaint {
    /// A message must be short, free of what a terminal would obey, and name a file; the code must be one that is documented.
    fn check(&self, path: &Path) {
        let Complaint { code, text } = self;
        assert!(matches!(code, 65 | 66), "exit code {code}: {text}");
        assert!(text.len() < 4000, "a message of {} bytes", text.len());
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "control characters in {text:?}");
        let dir = path.parent().unwrap_or(path).display().to_string();
        assert!(text.contains(&dir), "no file named: {text}");
    }
}

fn prepared(target: &Target) -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let parent = std::env::var_os("FUZZ_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = parent.join(format!("{}-{}", target.name, std::process::id()));
        fs::create_dir_all(&dir).expect("a folder for the inputs");
        (target.prepare)(&dir);
        dir
    })
}
