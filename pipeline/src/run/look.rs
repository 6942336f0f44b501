//! What does the cache hold of a plan? The look-ups of a run, stage by stage, with nothing computed or written.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::context::Context;
use super::identity::Identity;
use super::quarantine::{Failed, Quarantine};
use super::subset::{all_read, choose};
use super::table::{TableRecord, entry, stored};
use super::table_rows::TableRows;
use super::{Options, State, identity};
use crate::batch::{Batch, Loader};
use crate::cache::Damage;
use crate::cache::entries::{Entries, Place};
use crate::digest::Digest;
use crate::error::{Error, StageError};
use crate::event::Silent;
use crate::plan::{Plan, PlannedStage};
use crate::registry::Registry;
use crate::stage::{Failures, Source, Subset, Work};

/// What the cache holds of one stage.
pub(super) struct Looked {
    /// Light batches that reach it, as far as they are known.
    pub input: Vec<Batch>,
    /// Rows that will reach it, but whose values nobody knows before they are computed.
    pub unknown: u64,
    /// Its identity, made of what is known.
    pub identity: Identity,
    /// Artifacts that it needs and that are not made yet: while there are any, the identity is not the true one.
    pub lacking: Vec<String>,
    /// What was found.
    pub found: Found,
    /// What leaves it.
    pub output: Output,
}

/// What was found, by shape.
pub(super) enum Found {
    /// Nothing can be looked up before an artifact is made.
    Waiting,
    /// Rows that could not be read at all: id and error.
    Source(Vec<(String, String)>),
    /// Rows are chosen anew.
    Subset,
    /// Rows one by one.
    Map(MapFound),
    /// One result.
    Table(TableFound),
}

/// What was found of a map stage.
pub(super) struct MapFound {
    /// What is stored under its identity.
    pub entries: Arc<Entries>,
    /// For each batch of the input, the key and the state of each row.
    pub rows: Vec<Vec<(Digest, RowState)>>,
}

/// How a row of a map stage is found.
pub(super) enum RowState {
    /// Stored.
    Cached(Place),
    /// Failed before, and not tried again.
    Quarantined(Failed),
    /// To compute.
    Missing,
    /// To compute with another row that has the same key.
    Twin,
}

/// What was found of a table stage.
pub(super) struct TableFound {
    /// The name of its result, where its whole input is known.
    pub entry: Option<Digest>,
    /// The result, unless it is to be computed.
    pub record: Option<TableRecord>,
}

/// A stage's output as far as it is known.
#[derive(Default)]
pub(super) struct Output {
    batches: Vec<Batch>,
    /// Rows that will come, but whose values nobody knows before they are computed.
    unknown: u64,
    artifacts: Option<BTreeMap<String, Digest>>,
}

impl Output {
    /// The rows that are known.
    pub fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// Rows that leave the stage.
    pub fn rows(&self) -> u64 {
        self.batches.iter().map(|batch| batch.len() as u64).sum::<u64>() + self.unknown
    }
}

/// Looks at a state without writing or moving anything; what was found damaged on the way is told, and not seen by the
/// next look.
pub(super) fn only_looking<T>(
    state: &State,
    look: impl Fn(&State) -> Result<T, Error>,
) -> Result<(T, Vec<Damage>), Error> {
    state.cache.check_format()?;
    let (cache, files, runs) = (state.cache.read_only(), state.files.clone(), state.runs.clone());
    let state = State { cache, files, runs };
    let mut found = Vec::new();
    loop {
        let answer = look(&state);
        let damage = state.cache.take_damage();
        let new = !damage.is_empty();
        found.extend(damage);
        if !(new && matches!(answer, Err(Error::Damaged { .. }))) {
            return Ok((answer?, found));
        }
    }
}

/// Looks every stage of a plan up, in its order.
pub(super) fn look(
    plan: &Plan,
    registry: &Registry,
    state: &State,
    options: &Options,
) -> Result<Vec<Looked>, Error> {
    let loader = Loader::new(registry.clone(), state.files.clone());
    let mut looked: Vec<Looked> = Vec::new();
    for stage in &plan.stages {
        let found = Look { state, options, loader: &loader, stage }.stage(&looked)?;
        looked.push(found);
    }
    Ok(looked)
}

struct Look<'a> {
    state: &'a State,
    options: &'a Options,
    loader: &'a Loader,
    stage: &'a PlannedStage,
}

impl Look<'_> {
    fn stage(&self, before: &[Looked]) -> Result<Looked, Error> {
        let mut input = Vec::new();
        let mut unknown = 0;
        for &from in &self.stage.inputs {
            let output = &before[from].output;
            input.extend(output.batches.iter().map(|batch| batch.align(&self.stage.input_schema)));
            unknown += output.unknown;
        }
        let (artifacts, lacking) = self.artifacts(before);
        let identity = identity::of(self.stage, &artifacts, self.options.device, &self.state.files)?;
        let (found, output) = match &self.stage.planned.work {
            _ if !lacking.is_empty() => (Found::Waiting, to_come(&input, unknown)),
            Work::Source(work) => self.source(work.as_ref())?,
            Work::Map(_) => self.map(identity.digest, &input, unknown)?,
            Work::Subset(work) => self.subset(work.as_ref(), &input, unknown)?,
            Work::Table(_) => self.table(identity.digest, &input, unknown)?,
        };
        Ok(Looked { input, unknown, identity, lacking, found, output })
    }

    /// The artifacts that it needs as far as they are made, and the names of the others.
    fn artifacts(&self, before: &[Looked]) -> (BTreeMap<String, Digest>, Vec<String>) {
        let mut made = BTreeMap::new();
        let mut lacking = Vec::new();
        for (name, from) in &self.stage.artifacts {
            let provided = before[*from].output.artifacts.as_ref();
            match provided.and_then(|provided| provided.get(name)) {
                Some(digest) => drop(made.insert(name.clone(), *digest)),
                None => lacking.push(name.clone()),
            }
        }
        (made, lacking)
    }

    fn forced(&self) -> bool {
        self.options.force.contains(&self.stage.name)
    }

    fn source(&self, work: &dyn Source) -> Result<(Found, Output), Error> {
        let context = Context {
            stage: self.stage.name.clone(),
            device: self.options.device,
            artifacts: BTreeMap::new(),
            interrupt: Arc::new(AtomicBool::new(false)),
            observer: Arc::new(Silent),
            files: self.state.files.clone(),
            checkpoints: Arc::default(),
            deadline: None,
        };
        let mut batches = Vec::new();
        let mut failures = Failures::default();
        let mut emit = |rows| {
            batches.push(Batch::from_source(&self.stage.schema, &rows).map_err(StageError::from)?);
            Ok(())
        };
        work.rows(&context, &mut emit, &mut failures).map_err(|e| e.into_error(&self.stage.name))?;
        Ok((Found::Source(failures.into_inner()), Output { batches, ..Output::default() }))
    }

    fn map(&self, identity: Digest, input: &[Batch], mut unknown: u64) -> Result<(Found, Output), Error> {
        let folder = format!("v1/rows/{identity}");
        let fields = self.stage.planned.adds.clone();
        let entries = Arc::new(Entries::open(self.state.cache.clone(), folder.clone(), fields, None)?);
        let quarantine = Quarantine::open(self.state.cache.clone(), folder)?;
        let mut all = Vec::new();
        let mut batches = Vec::new();
        let mut in_flight = HashSet::new();
        for batch in input {
            let keys = identity::keys(identity, batch, &self.stage.planned.consumes)?;
            let places = if self.forced() { vec![None; keys.len()] } else { entries.find(&keys)? };
            let kept: Vec<u32> =
                (0..keys.len() as u32).filter(|&row| places[row as usize].is_some()).collect();
            let present: Arc<[_]> = places.iter().copied().flatten().collect();
            batches.push(batch.take(&kept)?.with(&self.stage.schema, entries.columns(&present)?));
            let state = |(key, place): (Digest, Option<Place>)| {
                let state = match place {
                    Some(place) => RowState::Cached(place),
                    None => self.missing(&quarantine, &key, &mut in_flight),
                };
                unknown += u64::from(matches!(state, RowState::Missing | RowState::Twin));
                (key, state)
            };
            all.push(keys.into_iter().zip(places).map(state).collect());
        }
        Ok((Found::Map(MapFound { entries, rows: all }), Output { batches, unknown, artifacts: None }))
    }

    fn missing(&self, quarantine: &Quarantine, key: &Digest, in_flight: &mut HashSet<Digest>) -> RowState {
        let again = self.options.retry_quarantined || self.forced();
        match quarantine.get(key).filter(|_| !again) {
            Some(failed) => RowState::Quarantined(failed),
            None if in_flight.insert(*key) => RowState::Missing,
            None => RowState::Twin,
        }
    }

    fn subset(&self, work: &dyn Subset, input: &[Batch], unknown: u64) -> Result<(Found, Output), Error> {
        let mut batches = Vec::new();
        if work.whole() {
            batches = choose(self.stage, work, &self.table_rows(input)?)?;
        } else {
            for batch in input {
                let mut failures = Failures::default();
                let rows = self.loader.load(batch, &self.stage.planned.consumes, &mut failures)?;
                all_read(&self.stage.name, &failures)?;
                let kept = work.select(&rows).map_err(|e| e.into_error(&self.stage.name))?;
                batches.push(batch.take(&kept)?);
            }
        }
        Ok((Found::Subset, Output { batches, unknown, artifacts: None }))
    }

    fn table(&self, identity: Digest, input: &[Batch], unknown: u64) -> Result<(Found, Output), Error> {
        let mut found = TableFound { entry: None, record: None };
        if unknown > 0 {
            return Ok((Found::Table(found), to_come(input, unknown)));
        }
        let table = self.table_rows(input)?;
        let entry = entry(identity, &table, &self.stage.planned.consumes)?;
        found.entry = Some(entry);
        let Some(record) = TableRecord::newest(&self.state.cache, entry)?.filter(|_| !self.forced()) else {
            return Ok((Found::Table(found), to_come(input, 0)));
        };
        let batches = stored(&self.state.cache, self.stage, &table, entry, &record)?;
        let batches = batches.into_iter().map(|(batch, _)| batch).collect();
        let artifacts = Some(record.digests());
        found.record = Some(record);
        Ok((Found::Table(found), Output { batches, unknown: 0, artifacts }))
    }

    fn table_rows(&self, input: &[Batch]) -> Result<TableRows, Error> {
        TableRows::new(self.stage.input_schema.clone(), input.to_vec(), self.loader.clone())
    }
}

/// The output of a stage of whose rows nothing is known yet but their number, at most.
fn to_come(input: &[Batch], unknown: u64) -> Output {
    Output { unknown: rows(input) + unknown, ..Output::default() }
}

/// What was read of the past; `None` where it is damaged, for an explanation can do without.
pub(super) fn undamaged<T>(read: Result<T, Error>) -> Result<Option<T>, Error> {
    match read {
        Err(Error::Damaged { .. }) => Ok(None),
        read => read.map(Some),
    }
}

fn rows(batches: &[Batch]) -> u64 {
    batches.iter().map(|batch| batch.len() as u64).sum()
}
