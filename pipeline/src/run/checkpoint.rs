//! How far had a table come when it was stopped? Its checkpoints: `v1/checkpoints/<entry>/<step>-<digest>`.
//!
//! They belong to one result of one table (its key), so whatever changes that result finds none. The newest two stay while the
//! stage works, so that one that a disk damaged leaves the one before; all go once the result is stored. They save time and
//! nothing else: one that cannot be written or read is told, and the work goes on without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::Error;

/// Least time between two checkpoints: as long as computed rows wait to become durable.
const INTERVAL: Duration = Duration::from_secs(2);
/// The time between two is at least so many times what the last one took, so that large ones do not slow the work down.
const PAUSE: u32 = 10;
/// Checkpoints that stay while the stage works.
const KEPT: usize = 2;

/// The checkpoints of one result of one table stage.
pub struct Checkpoints {
    store: Store,
    interval: Duration,
    pause: u32,
    /// When the last one was saved and how long that took; at first, when the work began.
    last: Mutex<(Instant, Duration)>,
    complained: AtomicBool,
}

enum Store {
    Cache { cache: Arc<Cache>, folder: String },
    Memory(Mutex<Vec<(u64, Bytes)>>),
}

/// A stored one, by its name.
struct Named {
    step: u64,
    digest: Digest,
    path: String,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self::of(Store::Memory(Mutex::default()))
    }
}

impl Checkpoints {
    /// Those of a table's result in the cache.
    pub(super) fn of_entry(cache: Arc<Cache>, entry: Digest) -> Self {
        Self::of(Store::Cache { cache, folder: format!("v1/checkpoints/{entry}") })
    }

    fn of(store: Store) -> Self {
        Checkpoints {
            store,
            interval: INTERVAL,
            pause: PAUSE,
            last: Mutex::new((Instant::now(), Duration::ZERO)),
            complained: AtomicBool::new(false),
        }
    }

    /// The same, due again so long after the last one, however long that took.
    pub fn every(self, interval: Duration) -> Self {
        Checkpoints { interval, pause: 0, ..self }
    }

    /// Whether the last one was saved long enough ago.
    pub fn due(&self) -> bool {
        let (end, took) = *self.last.lock().unwrap_or_else(|p| p.into_inner());
        end.elapsed() >= self.interval.max(took * self.pause)
    }

    /// Step and content of the newest whole one. One whose content is not what its name says is moved aside; one that cannot
    /// be read for another reason is handed to `skipped` and passed over.
    pub fn newest(&self, mut skipped: impl FnMut(Error)) -> Option<(u64, Bytes)> {
        let (cache, folder) = match &self.store {
            Store::Memory(kept) => return kept.lock().unwrap_or_else(|p| p.into_inner()).last().cloned(),
            Store::Cache { cache, folder } => (cache, folder),
        };
        let named = list(cache, folder).unwrap_or_else(|error| {
            skipped(error);
            Vec::new()
        });
        named.iter().rev().find_map(|named| match cache.find(&named.path) {
            Ok(None) => None,
            Ok(Some(bytes)) if Digest::of(&bytes) == named.digest => Some((named.step, bytes)),
            Ok(Some(_)) => {
                cache.damaged(&named.path, "its content does not match its digest");
                None
            }
            Err(error) => {
                skipped(error);
                None
            }
        })
    }

    /// Makes one durable under its step, and then removes all but the newest two.
    pub fn save(&self, step: u64, bytes: &[u8]) -> Result<(), Error> {
        let began = Instant::now();
        let saved = self.put(step, bytes);
        // However it ended: what cannot be saved is not tried again at once.
        *self.last.lock().unwrap_or_else(|p| p.into_inner()) = (Instant::now(), began.elapsed());
        saved
    }

    fn put(&self, step: u64, bytes: &[u8]) -> Result<(), Error> {
        match &self.store {
            Store::Memory(kept) => {
                let mut kept = kept.lock().unwrap_or_else(|p| p.into_inner());
                kept.retain(|(known, _)| *known != step);
                kept.push((step, Bytes::copy_from_slice(bytes)));
                kept.sort_by_key(|(step, _)| *step);
                let old = kept.len().saturating_sub(KEPT);
                kept.drain(..old);
                Ok(())
            }
            Store::Cache { cache, folder } => {
                cache.put(&format!("{folder}/{step:010}-{}", Digest::of(bytes)), &[bytes])?;
                remove(cache, folder, KEPT)
            }
        }
    }

    /// True at its first call: a full disk is told once, not at every epoch.
    pub(super) fn first_complaint(&self) -> bool {
        !self.complained.swap(true, Ordering::Relaxed)
    }

    /// Removes all: the result is stored, or they are of no use.
    pub fn clear(&self) -> Result<(), Error> {
        match &self.store {
            Store::Memory(kept) => {
                kept.lock().unwrap_or_else(|p| p.into_inner()).clear();
                Ok(())
            }
            Store::Cache { cache, folder } => remove(cache, folder, 0),
        }
    }
}

/// Those in a folder by step; what has another kind of name is not ours.
fn list(cache: &Cache, folder: &str) -> Result<Vec<Named>, Error> {
    let named = |name: &str| {
        let (step, digest) = name.split_once('-')?;
        Some(Named {
            step: step.parse().ok()?,
            digest: Digest::parse(digest)?,
            path: format!("{folder}/{name}"),
        })
    };
    let mut found: Vec<Named> = cache.list(folder)?.iter().filter_map(|item| named(&item.name)).collect();
    found.sort_by_key(|named| named.step);
    Ok(found)
}

fn remove(cache: &Cache, folder: &str, keep: usize) -> Result<(), Error> {
    let found = list(cache, folder)?;
    found.iter().rev().skip(keep).try_for_each(|named| cache.remove(&named.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
        match &checkpoints.store {
            Store::Memory(kept) => kept.lock().unwrap().iter().map(|(step, _)| *step).collect(),
            Store::Cache { cache, folder } => list(cache, folder).unwrap().iter().map(|n| n.step).collect(),
        }
    }

    #[test]
    fn the_newest_two_stay_and_a_damaged_one_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let stored = || Checkpoints::of_entry(cache.clone(), Digest::of(b"a table"));
        for checkpoints in [Checkpoints::default(), stored()] {
            assert!(checkpoints.newest(|error| panic!("{error}")).is_none());
            for step in [3, 11, 4] {
                checkpoints.save(step, format!("at {step}").as_bytes()).unwrap();
            }
            assert_eq!(steps(&checkpoints), [4, 11]);
            assert_eq!(checkpoints.newest(|error| panic!("{error}")), Some((11, "at 11".into())));
            assert!(!checkpoints.due());
        }
        let newest = list(&cache, &format!("v1/checkpoints/{}", Digest::of(b"a table"))).unwrap().pop();
        std::fs::write(folder.path().join(newest.unwrap().path), "at 12").unwrap();
        assert_eq!(stored().newest(|error| panic!("{error}")), Some((4, "at 4".into())));
        assert_eq!(cache.take_damage().len(), 1);
        stored().clear().unwrap();
        assert!(steps(&stored()).is_empty() && stored().every(Duration::ZERO).due());
    }
}
