//! When do small segments become large ones? At the end of a run, where a stage has more than a few: their rows are written
//! into larger segments, each key once, and only then are the small ones removed.
//!
//! Readers elsewhere go on: one whose segment is gone finds its rows again by their keys. What a kill leaves behind are rows
//! that lie twice, with equal values; the next time they are merged they lie once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::FieldRef;

use super::Cache;
use super::entries::{Entries, Place, Stored};
use super::segment::Rows;
use super::sidecar::Damaged;
use crate::digest::Digest;
use crate::error::Error;

/// Bytes below which a segment counts as small.
const SMALL: u64 = 16 << 20;
/// So many small segments may stay as they are.
const FEW: usize = 8;
/// Most bytes of small segments that become one.
const TARGET: u64 = 64 << 20;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Segments removed.
    pub removed: usize,
    /// Segments written in their place.
    pub written: usize,
}

/// Merges the small segments of one identity's rows where there are many. Not for the rows of a table, whose record names
/// its segments.
pub fn compact(cache: &Arc<Cache>, folder: &str, fields: &[FieldRef]) -> Result<Compacted, Error> {
    let listed = cache.list(folder)?;
    let segments = listed.iter().filter_map(|item| Some((item.name.strip_suffix(".parquet")?, item.size)));
    let small: HashMap<&str, u64> = segments.filter(|(_, size)| *size < SMALL).collect();
    if small.len() <= FEW {
        return Ok(Compacted::default());
    }
    let entries = Entries::open(cache.clone(), folder.to_owned(), fields.to_vec(), None)?;
    let sources = sources(&entries.stored(), &small)
        .map_err(|(stored, what)| cache.damaged(&format!("{folder}/{}.keys", stored.name), &what))?;
    rewrite(cache, &entries, sources)
}

/// Writes segments anew without some of their rows, which newer ones stand before: by the segment's name, in order.
pub fn without(
    cache: &Arc<Cache>,
    folder: &str,
    fields: &[FieldRef],
    rows: &HashMap<String, Vec<u32>>,
) -> Result<Compacted, Error> {
    let entries = Entries::open(cache.clone(), folder.to_owned(), fields.to_vec(), None)?;
    let mut sources = Vec::new();
    for (at, stored) in entries.stored().into_iter().enumerate() {
        let Some(gone) = rows.get(&stored.name) else { continue };
        let stay = (0..stored.sidecar.rows() as u32).filter(|row| gone.binary_search(row).is_err());
        let row = |row| stored.sidecar.key(row).map(|key| (Place::new(at as u32, row), key));
        let rows = stay.map(row).collect::<Result<Vec<_>, Damaged>>();
        let rows = rows.map_err(|what| cache.damaged(&format!("{folder}/{}.keys", stored.name), &what))?;
        let size = cache.size(&format!("{folder}/{}.parquet", stored.name))?.unwrap_or_default();
        sources.push(Source { stored, size, rows });
    }
    rewrite(cache, &entries, sources)
}

/// Writes what counts of some segments as few ones, and removes them.
fn rewrite(cache: &Cache, entries: &Entries, sources: Vec<Source>) -> Result<Compacted, Error> {
    let folder = entries.folder();
    let (mut merged, mut written) = (Vec::new(), HashSet::new());
    for part in parts(entries, sources)? {
        if let Some(name) = merge(entries, &part)? {
            written.extend(name);
            merged.extend(part);
        }
    }
    // Another process that merges the same rows gives the result the same name.
    merged.retain(|source| !written.contains(&source.stored.name));
    remove(cache, folder, &merged)?;
    Ok(Compacted { removed: merged.len(), written: written.len() })
}

/// A small segment, and those of its rows that count.
struct Source {
    stored: Arc<Stored>,
    size: u64,
    rows: Vec<(Place, Digest)>,
}

impl Source {
    fn whole(&self) -> bool {
        self.rows.len() == self.stored.sidecar.rows()
    }
}

/// The small segments, oldest first. Of rows with the same key one counts: as look-ups have it, those computed again on
/// demand before the others, newest first; and what lies in a large segment need not lie in a small one.
fn sources(
    stored: &[Arc<Stored>],
    small: &HashMap<&str, u64>,
) -> Result<Vec<Source>, (Arc<Stored>, Damaged)> {
    let mut order: Vec<usize> = (0..stored.len()).collect();
    let large = |at: usize| !small.contains_key(stored[at].name.as_str());
    order.sort_by_key(|&at| {
        let stored = &stored[at];
        std::cmp::Reverse((stored.forced, !stored.forced && large(at), &stored.name))
    });
    let (mut seen, mut sources, mut before) = (HashSet::new(), Vec::new(), Vec::new());
    for at in order {
        let this = &stored[at];
        let Some(&size) = small.get(this.name.as_str()) else {
            before.push(this);
            continue;
        };
        let keys =
            (0..this.sidecar.rows() as u32).map(|row| this.sidecar.key(row)).collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|what| (this.clone(), what))?;
        let mut counts: Vec<bool> = keys.iter().map(|key| seen.insert(*key)).collect();
        for large in &before {
            let found = large.sidecar.find(&keys).map_err(|what| ((*large).clone(), what))?;
            counts.iter_mut().zip(found).for_each(|(counts, found)| *counts &= found.is_none());
        }
        let rows = keys.into_iter().enumerate().filter(|&(row, _)| counts[row]);
        let rows = rows.map(|(row, key)| (Place::new(at as u32, row as u32), key)).collect();
        sources.push(Source { stored: this.clone(), size, rows });
    }
    sources.sort_by(|a, b| a.stored.name.cmp(&b.stored.name));
    Ok(sources)
}

/// Which segments become one: rows computed again on demand stay apart, and so do those that tell another number of digests
/// that their keys were made of (in the first format none).
fn parts(entries: &Entries, sources: Vec<Source>) -> Result<Vec<Vec<Source>>, Error> {
    let mut groups: BTreeMap<(bool, usize), Vec<Source>> = BTreeMap::new();
    for source in sources {
        let first = source.rows.first().map(|(place, _)| *place);
        let inputs = entries.inputs(first.as_slice())?;
        let width = inputs.first().map_or(0, Vec::len);
        groups.entry((source.stored.forced, width)).or_default().push(source);
    }
    let mut parts: Vec<Vec<Source>> = Vec::new();
    for group in groups.into_values() {
        let mut bytes = TARGET;
        for source in group {
            bytes += source.size;
            match parts.last_mut().filter(|_| bytes <= TARGET) {
                Some(part) => part.push(source),
                None => {
                    bytes = source.size;
                    parts.push(vec![source]);
                }
            }
        }
    }
    Ok(parts)
}

/// Writes the rows of some segments as one. `None` where they stay: one that is whole, or somebody has removed one
/// meanwhile; otherwise the name of the new one, if there is any row to write.
fn merge(entries: &Entries, part: &[Source]) -> Result<Option<Option<String>>, Error> {
    let Some(newest) = part.last().filter(|newest| part.len() > 1 || !newest.whole()) else {
        return Ok(None);
    };
    let (places, keys): (Vec<Place>, Vec<Digest>) =
        part.iter().flat_map(|source| &source.rows).copied().unzip();
    if keys.is_empty() {
        return Ok(Some(None));
    }
    let column = |column| entries.read(column, &places, &entries.digests(column, &places)?);
    let columns = (0..entries.fields().len()).map(column).collect::<Result<Vec<_>, Error>>()?;
    let ids = StringArray::from(entries.ids(&places)?);
    let inputs = entries.inputs(&places)?.concat();
    if part.iter().any(|source| !source.rows.is_empty() && !source.stored.opened()) {
        return Ok(None);
    }
    // With the time of the newest: what is computed again on demand meanwhile stands before it.
    let (beginning, _) = newest.stored.name.rsplit_once('-').unwrap_or_default();
    let (name, _) = entries.put(&Rows { keys, inputs, ids, columns }, beginning)?;
    Ok(Some(Some(name)))
}

/// Removes segments: first the sidecars, so that none is left alone and taken for damage.
fn remove(cache: &Cache, folder: &str, merged: &[Source]) -> Result<(), Error> {
    for source in merged {
        cache.remove(&format!("{folder}/{}.keys", source.stored.name))?;
    }
    if !merged.is_empty() {
        cache.settle(folder)?;
    }
    merged.iter().try_for_each(|source| cache.remove(&format!("{folder}/{}.parquet", source.stored.name)))
}
