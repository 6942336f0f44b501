//! Where do the bytes lie? Behind this trait: a folder here; a simulated disk or an object store behind the same few verbs.
//!
//! Architecture invariant: files are written once, under a name that nothing else uses, and appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// A flat store of write-once files. Paths are relative, with `/`.
pub trait Storage: Send + Sync {
    /// The whole file; may be mapped rather than read.
    fn read(&self, path: &str) -> io::Result<Bytes>;

    /// Makes the file durable under its name if no file has that name yet. Returns whether it was put.
    fn put(&self, path: &str, parts: &[&[u8]]) -> io::Result<bool>;

    /// Names and sizes of the files and folders directly in a folder, sorted by name; none where the folder does not exist.
    fn list(&self, folder: &str) -> io::Result<Vec<Item>>;

    /// Whether a file of that name exists.
    fn exists(&self, path: &str) -> bool;

    /// Takes a file out of the store and keeps it under `aside/`; says where.
    fn set_aside(&self, path: &str) -> io::Result<String>;
}

/// An entry of [`Storage::list`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Name without the folder.
    pub name: String,
    /// Size in bytes; 0 for a folder.
    pub size: u64,
    /// Whether it is a folder.
    pub folder: bool,
}

/// A folder on a local or network disk.
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// A store in that folder, which is created at the first write.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Disk { root: root.into() }
    }

    fn sync_folder(folder: &Path) -> io::Result<()> {
        // Windows cannot open a folder as a file; its rename is durable with the file.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

/// Temporary files are private; what stays is as readable as any new file, so that people can share a cache.
fn shared<'a, 'b>(builder: &'a mut tempfile::Builder<'b, 'b>) -> &'a mut tempfile::Builder<'b, 'b> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666))
    }
    #[cfg(not(unix))]
    builder
}

impl Storage for Disk {
    fn read(&self, path: &str) -> io::Result<Bytes> {
        let file = File::open(self.root.join(path))?;
        if file.metadata()?.len() == 0 {
            return Ok(Bytes::new());
        }
        // SAFETY: stored files are never written again; one that is truncated by somebody else can fault, which the
        // contract leaves to the damage of the disk itself.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Bytes::from_owner(map))
    }

    fn put(&self, path: &str, parts: &[&[u8]]) -> io::Result<bool> {
        let target = self.root.join(path);
        let folder = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder)?;
        let mut temporary = shared(tempfile::Builder::new().prefix(".tmp-")).tempfile_in(folder)?;
        for part in parts {
            temporary.write_all(part)?;
        }
        temporary.as_file().sync_all()?;
        match temporary.persist_noclobber(&target) {
            Ok(_) => Self::sync_folder(folder).map(|()| true),
            Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(refused) => Err(refused.error),
        }
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Item>> {
        let entries = match fs::read_dir(self.root.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut items = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".tmp-") {
                continue;
            }
            let meta = entry.metadata()?;
            items.push(Item {
                name,
                size: if meta.is_dir() { 0 } else { meta.len() },
                folder: meta.is_dir(),
            });
        }
        items.sort();
        Ok(items)
    }

    fn exists(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    fn set_aside(&self, path: &str) -> io::Result<String> {
        let name = format!("aside/{}-{}", super::stamp(), path.replace('/', "_"));
        let target = self.root.join(&name);
        fs::create_dir_all(self.root.join("aside"))?;
        fs::rename(self.root.join(path), target)?;
        Ok(name)
    }
}
