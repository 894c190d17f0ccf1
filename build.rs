//! Puts the git commit, the target and the compiler into the binary. Works without git and outside a checkout.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let commit = git_dir().and_then(|dir| commit(&dir)).unwrap_or_default();
    let short = commit.get(..12).unwrap_or("unknown");
    println!("cargo:rustc-env=AUTOANE_BUILD_COMMIT={short}");
    println!("cargo:rustc-env=AUTOANE_BUILD_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo:rustc-env=AUTOANE_BUILD_RUSTC={}", rustc());
}

/// `.git`, or what a worktree's `.git` file points to.
fn git_dir() -> Option<PathBuf> {
    let dot = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").ok()?).join(".git");
    if dot.is_dir() {
        return Some(dot);
    }
    let text = std::fs::read_to_string(&dot).ok()?;
    Some(dot.parent()?.join(text.strip_prefix("gitdir:")?.trim()))
}

fn commit(dir: &Path) -> Option<String> {
    let head = watched(&dir.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref:") else { return hash(&head) };
    // a worktree keeps its branches in the repository that it belongs to
    let common = watched(&dir.join("commondir")).map_or_else(|| dir.to_path_buf(), |c| dir.join(c.trim()));
    let loose = [dir.join(name.trim()), common.join(name.trim())];
    if let Some(found) = loose.iter().find_map(|path| watched(path)) {
        return hash(&found);
    }
    let packed = watched(&common.join("packed-refs"))?;
    packed.lines().filter_map(|line| line.split_once(' ')).find(|(_, n)| *n == name.trim()).and_then(|(h, _)| hash(h))
}

fn watched(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text)
}

fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() >= 12 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_owned())
}

fn rustc() -> String {
    let program = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(program).arg("--version").output().ok();
    output.and_then(|o| String::from_utf8(o.stdout).ok()).unwrap_or_default().trim().to_owned()
}
