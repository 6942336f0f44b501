//! How do messages cross a pipe? A line of JSON, and after it as many bytes of an Arrow IPC stream as the line says. Both
//! sides are here: the program that asks, and a Rust plugin that answers.

use std::io::{self, BufRead, Read, Write};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::buffer::Buffer;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::manifest::Typed;
use crate::manifest::{Contract, Manifest};

/// Longest line, in bytes.
pub const LONGEST: usize = 16 << 20;

/// What the program says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Ask {
    /// First of all.
    Hello {
        /// Versions that it speaks.
        contract: Contract,
        /// Its name and version.
        program: String,
    },
    /// Opens a stage.
    Open {
        /// A number for it.
        worker: u64,
        /// Its kind.
        kind: String,
        /// Complete options.
        options: Value,
        /// Columns that will be read, beside `id`.
        reads: Vec<Typed>,
        /// Columns that it is to add.
        adds: Vec<Typed>,
    },
    /// Computes rows, which follow.
    Call {
        /// The stage.
        worker: u64,
        /// How many.
        rows: u64,
        /// Bytes that follow.
        bytes: u64,
    },
    /// Ends a stage; has no answer.
    Close {
        /// The stage.
        worker: u64,
    },
}

/// What a plugin says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Tell {
    /// Answers hello.
    Hello {
        /// Versions that it speaks.
        contract: Contract,
        /// Its SDK and version.
        #[serde(default)]
        sdk: String,
        /// Its kinds.
        kinds: Vec<Manifest>,
        /// Its own files.
        #[serde(default)]
        files: Vec<Own>,
        /// Published packages that it uses, with their versions.
        #[serde(default)]
        packages: std::collections::BTreeMap<String, String>,
    },
    /// A stage is open.
    Opened {
        /// The stage.
        worker: u64,
    },
    /// Columns, which follow.
    Result {
        /// The stage.
        worker: u64,
        /// Rows that failed.
        #[serde(default)]
        failures: Vec<Failure>,
        /// Bytes that follow.
        bytes: u64,
    },
    /// A stage or a call failed as a whole.
    Error {
        /// What, where, how to mend it.
        message: String,
        /// A traceback.
        #[serde(default)]
        detail: Option<String>,
    },
    /// Something that stops nothing.
    Warning {
        /// What.
        message: String,
    },
    /// How far the work is.
    Progress {
        /// So far.
        done: u64,
        /// In all.
        #[serde(default)]
        total: Option<u64>,
        /// Of what.
        #[serde(default)]
        unit: String,
        /// Further words.
        #[serde(default)]
        note: String,
    },
}

/// A file of a plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Own {
    /// The same on every machine.
    pub name: String,
    /// Where it lies.
    pub path: String,
}

/// A row that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// From 0.
    pub row: u64,
    /// Why.
    pub error: String,
}

/// Writes one message, and what follows it.
pub fn write(to: &mut impl Write, message: &impl Serialize, payload: &[u8]) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.write_all(payload)?;
    to.flush()
}

/// Reads one line; `None` at the end. An error where it is longer than [`LONGEST`].
pub fn line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    from.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut line)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() > LONGEST => Err(io::Error::other("a line of more than 16 MiB")),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads what follows a message. Memory grows with what arrives, whatever the message promises.
pub fn payload(from: &mut impl Read, bytes: u64) -> io::Result<Vec<u8>> {
    const STEP: u64 = 256 << 20;
    let mut payload = vec![0; bytes.min(STEP) as usize];
    from.read_exact(&mut payload)?;
    while (payload.len() as u64) < bytes {
        let read = payload.len();
        payload.resize(read + (bytes - read as u64).min(STEP) as usize, 0);
        from.read_exact(&mut payload[read..])?;
    }
    Ok(payload)
}

/// Record batches as an Arrow IPC stream.
pub fn encode<'a>(
    schema: &Schema,
    batches: impl IntoIterator<Item = &'a RecordBatch>,
) -> Result<Vec<u8>, ArrowError> {
    let batches: Vec<&RecordBatch> = batches.into_iter().collect();
    let size: usize = batches.iter().map(|batch| batch.get_array_memory_size()).sum();
    let mut writer = StreamWriter::try_new(Vec::with_capacity(size + 4096), schema)?;
    batches.into_iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()?;
    writer.into_inner()
}

/// The record batches of an Arrow IPC stream, checked: offsets, lengths, UTF-8. They lie in the bytes of the stream.
pub fn decode(stream: Vec<u8>) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    // What makes no sense may be met by an assertion of the reader's.
    let read = std::panic::catch_unwind(|| decoded(stream));
    read.unwrap_or_else(|_| Err(ArrowError::ParseError("its lengths and offsets make no sense".into())))
}

fn decoded(stream: Vec<u8>) -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
    let mut bytes = Buffer::from_vec(stream);
    let mut decoder = StreamDecoder::new();
    let mut batches = Vec::new();
    while let Some(batch) = decoder.decode(&mut bytes)? {
        batches.push(batch);
    }
    decoder.finish()?;
    let none = || ArrowError::ParseError("a stream without a schema".into());
    Ok((decoder.schema().ok_or_else(none)?, batches))
}

/// Columns under the names they are told to have.
pub fn named(adds: &[Typed], columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, ArrowError> {
    if adds.len() != columns.len() {
        let what = format!("{} columns were computed where {} are declared", columns.len(), adds.len());
        return Err(ArrowError::InvalidArgumentError(what));
    }
    let field = |(add, column): (&Typed, &ArrayRef)| Field::new(&add.name, column.data_type().clone(), true);
    let fields: Vec<Field> = adds.iter().zip(&columns).map(field).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Schema::new(fields).into(), columns, &options)
}
