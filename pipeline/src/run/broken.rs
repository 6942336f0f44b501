//! What had a run done when it was killed? Its events tell what `run.json` could not be told any more.

use std::collections::BTreeMap;
use std::fs;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use super::record::Record;

/// What the events of a run tell of one of its stages. A run that met damage began anew, and counts all its attempts.
#[derive(Default)]
struct Told {
    kind: Value,
    shape: Value,
    key: Value,
    rows: u64,
    bytes: u64,
    /// Seconds of computing, of earlier attempts and of this one.
    computing: (f64, f64),
    /// What the stage said of itself when it came to its end.
    end: Option<Value>,
    /// How far the work had come, in units of its own.
    progress: Option<Progress>,
}

/// How far the work of a stage had come, in units of its own such as epochs.
struct Progress {
    /// When it was first told in this attempt, in seconds since 1970, and the units done by then.
    first: (f64, f64),
    last: (f64, f64),
    event: Value,
}

/// Completes the record of a run that did not come to its end: each stage's `ended` and `progress`, and all that is known of
/// the stages of a run that was killed. Lines that cannot be read are passed over; without any, nothing is added.
pub(super) fn complete(record: &mut Record) {
    let events = fs::read(record.folder().join("events.jsonl")).unwrap_or_default();
    let mut stages: BTreeMap<String, Told> = BTreeMap::new();
    for line in events.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Value>(line) else { continue };
        if let Some(stage) = event["stage"].as_str() {
            stages.entry(stage.to_owned()).or_default().hear(&event);
        }
    }
    for (name, told) in stages.into_iter().filter(|(_, told)| told.key.is_string()) {
        let (ended, progress) = (told.end.is_some(), told.progress.as_ref().map(Progress::info));
        let info = record.stages.entry(name).or_insert_with(|| told.info());
        info["ended"] = ended.into();
        info["progress"] = progress.into();
    }
}

impl Told {
    fn hear(&mut self, event: &Value) {
        match event["type"].as_str() {
            Some("stage_started") => {
                self.kind = event["kind"].clone();
                self.shape = event["shape"].clone();
                self.key = event["key"].clone();
                self.end = None;
                self.progress = None;
                self.computing = (self.computing.0 + self.computing.1, 0.0);
            }
            Some("rows_committed") => {
                self.rows += event["rows"].as_u64().unwrap_or_default();
                self.bytes += event["bytes"].as_u64().unwrap_or_default();
                self.computing.1 = event["computing"].as_f64().unwrap_or_default();
            }
            Some("stage_finished") => {
                self.computing.1 = event["computing"].as_f64().unwrap_or_default();
                self.end = Some(event.clone());
            }
            Some("progress") if event["unit"] != "rows" => {
                if let Some(now) = seconds(event).zip(event["done"].as_f64()) {
                    let first = self.progress.as_ref().map_or(now, |progress| progress.first);
                    self.progress = Some(Progress { first, last: now, event: event.clone() });
                }
            }
            _ => {}
        }
    }

    /// As `run.json` would say it. A table that did not come to its end has computed nothing that counts.
    fn info(&self) -> Value {
        let map = self.shape == "map";
        let mut info = json!({
            "kind": self.kind,
            "shape": self.shape,
            "key": self.key,
            "bytes": self.bytes,
            "computing": self.computing.0 + self.computing.1,
            "misses": if map { self.rows } else { 0 },
        });
        if let (true, Some(key)) = (map, self.key.as_str()) {
            info["entries"] = format!("v1/rows/{key}").into();
        }
        for field in ["rows", "hits", "misses", "quarantined", "seconds"] {
            if let Some(value) = self.end.as_ref().map(|end| &end[field]) {
                info[field] = value.clone();
            }
        }
        info
    }
}

impl Progress {
    /// What is done, of how many of which unit, and the seconds that one took (none before a second one was told).
    fn info(&self) -> Value {
        let ((began, from), (now, done)) = (self.first, self.last);
        let each = (done > from).then(|| (now - began).max(0.0) / (done - from));
        json!({ "done": done, "total": self.event["total"], "unit": self.event["unit"], "seconds": each })
    }
}

/// When an event was told, in seconds since 1970.
fn seconds(event: &Value) -> Option<f64> {
    let time = humantime::parse_rfc3339(event["ts"].as_str()?).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}
