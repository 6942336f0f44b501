//! Why is this computed, why is it not? The nearest earlier entry of a stage or of a row, field by field, old and new.
//!
//! Everything that a key is made of is stored: the preimage of an identity in `v1/identities/`, the digests of the consumed
//! cells beside each row, the whole input of a table in `v1/lists/`. An explanation reads these and computes no row.

pub mod diff;
pub(super) mod earlier;
pub(super) mod explain;
mod row;
pub mod rows;
mod values;

use serde::Serialize;

use super::found::{Found, RowState};
use super::look::{look, only_looking};
use super::past::{Nearest, Past, RunRef, key};
use super::predict::{Forecast, forecasts};
use super::reason::{count, ended};
use super::record::Record;
use super::{Options, State};
use crate::batch::Loader;
use crate::cache::Damage;
use crate::error::Error;
use crate::plan::Plan;
use crate::registry::Registry;
use crate::stage::Shape;
use diff::{Change, Part};
use explain::Explain;
pub use row::{Cell, RowWhy};
use rows::RowChanges;

/// Why a stage is computed or not.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// The pipeline.
    pub pipeline: String,
    /// How the stage treats rows.
    pub shape: Shape,
    /// What a run would do with it.
    pub forecast: Forecast,
    /// Rows that leave it, or at most so many: see [`leaving_at_most`](Self::leaving_at_most).
    pub leaving: u64,
    /// Whether fewer rows may leave it: it, or a stage before it, cannot choose yet.
    pub leaving_at_most: bool,
    /// The nearest earlier run; none where there is none, or no record of it.
    pub against: Option<RunRef>,
    /// Whether the cache knows an earlier identity, recorded or not.
    pub known: bool,
    /// In what the identity differs from that one's, the old value first.
    pub changes: Vec<Change>,
    /// In what the rows differ; of a map stage the rows to compute alone. None where that cannot be known.
    pub rows: Option<RowChanges>,
    /// What else there is to know, in sentences.
    pub notes: Vec<String>,
    /// One row, where one was asked for.
    pub row: Option<RowWhy>,
}

/// Explains a stage of a plan, and one of its rows; tells of damage met on the way, which stays where it is.
///
/// Fails with [`Error::NotFound`] where there is no such stage or row.
pub fn why(
    plan: &Plan,
    registry: &Registry,
    state: &State,
    options: &Options,
    stage: &str,
    row: Option<&str>,
) -> Result<(Why, Vec<Damage>), Error> {
    let at = plan.stages.iter().position(|known| known.name == stage);
    let at =
        at.ok_or_else(|| Error::NotFound(format!("pipeline `{}` has no stage `{stage}`", plan.pipeline)))?;
    only_looking(state, |state| {
        let looked = look(plan, registry, state, options)?;
        let past = Past::new(state)?;
        let explain = Explain { plan, looked: &looked, past: &past };
        let loader = Loader::new(registry.clone(), state.files.clone());
        explained(&explain, &loader, options, at, row)
    })
}

fn explained(
    explain: &Explain,
    loader: &Loader,
    options: &Options,
    at: usize,
    row: Option<&str>,
) -> Result<Why, Error> {
    let (plan, looked) = (explain.plan, explain.looked);
    let nearest = explain.nearest(at)?;
    let rows = match &nearest {
        Some(nearest) => explain.rows(at, nearest)?,
        None => None,
    };
    let mut notes = stopped(explain, at, rows.as_ref());
    if let Some(nearest) = &nearest {
        because(explain, at, nearest, rows.as_ref(), &mut notes)?;
        spread(explain, at, &mut notes)?;
    }
    let row = match row {
        Some(id) => Some(row::explain(explain, at, id, nearest.as_ref(), loader)?),
        None => None,
    };
    Ok(Why {
        pipeline: plan.pipeline.clone(),
        shape: plan.stages[at].planned.work.shape(),
        forecast: forecasts(explain, options, at + 1)?.swap_remove(at),
        leaving: looked[at].output.rows(),
        leaving_at_most: looked[at].output.at_most,
        known: nearest.is_some(),
        against: nearest.as_ref().and_then(|nearest| nearest.run.clone()),
        changes: nearest.map(|nearest| nearest.changes).unwrap_or_default(),
        rows: rows.map(|rows| rows.changes),
        notes,
        row,
    })
}

/// Why what reaches the stage is other than before: artifacts, columns, rows to come, runs that broke off.
fn because(
    explain: &Explain,
    at: usize,
    nearest: &Nearest,
    rows: Option<&explain::Rows>,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let (stage, looked) = (explain.stage(at), &explain.looked[at]);
    let record = nearest.run.as_ref().and_then(|run| explain.past.record(&run.run));
    let differs = |from: usize| match record {
        Some(record) => explain.differs(from, record).map(|words| words.map(|words| format!(" ({words})"))),
        None => Ok(None),
    };
    for (name, from) in &stage.artifacts {
        let provider = &explain.stage(*from).name;
        let given = |change: &Change| change.part == Part::Artifact && change.name == *name;
        if looked.lacking.contains(name) {
            let why = differs(*from)?.unwrap_or_default();
            notes.push(format!("needs `{name}`, which `{provider}` is to compute first{why}"));
        } else if nearest.changes.iter().any(given) {
            let why = differs(*from)?.unwrap_or_default();
            notes.push(format!("because `{provider}` gave another `{name}`{why}"));
        }
    }
    for column in rows.iter().flat_map(|rows| rows.changes.columns.keys()) {
        for from in explain.providers(at, column).into_iter().filter(|from| *from != at) {
            if let Some(why) = differs(from)? {
                notes.push(format!("`{column}` comes from `{}`{why}", explain.stage(from).name));
            }
        }
    }
    if let Some(rows) = rows.filter(|rows| !rows.lost.is_empty()) {
        notes.push(format!("stored before and gone from the cache: {}", named(&rows.lost)));
    }
    if looked.unknown > 0 {
        let after = explain.waits_for(at).map(|stage| format!(" after `{}`", explain.stage(stage).name));
        let rows = count(looked.unknown);
        notes.push(format!("not known before they are computed: {rows}{}", after.unwrap_or_default()));
    }
    Ok(())
}

/// How far the run came that was stopped in the midst of what the stage is to do now.
fn stopped(explain: &Explain, at: usize, rows: Option<&explain::Rows>) -> Vec<String> {
    let Some((run, _)) = explain.stopped(at) else { return Vec::new() };
    let left = rows.map(|rows| &rows.left).filter(|left| !left.is_empty());
    let left = left.map_or(String::new(), |left| format!(", and left {}", named(left)));
    vec![format!("{} before the stage had come to its end{left}", ended(&run))]
}

/// "2 rows (`a`, `b`)", the first few by name.
fn named(ids: &[String]) -> String {
    let few = ids.iter().take(5).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    let more = if ids.len() > 5 { ", ..." } else { "" };
    format!("{} ({few}{more})", count(ids.len() as u64))
}

/// Says where a change upstream stopped: everything is there, although stages before this one changed since it computed.
fn spread(explain: &Explain, at: usize, notes: &mut Vec<String>) -> Result<(), Error> {
    let looked = &explain.looked[at];
    let cached = looked.unknown == 0
        && match &looked.found {
            Found::Map(found) => {
                let there = |(_, state): &(_, RowState)| matches!(state, RowState::Cached(_));
                found.rows.iter().any(|rows| !rows.is_empty()) && found.rows.iter().flatten().all(there)
            }
            Found::Table(found) => found.record.is_some(),
            _ => false,
        };
    let Some(record) = cached.then(|| computed_by(explain, at)).flatten() else { return Ok(()) };
    let mut changed = Vec::new();
    for stage in explain.upstream(at).into_iter().rev() {
        changed.extend(explain.differs(stage, record)?);
    }
    if !changed.is_empty() {
        let name = &explain.stage(at).name;
        let run = &record.id;
        notes.push(format!(
            "changed before it since run `{run}`, which computed it: {}; what `{name}` reads is the same, so nothing is computed",
            changed.join("; ")
        ));
    }
    Ok(())
}

/// The newest run in which the stage computed under its present identity (a table: its present result).
fn computed_by<'a>(explain: &'a Explain, at: usize) -> Option<&'a Record> {
    let (name, identity) = (&explain.stage(at).name, explain.looked[at].identity.digest);
    let entries = match &explain.looked[at].found {
        Found::Table(found) => found.entry.map(|entry| format!("v1/rows/{entry}")),
        _ => None,
    };
    let found = explain.past.newest(|record, stage, info| {
        record.name == explain.plan.pipeline
            && stage == name
            && key(info) == Some(identity)
            && info["misses"].as_u64() > Some(0)
            && (entries.is_none() || info["entries"].as_str() == entries.as_deref())
    });
    found.map(|(record, _)| record)
}
