//! Adapters of PEFT and MLX.

use std::path::Path;

use formats::adapter::{Adapter, Kind};
use formats::names;
use serde_json::json;

use super::Report;
use crate::out;

/// Describes the adapter in the folder `path`.
///
/// # Errors
/// Those of reading it.
pub fn describe(path: &Path) -> anyhow::Result<Report> {
    let adapter = Adapter::open(path)?;
    let mut report = Report::new(match adapter.kind {
        Kind::Peft => "PEFT adapter",
        Kind::Mlx => "MLX adapter",
    });
    report.fact("base", json!(adapter.base));
    report.fact("params", adapter.params());
    report.fact("target_count", adapter.targets.len());
    let list: Vec<_> = adapter
        .targets
        .iter()
        .map(|(id, f)| json!({ "name": names::hf(*id), "shape": f.shape(), "rank": f.rank, "scale": f.scale }))
        .collect();
    report.fact("targets", json!(list));
    let row = |(id, f): (&model::TensorId, &formats::adapter::Factors)| {
        vec![names::hf(*id), format!("{:?}", f.shape()), f.rank.to_string(), f.scale.to_string()]
    };
    let rows: Vec<_> = adapter.targets.iter().map(row).collect();
    report.more.push(out::align(&["weight", "shape", "rank", "scale"], &rows));
    Ok(report)
}
