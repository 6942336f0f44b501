//! A disk in memory that is as unkind as a real one may be: what was not synced can be gone, torn or out of order after a
//! power cut, any one operation can fail, and it can be full.

#![allow(dead_code, reason = "each test binary uses its own share")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use affectflow_pipeline::cache::file_system::FileSystem;
use affectflow_pipeline::cache::storage::Item;
use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The power goes at this operation: it and all later ones fail.
    PowerCut(usize),
    /// This operation alone fails.
    Error(usize),
    /// There is room for so many bytes.
    Full(usize),
}

/// A handle to the disk; clones see the same one.
#[derive(Clone)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

struct State {
    files: HashMap<u64, File>,
    folders: BTreeMap<PathBuf, Folder>,
    next: u64,
    operations: usize,
    fault: Fault,
}

#[derive(Clone)]
struct File {
    data: Vec<u8>,
    synced: bool,
}

#[derive(Default, Clone)]
struct Folder {
    names: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, PartialEq)]
enum Entry {
    File(u64),
    Folder,
}

impl SimulatedDisk {
    /// An empty disk.
    pub fn new() -> Self {
        let folders = [(PathBuf::from("/"), Folder::default())].into();
        let files = HashMap::new();
        SimulatedDisk(Arc::new(Mutex::new(State {
            files,
            folders,
            next: 0,
            operations: 0,
            fault: Fault::None,
        })))
    }

    /// Sets what goes wrong from here on, and counts operations from 0 again.
    pub fn set(&self, fault: Fault) {
        let mut state = self.lock();
        (state.fault, state.operations) = (fault, 0);
    }

    /// Operations since the fault was set.
    pub fn operations(&self) -> usize {
        self.lock().operations
    }

    /// What a machine finds after the power came back: whatever was not synced is there, gone or torn as the seed decides.
    pub fn after_power_cut(&self, seed: u64) {
        let mut state = self.lock();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for folder in state.folders.values_mut() {
            let names: BTreeSet<String> = folder.names.keys().chain(folder.durable.keys()).cloned().collect();
            for name in names {
                let (now, before) = (folder.names.get(&name).copied(), folder.durable.get(&name).copied());
                match if now == before || rng.random() { now } else { before } {
                    Some(entry) => folder.names.insert(name, entry),
                    None => folder.names.remove(&name),
                };
            }
            folder.durable = folder.names.clone();
        }
        let mut files: Vec<_> = state.files.iter_mut().collect();
        files.sort_by_key(|(number, _)| **number);
        for (_, file) in files.into_iter().filter(|(_, file)| !file.synced) {
            tear(&mut file.data, &mut rng);
            file.synced = true;
        }
        state.forget_unreachable();
        (state.fault, state.operations) = (Fault::None, 0);
    }

    /// Every file with its content.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let mut all = BTreeMap::new();
        for (path, folder) in &state.folders {
            for (name, entry) in &folder.names {
                if let Entry::File(number) = entry {
                    all.insert(path.join(name), state.files[number].data.clone());
                }
            }
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|p| p.into_inner())
    }

    fn begin(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        state.operations += 1;
        let number = state.operations;
        match state.fault {
            Fault::PowerCut(at) if number >= at => Err(io::Error::other("the power is gone")),
            Fault::Error(at) if number == at => Err(io::Error::other("the disk reports an error")),
            _ => Ok(state),
        }
    }
}

/// What may be left of bytes that were never synced: nothing, a beginning, or all with blocks that were not written.
fn tear(data: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    match rng.random_range(0..4) {
        0 => data.clear(),
        1 => data.truncate(rng.random_range(0..=data.len())),
        2 => data.chunks_mut(512).filter(|_| rng.random()).for_each(|block| block.fill(0)),
        _ => {}
    }
}

impl State {
    fn folder(&mut self, path: &Path) -> io::Result<&mut Folder> {
        self.folders.get_mut(path).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let folder = self.folders.get(parent(path)).ok_or(ErrorKind::NotFound)?;
        folder.names.get(&name(path)).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn file(&self, path: &Path) -> io::Result<u64> {
        match self.entry(path)? {
            Entry::File(number) => Ok(number),
            Entry::Folder => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn used(&self) -> usize {
        self.files.values().map(|file| file.data.len()).sum()
    }

    /// Folders that no name leads to are gone with all that is in them.
    fn forget_unreachable(&mut self) {
        let mut kept: BTreeMap<PathBuf, Folder> = BTreeMap::new();
        for (path, folder) in std::mem::take(&mut self.folders) {
            let above = kept.get(parent(&path));
            let named = above.is_some_and(|above| above.names.get(&name(&path)) == Some(&Entry::Folder));
            if path == Path::new("/") || named {
                kept.insert(path, folder);
            }
        }
        // A folder whose name survived without ever having been made is empty.
        let missing: Vec<PathBuf> = kept
            .iter()
            .flat_map(|(path, folder)| {
                folder.names.iter().map(move |(name, entry)| (path.join(name), *entry))
            })
            .filter(|(path, entry)| *entry == Entry::Folder && !kept.contains_key(path))
            .map(|(path, _)| path)
            .collect();
        missing.into_iter().for_each(|path| drop(kept.insert(path, Folder::default())));
        self.folders = kept;
    }
}

impl FileSystem for SimulatedDisk {
    fn read(&self, path: &Path) -> io::Result<Bytes> {
        let state = self.begin()?;
        Ok(state.files[&state.file(path)?].data.clone().into())
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        let state = self.begin()?;
        Ok(state.files[&state.file(path)?].data.len() as u64)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Item>> {
        let mut state = self.begin()?;
        let names = state.folder(folder)?.names.clone();
        let item = |(name, entry): (String, Entry)| {
            let (size, folder) = match entry {
                Entry::File(number) => (state.files[&number].data.len() as u64, false),
                Entry::Folder => (0, true),
            };
            Item { name, size, folder }
        };
        Ok(names.into_iter().map(item).collect())
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        let above = state.folder(parent(folder))?;
        if above.names.contains_key(&name(folder)) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        above.names.insert(name(folder), Entry::Folder);
        state.folders.insert(folder.to_owned(), Folder::default());
        Ok(())
    }

    fn create(&self, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
        let mut state = self.begin()?;
        if state.folder(parent(path))?.names.contains_key(&name(path)) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let mut data = parts.concat();
        let room = match state.fault {
            Fault::Full(bytes) => bytes.saturating_sub(state.used()),
            _ => usize::MAX,
        };
        let full = data.len() > room;
        data.truncate(room);
        state.next += 1;
        let number = state.next;
        state.files.insert(number, File { data, synced: false });
        state.folder(parent(path))?.names.insert(name(path), Entry::File(number));
        if full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        let number = state.file(path)?;
        state.files.entry(number).and_modify(|file| file.synced = true);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        let folder = state.folder(folder)?;
        folder.durable = folder.names.clone();
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        let number = state.file(from)?;
        let folder = state.folder(parent(to))?;
        if folder.names.contains_key(&name(to)) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        folder.names.insert(name(to), Entry::File(number));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        let number = state.file(from)?;
        state.folder(parent(to))?.names.insert(name(to), Entry::File(number));
        state.folder(parent(from))?.names.remove(&name(from));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        let number = state.file(path)?;
        state.folder(parent(path))?.names.remove(&name(path));
        let named = |folder: &Folder| folder.names.values().any(|entry| *entry == Entry::File(number));
        // The blocks of a file without a name are free; its content can still come back with a name that a power cut restores.
        if !state.folders.values().any(named) && matches!(state.fault, Fault::Full(_)) {
            state.files.entry(number).and_modify(|file| file.data.clear());
        }
        Ok(())
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.begin()?;
        if !state.folder(folder)?.names.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        state.folder(parent(folder))?.names.remove(&name(folder));
        state.folders.remove(folder);
        Ok(())
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
