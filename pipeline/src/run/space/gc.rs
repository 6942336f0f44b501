//! `cache gc`: what no kept run needs is removed. Kept are live runs, the newest finished run of each pipeline (of those that were
//! to stop after a stage the newer ones too), and young ones; where a size is to be held, more goes, the least recently used results first.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::super::State;
use super::choose::Choice;
use super::inventory::{Unit, inventory};
use super::superseded::{self, Superseded};
use super::uses::{Used, Uses};
use crate::cache::{Cache, Damage, claims, live};
use crate::error::Error;

pub use super::inventory::What;

/// Files of writers that died are removed after that long.
const LEFTOVER: Duration = Duration::from_secs(3600);
/// Folders whose files and folders may hold such files.
const FOLDERS: [&str; 9] = [
    "aside",
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
    /// Runs that ended longer ago are not kept, but the newest finished ones of each pipeline; `None`: all are.
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
    /// Damaged files that were come across and moved aside.
    pub damage: Vec<Damage>,
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
    let mut removed = collect(&state.cache, &state.runs, policy)?;
    removed.damage = state.cache.take_damage();
    Ok(removed)
}

pub(super) fn collect(cache: &Arc<Cache>, runs: &Path, policy: &Policy) -> Result<Removed, Error> {
    let now = SystemTime::now();
    let cutoff = policy.older_than.and_then(|age| now.checked_sub(age));
    // Before anything is looked at: what begins later finds what is gone to be missing, and computes it.
    let pinned = live::pinned(cache)?;
    let live = !cache.list("v1/live")?.is_empty();
    let uses = Uses::read(runs, cutoff);
    let mut units = inventory(cache)?;
    let none = BTreeSet::new();
    // What a run needs whose record cannot be read, nobody knows.
    let known = |unit: &Unit| unit.what != What::Table || uses.unreadable.is_empty();
    for unit in units.iter_mut().filter(|unit| known(unit) && !pinned.contains(&unit.name)) {
        let needed = uses.by_path.get(&unit.path()).map_or(&none, |used| &used.segments);
        superseded::look(cache, unit, needed)?;
    }
    let choice =
        Choice { units: &units, uses: &uses, pinned: &pinned, live, cutoff, max_size: policy.max_size };
    let (chosen, left) = choice.choose();
    let mut removed = Removed {
        left,
        pinned: units.iter().filter(|unit| choice.pinned(unit)).map(|unit| unit.bytes).sum(),
        unreadable: uses.unreadable.iter().map(|(name, _)| name.clone()).collect(),
        ..Removed::default()
    };
    let told = |unit: &Unit| gone(cache, unit, uses.by_path.get(&unit.path()), choice.last(unit));
    for unit in units.iter().filter(|unit| unit.superseded.bytes > 0) {
        let Superseded { files, rows, bytes, .. } = &unit.superseded;
        let (files, bytes, rows, seconds) = (files.len() as u64, *bytes, Some(*rows), Some(0.0));
        removed.gone.push(Gone { what: What::Superseded, files, bytes, rows, seconds, ..told(unit)? });
    }
    for &at in &chosen {
        removed.gone.push(told(&units[at])?);
    }
    if policy.dry_run {
        return Ok(removed);
    }
    units.iter().try_for_each(|unit| take_out(cache, &unit.superseded.files))?;
    chosen.iter().try_for_each(|&at| remove(cache, &units[at]))?;
    claims::forget_dead(cache)?;
    removed.leftovers = sweep(cache)?;
    // At last what needs room itself.
    let chosen: HashSet<usize> = chosen.into_iter().collect();
    let stay = units.iter().enumerate().filter(|(at, _)| !chosen.contains(at));
    stay.map(|(_, unit)| unit).try_for_each(|unit| superseded::rewrite(cache, unit))?;
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

/// Removes a thing.
fn remove(cache: &Cache, unit: &Unit) -> Result<(), Error> {
    if !matches!(unit.what, What::Table | What::Rows | What::Checkpoint) {
        return unit.paths.iter().try_for_each(|path| cache.remove(path));
    }
    let mut files = Vec::new();
    for folder in &unit.paths {
        files.extend(cache.list(folder)?.iter().map(|item| format!("{folder}/{}", item.name)));
    }
    take_out(cache, &files)
}

/// Removes files so that no moment of it looks like damage: records before the rows they name, sidecars before segments.
fn take_out(cache: &Cache, files: &[String]) -> Result<(), Error> {
    let turn = |path: &str| match path {
        path if path.starts_with("v1/tables/") => 0,
        path if path.ends_with(".keys") => 1,
        _ => 2,
    };
    for now in 0..3 {
        let part: Vec<&String> = files.iter().filter(|path| turn(path) == now).collect();
        part.iter().try_for_each(|path| cache.remove(path))?;
        let folders: BTreeSet<&str> = part.iter().filter_map(|path| Some(path.rsplit_once('/')?.0)).collect();
        folders.into_iter().try_for_each(|folder| cache.settle(folder))?;
    }
    Ok(())
}

/// Removes what writers left unfinished, and folders in which nothing lies.
fn sweep(cache: &Cache) -> Result<(u64, u64), Error> {
    let mut sizes = Vec::new();
    FOLDERS.iter().try_for_each(|folder| sweep_below(cache, folder, &mut sizes))?;
    Ok((sizes.len() as u64, sizes.iter().sum()))
}

fn sweep_below(cache: &Cache, folder: &str, sizes: &mut Vec<u64>) -> Result<(), Error> {
    for item in cache.list(folder)?.into_iter().filter(|item| item.folder) {
        sweep_below(cache, &format!("{folder}/{}", item.name), sizes)?;
    }
    sizes.extend(cache.sweep(folder, LEFTOVER)?);
    Ok(())
}
