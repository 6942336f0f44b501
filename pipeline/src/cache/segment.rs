//! What is one file of rows? A Parquet segment (`key`, `id`, the stage's own columns) that any reader opens, and a sidecar
//! `.keys` with its sorted keys and the digest of every cell, which can be rebuilt from the segment.
//!
//! Sidecar, little-endian: magic `AFKEYS01`, rows u32, columns u32, size of the segment u64; the keys sorted (16 bytes each);
//! the row of each (u32); the digests, column after column in row order (16 bytes each); 32 bytes of BLAKE3 over all before.

use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, AsArray, FixedSizeBinaryArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::digest::{Digest, cells};
use crate::error::Error;
use crate::tensor;

const MAGIC: &[u8; 8] = b"AFKEYS01";
const HEADER: usize = 24;

/// Rows not yet written: keys, ids and columns in one order.
pub struct Rows {
    /// The key of each row.
    pub keys: Vec<Digest>,
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
    let mut disk_fields = vec![
        Arc::new(Field::new("key", DataType::FixedSizeBinary(16), false)),
        Arc::new(Field::new("id", DataType::Utf8, false)),
    ];
    let keys = FixedSizeBinaryArray::try_from_iter(rows.keys.iter().map(|key| key.0))?;
    let mut arrays: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(rows.ids.clone())];
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
    let sidecar = encode_sidecar(&rows.keys, &digests, parquet.len());
    Ok(Encoded { parquet, sidecar })
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

fn encode_sidecar(keys: &[Digest], digests: &[Vec<Digest>], size: usize) -> Vec<u8> {
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    order.sort_by_key(|&row| (keys[row as usize], row));
    let mut out = Vec::with_capacity(HEADER + keys.len() * (20 + 16 * digests.len()) + 32);
    out.extend(MAGIC);
    out.extend((keys.len() as u32).to_le_bytes());
    out.extend((digests.len() as u32).to_le_bytes());
    out.extend((size as u64).to_le_bytes());
    order.iter().for_each(|&row| out.extend(keys[row as usize].0));
    order.iter().for_each(|&row| out.extend(row.to_le_bytes()));
    digests.iter().flatten().for_each(|digest| out.extend(digest.0));
    let hash = blake3::hash(&out);
    out.extend(hash.as_bytes());
    out
}

/// A sidecar in memory or mapped, checked.
pub struct Sidecar {
    bytes: Bytes,
    rows: usize,
    columns: usize,
}

impl Sidecar {
    /// Checks and wraps the bytes of a sidecar. The error says what is wrong with them.
    pub fn open(bytes: Bytes, columns: usize) -> Result<Self, String> {
        if bytes.len() < HEADER + 32 || &bytes[..8] != MAGIC {
            return Err("not a sidecar of this version".into());
        }
        let (body, hash) = bytes.split_at(bytes.len() - 32);
        if blake3::hash(body).as_bytes() != hash {
            return Err("its checksum does not match".into());
        }
        let rows = read_u32(&bytes, 8) as usize;
        if read_u32(&bytes, 12) as usize != columns || bytes.len() != HEADER + rows * (20 + 16 * columns) + 32
        {
            return Err("it belongs to other columns".into());
        }
        Ok(Sidecar { bytes, rows, columns })
    }

    /// Size that the segment must have.
    pub fn segment_size(&self) -> u64 {
        u64::from_le_bytes(self.bytes[16..24].try_into().unwrap_or_default())
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The row of a key. Keys are uniform, so a few interpolated steps find it.
    pub fn find(&self, key: &Digest) -> Option<u32> {
        let (mut low, mut high) = (0, self.rows);
        let target = prefix(&key.0);
        let (mut floor, mut ceiling) = (0u64, u64::MAX);
        while low < high {
            let span = (ceiling - floor).max(1) as u128;
            let guess = low + ((target.saturating_sub(floor)) as u128 * (high - low) as u128 / span) as usize;
            let at = guess.clamp(low, high - 1);
            let found = self.key(at);
            match found.cmp(&key.0) {
                std::cmp::Ordering::Equal => {
                    return Some(read_u32(&self.bytes, HEADER + self.rows * 16 + at * 4));
                }
                std::cmp::Ordering::Less => (low, floor) = (at + 1, prefix(&found)),
                std::cmp::Ordering::Greater => (high, ceiling) = (at, prefix(&found)),
            }
        }
        None
    }

    /// Digest of a cell.
    pub fn digest(&self, column: usize, row: u32) -> Digest {
        debug_assert!(column < self.columns);
        let at = HEADER + self.rows * 20 + (column * self.rows + row as usize) * 16;
        Digest(self.bytes[at..at + 16].try_into().unwrap_or_default())
    }

    fn key(&self, at: usize) -> [u8; 16] {
        self.bytes[HEADER + at * 16..HEADER + at * 16 + 16].try_into().unwrap_or_default()
    }
}

fn prefix(key: &[u8; 16]) -> u64 {
    u64::from_be_bytes(key[..8].try_into().unwrap_or_default())
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
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
        let rows = self.metadata()?.metadata().file_metadata().num_rows() as u32;
        let all: Vec<u32> = (0..rows).collect();
        let keys = self.column("key", &all)?;
        let keys: Vec<Digest> = keys
            .as_fixed_size_binary()
            .iter()
            .flatten()
            .filter_map(|k| k.try_into().ok())
            .map(Digest)
            .collect();
        let digests = fields
            .iter()
            .map(|field| cells(&self.values(field, &all)?))
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(encode_sidecar(&keys, &digests, self.bytes.len()))
    }

    /// The values of a stage's own column at the given rows, in that order.
    pub fn values(&self, field: &FieldRef, rows: &[u32]) -> Result<ArrayRef, Error> {
        tensor::from_disk(field, &self.column(field.name(), rows)?)
    }

    fn column(&self, name: &str, rows: &[u32]) -> Result<ArrayRef, Error> {
        let metadata = self.metadata()?;
        let total = metadata.metadata().file_metadata().num_rows() as usize;
        let mut wanted = rows.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.last().is_some_and(|&last| last as usize >= total) {
            return Err(
                parquet::errors::ParquetError::General("a row beyond the end of the segment".into()).into()
            );
        }
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), [name]);
        let reader = builder
            .with_projection(mask)
            .with_row_selection(selection(&wanted, total))
            .with_batch_size(wanted.len().max(1))
            .build()?;
        let batches = reader.collect::<Result<Vec<_>, _>>()?;
        let schema = match batches.first() {
            Some(batch) => batch.schema(),
            None => {
                return Err(
                    parquet::errors::ParquetError::General(format!("no rows of column `{name}`")).into()
                );
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
        let metadata = ArrowReaderMetadata::load(
            &self.bytes,
            ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional),
        )?;
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
