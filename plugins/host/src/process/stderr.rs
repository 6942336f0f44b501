//! What does a process say on standard error? Its first lines are shown, its last ones kept for when it fails.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use affectflow_pipeline::run::context::Context;

/// Lines of one process that are shown.
const SHOWN: u64 = 50;
/// Lines that are kept.
const KEPT: usize = 30;
/// Longest line, in bytes; what is longer is cut.
const LONGEST: u64 = 2000;

/// The standard error of a process.
pub(super) struct Stderr {
    said: Arc<Mutex<Said>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Said {
    /// To be shown.
    fresh: Vec<String>,
    /// The last lines.
    last: VecDeque<String>,
    lines: u64,
    told: bool,
}

impl Stderr {
    pub(super) fn new(stderr: impl Read + Send + 'static) -> Self {
        let said = Arc::new(Mutex::<Said>::default());
        let shared = said.clone();
        let read = move || {
            let mut from = BufReader::new(stderr);
            while let Some(line) = next(&mut from) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).add(line);
            }
        };
        // Without the thread nothing is shown; a process that says much would wait for it, and be ended by its time limit.
        let reader = std::thread::Builder::new().name("plugin-stderr".into()).spawn(read).ok();
        Stderr { said, reader }
    }

    /// Shows what is new.
    pub(super) fn show(&self, cx: Option<&Context>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(cx) = cx else { return };
        said.fresh.drain(..).for_each(|line| cx.warn(line));
        if said.lines > SHOWN && !said.told {
            said.told = true;
            cx.warn("it goes on like this; further lines are shown only where it fails");
        }
    }

    /// The last lines, once all are read; called where the process is ending or of no use any longer.
    pub(super) fn tail(&mut self) -> Option<String> {
        if let Some(reader) = &self.reader {
            for _ in 0..25 {
                if reader.is_finished() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(4));
            }
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.fresh.clear();
        let last: Vec<String> = said.last.drain(..).collect();
        (!last.is_empty()).then(|| last.join("\n"))
    }
}

impl Said {
    fn add(&mut self, line: String) {
        self.lines += 1;
        if self.lines <= SHOWN {
            self.fresh.push(line.clone());
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

/// The next line, cut where it is long; `None` at the end.
fn next(from: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let read = from.by_ref().take(LONGEST).read_until(b'\n', &mut line).ok()?;
    if read == 0 {
        return None;
    }
    if line.last() != Some(&b'\n') && read as u64 == LONGEST {
        from.skip_until(b'\n').ok()?;
    }
    Some(String::from_utf8_lossy(&line).trim_end().to_owned())
}
