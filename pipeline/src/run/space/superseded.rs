//! What lies in the cache and is never found any more? Rows before which newer ones of their key stand, because they were
//! computed again on demand or by two processes at once, and results of tables that were computed again since.
//!
//! Of a map stage no run needs such a row: whoever looks for its key finds the newer one. Of a table a run that is kept names
//! the very segments it read, and those stay.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::inventory::{Unit, What, artifact_path, rows_path};
use crate::cache::entries::is_forced;
use crate::cache::sidecar::{self, Damaged, Sidecar};
use crate::cache::storage::Item;
use crate::cache::{Cache, compact};
use crate::error::Error;
use crate::run::export::stored_fields;
use crate::run::table::TableRecord;

/// Keys that are compared at once, about: 16 bytes each.
const PASS: usize = 1 << 21;

/// What of one thing is superseded.
#[derive(Debug, Default)]
pub(super) struct Superseded {
    /// Files that can go as they are.
    pub files: Vec<String>,
    /// Rows of segments that hold others too, in order, by the segment's name.
    pub partly: HashMap<String, Vec<u32>>,
    /// All rows.
    pub rows: u64,
    /// Their bytes; of segments that hold others too, their share.
    pub bytes: u64,
}

/// One segment of an identity.
struct Stored<'a> {
    name: &'a str,
    /// Of the segment and its sidecar.
    bytes: u64,
    sidecar: Sidecar,
    gone: Vec<u32>,
}

/// Looks what of a thing is superseded, and counts it apart. `needed` are segments that runs which are kept name.
pub(super) fn look(cache: &Cache, unit: &mut Unit, needed: &BTreeSet<String>) -> Result<(), Error> {
    let found = match unit.what {
        What::Rows => of_rows(cache, &rows_path(&unit.name))?,
        What::Table => of_table(cache, unit, needed)?,
        _ => return Ok(()),
    };
    unit.bytes = unit.bytes.saturating_sub(found.bytes);
    unit.files = unit.files.saturating_sub(found.files.len() as u64);
    unit.superseded = found;
    Ok(())
}

/// Writes the segments anew that hold other rows too, without the superseded ones. What is damaged stays for whoever reads it.
pub(super) fn rewrite(cache: &std::sync::Arc<Cache>, unit: &Unit) -> Result<(), Error> {
    if unit.superseded.partly.is_empty() {
        return Ok(());
    }
    let folder = rows_path(&unit.name);
    let written = stored_fields(cache, &folder)
        .and_then(|fields| compact::without(cache, &folder, &fields, &unit.superseded.partly));
    match written {
        Err(Error::Damaged { .. }) => Ok(()),
        written => written.map(drop),
    }
}

fn of_rows(cache: &Cache, folder: &str) -> Result<Superseded, Error> {
    let items = cache.list(folder)?;
    let sizes: HashMap<&str, u64> = items.iter().map(|item| (item.name.as_str(), item.size)).collect();
    let names: Vec<&str> = items.iter().filter_map(|item| item.name.strip_suffix(".parquet")).collect();
    if names.len() < 2 {
        return Ok(Superseded::default());
    }
    let mut stored = Vec::with_capacity(names.len());
    for name in names {
        let path = |kind: &str| format!("{folder}/{name}.{kind}");
        let (Some(keys), Some(segment)) = (cache.find(&path("keys"))?, cache.find(&path("parquet"))?) else {
            return Ok(Superseded::default());
        };
        let Ok(sidecar) = Sidecar::open_any(keys, &segment) else { return Ok(Superseded::default()) };
        let bytes = segment.len() as u64 + sizes.get(format!("{name}.keys").as_str()).unwrap_or(&0);
        stored.push(Stored { name, bytes, sidecar, gone: Vec::new() });
    }
    // As look-ups have it: those computed again on demand before the others, newest first.
    stored.sort_by_key(|stored| Reverse((is_forced(stored.name), stored.name)));
    // What a damaged sidecar says is not believed, and found by whoever reads it.
    if compare(&mut stored).is_err() {
        return Ok(Superseded::default());
    }
    let mut found = Superseded::default();
    for Stored { name, bytes, sidecar, mut gone } in stored.into_iter().filter(|s| !s.gone.is_empty()) {
        let (rows, of) = (gone.len() as u64, sidecar.rows() as u64);
        found.rows += rows;
        found.bytes += (bytes as u128 * rows as u128 / of as u128) as u64;
        if rows == of {
            found.files.extend(["keys", "parquet"].map(|kind| format!("{folder}/{name}.{kind}")));
        } else {
            gone.sort_unstable();
            found.partly.insert(name.to_owned(), gone);
        }
    }
    Ok(found)
}

/// Notes the rows whose keys came before, in parts of the keys so that any number of them fits into memory.
fn compare(stored: &mut [Stored]) -> Result<(), Damaged> {
    let rows: usize = stored.iter().map(|stored| stored.sidecar.rows()).sum();
    let passes = (rows / PASS + 1).min(256);
    let mut seen = HashSet::new();
    for pass in 0..passes {
        seen.clear();
        for stored in stored.iter_mut() {
            for row in 0..stored.sidecar.rows() as u32 {
                let key = stored.sidecar.key(row)?;
                if key.0[0] as usize % passes == pass && !seen.insert(key) {
                    stored.gone.push(row);
                }
            }
        }
    }
    Ok(())
}

/// Of a table the newest result counts whose files are all there; older ones stay as long as a run needs their segments.
fn of_table(cache: &Cache, unit: &mut Unit, needed: &BTreeSet<String>) -> Result<Superseded, Error> {
    let folder = rows_path(&unit.name);
    let items = cache.list(&folder)?;
    let sizes: HashMap<&str, u64> = items.iter().map(|item| (item.name.as_str(), item.size)).collect();
    let mut newest = None;
    for at in (0..unit.records.len()).rev() {
        if whole(cache, &unit.records[at].1, &sizes)? {
            newest = Some(at);
            break;
        }
    }
    let Some(newest) = newest else { return Ok(Superseded::default()) };
    let mut found = Superseded::default();
    let mut at = 0;
    unit.records.retain(|(path, record)| {
        at += 1;
        let stays = at > newest || record.segments.iter().any(|name| needed.contains(name));
        if !stays {
            found.files.push(path.clone());
        }
        stays
    });
    let named: HashSet<&String> =
        unit.records.iter().flat_map(|(_, record)| &record.segments).chain(needed).collect();
    for Item { name, size, .. } in &items {
        let stem = name.strip_suffix(".keys").or_else(|| name.strip_suffix(".parquet"));
        if stem.is_none_or(|stem| named.contains(&stem.to_owned())) {
            continue;
        }
        let path = format!("{folder}/{name}");
        if name.ends_with(".keys") {
            found.rows += cache.find(&path)?.map_or(0, |bytes| sidecar::rows_of(&bytes));
        }
        found.bytes += size;
        found.files.push(path);
    }
    Ok(found)
}

fn whole(cache: &Cache, record: &TableRecord, sizes: &HashMap<&str, u64>) -> Result<bool, Error> {
    for hex in record.artifacts.values() {
        if cache.size(&artifact_path(hex))?.is_none() {
            return Ok(false);
        }
    }
    Ok(record.segments.iter().all(|name| sizes.contains_key(format!("{name}.parquet").as_str())))
}
