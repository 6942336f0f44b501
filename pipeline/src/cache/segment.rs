//! What is one file of rows? A Parquet segment that any reader opens: `key`, `id`, `key_inputs` (for rows of a map stage the
//! digests of the cells it consumed, which with the identity are the whole preimage of the key), the stage's own columns.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelectionPolicy, RowSelector,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::sidecar;
use super::unharmed::unharmed;
use crate::batch::string_column;
use crate::digest::{Digest, cells};
use crate::error::Error;
use crate::tensor;

/// Columns of a segment that are not a stage's own; no stage may add columns of these names.
pub const RESERVED: [&str; 3] = ["key", "id", "key_inputs"];

/// Rows not yet written: keys, ids and columns in one order.
pub struct Rows {
    /// The key of each row.
    pub keys: Vec<Digest>,
    /// What else each key was made of: as many digests for every row, row after row; none for rows of a table.
    pub inputs: Vec<Digest>,
    /// The id each was computed for.
    pub ids: StringArray,
    /// The stage's own columns.
    pub columns: Vec<ArrayRef>,
}

/// The files of a segment, encoded.
pub struct Encoded {
    /// The Parquet file.
    pub parquet: Vec<u8>,
    /// The sidecar.
    pub sidecar: Vec<u8>,
}

/// Encodes rows.
pub fn encode(fields: &[FieldRef], rows: &Rows) -> Result<Encoded, Error> {
    let binary = |name, width| Arc::new(Field::new(name, DataType::FixedSizeBinary(width), false));
    let mut disk_fields = vec![binary("key", 16), Arc::new(Field::new("id", DataType::Utf8, false))];
    let mut arrays: Vec<ArrayRef> = vec![digests_array(&rows.keys, 16)?, Arc::new(rows.ids.clone())];
    if !rows.inputs.is_empty() {
        let width = (rows.inputs.len() / rows.keys.len() * 16) as i32;
        disk_fields.push(binary("key_inputs", width));
        arrays.push(digests_array(&rows.inputs, width)?);
    }
    let mut digests = Vec::new();
    for (field, array) in fields.iter().zip(&rows.columns) {
        disk_fields.push(tensor::disk_field(field));
        digests.push(cells(array)?);
        arrays.push(tensor::to_disk(field, array)?);
    }
    let schema = Arc::new(Schema::new(disk_fields));
    let mut parquet = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut parquet, schema.clone(), Some(properties(&schema)))?;
    writer.write(&RecordBatch::try_new(schema, arrays)?)?;
    writer.close()?;
    let sidecar = sidecar::encode(&rows.keys, &digests, parquet.len(), Digest::of(&parquet));
    Ok(Encoded { parquet, sidecar })
}

/// Digests as a column, so many bytes a row.
pub fn digests_array(digests: &[Digest], width: i32) -> Result<ArrayRef, Error> {
    let mut bytes = Vec::with_capacity(digests.len() * 16);
    digests.iter().for_each(|digest| bytes.extend(digest.0));
    Ok(Arc::new(FixedSizeBinaryArray::try_new(width, bytes.into(), None)?))
}

fn properties(schema: &SchemaRef) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(usize::MAX));
    for field in schema.fields().iter().filter(|f| matches!(f.data_type(), DataType::FixedSizeBinary(_))) {
        let path = ColumnPath::from(field.name().as_str());
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_compression(path, Compression::UNCOMPRESSED);
    }
    properties.build()
}

/// A Parquet segment, opened when first read.
pub struct Segment {
    bytes: Bytes,
    metadata: OnceLock<ArrowReaderMetadata>,
}

impl Segment {
    /// Wraps the bytes of the file.
    pub fn new(bytes: Bytes) -> Self {
        Segment { bytes, metadata: OnceLock::new() }
    }

    /// Makes the sidecar again from the segment alone.
    pub fn rebuild_sidecar(&self, fields: &[FieldRef]) -> Result<Vec<u8>, Error> {
        let all: Vec<u32> = (0..self.rows()?).collect();
        let keys = self.digests("key", &all)?;
        let digests = fields
            .iter()
            .map(|field| cells(&self.values(field, &all)?))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(sidecar::encode(&keys, &digests, self.bytes.len(), Digest::of(&self.bytes)))
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The stage's own columns as batches carry them.
    pub fn fields(&self) -> Result<Vec<FieldRef>, Error> {
        let schema = self.metadata()?.schema();
        let own = schema.fields().iter().filter(|field| !RESERVED.contains(&field.name().as_str()));
        Ok(own.map(tensor::memory_field).collect())
    }

    /// The ids that rows were computed for.
    pub fn ids(&self, rows: &[u32]) -> Result<StringArray, Error> {
        string_column(&RecordBatch::try_from_iter([("id", self.column("id", rows)?)])?, 0)
    }

    /// For each row the digests of the cells that its key was made of; empty where the segment does not tell.
    pub fn inputs(&self, rows: &[u32]) -> Result<Vec<Vec<Digest>>, Error> {
        let schema = self.metadata()?.schema().clone();
        let Ok(field) = schema.field_with_name("key_inputs") else {
            return Ok(vec![Vec::new(); rows.len()]);
        };
        let DataType::FixedSizeBinary(width @ 16..) = *field.data_type() else {
            return Ok(vec![Vec::new(); rows.len()]);
        };
        let digests = self.digests("key_inputs", rows)?;
        Ok(digests.chunks(width as usize / 16).map(<[Digest]>::to_vec).collect())
    }

    fn rows(&self) -> Result<u32, Error> {
        let rows = self.metadata()?.metadata().file_metadata().num_rows();
        // A key is 16 bytes in the file.
        let found = u32::try_from(rows).ok().filter(|_| rows as usize <= self.bytes.len() / 16);
        found.ok_or_else(|| ParquetError::General(format!("it cannot hold {rows} rows")).into())
    }

    /// A column of digests, all values one after the other.
    fn digests(&self, name: &str, rows: &[u32]) -> Result<Vec<Digest>, Error> {
        let column = self.column(name, rows)?;
        let bytes = column.as_fixed_size_binary_opt().map(|column| column.value_data().to_vec());
        let bytes = bytes.unwrap_or_default();
        Ok(bytes.chunks_exact(16).filter_map(|chunk| chunk.try_into().ok()).map(Digest).collect())
    }

    /// The values of a stage's own column at the given rows, in that order.
    pub fn values(&self, field: &FieldRef, rows: &[u32]) -> Result<ArrayRef, Error> {
        tensor::from_disk(field, &self.column(field.name(), rows)?)
    }

    fn column(&self, name: &str, rows: &[u32]) -> Result<ArrayRef, Error> {
        unharmed(|| self.decode(name, rows))
    }

    fn decode(&self, name: &str, rows: &[u32]) -> Result<ArrayRef, Error> {
        let metadata = self.metadata()?;
        let total = self.rows()? as usize;
        let mut wanted = rows.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.last().is_some_and(|&last| last as usize >= total) {
            return Err(ParquetError::General("a row beyond the end of the segment".into()).into());
        }
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), metadata.clone());
        let at = builder.schema().index_of(name)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), [at]);
        let reader = builder
            .with_projection(mask)
            .with_row_selection(selection(&wanted, total))
            .with_row_selection_policy(RowSelectionPolicy::Selectors)
            .with_batch_size(wanted.len().max(1))
            .build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        let schema = match batches.first() {
            Some(batch) => batch.schema(),
            None => {
                return Err(ParquetError::General(format!("no rows of column `{name}`")).into());
            }
        };
        let values = concat_batches(&schema, &batches)?.column(0).clone();
        if wanted.len() == rows.len() && wanted == rows {
            return Ok(values);
        }
        let positions = rows.iter().map(|row| wanted.binary_search(row).unwrap_or_default() as u32);
        Ok(take(&values, &UInt32Array::from_iter_values(positions), None)?)
    }

    fn metadata(&self) -> Result<&ArrowReaderMetadata, Error> {
        if let Some(metadata) = self.metadata.get() {
            return Ok(metadata);
        }
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = unharmed(|| Ok(ArrowReaderMetadata::load(&self.bytes, options)?))?;
        Ok(self.metadata.get_or_init(|| metadata))
    }
}

fn selection(wanted: &[u32], total: usize) -> RowSelection {
    let mut selectors = Vec::new();
    let mut at = 0;
    for run in wanted.chunk_by(|a, b| a + 1 == *b) {
        let start = run[0] as usize;
        if start > at {
            selectors.push(RowSelector::skip(start - at));
        }
        selectors.push(RowSelector::select(run.len()));
        at = start + run.len();
    }
    if at < total {
        selectors.push(RowSelector::skip(total - at));
    }
    selectors.into()
}
