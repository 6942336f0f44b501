//! What did it cost? Seconds of the clock and of the processor, and memory, of this process.

use std::fs;
use std::time::Instant;

use serde_json::{Map, Value, json};

/// Linux counts processor time in hundredths of a second.
const TICKS: f64 = 100.0;
const MIB: f64 = 1024.0;

/// A clock that runs.
pub struct Clock {
    started: Instant,
    cpu: Option<f64>,
}

impl Clock {
    /// Starts it.
    pub fn start() -> Self {
        Clock { started: Instant::now(), cpu: cpu() }
    }

    /// `seconds` and `cpu` since the start, with whatever else is to be told.
    pub fn stop(self, told: Value) -> Value {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu = self.cpu.zip(cpu()).map(|(before, after)| after - before);
        let mut answer =
            Map::from_iter([("seconds".to_owned(), json!(seconds)), ("cpu".to_owned(), json!(cpu))]);
        answer.extend(told.as_object().cloned().unwrap_or_default());
        Value::Object(answer)
    }
}

/// Seconds that a piece of work takes, and what it gives.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let made = work();
    (started.elapsed().as_secs_f64(), made)
}

/// Seconds of all threads of this process, in user space and in the kernel; `None` where there is no `/proc`.
fn cpu() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS)
}

/// MiB that a line of a file in `/proc/self` names, such as `VmHWM` in `status`.
pub fn memory(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/self/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok().map(|kib| kib / MIB)
}
