//! What is kept between runs? Everything that was computed, under the digests of what it was computed from.
//!
//! ```text
//! .affectflow/cache/
//!   v1/rows/<identity>/<time>-<n>-<digest>.parquet   rows of a map stage, or of one result of a table stage
//!   v1/rows/<identity>/<time>-<n>-<digest>.keys      sidecar: keys, an index of them, digests of cells; rebuildable
//!   v1/rows/<identity>/<time>-<n>-<digest>.failed    rows in quarantine: key, id, error, attempts
//!   v1/tables/<entry>/<time>.json                     a table's result: its segments and artifacts; the newest counts
//!   v1/checkpoints/<entry>/<step>-<digest>            where a table that was stopped stood; gone once its record is there
//!   v1/lists/<digest>.parquet                         rows of a source or a run: ids and keys, for `export`
//!   v1/blobs/<digest>                                 artifacts: weights, metrics
//!   v1/identities/<identity>.json                     what an identity was made of
//!   aside/                                            damaged files, kept for a look
//!   format                                            the version of all this
//!   files.memo                                        digests of input files by size, time and inode
//! ```

pub mod claims;
pub mod compact;
pub mod entries;
pub mod file_system;
pub mod format1;
pub mod live;
pub mod memo;
mod places;
pub mod segment;
pub mod sidecar;
pub mod storage;
pub(crate) mod unharmed;

use std::collections::HashSet;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::digest::Digest;
use crate::error::Error;
use storage::{Disk, Item, Storage};

/// Where the version of the cache is written, and what is written there.
const FORMAT: (&str, &str, u32) = ("format", "affectflow cache ", 1);

/// The store behind all stages of all pipelines of one state folder.
pub struct Cache {
    storage: Arc<dyn Storage>,
    root: PathBuf,
    /// For somebody who only looks: the damaged files that could not be moved aside and are not seen any more.
    hidden: Option<Mutex<HashSet<String>>>,
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
        Arc::new(Cache { storage: storage.into(), root, hidden: None, damage: Mutex::default() })
    }

    /// The same cache for somebody who only looks: nothing is written or moved; damage is told, and not seen again.
    pub fn read_only(&self) -> Arc<Self> {
        let (storage, root) = (self.storage.clone(), self.root.clone());
        Arc::new(Cache { storage, root, hidden: Some(Mutex::default()), damage: Mutex::default() })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Fails where a newer program has written the cache in a form that this one cannot read.
    pub fn check_format(&self) -> Result<(), Error> {
        let (path, words, version) = FORMAT;
        let text = self.find(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let found = text.as_deref().and_then(|text| text.trim().strip_prefix(words)?.parse::<u32>().ok());
        match found {
            Some(found) if found > version => Err(Error::NotFound(format!(
                "the cache `{}` has format {found}, and this program reads up to {version}: use the newer affectflow that wrote it, or another folder (`--state DIR`)",
                self.root.display()
            ))),
            None if text.is_some() => {
                self.damaged(path, "it does not name a format");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes down the form in which this program writes the cache, where that is not known yet.
    pub fn mark_format(&self) -> Result<(), Error> {
        let (path, words, version) = FORMAT;
        match self.size(path)? {
            Some(_) => Ok(()),
            None => self.put(path, &[format!("{words}{version}\n").as_bytes()]).map(drop),
        }
    }

    /// A whole file.
    pub fn read(&self, path: &str) -> Result<Bytes, Error> {
        self.storage.read(path).map_err(Error::io("read", self.root.join(path)))
    }

    /// A whole file; `None` where there is none.
    pub fn find(&self, path: &str) -> Result<Option<Bytes>, Error> {
        match self.storage.read(path) {
            _ if self.hides(path) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(Error::io("read", self.root.join(path))),
        }
    }

    /// Size of a file in bytes; `None` where there is none.
    pub fn size(&self, path: &str) -> Result<Option<u64>, Error> {
        if self.hides(path) {
            return Ok(None);
        }
        self.storage.size(path).map_err(Error::io("read", self.root.join(path)))
    }

    /// What lies in a folder.
    pub fn list(&self, folder: &str) -> Result<Vec<Item>, Error> {
        let mut items = self.storage.list(folder).map_err(Error::io("list", self.root.join(folder)))?;
        if self.hidden.is_some() {
            items.retain(|item| !self.hides(&format!("{folder}/{}", item.name)));
        }
        Ok(items)
    }

    /// Puts a file in place if absent, durably.
    pub fn put(&self, path: &str, parts: &[&[u8]]) -> Result<bool, Error> {
        if self.hidden.is_some() {
            return Ok(false);
        }
        self.storage.put(path, parts).map_err(Error::io("write", self.root.join(path)))
    }

    /// Writes a file that may change later, whole at any moment.
    pub fn replace(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        if self.hidden.is_some() {
            return Ok(());
        }
        self.storage.replace(path, bytes).map_err(Error::io("write", self.root.join(path)))
    }

    /// Removes a file; fine where there is none.
    pub fn remove(&self, path: &str) -> Result<(), Error> {
        if self.hidden.is_some() {
            return Ok(());
        }
        self.storage.remove(path).map_err(Error::io("remove", self.root.join(path)))
    }

    /// Makes it durable that files were removed from a folder.
    pub fn settle(&self, folder: &str) -> Result<(), Error> {
        if self.hidden.is_some() {
            return Ok(());
        }
        self.storage.settle(folder).map_err(Error::io("write", self.root.join(folder)))
    }

    /// Removes what writers that died at least so long ago have left in a folder, and the folder itself where nothing lies
    /// in it. Returns the bytes freed, one number a file.
    pub fn sweep(&self, folder: &str, age: Duration) -> Result<Vec<u64>, Error> {
        if self.hidden.is_some() {
            return Ok(Vec::new());
        }
        self.storage.sweep(folder, age).map_err(Error::io("remove", self.root.join(folder)))
    }

    /// Stores an artifact; its name is its digest.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let digest = Digest::of(bytes);
        let path = blob_path(digest);
        // One that was there may be damaged; it is looked at, so that what is stored counts.
        if !self.put(&path, &[bytes])? && self.blob(digest)?.is_none() {
            self.put(&path, &[bytes])?;
        }
        Ok(digest)
    }

    /// Reads an artifact and checks it. `None` where it is gone or was damaged (and is now aside).
    pub fn blob(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        let path = blob_path(digest);
        match self.find(&path)? {
            Some(bytes) if Digest::of(&bytes) != digest => {
                self.damaged(&path, "its content does not match its digest");
                Ok(None)
            }
            found => Ok(found),
        }
    }

    /// Where an artifact lies, relative to the cache.
    pub fn blob_path(&self, digest: Digest) -> String {
        blob_path(digest)
    }

    /// Whether a file of that path was moved aside.
    pub fn is_aside(&self, path: &str) -> Result<bool, Error> {
        let name = format!("-{}", path.replace('/', "_"));
        Ok(self.list("aside")?.iter().any(|item| item.name.ends_with(&name)))
    }

    /// Whether a file of that folder was found damaged: it was moved aside, or a look has met it now.
    pub fn harmed(&self, folder: &str) -> Result<bool, Error> {
        let path = format!("{folder}/");
        let hidden = self.hidden.as_ref().map(|hidden| hidden.lock().unwrap_or_else(|p| p.into_inner()));
        let met = hidden.is_some_and(|hidden| hidden.iter().any(|hidden| hidden.starts_with(&path)));
        let name = format!("-{}", path.replace('/', "_"));
        Ok(met || self.list("aside")?.iter().any(|item| item.name.contains(&name)))
    }

    /// Moves a damaged file aside and remembers it; the error to return where its rows were wanted.
    pub fn damaged(&self, path: &str, what: &str) -> Error {
        let aside = match &self.hidden {
            None => self.storage.set_aside(path).ok(),
            Some(hidden) => {
                hidden.lock().unwrap_or_else(|p| p.into_inner()).insert(path.to_owned());
                None
            }
        };
        let damage = Damage { path: path.to_owned(), what: what.to_owned(), aside };
        self.damage.lock().unwrap_or_else(|p| p.into_inner()).push(damage);
        Error::Damaged { path: path.to_owned(), what: what.to_owned() }
    }

    fn hides(&self, path: &str) -> bool {
        let hidden = self.hidden.as_ref().map(|hidden| hidden.lock().unwrap_or_else(|p| p.into_inner()));
        hidden.is_some_and(|hidden| hidden.contains(path))
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

/// The time of such a name.
pub(crate) fn time(stamp: &str) -> Option<SystemTime> {
    let millis = u64::from_str_radix(stamp, 16).ok().filter(|_| stamp.len() == 12)?;
    Some(UNIX_EPOCH + Duration::from_millis(millis))
}

/// How long ago that was; nothing for a time to come.
pub(crate) fn age(stamp: &str) -> Option<Duration> {
    Some(SystemTime::now().duration_since(time(stamp)?).unwrap_or_default())
}
