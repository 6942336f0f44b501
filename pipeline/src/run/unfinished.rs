//! How far did a run come that did not come to its end? What its events tell, put where its record would have it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::record::Record;

/// What the events of a run tell of one of its stages. A run that met damage began anew: what was committed counts over all
/// its attempts, all else is of the last one.
#[derive(Default)]
struct Told {
    kind: Value,
    shape: Value,
    key: Value,
    committed: u64,
    bytes: u64,
    quarantined: u64,
    /// Seconds of computing, of earlier attempts and of this one.
    computing: (f64, f64),
    began: Option<SystemTime>,
    last: Option<SystemTime>,
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

impl Record {
    /// The record with what is known of a run that is at work, or that did not come to its end: each stage's `ended` and
    /// `progress`, and of one that could not write so itself how long it ran and what its stages did. Lines that cannot be
    /// read are passed over.
    pub fn as_far_as_told(mut self) -> Self {
        let Ok(file) = File::open(self.folder().join("events.jsonl")) else { return self };
        if self.finished() {
            return self;
        }
        let silent = ["running", "killed"].contains(&self.outcome.as_str());
        let (mut first, mut last) = (None, None);
        let mut stages: BTreeMap<String, Told> = BTreeMap::new();
        // The last line may be torn.
        let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
        for event in lines.filter_map(|line| serde_json::from_slice::<Value>(&line).ok()) {
            let at = time(&event);
            first = first.or(at);
            last = at.or(last);
            if let Some(stage) = event["stage"].as_str() {
                stages.entry(stage.to_owned()).or_default().hear(&event, at);
            }
        }
        for (name, told) in stages {
            // Records of earlier versions do not name the stages of a run that was killed.
            let known = told.key.is_string() || self.stages.contains_key(&name);
            if !known {
                continue;
            }
            let info = self.stages.entry(name).or_insert_with(|| json!({}));
            if silent {
                told.fill(info);
            }
            info["ended"] = told.end.is_some().into();
            info["progress"] = told.progress.as_ref().map(Progress::info).into();
        }
        if silent {
            self.seconds = between(first, last);
        }
        self
    }
}

impl Told {
    fn hear(&mut self, event: &Value, at: Option<SystemTime>) {
        match event["type"].as_str() {
            Some("stage_started") => {
                self.kind = event["kind"].clone();
                self.shape = event["shape"].clone();
                self.key = event["key"].clone();
                self.end = None;
                self.progress = None;
                self.computing = (self.computing.0 + self.computing.1, 0.0);
                (self.began, self.quarantined) = (at, 0);
            }
            Some("rows_committed") => {
                self.committed += event["rows"].as_u64().unwrap_or_default();
                self.bytes += event["bytes"].as_u64().unwrap_or_default();
                self.computing.1 = event["computing"].as_f64().unwrap_or_default();
            }
            Some("row_quarantined") => self.quarantined += 1,
            Some("stage_finished") => {
                self.computing.1 = event["computing"].as_f64().unwrap_or_default();
                self.end = Some(event.clone());
            }
            Some("progress") if event["unit"] != "rows" => {
                if let Some(now) = at.and_then(since_1970).zip(event["done"].as_f64()) {
                    let first = self.progress.as_ref().map_or(now, |progress| progress.first);
                    self.progress = Some(Progress { first, last: now, event: event.clone() });
                }
            }
            _ => {}
        }
        self.last = at.or(self.last);
    }

    /// Says it where `run.json` would. A table that did not come to its end has computed nothing that counts.
    fn fill(&self, info: &mut Value) {
        let map = self.shape == "map";
        info["kind"] = self.kind.clone();
        info["shape"] = self.shape.clone();
        info["key"] = self.key.clone();
        info["bytes"] = self.bytes.into();
        info["computing"] = (self.computing.0 + self.computing.1).into();
        info["misses"] = if map { self.committed } else { 0 }.into();
        info["quarantined"] = self.quarantined.into();
        info["seconds"] = between(self.began, self.last).into();
        if let (true, Some(key)) = (map, self.key.as_str()) {
            info["entries"] = format!("v1/rows/{key}").into();
        }
        for field in ["rows", "hits", "misses", "quarantined", "seconds"] {
            if let Some(value) = self.end.as_ref().map(|end| &end[field]) {
                info[field] = value.clone();
            }
        }
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

/// When an event was told.
fn time(event: &Value) -> Option<SystemTime> {
    humantime::parse_rfc3339(event["ts"].as_str()?).ok()
}

fn since_1970(time: SystemTime) -> Option<f64> {
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}

/// Seconds from one to the other.
fn between(first: Option<SystemTime>, last: Option<SystemTime>) -> Option<f64> {
    last?.duration_since(first?).ok().map(|time| time.as_secs_f64())
}
