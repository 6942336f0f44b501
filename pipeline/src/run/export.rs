//! How do rows leave the cache? The rows of a stage in a recorded run, in id order, with its own columns or all of them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{FieldRef, Schema};
use serde_json::Value;

use super::record::Record;
use super::{lists, verify};
use crate::batch::string_column;
use crate::cache::Cache;
use crate::cache::entries::{Entries, Place};
use crate::cache::segment::Segment;
use crate::digest::Digest;
use crate::error::Error;

/// Rows in one batch of an export.
const BATCH: usize = 1024;

/// Gives the rows of a stage to `sink`, batch by batch in id order: `id` and its own columns, or every column that had
/// reached it. Columns by reference (`image`) leave as `uri` and `image_digest`.
pub fn export(
    cache: &Arc<Cache>,
    record: &Record,
    stage: &str,
    all: bool,
    mut sink: impl FnMut(RecordBatch) -> Result<(), Error>,
) -> Result<(), Error> {
    cache.check_format()?;
    let own = Stored::open(cache, record, stage)?;
    let mut ids: Vec<String> = own.rows.keys().cloned().collect();
    ids.sort();
    let mut stages = vec![(own, None)];
    if all {
        for (upstream, names) in upstream(record, stage) {
            stages.push((Stored::open(cache, record, &upstream)?, names));
        }
    }
    let mut chunks = ids.chunks(BATCH).peekable();
    if chunks.peek().is_none() {
        return sink(assemble(&stages, &[])?);
    }
    chunks.try_for_each(|chunk| sink(assemble(&stages, chunk)?))
}

fn assemble(stages: &[(Stored, Names)], ids: &[String]) -> Result<RecordBatch, Error> {
    let mut fields: Vec<FieldRef> =
        vec![Arc::new(arrow::datatypes::Field::new("id", arrow::datatypes::DataType::Utf8, false))];
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(ids))];
    for (stage, names) in stages {
        for (field, column) in stage.columns(ids)? {
            let name = match names {
                None => field.name(),
                Some(names) => match names.get(field.name()) {
                    Some(name) => name,
                    None => continue,
                },
            };
            match fields.iter().position(|known| known.name() == name) {
                None => {
                    fields.push(Arc::new(field.as_ref().clone().with_name(name).with_nullable(true)));
                    columns.push(column);
                }
                Some(at) if at > 0 && columns[at].data_type() == column.data_type() => {
                    columns[at] = fill(&columns[at], &column)?;
                }
                Some(_) => {}
            }
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The first column, with the second's values where it is null: concatenated inputs each bring some of the rows.
fn fill(first: &ArrayRef, second: &ArrayRef) -> Result<ArrayRef, Error> {
    let indices: Vec<(usize, usize)> =
        (0..first.len()).map(|row| (usize::from(first.is_null(row)), row)).collect();
    Ok(arrow::compute::interleave(&[first.as_ref(), second.as_ref()], &indices)?)
}

/// Which of a stage's columns reached another one, and under which names; `None`: all, under their own.
type Names = Option<HashMap<String, String>>;

/// The stages whose rows went on to one, nearest first.
fn upstream(record: &Record, stage: &str) -> Vec<(String, Names)> {
    let mut found: Vec<(String, Names)> = Vec::new();
    let mut frontier = vec![(stage.to_owned(), None)];
    while let Some((name, names)) = frontier.pop() {
        let Some(info) = record.stages.get(&name) else { continue };
        let names = arriving(&info["keeps"], names);
        let inputs = info["inputs"].as_array().cloned().unwrap_or_default();
        // Of inputs by name the rows of the first one go on.
        let by_name = info["ports"].as_array().is_some_and(|ports| !ports.is_empty());
        let going_on = if by_name { 1 } else { inputs.len() };
        for input in inputs.iter().take(going_on).filter_map(Value::as_str) {
            if !found.iter().any(|(known, _)| known == input) {
                found.push((input.to_owned(), names.clone()));
                frontier.insert(0, (input.to_owned(), names.clone()));
            }
        }
    }
    found
}

/// The names of the columns that arrive at a stage, from the names of those that leave it.
fn arriving(keeps: &Value, leaving: Names) -> Names {
    let Some(keeps) = keeps.as_object() else { return leaving };
    let name = |(left, arrived): (&String, &Value)| {
        let name = match &leaving {
            None => left.clone(),
            Some(names) => names.get(left)?.clone(),
        };
        Some((arrived.as_str()?.to_owned(), name))
    };
    Some(keeps.iter().filter_map(name).collect())
}

/// One value of a stage's own column in a recorded run; none where the run has no such row or column.
pub(super) fn value(
    cache: &Arc<Cache>,
    record: &Record,
    stage: &str,
    column: &str,
    id: &str,
) -> Result<Option<ArrayRef>, Error> {
    let stored = Stored::open(cache, record, stage)?;
    if !stored.rows.contains_key(id) {
        return Ok(None);
    }
    let columns = stored.columns(&[id.to_owned()])?;
    Ok(columns.into_iter().find(|(field, _)| field.name() == column).map(|(_, value)| value))
}

/// The rows of one stage as its lists and entries hold them.
struct Stored {
    /// Where in `values` each row lies, by id.
    rows: HashMap<String, u32>,
    /// The rows of a source, or bare ids.
    values: RecordBatch,
    entries: Option<(Entries, Vec<Option<Place>>)>,
}

impl Stored {
    fn open(cache: &Arc<Cache>, record: &Record, stage: &str) -> Result<Self, Error> {
        let names: Vec<&str> = record.stages.keys().map(String::as_str).collect();
        let unknown = || {
            Error::NotFound(format!(
                "run `{}` has no stage `{stage}`; it has {}",
                record.id,
                names.join(", ")
            ))
        };
        if !record.finished()
            && record.stages.get(stage).is_none_or(|info| info["rows"].as_u64().unwrap_or(0) == 0)
        {
            return Err(Error::NotFound(format!(
                "no rows left stage `{stage}` in run `{}`, which did not come to its end: run `{}` again, it goes on where that one stopped",
                record.id, record.name
            )));
        }
        let info = record.stages.get(stage).ok_or_else(unknown)?;
        let parts: Vec<String> = serde_json::from_value(info["lists"].clone()).unwrap_or_default();
        for path in parts.iter().map(|part| lists::path(part)) {
            if cache.size(&path)?.is_none() {
                return Err(match cache.is_aside(&path)? {
                    true => gone("it".into(), &path),
                    false => removed(record, stage),
                });
            }
        }
        let batches = lists::read(cache, &parts)?;
        let values = match batches.first() {
            Some(first) => concat_batches(&first.schema(), &batches)?,
            None => RecordBatch::try_from_iter([(
                "id",
                Arc::new(StringArray::from(Vec::<&str>::new())) as ArrayRef,
            )])?,
        };
        let ids = string_column(&values, 0)?;
        let rows =
            ids.iter().enumerate().map(|(row, id)| (id.unwrap_or_default().to_owned(), row as u32)).collect();
        let entries = match (values.column_by_name("key"), info["entries"].as_str()) {
            (Some(keys), Some(folder)) => {
                let segments: Option<Vec<String>> =
                    serde_json::from_value(info["segments"].clone()).unwrap_or_default();
                if !exists(cache, folder)? {
                    return Err(removed(record, stage));
                }
                let fields = stored_fields(cache, folder)?;
                if fields.is_empty() && values.num_rows() > 0 && info["columns"] != serde_json::json!([]) {
                    return Err(gone(format!("the rows of stage `{stage}`"), folder));
                }
                // A table's rows that were removed and computed again lie in other segments of the same entry.
                let mut there = true;
                for name in segments.iter().flatten() {
                    there &= cache.size(&format!("{folder}/{name}.parquet"))?.is_some();
                }
                let named = segments.as_deref().filter(|_| there);
                let entries = Entries::open(cache.clone(), folder.to_owned(), fields, named)?;
                let keys: Vec<Digest> = keys
                    .as_fixed_size_binary()
                    .iter()
                    .flatten()
                    .filter_map(|k| k.try_into().ok())
                    .map(Digest)
                    .collect();
                let places = entries.find(&keys)?;
                Some((entries, places))
            }
            _ => None,
        };
        Ok(Stored { rows, values, entries })
    }

    /// The stage's own columns for the given ids; null where it does not have a row.
    fn columns(&self, ids: &[String]) -> Result<Vec<(FieldRef, ArrayRef)>, Error> {
        let rows: UInt32Array = ids.iter().map(|id| self.rows.get(id).copied()).collect();
        let Some((entries, places)) = &self.entries else {
            let columns = self.values.columns().iter().map(|column| take(column, &rows, None));
            let taken = columns.collect::<Result<Vec<_>, _>>()?;
            return Ok(self.values.schema().fields().iter().cloned().zip(taken).skip(1).collect());
        };
        let mut found = Vec::new();
        for (column, field) in entries.fields().iter().enumerate() {
            let wanted: Vec<Option<Place>> =
                rows.iter().map(|row| row.and_then(|row| places[row as usize])).collect();
            let present: Vec<Place> = wanted.iter().copied().flatten().collect();
            let lost = rows.iter().zip(&wanted).position(|(row, place)| row.is_some() && place.is_none());
            if let Some(at) = lost {
                return Err(gone(format!("row `{}`", ids[at]), entries.folder()));
            }
            let values = entries.read(column, &present, &entries.digests(column, &present)?)?;
            let mut next = 0;
            let indices: Vec<(usize, usize)> = wanted
                .iter()
                .map(|place| match place {
                    Some(_) => {
                        next += 1;
                        (0, next - 1)
                    }
                    None => (1, 0),
                })
                .collect();
            let null = new_null_array(field.data_type(), 1);
            found.push((
                field.clone(),
                arrow::compute::interleave(&[values.as_ref(), null.as_ref()], &indices)?,
            ));
        }
        Ok(found)
    }
}

fn removed(record: &Record, stage: &str) -> Error {
    Error::NotFound(format!(
        "the rows of stage `{stage}` in run `{}` are not stored any more: removed by `cache gc` or the limit `max_size`, or deleted; run `{}` again",
        record.id, record.name
    ))
}

/// Whether there is a folder of that path: one whose files were damaged stays.
fn exists(cache: &Cache, folder: &str) -> Result<bool, Error> {
    let (above, name) = folder.rsplit_once('/').unwrap_or_default();
    Ok(cache.list(above)?.iter().any(|item| item.name == name))
}

fn gone(what: String, folder: &str) -> Error {
    Error::Damaged { path: folder.to_owned(), what: format!("{what} was there and is gone") }
}

/// The fields of stored rows, read from the smallest segment. All of it is checked before: a type that is wrong there would
/// make the values of every segment look damaged.
pub(super) fn stored_fields(cache: &Cache, folder: &str) -> Result<Vec<FieldRef>, Error> {
    let items = cache.list(folder)?;
    let segments = items.iter().filter(|item| item.name.ends_with(".parquet"));
    let Some(item) = segments.min_by_key(|item| item.size) else { return Ok(Vec::new()) };
    let path = format!("{folder}/{}", item.name);
    if !verify::segment(cache, &path)? {
        return Err(Error::Damaged { path, what: "its content is not what was written".into() });
    }
    Segment::new(cache.read(&path)?).fields().map_err(|error| cache.damaged(&path, &error.to_string()))
}
