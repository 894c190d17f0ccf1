//! Links between the documents: each points at a file that is there, and at a heading that is in it; every page of the book is in
//! its table of contents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Documents at the root that are checked beside those of `docs/`.
const AT_ROOT: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "LOG.md", "runs/README.md"];

/// What is wrong, and how many links were looked at.
pub fn check(root: &Path) -> anyhow::Result<(Vec<String>, usize)> {
    let mut pages: Vec<PathBuf> = AT_ROOT.iter().map(|p| root.join(p)).filter(|p| p.is_file()).collect();
    let docs = root.join("docs");
    for entry in std::fs::read_dir(&docs).with_context(|| docs.display().to_string())? {
        pages.extend(Some(entry?.path()).filter(|p| p.extension().is_some_and(|e| e == "md")));
    }
    pages.sort();
    let (mut wrong, mut looked) = (Vec::new(), 0);
    let contents = std::fs::read_to_string(docs.join("SUMMARY.md")).context("docs/SUMMARY.md")?;
    let listed: BTreeSet<String> = links(&contents).into_iter().collect();
    for page in &pages {
        let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
        for link in links(&text) {
            looked += 1;
            wrong.extend(broken(page, &link)?.map(|why| format!("{}: {link}: {why}", page.display())));
        }
        let name = page.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if page.starts_with(&docs) && name != "SUMMARY.md" && !listed.contains(&name) {
            wrong.push(format!("{}: not in docs/SUMMARY.md", page.display()));
        }
    }
    Ok((wrong, looked))
}

/// Targets of `[text](target)` outside code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        }
        if code {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for part in prose.split("](").skip(1) {
            found.extend(part.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// Why a link leads nowhere. Links to other sites are not followed.
fn broken(page: &Path, link: &str) -> anyhow::Result<Option<String>> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(None);
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_path_buf() } else { page.parent().unwrap_or(page).join(file) };
    if !target.exists() {
        return Ok(Some("no such file".to_owned()));
    }
    if anchor.is_empty() || target.is_dir() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&target)?;
    let there = text.lines().filter_map(|l| l.strip_prefix('#')).any(|l| slug(l.trim_start_matches('#')) == anchor);
    Ok((!there).then(|| "no such heading".to_owned()))
}

/// The anchor of a heading, as GitHub and mdbook make it.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn links_outside_code_are_found_and_dead_ones_told() {
        let text = "a [b](c.md#d-e) `[no](code)`\n```\n[no](block)\n```\n[x](https://example.org)";
        assert_eq!(links(text), ["c.md#d-e", "https://example.org"]);
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("a.md");
        std::fs::write(&page, "# One\n## Two, three\n").unwrap();
        for (link, fine) in [("a.md", true), ("#two-three", true), ("a.md#one", true), ("b.md", false), ("#four", false)] {
            assert_eq!(broken(&page, link).unwrap().is_none(), fine, "{link}");
        }
    }
}
