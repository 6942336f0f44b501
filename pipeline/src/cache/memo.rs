//! Has this file changed? Digests remembered by size, modification time and inode, so that an unchanged file is not read again.
//! Digests of rendered links (`synthetic:`) are remembered by their uri, which says everything about the bytes.

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

/// Stands where a file's size would, in the line of a link.
const LINK: &str = "link";

/// Digests of files by path and of links by uri. Local to a machine; losing it costs reading, never correctness.
#[derive(Default)]
pub struct FileMemo {
    path: Option<PathBuf>,
    known: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: HashMap<PathBuf, Known>,
    links: HashMap<String, Digest>,
    changed: bool,
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
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let files = text.lines().filter_map(parse).collect();
        let links = text.lines().filter_map(parse_link).collect();
        FileMemo { path: Some(path), known: Mutex::new(State { files, links, changed: false }) }
    }

    /// Digests in the order of the paths, and whether each file was read; unreadable files say why.
    pub fn digests(&self, paths: &[PathBuf]) -> Vec<Result<(Digest, bool), Error>> {
        paths.par_iter().with_min_len(64).map(|path| self.digest(path)).collect()
    }

    /// Digests of what the uris name, in their order, in parallel; `render` makes the bytes of those not known. A uri must
    /// name its bytes for good, the version of whatever renders them included.
    pub fn links<B, E>(
        &self,
        uris: &[String],
        render: impl Fn(&str) -> Result<B, E> + Sync,
    ) -> Vec<Result<Digest, E>>
    where
        B: AsRef<[u8]>,
        E: Send,
    {
        let digest = |uri: &String| {
            if let Some(known) = self.lock().links.get(uri).copied() {
                return Ok(known);
            }
            let digest = Digest::of(render(uri)?.as_ref());
            let mut guard = self.lock();
            guard.links.insert(uri.clone(), digest);
            guard.changed = true;
            Ok(digest)
        };
        uris.par_iter().map(digest).collect()
    }

    /// Digest of one file, and whether it was read.
    pub fn digest(&self, path: &Path) -> Result<(Digest, bool), Error> {
        let meta = std::fs::metadata(path).map_err(Error::io("read", path))?;
        if !meta.is_file() {
            return Err(Error::io("read", path)(std::io::Error::other("not a regular file")));
        }
        let (size, modified, inode) = (meta.len(), nanos(meta.modified().ok()), inode(&meta));
        let known = self.lock().files.get(path).copied();
        if let Some(known) = known
            && (known.size, known.modified, known.inode) == (size, modified, inode)
            && known.taken.saturating_sub(modified) > GRAIN
        {
            return Ok((known.digest, false));
        }
        let taken = nanos(Some(SystemTime::now()));
        let digest = Digest::of(&std::fs::read(path).map_err(Error::io("read", path))?);
        let mut guard = self.lock();
        guard.files.insert(path.to_owned(), Known { size, modified, inode, taken, digest });
        guard.changed = true;
        Ok((digest, true))
    }

    /// Writes the memo to its file if it has changed.
    pub fn save(&self) -> Result<(), Error> {
        let mut guard = self.lock();
        let Some(path) = self.path.as_ref().filter(|_| guard.changed) else { return Ok(()) };
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let mut out = tempfile::NamedTempFile::new_in(folder).map_err(Error::io("write", path))?;
        let mut text = String::new();
        for (file, known) in &guard.files {
            let Some(file) = file.to_str().filter(|file| !file.contains('\n')) else { continue };
            let Known { size, modified, inode, taken, digest } = known;
            text.push_str(&format!("{digest} {size} {modified} {inode} {taken} {file}\n"));
        }
        for (uri, digest) in guard.links.iter().filter(|(uri, _)| !uri.contains('\n')) {
            text.push_str(&format!("{digest} {LINK} {uri}\n"));
        }
        out.write_all(text.as_bytes()).map_err(Error::io("write", path))?;
        out.persist(path).map_err(|e| Error::io("write", path)(e.error))?;
        guard.changed = false;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
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

fn parse_link(line: &str) -> Option<(String, Digest)> {
    let (digest, uri) = line.split_once(' ')?;
    Some((uri.strip_prefix(LINK)?.strip_prefix(' ')?.to_owned(), Digest::parse(digest)?))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn links_and_files_known_to_an_earlier_run_are_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.bin");
        std::fs::write(&file, "bytes").unwrap();
        let old = SystemTime::now() - std::time::Duration::from_secs(60);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
        let uris = ["made:v1/1".to_owned(), "made:v1/2".to_owned()];
        let made = AtomicUsize::new(0);
        let ask = || {
            let memo = FileMemo::open(folder.path().join("memo"));
            let links = memo.links(&uris, |uri| {
                made.fetch_add(1, Ordering::Relaxed);
                Ok::<_, String>(uri.to_owned())
            });
            let read = memo.digest(&file).unwrap();
            memo.save().unwrap();
            (links, read)
        };
        let (links, read) = ask();
        assert_eq!(links, uris.each_ref().map(|uri| Ok(Digest::of(uri.as_bytes()))));
        assert_eq!(read, (Digest::of(b"bytes"), true));
        assert_eq!(ask(), (links, (read.0, false)));
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}
