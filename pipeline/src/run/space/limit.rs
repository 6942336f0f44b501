//! How is `cache: {max_size}` held while a run is at work? By listening: whatever becomes durable is added up, and once it is
//! too much, the least recently used results go, never those of live runs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::super::State;
use super::super::record::Record;
use super::gc::{Policy, Removed, collect};
use super::inventory::inventory;
use super::uses::newest;
use crate::cache::Cache;
use crate::cache::live::Live;
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::plan::Plan;
use crate::units::bytes;

/// Holds the size of the cache, and passes every event on.
pub struct Limit {
    cache: Arc<Cache>,
    live: Arc<Live>,
    runs: PathBuf,
    max: u64,
    inner: Arc<dyn Observer>,
    stored: AtomicU64,
    /// One at a time removes.
    removing: Mutex<()>,
    /// Nothing more can be removed, and that has been told.
    beyond: AtomicBool,
}

impl Limit {
    /// Listens beside the observer where the pipeline has a limit. What its newest finished runs used will be used again.
    pub fn hold(
        plan: &Plan,
        state: &State,
        live: &Arc<Live>,
        inner: Arc<dyn Observer>,
    ) -> Result<Arc<dyn Observer>, Error> {
        let Some(max) = plan.max_size else { return Ok(inner) };
        let records = Record::all(&state.runs);
        let before = newest(&records).into_iter().map(|at| &records[at]);
        let stages = before.filter(|record| record.name == plan.pipeline).flat_map(|r| r.stages.values());
        let folders = stages.filter_map(|stage| stage["entries"].as_str()?.rsplit('/').next());
        folders.for_each(|folder| live.uses(folder));
        let live = live.clone();
        let stored = inventory(&state.cache)?.iter().map(|unit| unit.bytes).sum::<u64>().into();
        let (cache, runs) = (state.cache.clone(), state.runs.clone());
        Ok(Arc::new(Limit {
            cache,
            live,
            runs,
            max,
            inner,
            stored,
            removing: Mutex::new(()),
            beyond: AtomicBool::new(false),
        }))
    }

    fn check(&self) {
        let over = || self.stored.load(Ordering::Relaxed) > self.max && !self.beyond.load(Ordering::Relaxed);
        let _removing = self.removing.lock().unwrap_or_else(|p| p.into_inner());
        if !over() {
            return;
        }
        self.live.say();
        let policy = Policy { older_than: None, max_size: Some(self.max), dry_run: false };
        let message = match collect(&self.cache, &self.runs, &policy) {
            Ok(removed) => {
                self.stored.store(removed.left, Ordering::Relaxed);
                if !removed.gone.is_empty() {
                    self.inner.event(&Event::Warning { stage: None, message: went(self.max, &removed) });
                }
                (removed.left > self.max).then(|| beyond(self.max, removed.left, removed.pinned))
            }
            Err(error) => Some(format!("the limit `max_size` of the cache cannot be held: {error}")),
        };
        if let Some(message) = message {
            self.beyond.store(true, Ordering::Relaxed);
            self.inner.event(&Event::Warning { stage: None, message });
        }
    }
}

fn went(max: u64, removed: &Removed) -> String {
    let size = removed.gone.iter().map(|gone| gone.bytes).sum();
    let seconds: f64 = removed.gone.iter().filter_map(|gone| gone.seconds).sum();
    format!(
        "removed {} of {} results to hold the cache at {} (`max_size`); computing them again would take about {seconds:.0} s",
        bytes(size),
        removed.gone.len(),
        bytes(max)
    )
}

fn beyond(max: u64, left: u64, pinned: u64) -> String {
    format!(
        "the cache holds {} and may hold {} (`max_size`): this run, with others at work, needs {} of it, and nothing else can go",
        bytes(left),
        bytes(max),
        bytes(pinned)
    )
}

impl Observer for Limit {
    fn event(&self, event: &Event) {
        self.inner.event(event);
        match event {
            Event::RowsCommitted { bytes, .. } => {
                self.stored.fetch_add(*bytes, Ordering::Relaxed);
            }
            // Its artifacts and lists are stored by now, and what its stages use is known.
            Event::StageFinished { .. } => {}
            _ => return,
        }
        if self.stored.load(Ordering::Relaxed) > self.max {
            self.check();
        }
    }
}
