//! `export`: the rows of a stage in a recorded run, as a file that pyarrow, polars and spreadsheets open.

mod csv;
mod ipc;
mod jsonl;
mod parquet;
mod plain;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use affectflow_pipeline::Error;
use affectflow_pipeline::run::export::export;
use affectflow_pipeline::run::record::Record;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::commands::tell_damage;
use crate::exit::{Exit, Failure, Outcome};
use crate::project::Project;
use crate::view::numbers::{bytes, count};

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's name as `runs` lists it, or `last`
    run: String,
    /// The stage whose rows are wanted
    stage: String,
    /// The file to write; its ending chooses the format: `.parquet`, `.arrow`, `.csv`, `.jsonl`
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Every column that had reached the stage, not only its own
    #[arg(long)]
    all: bool,
}

/// One format: takes batches, then ends the file.
trait Sink {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error>;
    fn finish(self: Box<Self>) -> Result<(), Error>;
}

/// Opens a format for rows of that schema.
type Open = fn(Box<dyn Write + Send>, SchemaRef) -> Result<Box<dyn Sink>, Error>;

const FORMATS: [(&str, Open); 4] =
    [("parquet", parquet::open), ("arrow", ipc::open), ("csv", csv::open), ("jsonl", jsonl::open)];

/// Writes the file whole: to a temporary name beside it, then in place.
pub fn run(args: Args, project: &Project) -> Outcome {
    let open = format(&args.output)?;
    let state = project.existing()?;
    let record = Record::find(&state.runs, &args.run)?;
    let folder = args.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let cannot = |source| Error::Io { action: "write", path: args.output.clone(), source };
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(cannot)?;
    let file = temporary.reopen().map_err(cannot)?;
    let refused = Refused::default();
    let file = Watched { file: BufWriter::new(file), refused: refused.clone() };
    let written = write(file, open, |sink| export(&state.cache, &record, &args.stage, args.all, sink));
    tell_damage(&state.cache.take_damage());
    let rows = written.map_err(|error| match refused.lock().unwrap_or_else(|p| p.into_inner()).take() {
        Some(source) => cannot(source),
        None => error,
    })?;
    let file = temporary.persist(&args.output).map_err(|error| cannot(error.error))?;
    readable(&file).map_err(cannot)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    eprintln!(
        "{} of stage `{}` in `{}`, {}",
        count(rows, "row"),
        args.stage,
        args.output.display(),
        bytes(size)
    );
    Ok(Exit::Done)
}

fn format(output: &Path) -> Result<Open, Failure> {
    let ending = output.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let found = FORMATS.iter().find(|(name, _)| name.eq_ignore_ascii_case(ending));
    found.map(|(_, open)| *open).ok_or_else(|| {
        Failure::wrong(
            format!("cannot tell the format of `{}`", output.display()),
            "end its name with `.parquet`, `.arrow`, `.csv` or `.jsonl`",
        )
    })
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
fn write(
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
fn readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &File) -> std::io::Result<()> {
    Ok(())
}
