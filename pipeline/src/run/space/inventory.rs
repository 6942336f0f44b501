//! What lies in the cache? Every thing that is kept or goes as a whole, with its size and the newest time in its names.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;

use super::super::table::{self, TableRecord};
use super::superseded::Superseded;
use crate::cache::storage::Item;
use crate::cache::{Cache, sidecar, time};
use crate::error::Error;

/// What a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A table's result: its record and its rows.
    Table,
    /// The rows of an identity of a map stage, or rows that a table has not finished.
    Rows,
    /// How far a table had come.
    Checkpoint,
    /// Weights, metrics.
    Artifact,
    /// Which rows left a stage in a run.
    List,
    /// What an identity was made of.
    Identity,
    /// Rows and results that newer ones stand before.
    Superseded,
    /// A damaged file.
    Damaged,
}

/// One thing that is kept or goes as a whole.
pub(super) struct Unit {
    pub what: What,
    /// Identity, entry or digest in hex; for a damaged file its name.
    pub name: String,
    /// The file or the folders, relative to the cache. A table's first folder holds its records.
    pub paths: Vec<String>,
    pub files: u64,
    pub bytes: u64,
    /// The newest time in the names of its files, where they have one.
    pub written: Option<SystemTime>,
    /// Of a table: its records with their paths, oldest first.
    pub records: Vec<(String, TableRecord)>,
    /// What newer rows and results stand before, as far as it was looked for; not counted in files and bytes.
    pub superseded: Superseded,
}

impl Unit {
    /// What runs' records call it: the path of its rows, or of its only file.
    pub fn path(&self) -> String {
        match self.what {
            What::Table | What::Rows | What::Checkpoint => rows_path(&self.name),
            _ => self.paths.concat(),
        }
    }

    /// Paths of the artifacts that it needs, and of the lists that say what it was computed from.
    pub fn artifacts(&self) -> impl Iterator<Item = String> {
        self.records.iter().flat_map(|(_, record)| {
            let artifacts = record.artifacts.values().map(|hex| artifact_path(hex));
            artifacts.chain(record.lists().map(|name| list_path(name)))
        })
    }

    /// Rows that look-ups find; `None` for what has none.
    pub fn rows(&self, cache: &Cache) -> Result<Option<u64>, Error> {
        match self.what {
            What::Table => Ok(self.records.last().map(|(_, record)| record.rows as u64)),
            What::Rows => {
                let mut rows = 0;
                for path in &self.paths {
                    for item in cache.list(path)?.iter().filter(|item| item.name.ends_with(".keys")) {
                        let bytes = cache.find(&format!("{path}/{}", item.name))?;
                        rows += bytes.map_or(0, |bytes| sidecar::rows_of(&bytes));
                    }
                }
                Ok(Some(rows.saturating_sub(self.superseded.rows)))
            }
            _ => Ok(None),
        }
    }

    fn add(&mut self, path: String, items: &[Item]) {
        self.paths.push(path);
        self.files += items.len() as u64;
        self.bytes += items.iter().map(|item| item.size).sum::<u64>();
        if self.what == What::Checkpoint {
            return;
        }
        let newest = items.iter().filter_map(|item| time(item.name.split('-').next()?)).max();
        self.written = self.written.max(newest);
    }
}

impl Unit {
    /// Adds a file, or all files of a folder that lay in a file's place.
    fn add_below(&mut self, cache: &Cache, folder: &str, item: Item) -> Result<(), Error> {
        let path = format!("{folder}/{}", item.name);
        if !item.folder {
            self.add(path, &[item]);
            return Ok(());
        }
        cache.list(&path)?.into_iter().try_for_each(|item| self.add_below(cache, &path, item))
    }
}

pub(super) fn rows_path(name: &str) -> String {
    format!("v1/rows/{name}")
}

pub(super) fn artifact_path(hex: &str) -> String {
    format!("v1/blobs/{hex}")
}

pub(super) fn list_path(name: &str) -> String {
    format!("v1/lists/{name}.parquet")
}

pub(super) fn identity_path(hex: &str) -> String {
    format!("v1/identities/{hex}.json")
}

/// Everything in the cache. Folders without files are passed over.
pub(super) fn inventory(cache: &Cache) -> Result<Vec<Unit>, Error> {
    let mut results: BTreeMap<String, Unit> = BTreeMap::new();
    for (above, what) in [("v1/tables", What::Table), ("v1/rows", What::Rows)] {
        for item in cache.list(above)?.into_iter().filter(|item| item.folder) {
            let path = format!("{above}/{}", item.name);
            let items = cache.list(&path)?;
            if items.is_empty() {
                continue;
            }
            let unit = results.entry(item.name.clone()).or_insert_with(|| unit(what, item.name));
            if what == What::Table {
                for item in &items {
                    let path = format!("{path}/{}", item.name);
                    let bytes = cache.find(&path)?;
                    let record = bytes.and_then(|bytes| table::read(&path, &bytes));
                    unit.records.extend(record.map(|record| (path, record)));
                }
            }
            unit.add(path, &items);
        }
    }
    let mut units: Vec<Unit> = results.into_values().collect();
    for item in cache.list("v1/checkpoints")?.into_iter().filter(|item| item.folder) {
        let path = format!("v1/checkpoints/{}", item.name);
        let items = cache.list(&path)?;
        if !items.is_empty() {
            units.push(unit(What::Checkpoint, item.name));
            units.iter_mut().last().into_iter().for_each(|unit| unit.add(path.clone(), &items));
        }
    }
    for (folder, what) in
        [("v1/blobs", What::Artifact), ("v1/lists", What::List), ("v1/identities", What::Identity)]
    {
        for item in cache.list(folder)?.into_iter().filter(|item| !item.folder) {
            let mut unit = unit(what, item.name.split('.').next().unwrap_or_default().to_owned());
            unit.add(format!("{folder}/{}", item.name), &[item]);
            units.push(unit);
        }
    }
    for item in cache.list("aside")? {
        let mut unit = unit(What::Damaged, item.name.split('.').next().unwrap_or_default().to_owned());
        unit.add_below(cache, "aside", item)?;
        units.extend((unit.files > 0).then_some(unit));
    }
    Ok(units)
}

fn unit(what: What, name: String) -> Unit {
    Unit {
        what,
        name,
        paths: Vec::new(),
        files: 0,
        bytes: 0,
        written: None,
        records: Vec::new(),
        superseded: Superseded::default(),
    }
}
