//! How is work of a stage held in bounds? A panic is a failure like any other; a time limit leaves behind what exceeds it.

use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use super::control::Control;
use crate::cache::unharmed::quietly;
use crate::error::{Error, StageError, StageResult};

/// Time between two looks at the stop sign.
const LOOK: Duration = Duration::from_millis(20);
/// Time in which work may end by itself that looks at its context, once it should.
pub const GRACE: Duration = Duration::from_secs(5);

/// Runs work of a stage; a panic in it becomes an error.
pub fn guarded<T>(work: impl FnOnce() -> StageResult<T>) -> StageResult<T> {
    quietly(work).unwrap_or_else(|panic| Err(StageError::panicked(panic)))
}

/// Runs work on a thread of its own and waits at most so long, or until the stop sign, and then a grace in which it may end
/// by itself. A thread cannot be ended from outside: work that goes on is left behind with all that it owns, and nobody
/// hears of its result.
pub fn within<T: Send + 'static>(
    limit: Duration,
    grace: Duration,
    control: &Control,
    work: impl FnOnce() -> T + Send + 'static,
) -> StageResult<T> {
    let (sender, receiver) = bounded(1);
    let thread = std::thread::Builder::new().name("limited".into()).spawn(move || {
        // Nobody listens any longer where the limit has passed.
        let _ = sender.send(work());
    });
    thread.map_err(Error::io("start", "a thread"))?;
    let mut left = limit.saturating_add(grace);
    let mut before = Instant::now();
    let mut stopped = None;
    loop {
        match receiver.recv_timeout(left.min(LOOK)) {
            Ok(made) => return Ok(made),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Internal("a thread ended without a word".into()).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        let now = Instant::now();
        left = left.saturating_sub(now - before);
        before = now;
        if left.is_zero() {
            return Err(stopped.map_or_else(|| StageError::late(limit), StageError::from));
        }
        if stopped.is_none()
            && let Err(stop) = control.check()
        {
            stopped = Some(stop);
            left = left.min(GRACE);
        }
    }
}
