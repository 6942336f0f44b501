//! What would a run do, why, and what would it cost? The same look-ups, and nothing computed or written.

use serde::Serialize;

use super::look::{Found, Looked, RowState, look, only_looking};
use super::past::{Nearest, Past};
use super::why::diff::Part;
use super::why::explain::{Explain, summary};
use super::{Options, State};
use crate::cache::Damage;
use crate::error::Error;
use crate::plan::Plan;
use crate::registry::Registry;
use crate::stage::Shape;

/// What a run would do with one stage.
#[derive(Debug, Clone, Serialize, PartialEq)]
pub struct Forecast {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// Rows that would reach it, as far as can be known.
    pub rows: u64,
    /// Rows (or tables) found in the cache.
    pub cached: u64,
    /// Rows (or tables) to compute, at least.
    pub compute: u64,
    /// Rows in quarantine.
    pub quarantined: u64,
    /// Why.
    pub reason: String,
    /// Seconds of computing, from past runs; none where nobody knows.
    pub seconds: Option<f64>,
    /// Bytes that it would write, from past runs; none where nobody knows.
    pub bytes: Option<u64>,
}

/// Looks everything up, stage by stage. Damage met on the way stays where it is; a run would move it aside and compute
/// anew what it held, and so it is counted.
pub fn predict(
    plan: &Plan,
    registry: &Registry,
    state: &State,
    options: &Options,
) -> Result<(Vec<Forecast>, Vec<Damage>), Error> {
    only_looking(state, |state| {
        let looked = look(plan, registry, state, options)?;
        let past = Past::new(state);
        let explain = Explain { plan, looked: &looked, past: &past };
        (0..plan.stages.len()).map(|at| forecast(&explain, at, options)).collect()
    })
}

/// What a run would do with one stage of those looked up.
pub(super) fn forecast(explain: &Explain, at: usize, options: &Options) -> Result<Forecast, Error> {
    let (stage, looked) = (explain.stage(at), &explain.looked[at]);
    let mut forecast =
        Forecast { stage: stage.name.clone(), kind: stage.kind.clone(), ..counts(explain, at) };
    forecast.reason = reason(explain, at, options, &forecast)?;
    let rows = match stage.planned.work.shape() {
        Shape::Map => forecast.compute,
        Shape::Table => forecast.compute * forecast.rows,
        Shape::Source | Shape::Subset => 0,
    };
    let cost = match rows {
        0 => super::past::Cost { seconds: Some(0.0), bytes: Some(0.0) },
        _ => explain.past.cost(stage, looked.lacking.is_empty().then_some(looked.identity.digest)),
    };
    forecast.seconds = cost.seconds.map(|seconds| seconds * rows as f64);
    forecast.bytes = cost.bytes.map(|bytes| (bytes * rows as f64).round() as u64);
    Ok(forecast)
}

fn counts(explain: &Explain, at: usize) -> Forecast {
    let looked = &explain.looked[at];
    let mut forecast = Forecast {
        stage: String::new(),
        kind: String::new(),
        rows: looked.input.iter().map(|batch| batch.len() as u64).sum::<u64>() + looked.unknown,
        cached: 0,
        compute: 0,
        quarantined: 0,
        reason: String::new(),
        seconds: None,
        bytes: None,
    };
    match &looked.found {
        Found::Waiting if explain.stage(at).planned.work.shape() == Shape::Table => forecast.compute = 1,
        Found::Waiting => forecast.compute = forecast.rows,
        Found::Source(failed) => {
            forecast.rows = looked.output.rows();
            forecast.quarantined = failed.len() as u64;
        }
        Found::Subset => {}
        Found::Map(found) => {
            forecast.compute = looked.unknown;
            for (_, state) in found.rows.iter().flatten() {
                match state {
                    RowState::Cached(_) | RowState::Twin => forecast.cached += 1,
                    RowState::Quarantined(_) => forecast.quarantined += 1,
                    RowState::Missing => forecast.compute += 1,
                }
            }
        }
        Found::Table(found) => {
            forecast.cached = u64::from(found.record.is_some());
            forecast.compute = u64::from(found.record.is_none());
        }
    }
    forecast
}

/// One line.
fn reason(explain: &Explain, at: usize, options: &Options, forecast: &Forecast) -> Result<String, Error> {
    let looked = &explain.looked[at];
    let stage = explain.stage(at);
    match &looked.found {
        Found::Source(_) => return Ok("listed at every run".into()),
        Found::Subset => return Ok("chooses rows at every run".into()),
        _ if options.force.contains(&stage.name) => return Ok("forced".into()),
        Found::Map(_) if forecast.compute == 0 => return Ok("every row is cached".into()),
        Found::Table(found) if found.record.is_some() => return Ok("same input and options as before".into()),
        _ => {}
    }
    let Some(nearest) = explain.nearest(at)? else { return Ok("never run before".into()) };
    if let Some(words) = changed(explain, at, &nearest) {
        return Ok(words);
    }
    if let Some(artifact) = looked.lacking.first() {
        return Ok(format!("needs `{artifact}`, which is computed first{}", from(explain, at, artifact)));
    }
    if let Some(rows) = explain.rows(at, &nearest)? {
        let mut words = Vec::new();
        if !rows.changes.is_empty() {
            words.push(rows.changes.to_string());
        }
        if !rows.lost.is_empty() {
            words.push(format!("{} stored before and gone", rows.lost.len()));
        }
        words.extend(waits(explain, at, looked));
        if !words.is_empty() {
            return Ok(words.join(", "));
        }
    }
    Ok(waits(explain, at, looked).unwrap_or_else(|| "what was stored before is gone".into()))
}

/// The first field that differs; an artifact with the stage that gave another one.
fn changed(explain: &Explain, at: usize, nearest: &Nearest) -> Option<String> {
    let first = nearest.changes.first()?;
    if first.part == Part::Artifact && first.old.is_some() && first.new.is_some() {
        let from = explain.stage(at).artifacts.iter().find(|(name, _)| *name == first.name)?.1;
        return Some(format!("`{}` gave another `{}`", explain.stage(from).name, first.name));
    }
    summary(&nearest.changes)
}

fn from(explain: &Explain, at: usize, artifact: &str) -> String {
    let provider = explain.stage(at).artifacts.iter().find(|(name, _)| name == artifact);
    provider.map_or(String::new(), |(_, from)| format!(" by `{}`", explain.stage(*from).name))
}

/// The rows that are not known before a stage upstream has computed them.
fn waits(explain: &Explain, at: usize, looked: &Looked) -> Option<String> {
    if looked.unknown == 0 {
        return None;
    }
    let first = explain.waits_for(at).map(|stage| format!(" after `{}`", explain.stage(stage).name));
    let rows = if looked.unknown == 1 { "row" } else { "rows" };
    Some(format!("{} {rows} to come{}", looked.unknown, first.unwrap_or_default()))
}
