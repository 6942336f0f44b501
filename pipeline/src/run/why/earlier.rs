//! What reached a stage before? The digests of consumed cells, as the cache and the runs' records keep them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use serde_json::Value;

use super::rows::Cells;
use crate::batch::{Batch, string_column};
use crate::cache::Cache;
use crate::cache::entries::{Entries, Place};
use crate::digest::Digest;
use crate::error::Error;
use crate::run::export::stored_fields;
use crate::run::lists;
use crate::run::look::undamaged;
use crate::run::past::{Past, key};
use crate::run::record::Record;
use crate::run::table::TableRecord;

/// The rows of a map stage as they were computed before.
#[derive(Default)]
pub(in crate::run) struct Before {
    /// Those that are stored with other consumed cells.
    pub cells: Cells,
    /// Those that were stored with the very same cells, and are gone.
    pub lost: Vec<String>,
    /// Whether a run tells which rows there were.
    pub listed: bool,
}

/// How the rows wanted (id and key now) were computed before, under `identity` with those consumed columns.
pub(in crate::run) fn of_map(
    past: &Past,
    entries: &Entries,
    identity: Digest,
    columns: Vec<String>,
    wanted: &HashMap<&str, Digest>,
) -> Result<Before, Error> {
    let cells = Cells { columns, rows: HashMap::new() };
    let mut before = Before { cells, ..Before::default() };
    let mut known: HashMap<String, Digest> = HashMap::new();
    let mut complete = false;
    for (record, info) in past.stages(|_, info| key(info) == Some(identity)) {
        let Some(listed) = list(past.cache(), info)? else { continue };
        before.listed = true;
        for (id, old) in listed.iter().flat_map(keys_of) {
            if wanted.contains_key(id.as_str()) {
                known.entry(id).or_insert(old);
            }
        }
        complete = record.finished();
        if complete || known.len() == wanted.len() {
            break;
        }
    }
    let mut found: Vec<(String, Place)> = Vec::new();
    let listed: Vec<(&String, &Digest)> = known.iter().collect();
    let places = entries.find(&listed.iter().map(|(_, old)| **old).collect::<Vec<_>>())?;
    for ((id, old), place) in listed.into_iter().zip(places) {
        match place {
            Some(place) => found.push((id.clone(), place)),
            None if wanted.get(id.as_str()) == Some(old) => before.lost.push(id.clone()),
            // Its cells went with it: that they were others is known, in what is not.
            None => drop(before.cells.rows.insert(id.clone(), Vec::new())),
        }
    }
    if !complete && known.len() < wanted.len() {
        // No run that came to its end lists the rows: what is stored knows the ids it was computed for, newest last.
        let places = entries.all();
        let ids = undamaged(entries.ids(&places))?.unwrap_or_default();
        let mut newest: HashMap<String, Place> = ids.into_iter().zip(places).collect();
        newest.retain(|id, _| wanted.contains_key(id.as_str()) && !known.contains_key(id));
        found.extend(newest);
    }
    before.lost.sort_unstable();
    let (ids, places): (Vec<String>, Vec<Place>) = found.into_iter().unzip();
    let inputs = undamaged(entries.inputs(&places))?.unwrap_or_default();
    before.cells.rows.extend(ids.into_iter().zip(inputs));
    Ok(before)
}

/// What is stored under an identity, opened with the columns it has.
pub(in crate::run) fn entries(cache: &Arc<Cache>, identity: Digest) -> Result<Entries, Error> {
    let folder = format!("v1/rows/{identity}");
    let fields = stored_fields(cache, &folder)?;
    Entries::open(cache.clone(), folder, fields, None)
}

/// The columns that a preimage consumes.
pub(in crate::run) fn consumes(preimage: &Value) -> Vec<String> {
    let columns = preimage["consumes"].as_array().into_iter().flatten();
    columns.filter_map(|column| column["name"].as_str().map(str::to_owned)).collect()
}

/// The input of a result of a table stage; `None` where it was not kept.
pub(in crate::run) fn of_table(cache: &Cache, record: &TableRecord) -> Result<Option<Cells>, Error> {
    of_list(cache, &record.inputs)
}

/// The rows and cells in a list; `None` where it was not kept.
pub(in crate::run) fn of_list(cache: &Cache, list: &[String]) -> Result<Option<Cells>, Error> {
    let Some(batches) = read(cache, list)? else { return Ok(None) };
    let mut cells = Cells::default();
    for batch in &batches {
        let names = batch.schema().fields().iter().skip(1).map(|field| field.name().clone()).collect();
        cells.columns = names;
        for (row, id) in string_column(batch, 0)?.iter().enumerate() {
            let digests = batch.columns()[1..].iter().map(|column| {
                let bytes = column.as_fixed_size_binary_opt().map(|column| column.value(row));
                bytes.and_then(|bytes| bytes.try_into().ok()).map(Digest).unwrap_or_default()
            });
            cells.rows.insert(id.unwrap_or_default().to_owned(), digests.collect());
        }
    }
    Ok(Some(cells))
}

/// What a source listed in a recorded run; `None` where it was not kept.
pub(in crate::run) fn of_source(cache: &Cache, record: &Record, stage: &str) -> Result<Option<Cells>, Error> {
    let Some(batches) = record.stages.get(stage).map(|info| list(cache, info)).transpose()?.flatten() else {
        return Ok(None);
    };
    let mut cells = Cells::default();
    for batch in &batches {
        let columns: Vec<String> =
            batch.schema().fields().iter().skip(1).map(|field| field.name().clone()).collect();
        cells.add(&Batch::from_values(batch)?, &columns)?;
    }
    Ok(Some(cells))
}

/// The keys by id with which the rows of a stage left it in a recorded run; `None` where they were not kept.
pub(in crate::run) fn keys(
    cache: &Cache,
    record: &Record,
    stage: &str,
) -> Result<Option<HashMap<String, Digest>>, Error> {
    let listed = record.stages.get(stage).map(|info| list(cache, info)).transpose()?.flatten();
    Ok(listed.map(|batches| batches.iter().flat_map(keys_of).collect()))
}

fn keys_of(batch: &RecordBatch) -> Vec<(String, Digest)> {
    let column = batch.column_by_name("key").and_then(|keys| keys.as_fixed_size_binary_opt());
    let (Some(keys), Ok(ids)) = (column, string_column(batch, 0)) else { return Vec::new() };
    let digest = |row: usize| keys.value(row).try_into().ok().map(Digest);
    (0..ids.len()).filter_map(|row| Some((ids.value(row).to_owned(), digest(row)?))).collect()
}

fn list(cache: &Cache, info: &Value) -> Result<Option<Vec<RecordBatch>>, Error> {
    match serde_json::from_value::<Vec<String>>(info["lists"].clone()) {
        Ok(parts) => read(cache, &parts),
        Err(_) => Ok(None),
    }
}

/// A list; `None` where it is gone or damaged, for an explanation can do without.
fn read(cache: &Cache, parts: &[String]) -> Result<Option<Vec<RecordBatch>>, Error> {
    Ok(undamaged(lists::read(cache, parts))?.filter(|batches| !batches.is_empty()))
}
