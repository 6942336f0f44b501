//! Has this file changed? Digests remembered by size, modification time and inode, so that an unchanged file is not read again.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use rayon::prelude::*;

use crate::digest::Digest;
use crate::error::Error;

/// A file modified less than this before it was digested may change again within the clock's grain: it is read again.
const GRAIN: u128 = 2_000_000_000;

/// Digests of files by path. Local to a machine; losing it costs reading, never correctness.
#[derive(Default)]
pub struct FileMemo {
    path: Option<PathBuf>,
    known: Mutex<(HashMap<PathBuf, Known>, bool)>,
}

#[derive(Clone, Copy, PartialEq)]
struct Known {
    size: u64,
    modified: u128,
    inode: u64,
    taken: u128,
    digest: Digest,
}

impl FileMemo {
    /// The memo kept in that file; a memo that cannot be read is an empty one.
    pub fn open(path: PathBuf) -> Self {
        let known = std::fs::read_to_string(&path)
            .map(|text| text.lines().filter_map(parse).collect())
            .unwrap_or_default();
        FileMemo { path: Some(path), known: Mutex::new((known, false)) }
    }

    /// Digests in the order of the paths, and whether each file was read; unreadable files say why.
    pub fn digests(&self, paths: &[PathBuf]) -> Vec<Result<(Digest, bool), Error>> {
        paths.par_iter().with_min_len(64).map(|path| self.digest(path)).collect()
    }

    /// Digest of one file, and whether it was read.
    pub fn digest(&self, path: &Path) -> Result<(Digest, bool), Error> {
        let meta = std::fs::metadata(path).map_err(Error::io("read", path))?;
        let (size, modified, inode) = (meta.len(), nanos(meta.modified().ok()), inode(&meta));
        let known = self.lock().0.get(path).copied();
        if let Some(known) = known
            && (known.size, known.modified, known.inode) == (size, modified, inode)
            && known.taken.saturating_sub(modified) > GRAIN
        {
            return Ok((known.digest, false));
        }
        let taken = nanos(Some(SystemTime::now()));
        let digest = Digest::of(&std::fs::read(path).map_err(Error::io("read", path))?);
        let mut guard = self.lock();
        guard.0.insert(path.to_owned(), Known { size, modified, inode, taken, digest });
        guard.1 = true;
        Ok((digest, true))
    }

    /// Writes the memo to its file if it has changed.
    pub fn save(&self) -> Result<(), Error> {
        let mut guard = self.lock();
        let Some(path) = self.path.as_ref().filter(|_| guard.1) else { return Ok(()) };
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let mut out = tempfile::NamedTempFile::new_in(folder).map_err(Error::io("write", path))?;
        let mut text = String::new();
        for (file, known) in &guard.0 {
            let Some(file) = file.to_str().filter(|file| !file.contains('\n')) else { continue };
            let Known { size, modified, inode, taken, digest } = known;
            text.push_str(&format!("{digest} {size} {modified} {inode} {taken} {file}\n"));
        }
        out.write_all(text.as_bytes()).map_err(Error::io("write", path))?;
        out.persist(path).map_err(|e| Error::io("write", path)(e.error))?;
        guard.1 = false;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (HashMap<PathBuf, Known>, bool)> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn parse(line: &str) -> Option<(PathBuf, Known)> {
    let mut words = line.splitn(6, ' ');
    let digest = Digest::parse(words.next()?)?;
    let size = words.next()?.parse().ok()?;
    let modified = words.next()?.parse().ok()?;
    let inode = words.next()?.parse().ok()?;
    let taken = words.next()?.parse().ok()?;
    Some((PathBuf::from(words.next()?), Known { size, modified, inode, taken, digest }))
}

fn nanos(time: Option<SystemTime>) -> u128 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos())
}

#[cfg(unix)]
fn inode(meta: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(meta)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}
