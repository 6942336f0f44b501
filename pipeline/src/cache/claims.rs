//! Who computes which rows, where several processes share a cache? Before a process computes rows it claims them, if it is
//! not alone; rows that another one has claimed it waits for, as long as that one lives and gets on. Claims save work and
//! nothing else: a row computed twice has the same bytes.
//!
//! A claim is first announced, then taken for what nobody else has claimed. Of two that announce at the same time the
//! earlier process wins.

use std::collections::HashSet;
use std::sync::Arc;

use super::Cache;
use super::live::{self, Live};
use crate::digest::Digest;
use crate::error::Error;

const FOLDER: &str = "v1/claims";
const ANNOUNCED: u8 = b'?';
const TAKEN: u8 = b'!';

/// The claims of this process on rows of one identity.
pub struct Claims {
    cache: Arc<Cache>,
    live: Arc<Live>,
    folder: String,
}

/// Rows claimed; given back when dropped.
pub struct Claim {
    cache: Arc<Cache>,
    path: Option<String>,
}

/// A claim, the positions of the keys that are claimed by it, and of those that another process has claimed.
pub type Shares = (Claim, Vec<usize>, Vec<usize>);

impl Claims {
    /// Claims on the rows of that identity (or on that result of a table).
    pub fn on(cache: &Arc<Cache>, live: &Arc<Live>, identity: Digest) -> Self {
        Claims { cache: cache.clone(), live: live.clone(), folder: format!("{FOLDER}/{identity}") }
    }

    /// Whether there is nobody to tell.
    pub fn alone(&self) -> bool {
        self.live.alone()
    }

    /// Claims those of the keys that no other process has claimed.
    pub fn claim(&self, keys: &[Digest]) -> Result<Shares, Error> {
        let all = || (0..keys.len()).collect();
        if keys.is_empty() || self.alone() {
            return Ok((Claim { cache: self.cache.clone(), path: None }, all(), Vec::new()));
        }
        let path = format!("{}/{}.{}", self.folder, self.live.owner(), self.live.number());
        let claim = Claim { cache: self.cache.clone(), path: Some(path.clone()) };
        if self.write(&path, ANNOUNCED, keys.iter()).is_err() {
            return Ok((claim, all(), Vec::new()));
        }
        let others = self.others()?;
        let (theirs, mine): (Vec<usize>, Vec<usize>) =
            (0..keys.len()).partition(|&at| others.contains(&prefix(&keys[at])));
        let _ = self.write(&path, TAKEN, mine.iter().map(|&at| &keys[at]));
        Ok((claim, mine, theirs))
    }

    /// Which of the keys another living process has claimed still.
    pub fn claimed(&self, keys: &[Digest]) -> Result<HashSet<Digest>, Error> {
        let others = self.others()?;
        Ok(keys.iter().filter(|key| others.contains(&prefix(key))).copied().collect())
    }

    fn write<'k>(&self, path: &str, state: u8, keys: impl Iterator<Item = &'k Digest>) -> Result<(), Error> {
        let bytes: Vec<u8> = std::iter::once(state).chain(keys.flat_map(prefix)).collect();
        self.cache.replace(path, &bytes)
    }

    /// What other living processes have claimed. The claims of dead ones are removed.
    fn others(&self) -> Result<HashSet<[u8; 8]>, Error> {
        let mut claimed = HashSet::new();
        for item in self.cache.list(&self.folder)? {
            let path = format!("{}/{}", self.folder, item.name);
            let owner = item.name.split('.').next().unwrap_or_default();
            if owner == self.live.owner() {
                continue;
            }
            if !self.live.alive(owner) {
                // It may have begun since the others were looked at last; its word is there before its claims.
                if !live::owners(&self.cache)?.contains(owner) {
                    self.cache.remove(&path)?;
                }
                continue;
            }
            let Some(bytes) = self.cache.find(&path)? else { continue };
            let counts = match bytes.first() {
                Some(&TAKEN) => true,
                Some(&ANNOUNCED) => owner < self.live.owner(),
                _ => false,
            };
            if counts {
                claimed.extend(bytes[1..].chunks_exact(8).filter_map(|key| <[u8; 8]>::try_from(key).ok()));
            }
        }
        Ok(claimed)
    }
}

/// Removes the claims of processes that say nothing any more.
pub fn forget_dead(cache: &Cache) -> Result<(), Error> {
    let mut claims = Vec::new();
    for folder in cache.list(FOLDER)?.into_iter().filter(|item| item.folder) {
        let path = format!("{FOLDER}/{}", folder.name);
        claims
            .extend(cache.list(&path)?.into_iter().map(|item| (format!("{path}/{}", item.name), item.name)));
    }
    // Looked at after the claims: a process says that it is at work before it claims anything.
    let at_work = live::owners(cache)?;
    let dead = |name: &str| !at_work.contains(name.split('.').next().unwrap_or_default());
    claims.iter().filter(|(_, name)| dead(name)).try_for_each(|(path, _)| cache.remove(path))
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = self.cache.remove(path);
        }
    }
}

fn prefix(key: &Digest) -> [u8; 8] {
    [key.0[0], key.0[1], key.0[2], key.0[3], key.0[4], key.0[5], key.0[6], key.0[7]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_the_dead_are_forgotten_beside_those_of_the_living() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let live = Live::begin(&cache, "a run");
        for owner in [live.owner(), "0-dead"] {
            cache.replace(&format!("{FOLDER}/00/{owner}.3"), &[TAKEN]).unwrap();
        }
        forget_dead(&cache).unwrap();
        let left = cache.list(&format!("{FOLDER}/00")).unwrap();
        assert_eq!(left.iter().map(|item| &item.name).collect::<Vec<_>>(), [&format!("{}.3", live.owner())]);
        drop(live);
        forget_dead(&cache).unwrap();
        assert!(cache.list(&format!("{FOLDER}/00")).unwrap().is_empty());
    }

    #[test]
    fn of_two_processes_one_computes_a_row_and_the_other_after_its_death() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let keys: Vec<Digest> = (0..6u8).map(|n| Digest::of(&[n])).collect();
        let first = Live::begin(&cache, "first");
        let identity = Digest::of(b"identity");
        let of = |live: &Arc<Live>| Claims::on(&cache, live, identity);
        let (alone, mine, _) = of(&first).claim(&keys).unwrap();
        assert_eq!(mine.len(), 6);
        drop(alone);
        let second = Live::begin(&cache, "second");
        std::thread::sleep(std::time::Duration::from_millis(600));
        let (held, mine, _) = of(&first).claim(&keys[..4]).unwrap();
        assert_eq!(mine, [0, 1, 2, 3]);
        let (_other, mine, theirs) = of(&second).claim(&keys).unwrap();
        assert_eq!(mine, [4, 5]);
        assert_eq!(theirs, [0, 1, 2, 3]);
        assert_eq!(of(&second).claimed(&keys).unwrap().len(), 4);
        drop(held);
        assert!(of(&second).claimed(&keys).unwrap().is_empty());
    }
}
