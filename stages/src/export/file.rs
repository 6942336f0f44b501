//! How do batches become a file? One format a file beside this one; the file appears whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use affectflow_pipeline::Error;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{csv, ipc, jsonl, parquet, plain};

/// One format: takes batches, then ends the file.
pub trait Sink {
    /// Takes a batch.
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error>;
    /// Ends the file.
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Opens a format for rows of that schema.
pub type Open = fn(Box<dyn Write + Send>, SchemaRef) -> Result<Box<dyn Sink>, Error>;

/// The formats by the ending of a file's name.
pub const FORMATS: [(&str, Open); 4] =
    [("parquet", parquet::open), ("arrow", ipc::open), ("csv", csv::open), ("jsonl", jsonl::open)];

/// The format of a file of that name; `None` where its ending is none of [`FORMATS`].
pub fn by_ending(path: &Path) -> Option<Open> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(ending)).map(|(_, open)| *open)
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// Writes the batches that `rows` gives, the first of which brings the schema: to a temporary name beside the file, then in
/// place. Columns leave as readers elsewhere know them: tensors as lists.
pub fn write(
    path: &Path,
    open: Open,
    rows: impl FnOnce(&mut dyn FnMut(RecordBatch) -> Result<(), Error>) -> Result<(), Error>,
) -> Result<Written, Error> {
    let cannot = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    let refused = Refused::default();
    let file = temporary.reopen().map_err(cannot)?;
    let file = Watched { file: BufWriter::new(file), refused: refused.clone() };
    let rows = all(file, open, rows).map_err(|error| {
        match refused.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            Some(source) => cannot(source),
            None => error,
        }
    })?;
    let file = temporary.persist(path).map_err(|error| cannot(error.error))?;
    readable(&file).map_err(cannot)?;
    Ok(Written { rows, bytes: file.metadata().map_or(0, |metadata| metadata.len()) })
}

/// Why the file could not be written, for formats that wrap it up in errors of their own.
type Refused = Arc<Mutex<Option<io::Error>>>;

struct Watched {
    file: BufWriter<File>,
    refused: Refused,
}

impl Watched {
    fn watch<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            let copy = error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error);
            *self.refused.lock().unwrap_or_else(|p| p.into_inner()) = Some(copy);
        })
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        self.watch(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.flush();
        self.watch(flushed)
    }
}

/// Gives every batch to the format; the first one brings the schema.
fn all(
    file: Watched,
    open: Open,
    rows: impl FnOnce(&mut dyn FnMut(RecordBatch) -> Result<(), Error>) -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut file = Some(file);
    let mut sink: Option<Box<dyn Sink>> = None;
    let mut count = 0;
    rows(&mut |batch| {
        let batch = plain::plain(&batch)?;
        if let Some(file) = file.take() {
            sink = Some(open(Box::new(file), batch.schema())?);
        }
        count += batch.num_rows() as u64;
        sink.as_mut().map_or(Ok(()), |sink| sink.write(&batch))
    })?;
    sink.map_or(Ok(()), |sink| sink.finish())?;
    Ok(count)
}

/// A temporary file is private; what was exported is as readable as any new file.
#[cfg(unix)]
fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &File) -> io::Result<()> {
    Ok(())
}
