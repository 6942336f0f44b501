//! Who may run? A plugin that the user has approved, as it was then: what it said of itself is kept under the digests of its
//! files, so that an edit, a pull or another branch is asked about again.
//!
//! ```text
//! $AFFECTFLOW_HOME, or $XDG_DATA_HOME/affectflow, or ~/.local/share/affectflow
//! └── plugins/
//!     └── <digest of where it comes from>.json    the last versions that were approved, newest first
//! ```
//!
//! It lies outside any project, so that none can bring its own approval along.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use affectflow_pipeline::Digest;
use affectflow_plugin::Manifest;
use serde::{Deserialize, Serialize};

/// Versions of one plugin that stay approved.
const VERSIONS: usize = 16;

/// A plugin as it was approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Approved {
    /// Where it comes from: a path, or a command and its folder.
    pub from: String,
    /// Its own files, with the digests that they had.
    pub files: Vec<Seen>,
    /// Published packages that it uses.
    #[serde(default)]
    pub packages: BTreeMap<String, String>,
    /// What it brings.
    pub kinds: Vec<Manifest>,
}

/// A file as it was approved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The same on every machine.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What was in it.
    pub digest: String,
}

impl Seen {
    /// A file as it is now.
    pub fn now(name: &str, path: &Path) -> std::io::Result<Self> {
        let digest = Digest::of(&fs::read(path)?).to_string();
        Ok(Seen { name: name.to_owned(), path: path.to_owned(), digest })
    }

    /// Whether another file is this one: in the same place, with the same bytes.
    pub fn is_at(&self, other: &Seen) -> bool {
        (&self.path, &self.digest) == (&other.path, &other.digest)
    }

    /// Whether it is as it was.
    pub fn is_same(&self) -> bool {
        Seen::now(&self.name, &self.path).is_ok_and(|now| now == *self)
    }
}

/// Where approvals are kept.
#[derive(Debug, Clone)]
pub struct Home(Option<PathBuf>);

impl Home {
    /// That of the user: `AFFECTFLOW_HOME`, or the system's folder for data of programs.
    pub fn of_user() -> Self {
        // A relative one would lie in whatever folder the program is run in, and so in a project.
        let variable =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data =
            || variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
        let home = variable("AFFECTFLOW_HOME").or_else(|| data().map(|data| data.join("affectflow")));
        Home(home)
    }

    /// A folder.
    pub fn at(folder: &Path) -> Self {
        Home(std::path::absolute(folder).ok())
    }

    /// What is approved of a plugin from there, newest first.
    pub fn approved(&self, from: &str) -> Vec<Approved> {
        let read = self.file(from).and_then(|file| fs::read(file).ok());
        let all: Option<Vec<Approved>> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        all.unwrap_or_default().into_iter().filter(|one| one.from == from).collect()
    }

    /// Approves a plugin as it is.
    pub fn approve(&self, plugin: Approved) -> std::io::Result<()> {
        let mut all = self.approved(&plugin.from);
        all.retain(|one| one.files != plugin.files);
        let none = || {
            std::io::Error::other(
                "there is no home folder; name one with `AFFECTFLOW_HOME`, as an absolute path",
            )
        };
        let file = self.file(&plugin.from).ok_or_else(none)?;
        all.insert(0, plugin);
        all.truncate(VERSIONS);
        let folder = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
        fresh.write_all(&serde_json::to_vec_pretty(&all)?)?;
        fresh.persist(file).map(drop).map_err(|error| error.error)
    }

    fn file(&self, from: &str) -> Option<PathBuf> {
        let name = format!("{}.json", Digest::of(from.as_bytes()));
        Some(self.0.as_ref()?.join("plugins").join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_holds_for_the_files_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let (home, script) = (Home::at(folder.path()), folder.path().join("mine.py"));
        let approve = |text: &str| {
            fs::write(&script, text).unwrap();
            let files = vec![Seen::now("mine.py", &script).unwrap()];
            let plugin =
                Approved { from: "mine".into(), files, packages: BTreeMap::new(), kinds: Vec::new() };
            home.approve(plugin).unwrap();
        };
        approve("one");
        approve("two");
        approve("two");
        let holds = || home.approved("mine").iter().filter(|one| one.files[0].is_same()).count();
        assert_eq!((home.approved("mine").len(), holds()), (2, 1));
        fs::write(&script, "three").unwrap();
        assert_eq!(holds(), 0);
        fs::write(&script, "one").unwrap();
        assert_eq!((holds(), home.approved("other").len()), (1, 0));
        fs::remove_file(&script).unwrap();
        assert_eq!(holds(), 0);
    }
}
