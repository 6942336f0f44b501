//! Who has used what? What the records of runs name, by path in the cache.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::super::history::survey;
use super::super::record::Record;
use super::inventory::{What, identity_path, list_path};

/// What records say of one thing.
#[derive(Debug, Clone)]
pub(super) struct Used {
    /// When a run that used it ended (one that has not ended: began) last.
    pub last: SystemTime,
    /// Whether a run that is kept used it.
    pub kept: bool,
    /// The first stage that used it, and its kind.
    pub stage: String,
    /// The kind of that stage.
    pub kind: String,
    /// Pipelines in which it was used.
    pub pipelines: BTreeSet<String>,
    /// Seconds of computing it, and how many rows (of a table: how often) that were.
    pub computed: (f64, f64),
    /// Of a table: the segments that runs which are kept read.
    pub segments: BTreeSet<String>,
}

impl Used {
    /// Seconds to compute it again.
    pub fn cost(&self, what: What, rows: Option<u64>) -> Option<f64> {
        let (seconds, count) = self.computed;
        let times = match what {
            What::Table => 1.0,
            What::Rows => rows? as f64,
            _ => return None,
        };
        (count > 0.0).then(|| seconds / count * times)
    }
}

/// What all records say.
pub(super) struct Uses {
    pub by_path: HashMap<String, Used>,
    /// Records that cannot be read, and when their runs began as far as their names tell.
    pub unreadable: Vec<(String, SystemTime)>,
    /// Whether a run that is kept did not come to its end.
    pub unfinished: bool,
}

impl Uses {
    /// Reads the records. Kept are the newest runs of each pipeline and those that ended after a moment.
    pub fn read(runs: &Path, kept_after: Option<SystemTime>) -> Self {
        let (records, unreadable) = survey(runs);
        let records: Vec<Record> = records.into_iter().map(Record::as_far_as_told).collect();
        let unreadable = unreadable.into_iter().map(|run| (run.id.clone(), named_time(&run.id))).collect();
        let mut uses = Uses { by_path: HashMap::new(), unreadable, unfinished: false };
        let newest = newest(&records);
        for (at, record) in records.iter().enumerate() {
            let time = ended(record);
            let kept = newest.contains(&at) || kept_after.is_none_or(|after| time > after);
            uses.unfinished |= kept && !record.finished();
            for (stage, info) in &record.stages {
                uses.stage(record, stage, info, time, kept);
            }
        }
        uses
    }

    fn stage(&mut self, record: &Record, stage: &str, info: &Value, time: SystemTime, kept: bool) {
        let texts = |value: &Value, path: fn(&str) -> String| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(Value::as_str).map(path).collect()
        };
        let mut paths = texts(&info["lists"], list_path);
        paths.extend(info["key"].as_str().map(identity_path));
        let artifacts = info["artifacts"].as_array().into_iter().flatten();
        paths.extend(artifacts.filter_map(|artifact| artifact["path"].as_str()).map(str::to_owned));
        let rows = info["entries"].as_str();
        for path in paths.iter().map(String::as_str).chain(rows) {
            let used = self.by_path.entry(path.to_owned()).or_insert_with(|| Used {
                last: time,
                kept: false,
                stage: stage.to_owned(),
                kind: info["kind"].as_str().unwrap_or_default().to_owned(),
                pipelines: BTreeSet::new(),
                computed: (0.0, 0.0),
                segments: BTreeSet::new(),
            });
            used.last = used.last.max(time);
            used.kept |= kept;
            if kept && rows == Some(path) {
                used.segments.extend(texts(&info["segments"], str::to_owned));
            }
            used.pipelines.insert(record.name.clone());
            let misses = info["misses"].as_f64().unwrap_or_default();
            let seconds = info["computing"].as_f64().or(info["seconds"].as_f64());
            if let Some(seconds) = seconds.filter(|_| misses > 0.0 && rows == Some(path)) {
                used.computed.0 += seconds;
                used.computed.1 += misses;
            }
        }
    }
}

/// Positions of the newest run of each pipeline that came to its end, of a matrix of each combination, and of newer ones: of
/// those that were to stop after a stage of each stage the newest, and the newest of those that were stopped. Records come
/// oldest first.
pub(super) fn newest(records: &[Record]) -> BTreeSet<usize> {
    let mut found: BTreeMap<((&str, String), Part), usize> = BTreeMap::new();
    for (at, record) in records.iter().enumerate() {
        let pipeline = (record.name.as_str(), Value::Object(record.matrix.clone()).to_string());
        let part = match &record.until {
            _ if !record.finished() => Part::Stopped,
            Some(stage) => Part::Until(stage),
            None => Part::Whole,
        };
        if matches!(part, Part::Whole) {
            found.retain(|(other, _), _| *other != pipeline);
        }
        found.insert((pipeline, part), at);
    }
    found.into_values().collect()
}

/// How much of its pipeline a run went through.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Whole,
    Until(&'a str),
    Stopped,
}

fn ended(record: &Record) -> SystemTime {
    let text = record.end.as_ref().unwrap_or(&record.start);
    humantime::parse_rfc3339(text).unwrap_or_else(|_| named_time(&record.id))
}

/// The time in the name of a run, `20261123-163719-kcdp`; the beginning of time where it has none.
fn named_time(name: &str) -> SystemTime {
    let part = |range| name.get(range).unwrap_or_default();
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        part(0..4),
        part(4..6),
        part(6..8),
        part(9..11),
        part(11..13),
        part(13..15)
    );
    humantime::parse_rfc3339(&text).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_run_tells_when_it_began() {
        let time = named_time("20261123-163719-kcdp-2");
        assert_eq!(humantime::format_rfc3339_seconds(time).to_string(), "2026-11-23T16:37:19Z");
        assert_eq!([named_time("mine"), named_time("2026112é-163719")], [UNIX_EPOCH; 2]);
    }
}
