//! How much is stored, and for whom? Sizes of the cache by stage, as far as a recorded run tells which stage wrote them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::State;
use super::record::Record;
use crate::cache::Cache;
use crate::error::Error;

/// What one stage (of one name and kind, in any pipeline) has stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The stage's name; `-` for what belongs to no recorded run.
    pub stage: String,
    /// Its kind, or what the files are.
    pub kind: String,
    /// Pipelines in which it ran.
    pub pipelines: Vec<String>,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Folders of the cache that hold one file a result, and what they hold.
const SHARED: [(&str, &str); 6] = [
    ("v1/rows", "rows of no recorded run"),
    ("v1/blobs", "artifacts of no recorded run"),
    ("v1/checkpoints", "checkpoints of unfinished training"),
    ("v1/lists", "lists of rows"),
    ("v1/identities", "identities"),
    ("aside", "damaged files moved aside"),
];

/// Sizes by stage, largest first.
pub fn stats(state: &State) -> Result<Vec<Stored>, Error> {
    state.cache.check_format()?;
    let mut owners = owners(&Record::all(&state.runs));
    let mut sizes: BTreeMap<(String, String), Stored> = BTreeMap::new();
    for (folder, what) in SHARED {
        for item in state.cache.list(folder)? {
            let path = format!("{folder}/{}", item.name);
            let (files, bytes) = if item.folder { size(&state.cache, &path)? } else { (1, item.size) };
            let owner = owners.remove(&path).unwrap_or_else(|| Owner::nobody(what));
            let stored = sizes.entry((owner.stage.clone(), owner.kind.clone())).or_insert_with(|| Stored {
                stage: owner.stage,
                kind: owner.kind,
                ..Stored::default()
            });
            let pipelines = stored.pipelines.drain(..).chain(owner.pipelines).collect::<BTreeSet<_>>();
            stored.pipelines = pipelines.into_iter().collect();
            stored.files += files;
            stored.bytes += bytes;
        }
    }
    let mut all: Vec<Stored> = sizes.into_values().collect();
    all.sort_by_key(|stored| std::cmp::Reverse(stored.bytes));
    Ok(all)
}

/// Files and bytes under a folder.
fn size(cache: &Cache, folder: &str) -> Result<(u64, u64), Error> {
    let mut total = (0, 0);
    for item in cache.list(folder)? {
        let (files, bytes) = match item.folder {
            true => size(cache, &format!("{folder}/{}", item.name))?,
            false => (1, item.size),
        };
        total = (total.0 + files, total.1 + bytes);
    }
    Ok(total)
}

struct Owner {
    stage: String,
    kind: String,
    pipelines: BTreeSet<String>,
}

impl Owner {
    fn nobody(what: &str) -> Self {
        Owner { stage: "-".into(), kind: what.into(), pipelines: BTreeSet::new() }
    }
}

/// Who wrote which folder or artifact.
fn owners(records: &[Record]) -> BTreeMap<String, Owner> {
    let mut owners: BTreeMap<String, Owner> = BTreeMap::new();
    for record in records {
        for (stage, info) in &record.stages {
            let artifacts =
                info["artifacts"].as_array().into_iter().flatten().map(|artifact| &artifact["path"]);
            for path in std::iter::once(&info["entries"]).chain(artifacts).filter_map(Value::as_str) {
                let owner = owners.entry(path.to_owned()).or_insert_with(|| Owner {
                    stage: stage.clone(),
                    kind: info["kind"].as_str().unwrap_or_default().to_owned(),
                    pipelines: BTreeSet::new(),
                });
                owner.pipelines.insert(record.name.clone());
            }
        }
    }
    owners
}
