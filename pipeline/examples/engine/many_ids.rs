//! How much memory and time do ten million rows take? A source of ids, a map and a subset, cold and from the cache.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::chain::{Chain, count, stage};
use super::measure::{Clock, memory};
use super::{Answer, Bench, kinds};

/// The rows and a state folder, empty at first.
pub struct ManyIds {
    folder: TempDir,
    chain: Chain,
}

impl ManyIds {
    /// So many rows.
    pub fn new(rows: usize) -> Answer<Self> {
        let folder = tempfile::tempdir()?;
        let stages = [
            stage("numbers", format!("kind: numbers, config: {{ rows: {rows} }}")),
            stage("number", "kind: number"),
            stage("odd", "kind: odd"),
        ];
        let chain = Chain::new(folder.path(), "many_ids", kinds::registry(), &stages)?;
        Ok(ManyIds { folder, chain })
    }
}

impl Bench for ManyIds {
    /// One run; `peak_mib` is the most that the process has held until now, files it has mapped included.
    fn turn(&mut self, word: &str) -> Answer<Value> {
        let state = self.folder.path().join("state");
        if word == "cold" && state.exists() {
            std::fs::remove_dir_all(&state)?;
        }
        let clock = Clock::start();
        let record = self.chain.run(&self.chain.plan()?, &state)?;
        Ok(clock.stop(json!({
            "rows": count(&record, "numbers", "rows"),
            "kept": count(&record, "odd", "rows"),
            "computed": count(&record, "number", "misses"),
            "peak_mib": memory("status", "VmHWM"),
        })))
    }
}
