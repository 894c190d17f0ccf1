//! `autoane verify`: what the program claims, checked on this machine.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;
use verify::{Claim, Outcome, World, claims};

use crate::cli::VerifyArgs;
use crate::exit::{self, Exit};
use crate::out::Out;

/// A folder that goes when it is let go.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("autoane-verify-{}", std::process::id()));
        let failed = |e: std::io::Error| Exit::new(exit::CANNOT_WRITE, format!("{}: {e}", path.display()));
        std::fs::create_dir_all(&path).map_err(failed)?;
        Ok(Scratch(path))
    }

    /// A new folder in it.
    fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.0.join(name.replace('/', "-"));
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // what cannot be removed is left to the system, which empties its temporary folder
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Checks the claims that are named, or all.
pub fn run(args: &VerifyArgs, out: Out) -> anyhow::Result<()> {
    let chosen = choose(&args.claims)?;
    if args.list {
        let rows: Vec<_> = chosen.iter().map(|c| [c.id, c.sentence, c.tolerance].map(str::to_owned).to_vec()).collect();
        out.table(&["claim", "says", "within"], &rows)?;
        let listed = |c: &Claim| json!({ "id": c.id, "sentence": c.sentence, "tolerance": c.tolerance });
        return out.json(&json!({ "claims": chosen.iter().map(listed).collect::<Vec<_>>() }));
    }
    let (cpu, scratch) = (args.machine.cpu()?, Scratch::new()?);
    let (mut rows, mut records, mut counts) = (Vec::new(), Vec::new(), [0; 3]);
    let mut progress = out.progress("claims", chosen.len() as u64);
    for (i, claim) in chosen.iter().enumerate() {
        progress.update(i as u64, claim.id);
        let folder = scratch.folder(claim.id)?;
        let began = Instant::now();
        let outcome = claim.check(&World { cpu: &cpu, scratch: Path::new(&folder), tamper: args.tamper });
        let seconds = began.elapsed().as_secs_f64();
        let (which, word, detail) = match &outcome {
            Outcome::Passed(detail) => (0, "passed", detail),
            Outcome::Failed(detail) => (1, "FAILED", detail),
            Outcome::Skipped(detail) => (2, "skipped", detail),
        };
        counts[which] += 1;
        rows.push(vec![claim.id.to_owned(), word.to_owned(), detail.clone(), claim.tolerance.to_owned()]);
        records.push(json!({
            "id": claim.id, "sentence": claim.sentence, "tolerance": claim.tolerance, "outcome": word.to_lowercase(),
            "detail": detail, "seconds": seconds,
        }));
    }
    drop(progress);
    out.table(&["claim", "outcome", "found", "within"], &rows)?;
    let [passed, failed, skipped] = counts;
    out.line(format!("\n{passed} passed, {failed} failed, {skipped} skipped"))?;
    out.json(&json!({ "passed": passed, "failed": failed, "skipped": skipped, "claims": records }))?;
    if failed > 0 {
        return Err(Exit::new(1, format!("{failed} claims do not hold on this machine")).into());
    }
    Ok(())
}

/// The claims whose ids are, or begin with, one of `named`; all without names.
fn choose(named: &[String]) -> anyhow::Result<Vec<Claim>> {
    let mut chosen = claims();
    for name in named {
        if !chosen.iter().any(|c| c.id.starts_with(name.as_str())) {
            return Err(exit::usage(format!("no claim is called `{name}`: autoane verify --list names them")));
        }
    }
    chosen.retain(|c| named.is_empty() || named.iter().any(|n| c.id.starts_with(n.as_str())));
    Ok(chosen)
}
