//! Which runs are recorded? Reading of what [`record`](super::record) writes.

use std::fs;
use std::path::{Path, PathBuf};

use super::record::Record;
use crate::error::Error;

/// A run whose `run.json` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The run's name, which is that of its folder.
    pub id: String,
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: String,
}

/// The runs of a state folder: those whose records can be read, oldest first, and those whose records cannot.
pub fn survey(runs: &Path) -> (Vec<Record>, Vec<Unreadable>) {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(runs).map(|dir| dir.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    folders.sort();
    let (mut records, mut unreadable) = (Vec::new(), Vec::new());
    for folder in folders {
        let path = folder.join("run.json");
        match Record::read(&folder) {
            Ok(record) => records.push(record),
            // A run that was killed before its first word.
            Err(_) if !path.exists() => {}
            Err(error) => {
                let id = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                unreadable.push(Unreadable { id, path, error: error.to_string() });
            }
        }
    }
    // Records of older versions have no milliseconds, but runs of one second are numbered: `x`, `x-2`, ..., `x-10`.
    records.sort_by(|a, b| (&a.start, a.id.len()).cmp(&(&b.start, b.id.len())));
    (records, unreadable)
}

impl Record {
    /// Reads the record of a finished or broken run.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("run.json");
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let mut record: Record = serde_json::from_slice(&bytes)
            .map_err(|e| Error::NotFound(format!("`{}` is not the record of a run: {e}", path.display())))?;
        record.folder = folder.to_owned();
        Ok(record)
    }

    /// The records in a state folder, oldest first; folders that hold none, or none that can be read, are passed over.
    pub fn all(runs: &Path) -> Vec<Self> {
        survey(runs).0
    }

    /// The record of that name; `last` is the newest.
    pub fn find(runs: &Path, name: &str) -> Result<Self, Error> {
        let (mut all, unreadable) = survey(runs);
        if let Some(at) = all.iter().position(|record| record.id == name) {
            return Ok(all.swap_remove(at));
        }
        if let Some(found) = unreadable.into_iter().find(|found| found.id == name) {
            return Err(Error::NotFound(found.error));
        }
        match all.pop() {
            Some(last) if name == "last" => Ok(last),
            Some(last) => Err(Error::NotFound(format!("no run `{name}`; the newest is `{}`", last.id))),
            None => Err(Error::NotFound(format!("no runs in `{}` yet", runs.display()))),
        }
    }
}
