//! Memory limits of Linux control groups, version 2 and 1. A limit of any ancestor binds as well.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of one version: limit and present use.
struct Files {
    limit: &'static str,
    usage: &'static str,
}

const V2: Files = Files { limit: "memory.max", usage: "memory.current" };
const V1: Files = Files { limit: "memory.limit_in_bytes", usage: "memory.usage_in_bytes" };

/// Smallest limit in bytes of the groups that this process is in.
pub fn limit() -> Option<u64> {
    each(Path::new("/")).into_iter().map(|(limit, _)| limit).min()
}

/// Smallest rest in bytes: limit less use.
pub fn left() -> Option<u64> {
    each(Path::new("/")).into_iter().map(|(limit, usage)| limit.saturating_sub(usage)).min()
}

/// `(limit, use)` of every limited group above this process, under `root`.
fn each(root: &Path) -> Vec<(u64, u64)> {
    let Ok(text) = fs::read_to_string(root.join("proc/self/cgroup")) else { return Vec::new() };
    let mut found = Vec::new();
    for line in text.lines() {
        // hierarchy:controllers:path; version 2 has the hierarchy 0 and no controllers
        let mut fields = line.splitn(3, ':');
        let (Some(hierarchy), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if hierarchy == "0" && controllers.is_empty() {
            climb(&root.join("sys/fs/cgroup"), path, &V2, &mut found);
        } else if controllers.split(',').any(|c| c == "memory") {
            climb(&root.join("sys/fs/cgroup/memory"), path, &V1, &mut found);
        }
    }
    found
}

fn climb(mount: &Path, path: &str, files: &Files, found: &mut Vec<(u64, u64)>) {
    let mut group: PathBuf = path.trim_start_matches('/').into();
    loop {
        let folder = mount.join(&group);
        // version 1 writes a huge number for "no limit"
        if let Some(limit) = number(&folder.join(files.limit)).filter(|l| *l < 1 << 60) {
            // what the page cache holds can be given back
            let cache = inactive_file(&folder).unwrap_or(0);
            let usage = number(&folder.join(files.usage)).unwrap_or(0).saturating_sub(cache);
            found.push((limit, usage));
        }
        if !group.pop() {
            return;
        }
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn inactive_file(folder: &Path) -> Option<u64> {
    let text = fs::read_to_string(folder.join("memory.stat")).ok()?;
    let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)?.trim().parse().ok());
    value("total_inactive_file ").or_else(|| value("inactive_file "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tree(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let root = std::env::temp_dir().join(format!("meter-cgroup-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn version_2_and_its_ancestors() {
        let root = tree(
            "v2",
            &[
                ("proc/self/cgroup", "0::/a/b\n"),
                ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                ("sys/fs/cgroup/a/memory.max", "1000\n"),
                ("sys/fs/cgroup/a/memory.current", "400\n"),
                ("sys/fs/cgroup/a/memory.stat", "anon 5\ninactive_file 100\n"),
            ],
        );
        assert_eq!(each(&root), vec![(1000, 300)]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn version_1_and_no_limit() {
        let root = tree(
            "v1",
            &[
                ("proc/self/cgroup", "5:cpu,memory:/x\n3:pids:/x\n"),
                ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "2000\n"),
                ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "500\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ],
        );
        assert_eq!(each(&root), vec![(2000, 500)]);
        fs::remove_dir_all(root).unwrap();
    }
}
