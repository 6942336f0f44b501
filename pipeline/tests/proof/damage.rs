//! What can happen to a file? Bits, ends, the whole of it; and which files are there.

use std::fs;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// One way to damage a file.
#[derive(Clone)]
pub enum Damage {
    /// One bit is another, at this share of the length; the file is written in place.
    Flip(f64),
    /// Only this share of it is left.
    Half(f64),
    /// Its last byte is missing.
    Short,
    /// Nothing is left in it.
    Empty,
    /// It is gone.
    Delete,
    /// It holds what another file of the same sort holds.
    Swap(Vec<u8>),
    /// It holds something else.
    Foreign,
    /// A folder lies in its place.
    Folder,
}

impl std::fmt::Debug for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Damage::Flip(at) => write!(f, "flip at {at}"),
            Damage::Half(at) => write!(f, "truncate at {at}"),
            other => f.write_str(other.name()),
        }
    }
}

impl Damage {
    /// Every way, with bits in the beginning, the end and so many places between.
    pub fn all(random: &mut ChaCha8Rng, places: usize, other: Option<Vec<u8>>) -> Vec<Damage> {
        let between: Vec<f64> = (0..places).map(|_| random.random()).collect();
        let flips = [0.0, 0.02, 0.98, 1.0].into_iter().chain(between).map(Damage::Flip);
        let whole =
            [Damage::Half(0.5), Damage::Half(random.random()), Damage::Short, Damage::Empty, Damage::Delete];
        flips.chain(whole).chain([Damage::Foreign, Damage::Folder]).chain(other.map(Damage::Swap)).collect()
    }

    /// The ways that a file which is open, and perhaps mapped, can take: in place only bits, all else by another file.
    pub fn while_running(random: &mut ChaCha8Rng) -> Vec<Damage> {
        vec![
            Damage::Flip(random.random()),
            Damage::Flip(random.random()),
            Damage::Half(0.5),
            Damage::Empty,
            Damage::Delete,
            Damage::Foreign,
        ]
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Damage::Flip(_) => "flip",
            Damage::Half(_) => "truncate",
            Damage::Short => "short",
            Damage::Empty => "empty",
            Damage::Delete => "delete",
            Damage::Swap(_) => "swap",
            Damage::Foreign => "foreign",
            Damage::Folder => "folder",
        }
    }

    /// Does it. A file that is not there any more, or empty, takes no damage.
    pub fn apply(&self, file: &Path) {
        let Some(mut bytes) = fs::read(file).ok().filter(|bytes| !bytes.is_empty()) else { return };
        let length = bytes.len();
        let replace = |bytes: &[u8]| {
            let new = file.with_extension("new");
            fs::write(&new, bytes).unwrap();
            fs::rename(new, file).unwrap();
        };
        match self {
            Damage::Flip(at) => {
                let at = ((length as f64 * at) as usize).min(length - 1);
                bytes[at] ^= 1 << (at % 8);
                fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            }
            Damage::Half(at) => replace(&bytes[..(length as f64 * at) as usize]),
            Damage::Short => replace(&bytes[..length - 1]),
            Damage::Empty => replace(&[]),
            Damage::Delete => fs::remove_file(file).unwrap(),
            Damage::Swap(other) => replace(other),
            Damage::Folder => {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
                fs::write(file.join("inner"), "a file in it").unwrap();
            }
            Damage::Foreign => replace(b"these bytes come from somewhere else"),
        }
    }
}

/// The files below a folder, relative to it, in order.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = PathBuf::from(entry.file_name());
        match entry.path().is_dir() {
            true => found.extend(files(&entry.path()).into_iter().map(|file| name.join(file))),
            false => found.push(name),
        }
    }
    found.sort();
    found
}

/// A folder in memory where there is one: what a disk forgets is proved elsewhere.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        fs::create_dir_all(to.join(&file).parent().unwrap()).unwrap();
        fs::copy(from.join(&file), to.join(&file)).unwrap();
    }
}
