//! How much is stored, and for whom? Sizes of the cache by stage, as far as a recorded run tells which stage used it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::super::State;
use super::inventory::{What, inventory};
use super::superseded;
use super::uses::Uses;
use crate::error::Error;

/// What one stage (of one name and kind, in any pipeline) has stored.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    /// The stage's name; `-` for what belongs to no recorded run.
    pub stage: String,
    /// Its kind, or what the files are.
    pub kind: String,
    /// Pipelines in which it ran.
    pub pipelines: Vec<String>,
    /// Files.
    pub files: u64,
    /// Bytes, the superseded ones not counted.
    pub bytes: u64,
    /// Rows that look-ups find; of several results each counts.
    pub rows: u64,
    /// Rows and bytes beside these that newer ones stand before.
    pub superseded: (u64, u64),
    /// When any of it was used last, RFC 3339, UTC.
    pub used: Option<String>,
    /// Seconds to compute all of it again, as far as records tell.
    pub seconds: Option<f64>,
}

/// Sizes by stage, largest first.
pub fn stats(state: &State) -> Result<Vec<Stored>, Error> {
    state.cache.check_format()?;
    let uses = Uses::read(&state.runs, None);
    let mut all: BTreeMap<(String, String), (Stored, Option<SystemTime>)> = BTreeMap::new();
    for mut unit in inventory(&state.cache)? {
        superseded::look(&state.cache, &mut unit, &BTreeSet::new())?;
        let used = uses.by_path.get(&unit.path());
        let (stage, kind) = match (unit.what, used) {
            (What::Table | What::Rows | What::Artifact, Some(used)) => {
                (used.stage.clone(), used.kind.clone())
            }
            (what, _) => ("-".to_owned(), words(what).to_owned()),
        };
        let (stored, last) = all
            .entry((stage.clone(), kind.clone()))
            .or_insert_with(|| (Stored { stage, kind, ..Stored::default() }, None));
        let rows = unit.rows(&state.cache)?;
        stored.files += unit.files;
        stored.bytes += unit.bytes;
        stored.rows += rows.unwrap_or_default();
        stored.superseded.0 += unit.superseded.rows;
        stored.superseded.1 += unit.superseded.bytes;
        let pipelines = used.into_iter().flat_map(|used| used.pipelines.iter().cloned());
        stored.pipelines =
            stored.pipelines.drain(..).chain(pipelines).collect::<BTreeSet<_>>().into_iter().collect();
        if let Some(seconds) = used.and_then(|used| used.cost(unit.what, rows)) {
            *stored.seconds.get_or_insert(0.0) += seconds;
        }
        *last = (*last).max(used.map(|used| used.last)).max(unit.written);
    }
    let told = |(mut stored, last): (Stored, Option<SystemTime>)| {
        stored.used = last.map(|last| humantime::format_rfc3339_seconds(last).to_string());
        stored
    };
    let mut all: Vec<Stored> = all.into_values().map(told).collect();
    all.sort_by_key(|stored| std::cmp::Reverse(stored.bytes));
    Ok(all)
}

fn words(what: What) -> &'static str {
    match what {
        What::Table | What::Rows => "rows of no recorded run",
        What::Checkpoint => "checkpoints",
        What::Artifact => "artifacts of no recorded run",
        What::List => "lists of rows",
        What::Identity => "identities",
        What::Damaged => "damaged files moved aside",
        What::Superseded => "superseded rows",
    }
}
