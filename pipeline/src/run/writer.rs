//! When do rows become durable? At least every 2 seconds or 64 MB, as one segment; then the batches that waited for them go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::concat;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::calls::{Made, RowFailure};
use super::map::{MapRun, ToWrite};
use crate::Batch;
use crate::cache::claims::Claim;
use crate::cache::entries::Place;
use crate::cache::segment::Rows;
use crate::digest::Digest;
use crate::error::Error;

/// Longest that a computed row waits to become durable, where the options say nothing.
const AGE: Duration = Duration::from_secs(2);
/// Most bytes that wait.
const BYTES: usize = 64 << 20;

/// A batch with the keys of its rows, and which of them were missing.
pub struct Item {
    /// The rows.
    pub batch: Batch,
    /// Their keys.
    pub keys: Vec<Digest>,
    /// What else than the identity went into those, as many digests for every row.
    pub inputs: Vec<Digest>,
    /// Rows to compute.
    pub missing: Vec<u32>,
    /// Rows with the key of another row that was on its way already, ascending.
    pub twins: Vec<u32>,
    /// Where its rows lie, as far as they were stored when the batch came.
    pub places: Vec<Option<Place>>,
    /// What keeps other processes from computing the missing rows too.
    pub claims: Vec<Claim>,
}

/// Collects computed rows of one map stage.
pub struct Writer<'a> {
    map: &'a MapRun<'a>,
    age: Duration,
    ids: Vec<ArrayRef>,
    keys: Vec<Digest>,
    inputs: Vec<Digest>,
    columns: Vec<Vec<ArrayRef>>,
    bytes: usize,
    /// Whether some of the rows are to stand before older ones of their key.
    newest: bool,
    since: Option<Instant>,
    waiting: VecDeque<Box<Item>>,
    ready: Sender<Box<Item>>,
}

impl<'a> Writer<'a> {
    /// A writer for that stage.
    pub fn new(map: &'a MapRun<'a>, ready: Sender<Box<Item>>) -> Self {
        let columns = vec![Vec::new(); map.entries.fields().len()];
        Writer {
            map,
            age: map.stage.shared.options.commit_every.unwrap_or(AGE),
            ids: Vec::new(),
            keys: Vec::new(),
            inputs: Vec::new(),
            columns,
            bytes: 0,
            newest: false,
            since: None,
            waiting: VecDeque::new(),
            ready,
        }
    }

    /// Takes messages until the sender is gone. After an error it stops the run and goes on committing: what was computed is
    /// kept, however the run ends.
    pub fn run(mut self, messages: Receiver<ToWrite>) -> Result<(), Error> {
        let mut first = Ok(());
        loop {
            let wait = self.since.map_or(self.age, |since| self.age.saturating_sub(since.elapsed()));
            let mut done = match messages.recv_timeout(wait) {
                Ok(ToWrite::Flush(item)) => {
                    self.waiting.push_back(item);
                    Ok(())
                }
                Ok(ToWrite::Made(made)) => self.add(*made),
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let due = self.bytes >= BYTES || self.since.is_some_and(|since| since.elapsed() >= self.age);
            if due || self.since.is_none() {
                done = done.and(self.commit()).and_then(|()| self.send_on());
            }
            if first.is_ok() && done.is_err() {
                self.map.stage.shared.control.fail();
                first = done;
            }
        }
        first.and(self.commit()).and_then(|()| self.send_on())
    }

    fn add(&mut self, made: Made) -> Result<(), Error> {
        let Made { ids, keys, inputs, columns, failures } = made;
        self.since.get_or_insert_with(Instant::now);
        self.map.stage.tally.misses.fetch_add(keys.len() as u64, Ordering::Relaxed);
        for (slot, column) in self.columns.iter_mut().zip(columns) {
            self.bytes += column.get_array_memory_size();
            slot.push(column);
        }
        self.bytes += ids.value_data().len() + keys.len() * 40;
        self.newest |= self.map.quarantine.resolve(&keys);
        self.ids.push(Arc::new(ids));
        self.inputs.extend(inputs);
        self.keys.extend(keys);
        for RowFailure { id, key, error, tries, passing } in failures {
            let hides = self.map.entries.find(&[key])?[0].is_some();
            let failed = self.map.quarantine.add(key, &id, &error, tries, hides, passing);
            self.map.stage.failed(failed)?;
        }
        self.map.stage.progress();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.since = None;
        self.bytes = 0;
        if self.keys.is_empty() && !self.map.quarantine.pending() {
            return Ok(());
        }
        self.map.stage.unchanged()?;
        self.map.quarantine.commit()?;
        if self.keys.is_empty() {
            return Ok(());
        }
        let columns = self.columns.iter_mut().map(joined).collect::<Result<_, _>>()?;
        let keys = std::mem::take(&mut self.keys);
        let ids = joined(&mut self.ids)?.as_string().clone();
        let inputs = std::mem::take(&mut self.inputs);
        let rows = keys.len() as u64;
        let stage = self.map.stage;
        let newest = std::mem::take(&mut self.newest) || self.map.forced;
        let (_, bytes) = self.map.entries.commit(&Rows { keys, inputs, ids, columns }, newest)?;
        stage.committed(rows, bytes);
        Ok(())
    }

    fn send_on(&mut self) -> Result<(), Error> {
        while let Some(mut item) = self.waiting.pop_front() {
            item.claims.clear();
            // What is computed although its value is known stays in flight, so that it happens once a run.
            if !self.map.forced {
                item.missing.iter().for_each(|&row| {
                    self.map.in_flight.remove(&item.keys[row as usize]);
                });
            }
            self.ready.send(item).map_err(|_| Error::Interrupted)?;
        }
        Ok(())
    }
}

/// The parts one after the other, taken out.
fn joined(parts: &mut Vec<ArrayRef>) -> Result<ArrayRef, Error> {
    let mut parts = std::mem::take(parts);
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Ok(concat(&parts.iter().map(|part| part.as_ref()).collect::<Vec<_>>())?),
    }
}
