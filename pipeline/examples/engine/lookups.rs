//! How many keys a second does a run look up that finds everything? Three maps in a row, rows in the order that they were
//! computed in and in another one.

use std::path::PathBuf;
use std::sync::Arc;

use affectflow_pipeline::cache::Cache;
use affectflow_pipeline::cache::entries::Entries;
use affectflow_pipeline::plan::Plan;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::identity;
use affectflow_pipeline::run::lists::ListWriter;
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::stage::Failures;
use affectflow_pipeline::{Batch, Digest, Work};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::chain::{Chain, count, stage};
use super::measure::{Clock, timed};
use super::{Answer, Bench, kinds};

const MAPS: [&str; 3] = ["number", "second", "third"];

/// Rows, computed once.
pub struct Lookups {
    folder: TempDir,
    rows: usize,
    ordered: (Chain, Plan),
    shuffled: (Chain, Plan),
}

impl Lookups {
    /// Runs so many rows cold.
    pub fn new(rows: usize) -> Answer<Self> {
        let folder = tempfile::tempdir()?;
        let planned = |name: &str, shuffled: bool| -> Answer<(Chain, Plan)> {
            let stages = [
                stage("numbers", format!("kind: numbers, config: {{ rows: {rows}, shuffled: {shuffled} }}")),
                stage(MAPS[0], "kind: number"),
                stage(MAPS[1], "kind: next, config: { of: number, to: second }"),
                stage(MAPS[2], "kind: next, config: { of: second, to: third }"),
            ];
            let chain = Chain::new(folder.path(), name, kinds::registry(), &stages)?;
            let plan = chain.plan()?;
            Ok((chain, plan))
        };
        let (ordered, shuffled) = (planned("ordered", false)?, planned("shuffled", true)?);
        let lookups = Lookups { folder, rows, ordered, shuffled };
        lookups.run(&lookups.ordered)?;
        Ok(lookups)
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn run(&self, (chain, plan): &(Chain, Plan)) -> Answer<Record> {
        chain.run(plan, &self.state())
    }

    fn again(&self, planned: &(Chain, Plan)) -> Answer {
        let clock = Clock::start();
        let record = self.run(planned)?;
        let told = clock.stop(json!({ "lookups": self.rows * MAPS.len() }));
        match MAPS.iter().all(|map| count(&record, map, "hits") == self.rows as u64) {
            true => Ok(told),
            false => Err("a row was not found".into()),
        }
    }

    /// The same steps one after the other on one thread, each by itself: seconds of each over all maps.
    fn parts(&self, planned: &(Chain, Plan)) -> Answer {
        let record = self.run(planned)?;
        let cache = Cache::at(self.state().join("cache"));
        let mut told = Parts::default();
        let mut batches = told.listed(&planned.1)?;
        for map in MAPS {
            batches = told.looked_up(&cache, &planned.1, &record, map, batches)?;
        }
        Ok(told.told(self.rows * MAPS.len()))
    }
}

impl Bench for Lookups {
    /// Runs that find every row, by the order of the rows.
    fn turn(&mut self, word: &str) -> Answer {
        match word {
            "ordered" => self.again(&self.ordered),
            "shuffled" => self.again(&self.shuffled),
            "parts" => self.parts(&self.ordered),
            "parts_shuffled" => self.parts(&self.shuffled),
            _ => Err(format!("no turn `{word}`").into()),
        }
    }
}

/// Seconds by part of the work.
#[derive(Default)]
struct Parts {
    list: f64,
    open: f64,
    keys: f64,
    find: f64,
    digests: f64,
    note: f64,
    segments: Vec<usize>,
}

impl Parts {
    /// The rows of the source.
    fn listed(&mut self, plan: &Plan) -> Answer<Vec<Batch>> {
        let (stage, mut rows) = (&plan.stages[0], Vec::new());
        let Work::Source(source) = &stage.planned.work else { return Err("no source".into()) };
        let mut emit = |batch| {
            rows.push(batch);
            Ok(())
        };
        let context = Context::detached([]);
        let (seconds, done) = timed(|| source.rows(&context, &mut emit, &mut Failures::default()));
        done.map_err(|error| error.message().to_owned())?;
        self.list += seconds;
        Ok(rows.iter().map(|rows| Batch::from_source(&stage.schema, rows)).collect::<Result<_, _>>()?)
    }

    /// What leaves one map.
    fn looked_up(
        &mut self,
        cache: &Arc<Cache>,
        plan: &Plan,
        record: &Record,
        map: &str,
        batches: Vec<Batch>,
    ) -> Answer<Vec<Batch>> {
        let stage = plan.stages.iter().find(|stage| stage.name == map).ok_or("no such stage")?;
        let identity = record.stages[map]["key"].as_str().and_then(Digest::parse).ok_or("no identity")?;
        let folder = format!("v1/rows/{identity}");
        let fields = stage.planned.adds.clone();
        let (seconds, entries) = timed(|| Entries::open(cache.clone(), folder, fields, None));
        let entries = Arc::new(entries?);
        self.open += seconds;
        self.segments.push(entries.names().len());
        let mut list = ListWriter::new(cache.clone());
        let mut out = Vec::with_capacity(batches.len());
        for batch in batches {
            let (seconds, keys) = timed(|| identity::keys(identity, &batch, &stage.planned.consumes));
            let keys = keys?;
            self.keys += seconds;
            let (seconds, places) = timed(|| entries.find(&keys));
            self.find += seconds;
            let places: Arc<[_]> = places?.into_iter().flatten().collect();
            let (seconds, columns) = timed(|| entries.columns(&places));
            self.digests += seconds;
            let (seconds, noted) = timed(|| list.keys(batch.ids(), &keys));
            noted?;
            self.note += seconds;
            out.push(batch.with(&stage.schema, columns?));
        }
        let (seconds, finished) = timed(|| list.finish());
        finished?;
        self.note += seconds;
        Ok(out)
    }

    fn told(&self, lookups: usize) -> Value {
        let parts = [
            ("source lists", self.list),
            ("entries open", self.open),
            ("keys", self.keys),
            ("find", self.find),
            ("digests", self.digests),
            ("lists", self.note),
        ];
        let sum: f64 = parts.iter().map(|(_, seconds)| seconds).sum();
        let nanoseconds = |seconds: f64| seconds * 1e9 / lookups as f64;
        let each: serde_json::Map<_, _> =
            parts.iter().map(|&(name, seconds)| (name.to_owned(), json!(nanoseconds(seconds)))).collect();
        json!({ "seconds": sum, "lookups": lookups, "nanoseconds": each, "find_seconds": self.find, "segments": self.segments })
    }
}
