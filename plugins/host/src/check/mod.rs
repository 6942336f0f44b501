//! Does a stage keep the contract? The conformance kit: what `affectflow plugin check` tries on a plugin, and our tests on our own
//! stages.

mod memory;
mod refusal;
mod samples;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use affectflow_pipeline::registry::Kind;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Inputs, schema_of};
use affectflow_pipeline::{Map, Work, Worker};
use affectflow_plugin::{Manifest, types};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef};
use serde_json::Value;

use crate::columns;
use crate::defaults::fill;
use crate::whole;

pub use refusal::refusals;
pub use samples::Picture;

/// Rows that most checks take.
const ROWS: u64 = 64;
/// Time in which a call should end once the user has asked to stop.
const SOON: Duration = Duration::from_secs(2);
/// Rounds in search of a leak, and the bytes that they may leave behind.
const ROUNDS: u64 = 200;
const LEFT: u64 = 32 << 20;

/// What is tried, and on what.
pub struct Trial<'a> {
    /// The kind.
    pub kind: &'a dyn Kind,
    /// Options of the stage.
    pub options: Value,
    /// Columns that arrive, without `id`.
    pub arriving: Vec<FieldRef>,
    /// Pictures for columns called `image`.
    pub picture: Picture<'a>,
    /// Rows of the check with many rows.
    pub many: u64,
    /// Time that many rows, and the search for a leak, may take; what was done by then counts.
    pub patience: Duration,
}

/// What was found by one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub what: &'static str,
    /// What was seen, or what is wrong.
    pub seen: Result<String, String>,
}

/// Columns for a kind with these options, of the types that it reads.
pub fn arriving(manifest: &Manifest, options: &Value) -> Result<Vec<FieldRef>, String> {
    let full = fill(&manifest.options, options);
    let mut fields: Vec<FieldRef> = Vec::new();
    for column in &manifest.reads {
        let kind = match column.kind.trim() {
            "any" => "utf8",
            "number" => "float32",
            "tensor" => "tensor<float32>[4]",
            kind => kind,
        };
        for name in columns::names(column, &full).map_err(|problem| problem.message)? {
            if name != "id" && !fields.iter().any(|field| *field.name() == name) {
                fields.push(types::field(&name, kind)?);
            }
        }
    }
    Ok(fields)
}

type Seen = Result<String, String>;
type Check<'a> = fn(&Bench<'a>) -> Seen;

/// Tries everything, telling each finding as it comes; whether all is well.
pub fn check(trial: &Trial, tell: &mut dyn FnMut(Finding)) -> bool {
    let mut well = true;
    let mut found = |what, seen: Seen| {
        well &= seen.is_ok();
        tell(Finding { what, seen });
    };
    let bench = match Bench::new(trial) {
        Ok(bench) => bench,
        Err(wrong) => {
            found("planned from its manifest", Err(wrong));
            return well;
        }
    };
    found("planned from its manifest", Ok(bench.said()));
    let checks: &[(&'static str, Check<'_>)] = match &bench.work {
        Work::Map(_) => &[
            ("columns, types and lengths as declared", Bench::delivered),
            ("the same again, the same bytes", Bench::again),
            ("calls of 1, 7 and 64 rows, the same bytes", Bench::calls),
            ("another order, the same bytes", Bench::order),
            ("sliced arrays, the same bytes", Bench::sliced),
            ("no rows", Bench::none),
            ("nulls fail no other row", Bench::nulls),
            ("nonsense fails no other row", Bench::nonsense),
            ("many rows", Bench::many),
            ("stops when asked to", Bench::stops),
            ("leaves no memory behind", Bench::leaks),
        ],
        _ => &[],
    };
    for (what, check) in checks {
        found(what, check(&bench));
    }
    well
}

struct Bench<'a> {
    trial: &'a Trial<'a>,
    work: Work,
    reads: Vec<FieldRef>,
    adds: Vec<FieldRef>,
    /// What the first rows give, which the others are held against.
    base: OnceCell<Result<Done, String>>,
}

impl<'a> Bench<'a> {
    fn new(trial: &'a Trial<'a>) -> Result<Self, String> {
        let id = Arc::new(Field::new("id", DataType::Utf8, false));
        let all: Vec<FieldRef> = std::iter::once(id).chain(trial.arriving.iter().cloned()).collect();
        let inputs = Inputs {
            stage: trial.kind.about().kind.to_owned(),
            schema: schema_of(&all),
            from: vec!["samples".into()],
            ports: Vec::new(),
            artifacts: Vec::new(),
            base: PathBuf::from("."),
        };
        let (planned, _) = trial.kind.plan(&trial.options, &inputs).map_err(|problem| problem.to_string())?;
        let read = |name: &String| all.iter().find(|field| field.name() == name).cloned();
        let reads = planned.consumes.iter().filter_map(read).collect();
        Ok(Bench { trial, work: planned.work, reads, adds: planned.adds, base: OnceCell::new() })
    }

    fn said(&self) -> String {
        let names =
            |fields: &[FieldRef]| fields.iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(", ");
        format!("reads {}; adds {}", names(&self.reads), names(&self.adds))
    }

    fn open(&self, cx: &Context) -> Result<At<'_>, String> {
        match &self.work {
            Work::Map(map) => {
                let worker = map.open(cx).map_err(|error| error.message().to_owned())?;
                Ok(At { map: map.as_ref(), worker, adds: &self.adds })
            }
            _ => Err("it works on all rows at once".into()),
        }
    }

    fn rows(&self, numbers: &[u64]) -> Result<RecordBatch, String> {
        samples::rows(&self.reads, numbers, self.trial.picture).map_err(|error| error.to_string())
    }

    fn some(&self) -> Result<RecordBatch, String> {
        self.rows(&(0..ROWS).collect::<Vec<_>>())
    }

    fn once(&self, rows: &RecordBatch) -> Result<Done, String> {
        self.open(&Context::detached([]))?.call(rows)
    }

    fn base(&self) -> Result<&Done, String> {
        let base = self.base.get_or_init(|| self.once(&self.some()?));
        base.as_ref().map_err(String::clone)
    }

    fn delivered(&self) -> Seen {
        let done = self.base()?;
        match done.failed.len() {
            0 => Ok(format!("{ROWS} rows")),
            failed => Ok(format!("{ROWS} rows, {failed} of them failed: {}", done.failed[0].1)),
        }
    }

    fn again(&self) -> Seen {
        let rows = self.some()?;
        let mut at = self.open(&Context::detached([]))?;
        let (one, two) = (at.call(&rows)?, at.call(&rows)?);
        one.same(&two, "the second time")?;
        self.base()?.same(&one, "when it was opened anew")?;
        Ok("also when opened anew".into())
    }

    fn calls(&self) -> Seen {
        let rows = self.some()?;
        let whole = self.base()?;
        for size in [1, 7, 64] {
            let mut at = self.open(&Context::detached([]))?;
            let parts = (0..rows.num_rows()).step_by(size).map(|from| {
                let part = rows.slice(from, size.min(rows.num_rows() - from));
                // Its own buffers, as rows that were loaded have them.
                let all = UInt32Array::from_iter_values(0..part.num_rows() as u32);
                at.call(&arrow::compute::take_record_batch(&part, &all).map_err(|error| error.to_string())?)
            });
            let parts = Done::joined(parts.collect::<Result<_, _>>()?)?;
            whole.same(&parts, &format!("in calls of {size}"))?;
        }
        Ok(String::new())
    }

    fn order(&self) -> Seen {
        let two = self.once(&self.rows(&(0..ROWS).rev().collect::<Vec<_>>())?)?;
        let turned = UInt32Array::from_iter_values((0..ROWS as u32).rev());
        let turn = |column: &ArrayRef| take(column, &turned, None).map_err(|error| error.to_string());
        let columns = two.columns.iter().map(turn).collect::<Result<_, _>>()?;
        let failed = two.failed.into_iter().rev().collect();
        self.base()?.same(&Done { columns, failed }, "from the last row to the first")?;
        Ok(String::new())
    }

    fn sliced(&self) -> Seen {
        let more: Vec<u64> = (ROWS..ROWS + 5).chain(0..ROWS).chain(ROWS + 5..ROWS + 9).collect();
        let sliced = self.once(&self.rows(&more)?.slice(5, ROWS as usize))?;
        self.base()?.same(&sliced, "as a slice that begins at row 5")?;
        Ok(String::new())
    }

    fn none(&self) -> Seen {
        self.once(&self.rows(&[])?).map(|_| String::new())
    }

    fn nulls(&self) -> Seen {
        let rows = samples::nulls(&self.reads, &(ROWS..ROWS + 7).collect::<Vec<_>>());
        self.beside(rows.map_err(|error| error.to_string())?)
    }

    fn nonsense(&self) -> Seen {
        let rows = samples::nonsense(&self.reads, &(ROWS..ROWS + 50).collect::<Vec<_>>());
        self.beside(rows.map_err(|error| error.to_string())?)
    }

    /// Rows that may fail, among rows that must come out as they do alone.
    fn beside(&self, strange: RecordBatch) -> Seen {
        let (good, alone) = (self.some()?, self.base()?);
        let schema = good.schema();
        let strange = RecordBatch::try_new(schema.clone(), strange.columns().to_vec());
        let strange = strange.map_err(|error| error.to_string())?;
        let all =
            arrow::compute::concat_batches(&schema, [&good, &strange]).map_err(|error| error.to_string())?;
        let Ok(together) = self.once(&all) else {
            return Ok("they fail the whole call, and are then tried one by one; report them row by row to be faster".into());
        };
        let columns = together.columns.iter().map(|column| column.slice(0, ROWS as usize)).collect();
        let ids = good.column(0).as_string::<i32>();
        let own = |id: &str| ids.iter().flatten().any(|known| known == id);
        let strange = together.failed.len();
        let failed: Vec<_> = together.failed.into_iter().filter(|(id, _)| own(id)).collect();
        let strange = strange - failed.len();
        alone.same(&Done { columns, failed }, "beside such rows")?;
        Ok(format!("{strange} rows failed on their own"))
    }

    fn many(&self) -> Seen {
        let mut at = self.open(&Context::detached([]))?;
        let call = at.map.rows_per_call().max(1) as u64;
        let (began, mut done) = (Instant::now(), 0);
        while done < self.trial.many && began.elapsed() < self.trial.patience {
            let numbers: Vec<u64> = (done..(done + call).min(self.trial.many)).collect();
            at.call(&self.rows(&numbers)?)?;
            done += numbers.len() as u64;
        }
        let rate = done as f64 / began.elapsed().as_secs_f64();
        Ok(format!("{done} rows, {rate:.0} a second with the making of them"))
    }

    fn stops(&self) -> Seen {
        let sign = Arc::new(AtomicBool::new(false));
        let cx = Context::detached([]).stopped_by(sign.clone());
        let mut at = self.open(&cx)?;
        let numbers: Vec<u64> = (0..at.map.rows_per_call().max(1) as u64).collect();
        let rows = self.rows(&numbers)?;
        let asked = std::thread::scope(|scope| {
            let asks = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                sign.store(true, Ordering::Relaxed);
                Instant::now()
            });
            // Stopped or done: both are an end.
            let _ = at.call(&rows);
            let ended = Instant::now();
            asks.join().map(|asked| ended.saturating_duration_since(asked))
        });
        match asked {
            Ok(late) if late <= SOON => {
                Ok(format!("a call of {} rows ended after {late:.0?}", rows.num_rows()))
            }
            Ok(late) => {
                Err(format!("a call of {} rows ended {late:.0?} after it was asked to", rows.num_rows()))
            }
            Err(_) => Err("a thread was lost".into()),
        }
    }

    fn leaks(&self) -> Seen {
        let mut at = self.open(&Context::detached([]))?;
        let rows = self.rows(&(0..16).collect::<Vec<_>>())?;
        let (began, mut rounds, mut before) = (Instant::now(), 0, None);
        while rounds < ROUNDS && began.elapsed() < self.trial.patience {
            at.call(&rows)?;
            rounds += 1;
            if rounds == ROUNDS / 4 {
                before = memory::resident();
            }
        }
        match (before, memory::resident()) {
            (Some(before), Some(after)) if after > before + LEFT => {
                Err(format!("{} MiB more after {rounds} calls of 16 rows", (after - before) >> 20))
            }
            (Some(before), Some(after)) => {
                Ok(format!("{} KiB more after {rounds} calls", after.saturating_sub(before) >> 10))
            }
            _ => Ok("not measured: too slow, or this system does not tell".into()),
        }
    }
}

/// A stage that is open.
struct At<'a> {
    map: &'a dyn Map,
    worker: Box<dyn Worker>,
    adds: &'a [FieldRef],
}

impl At<'_> {
    fn call(&mut self, rows: &RecordBatch) -> Result<Done, String> {
        let called = whole::call(self.map, self.worker.as_mut(), rows);
        let (columns, failed) = called.map_err(|error| error.message().to_owned())?;
        for (field, column) in self.adds.iter().zip(&columns) {
            if column.data_type() != field.data_type() {
                let (name, wanted, given) = (field.name(), field.data_type(), column.data_type());
                return Err(format!("`{name}` is declared as {wanted} and delivered as {given}"));
            }
        }
        Ok(Done { columns, failed })
    }
}

/// What a call gave: a value for every row, null for those that failed.
struct Done {
    columns: Vec<ArrayRef>,
    failed: Vec<(String, String)>,
}

impl Done {
    fn joined(parts: Vec<Done>) -> Result<Done, String> {
        let width = parts.iter().map(|part| part.columns.len()).max().unwrap_or(0);
        let column = |at: usize| {
            let parts: Vec<&dyn Array> =
                parts.iter().filter_map(|part| part.columns.get(at)).map(|c| c.as_ref()).collect();
            concat(&parts).map_err(|error| error.to_string())
        };
        let columns = (0..width).map(column).collect::<Result<_, _>>()?;
        Ok(Done { columns, failed: parts.into_iter().flat_map(|part| part.failed).collect() })
    }

    fn same(&self, other: &Done, how: &str) -> Result<(), String> {
        let ids = |done: &Done| done.failed.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        if ids(self) != ids(other) {
            return Err(format!("other rows fail {how}: {:?} and {:?}", ids(self), ids(other)));
        }
        for (at, (one, two)) in self.columns.iter().zip(&other.columns).enumerate() {
            // Bytes, so that NaN is itself and -0 is not 0.
            let differs =
                (0..one.len()).find(|&row| one.slice(row, 1).to_data() != two.slice(row, 1).to_data());
            if let Some(row) = differs {
                return Err(format!("column {at} has another value for row {row} {how}"));
            }
        }
        Ok(())
    }
}
