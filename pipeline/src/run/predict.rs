//! What would a run do? The same look-ups, and nothing computed or written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::context::Context;
use super::subset::{all_read, choose};
use super::table::{TableRecord, entry};
use super::table_rows::TableRows;
use super::{Options, State, identity};
use crate::batch::{Batch, Loader};
use crate::cache::Damage;
use crate::cache::entries::Entries;
use crate::digest::Digest;
use crate::error::{Error, StageError};
use crate::event::Silent;
use crate::plan::{Plan, PlannedStage};
use crate::registry::Registry;
use crate::run::quarantine::Quarantine;
use crate::stage::{Failures, Map, Source, Subset, Work};

/// What a run would do with one stage.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
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
}

/// A stage's output as far as it is known.
#[derive(Default)]
struct Known {
    batches: Vec<Batch>,
    /// Rows that will come, but whose values nobody knows before they are computed.
    unknown: u64,
    artifacts: Option<BTreeMap<String, Digest>>,
}

/// Looks everything up, stage by stage. Damage met on the way stays where it is; a run would move it aside and compute
/// anew what it held, and so it is counted.
pub fn predict(
    plan: &Plan,
    registry: &Registry,
    state: &State,
    options: &Options,
) -> Result<(Vec<Forecast>, Vec<Damage>), Error> {
    state.cache.check_format()?;
    let (cache, files, runs) = (state.cache.read_only(), state.files.clone(), state.runs.clone());
    let state = &State { cache, files, runs };
    let mut found = Vec::new();
    loop {
        let forecasts = look_up(plan, registry, state, options);
        let damage = state.cache.take_damage();
        let new = !damage.is_empty();
        found.extend(damage);
        // What was found damaged is not seen the next time.
        if !(new && matches!(forecasts, Err(Error::Damaged { .. }))) {
            return Ok((forecasts?, found));
        }
    }
}

fn look_up(
    plan: &Plan,
    registry: &Registry,
    state: &State,
    options: &Options,
) -> Result<Vec<Forecast>, Error> {
    let loader = Loader::new(registry.clone());
    let mut known: Vec<Known> = Vec::new();
    let mut forecasts = Vec::new();
    for stage in &plan.stages {
        let look = Look { state, options, loader: &loader, stage };
        let (forecast, output) = look.stage(&known)?;
        forecasts.push(forecast);
        known.push(output);
    }
    Ok(forecasts)
}

struct Look<'a> {
    state: &'a State,
    options: &'a Options,
    loader: &'a Loader,
    stage: &'a PlannedStage,
}

impl Look<'_> {
    fn stage(&self, known: &[Known]) -> Result<(Forecast, Known), Error> {
        let mut batches = Vec::new();
        let mut unknown = 0;
        for &from in &self.stage.inputs {
            batches.extend(known[from].batches.iter().map(|batch| batch.align(&self.stage.input_schema)));
            unknown += known[from].unknown;
        }
        let rows = batches.iter().map(|b| b.len() as u64).sum::<u64>() + unknown;
        let mut forecast = Forecast {
            stage: self.stage.name.clone(),
            kind: self.stage.kind.clone(),
            rows,
            cached: 0,
            compute: 0,
            quarantined: 0,
            reason: String::new(),
        };
        let Some(artifacts) = self.artifacts(known) else {
            let table = matches!(self.stage.planned.work, Work::Table(_));
            forecast.compute = if table { 1 } else { rows };
            forecast.reason = "an artifact that it needs is not made yet".into();
            return Ok((forecast, Known { batches: Vec::new(), unknown: rows, artifacts: None }));
        };
        let identity = identity::of(self.stage, &artifacts, self.options.device, &self.state.files)?.digest;
        let output = match &self.stage.planned.work {
            Work::Source(work) => self.source(work.as_ref(), &mut forecast)?,
            Work::Map(work) => self.map(work.as_ref(), identity, batches, unknown, &mut forecast)?,
            Work::Subset(work) => self.subset(work.as_ref(), batches, unknown, &mut forecast)?,
            Work::Table(_) => self.table(identity, batches, unknown, &mut forecast)?,
        };
        Ok((forecast, output))
    }

    fn artifacts(&self, known: &[Known]) -> Option<BTreeMap<String, Digest>> {
        let needed = self
            .stage
            .artifacts
            .iter()
            .map(|(name, from)| Some((name.clone(), *known[*from].artifacts.as_ref()?.get(name)?)));
        needed.collect()
    }

    fn source(&self, work: &dyn Source, forecast: &mut Forecast) -> Result<Known, Error> {
        let context = Context {
            stage: self.stage.name.clone(),
            device: self.options.device,
            artifacts: BTreeMap::new(),
            interrupt: Arc::new(AtomicBool::new(false)),
            observer: Arc::new(Silent),
            files: self.state.files.clone(),
            deadline: None,
            checkpoints: Arc::default(),
        };
        let mut batches = Vec::new();
        let mut failures = Failures::default();
        let mut emit = |rows| {
            batches.push(Batch::from_source(&self.stage.schema, &rows).map_err(StageError::from)?);
            Ok(())
        };
        work.rows(&context, &mut emit, &mut failures).map_err(|e| e.into_error(&self.stage.name))?;
        forecast.rows = batches.iter().map(|b| b.len() as u64).sum();
        forecast.quarantined = failures.into_inner().len() as u64;
        forecast.reason = "listed at every run".into();
        Ok(Known { batches, ..Known::default() })
    }

    fn map(
        &self,
        _: &dyn Map,
        identity: Digest,
        batches: Vec<Batch>,
        mut unknown: u64,
        forecast: &mut Forecast,
    ) -> Result<Known, Error> {
        let folder = format!("v1/rows/{identity}");
        let fields = self.stage.planned.adds.clone();
        let first_time = self.state.cache.list(&folder)?.is_empty();
        let entries = Arc::new(Entries::open(self.state.cache.clone(), folder.clone(), fields, None)?);
        let quarantine = Quarantine::open(self.state.cache.clone(), folder)?;
        let forced = self.options.force.contains(&self.stage.name);
        let again =
            forced || self.options.retry_quarantined || self.stage.on_error == crate::plan::OnError::Fail;
        forecast.compute = unknown;
        let mut out = Vec::new();
        for batch in batches {
            let keys = identity::keys(identity, &batch, &self.stage.planned.consumes)?;
            let mut places = if forced { vec![None; keys.len()] } else { entries.find(&keys)? };
            for (key, place) in keys.iter().zip(&mut places) {
                let judged = quarantine.judge(key, *place);
                *place = judged.as_ref().ok().copied().flatten();
                match judged {
                    Ok(Some(_)) => forecast.cached += 1,
                    Err(_) if !again => forecast.quarantined += 1,
                    _ => {
                        forecast.compute += 1;
                        unknown += 1;
                    }
                }
            }
            let kept: Vec<u32> =
                (0..keys.len() as u32).filter(|&row| places[row as usize].is_some()).collect();
            let places: Arc<[_]> = places.into_iter().flatten().collect();
            out.push(batch.take(&kept)?.with(&self.stage.schema, entries.columns(&places)?));
        }
        forecast.reason = match forecast {
            _ if forced => "forced".into(),
            Forecast { compute: 0, .. } => "every row is cached".into(),
            _ if first_time => "these options have not been run before".into(),
            Forecast { cached: 0, .. } => "its input changed".into(),
            _ => "rows that are new or changed".into(),
        };
        Ok(Known { batches: out, unknown, artifacts: None })
    }

    fn subset(
        &self,
        work: &dyn Subset,
        batches: Vec<Batch>,
        unknown: u64,
        forecast: &mut Forecast,
    ) -> Result<Known, Error> {
        forecast.reason = "chooses rows at every run".into();
        if work.whole() {
            let rows = TableRows::new(self.stage.input_schema.clone(), batches, self.loader.clone())?;
            return Ok(Known { batches: choose(self.stage, work, &rows)?, unknown, artifacts: None });
        }
        let mut out = Vec::new();
        for batch in batches {
            let mut failures = Failures::default();
            let rows = self.loader.load(&batch, &self.stage.planned.consumes, &mut failures)?;
            all_read(&self.stage.name, &failures)?;
            out.push(batch.take(&work.select(&rows).map_err(|e| e.into_error(&self.stage.name))?)?);
        }
        Ok(Known { batches: out, unknown, artifacts: None })
    }

    fn table(
        &self,
        identity: Digest,
        batches: Vec<Batch>,
        unknown: u64,
        forecast: &mut Forecast,
    ) -> Result<Known, Error> {
        let rows = batches.iter().map(|b| b.len() as u64).sum::<u64>() + unknown;
        let not_yet = |forecast: &mut Forecast, reason: &str| {
            forecast.compute = 1;
            forecast.reason = reason.into();
            Ok(Known { batches: Vec::new(), unknown: rows, artifacts: None })
        };
        if self.options.force.contains(&self.stage.name) {
            return not_yet(forecast, "forced");
        }
        if unknown > 0 {
            return not_yet(forecast, "rows before it are to be computed");
        }
        let table = TableRows::new(self.stage.input_schema.clone(), batches, self.loader.clone())?;
        let entry = entry(identity, &table, &self.stage.planned.consumes)?;
        let Some(record) = TableRecord::newest(&self.state.cache, entry)? else {
            return not_yet(forecast, "its options, its input or what it depends on are new");
        };
        forecast.cached = 1;
        forecast.reason = "same input and options as before".into();
        let batches = super::table::stored(&self.state.cache, self.stage, &table, entry, &record)?;
        Ok(Known {
            batches: batches.into_iter().map(|(batch, _)| batch).collect(),
            unknown: 0,
            artifacts: Some(record.digests()),
        })
    }
}
