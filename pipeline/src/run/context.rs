//! What does the engine offer to a stage at work? Artifacts from upstream, digests of files, checkpoints, progress, the stop
//! sign.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::checkpoint::Checkpoints;
use crate::cache::memo::FileMemo;
use crate::digest::Digest;
use crate::error::{Error, StageError, StageResult};
use crate::event::{Event, Observer, Silent};

/// Where networks compute. Its class is part of every identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA card by number.
    Cuda(usize),
    /// An Apple GPU.
    Metal,
}

impl Device {
    /// Reads `cpu`, `cuda`, `cuda:1`, `metal`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "cpu" => Some(Device::Cpu),
            None if text == "cuda" => Some(Device::Cuda(0)),
            None if text == "metal" => Some(Device::Metal),
            Some(("cuda", number)) => number.parse().ok().map(Device::Cuda),
            _ => None,
        }
    }

    /// The class that enters identities: `cpu`, `cuda`, `metal`.
    pub fn class(self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
            Device::Metal => "metal",
        }
    }
}

/// What a stage at work may ask of the engine.
#[derive(Clone)]
pub struct Context {
    pub(crate) stage: String,
    pub(crate) device: Device,
    pub(crate) artifacts: BTreeMap<String, Bytes>,
    pub(crate) interrupt: Arc<AtomicBool>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) files: Arc<FileMemo>,
    /// When the work should have ended, and how long it may take.
    pub(crate) deadline: Option<(Instant, Duration)>,
    /// Where to write what stays outside the cache, in place of the machine's own folders.
    pub(crate) outside: Option<PathBuf>,
    /// How long one call of a map, or a table, may take.
    pub(crate) limit: Option<Duration>,
    pub(crate) checkpoints: Arc<Checkpoints>,
}

impl Context {
    /// A context outside any run, for tests of a stage.
    pub fn detached(artifacts: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        Context {
            stage: "test".into(),
            device: Device::Cpu,
            artifacts: artifacts.into_iter().collect(),
            interrupt: Arc::default(),
            observer: Arc::new(Silent),
            files: Arc::new(FileMemo::default()),
            deadline: None,
            limit: None,
            outside: None,
            checkpoints: Arc::default(),
        }
    }

    /// The same, telling an observer what happens.
    pub fn observed(self, observer: Arc<dyn Observer>) -> Self {
        Context { observer, ..self }
    }

    /// The same, stopping once the sign is set.
    pub fn stopped_by(self, interrupt: Arc<AtomicBool>) -> Self {
        Context { interrupt, ..self }
    }

    /// The same, for work that may take so long from now on.
    pub(crate) fn limited(self, limit: Duration) -> Self {
        Context { deadline: Instant::now().checked_add(limit).map(|end| (end, limit)), ..self }
    }

    /// The same, with checkpoints kept there.
    pub fn checkpointed(self, checkpoints: Arc<Checkpoints>) -> Self {
        Context { checkpoints, ..self }
    }

    /// The device to compute on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Where a stage really writes a file that it leaves outside the cache: there, or, in a test, in a folder that goes with it.
    pub fn outside(&self, path: &Path) -> PathBuf {
        let below = path.components().filter(|part| matches!(part, Component::Normal(_)));
        match &self.outside {
            Some(folder) => folder.join(below.collect::<PathBuf>()),
            None => path.to_owned(),
        }
    }

    /// How long one call of a map, or a table, may take: its `time_limit`. The engine leaves work behind that exceeds it; work
    /// that something outside does for it has to be ended by whoever asked for it.
    pub fn time_limit(&self) -> Option<Duration> {
        self.limit
    }

    /// The same, for calls that may take so long.
    pub fn time_limited(self, limit: Option<Duration>) -> Self {
        Context { limit, ..self }
    }

    /// An artifact named in [`Planned::needs`](crate::Planned::needs).
    pub fn artifact(&self, name: &str) -> StageResult<Bytes> {
        self.artifacts
            .get(name)
            .cloned()
            .ok_or_else(|| StageError::new(format!("no artifact `{name}` reached this stage")))
    }

    /// Fails once the user has asked to stop, or the `time_limit` of a table has passed. Call it at every epoch, or several
    /// times a second.
    pub fn check(&self) -> StageResult<()> {
        match self.deadline {
            _ if self.interrupt.load(Ordering::Relaxed) => Err(StageError::interrupted()),
            Some((end, limit)) if Instant::now() >= end => Err(StageError::late(limit)),
            _ => Ok(()),
        }
    }

    /// Step and content of the newest checkpoint of this very work, left by a run that was stopped.
    pub fn checkpoint(&self) -> Option<(u64, Bytes)> {
        self.checkpoints.newest(|error| self.warn(format!("a checkpoint is passed over: {error}")))
    }

    /// Whether a checkpoint is worth its time now: seconds have passed since the last one, or the user has asked to stop.
    pub fn checkpoint_due(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed) || self.checkpoints.due()
    }

    /// Keeps the whole state of the work after so many steps. Where that fails (a full disk), it is told once and the work
    /// goes on.
    pub fn save_checkpoint(&self, step: u64, state: &[u8]) {
        if let Err(error) = self.checkpoints.save(step, state)
            && self.checkpoints.first_complaint()
        {
            self.warn(format!("a checkpoint could not be saved, the work goes on: {error}"));
        }
    }

    /// Removes the checkpoints of this work, which turned out to be of no use to it.
    pub fn forget_checkpoints(&self) {
        if let Err(error) = self.checkpoints.clear() {
            self.warn(format!("old checkpoints stay: {error}"));
        }
    }

    /// Says how far the work is, in `unit`s such as `epochs`.
    pub fn progress(&self, done: u64, total: Option<u64>, unit: &str, note: &str) {
        self.observer.event(&Event::Progress {
            stage: self.stage.clone(),
            done,
            total,
            unit: unit.to_owned(),
            note: note.to_owned(),
        });
    }

    /// Records a number by step.
    pub fn metric(&self, name: &str, value: f64, step: Option<u64>) {
        self.observer.event(&Event::Metric { stage: self.stage.clone(), name: name.to_owned(), value, step });
    }

    /// Says something that stops nothing.
    pub fn warn(&self, message: impl Into<String>) {
        self.observer.event(&Event::Warning { stage: Some(self.stage.clone()), message: message.into() });
    }

    /// Digests of files, in parallel; a file unchanged since an earlier run (size, mtime, inode) is not read again.
    /// The second value says whether it was read.
    pub fn digest_files(&self, paths: &[PathBuf]) -> Vec<Result<(Digest, bool), Error>> {
        self.files.digests(paths)
    }

    /// Digests of what the uris name, in parallel; `render` makes the bytes of those that no earlier run has seen. A uri must
    /// name its bytes for good, the version of whatever renders them included.
    pub fn digest_of<B, E>(
        &self,
        uris: &[String],
        render: impl Fn(&str) -> Result<B, E> + Sync,
    ) -> Vec<Result<Digest, E>>
    where
        B: AsRef<[u8]>,
        E: Send,
    {
        self.files.links(uris, render)
    }
}
