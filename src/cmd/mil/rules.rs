//! `mil rules`: the table of what the engine is known to refuse or garble.

use mil::rules::{self, Rule};
use serde_json::json;

use crate::out::Out;

/// Prints the rules.
pub(super) fn run(out: Out) -> anyhow::Result<()> {
    for rule in rules::all() {
        out.line(format!("{} {}", rule.id, rule.title))?;
        out.line(format!("    {}; {}; strict: {}, lenient: {}", rule.chips_named(), rule.confidence, rule.strict, rule.lenient))?;
        out.line(format!("    {}", rule.evidence))?;
    }
    let rows: Vec<_> = rules::all().into_iter().map(as_json).collect();
    out.json(&json!({ "rules": rows }))
}

fn as_json(rule: &Rule) -> serde_json::Value {
    let chips: Vec<&str> = rule.chips.iter().map(|c| c.name()).collect();
    json!({
        "id": rule.id, "title": rule.title, "evidence": rule.evidence, "confidence": rule.confidence.to_string(), "chips": chips,
        "strict": rule.strict.to_string(), "lenient": rule.lenient.to_string(),
    })
}
