//! Is every stored byte what was written? All files of the cache, checked in parallel, as fast as the disk reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use serde::Serialize;

use super::{lists, table};
use crate::cache::segment::Segment;
use crate::cache::sidecar::{self, Sidecar};
use crate::cache::{Cache, Damage, is_named as named};
use crate::digest::Digest;
use crate::error::Error;

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verified {
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong; the files have been moved aside where that was possible.
    #[serde(skip)]
    pub damage: Vec<Damage>,
}

/// One thing to check, and its size.
struct Task {
    path: String,
    size: u64,
    kind: Kind,
}

enum Kind {
    /// A segment with its sidecar, if it has one.
    Segment { sidecar: bool },
    /// A sidecar without a segment.
    Orphan,
    /// A file named by the digest of its bytes, or by the beginning of it after the last `-`.
    Named,
    /// A list of rows, named by its values.
    List,
    /// The record of a table's result.
    Record,
}

/// Checks every file. `told` hears of bytes done and bytes in all; the stop sign ends it early.
pub fn verify(
    cache: &Arc<Cache>,
    stop: &AtomicBool,
    told: impl Fn(u64, u64) + Sync,
) -> Result<Verified, Error> {
    let tasks = tasks(cache)?;
    let total: u64 = tasks.iter().map(|task| task.size).sum();
    let (files, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    tasks.par_iter().try_for_each(|task| {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        task.check(cache)?;
        files.fetch_add(
            if matches!(task.kind, Kind::Segment { sidecar: true }) { 2 } else { 1 },
            Ordering::Relaxed,
        );
        told(bytes.fetch_add(task.size, Ordering::Relaxed) + task.size, total);
        Ok(())
    })?;
    let mut damage = cache.take_damage();
    for task in tasks.iter().filter(|task| matches!(task.kind, Kind::Record)) {
        // What was found damaged just now has been told.
        let gone = table::gone(cache, &task.path)?;
        let told = |path: &String| damage.iter().any(|damage| damage.path == *path);
        if let Some(path) = gone.iter().find(|path| !told(path)) {
            cache.damaged(&task.path, &format!("`{path}`, which it names, is gone"));
            damage.extend(cache.take_damage());
        }
    }
    Ok(Verified { files: files.into_inner(), bytes: bytes.into_inner(), damage })
}

/// Checks one segment and its sidecar; whether it is there and whole.
pub(super) fn segment(cache: &Cache, path: &str) -> Result<bool, Error> {
    let sidecar = cache.size(&path.replace(".parquet", ".keys"))?.is_some();
    Task { path: path.to_owned(), size: 0, kind: Kind::Segment { sidecar } }.check(cache)?;
    Ok(cache.size(path)?.is_some())
}

fn tasks(cache: &Cache) -> Result<Vec<Task>, Error> {
    let mut tasks = Vec::new();
    for folder in folders(cache, "v1/rows")? {
        let items: BTreeMap<String, u64> =
            cache.list(&folder)?.into_iter().map(|item| (item.name, item.size)).collect();
        for (name, &size) in &items {
            let sibling = |from: &str, to: &str| name.strip_suffix(from).map(|stem| format!("{stem}{to}"));
            let (kind, size) = if let Some(keys) = sibling(".parquet", ".keys") {
                (Kind::Segment { sidecar: items.contains_key(&keys) }, size + items.get(&keys).unwrap_or(&0))
            } else if let Some(segment) = sibling(".keys", ".parquet") {
                if items.contains_key(&segment) {
                    continue;
                }
                (Kind::Orphan, size)
            } else {
                (Kind::Named, size)
            };
            tasks.push(Task { path: format!("{folder}/{name}"), size, kind });
        }
    }
    for folder in folders(cache, "v1/tables")? {
        add(cache, &folder, || Kind::Record, &mut tasks)?;
    }
    for folder in folders(cache, "v1/checkpoints")? {
        add(cache, &folder, || Kind::Named, &mut tasks)?;
    }
    add(cache, "v1/blobs", || Kind::Named, &mut tasks)?;
    add(cache, "v1/identities", || Kind::Named, &mut tasks)?;
    add(cache, "v1/lists", || Kind::List, &mut tasks)?;
    // Large ones first, so that none is left alone at the end.
    tasks.sort_by_key(|task| std::cmp::Reverse(task.size));
    Ok(tasks)
}

fn folders(cache: &Cache, above: &str) -> Result<Vec<String>, Error> {
    let folders = cache.list(above)?.into_iter().filter(|item| item.folder);
    Ok(folders.map(|item| format!("{above}/{}", item.name)).collect())
}

fn add(cache: &Cache, folder: &str, kind: impl Fn() -> Kind, tasks: &mut Vec<Task>) -> Result<(), Error> {
    // A folder in a file's place is damage as well.
    for item in cache.list(folder)? {
        tasks.push(Task { path: format!("{folder}/{}", item.name), size: item.size, kind: kind() });
    }
    Ok(())
}

impl Task {
    fn check(&self, cache: &Cache) -> Result<(), Error> {
        // A file that another process has removed meanwhile is no damage.
        let Some(bytes) = cache.find(&self.path)? else { return Ok(()) };
        let wrong = match &self.kind {
            Kind::Segment { sidecar } => return self.segment(cache, Segment::new(bytes), *sidecar),
            Kind::Orphan => Some("its segment is gone"),
            Kind::Named if !named(&self.path, &Digest::of(&bytes).to_string()) => {
                Some("its content does not match the digest in its name")
            }
            Kind::Record if !table::whole(&self.path, &bytes) => {
                Some("it is not the record that was written")
            }
            Kind::List if !lists::whole(&self.path, bytes) => Some("its content does not match its digest"),
            Kind::Named | Kind::Record | Kind::List => None,
        };
        if let Some(what) = wrong {
            cache.damaged(&self.path, what);
        }
        Ok(())
    }

    fn segment(&self, cache: &Cache, segment: Segment, sidecar: bool) -> Result<(), Error> {
        let keys = format!("{}.keys", self.path.trim_end_matches(".parquet"));
        let bytes = if sidecar { cache.find(&keys)? } else { None };
        let opened = match bytes {
            None => return self.alone(cache, &segment),
            Some(bytes) => {
                let name = sidecar::name_of(&bytes);
                Sidecar::open_any(bytes, segment.bytes()).map(|sidecar| (sidecar, name))
            }
        };
        let whole = opened.and_then(|(sidecar, name)| sidecar.check_all().map(|()| (sidecar, name)));
        match whole {
            Err(what) => {
                cache.damaged(&keys, &what);
                self.alone(cache, &segment)
            }
            Ok((_, name)) if !named(&self.path, &name) => {
                cache.damaged(&keys, "it belongs to another segment");
                self.alone(cache, &segment)
            }
            Ok((sidecar, _)) if sidecar.segment_digest() != Digest::of(segment.bytes()) => {
                cache.damaged(&self.path, "its content is not what was written");
                cache.damaged(&keys, "its segment is damaged");
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// A segment without its sidecar is whole if the sidecar made from it bears the name.
    fn alone(&self, cache: &Cache, segment: &Segment) -> Result<(), Error> {
        let rebuilt = segment.fields().and_then(|fields| segment.rebuild_sidecar(&fields));
        if !rebuilt.is_ok_and(|bytes| named(&self.path, &sidecar::name_of(&bytes))) {
            cache.damaged(&self.path, "its content is not what was written");
        }
        Ok(())
    }
}
