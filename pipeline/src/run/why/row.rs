//! Why is one row computed or not? Where it is stored and since when, or in which cells it differs from what was stored.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::earlier;
use super::explain::Explain;
use super::rows::Cells;
use super::values;
use crate::batch::{Batch, Loader};
use crate::cache::entries::{Entries, Place};
use crate::digest::Digest;
use crate::error::Error;
use crate::run::found::{Found, MapFound, RowState};
use crate::run::identity::inputs;
use crate::run::look::{lacks, undamaged};
use crate::run::past::{Nearest, RunRef, run_ref};
use crate::run::quarantine::Failed;
use crate::run::reason::ended;
use crate::stage::Shape;

/// Ids that are suggested for one that does not exist.
const SUGGESTED: usize = 3;

/// Why one row is computed or not.
#[derive(Debug, Clone, Serialize)]
pub struct RowWhy {
    /// The row.
    pub id: String,
    /// The stage that decides about it: the one asked for, or one before it.
    pub stage: String,
    /// `cached`, `quarantined`, `compute`, `waiting`, `listed`, `kept`, `left out`.
    pub state: &'static str,
    /// That in a sentence.
    pub sentence: String,
    /// The run that stored it, where one is recorded.
    pub run: Option<RunRef>,
    /// The cells in which it differs from what was stored, in the order of the columns.
    pub cells: Vec<Cell>,
}

/// One cell that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The column.
    pub column: String,
    /// The stages that add it.
    pub from: Vec<String>,
    /// Digest before.
    pub old: String,
    /// Digest now.
    pub new: String,
    /// The value before, where it is small and still known.
    pub old_value: Option<String>,
    /// The value now, where it is small.
    pub new_value: Option<String>,
}

/// Explains a row of a stage, or of the stage before it at which the row is held up.
pub(super) fn explain(
    explain: &Explain,
    at: usize,
    id: &str,
    nearest: Option<&Nearest>,
    loader: &Loader,
) -> Result<RowWhy, Error> {
    let known = |stage: usize, (batch, _): &(&Batch, u32)| !lacks(explain.stage(stage), batch);
    if let Some(place) = find(arriving(explain, at), id).filter(|place| known(at, place)) {
        return Row { explain, at, id, loader, place }.why(nearest);
    }
    for stage in explain.waits_for(at).into_iter().chain(explain.upstream(at)) {
        if let Some(place) = find(&explain.looked[stage].input, id).filter(|place| known(stage, place)) {
            let row = Row { explain, at: stage, id, loader, place };
            if row.held() {
                return row.why(explain.nearest(stage)?.as_ref());
            }
        }
        if let Found::Source(failed) = &explain.looked[stage].found
            && let Some((_, error)) = failed.iter().find(|(failed, _)| failed == id)
        {
            let sentence = format!("`{}` cannot read it: {error}", explain.stage(stage).name);
            return Ok(plain(explain, stage, id, "quarantined", sentence));
        }
    }
    Err(unknown(explain, at, id))
}

/// The rows that a stage decides about.
fn arriving<'a>(explain: &'a Explain, at: usize) -> &'a [Batch] {
    match explain.stage(at).planned.work.shape() {
        Shape::Source => &explain.looked[at].output.batches,
        _ => &explain.looked[at].input,
    }
}

fn find<'a>(batches: &'a [Batch], id: &str) -> Option<(&'a Batch, u32)> {
    let row =
        |batch: &'a Batch| Some((batch, batch.ids().iter().position(|known| known == Some(id))? as u32));
    batches.iter().find_map(row)
}

fn plain(explain: &Explain, at: usize, id: &str, state: &'static str, sentence: String) -> RowWhy {
    let stage = explain.stage(at).name.clone();
    RowWhy { id: id.to_owned(), stage, state, sentence, run: None, cells: Vec::new() }
}

/// A row that exists, where a stage decides about it.
struct Row<'a> {
    explain: &'a Explain<'a>,
    at: usize,
    id: &'a str,
    loader: &'a Loader,
    place: (&'a Batch, u32),
}

impl Row<'_> {
    fn why(&self, nearest: Option<&Nearest>) -> Result<RowWhy, Error> {
        let looked = &self.explain.looked[self.at];
        match &looked.found {
            Found::Map(found) => self.map(found, nearest),
            Found::Source(_) => self.whole("listed", "is listed", nearest),
            Found::Table(found) if found.record.is_some() => {
                Ok(self.plain("cached", "is a part of the cached result".into()))
            }
            Found::Table(_) => self.whole("compute", "is computed with all others", nearest),
            Found::Waiting => {
                let artifact = looked.lacking.first().map_or("", String::as_str);
                Ok(self.plain("waiting", format!("waits for `{artifact}`, which is to be computed first")))
            }
            Found::Subset => {
                let kept = find(&looked.output.batches, self.id).is_some();
                let (state, words) = if kept { ("kept", "is kept") } else { ("left out", "is left out") };
                Ok(self.plain(state, format!("{words} by `{}`, which chooses at every run", self.name())))
            }
        }
    }

    /// Whether the row does not leave the stage as it will once all is computed.
    fn held(&self) -> bool {
        let looked = &self.explain.looked[self.at];
        match &looked.found {
            Found::Map(found) => {
                self.state(found).is_some_and(|(_, state)| !matches!(state, RowState::Cached(_)))
            }
            Found::Table(found) => found.record.is_none(),
            Found::Subset => find(&looked.output.batches, self.id).is_none(),
            Found::Waiting => true,
            Found::Source(_) => false,
        }
    }

    fn name(&self) -> &str {
        &self.explain.stage(self.at).name
    }

    fn plain(&self, state: &'static str, sentence: String) -> RowWhy {
        plain(self.explain, self.at, self.id, state, sentence)
    }

    fn map(&self, found: &MapFound, nearest: Option<&Nearest>) -> Result<RowWhy, Error> {
        let Some((key, state)) = self.state(found) else {
            return Err(Error::Internal(format!("row `{}` was not looked up", self.id)));
        };
        match state {
            RowState::Cached(place) => self.cached(&found.entries, *place),
            RowState::Quarantined(failed) => {
                let sentence =
                    format!("is in quarantine, {}; `--retry-quarantined` tries it again", tried(failed));
                Ok(self.plain("quarantined", sentence))
            }
            RowState::Retried(failed) => {
                Ok(self.plain("compute", format!("is to be computed again: {}", tried(failed))))
            }
            RowState::Twin => {
                let sentence = "has the same input as another row, with which it is computed".to_owned();
                Ok(self.plain("compute", sentence))
            }
            RowState::Missing => self.missing(found, *key, nearest),
        }
    }

    fn state<'b>(&self, found: &'b MapFound) -> Option<&'b (Digest, RowState)> {
        let input = &self.explain.looked[self.at].input;
        let batch = input.iter().position(|batch| std::ptr::eq(batch, self.place.0))?;
        found.rows.get(batch)?.get(self.place.1 as usize)
    }

    fn cached(&self, entries: &Entries, place: Place) -> Result<RowWhy, Error> {
        let segment = entries.segment(place);
        let millis = segment.split('-').next().and_then(|hex| u64::from_str_radix(hex, 16).ok());
        let time = millis.map(|millis| {
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(millis)).to_string()
        });
        let run = time.as_deref().and_then(|time| self.run_at(entries.folder(), time));
        let ids = undamaged(entries.ids(&[place]))?.unwrap_or_default();
        let stored = ids.into_iter().next().filter(|id| !id.is_empty() && id != self.id);
        let twin = stored.map(|id| format!(" for row `{id}`, whose input is the same")).unwrap_or_default();
        let by = run.as_ref().map(|run| format!(" by run `{}`", run.run)).unwrap_or_default();
        let since = time.map(|time| format!(" at {time}")).unwrap_or_default();
        let sentence = format!("is cached: stored{since}{by}{twin}, in segment `{segment}`");
        Ok(RowWhy { run, ..self.plain("cached", sentence) })
    }

    /// The run during which something was written for a folder of entries.
    fn run_at(&self, folder: &str, time: &str) -> Option<RunRef> {
        let covers = |start: &str, end: Option<&str>| start <= time && end.is_none_or(|end| time <= end);
        let found = self.explain.past.newest(|record, _, info| {
            info["entries"].as_str() == Some(folder)
                && info["misses"].as_u64() > Some(0)
                && covers(&record.start, record.end.as_deref())
        });
        found.map(|(record, stage)| run_ref(record, stage))
    }

    fn missing(&self, found: &MapFound, key: Digest, nearest: Option<&Nearest>) -> Result<RowWhy, Error> {
        let stopped = self.explain.stopped(self.at).map(|(run, _)| ended(&run));
        let Some(nearest) = nearest else {
            let why = stopped.map(|run| format!("{run} before it came to it"));
            let why = why.unwrap_or_else(|| "the stage never ran before".into());
            return Ok(self.plain("compute", format!("is to be computed: {why}")));
        };
        let now = self.explain.looked[self.at].identity.digest;
        let wanted: HashMap<&str, Digest> = [(self.id, key)].into();
        let past = self.explain.past;
        let before = if nearest.identity == now {
            let columns = self.explain.stage(self.at).planned.consumes.clone();
            earlier::of_map(past, &found.entries, now, columns, &wanted)?
        } else {
            let columns = past.preimage(nearest.identity)?.as_ref().map(earlier::consumes);
            let entries = earlier::entries(past.cache(), nearest.identity)?;
            earlier::of_map(past, &entries, nearest.identity, columns.unwrap_or_default(), &wanted)?
        };
        let cells = self.cells(&before.cells)?;
        let before_it = stopped.filter(|_| nearest.changes.is_empty());
        let reason = match (before.cells.rows.contains_key(self.id), cells.as_slice(), before_it) {
            _ if !before.lost.is_empty() => {
                "it was stored with the same input and is gone from the cache".into()
            }
            (false, _, Some(run)) => format!("{run} before it came to it"),
            (false, ..) if nearest.changes.is_empty() && !before.listed && found.entries.rows() == 0 => {
                "what was stored before is gone from the cache".into()
            }
            (false, ..) if nearest.changes.is_empty() => "the row is new".into(),
            (false, ..) => "the row is new, and so are the options or what they depend on".into(),
            (true, [], _) if nearest.changes.is_empty() => "its input changed".into(),
            (true, [], _) => "its input is the same, but the stage's identity changed".into(),
            (true, cells, _) => format!("changed in {}", names(cells)),
        };
        Ok(RowWhy { cells, ..self.plain("compute", format!("is to be computed: {reason}")) })
    }

    /// A row of a source or of a table, compared with the rows of the nearest earlier run.
    fn whole(&self, state: &'static str, words: &str, nearest: Option<&Nearest>) -> Result<RowWhy, Error> {
        let rows = match nearest {
            Some(nearest) => self.explain.rows(self.at, nearest)?,
            None => None,
        };
        let Some(rows) = rows else { return Ok(self.plain(state, words.to_owned())) };
        let cells = self.cells(&rows.before)?;
        let since = match (rows.before.rows.contains_key(self.id), cells.as_slice()) {
            (false, _) => "it was not there before".to_owned(),
            (true, []) => "it is the same as before".to_owned(),
            (true, cells) => format!("changed in {}", names(cells)),
        };
        Ok(RowWhy { cells, ..self.plain(state, format!("{words}; {since}")) })
    }

    /// The cells that differ from those before.
    fn cells(&self, before: &Cells) -> Result<Vec<Cell>, Error> {
        let (batch, row) = self.place;
        let mut cells = Vec::new();
        let known = |name: &&String| batch.schema().field_with_name(name).is_ok() && !batch.lacks(name);
        for column in before.columns.iter().filter(known) {
            let Some(old) = before.cell(self.id, column) else { continue };
            let new = inputs(batch, std::slice::from_ref(column))?[row as usize];
            if old == new {
                continue;
            }
            let from = self.explain.providers(self.at, column);
            cells.push(Cell {
                column: column.clone(),
                from: from.into_iter().map(|at| self.explain.stage(at).name.clone()).collect(),
                old: old.to_string(),
                new: new.to_string(),
                old_value: values::before(self.explain, self.at, column, self.id, old)?,
                new_value: values::now(self.loader, batch, row, column)?,
            });
        }
        Ok(cells)
    }
}

/// "tried twice: why it failed".
fn tried(failed: &Failed) -> String {
    match failed.attempts {
        1 => format!("tried once: {}", failed.error),
        times => format!("tried {times} times: {}", failed.error),
    }
}

fn names(cells: &[Cell]) -> String {
    cells.iter().map(|cell| format!("`{}`", cell.column)).collect::<Vec<_>>().join(" and ")
}

/// No such row: the nearest ids there are.
fn unknown(explain: &Explain, at: usize, id: &str) -> Error {
    let stages = explain.upstream(at).into_iter().chain([at]);
    let sources = stages.filter(|&stage| explain.stage(stage).planned.work.shape() == Shape::Source);
    let batches = sources.flat_map(|stage| &explain.looked[stage].output.batches);
    let mut near: Vec<(usize, &str)> = batches
        .flat_map(|batch| batch.ids().iter().flatten())
        .filter(|known| known.len().abs_diff(id.len()) <= id.len().max(8))
        .map(|known| (strsim::osa_distance(known, id), known))
        .collect();
    near.sort_unstable();
    let near: Vec<String> = near.iter().take(SUGGESTED).map(|(_, known)| format!("`{known}`")).collect();
    let nearest =
        if near.is_empty() { String::new() } else { format!("; the nearest are {}", near.join(", ")) };
    Error::NotFound(format!("no row `{id}` reaches stage `{}`{nearest}", explain.stage(at).name))
}
