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
pub(crate) mod seal;
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
use sidecar::Sidecar;
use storage::{Disk, Item, Storage};

/// Where the version of the cache is written, what stands before it, and which one this program writes.
const FORMAT: (&str, &str, u32) = ("format", "affectflow cache ", 1);
/// Digits of the digest behind it.
const FORMAT_DIGITS: usize = 12;
/// What is wrong where a folder has the name of a file.
const USURPED: &str = "a folder lies in its place";

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
        f.write_str(match &self.path {
            path if path.ends_with(".keys") => "; it is made again from its segment, if that is whole",
            path if path.starts_with("v1/lists/") => {
                "; the next run that lists the same rows writes it again"
            }
            path if path.starts_with("v1/rows/") || path.starts_with("v1/tables/") => {
                "; its rows are computed again"
            }
            _ => "; it is made again",
        })
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
        let (path, _, version) = FORMAT;
        let text = self.find(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        match text.as_deref().and_then(format_of) {
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
            None => self.put(path, &[format_line(&format!("{words}{version}")).as_bytes()]).map(drop),
        }
    }

    /// A whole file.
    pub fn read(&self, path: &str) -> Result<Bytes, Error> {
        match self.storage.read(path) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => Err(self.damaged(path, USURPED)),
            read => read.map_err(Error::io("read", self.root.join(path))),
        }
    }

    /// A whole file; `None` where there is none.
    pub fn find(&self, path: &str) -> Result<Option<Bytes>, Error> {
        match self.storage.read(path) {
            _ if self.hides(path) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                self.damaged(path, USURPED);
                Ok(None)
            }
            read => read.map(Some).map_err(Error::io("read", self.root.join(path))),
        }
    }

    /// Size of a file in bytes; `None` where there is none.
    pub fn size(&self, path: &str) -> Result<Option<u64>, Error> {
        if self.hides(path) {
            return Ok(None);
        }
        match self.storage.size(path) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                self.damaged(path, USURPED);
                Ok(None)
            }
            size => size.map_err(Error::io("read", self.root.join(path))),
        }
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
        match self.storage.remove(path) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                self.damaged(path, USURPED);
                Ok(())
            }
            removed => removed.map_err(Error::io("remove", self.root.join(path))),
        }
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

    /// Moves a damaged file aside and remembers it; the error to return where its rows were wanted. What another process has
    /// put in its place since stays.
    pub fn damaged(&self, path: &str, what: &str) -> Error {
        let aside = match &self.hidden {
            None if self.mended(path) => None,
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

    /// Whether there is a whole file of that name, which was found damaged a moment ago: somebody else has found it too, and
    /// put it again. A segment has a name that nobody uses again, and a table's record is damaged by what it names.
    fn mended(&self, path: &str) -> bool {
        let Ok(bytes) = self.storage.read(path) else { return false };
        let digest = || Digest::of(&bytes).to_string();
        match path.split('/').nth(1).unwrap_or(path) {
            "format" => std::str::from_utf8(&bytes).is_ok_and(|line| format_of(line).is_some()),
            "blobs" | "identities" | "checkpoints" => is_named(path, &digest()),
            "lists" => seal::whole(&bytes, stem(path)) == Some(true),
            "rows" if path.ends_with(".failed") => is_named(path, &digest()),
            "rows" if path.ends_with(".keys") => {
                let size = self.storage.size(&path.replace(".keys", ".parquet")).ok().flatten();
                let sidecar = Sidecar::open_any(bytes.clone(), &[]).and_then(|s| s.check_all().map(|()| s));
                is_named(path, &sidecar::name_of(&bytes))
                    && sidecar.is_ok_and(|s| Some(s.segment_size()) == size)
            }
            _ => false,
        }
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

/// The format that such a line names. Its digest keeps a damaged line from naming another one; in the beginning the first
/// format was written without.
fn format_of(line: &str) -> Option<u32> {
    let (_, words, _) = FORMAT;
    let stated = line.trim();
    let version = stated.strip_prefix(words)?.split(' ').next()?;
    let says = format!("{words}{version}");
    let whole = stated == format_line(&says).trim() || (version == "1" && stated == says);
    version.parse().ok().filter(|_| whole)
}

/// What is written of a format, whichever version it is.
fn format_line(says: &str) -> String {
    format!("{says} {}\n", &Digest::of(says.as_bytes()).to_string()[..FORMAT_DIGITS])
}

/// Whether a file bears a digest: as its whole name, or its beginning after the last `-`.
pub(crate) fn is_named(path: &str, digest: &str) -> bool {
    let stated = stem(path).rsplit('-').next().unwrap_or_default();
    stated.len() >= sidecar::NAME.min(digest.len()) && digest.starts_with(stated)
}

/// The name of a file without its folder and ending.
pub(crate) fn stem(path: &str) -> &str {
    path.rsplit('/').next().and_then(|name| name.split('.').next()).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_process_has_put_again_is_not_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (Cache::at(folder.path()), Cache::at(folder.path()));
        let digest = one.put_blob(b"weights").unwrap();
        let path = one.blob_path(digest);
        std::fs::write(folder.path().join(&path), "weighte").unwrap();
        // Both have read it; the one moves it and puts it again before the other comes to move it.
        assert!(one.blob(digest).unwrap().is_none());
        one.put_blob(b"weights").unwrap();
        two.damaged(&path, "its content does not match its digest");
        assert_eq!(two.blob(digest).unwrap().as_deref(), Some(&b"weights"[..]));
        let aside = |cache: &Cache| cache.take_damage().pop().unwrap().aside.is_some();
        assert_eq!([aside(&one), aside(&two)], [true, false]);
    }

    #[test]
    fn of_several_that_find_the_same_damage_one_moves_it_and_none_fails() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let digest = cache.put_blob(b"weights").unwrap();
        std::fs::write(folder.path().join(cache.blob_path(digest)), "weighte").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert!(cache.blob(digest).unwrap().is_none()));
            }
        });
        let moved = cache.take_damage().iter().filter(|damage| damage.aside.is_some()).count();
        assert_eq!((moved, cache.list("aside").unwrap().len()), (1, 1));
    }
}
