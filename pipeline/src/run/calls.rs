//! How is a call of a map stage computed? Tried again after failures, as its file says; where it fails for good, row by row,
//! so that a row that brings a call down goes to quarantine alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take;

use super::limit::{guarded, within};
use super::quarantine::{Late, Passing};
use super::stage_run::StageRun;
use super::writer::Item;
use crate::batch::{Batch, string_column};
use crate::digest::Digest;
use crate::error::{Error, StageError, StageResult};
use crate::plan::OnError;
use crate::stage::{Failures, Map, Retry, Worker};

/// Calls that fail one after another before the stage itself is at fault, and not its rows.
const IN_VAIN: u32 = 32;

/// Rows on their way to compute.
pub struct Call {
    rows: Rows,
    prepared: StageResult<Prepared>,
}

/// Rows by id and digests, and their keys.
pub struct Rows {
    light: Batch,
    keys: Vec<Digest>,
    /// What else than the identity went into the keys, row after row.
    inputs: Vec<Digest>,
}

/// Rows loaded and decoded, and those that could not be.
struct Prepared {
    rows: RecordBatch,
    failures: Failures,
}

/// What a call made.
pub struct Made {
    /// Rows that succeeded.
    pub ids: StringArray,
    /// Their keys.
    pub keys: Vec<Digest>,
    /// What else than the identity went into those.
    pub inputs: Vec<Digest>,
    /// Their columns; none where no row succeeded.
    pub columns: Vec<ArrayRef>,
    /// Rows that failed for good.
    pub failures: Vec<RowFailure>,
}

impl Made {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.failures.is_empty()
    }

    fn failed(failures: Vec<RowFailure>) -> Self {
        let ids = StringArray::new_null(0);
        Made { ids, keys: Vec::new(), inputs: Vec::new(), columns: Vec::new(), failures }
    }
}

/// A row that failed for good in this run.
pub struct RowFailure {
    /// The row.
    pub id: String,
    /// Its key.
    pub key: Digest,
    /// Why.
    pub error: String,
    /// How often it was tried.
    pub tries: u32,
    /// Why it may succeed as it is, if it may.
    pub passing: Option<Passing>,
}

/// A row of a call that failed.
struct Fall {
    /// Its place in the call.
    row: u32,
    error: String,
    passing: Option<Passing>,
}

/// Those of a call.
type Fallen = Vec<Fall>;

impl Rows {
    /// Those rows of a batch.
    pub fn of(item: &Item, rows: &[u32]) -> Result<Self, Error> {
        Self::among(&item.batch, &item.keys, &item.inputs, rows)
    }

    fn take(&self, rows: &[u32]) -> Result<Self, Error> {
        Self::among(&self.light, &self.keys, &self.inputs, rows)
    }

    fn among(batch: &Batch, keys: &[Digest], inputs: &[Digest], rows: &[u32]) -> Result<Self, Error> {
        let width = inputs.len() / keys.len().max(1);
        let inputs_of = |&row: &u32| &inputs[row as usize * width..(row as usize + 1) * width];
        Ok(Rows {
            light: if rows.len() == batch.len() { batch.clone() } else { batch.take(rows)? },
            keys: rows.iter().map(|&row| keys[row as usize]).collect(),
            inputs: rows.iter().flat_map(inputs_of).copied().collect(),
        })
    }

    fn inputs(&self, row: usize) -> &[Digest] {
        let width = self.inputs.len() / self.keys.len().max(1);
        &self.inputs[row * width..(row + 1) * width]
    }
}

impl Call {
    /// Loads and prepares rows. What fails here is the business of whoever computes, for it may be tried again.
    pub fn prepare(stage: &StageRun, work: &dyn Map, rows: Rows) -> Self {
        let prepared = prepare(stage, work, &rows.light);
        Call { rows, prepared }
    }
}

fn prepare(stage: &StageRun, work: &dyn Map, light: &Batch) -> StageResult<Prepared> {
    let mut failures = Failures::default();
    let loaded = stage.shared.loader.load(light, &stage.stage.planned.consumes, &mut failures)?;
    let rows = guarded(|| work.prepare(loaded, &mut failures))?;
    Ok(Prepared { rows, failures })
}

/// Computes the calls of one map stage.
pub struct Caller<'a> {
    stage: &'a StageRun<'a>,
    work: Arc<dyn Map>,
    worker: Option<Box<dyn Worker>>,
    in_vain: u32,
}

impl<'a> Caller<'a> {
    /// Weights are not loaded before the first row.
    pub fn new(stage: &'a StageRun<'a>, work: Arc<dyn Map>) -> Self {
        Caller { stage, work, worker: None, in_vain: 0 }
    }

    /// Computes a call, with as many tries as the stage has; what succeeds is sent at once.
    pub fn call(&mut self, call: Call, send: &mut dyn FnMut(Made) -> Result<(), Error>) -> Result<(), Error> {
        let Call { mut rows, mut prepared } = call;
        let tries = self.stage.stage.tries;
        let mut tried = 0;
        loop {
            tried += 1;
            let (made, outcome) = match self.attempt(&rows, prepared) {
                Ok((made, fallen)) => (made, Ok(fallen)),
                Err(error) => (Made::failed(Vec::new()), Err(error)),
            };
            send(made)?;
            let again = tried <= tries.retries;
            let open = match &outcome {
                Ok(fallen) if fallen.is_empty() => return Ok(()),
                Ok(fallen) if again => fallen.iter().map(|fall| fall.row).collect(),
                Err(error) if again && error.passing() => (0..rows.keys.len() as u32).collect::<Vec<_>>(),
                Ok(_) | Err(_) => return self.give_up(&rows, outcome, tried, send),
            };
            let reason = match &outcome {
                Ok(fallen) => fallen.first().map(|fall| fall.error.as_str()).unwrap_or_default(),
                Err(error) => error.message(),
            };
            let what = if open.len() == 1 { "1 row".into() } else { format!("{} rows", open.len()) };
            self.stage.pause(tried, &what, reason)?;
            rows = rows.take(&open)?;
            prepared = prepare(self.stage, self.work.as_ref(), &rows.light);
        }
    }

    /// What cannot be had: rows that failed are set aside, of a call that failed the rows are tried one by one.
    fn give_up(
        &mut self,
        rows: &Rows,
        outcome: StageResult<Fallen>,
        tries: u32,
        send: &mut dyn FnMut(Made) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |rows: &Rows, fallen: Fallen| {
            let failure = |fall: Fall| RowFailure {
                id: rows.light.ids().value(fall.row as usize).to_owned(),
                key: rows.keys[fall.row as usize],
                error: fall.error,
                tries,
                passing: fall.passing,
            };
            Made::failed(fallen.into_iter().map(failure).collect())
        };
        let error = match outcome {
            Ok(fallen) => return send(failed(rows, fallen)),
            Err(error) => error,
        };
        let safe = self.stage.stage.retry == Retry::Safe;
        let quarantine = matches!(self.stage.stage.on_error, OnError::Quarantine { .. });
        self.in_vain += 1;
        if !quarantine || !error.of_rows() || !(safe || error.is_late()) || self.in_vain > IN_VAIN {
            return Err(error.into_error(&self.stage.stage.name));
        }
        let count = rows.keys.len() as u32;
        if count == 1 || error.is_late() {
            let late = Late::of(&self.stage.stage.tries).filter(|_| error.is_late());
            let fall = |row| Fall { row, error: error.text(), passing: late.map(Passing::Late) };
            return send(failed(rows, (0..count).map(fall).collect()));
        }
        self.in_vain -= 1;
        let reason = error.message().lines().next().unwrap_or_default();
        let message = format!("a call of {count} rows failed, so they are tried one by one: {reason}");
        self.stage.context.warn(message);
        for row in 0..count {
            let one = rows.take(&[row])?;
            let prepared = prepare(self.stage, self.work.as_ref(), &one.light);
            match self.attempt(&one, prepared) {
                Ok((made, fallen)) => {
                    send(made)?;
                    send(failed(&one, fallen))?;
                }
                Err(error) => self.give_up(&one, Err(error), tries, send)?,
            }
        }
        Ok(())
    }

    /// One try: the rows that succeeded, and those that did not.
    fn attempt(&mut self, rows: &Rows, prepared: StageResult<Prepared>) -> StageResult<(Made, Fallen)> {
        let Prepared { rows: prepared, failures } = prepared?;
        if prepared.num_rows() == 0 {
            return Ok(split(rows, &prepared, Vec::new(), failures)?);
        }
        let _permission = self.stage.shared.control.permission(self.stage.at)?;
        let (columns, failures) = self.compute(&prepared, failures)?;
        let planned = &self.stage.stage.planned;
        super::table::check_columns(&self.stage.stage.name, &planned.adds, &columns, prepared.num_rows())?;
        self.in_vain = 0;
        Ok(split(rows, &prepared, columns, failures)?)
    }

    /// The columns of prepared rows. A worker that panicked or takes too long is not used again.
    fn compute(
        &mut self,
        rows: &RecordBatch,
        mut failures: Failures,
    ) -> StageResult<(Vec<ArrayRef>, Failures)> {
        let mut worker = match self.worker.take() {
            Some(worker) => worker,
            // Weights that do not load are no row's fault.
            None => guarded(|| self.work.open(&self.stage.context))
                .map_err(|error| StageError::from(error.into_error(&self.stage.stage.name)))?,
        };
        let computed = match self.stage.stage.tries.limit {
            None => guarded(|| worker.compute(rows, &mut failures)).map(|columns| (columns, failures)),
            Some(limit) => {
                let rows = rows.clone();
                let (back, computed) =
                    within(limit, Duration::ZERO, &self.stage.shared.control, move || {
                        let columns = guarded(|| worker.compute(&rows, &mut failures));
                        (worker, columns.map(|columns| (columns, failures)))
                    })?;
                worker = back;
                computed
            }
        };
        if !computed.as_ref().is_err_and(StageError::is_panic) {
            self.worker = Some(worker);
        }
        computed
    }
}

/// Separates the rows that were computed from those that failed on the way.
fn split(
    rows: &Rows,
    prepared: &RecordBatch,
    columns: Vec<ArrayRef>,
    failures: Failures,
) -> Result<(Made, Fallen), Error> {
    let ids = rows.light.ids();
    let computed = string_column(prepared, 0)?;
    if failures.is_empty() && computed == *ids {
        let (ids, keys, inputs) = (computed, rows.keys.clone(), rows.inputs.clone());
        return Ok((Made { ids, keys, inputs, columns, failures: Vec::new() }, Vec::new()));
    }
    let places: HashMap<&str, u32> =
        (0..ids.len() as u32).map(|row| (ids.value(row as usize), row)).collect();
    let mut accounted = vec![false; ids.len()];
    let mut fallen = Vec::new();
    for (id, error) in failures.iter() {
        let unknown =
            || Error::Internal(format!("a failure was reported of row `{id}`, which was not asked for"));
        let row = *places.get(id).ok_or_else(unknown)?;
        accounted[row as usize] = true;
        let passing = failures.is_unread(id).then_some(Passing::Unread);
        fallen.push(Fall { row, error: error.to_owned(), passing });
    }
    let mut made = Made::failed(Vec::new());
    let mut kept = Vec::new();
    for (at, id) in computed.iter().enumerate() {
        let id = id.unwrap_or_default();
        let unknown = || Error::Internal(format!("`prepare` changed the id `{id}`"));
        let row = *places.get(id).ok_or_else(unknown)? as usize;
        if !failures.contains(id) {
            kept.push(at as u32);
            made.keys.push(rows.keys[row]);
            made.inputs.extend(rows.inputs(row));
            accounted[row] = true;
        }
    }
    if let Some(lost) = accounted.iter().position(|accounted| !accounted) {
        let id = ids.value(lost);
        return Err(Error::Internal(format!("row `{id}` was neither computed nor reported as failed")));
    }
    let kept = UInt32Array::from(kept);
    let those = |column: &ArrayRef| take(column.as_ref(), &kept, None);
    if !kept.is_empty() {
        made.ids = those(&prepared.columns()[0])?.as_string_opt().cloned().unwrap_or(computed);
        made.columns = columns.iter().map(those).collect::<Result<_, _>>()?;
    }
    Ok((made, fallen))
}
