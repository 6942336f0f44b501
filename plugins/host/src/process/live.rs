//! Which processes are running? Ended with the program, whichever way it ends by itself: a run that exceeds its limits leaves its
//! threads behind, and with them nobody who would end what they started.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

static LIVE: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn live<T>(change: impl FnOnce(&mut BTreeSet<i32>) -> T) -> T {
    change(&mut LIVE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A group that was started.
pub(super) fn began(group: Pid) {
    live(|all| all.insert(group.as_raw_nonzero().get()));
}

/// A group that is ended, with all that it started.
pub(super) fn end(group: Pid) {
    if live(|all| all.remove(&group.as_raw_nonzero().get())) {
        // It may be gone already, and what it started may not.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Ends every process of every plugin: at the end of the program.
pub fn end_all() {
    let groups = live(std::mem::take);
    for group in groups.into_iter().filter_map(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}
