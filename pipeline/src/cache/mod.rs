//! What is kept between runs? Everything that was computed, under the digests of what it was computed from.
//!
//! ```text
//! .affectflow/cache/
//!   v1/rows/<identity>/<time>-<n>-<digest>.parquet   rows of a map stage, or of one result of a table stage
//!   v1/rows/<identity>/<time>-<n>-<digest>.keys      sidecar: sorted keys, digests of cells
//!   v1/rows/<identity>/<time>-<n>-<digest>.failed    rows in quarantine: key, id, error, attempts
//!   v1/tables/<entry>/<time>.json                     a table's result: its segments and artifacts; the newest counts
//!   v1/lists/<digest>.parquet                         rows of a source or a run: ids and keys, for `export`
//!   v1/blobs/<digest>                                 artifacts: weights, metrics
//!   v1/identities/<identity>.json                     what an identity was made of
//!   aside/                                            damaged files, kept for a look
//!   files.memo                                        digests of input files by size, time and inode
//! ```

pub mod entries;
pub mod memo;
pub mod segment;
pub mod storage;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::digest::Digest;
use crate::error::Error;
use storage::{Disk, Item, Storage};

/// The store behind all stages of all pipelines of one state folder.
pub struct Cache {
    storage: Box<dyn Storage>,
    root: PathBuf,
    damage: Mutex<Vec<Damage>>,
}

/// A damaged file that was found and moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the cache.
    pub path: String,
    /// What was wrong.
    pub what: String,
    /// Where it lies now, if it could be moved.
    pub aside: Option<String>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "damaged cache file `{}` ({})", self.path, self.what)?;
        self.aside.iter().try_for_each(|to| write!(f, ", moved to `{to}`"))?;
        f.write_str("; its rows are computed again")
    }
}

impl Cache {
    /// The cache in that folder.
    pub fn at(root: impl AsRef<Path>) -> Arc<Self> {
        Self::on(Box::new(Disk::new(root.as_ref())), root.as_ref().to_owned())
    }

    /// A cache on any storage; `root` only names it in messages.
    pub fn on(storage: Box<dyn Storage>, root: PathBuf) -> Arc<Self> {
        Arc::new(Cache { storage, root, damage: Mutex::default() })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A whole file.
    pub fn read(&self, path: &str) -> Result<Bytes, Error> {
        self.storage.read(path).map_err(Error::io("read", self.root.join(path)))
    }

    /// Puts a file in place if absent.
    pub fn put(&self, path: &str, parts: &[&[u8]]) -> Result<bool, Error> {
        self.storage.put(path, parts).map_err(Error::io("write", self.root.join(path)))
    }

    /// Whether a file is there.
    pub fn exists(&self, path: &str) -> bool {
        self.storage.exists(path)
    }

    /// What lies in a folder.
    pub fn list(&self, folder: &str) -> Result<Vec<Item>, Error> {
        self.storage.list(folder).map_err(Error::io("list", self.root.join(folder)))
    }

    /// Stores an artifact; its name is its digest.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        self.put(&blob_path(digest), &[bytes])?;
        Ok(digest)
    }

    /// Reads an artifact and checks it. `None` where it is gone or was damaged (and is now aside).
    pub fn blob(&self, digest: Digest) -> Option<Bytes> {
        let path = blob_path(digest);
        let bytes = self.read(&path).ok()?;
        if Digest::of(&bytes) == digest {
            return Some(bytes);
        }
        self.damaged(&path, "its content does not match its digest");
        None
    }

    /// Where an artifact lies, relative to the cache.
    pub fn blob_path(&self, digest: Digest) -> String {
        blob_path(digest)
    }

    /// Moves a damaged file aside and remembers it; the error to return where its rows were wanted.
    pub fn damaged(&self, path: &str, what: &str) -> Error {
        let aside = self.storage.set_aside(path).ok();
        let damage = Damage { path: path.to_owned(), what: what.to_owned(), aside };
        self.damage.lock().unwrap_or_else(|p| p.into_inner()).push(damage);
        Error::Damaged { path: path.to_owned(), what: what.to_owned() }
    }

    /// Damage found since last asked.
    pub fn take_damage(&self) -> Vec<Damage> {
        std::mem::take(&mut self.damage.lock().unwrap_or_else(|p| p.into_inner()))
    }
}

fn blob_path(digest: Digest) -> String {
    format!("v1/blobs/{digest}")
}

/// Milliseconds since 1970 in fixed-width hex: names that sort by time.
pub(crate) fn stamp() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:012x}", since.as_millis())
}
