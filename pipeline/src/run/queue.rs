//! How do batches pass from one stage to the next? A queue bounded in bytes that every reader sees whole and in order.
//!
//! The bound yields while some reader has nothing to read: in a diamond (A feeds B and C, D reads all of B and then C) a
//! strict bound would block A on C's share while D starves on B's.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::control::Control;
use crate::batch::Batch;
use crate::error::Error;

const LIMIT: usize = 8 << 20;
/// How often a blocked thread looks at the stop sign.
pub const GLANCE: Duration = Duration::from_millis(20);

/// One stage's output.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    items: VecDeque<Batch>,
    /// Number of the item at the front since the beginning.
    front: u64,
    bytes: usize,
    closed: bool,
    readers: Vec<Reader>,
}

#[derive(Clone, Copy, Default)]
struct Reader {
    next: u64,
    starving: bool,
}

impl Queue {
    /// A queue for that many readers.
    pub fn new(readers: usize) -> Self {
        let readers = vec![Reader::default(); readers];
        let state = State { items: VecDeque::new(), front: 0, bytes: 0, closed: false, readers };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Adds a batch, waiting while the queue is full.
    pub fn push(&self, batch: Batch, control: &Control) -> Result<(), Error> {
        let mut state = self.lock();
        if state.readers.is_empty() || batch.is_empty() {
            return control.check();
        }
        while state.bytes >= LIMIT && !state.readers.iter().any(|r| r.starving) {
            control.check()?;
            state = self.wait(state);
        }
        state.bytes += batch.weight();
        state.items.push_back(batch);
        self.changed.notify_all();
        Ok(())
    }

    /// No more batches will come.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// The next batch for a reader; `None` at the end.
    pub fn pop(&self, reader: usize, control: &Control) -> Result<Option<Batch>, Error> {
        let mut state = self.lock();
        loop {
            control.check()?;
            let at = (state.readers[reader].next - state.front) as usize;
            if let Some(batch) = state.items.get(at).cloned() {
                state.readers[reader].next += 1;
                state.readers[reader].starving = false;
                state.forget();
                self.changed.notify_all();
                return Ok(Some(batch));
            }
            if state.closed {
                return Ok(None);
            }
            if !state.readers[reader].starving {
                state.readers[reader].starving = true;
                self.changed.notify_all();
            }
            state = self.wait(state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|p| p.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, GLANCE).unwrap_or_else(|p| p.into_inner()).0
    }
}

impl State {
    /// Drops what every reader has seen.
    fn forget(&mut self) {
        let seen = self.readers.iter().map(|r| r.next).min().unwrap_or(u64::MAX);
        while self.front < seen
            && let Some(batch) = self.items.pop_front()
        {
            self.bytes = self.bytes.saturating_sub(batch.weight());
            self.front += 1;
        }
    }
}
