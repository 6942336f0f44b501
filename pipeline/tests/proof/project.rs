//! A project in a folder: a pipeline file, sources, a state folder or several, and the ledger of what was computed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use affectflow_pipeline::event::{Event, Observer};
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::{Error, Registry, plan};

use super::{Computed, Ledger, Outcome};

/// Where everything lies.
pub struct Project {
    /// The folder.
    pub folder: PathBuf,
    /// What was computed.
    pub ledger: Arc<Ledger>,
}

/// What a run did.
pub struct Ran {
    /// Its record.
    pub record: Record,
    /// How it ended.
    pub result: Result<(), Error>,
    /// What it told.
    pub events: Vec<Event>,
    /// What it computed, in order.
    pub computed: Vec<Computed>,
    /// Where its rows lie.
    pub state: State,
}

impl Ran {
    /// What came out.
    pub fn outcome(&self) -> Result<Outcome, Error> {
        Outcome::of(&self.state.cache, &self.record)
    }

    /// The warnings.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |event: &Event| match event {
            Event::Warning { message, .. } => Some(message.clone()),
            _ => None,
        };
        self.events.iter().filter_map(warning).collect()
    }
}

/// Remembers what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl Observer for Told {
    fn event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Project {
    /// The project in that folder.
    pub fn at(folder: &Path) -> Self {
        Project { folder: folder.to_owned(), ledger: Ledger::open(&folder.join("ledger.tsv")) }
    }

    /// Writes the pipeline file.
    pub fn pipeline(&self, stages: &str) {
        let text = format!("version: 1\npipelines:\n  toy:\n    stages:\n{stages}");
        fs::write(self.folder.join("pipelines.yaml"), text).unwrap();
    }

    /// Writes a source: its rows (id, value, note) and a file for each that has none.
    pub fn source(&self, name: &str, rows: &[(String, String, String)]) {
        let folder = self.folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let lines = rows.iter().map(|(id, value, note)| format!("{id}\t{value}\t{note}\n"));
        fs::write(folder.join("rows.tsv"), lines.collect::<String>()).unwrap();
        for (id, _, _) in rows {
            let file = folder.join(format!("{id}.bin"));
            if !file.exists() {
                fs::write(&file, format!("bytes of {id}")).unwrap();
                settle(&file, 1000);
            }
        }
    }

    /// Runs the pipeline on a state folder beside the file, with the toy kinds.
    pub fn run(&self, state: &str, options: &Options) -> Ran {
        self.run_with(state, &[], options, &super::registry(&self.ledger))
    }

    /// The same with settings as of `--set`, and any kinds.
    pub fn run_with(&self, state: &str, sets: &[String], options: &Options, registry: &Registry) -> Ran {
        self.begin(state, sets, options, registry).unwrap()
    }

    /// The same, which may fail before anything runs. Panics where the file cannot be planned.
    pub fn begin(
        &self,
        state: &str,
        sets: &[String],
        options: &Options,
        registry: &Registry,
    ) -> Result<Ran, Error> {
        let file = self.folder.join("pipelines.yaml");
        let opened = plan::open(&file, None, sets, registry, None);
        let (_, plan) = opened.unwrap_or_else(|problems| {
            let said: Vec<String> = problems.iter().map(|problem| problem.to_string()).collect();
            panic!("{}\n{}", said.join("\n"), fs::read_to_string(&file).unwrap())
        });
        let state = State::open(&self.folder.join(state));
        let before = self.ledger.read().len();
        let told = Arc::new(Told::default());
        let (record, result) = run(&plan, registry, &state, options, told.clone())?;
        let computed = self.ledger.read().split_off(before);
        let events = std::mem::take(&mut *told.0.lock().unwrap());
        Ok(Ran { record, result, events, computed, state })
    }
}

/// Dates a file back, so that its digest is remembered without being read again within the clock's grain.
pub fn settle(file: &Path, seconds: u64) {
    let when = SystemTime::now() - Duration::from_secs(seconds);
    File::options().append(true).open(file).unwrap().set_modified(when).unwrap();
}
