//! Which rows left a stage in a run? Lists of ids and keys in parts, named by their content, so that a run that changes
//! nothing writes nothing and `export` finds every row later.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use crate::cache::segment::digests_array;
use crate::cache::unharmed::unharmed;
use crate::cache::{Cache, seal, stem};
use crate::digest::{Digest, cells, encode};
use crate::error::Error;
use crate::tensor;

const PART: usize = 1 << 16;

/// Writes the list of one stage as its rows leave.
pub struct ListWriter {
    cache: Arc<Cache>,
    pending: Vec<RecordBatch>,
    rows: usize,
    parts: Vec<String>,
}

impl ListWriter {
    /// A list in that cache.
    pub fn new(cache: Arc<Cache>) -> Self {
        ListWriter { cache, pending: Vec::new(), rows: 0, parts: Vec::new() }
    }

    /// Adds rows known by their keys.
    pub fn keys(&mut self, ids: &StringArray, keys: &[Digest]) -> Result<(), Error> {
        let keys: ArrayRef = match keys.is_empty() {
            true => return Ok(()),
            false => digests_array(keys, 16)?,
        };
        let id = Field::new("id", DataType::Utf8, false);
        let key = Field::new("key", DataType::FixedSizeBinary(16), false);
        let schema = Arc::new(Schema::new(vec![id, key]));
        self.rows(RecordBatch::try_new(schema, vec![Arc::new(ids.clone()), keys])?)
    }

    /// Adds rows of which only the ids are new.
    pub fn ids(&mut self, ids: &StringArray) -> Result<(), Error> {
        let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false)]));
        self.rows(RecordBatch::try_new(schema, vec![Arc::new(ids.clone())])?)
    }

    /// Adds rows by value (those of a source, or bare ids).
    pub fn rows(&mut self, rows: RecordBatch) -> Result<(), Error> {
        self.rows += rows.num_rows();
        self.pending.push(rows);
        if self.rows >= PART { self.flush() } else { Ok(()) }
    }

    /// Ends the list: the names of its parts.
    pub fn finish(mut self) -> Result<Vec<String>, Error> {
        self.flush()?;
        Ok(self.parts)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let pending = std::mem::take(&mut self.pending);
        let rows = std::mem::take(&mut self.rows);
        let Some(schema) = pending.first().map(|batch| batch.schema()).filter(|_| rows > 0) else {
            return Ok(());
        };
        let name = content(&pending, encode)?;
        let path = path(&name);
        if is_there(&self.cache, &path)? {
            self.parts.push(name);
            return Ok(());
        }
        let fields: Vec<_> = schema.fields().iter().map(tensor::disk_field).collect();
        let batch = concat_batches(&schema, &pending)?;
        let arrays = schema.fields().iter().zip(batch.columns()).map(|(f, a)| tensor::to_disk(f, a));
        let disk = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays.collect::<Result<_, _>>()?)?;
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, disk.schema(), Some(properties()))?;
        writer.write(&disk)?;
        writer.close()?;
        seal::seal(&mut bytes, &name);
        self.cache.put(&path, &[&bytes])?;
        self.parts.push(name);
        Ok(())
    }
}

/// Ids hardly repeat, so a dictionary of them is work for nothing; what a source says of rows does.
fn properties() -> WriterProperties {
    let properties = WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::None)
        .set_key_value_metadata(Some(vec![seal::unsealed()]));
    ["id", "key"]
        .into_iter()
        .fold(properties, |all, name| all.set_column_dictionary_enabled(name.into(), false))
        .build()
}

/// Whether a list lies there as it was written. One that is damaged is moved aside.
fn is_there(cache: &Cache, path: &str) -> Result<bool, Error> {
    let Some(bytes) = cache.find(path)? else { return Ok(false) };
    let there = whole(path, bytes);
    if !there {
        cache.damaged(path, "its content does not match its digest");
    }
    Ok(there)
}

/// Whether these rows are those that the list is named after.
fn is_named(name: &str, batches: &[RecordBatch]) -> Result<bool, Error> {
    let before = |column: &ArrayRef, out: &mut Vec<u8>| {
        cells(column)?.iter().for_each(|digest| out.extend(digest.0));
        Ok(())
    };
    // Lists were named after the digests of their cells at first.
    Ok(content(batches, encode)? == name || content(batches, before)? == name)
}

/// The name of a list: the digest of its values, column by column.
fn content(
    batches: &[RecordBatch],
    encode: impl Fn(&ArrayRef, &mut Vec<u8>) -> Result<(), Error>,
) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    let mut cells = Vec::new();
    let schema = batches.first().map(|batch| batch.schema());
    for (at, field) in schema.iter().flat_map(|schema| schema.fields()).enumerate() {
        hasher.update(field.name().as_bytes());
        for batch in batches {
            cells.clear();
            encode(batch.column(at), &mut cells)?;
            hasher.update(&cells);
        }
    }
    Ok(Digest::from_hash(hasher.finalize()).to_string())
}

/// Reads a list's parts, one after the other; tensors as batches carry them. A part whose values are not those it is named
/// after is damaged.
pub fn read(cache: &Cache, parts: &[String]) -> Result<Vec<RecordBatch>, Error> {
    let mut all = Vec::new();
    for part in parts {
        let path = path(part);
        let Some(bytes) = cache.find(&path)? else {
            return Err(Error::Damaged { path, what: "it was there and is gone".into() });
        };
        let found = decode(bytes).map_err(|error| cache.damaged(&path, &error.to_string()))?;
        if !is_named(part, &found)? {
            return Err(cache.damaged(&path, "its content does not match its digest"));
        }
        all.extend(found);
    }
    Ok(all)
}

/// Whether these are the bytes of the list at that path.
pub(super) fn whole(path: &str, bytes: Bytes) -> bool {
    let name = stem(path);
    match seal::whole(&bytes, name) {
        Some(whole) => whole,
        None => decode(bytes).and_then(|found| is_named(name, &found)).unwrap_or(false),
    }
}

fn decode(bytes: Bytes) -> Result<Vec<RecordBatch>, Error> {
    unharmed(|| {
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
        reader.map(|batch| tensor::batch_from_disk(&batch?)).collect()
    })
}

pub(super) fn path(name: &str) -> String {
    format!("v1/lists/{name}.parquet")
}
