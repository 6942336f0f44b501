//! What was computed, by which process, for which stage? A line a computation in one file, appended by all processes at once.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::text;

/// The file, and a fuse that sets a stop sign after so many computations.
pub struct Ledger {
    path: PathBuf,
    file: File,
    left: AtomicI64,
    stop: Mutex<Arc<AtomicBool>>,
}

/// One computation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Computed {
    /// The process.
    pub process: u32,
    /// The stage.
    pub stage: String,
    /// Everything that the result is a function of, digested.
    pub of: String,
    /// The row; empty for a table.
    pub id: String,
    /// Whether the row failed.
    pub failed: bool,
}

impl Ledger {
    /// The ledger in that file, which is created if need be.
    pub fn open(path: &Path) -> Arc<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        Arc::new(Ledger {
            path: path.to_owned(),
            file,
            left: AtomicI64::new(i64::MAX),
            stop: Mutex::default(),
        })
    }

    /// Notes a computation in one write.
    pub fn note(&self, stage: &str, of: &str, id: &str, failed: bool) {
        let line = format!("{}\t{stage}\t{}\t{id}\t{failed}\n", std::process::id(), text::name(of));
        (&self.file).write_all(line.as_bytes()).unwrap();
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.stop.lock().unwrap().store(true, Ordering::Relaxed);
        }
    }

    /// Sets the stop sign once so many computations more are noted.
    pub fn stop_after(&self, computations: i64, stop: Arc<AtomicBool>) {
        *self.stop.lock().unwrap() = stop;
        self.left.store(computations, Ordering::Relaxed);
    }

    /// All that was noted since the beginning, or since the last [`clear`](Self::clear).
    pub fn read(&self) -> Vec<Computed> {
        std::fs::read_to_string(&self.path).unwrap().lines().filter_map(parse).collect()
    }

    /// Forgets what was noted, and the fuse.
    pub fn clear(&self) {
        self.file.set_len(0).unwrap();
        self.left.store(i64::MAX, Ordering::Relaxed);
    }
}

/// A line; `None` where the writer was killed within it.
fn parse(line: &str) -> Option<Computed> {
    let mut words = line.split('\t').map(str::to_owned);
    let process = words.next()?.parse().ok()?;
    let (stage, of, id) = (words.next()?, words.next()?, words.next()?);
    Some(Computed { process, stage, of, id, failed: words.next()?.parse().ok()? })
}
