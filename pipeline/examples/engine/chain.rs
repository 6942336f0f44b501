//! How does a bench run a pipeline? Stages as written in a file, planned and run on one state folder.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use affectflow_pipeline::event::Silent;
use affectflow_pipeline::plan::{self, Plan};
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::{Problem, Registry};

use super::Answer;

/// A pipeline file on the disk, and the kinds that it names.
pub struct Chain {
    file: PathBuf,
    registry: Registry,
}

impl Chain {
    /// Writes the file into a folder; `stages` are (name, the rest of its entry).
    pub fn new(folder: &Path, name: &str, registry: Registry, stages: &[(String, String)]) -> Answer<Self> {
        let mut text = "version: 1\npipelines:\n  bench:\n    stages:\n".to_owned();
        for (name, entry) in stages {
            writeln!(text, "      {name}: {{ {entry} }}")?;
        }
        let file = folder.join(format!("{name}.yaml"));
        fs::write(&file, text)?;
        Ok(Chain { file, registry })
    }

    /// Reads the file and plans it.
    pub fn plan(&self) -> Answer<Plan> {
        let said =
            |problems: Vec<Problem>| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
        Ok(plan::open(&self.file, None, &[], &self.registry, None).map_err(said)?.1)
    }

    /// Runs a plan as a new process would: nothing is known but what the state folder holds.
    pub fn run(&self, plan: &Plan, state: &Path) -> Answer<Record> {
        let state = State::open(state);
        let (record, result) = run(plan, &self.registry, &state, &Options::default(), Arc::new(Silent))?;
        result?;
        Ok(record)
    }
}

/// What a run counted of a stage.
pub fn count(record: &Record, stage: &str, what: &str) -> u64 {
    record.stages[stage][what].as_u64().unwrap_or_default()
}

/// An entry of a stage.
pub fn stage(name: &str, entry: impl Into<String>) -> (String, String) {
    (name.to_owned(), entry.into())
}
