//! What would a run do, why, and what would it cost? The same look-ups, and nothing computed or written.

use serde::Serialize;

use super::found::{Found, RowState};
use super::look::{look, only_looking};
use super::past::{Cost, Past};
use super::reason::{Reason, reason};
use super::why::explain::Explain;
use super::{Options, State};
use crate::cache::Damage;
use crate::error::Error;
use crate::plan::Plan;
use crate::registry::Registry;
use crate::stage::Shape;

/// What a run would do with one stage.
#[derive(Debug, Clone, Default, Serialize, PartialEq)]
pub struct Forecast {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// Rows that would reach it.
    pub rows: u64,
    /// Whether fewer rows may reach it, since a stage before it cannot choose yet.
    pub at_most: bool,
    /// Rows (or tables) found in the cache.
    pub cached: u64,
    /// Rows (or tables) to compute.
    pub compute: u64,
    /// How many of these consume what is not computed yet: it may turn out to be as it was, and they to be cached.
    pub unknown: u64,
    /// How many of these failed before and are tried again.
    pub retried: u64,
    /// Further rows, each the same as one to compute: they are computed with it, and cost nothing.
    pub twins: u64,
    /// Rows in quarantine, which stay there.
    pub quarantined: u64,
    /// Why.
    pub reason: String,
    /// Where that comes from: the stage upstream that changed, or the run that was stopped.
    pub cause: Option<String>,
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
        let past = Past::new(state)?;
        forecasts(&Explain { plan, looked: &looked, past: &past }, options, plan.stages.len())
    })
}

/// What a run would do with the first so many stages of those looked up.
pub(super) fn forecasts(explain: &Explain, options: &Options, stages: usize) -> Result<Vec<Forecast>, Error> {
    let mut all: Vec<Forecast> = Vec::with_capacity(stages);
    for at in 0..stages {
        let mut forecast = counts(explain, at);
        let Reason { words, cause } = reason(explain, at, options, &forecast, &all)?;
        (forecast.reason, forecast.cause) = (words, cause);
        let cost = cost(explain, at, &forecast);
        (forecast.seconds, forecast.bytes) = (cost.seconds, cost.bytes.map(|bytes| bytes.round() as u64));
        all.push(forecast);
    }
    Ok(all)
}

/// What it costs in all.
fn cost(explain: &Explain, at: usize, forecast: &Forecast) -> Cost {
    let (stage, looked) = (explain.stage(at), &explain.looked[at]);
    let rows = match stage.planned.work.shape() {
        Shape::Map => forecast.compute,
        Shape::Table => forecast.compute * forecast.rows,
        Shape::Source | Shape::Subset => 0,
    } as f64;
    if rows == 0.0 {
        return Cost { seconds: Some(0.0), bytes: Some(0.0) };
    }
    let row = explain.past.cost(stage, looked.lacking.is_empty().then_some(looked.identity.digest));
    let seconds = explain.rest(at).or(row.seconds.map(|seconds| seconds * rows));
    Cost { seconds, bytes: row.bytes.map(|bytes| bytes * rows) }
}

fn counts(explain: &Explain, at: usize) -> Forecast {
    let (stage, looked) = (explain.stage(at), &explain.looked[at]);
    let mut forecast = Forecast {
        stage: stage.name.clone(),
        kind: stage.kind.clone(),
        rows: looked.rows(),
        at_most: looked.at_most,
        ..Forecast::default()
    };
    match &looked.found {
        Found::Waiting if stage.planned.work.shape() == Shape::Table => forecast.compute = 1,
        Found::Waiting => forecast.compute = forecast.rows,
        Found::Source(failed) => {
            forecast.rows = looked.output.rows();
            forecast.quarantined = failed.len() as u64;
        }
        Found::Subset => {}
        Found::Map(found) => {
            (forecast.compute, forecast.unknown) = (looked.unknown, looked.unknown);
            for (_, state) in found.rows.iter().flatten() {
                match state {
                    RowState::Cached(_) => forecast.cached += 1,
                    RowState::Twin => forecast.twins += 1,
                    RowState::Quarantined(_) => forecast.quarantined += 1,
                    RowState::Missing | RowState::Retried(_) => forecast.compute += 1,
                }
                forecast.retried += u64::from(matches!(state, RowState::Retried(_)));
            }
        }
        Found::Table(found) => {
            forecast.cached = u64::from(found.record.is_some());
            forecast.compute = u64::from(found.record.is_none());
        }
    }
    // A table that is computed is computed once, and nobody knows whether it will be the same one.
    if matches!(looked.found, Found::Waiting | Found::Table(_)) && (looked.unknown > 0 || looked.at_most) {
        forecast.unknown = forecast.compute;
    }
    if !looked.lacking.is_empty() {
        forecast.unknown = forecast.compute;
    }
    forecast
}
