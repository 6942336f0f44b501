//! How does a map stage run? Look up every row; load and prepare what is missing; compute; commit; send on in order.
//!
//! Three threads once something is missing: this one looks up, loads and prepares; one computes; one writes. Where
//! everything is cached there is only the first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, RecordBatch};
use crossbeam_channel::{Receiver, Sender, bounded};
use dashmap::DashSet;

use super::identity;
use super::quarantine::{Failed, Quarantine};
use super::stage_run::StageRun;
use super::writer::{Item, Writer};
use crate::batch::string_column;
use crate::cache::entries::Entries;
use crate::digest::Digest;
use crate::error::Error;
use crate::stage::{Failures, Map};

/// What is shared by the three threads of a map stage.
pub struct MapRun<'a> {
    /// The stage.
    pub stage: &'a StageRun<'a>,
    /// What it has stored.
    pub entries: Arc<Entries>,
    /// Rows that failed.
    pub quarantine: Quarantine,
    /// Keys on their way through the threads: a second row with the same key waits for the first.
    pub in_flight: DashSet<Digest>,
}

/// Rows on their way to compute.
struct Call {
    ids: Vec<String>,
    keys: Vec<Digest>,
    inputs: Vec<Digest>,
    prepared: RecordBatch,
    failures: Failures,
}

enum ToCompute {
    Call(Call),
    Flush(Item),
}

/// What the writer receives.
pub enum ToWrite {
    /// Computed rows: ids and keys of those that succeeded, their columns, and the failures.
    Made {
        ids: Vec<String>,
        keys: Vec<Digest>,
        inputs: Vec<Digest>,
        columns: Vec<arrow::array::ArrayRef>,
        failures: Vec<(String, Digest, String)>,
    },
    /// A batch all of whose missing rows were sent before it.
    Flush(Item),
}

/// Runs a map stage to its end.
pub fn run(stage: &StageRun, work: Arc<dyn Map>) -> Result<(), Error> {
    let cache = stage.shared.state.cache.clone();
    let folder = format!("v1/rows/{}", stage.identity);
    let entries = Entries::open(cache.clone(), folder.clone(), stage.stage.planned.adds.clone(), None)?;
    let _ = stage.tally.entries.set((folder.clone(), None));
    let quarantine = Quarantine::open(cache, folder)?;
    let map = MapRun { stage, entries: Arc::new(entries), quarantine, in_flight: DashSet::new() };
    std::thread::scope(|scope| {
        let mut pump: Option<(Sender<ToCompute>, _, _)> = None;
        let intake = stage.inputs(|batch| {
            let item = map.look_up(batch)?;
            if pump.is_none() && item.missing.is_empty() && item.twins.is_empty() {
                return map.emit(item);
            }
            let (sender, _, _) = pump.get_or_insert_with(|| {
                let (to_compute, computing) = bounded(2);
                let (to_write, writing) = bounded(4);
                let (map, work) = (&map, work.clone());
                let compute = scope.spawn(move || map.compute(work.as_ref(), computing, to_write));
                let write = scope.spawn(move || Writer::new(map).run(writing));
                (to_compute, compute, write)
            });
            map.send(work.as_ref(), item, sender)
        });
        let Some((sender, compute, write)) = pump else { return intake };
        drop(sender);
        let computed = compute.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let written = write.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // The thread that failed has the reason; the others only saw its channel close.
        let reason = |r: &Result<(), Error>| matches!(r, Err(error) if !matches!(error, Error::Interrupted));
        let results = [computed, written, intake];
        let at = results.iter().position(reason).or(results.iter().position(Result::is_err)).unwrap_or(0);
        results.into_iter().nth(at).unwrap_or(Ok(()))
    })
}

impl MapRun<'_> {
    /// Which rows of a batch are stored, failed before, or missing.
    fn look_up(&self, batch: crate::Batch) -> Result<Item, Error> {
        let stage = self.stage;
        let keys = identity::keys(stage.identity, &batch, &stage.stage.planned.consumes)?;
        let force = stage.shared.options.force.contains(&stage.stage.name);
        let places = if force { vec![None; keys.len()] } else { self.entries.find(&keys)? };
        let mut missing = Vec::new();
        let mut twins = Vec::new();
        for row in 0..batch.len() {
            if places[row].is_some() {
                stage.tally.hits.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if !self.in_flight.insert(keys[row]) {
                twins.push(row as u32);
                continue;
            }
            match self
                .quarantine
                .get(&keys[row])
                .filter(|_| !stage.shared.options.retry_quarantined && !force)
            {
                Some(mut failed) => {
                    self.in_flight.remove(&keys[row]);
                    failed.id = batch.ids().value(row).to_owned();
                    stage.failed(failed)?;
                }
                None => missing.push(row as u32),
            }
        }
        stage.progress();
        Ok(Item { batch, keys, places, missing, twins })
    }

    /// Loads and prepares the missing rows of a batch, call by call, and sends the batch after them.
    fn send(&self, work: &dyn Map, item: Item, sender: &Sender<ToCompute>) -> Result<(), Error> {
        let closed = |_| Error::Interrupted;
        for rows in item.missing.chunks(work.rows_per_call().max(1)) {
            self.stage.shared.control.check()?;
            let light = item.batch.take(rows)?;
            let ids = light.ids().iter().map(|id| id.unwrap_or_default().to_owned()).collect();
            let keys = rows.iter().map(|&row| item.keys[row as usize]).collect();
            let inputs = identity::inputs(&light, &self.stage.stage.planned.consumes)?;
            let mut failures = Failures::default();
            let loaded =
                self.stage.shared.loader.load(&light, &self.stage.stage.planned.consumes, &mut failures)?;
            let prepared =
                work.prepare(loaded, &mut failures).map_err(|e| e.into_error(&self.stage.stage.name))?;
            sender.send(ToCompute::Call(Call { ids, keys, inputs, prepared, failures })).map_err(closed)?;
        }
        sender.send(ToCompute::Flush(item)).map_err(closed)
    }

    fn compute(
        &self,
        work: &dyn Map,
        calls: Receiver<ToCompute>,
        sender: Sender<ToWrite>,
    ) -> Result<(), Error> {
        let mut worker = None;
        let closed = |_| Error::Interrupted;
        let name = &self.stage.stage.name;
        for message in calls {
            let call = match message {
                ToCompute::Flush(item) => {
                    sender.send(ToWrite::Flush(item)).map_err(closed)?;
                    continue;
                }
                ToCompute::Call(call) => call,
            };
            let mut failures = call.failures;
            let mut columns = Vec::new();
            if call.prepared.num_rows() > 0 {
                let _permission = self.stage.shared.control.permission(self.stage.at)?;
                let worker = match &mut worker {
                    Some(worker) => worker,
                    None => worker.insert(work.open(&self.stage.context).map_err(|e| e.into_error(name))?),
                };
                columns = worker.compute(&call.prepared, &mut failures).map_err(|e| e.into_error(name))?;
                self.check_columns(&columns, call.prepared.num_rows())?;
            }
            let made = made(&call.ids, &call.keys, &call.inputs, &call.prepared, columns, failures)?;
            sender.send(made).map_err(closed)?;
        }
        Ok(())
    }

    fn check_columns(&self, columns: &[arrow::array::ArrayRef], rows: usize) -> Result<(), Error> {
        super::table::check_columns(&self.stage.stage.name, &self.stage.stage.planned.adds, columns, rows)
    }

    /// Sends a batch on with the stage's own columns; rows without a stored result are in quarantine and stay behind.
    pub fn emit(&self, item: Item) -> Result<(), Error> {
        let mut places = item.places;
        let open: Vec<usize> = (0..places.len()).filter(|&row| places[row].is_none()).collect();
        let keys: Vec<Digest> = open.iter().map(|&row| item.keys[row]).collect();
        open.iter().zip(self.entries.find(&keys)?).for_each(|(&row, place)| places[row] = place);
        for &twin in &item.twins {
            match self.quarantine.get(&item.keys[twin as usize]).filter(|_| places[twin as usize].is_none()) {
                Some(failed) => self
                    .stage
                    .failed(Failed { id: item.batch.ids().value(twin as usize).to_owned(), ..failed })?,
                None => drop(self.stage.tally.hits.fetch_add(1, Ordering::Relaxed)),
            }
        }
        let kept: Vec<u32> =
            (0..item.batch.len() as u32).filter(|&row| places[row as usize].is_some()).collect();
        let keys: Vec<Digest> = kept.iter().map(|&row| item.keys[row as usize]).collect();
        let places: Arc<[_]> = places.into_iter().flatten().collect();
        let batch = match kept.len() == item.batch.len() {
            true => item.batch,
            false => item.batch.take(&kept)?,
        };
        let batch = batch.with(&self.stage.stage.schema, self.entries.columns(&places)?);
        let ids = batch.ids().clone();
        self.stage.emit(batch, |list| list.keys(&ids, &keys))
    }
}

/// Separates the rows that were computed from those that failed on the way.
fn made(
    ids: &[String],
    keys: &[Digest],
    inputs: &[Digest],
    prepared: &RecordBatch,
    columns: Vec<arrow::array::ArrayRef>,
    failures: Failures,
) -> Result<ToWrite, Error> {
    let width = inputs.len() / keys.len().max(1);
    let asked: HashMap<&str, usize> = ids.iter().enumerate().map(|(at, id)| (id.as_str(), at)).collect();
    let position = |id: &str| asked.get(id).copied();
    let key = |id: &str| position(id).map(|at| keys[at]);
    let failed: HashSet<&str> = failures.iter().map(|(id, _)| id).collect();
    let computed = string_column(prepared, 0)?;
    let kept: Vec<u32> = (0..prepared.num_rows() as u32)
        .filter(|&row| !failed.contains(computed.value(row as usize)))
        .collect();
    let mut made_ids = Vec::with_capacity(kept.len());
    let mut made_keys = Vec::with_capacity(kept.len());
    let mut made_inputs = Vec::with_capacity(kept.len() * width);
    for &row in &kept {
        let id = computed.value(row as usize);
        let at = position(id).ok_or_else(|| Error::Internal(format!("`prepare` changed the id `{id}`")))?;
        made_keys.push(keys[at]);
        made_inputs.extend(&inputs[at * width..(at + 1) * width]);
        made_ids.push(id.to_owned());
    }
    let columns = match kept.len() == prepared.num_rows() {
        true => columns,
        false => {
            let kept = arrow::array::UInt32Array::from(kept);
            columns.iter().map(|c| arrow::compute::take(c.as_ref(), &kept, None)).collect::<Result<_, _>>()?
        }
    };
    debug_assert!(columns.iter().all(|c| c.len() == made_ids.len()));
    let accounted: HashSet<&str> =
        made_ids.iter().map(String::as_str).chain(failed.iter().copied()).collect();
    if let Some(lost) = ids.iter().find(|id| !accounted.contains(id.as_str())) {
        return Err(Error::Internal(format!("row `{lost}` was neither computed nor reported as failed")));
    }
    let failures = failures
        .iter()
        .map(|(id, error)| match key(id) {
            Some(key) => Ok((id.to_owned(), key, error.to_string())),
            None => {
                Err(Error::Internal(format!("a failure was reported of row `{id}`, which was not asked for")))
            }
        })
        .collect::<Result<_, _>>()?;
    Ok(ToWrite::Made { ids: made_ids, keys: made_keys, inputs: made_inputs, columns, failures })
}
