//! Which files are there, and as of when? Sizes, times and inodes of whatever a pipeline reads, to be compared with later ones.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use affectflow_pipeline::cache::memo::{Identity, identity};

/// Where to look.
#[derive(Default)]
pub struct Places {
    /// Files, and folders with all that is in them.
    pub named: BTreeSet<PathBuf>,
    /// Further files.
    pub read: Vec<PathBuf>,
    /// A folder of which the names alone count.
    pub beside: Option<PathBuf>,
    /// A folder that is passed over.
    pub skipped: PathBuf,
}

/// Stands for a file of which only that it is there counts.
const THERE: Identity = (0, 0, 0);

/// Files with their identities; `None` where there is none.
#[derive(Debug, Default, PartialEq)]
pub struct Snapshot(HashMap<PathBuf, Option<Identity>>);

impl Snapshot {
    /// What is there now. What cannot be read is not there.
    pub fn of(places: &Places) -> Self {
        let mut found = Snapshot::default();
        for path in &places.named {
            match fs::metadata(path) {
                Ok(meta) if meta.is_dir() => found.walk(path, &places.skipped, &mut Vec::new()),
                meta => drop(found.0.insert(path.clone(), meta.ok().map(|meta| identity(&meta)))),
            }
        }
        for path in &places.read {
            found.0.insert(path.clone(), fs::metadata(path).ok().map(|meta| identity(&meta)));
        }
        for entry in places.beside.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
            if !hidden(&entry) && entry.path() != places.skipped {
                found.0.entry(entry.path()).or_insert(Some(THERE));
            }
        }
        found
    }

    /// Adds files as they were when they were read, but for those in folders that are looked at anyhow; gives the files added.
    pub fn add(&mut self, places: &Places, read: Vec<(PathBuf, Option<Identity>)>) -> Vec<PathBuf> {
        let looked_at = |path: &Path| path.ancestors().any(|above| places.named.contains(above));
        let read: HashMap<_, _> = read.into_iter().filter(|(path, _)| !looked_at(path)).collect();
        let paths = read.keys().cloned().collect();
        self.0.extend(read);
        paths
    }

    /// Files that are new, changed or gone in a later snapshot, in order of name.
    pub fn changes(&self, later: &Snapshot) -> Vec<PathBuf> {
        let state = |of: &Snapshot, path: &PathBuf| of.0.get(path).copied().flatten();
        let all: BTreeSet<&PathBuf> = self.0.keys().chain(later.0.keys()).collect();
        all.into_iter().filter(|path| state(self, path) != state(later, path)).cloned().collect()
    }

    /// Files below a folder, hidden ones left out; `above` are the folders on the way, so that links cannot lead in circles.
    fn walk(&mut self, folder: &Path, skipped: &Path, above: &mut Vec<PathBuf>) {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let Ok(entries) = fs::read_dir(folder) else { return };
        if above.contains(&real) || folder == skipped {
            return;
        }
        above.push(real);
        for entry in entries.flatten().filter(|entry| !hidden(entry)) {
            let path = entry.path();
            let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            let meta = if link { fs::metadata(&path) } else { entry.metadata() };
            match meta {
                Ok(meta) if meta.is_dir() => self.walk(&path, skipped, above),
                meta => drop(self.0.insert(path, meta.ok().map(|meta| identity(&meta)))),
            }
        }
        above.pop();
    }
}

fn hidden(entry: &fs::DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_found_wherever_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("tree/deep")).unwrap();
        fs::create_dir_all(path("tree/state")).unwrap();
        for name in ["tree/a", "tree/deep/b", "single", "read", "tree/deep/gone"] {
            fs::write(path(name), "1").unwrap();
        }
        let places = Places {
            named: [path("tree"), path("single"), path("missing")].into(),
            read: vec![path("read")],
            beside: None,
            skipped: path("tree/state"),
        };
        let before = Snapshot::of(&places);
        assert_eq!(before, Snapshot::of(&places));
        for name in ["tree/deep/b", "read", "missing", "tree/new", "tree/.hidden", "tree/state/c", "other"] {
            fs::write(path(name), "changed").unwrap();
        }
        fs::remove_file(path("tree/deep/gone")).unwrap();
        let changed = before.changes(&Snapshot::of(&places));
        assert_eq!(changed, ["missing", "read", "tree/deep/b", "tree/deep/gone", "tree/new"].map(path));
    }

    #[cfg(unix)]
    #[test]
    fn links_in_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "1").unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("round")).unwrap();
        let places = Places { named: [folder.path().to_owned()].into(), ..Places::default() };
        assert_eq!(Snapshot::of(&places).0.len(), 1);
    }

    #[test]
    fn what_a_run_read_counts_as_it_was_then() {
        let folder = tempfile::tempdir().unwrap();
        let (file, tree) = (folder.path().join("a"), folder.path().join("tree"));
        fs::write(&file, "1").unwrap();
        let mut places = Places { named: [tree.clone()].into(), ..Places::default() };
        let mut before = Snapshot::of(&places);
        let then = identity(&fs::metadata(&file).unwrap());
        fs::write(&file, "longer").unwrap();
        places.read = before.add(&places, vec![(file.clone(), Some(then)), (tree.join("b"), None)]);
        assert_eq!(places.read, std::slice::from_ref(&file));
        assert_eq!(before.changes(&Snapshot::of(&places)), [file]);
    }
}
