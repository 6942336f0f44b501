//! What does a run cost that has nothing to do? A source of 100 rows and maps in a row, every result stored.

use tempfile::TempDir;

use super::chain::{Chain, count, stage};
use super::measure::Clock;
use super::{Answer, Bench, kinds};
use serde_json::{Value, json};

/// Rows of every stage.
const ROWS: usize = 100;

/// A run that has been done before.
pub struct Idle {
    folder: TempDir,
    chain: Chain,
    last: String,
}

impl Idle {
    /// Runs a chain of so many stages, cold.
    pub fn new(stages: usize) -> Answer<Self> {
        let folder = tempfile::tempdir()?;
        let mut chain = vec![stage("numbers", format!("kind: numbers, config: {{ rows: {ROWS} }}"))];
        chain.push(stage("number", "kind: number"));
        let mut last = "number".to_owned();
        for at in chain.len()..stages {
            let name = format!("next-{at}");
            chain.push(stage(&name, format!("kind: next, config: {{ of: {last}, to: {name} }}")));
            last = name;
        }
        let chain = Chain::new(folder.path(), "idle", kinds::registry(), &chain)?;
        let mut idle = Idle { folder, chain, last };
        idle.turn("cold")?;
        Ok(idle)
    }
}

impl Bench for Idle {
    /// From the text of the file to the record of the run.
    fn turn(&mut self, word: &str) -> Answer<Value> {
        let clock = Clock::start();
        let record = self.chain.run(&self.chain.plan()?, &self.folder.path().join("state"))?;
        let told = clock.stop(json!({ "stages": record.stages.len() }));
        match word == "again" && count(&record, &self.last, "hits") != ROWS as u64 {
            true => Err("a stage had something to do".into()),
            false => Ok(told),
        }
    }
}
