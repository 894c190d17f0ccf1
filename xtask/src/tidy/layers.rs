//! Who may see whom: `[dependencies]` of every crate against the table.

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Finding;
use super::policy::LAYERS;

/// Checks `(path, text)` of every `Cargo.toml`; the root's may name any crate.
pub fn check(manifests: &[(String, String)]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, text) in manifests.iter().filter(|(path, _)| path != "Cargo.toml") {
        let manifest: Table = text.parse().with_context(|| format!("{path} is not TOML"))?;
        findings.extend(check_manifest(path, text, &manifest));
    }
    Ok(findings)
}

fn check_manifest(path: &str, text: &str, manifest: &Table) -> Vec<Finding> {
    let name = manifest.get("package").and_then(|p| p.get("name")).and_then(Value::as_str).unwrap_or_default();
    let Some((_, allowed)) = LAYERS.iter().find(|(known, _)| *known == name) else {
        let message = format!("crate `{name}` is unknown: enter it, and whom it may see, in the table of layers");
        return vec![Finding::error(path, 0, message)];
    };
    let ours = |crate_name: &String| LAYERS.iter().any(|(known, _)| known == crate_name);
    let seen = dependencies(manifest).into_iter().filter(ours).filter(|seen| !allowed.contains(&seen.as_str()));
    let finding = |seen: String| {
        let may = if allowed.is_empty() { "no crate of ours".to_string() } else { allowed.join(", ") };
        Finding::error(path, line_of(text, &seen), format!("`{name}` may not see `{seen}` (it may see: {may})"))
    };
    seen.map(finding).collect()
}

/// Names of the packages that the shipped code depends on, those of single targets included; not those of tests.
fn dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(|t| t.values()).filter_map(Value::as_table).chain([manifest]);
    let sections = tables.flat_map(|t| [t.get("dependencies"), t.get("build-dependencies")]).flatten();
    let package = |(name, value): (&String, &Value)| {
        let renamed = value.get("package").and_then(Value::as_str);
        renamed.map_or_else(|| name.clone(), str::to_string)
    };
    sections.filter_map(Value::as_table).flatten().map(package).collect()
}

fn line_of(text: &str, name: &str) -> usize {
    text.lines().position(|l| l.starts_with(name) || l.contains(&format!("\"{name}\""))).map_or(0, |i| i + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(name: &str, rest: &str) -> Vec<(usize, String)> {
        let manifest = format!("[package]\nname = \"{name}\"\n{rest}");
        let path = format!("crates/{name}/Cargo.toml");
        check(&[(path, manifest)]).unwrap().into_iter().map(|f| (f.line, f.message)).collect()
    }

    #[test]
    fn an_arrow_of_the_table_passes_and_any_other_is_named_with_its_line() {
        assert_eq!(found("engine", "[dependencies]\nmodel.workspace = true\nkernels.workspace = true\n"), []);
        let upward = found("kernels", "[dependencies]\nlibc = \"0.2\"\nengine.workspace = true\n");
        assert_eq!(upward, [(5, "`kernels` may not see `engine` (it may see: no crate of ours)".to_string())]);
        assert_eq!(found("engine", "[dependencies]\nformats = { path = \"../formats\" }\n").len(), 1);
    }

    #[test]
    fn no_hiding_behind_a_target_a_build_script_or_another_name() {
        assert_eq!(found("model", "[target.'cfg(unix)'.dependencies]\nmeter.workspace = true\n").len(), 1);
        assert_eq!(found("model", "[build-dependencies]\nmeter.workspace = true\n").len(), 1);
        assert_eq!(found("model", "[dependencies]\nm = { path = \"../meter\", package = \"meter\" }\n").len(), 1);
    }

    #[test]
    fn tests_may_see_more() {
        assert_eq!(found("engine", "[dev-dependencies]\nformats.workspace = true\n"), []);
    }

    #[test]
    fn an_unknown_crate_must_be_entered() {
        assert!(found("helpers", "")[0].1.contains("`helpers` is unknown"));
    }

    #[test]
    fn the_root_sees_all_and_a_broken_manifest_is_an_error() {
        let root = "[package]\nname = \"autoane\"\n[dependencies]\ntrain.workspace = true\n";
        assert_eq!(check(&[("Cargo.toml".into(), root.into())]).unwrap(), []);
        assert!(check(&[("crates/x/Cargo.toml".into(), "[package".into())]).is_err());
    }
}
