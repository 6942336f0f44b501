//! Which rows failed, and how often? Kept per identity in the cache, so that a failed row is not tried again until it changes.
//!
//! A `.failed` file is written once and holds a line of JSON a row. Of several lines about a row the one with most attempts
//! counts, and of equals the one that says that it succeeded: the order of files does not matter, so neither do clocks and
//! other processes. A stored value counts before a failure, unless the failure came of computing that very value anew.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::cache::entries::Place;
use crate::cache::storage::Item;
use crate::cache::{Cache, stamp};
use crate::digest::{Digest, DigestMap};
use crate::error::Error;
use crate::plan::Tries;

/// One row in quarantine, or one that has left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The row's key in hex.
    pub key: String,
    /// The row.
    pub id: String,
    /// Why it failed.
    pub error: String,
    /// How often it was tried, over all runs.
    pub attempts: u32,
    /// It has succeeded since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resolved: bool,
    /// It failed when it was computed anew: the older value that is stored must not be used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hides: bool,
    /// It took longer than the `time_limit` of its stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Late>,
    /// Its input could not be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
}

/// Why a row failed that may succeed as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passing {
    /// It took too long.
    Late(Late),
    /// Its input could not be read.
    Unread,
}

/// The limits by which a row fell: with larger ones it may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Milliseconds that a call could take.
    pub limit: u64,
    /// Tries after the first one.
    pub retries: u32,
}

impl Late {
    /// What a stage allows now; `None` where it has no limit.
    pub fn of(tries: &Tries) -> Option<Self> {
        Some(Late { limit: tries.limit?.as_millis() as u64, retries: tries.retries })
    }
}

impl Failed {
    /// Whether there is reason to try the row again as it is: its input could not be read, or it took too long and its stage
    /// allows more by now.
    pub fn may_pass(&self, tries: &Tries) -> bool {
        let more = |late: &Late| {
            Late::of(tries).is_none_or(|now| now.limit > late.limit || now.retries > late.retries)
        };
        self.unread || self.late.as_ref().is_some_and(more)
    }
}

/// The failed rows of one identity.
pub struct Quarantine {
    cache: Arc<Cache>,
    folder: String,
    sequence: AtomicU32,
    rows: Mutex<Rows>,
}

#[derive(Default)]
struct Rows {
    known: DigestMap<Digest, Known>,
    fresh: Vec<Failed>,
}

struct Known {
    last: Failed,
    /// Whether that is what this run found.
    now: bool,
}

impl Quarantine {
    /// Reads what failed before. A damaged file is moved aside, reported, and costs its rows a retry.
    pub fn open(cache: Arc<Cache>, folder: String) -> Result<Self, Error> {
        let listed = cache.list(&folder)?;
        Self::among(cache, folder, &listed)
    }

    /// Like [`open`](Self::open), of a folder that was just listed.
    pub fn among(cache: Arc<Cache>, folder: String, listed: &[Item]) -> Result<Self, Error> {
        let mut rows = Rows::default();
        for item in listed.iter().filter(|item| item.name.ends_with(".failed")) {
            let path = format!("{folder}/{}", item.name);
            let bytes = match cache.read(&path) {
                // Somebody else has moved it aside since.
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => continue,
                read => read?,
            };
            match parse(&item.name, &bytes) {
                Some(lines) => lines.into_iter().for_each(|(key, failed)| rows.add(key, failed, false)),
                None => drop(cache.damaged(&path, "its lines are not those that were written")),
            }
        }
        Ok(Quarantine { cache, folder, sequence: AtomicU32::new(0), rows: Mutex::new(rows) })
    }

    /// The failure of a row, if it is in quarantine.
    pub fn get(&self, key: &Digest) -> Option<Failed> {
        self.rows().known.get(key).map(|known| &known.last).filter(|last| !last.resolved).cloned()
    }

    /// Where the value of a row is to be read, or why it has none.
    pub fn judge(&self, key: &Digest, place: Option<Place>) -> Result<Option<Place>, Failed> {
        match self.get(key) {
            Some(failed) if place.is_none() || failed.hides => Err(failed),
            _ => Ok(place),
        }
    }

    /// Whether the row was tried in this run.
    pub fn tried_now(&self, key: &Digest) -> bool {
        self.rows().known.get(key).is_some_and(|known| known.now)
    }

    /// Adds a failure after so many tries; durable after [`commit`](Self::commit). `hides`: an older value is stored.
    pub fn add(
        &self,
        key: Digest,
        id: &str,
        error: &str,
        tries: u32,
        hides: bool,
        passing: Option<Passing>,
    ) -> Failed {
        let mut rows = self.rows();
        let before = rows.known.get(&key).map(|known| &known.last);
        let attempts = before.map_or(0, |before| before.attempts) + tries;
        let hides = hides || before.is_some_and(|before| before.hides && !before.resolved);
        let failed = Failed {
            key: key.to_string(),
            id: id.to_owned(),
            error: error.to_owned(),
            attempts,
            resolved: false,
            hides,
            late: match passing {
                Some(Passing::Late(late)) => Some(late),
                _ => None,
            },
            unread: passing == Some(Passing::Unread),
        };
        rows.fresh.push(failed.clone());
        rows.add(key, failed.clone(), true);
        failed
    }

    /// Takes rows out of quarantine that have succeeded; durable after [`commit`](Self::commit), which comes before their
    /// values are stored. A kill in between costs a retry, and no failure outlives a success.
    /// Says whether a failure of one of them hid an older value, before which the new one is to stand.
    pub fn resolve(&self, keys: &[Digest]) -> bool {
        let mut rows = self.rows();
        let mut hid = false;
        for key in keys {
            let Some(known) = rows.known.get(key).filter(|known| !known.last.resolved) else { continue };
            let last = &known.last;
            hid |= last.hides;
            let resolved = Failed {
                attempts: last.attempts + 1,
                resolved: true,
                hides: false,
                late: None,
                unread: false,
                ..last.clone()
            };
            rows.fresh.push(resolved.clone());
            rows.add(*key, resolved, true);
        }
        hid
    }

    /// Whether there is something to commit.
    pub fn pending(&self) -> bool {
        !self.rows().fresh.is_empty()
    }

    /// Writes what was added since the last commit.
    pub fn commit(&self) -> Result<(), Error> {
        let fresh = std::mem::take(&mut self.rows().fresh);
        if fresh.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for failed in &fresh {
            lines.push_str(&serde_json::to_string(failed).map_err(|e| Error::Internal(e.to_string()))?);
            lines.push('\n');
        }
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{sequence:06}-{}.failed", stamp(), check(lines.as_bytes()));
        self.cache.put(&format!("{}/{name}", self.folder), &[lines.as_bytes()])?;
        Ok(())
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Rows {
    fn add(&mut self, key: Digest, failed: Failed, now: bool) {
        let rank = |failed: &Failed| (failed.attempts, failed.resolved);
        match self.known.get(&key) {
            Some(known) if rank(&known.last) > rank(&failed) => {}
            _ => drop(self.known.insert(key, Known { last: failed, now })),
        }
    }
}

/// What the name of a file says of its content.
fn check(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()[..12].to_owned()
}

/// The lines of a file; `None` where it is not as it was written.
fn parse(name: &str, bytes: &[u8]) -> Option<Vec<(Digest, Failed)>> {
    if !name.trim_end_matches(".failed").ends_with(&check(bytes)) {
        return None;
    }
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let failed: Failed = serde_json::from_slice(line).ok()?;
            Some((Digest::parse(&failed.key)?, failed))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(folder: &std::path::Path) -> Quarantine {
        Quarantine::open(Cache::at(folder), "rows".into()).unwrap()
    }

    #[test]
    fn attempts_count_over_runs_and_a_success_ends_them() {
        let folder = tempfile::tempdir().unwrap();
        let key = Digest::of(b"row");
        for run in 1..=3 {
            let quarantine = open(folder.path());
            assert!(!quarantine.tried_now(&key));
            assert_eq!(quarantine.add(key, "a", "no", 2, false, None).attempts, 2 * run);
            assert!(quarantine.tried_now(&key));
            quarantine.commit().unwrap();
        }
        let quarantine = open(folder.path());
        quarantine.resolve(&[key, Digest::of(b"another")]);
        quarantine.commit().unwrap();
        let quarantine = open(folder.path());
        assert!(quarantine.get(&key).is_none());
        assert_eq!(quarantine.add(key, "a", "again", 1, false, None).attempts, 8);
    }

    #[test]
    fn what_could_not_be_read_is_tried_again_until_it_fails_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let key = Digest::of(b"row");
        for (passing, again) in [(Some(Passing::Unread), true), (None, false)] {
            let quarantine = open(folder.path());
            quarantine.add(key, "a", "no such file", 1, false, passing);
            quarantine.commit().unwrap();
            assert_eq!(open(folder.path()).get(&key).unwrap().may_pass(&Tries::default()), again);
        }
    }

    #[test]
    fn what_took_too_long_is_tried_again_with_more_time_and_old_lines_are_read() {
        let tries = |limit: Option<u64>, retries| Tries {
            limit: limit.map(std::time::Duration::from_millis),
            retries,
            ..Tries::default()
        };
        let line = |late: &str| format!(r#"{{"key":"00","id":"a","error":"slow","attempts":1{late}}}"#);
        let read = |late: &str| serde_json::from_str::<Failed>(&line(late)).unwrap();
        let late = read(r#","late":{"limit":500,"retries":1}"#);
        let more = [tries(Some(501), 1), tries(Some(500), 2), tries(None, 0)];
        assert!(more.iter().all(|tries| late.may_pass(tries)));
        let less = [tries(Some(500), 1), tries(Some(400), 1), tries(Some(500), 0)];
        assert!(!less.iter().any(|tries| late.may_pass(tries)));
        let other = read("");
        assert!(other.late.is_none() && !more.iter().any(|tries| other.may_pass(tries)));
        assert_eq!(serde_json::to_string(&other).unwrap(), line(""));
    }

    #[test]
    fn lines_count_in_whatever_order_they_are_read() {
        let key = Digest::of(b"row");
        let line = |attempts, resolved| Failed {
            key: key.to_string(),
            id: "a".into(),
            error: String::new(),
            attempts,
            resolved,
            hides: false,
            late: None,
            unread: false,
        };
        let lines = [line(1, false), line(2, false), line(2, true)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut rows = Rows::default();
            order.iter().for_each(|&at| rows.add(key, lines[at].clone(), false));
            assert!(rows.known[&key].last.resolved, "{order:?}");
        }
    }

    #[test]
    fn a_damaged_file_costs_a_retry_and_is_told() {
        let key = Digest::of(b"row");
        let damage: [fn(&mut Vec<u8>); 4] = [
            |bytes| bytes.truncate(bytes.len() / 2),
            |bytes| bytes.clear(),
            |bytes| bytes[10] ^= 1,
            |bytes| bytes.extend(b"{\"key\":\"\"}\n"),
        ];
        for change in damage {
            let folder = tempfile::tempdir().unwrap();
            let quarantine = open(folder.path());
            quarantine.add(key, "a", "no", 1, false, None);
            quarantine.commit().unwrap();
            let file = std::fs::read_dir(folder.path().join("rows")).unwrap().next().unwrap().unwrap().path();
            let mut bytes = std::fs::read(&file).unwrap();
            change(&mut bytes);
            std::fs::write(&file, bytes).unwrap();
            let cache = Cache::at(folder.path());
            assert!(Quarantine::open(cache.clone(), "rows".into()).unwrap().get(&key).is_none());
            assert_eq!(cache.take_damage().len(), 1);
            assert!(!file.exists(), "moved aside");
        }
    }
}
