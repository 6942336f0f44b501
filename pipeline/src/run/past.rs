//! What did earlier runs do? Recorded runs and stored identities: the nearest earlier identity, and how much a row cost.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::State;
use super::identity::Identity;
use super::record::Record;
use super::table::TableRecord;
use super::why::diff::{Change, Part, diff};
use crate::cache::{Cache, live};
use crate::digest::Digest;
use crate::error::Error;
use crate::plan::PlannedStage;

/// Runs whose cost counts in a prediction, newest first.
const SAMPLES: usize = 5;

/// A stage in a recorded run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunRef {
    /// The run's name.
    pub run: String,
    /// Its pipeline.
    pub pipeline: String,
    /// The stage's name there.
    pub stage: String,
    /// When it began: RFC 3339, UTC.
    pub start: String,
    /// How it ended: `done`, `quarantined`, `failed`, `interrupted`, `killed`; `running` where it has not.
    pub outcome: String,
}

/// The nearest earlier identity of a stage.
pub(super) struct Nearest {
    /// The identity.
    pub identity: Digest,
    /// The newest recorded run that used it, if any did.
    pub run: Option<RunRef>,
    /// In what it differs from the identity now, the old value first.
    pub changes: Vec<Change>,
}

/// What a row of a stage cost in earlier runs; `None` where nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    /// Seconds of computing a row.
    pub seconds: Option<f64>,
    /// Bytes written a row.
    pub bytes: Option<f64>,
}

/// The past of a state folder, read as far as it is asked for.
pub(super) struct Past<'a> {
    state: &'a State,
    /// The runs that are at work.
    at_work: HashSet<String>,
    records: OnceCell<Vec<Record>>,
    tables: OnceCell<Vec<(Digest, TableRecord)>>,
    stored: OnceCell<HashMap<Digest, Value>>,
}

impl<'a> Past<'a> {
    pub fn new(state: &'a State) -> Result<Self, Error> {
        let at_work = live::runs(&state.cache)?;
        let (records, tables, stored) = Default::default();
        Ok(Past { state, at_work, records, tables, stored })
    }

    /// The recorded runs, newest first, each with the outcome that it has as far as is known.
    pub fn records(&self) -> &[Record] {
        self.records.get_or_init(|| {
            let known = |mut record: Record| {
                record.outcome = record.stands(&self.at_work).to_owned();
                record.as_far_as_told()
            };
            Record::all(&self.state.runs).into_iter().rev().map(known).collect()
        })
    }

    /// The newest run that used an identity for that stage of that pipeline, where the stage did not come to its end in it.
    pub fn stopped(&self, pipeline: &str, stage: &str, identity: Digest) -> Option<(RunRef, &Value)> {
        let own = |record: &&Record| record.name == pipeline;
        let (record, info) = self.records().iter().filter(own).find_map(|record| {
            let info = record.stages.get(stage).filter(|info| key(info) == Some(identity))?;
            Some((record, info))
        })?;
        let ended = record.finished() || info["ended"] == true;
        (!ended).then(|| (run_ref(record, stage), info))
    }

    /// Whether a recorded run has computed something under an identity.
    fn ran(&self, identity: Digest) -> bool {
        let did = |info: &Value| ["misses", "hits"].iter().any(|field| info[field].as_u64() > Some(0));
        self.newest(|_, _, info| key(info) == Some(identity) && did(info)).is_some()
    }

    /// The stages of recorded runs of which `wanted` is true, by record and name, newest run first.
    pub fn stages<'b>(
        &'b self,
        wanted: impl Fn(&str, &Value) -> bool + 'b,
    ) -> impl Iterator<Item = (&'b Record, &'b Value)> {
        let stages = self.records().iter().flat_map(|record| record.stages.iter().map(move |s| (record, s)));
        stages.filter(move |(_, (name, info))| wanted(name, info)).map(|(record, (_, info))| (record, info))
    }

    /// The record of that name.
    pub fn record(&self, run: &str) -> Option<&Record> {
        self.records().iter().find(|record| record.id == run)
    }

    /// The cache.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.state.cache
    }

    /// The newest result of a table stage under an identity, and its name.
    pub fn table(&self, identity: Digest) -> Result<Option<&(Digest, TableRecord)>, Error> {
        if self.tables.get().is_none() {
            let _ = self.tables.set(tables(&self.state.cache)?);
        }
        let wanted = identity.to_string();
        Ok(self.tables.get().and_then(|all| all.iter().find(|(_, record)| record.identity == wanted)))
    }

    /// The newest record of which `wanted` is true of a stage's entry, with that stage's name.
    pub fn newest(&self, wanted: impl Fn(&Record, &str, &Value) -> bool) -> Option<(&Record, &str)> {
        self.records().iter().find_map(|record| {
            let stage = record.stages.iter().find(|(name, info)| wanted(record, name, info));
            stage.map(|(name, _)| (record, name.as_str()))
        })
    }

    /// What an identity was made of; `None` where its file is missing or damaged.
    pub fn preimage(&self, identity: Digest) -> Result<Option<Value>, Error> {
        let bytes = self.state.cache.find(&format!("v1/identities/{identity}.json"))?;
        let whole = bytes.filter(|bytes| Digest::of(bytes) == identity);
        Ok(whole.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// The earlier identity of a stage that differs least from that of now: itself where something is `stored` under it, or was;
    /// else one that the same stage of the same pipeline used, else one of the same kind. `lacking` artifacts are not known yet
    /// and not compared.
    pub fn nearest(
        &self,
        pipeline: &str,
        stage: &PlannedStage,
        now: &Identity,
        lacking: &[String],
        stored: bool,
    ) -> Result<Option<Nearest>, Error> {
        if lacking.is_empty() && (stored || self.ran(now.digest)) {
            return Ok(Some(Nearest {
                identity: now.digest,
                run: self.user(pipeline, &stage.name, now.digest),
                changes: Vec::new(),
            }));
        }
        let preimage: Value =
            serde_json::from_str(&now.preimage).map_err(|e| Error::Internal(e.to_string()))?;
        let mut used: Vec<Digest> = Vec::new();
        for record in self.records().iter().filter(|record| record.name == pipeline) {
            let key = record.stages.get(&stage.name).filter(|info| info["kind"] == *stage.kind).and_then(key);
            used.extend(key.filter(|key| *key != now.digest && !used.contains(key)));
        }
        let mut own = Vec::new();
        for identity in used {
            own.extend(self.preimage(identity)?.map(|old| (identity, old)));
        }
        let mut best = least(own.into_iter(), &preimage, lacking);
        if best.is_none() {
            let same = |(identity, old): &(&Digest, &Value)| {
                old["kind"] == *stage.kind && (**identity != now.digest)
            };
            let mut others: Vec<(&Digest, &Value)> = self.stored()?.iter().filter(same).collect();
            others.sort_by_key(|(identity, _)| (self.age(**identity), **identity));
            best = least(others.into_iter().map(|(id, old)| (*id, old.clone())), &preimage, lacking);
        }
        Ok(best.map(|(identity, changes)| Nearest {
            identity,
            run: self.user(pipeline, &stage.name, identity),
            changes,
        }))
    }

    /// The newest run that used an identity, one of that stage of that pipeline before any other.
    fn user(&self, pipeline: &str, stage: &str, identity: Digest) -> Option<RunRef> {
        let used = |info: &Value| key(info) == Some(identity);
        let own = self.newest(|record, name, info| record.name == pipeline && name == stage && used(info));
        own.or_else(|| self.newest(|_, _, info| used(info))).map(|(record, stage)| run_ref(record, stage))
    }

    /// How many runs ago an identity was used.
    fn age(&self, identity: Digest) -> usize {
        let used = |record: &Record| record.stages.values().any(|info| key(info) == Some(identity));
        self.records().iter().position(used).unwrap_or(usize::MAX)
    }

    /// Every identity of the cache that can be read.
    fn stored(&self) -> Result<&HashMap<Digest, Value>, Error> {
        if let Some(stored) = self.stored.get() {
            return Ok(stored);
        }
        let mut found = HashMap::new();
        for item in self.state.cache.list("v1/identities")? {
            let Some(identity) = item.name.strip_suffix(".json").and_then(Digest::parse) else { continue };
            found.extend(self.preimage(identity)?.map(|preimage| (identity, preimage)));
        }
        Ok(self.stored.get_or_init(|| found))
    }

    /// What a row cost in runs of that identity, else of that stage's name, else of its kind.
    pub fn cost(&self, stage: &PlannedStage, identity: Option<Digest>) -> Cost {
        let by_identity = |_: &str, info: &Value| identity.is_some() && key(info) == identity;
        let by_name = |name: &str, info: &Value| name == stage.name && info["kind"] == *stage.kind;
        let by_kind = |_: &str, info: &Value| info["kind"] == *stage.kind;
        let field = |name: &str| {
            self.per_row(name, by_identity)
                .or_else(|| self.per_row(name, by_name))
                .or_else(|| self.per_row(name, by_kind))
        };
        Cost { seconds: field("computing"), bytes: field("bytes") }
    }

    /// A field of the stages wanted, by row computed.
    fn per_row(&self, field: &str, wanted: impl Fn(&str, &Value) -> bool) -> Option<f64> {
        let stages = self.records().iter().flat_map(|record| record.stages.iter());
        let samples = stages.filter(|(name, info)| wanted(name, info)).filter_map(|(_, info)| {
            let rows = computed(info);
            Some((info[field].as_f64()?, rows)).filter(|_| rows > 0.0)
        });
        let (sum, rows) = samples.take(SAMPLES).fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
        (rows > 0.0).then(|| sum / rows)
    }
}

/// Rows that a recorded stage computed.
fn computed(info: &Value) -> f64 {
    let misses = info["misses"].as_f64().unwrap_or_default();
    match info["shape"].as_str() {
        Some("map") => misses,
        Some("table") => misses * info["rows"].as_f64().unwrap_or_default(),
        _ => 0.0,
    }
}

/// Every result of a table stage, newest first; records that cannot be read are passed over.
fn tables(cache: &Cache) -> Result<Vec<(Digest, TableRecord)>, Error> {
    let mut found = Vec::new();
    for item in cache.list("v1/tables")? {
        let Some(entry) = Digest::parse(&item.name) else { continue };
        let folder = format!("v1/tables/{}", item.name);
        let Some(newest) = cache.list(&folder)?.pop() else { continue };
        let bytes = cache.find(&format!("{folder}/{}", newest.name))?;
        if let Some(record) = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
            found.push((newest.name, entry, record));
        }
    }
    found.sort_by(|a, b| (&b.0, b.1).cmp(&(&a.0, a.1)));
    Ok(found.into_iter().map(|(_, entry, record)| (entry, record)).collect())
}

/// The identity that a recorded stage had.
pub(super) fn key(info: &Value) -> Option<Digest> {
    info["key"].as_str().and_then(Digest::parse)
}

pub(super) fn run_ref(record: &Record, stage: &str) -> RunRef {
    RunRef {
        run: record.id.clone(),
        pipeline: record.name.clone(),
        stage: stage.to_owned(),
        start: record.start.clone(),
        outcome: record.outcome.clone(),
    }
}

/// The first of those that differ in the fewest fields.
fn least(
    candidates: impl Iterator<Item = (Digest, Value)>,
    now: &Value,
    lacking: &[String],
) -> Option<(Digest, Vec<Change>)> {
    let known = |change: &Change| change.part != Part::Artifact || !lacking.contains(&change.name);
    let compared = candidates
        .map(|(identity, old)| (identity, diff(&old, now).into_iter().filter(known).collect::<Vec<_>>()));
    compared.min_by_key(|(_, changes)| changes.len())
}
