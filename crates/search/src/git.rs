//! Kept trials as commits on a branch of their own. Objects and the branch are written by git's plumbing with an index of
//! their own: the user's files, index and current branch are never touched, and nothing is ever reset.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::SearchError;

/// A repository.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The repository that `folder` lies in.
    ///
    /// # Errors
    /// [`SearchError::Git`] outside of one.
    pub fn of(folder: &Path) -> Result<Repository, SearchError> {
        let root = run(folder, None, &["rev-parse", "--show-toplevel"], None)?;
        Ok(Repository { root: PathBuf::from(root) })
    }

    /// Refuses a tree with changes to tracked files, or untracked ones outside of `study`.
    ///
    /// # Errors
    /// [`SearchError::Git`] that names the first of them.
    pub fn require_clean(&self, study: &Path) -> Result<(), SearchError> {
        let status = run(&self.root, None, &["status", "--porcelain=v1", "--untracked-files=all"], None)?;
        let inside = std::path::absolute(study).ok();
        let inside = inside.as_deref().and_then(|p| p.strip_prefix(&self.root).ok());
        let foreign = |line: &&str| {
            let path = Path::new(line.get(3..).unwrap_or_default().trim_matches('"'));
            !inside.is_some_and(|study| line.starts_with("??") && path.starts_with(study))
        };
        match status.lines().find(foreign) {
            Some(line) => Err(SearchError::Git(format!("the tree is not clean ({line}); commit or stash first"))),
            None => Ok(()),
        }
    }

    /// Commits `text` as the only change, the file `name`, to `branch`, which begins at HEAD. Gives the short hash. What is the
    /// branch's last commit already is not committed again, so that whoever was killed before he could note it can ask once more.
    ///
    /// # Errors
    /// [`SearchError::Git`] with what git says; also when the branch is checked out, as its files would then be behind.
    pub fn commit(&self, branch: &str, name: &str, text: &str, message: &str) -> Result<String, SearchError> {
        let reference = format!("refs/heads/{branch}");
        run(&self.root, None, &["check-ref-format", &reference], None)?;
        let current = run(&self.root, None, &["symbolic-ref", "-q", "HEAD"], None).unwrap_or_default();
        if current == reference {
            return Err(SearchError::Git(format!("{branch} is checked out: go to another branch, the study writes this one")));
        }
        let old = run(&self.root, None, &["rev-parse", "-q", "--verify", &reference], None).ok();
        if let Some(old) = old.as_deref().filter(|old| self.holds(old, name, text, message)) {
            return run(&self.root, None, &["rev-parse", "--short", old], None);
        }
        let parent = match &old {
            Some(old) => old.clone(),
            None => run(&self.root, None, &["rev-parse", "-q", "--verify", "HEAD^{commit}"], None)?,
        };
        let git_dir = run(&self.root, None, &["rev-parse", "--absolute-git-dir"], None)?;
        let index = Path::new(&git_dir).join(index_name());
        let made = self.commit_with(&index, &parent, name, text, message);
        let _ = std::fs::remove_file(&index);
        let commit = made?;
        let zero = "0".repeat(commit.len());
        run(&self.root, None, &["update-ref", &reference, &commit, old.as_deref().unwrap_or(&zero)], None)?;
        run(&self.root, None, &["rev-parse", "--short", &commit], None)
    }

    /// Whether `commit` has this message and this file.
    fn holds(&self, commit: &str, name: &str, text: &str, message: &str) -> bool {
        let object = |kind: &str, object: &str| run(&self.root, None, &["cat-file", kind, object], None);
        let said =
            object("commit", commit).is_ok_and(|c| c.split_once("\n\n").is_some_and(|(_, said)| said.trim() == message.trim()));
        said && object("blob", &format!("{commit}:{name}")).is_ok_and(|held| held == text.trim())
    }

    fn commit_with(&self, index: &Path, parent: &str, name: &str, text: &str, message: &str) -> Result<String, SearchError> {
        let git = |args: &[&str], input: Option<&str>| run(&self.root, Some(index), args, input);
        git(&["read-tree", parent], None)?;
        let blob = git(&["hash-object", "-w", "--stdin"], Some(text))?;
        git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{name}")], None)?;
        let tree = git(&["write-tree"], None)?;
        git(&["commit-tree", &tree, "-p", parent], Some(message))
    }
}

/// Name of an index that nobody else has, in this process or another.
fn index_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("autoane-index-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn run(folder: &Path, index: Option<&Path>, args: &[&str], input: Option<&str>) -> Result<String, SearchError> {
    use std::io::Write;
    let failed = |what: String| SearchError::Git(format!("{}: {what}", args.first().copied().unwrap_or_default()));
    let mut command = Command::new("git");
    command.current_dir(folder).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
    if let (Some(mut stdin), Some(text)) = (child.stdin.take(), input) {
        stdin.write_all(text.as_bytes()).map_err(|e| failed(e.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
