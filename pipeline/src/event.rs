//! What happens during a run, told as it happens: the lines of `events.jsonl`, of `--json` and of the progress bars.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::stage::Shape;

/// One thing that happened. Serialised with its `type` in snake case.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    RunStarted {
        /// The run's name.
        run: String,
        /// The pipeline's name.
        pipeline: String,
        /// Its stages in order.
        stages: Vec<String>,
    },
    /// A stage began to receive rows.
    StageStarted {
        /// Its name.
        stage: String,
        /// Its kind.
        kind: String,
        /// How it treats rows.
        shape: Shape,
        /// Its identity.
        key: String,
    },
    /// Where a stage stands. `done` counts `unit`s (rows, or a training stage's epochs).
    Progress {
        /// Its name.
        stage: String,
        /// Units done.
        done: u64,
        /// Units in all, where known.
        total: Option<u64>,
        /// What is counted.
        unit: String,
        /// A word on the state (`loss 0.31`), or empty.
        note: String,
    },
    /// Rows became durable.
    RowsCommitted {
        /// The stage.
        stage: String,
        /// How many.
        rows: u64,
        /// Size of the segment on disk.
        bytes: u64,
        /// Seconds that the stage has computed in this run so far.
        computing: f64,
    },
    /// A row failed and was set aside.
    RowQuarantined {
        /// The stage.
        stage: String,
        /// The row.
        id: String,
        /// Why.
        error: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// A number worth keeping: a loss, an accuracy.
    Metric {
        /// The stage.
        stage: String,
        /// Its name.
        name: String,
        /// Its value.
        value: f64,
        /// Epoch or step, where there is one.
        step: Option<u64>,
    },
    /// A stage made an artifact.
    Artifact {
        /// The stage.
        stage: String,
        /// The artifact.
        name: String,
        /// Its digest.
        digest: String,
    },
    /// A stage is done.
    StageFinished {
        /// Its name.
        stage: String,
        /// Rows that left it.
        rows: u64,
        /// Rows (or tables) found in the cache.
        hits: u64,
        /// Rows (or tables) computed.
        misses: u64,
        /// Rows in quarantine.
        quarantined: u64,
        /// From its first row (a table: its last) to its end.
        seconds: f64,
        /// Seconds that it computed.
        computing: f64,
    },
    /// Something to know that stops nothing.
    Warning {
        /// The stage, if it is about one.
        stage: Option<String>,
        /// What.
        message: String,
    },
    /// The run ended.
    RunFinished {
        /// `done`, `quarantined`, `failed`, `interrupted`.
        outcome: String,
        /// From start to end.
        seconds: f64,
    },
}

/// Somebody who wants to know. Called from many threads; must be quick.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event);
}

/// Nobody listens.
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &Event) {}
}

/// Several listen.
impl Observer for Vec<Arc<dyn Observer>> {
    fn event(&self, event: &Event) {
        self.iter().for_each(|observer| observer.event(event));
    }
}

/// Writes every event as a line of JSON: `ts`, `type`, `run`, then what the event says.
pub struct Lines<W> {
    to: Mutex<(String, W)>,
}

impl<W: Write + Send> Lines<W> {
    /// Lines to a file or to standard output. Whoever wants each line at once gives a writer that flushes at line ends.
    pub fn new(writer: W) -> Self {
        Lines { to: Mutex::new((String::new(), writer)) }
    }
}

impl<W: Write + Send> Observer for Lines<W> {
    fn event(&self, event: &Event) {
        let Ok(Value::Object(fields)) = serde_json::to_value(event) else { return };
        let (name, writer) = &mut *self.to.lock().unwrap_or_else(|p| p.into_inner());
        if let Event::RunStarted { run, .. } = event {
            name.clone_from(run);
        }
        let mut line = Map::new();
        line.insert("ts".into(), humantime::format_rfc3339_millis(SystemTime::now()).to_string().into());
        line.insert("type".into(), fields.get("type").cloned().unwrap_or_default());
        line.insert("run".into(), name.clone().into());
        line.extend(fields.into_iter().filter(|(name, _)| !matches!(name.as_str(), "type" | "run")));
        // What cannot be told must not stop the work it is about.
        let _ = writeln!(writer, "{}", Value::Object(line));
    }
}
