//! Which rows failed, and how often? Kept per identity in the cache, so that a failed row is not tried again until it changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

use crate::cache::{Cache, stamp};
use crate::digest::Digest;
use crate::error::Error;

/// One row in quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failed {
    /// The row's key in hex.
    pub key: String,
    /// The row.
    pub id: String,
    /// Why it failed.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// The failed rows of one identity.
pub struct Quarantine {
    cache: Arc<Cache>,
    folder: String,
    known: Mutex<HashMap<Digest, Failed>>,
    fresh: Mutex<Vec<Failed>>,
}

impl Quarantine {
    /// Reads what failed before. A file that cannot be read costs a retry, nothing else.
    pub fn open(cache: Arc<Cache>, folder: String) -> Result<Self, Error> {
        let mut known = HashMap::new();
        for item in cache.list(&folder)?.iter().filter(|item| item.name.ends_with(".failed")) {
            let bytes = cache.read(&format!("{folder}/{}", item.name))?;
            for line in bytes.split(|b| *b == b'\n') {
                if let Ok(failed) = serde_json::from_slice::<Failed>(line)
                    && let Some(key) = Digest::parse(&failed.key)
                {
                    known.insert(key, failed);
                }
            }
        }
        Ok(Quarantine { cache, folder, known: Mutex::new(known), fresh: Mutex::default() })
    }

    /// The failure of a row, if it failed.
    pub fn get(&self, key: &Digest) -> Option<Failed> {
        self.known.lock().unwrap_or_else(|p| p.into_inner()).get(key).cloned()
    }

    /// Adds a failure; durable after [`commit`](Self::commit).
    pub fn add(&self, key: Digest, id: &str, error: &str) -> Failed {
        let mut known = self.known.lock().unwrap_or_else(|p| p.into_inner());
        let attempts = known.get(&key).map_or(0, |before| before.attempts) + 1;
        let failed = Failed { key: key.to_string(), id: id.to_owned(), error: error.to_owned(), attempts };
        known.insert(key, failed.clone());
        self.fresh.lock().unwrap_or_else(|p| p.into_inner()).push(failed.clone());
        failed
    }

    /// Writes what was added since the last commit.
    pub fn commit(&self) -> Result<(), Error> {
        let fresh = std::mem::take(&mut *self.fresh.lock().unwrap_or_else(|p| p.into_inner()));
        if fresh.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for failed in &fresh {
            lines.push_str(&serde_json::to_string(failed).map_err(|e| Error::Internal(e.to_string()))?);
            lines.push('\n');
        }
        let digest = Digest::of(lines.as_bytes()).to_string();
        self.cache
            .put(&format!("{}/{}-{}.failed", self.folder, stamp(), &digest[..12]), &[lines.as_bytes()])?;
        Ok(())
    }
}
