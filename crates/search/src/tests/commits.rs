//! The branch of a study.

use crate::git::Repository;

fn git(dir: &std::path::Path, args: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    command.current_dir(dir).args(["-c", "user.name=t", "-c", "user.email=t@example.org"]).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{args:?} {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// One with a file and a commit.
fn repository(root: &std::path::Path) -> Repository {
    git(root, &["init", "-q", "-b", "main"]);
    for (key, value) in [("user.name", "t"), ("user.email", "t@example.org")] {
        git(root, &["config", key, value]);
    }
    std::fs::write(root.join("mine.txt"), "one\n").unwrap();
    git(root, &["add", "."]);
    git(root, &["commit", "-qm", "first"]);
    Repository::of(root).unwrap()
}

/// The original's `git reset --hard` wipes the user's edits: ours writes a branch and nothing else.
#[test]
fn a_kept_trial_is_a_commit_and_the_users_files_are_never_touched() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let repository = repository(root);
    let study = root.join("study");
    std::fs::create_dir(&study).unwrap();
    std::fs::write(study.join("study.json"), "{}").unwrap();
    repository.require_clean(&study).unwrap();
    std::fs::write(root.join("mine.txt"), "two\n").unwrap();
    std::fs::write(root.join("new.txt"), "untracked\n").unwrap();
    assert!(repository.require_clean(&study).unwrap_err().to_string().contains("mine.txt"));
    git(root, &["add", "mine.txt"]);
    let before = (git(root, &["rev-parse", "HEAD"]), git(root, &["status", "--porcelain"]));
    repository.commit("autoane/s", "study/incumbent.toml", "a = 1\n", "Keep trial 1").unwrap();
    repository.commit("autoane/s", "study/incumbent.toml", "a = 2\n", "Keep trial 5").unwrap();
    assert_eq!((git(root, &["rev-parse", "HEAD"]), git(root, &["status", "--porcelain"])), before);
    assert_eq!(std::fs::read_to_string(root.join("mine.txt")).unwrap(), "two\n");
    assert_eq!(git(root, &["show", "autoane/s:study/incumbent.toml"]), "a = 2");
    assert_eq!(git(root, &["show", "autoane/s:mine.txt"]), "one");
    assert_eq!(git(root, &["log", "--format=%s", "autoane/s"]), "Keep trial 5\nKeep trial 1\nfirst");
    git(root, &["commit", "-qam", "mine"]);
    git(root, &["checkout", "-q", "autoane/s"]);
    assert!(repository.commit("autoane/s", "x", "y", "z").unwrap_err().to_string().contains("checked out"));
}

/// Whoever was killed after a commit, and before he could note it, asks again.
#[test]
fn the_same_commit_again_is_the_one_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    let keep = |text: &str, message: &str| repository.commit("autoane/s", "s/incumbent.toml", text, message).unwrap();
    let count = || git(dir.path(), &["rev-list", "--count", "autoane/s"]);
    let first = keep("a = 1\n", "keep 1\n\n{}\n");
    assert_eq!((keep("a = 1\n", "keep 1\n\n{}\n"), count()), (first.clone(), "2".into()));
    let second = keep("a = 1\n", "keep 2\n\n{}\n");
    let third = keep("a = 2\n", "keep 2\n\n{}\n");
    assert_eq!(git(dir.path(), &["rev-list", "--abbrev-commit", "main..autoane/s"]), [third, second, first].join("\n"));
}

/// Each commit has an index of its own, or one would take files of another's.
#[test]
fn commits_of_many_threads_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let repository = repository(dir.path());
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let repository = &repository;
            scope.spawn(move || {
                for i in 0..6 {
                    let text = format!("worker = {worker}\ntrial = {i}\n");
                    repository
                        .commit(&format!("study/{worker}"), &format!("{worker}.toml"), &text, &format!("keep {i}"))
                        .unwrap();
                }
            });
        }
    });
    for worker in 0..4 {
        let branch = format!("study/{worker}");
        let file = format!("{worker}.toml");
        assert_eq!(git(dir.path(), &["rev-list", "--count", &branch]), "7");
        assert_eq!(git(dir.path(), &["show", &format!("{branch}:{file}")]), format!("worker = {worker}\ntrial = 5"));
        assert_eq!(git(dir.path(), &["ls-tree", "--name-only", &branch]), format!("{file}\nmine.txt"));
    }
    let left = std::fs::read_dir(dir.path().join(".git")).unwrap();
    assert!(left.into_iter().all(|e| !e.unwrap().file_name().to_string_lossy().starts_with("autoane-index")));
}
