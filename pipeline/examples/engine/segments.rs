//! How long does it take to open a cache of a hundred million rows, and how much memory? In a process of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use affectflow_pipeline::Digest;
use affectflow_pipeline::cache::Cache;
use affectflow_pipeline::cache::entries::Entries;
use affectflow_pipeline::cache::segment::Rows;
use arrow::array::{AsArray, Int32Array, StringArray};
use arrow::datatypes::{DataType, Int32Type};
use serde_json::json;
use tempfile::TempDir;

use super::measure::{Clock, memory, timed};
use super::{Answer, Bench, kinds};

/// Rows of a segment: about what 64 MB of small rows are.
const SEGMENT: usize = 1 << 20;
/// Keys that are looked up.
const WANTED: usize = 1000;
const FOLDER: &str = "v1/rows/many";

/// One identity with a column of numbers.
pub struct Segments {
    folder: TempDir,
    rows: usize,
}

impl Segments {
    /// A cache, empty at first, for so many rows.
    pub fn new(rows: usize) -> Answer<Self> {
        Ok(Segments { folder: tempfile::tempdir()?, rows })
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn make(&self) -> Answer {
        let clock = Clock::start();
        let entries = entries(self.cache())?;
        for first in (0..self.rows).step_by(SEGMENT) {
            let numbers = first..self.rows.min(first + SEGMENT);
            let keys: Vec<Digest> = numbers.clone().map(key).collect();
            let ids = StringArray::from_iter_values(numbers.clone().map(|row| kinds::id(row as u32)));
            let column = Int32Array::from_iter_values(numbers.map(|row| row as i32));
            let rows = Rows { inputs: keys.clone(), keys, ids, columns: vec![Arc::new(column)] };
            entries.commit(&rows, false)?;
        }
        Ok(clock.stop(json!({ "segments": entries.names().len(), "folder": self.cache().join(FOLDER) })))
    }
}

impl Bench for Segments {
    /// Writes the segments, or opens them in a new process.
    fn turn(&mut self, word: &str) -> Answer {
        match word {
            "make" => self.make(),
            "open" => {
                let mut child = Command::new(std::env::current_exe()?);
                let output = child.arg("open").arg(self.cache()).arg(self.rows.to_string()).output()?;
                match output.status.success() {
                    true => Ok(serde_json::from_slice(&output.stdout)?),
                    false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
                }
            }
            _ => Err(format!("no turn `{word}`").into()),
        }
    }
}

/// In the new process: opens, looks up keys from all over the cache, reads and checks their values.
pub fn open(cache: PathBuf, rows: usize) -> Answer {
    let resident = || json!({ "rss_mib": memory("status", "VmRSS"), "anonymous_mib": memory("smaps_rollup", "Anonymous") });
    let before = resident();
    let clock = Clock::start();
    let (seconds, entries) = timed(|| entries(cache));
    let entries = entries?;
    let opened = resident();
    let wanted: Vec<usize> =
        (0..WANTED).map(|at| (at as u128 * rows as u128 / WANTED as u128) as usize).collect();
    let keys: Vec<Digest> = wanted.iter().map(|&row| key(row)).collect();
    let (find, places) = timed(|| entries.find(&keys));
    let places = places?.into_iter().collect::<Option<Vec<_>>>().ok_or("a row is gone")?;
    let found = resident();
    let (read, values) = timed(|| entries.read(0, &places, &entries.digests(0, &places)?));
    let values = values?;
    let same = values.as_primitive::<Int32Type>().values().iter().zip(&wanted).all(|(v, w)| *v == *w as i32);
    let told = json!({
        "open_seconds": seconds, "find_seconds": find, "read_seconds": read, "keys": WANTED,
        "before": before, "opened": opened, "found": found, "read": resident(),
    });
    if same { Ok(clock.stop(told)) } else { Err("a value is not what was written".into()) }
}

fn entries(cache: PathBuf) -> Answer<Entries> {
    let fields = vec![kinds::field("number", DataType::Int32)];
    Ok(Entries::open(Cache::at(cache), FOLDER.into(), fields, None)?)
}

fn key(row: usize) -> Digest {
    Digest::of(&row.to_le_bytes())
}
