//! What does one see at the end of a run, and in `show`? Its stages, then its scores.

use std::fs;

use affectflow_pipeline::run::record::Record;
use serde_json::{Map, Value};

use super::numbers::{duration, grouped};
use super::scores::scores;
use super::table::table;

/// A line a stage: rows, what the cache had, what was computed.
pub fn stages(record: &Record) -> String {
    let rows = record.stages.iter().map(|(name, stage)| {
        let number = |key: &str| stage[key].as_u64().map_or("-".into(), grouped);
        let (cached, computed) = match stage["shape"].as_str() {
            Some("map" | "table") => (number("hits"), number("misses")),
            _ => (String::new(), String::new()),
        };
        let kind = stage["kind"].as_str().unwrap_or_default().to_owned();
        let seconds = stage["seconds"].as_f64().map_or("-".into(), duration);
        vec![name.clone(), kind, number("rows"), cached, computed, number("quarantined"), seconds]
    });
    table(&["stage", "kind", "rows", "cached", "computed", "quarantined", "time"], 2, rows)
}

/// The scores in `metrics.json` of a record; none where it has none.
pub fn metrics(record: &Record) -> Map<String, Value> {
    let text = fs::read(record.folder().join("metrics.json")).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Stages and scores.
pub fn summary(record: &Record) -> String {
    let metrics = metrics(record);
    let scores = if metrics.is_empty() { String::new() } else { format!("\n{}", scores(&metrics)) };
    format!("{}{scores}", stages(record))
}
