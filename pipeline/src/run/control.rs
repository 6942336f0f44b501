//! Who may go on, and who computes? The stop sign that all threads of a run look at, and the one compute permit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::error::Error;

/// Shared by all threads of a run.
pub struct Control {
    interrupt: Arc<AtomicBool>,
    failed: AtomicBool,
    permit: Mutex<Permit>,
    freed: Condvar,
    computing: Mutex<BTreeMap<usize, Duration>>,
}

#[derive(Default)]
struct Permit {
    taken: bool,
    waiting: BTreeSet<usize>,
}

/// Held while computing.
pub struct Permission<'a> {
    control: &'a Control,
    rank: usize,
    since: Instant,
}

impl Control {
    /// For a run that stops when `interrupt` is set.
    pub fn new(interrupt: Arc<AtomicBool>) -> Self {
        Control {
            interrupt,
            failed: AtomicBool::new(false),
            permit: Mutex::default(),
            freed: Condvar::new(),
            computing: Mutex::default(),
        }
    }

    /// Fails once the user has asked to stop or another stage has failed.
    pub fn check(&self) -> Result<(), Error> {
        match self.interrupt.load(Ordering::Relaxed) || self.failed.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted),
            false => Ok(()),
        }
    }

    /// Waits so long, unless the run stops before.
    pub fn wait(&self, time: Duration) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            self.check()?;
            let left = time.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(20)));
        }
    }

    /// Tells every thread that one has failed.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Seconds for which a stage has held the permit.
    pub fn computing(&self, rank: usize) -> f64 {
        let computing = self.computing.lock().unwrap_or_else(|p| p.into_inner());
        computing.get(&rank).copied().unwrap_or_default().as_secs_f64()
    }

    /// Waits for the permit; of those that wait, the most downstream stage gets it, so that rows leave memory soonest and
    /// candle's and rayon's threads work on one thing.
    pub fn permission(&self, rank: usize) -> Result<Permission<'_>, Error> {
        let mut permit = self.permit.lock().unwrap_or_else(|p| p.into_inner());
        permit.waiting.insert(rank);
        loop {
            if let Err(stop) = self.check() {
                permit.waiting.remove(&rank);
                return Err(stop);
            }
            if !permit.taken && permit.waiting.last() == Some(&rank) {
                permit.waiting.remove(&rank);
                permit.taken = true;
                return Ok(Permission { control: self, rank, since: Instant::now() });
            }
            permit = self
                .freed
                .wait_timeout(permit, Duration::from_millis(20))
                .unwrap_or_else(|p| p.into_inner())
                .0;
        }
    }
}

impl Drop for Permission<'_> {
    fn drop(&mut self) {
        let mut computing = self.control.computing.lock().unwrap_or_else(|p| p.into_inner());
        *computing.entry(self.rank).or_default() += self.since.elapsed();
        drop(computing);
        self.control.permit.lock().unwrap_or_else(|p| p.into_inner()).taken = false;
        self.control.freed.notify_all();
    }
}
