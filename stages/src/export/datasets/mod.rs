//! How is a folder made that `datasets.load_from_disk` opens? Streams of Arrow, `state.json` that names them, and
//! `dataset_info.json` that says what the columns are.

mod features;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use affectflow_pipeline::{Digest, Error, Problem, StageResult};
use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use serde_json::{Value, json};

use super::{plain, taken};

/// Bytes of one stream, about.
const STREAM: u64 = 500_000_000;

const STATE: &str = "state.json";
const INFO: &str = "dataset_info.json";

/// Can these columns be written?
pub(super) fn check(fields: Vec<&FieldRef>) -> Result<(), Problem> {
    fields.into_iter().try_for_each(features::check)
}

/// Writes the folder beside its place and then there; gives its files. A folder of the same kind is replaced, and nothing
/// else.
pub(super) fn write(
    path: &Path,
    rows_per_file: Option<u64>,
    rows: impl FnOnce(&mut dyn FnMut(RecordBatch) -> Result<(), Error>) -> Result<(), Error>,
) -> StageResult<Vec<PathBuf>> {
    if !replaceable(path) {
        return Err(taken(path, "is there already, and is no folder that `export` wrote"));
    }
    let parent = path.parent().unwrap_or(Path::new("."));
    let cannot = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let new = tempfile::Builder::new().prefix(".export").tempdir_in(parent).map_err(cannot)?;
    let mut streams = Streams::new(new.path(), rows_per_file);
    rows(&mut |batch| streams.write(&batch))?;
    let names = streams.finish()?;
    let old = tempfile::Builder::new().prefix(".replaced").tempdir_in(parent).map_err(cannot)?;
    if path.exists() {
        fs::rename(path, old.path().join("old")).map_err(cannot)?;
    }
    readable(new.path()).map_err(cannot)?;
    fs::rename(new.keep(), path).map_err(cannot)?;
    Ok(names.iter().map(|name| path.join(name)).collect())
}

/// Whether nothing is there, or a folder that may be replaced.
fn replaceable(path: &Path) -> bool {
    let empty = || fs::read_dir(path).is_ok_and(|mut items| items.next().is_none());
    !path.exists() || empty() || (path.join(STATE).is_file() && path.join(INFO).is_file())
}

/// The streams of one folder. Their names say how many they are, so each has a passing one until the last is written.
struct Streams<'a> {
    folder: &'a Path,
    rows_per_file: Option<u64>,
    open: Option<StreamWriter<Hashed>>,
    rows: u64,
    count: usize,
    schema: Option<SchemaRef>,
    hash: blake3::Hasher,
}

impl<'a> Streams<'a> {
    fn new(folder: &'a Path, rows_per_file: Option<u64>) -> Self {
        let hash = blake3::Hasher::new();
        Streams { folder, rows_per_file, open: None, rows: 0, count: 0, schema: None, hash }
    }

    fn cannot(&self, source: io::Error) -> Error {
        Error::Io { action: "write", path: self.folder.to_owned(), source }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let batch = features::batch(&plain::plain(batch)?)?;
        self.schema.get_or_insert_with(|| batch.schema());
        let mut start = 0;
        while start < batch.num_rows() {
            let room = self.rows_per_file.map_or(u64::MAX, |most| most - self.rows);
            let length = (batch.num_rows() - start).min(usize::try_from(room).unwrap_or(usize::MAX));
            self.stream(&batch.slice(start, length))?;
            start += length;
        }
        Ok(())
    }

    fn stream(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let mut writer = match self.open.take() {
            Some(writer) => writer,
            None => {
                let file = File::create(self.folder.join(passing(self.count))).map_err(|e| self.cannot(e))?;
                self.count += 1;
                let file = Hashed { file: BufWriter::new(file), hash: blake3::Hasher::new(), bytes: 0 };
                StreamWriter::try_new(file, &batch.schema())?
            }
        };
        writer.write(batch)?;
        self.rows += batch.num_rows() as u64;
        let full = match self.rows_per_file {
            Some(most) => self.rows >= most,
            None => writer.get_ref().bytes >= STREAM,
        };
        self.open = Some(writer);
        if full { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), Error> {
        self.rows = 0;
        let Some(mut writer) = self.open.take() else { return Ok(()) };
        writer.finish()?;
        let mut file = writer.into_inner()?;
        self.hash.update(file.hash.finalize().as_bytes());
        file.flush().map_err(|error| self.cannot(error))
    }

    /// Names the streams, and writes what describes them.
    fn finish(mut self) -> Result<Vec<String>, Error> {
        self.close()?;
        let mut names = Vec::new();
        for at in 0..self.count {
            let name = format!("data-{at:05}-of-{:05}.arrow", self.count);
            fs::rename(self.folder.join(passing(at)), self.folder.join(&name)).map_err(|e| self.cannot(e))?;
            names.push(name);
        }
        let features = self.schema.as_ref().map_or_else(|| json!({}), |schema| features::of(schema));
        let info =
            json!({ "citation": "", "description": "", "features": features, "homepage": "", "license": "" });
        // What `datasets` keeps of its own work it keeps by this name: other rows must have another one.
        let fingerprint = Digest::from_hash(self.hash.finalize()).to_string()[..16].to_owned();
        let files: Vec<Value> = names.iter().map(|name| json!({ "filename": name })).collect();
        let state = json!({
            "_data_files": files,
            "_fingerprint": fingerprint,
            "_format_columns": null,
            "_format_kwargs": {},
            "_format_type": null,
            "_output_all_columns": false,
            "_split": null,
        });
        for (name, value) in [(INFO, info), (STATE, state)] {
            let text =
                serde_json::to_vec_pretty(&value).map_err(|error| Error::Internal(error.to_string()))?;
            fs::write(self.folder.join(name), text).map_err(|error| self.cannot(error))?;
            names.push(name.to_owned());
        }
        Ok(names)
    }
}

fn passing(stream: usize) -> String {
    format!("stream-{stream}")
}

/// A file that knows the digest and the number of the bytes written.
struct Hashed {
    file: BufWriter<File>,
    hash: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A temporary folder is private; what was exported is as readable as any new one.
#[cfg(unix)]
fn readable(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> io::Result<()> {
    Ok(())
}
