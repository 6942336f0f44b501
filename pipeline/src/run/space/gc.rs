//! `cache gc`: what no kept run needs is removed. Kept are live runs, the newest finished run of each pipeline, and young
//! ones; where a size is to be held, more goes, the least recently used results first.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::super::State;
use super::choose::Choice;
use super::inventory::{Unit, inventory};
use super::uses::{Used, Uses};
use crate::cache::{Cache, live};
use crate::error::Error;

pub use super::inventory::What;

/// Files of writers that died are removed after that long.
const LEFTOVER: Duration = Duration::from_secs(3600);
/// Folders whose files and folders may hold such files.
const FOLDERS: [&str; 8] = [
    "v1/rows",
    "v1/tables",
    "v1/checkpoints",
    "v1/claims",
    "v1/blobs",
    "v1/lists",
    "v1/identities",
    "v1/live",
];

/// What is kept.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Runs that ended later ago than that are not kept, but the newest finished one of each pipeline; `None`: all are.
    pub older_than: Option<Duration>,
    /// Bytes the cache may hold.
    pub max_size: Option<u64>,
    /// Look only.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Debug, Clone, Default)]
pub struct Removed {
    /// One by one, in order.
    pub gone: Vec<Gone>,
    /// Files that writers had left unfinished, and their bytes; 0 in a dry run.
    pub leftovers: (u64, u64),
    /// Bytes that stay.
    pub left: u64,
    /// Bytes that stay because live runs use them.
    pub pinned: u64,
    /// Runs whose records cannot be read, so that everything newer was kept.
    pub unreadable: Vec<String>,
}

/// One thing that went.
#[derive(Debug, Clone, Serialize)]
pub struct Gone {
    /// What it was.
    pub what: What,
    /// Identity, entry or digest in hex, or the name of a file.
    pub name: String,
    /// The stage that used it; `None` where no record tells.
    pub stage: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// Pipelines in which it was used.
    pub pipelines: Vec<String>,
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
    /// Rows, for what has rows.
    pub rows: Option<u64>,
    /// When it was used last, RFC 3339, UTC.
    pub used: Option<String>,
    /// Seconds to compute it again, as it took before; `None` where no record tells.
    pub seconds: Option<f64>,
}

/// Removes what the policy does not keep.
pub fn gc(state: &State, policy: &Policy) -> Result<Removed, Error> {
    state.cache.check_format()?;
    collect(&state.cache, &state.runs, policy)
}

pub(super) fn collect(cache: &Cache, runs: &Path, policy: &Policy) -> Result<Removed, Error> {
    let now = SystemTime::now();
    let cutoff = policy.older_than.and_then(|age| now.checked_sub(age));
    // Before anything is looked at: what begins later finds what is gone to be missing, and computes it.
    let pinned = live::pinned(cache)?;
    let live = !cache.list("v1/live")?.is_empty();
    let uses = Uses::read(runs, cutoff);
    let units = inventory(cache)?;
    let choice =
        Choice { units: &units, uses: &uses, pinned: &pinned, live, cutoff, max_size: policy.max_size };
    let (chosen, left) = choice.choose();
    let mut removed = Removed {
        left,
        pinned: units.iter().filter(|unit| choice.pinned(unit)).map(|unit| unit.bytes).sum(),
        unreadable: uses.unreadable.iter().map(|(name, _)| name.clone()).collect(),
        ..Removed::default()
    };
    for &at in &chosen {
        let unit = &units[at];
        removed.gone.push(gone(cache, unit, uses.by_path.get(&unit.path()), choice.last(unit))?);
    }
    if policy.dry_run {
        return Ok(removed);
    }
    chosen.iter().try_for_each(|&at| remove(cache, &units[at]))?;
    if !live {
        forget_claims(cache)?;
    }
    removed.leftovers = sweep(cache)?;
    Ok(removed)
}

fn gone(cache: &Cache, unit: &Unit, used: Option<&Used>, last: Option<SystemTime>) -> Result<Gone, Error> {
    let rows = unit.rows(cache)?;
    Ok(Gone {
        what: unit.what,
        name: unit.name.clone(),
        stage: used.map(|used| used.stage.clone()),
        kind: used.map(|used| used.kind.clone()),
        pipelines: used.into_iter().flat_map(|used| used.pipelines.iter().cloned()).collect(),
        files: unit.files,
        bytes: unit.bytes,
        rows,
        used: last.map(|last| humantime::format_rfc3339_seconds(last).to_string()),
        seconds: used.and_then(|used| used.cost(unit.what, rows)),
    })
}

/// Removes a thing so that no moment of it looks like damage: records before the rows they name, sidecars before segments.
fn remove(cache: &Cache, unit: &Unit) -> Result<(), Error> {
    if !matches!(unit.what, What::Table | What::Rows | What::Checkpoint) {
        return unit.paths.iter().try_for_each(|path| cache.remove(path));
    }
    for folder in &unit.paths {
        let items = cache.list(folder)?;
        let (keys, others): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.name.ends_with(".keys"));
        for part in [keys, others] {
            part.iter().try_for_each(|item| cache.remove(&format!("{folder}/{}", item.name)))?;
            cache.settle(folder)?;
        }
    }
    Ok(())
}

/// Removes the claims of processes that died, where none is at work.
fn forget_claims(cache: &Cache) -> Result<(), Error> {
    for folder in cache.list("v1/claims")?.into_iter().filter(|item| item.folder) {
        let path = format!("v1/claims/{}", folder.name);
        cache.list(&path)?.iter().try_for_each(|item| cache.remove(&format!("{path}/{}", item.name)))?;
    }
    Ok(())
}

/// Removes what writers left unfinished, and folders in which nothing lies.
fn sweep(cache: &Cache) -> Result<(u64, u64), Error> {
    let mut sizes = Vec::new();
    for above in FOLDERS {
        for item in cache.list(above)?.into_iter().filter(|item| item.folder) {
            sizes.extend(cache.sweep(&format!("{above}/{}", item.name), LEFTOVER)?);
        }
        sizes.extend(cache.sweep(above, LEFTOVER)?);
    }
    Ok((sizes.len() as u64, sizes.iter().sum()))
}
