//! What does a table stage see? All its rows in id order; columns are loaded when asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::pack::Pack;
use crate::batch::{Batch, Loader};
use crate::digest::Digest;
use crate::error::Error;
use crate::stage::Failures;
use crate::tensor;

/// Bytes of one column that may stay in memory.
const MEMORY: usize = 1 << 30;
/// Bytes of a column that a pack takes over at once.
const CHUNK: usize = 64 << 20;

/// The rows of a table stage, sorted by id.
pub struct TableRows {
    schema: SchemaRef,
    parts: Vec<Batch>,
    /// (part, row) of every row in id order.
    order: Vec<(u32, u32)>,
    ids: StringArray,
    loader: Loader,
    /// The columns that can be read; `None`: all.
    declared: Option<Vec<String>>,
    /// The rows of its other inputs, by port.
    sides: Vec<(String, TableRows)>,
    memory: usize,
    scratch: PathBuf,
}

impl TableRows {
    /// Sorts the rows of light batches. Fails where two rows have the same id.
    pub fn new(schema: SchemaRef, parts: Vec<Batch>, loader: Loader) -> Result<Self, Error> {
        let id = |&(part, row): &(u32, u32)| parts[part as usize].ids().value(row as usize);
        let mut order: Vec<(u32, u32)> = Vec::with_capacity(parts.iter().map(Batch::len).sum());
        for (part, batch) in parts.iter().enumerate() {
            order.extend((0..batch.len() as u32).map(|row| (part as u32, row)));
        }
        order.sort_by(|a, b| id(a).cmp(id(b)));
        if let Some(pair) = order.windows(2).find(|pair| id(&pair[0]) == id(&pair[1])) {
            let id = id(&pair[0]).to_owned();
            return Err(Error::NotFound(format!(
                "two rows have the id `{id}`: give the `ingest` stages different `dataset` names, or list an input once"
            )));
        }
        let ids = StringArray::from_iter_values(order.iter().map(id));
        let scratch = std::env::temp_dir();
        Ok(TableRows {
            schema,
            parts,
            order,
            ids,
            loader,
            declared: None,
            sides: Vec::new(),
            memory: MEMORY,
            scratch,
        })
    }

    /// The same rows; a column of more than so many bytes is [`resident`](Self::resident) in a file.
    pub fn memory(self, bytes: usize) -> Self {
        TableRows { memory: bytes, ..self }
    }

    /// The same rows, with such files in that folder.
    pub(crate) fn scratch(self, folder: &Path) -> Self {
        TableRows { scratch: folder.to_owned(), ..self }
    }

    /// The same rows, of which only these columns (and `id`) can be read: what is not declared is not part of the key.
    pub(crate) fn declared(self, consumes: &[String]) -> Self {
        let declared = consumes.iter().cloned().chain(["id".to_owned()]).collect();
        TableRows { declared: Some(declared), ..self }
    }

    /// The same rows, beside those of a port.
    pub fn with_side(mut self, port: &str, rows: TableRows) -> Self {
        self.sides.push((port.to_owned(), rows));
        self
    }

    /// The rows of a port that is planned as one of [`Planned::sides`](crate::stage::Planned::sides).
    pub fn side(&self, port: &str) -> Result<&TableRows, Error> {
        let found = self.sides.iter().find(|(name, _)| name == port).map(|(_, rows)| rows);
        found.ok_or_else(|| {
            Error::Internal(format!("a table reads the port `{port}`, which it does not declare"))
        })
    }

    /// All other inputs.
    pub(crate) fn sides(&self) -> &[(String, TableRows)] {
        &self.sides
    }

    /// Rows from a record batch in memory (`id` first), for tests of a stage. Sorted by id here.
    pub fn from_record_batch(rows: &RecordBatch) -> Result<Self, Error> {
        TableRows::new(rows.schema(), vec![Batch::from_values(rows)?], Loader::default())
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The ids, ascending.
    pub fn ids(&self) -> &StringArray {
        &self.ids
    }

    /// Where the row of that id stands in id order.
    pub fn find(&self, id: &str) -> Option<u32> {
        let at = self
            .order
            .partition_point(|&(part, row)| self.parts[part as usize].ids().value(row as usize) < id);
        (at < self.len() && self.ids.value(at) == id).then_some(at as u32)
    }

    /// Columns that arrive, with their metadata.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// One column for all rows.
    pub fn column(&self, name: &str) -> Result<ArrayRef, Error> {
        let all = UInt32Array::from_iter_values(0..self.len() as u32);
        Ok(self.take(&[name], &all)?.column(1).clone())
    }

    /// One column for all rows, to be read at random and often: in memory, or where that would be too much of it (1 GiB of
    /// tensors), mapped from a temporary file of the rows in id order.
    pub fn resident(&self, name: &str) -> Result<ArrayRef, Error> {
        let field = Arc::new(self.schema.field_with_name(name)?.clone());
        let cell = match tensor::cell_bytes(&field) {
            Some(cell) if self.len() * cell > self.memory => cell,
            _ => return self.column(name),
        };
        let mut pack = Pack::new(&field, cell, self.len(), &self.scratch)?;
        // In the order of the parts, which is that of the cache.
        let mut rows: Vec<u32> = (0..self.len() as u32).collect();
        rows.sort_unstable_by_key(|&row| self.order[row as usize]);
        for rows in rows.chunks((CHUNK / cell).max(1)) {
            pack.put(rows, self.take(&[name], &UInt32Array::from(rows.to_vec()))?.column(1))?;
        }
        pack.map()
    }

    /// `id` and the named columns of the given rows, in that order: how a training stage reads a minibatch.
    pub fn take(&self, columns: &[&str], rows: &UInt32Array) -> Result<RecordBatch, Error> {
        let hidden = columns
            .iter()
            .find(|&&name| self.declared.as_ref().is_some_and(|d| !d.iter().any(|d| d == name)));
        if let Some(name) = hidden {
            let what =
                format!("a table reads column `{name}`, which it does not declare among those it consumes");
            return Err(Error::Internal(what));
        }
        if rows.is_empty() {
            return self.no_rows(columns);
        }
        let columns: Vec<String> = columns.iter().map(|c| c.to_string()).collect();
        let mut wanted: Vec<Vec<u32>> = vec![Vec::new(); self.parts.len()];
        let mut indices = Vec::with_capacity(rows.len());
        for &row in rows.values() {
            let (part, row) = self.order[row as usize];
            indices.push((part as usize, wanted[part as usize].len()));
            wanted[part as usize].push(row);
        }
        let mut slots = vec![usize::MAX; self.parts.len()];
        let mut loaded = Vec::new();
        for (part, rows) in wanted.iter().enumerate() {
            if rows.is_empty() {
                continue;
            }
            slots[part] = loaded.len();
            loaded.push(self.load(&self.parts[part].take(rows)?, &columns)?);
        }
        let indices: Vec<_> = indices.into_iter().map(|(part, row)| (slots[part], row)).collect();
        Ok(interleave_record_batch(&loaded.iter().collect::<Vec<_>>(), &indices)?)
    }

    fn no_rows(&self, columns: &[&str]) -> Result<RecordBatch, Error> {
        let fields =
            std::iter::once(&"id").chain(columns).map(|name| self.schema.field_with_name(name).cloned());
        Ok(RecordBatch::new_empty(Arc::new(Schema::new(fields.collect::<Result<Vec<_>, _>>()?))))
    }

    fn load(&self, batch: &Batch, columns: &[String]) -> Result<RecordBatch, Error> {
        let mut failures = Failures::default();
        let rows = self.loader.load(batch, columns, &mut failures)?;
        match failures.iter().next() {
            Some((id, error)) => Err(Error::NotFound(format!("row `{id}`: {error}"))),
            None => Ok(rows),
        }
    }

    /// Digest of the ids and of the named columns: what the result of a table stage depends on.
    pub(crate) fn digest(&self, columns: &[String]) -> Result<Digest, Error> {
        let digests = self.parts.iter().map(|part| columns.iter().map(|c| part.digests(c)).collect());
        let digests: Vec<Vec<Vec<Digest>>> = digests.collect::<Result<_, Error>>()?;
        let mut hasher = blake3::Hasher::new();
        for (&(part, row), id) in self.order.iter().zip(self.ids.iter()) {
            let id = id.unwrap_or_default();
            hasher.update(&(id.len() as u64).to_le_bytes());
            hasher.update(id.as_bytes());
            digests[part as usize].iter().for_each(|column| {
                hasher.update(&column[row as usize].0);
            });
        }
        Ok(Digest::from_hash(hasher.finalize()))
    }

    /// The ids, and the digest of every cell of the named columns: all that the result of a table stage depends on.
    pub(crate) fn cells(&self, columns: &[String]) -> Result<RecordBatch, Error> {
        let mut fields = vec![Field::new("id", DataType::Utf8, false)];
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(self.ids.clone())];
        for name in columns.iter().filter(|name| *name != "id") {
            let parts: Vec<Vec<Digest>> =
                self.parts.iter().map(|part| part.digests(name)).collect::<Result<_, Error>>()?;
            let digests = self.order.iter().map(|&(part, row)| parts[part as usize][row as usize].0);
            fields.push(Field::new(name, DataType::FixedSizeBinary(16), false));
            arrays.push(Arc::new(FixedSizeBinaryArray::try_from_iter(digests)?));
        }
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }

    /// Light batches of the given rows (positions in id order), in that order.
    pub(crate) fn light(&self, rows: &[u32]) -> Result<Vec<Batch>, Error> {
        let places = rows.iter().map(|&row| self.order[row as usize]).collect::<Vec<_>>();
        let runs = places.chunk_by(|a, b| a.0 == b.0);
        runs.map(|run| {
            self.parts[run[0].0 as usize].take(&run.iter().map(|&(_, row)| row).collect::<Vec<_>>())
        })
        .collect()
    }

    /// The light batches in their order of arrival.
    pub(crate) fn parts(&self) -> &[Batch] {
        &self.parts
    }
}
