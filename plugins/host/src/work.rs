//! How does a plugin work as a map or a table of the engine? What it delivers is held against what it declared.

use std::sync::Arc;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::{Failures, TableOutput};
use affectflow_pipeline::{Map, StageError, StageResult, Table, Worker};
use affectflow_plugin::{Call, types};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};

use crate::fault::Fault;
use crate::transport::{Opening, Session, Transport};

/// Rows of a table that are handed over in one batch: of images about as much as memory can hold twice.
const BATCH: usize = 4096;

/// What a plugin tells while it computes.
pub(crate) struct Told<'a> {
    /// The stage.
    pub(crate) cx: &'a Context,
    /// Rows that failed, from 0 over all batches.
    pub(crate) failures: Vec<(usize, String)>,
}

impl Call for Told<'_> {
    fn fail(&mut self, row: usize, error: &str) {
        self.failures.push((row, error.to_owned()));
    }

    fn warn(&mut self, message: &str) {
        self.cx.warn(message);
    }

    fn progress(&mut self, done: u64, total: u64, unit: &str) {
        self.cx.progress(done, (total > 0).then_some(total), unit, "");
    }

    fn stopped(&self) -> bool {
        self.cx.check().is_err()
    }
}

/// A plugin's stage that works on each row on its own.
pub(crate) struct PluginMap {
    pub(crate) plugin: Arc<str>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) opening: Opening,
    pub(crate) adds: Vec<FieldRef>,
    pub(crate) rows_per_call: usize,
}

impl Map for PluginMap {
    fn open(&self, cx: &Context) -> StageResult<Box<dyn Worker>> {
        let session = self.transport.open(&self.opening, cx)?;
        let (plugin, adds) = (self.plugin.clone(), self.adds.clone());
        Ok(Box::new(PluginWorker { plugin, session, cx: cx.clone(), adds }))
    }

    fn rows_per_call(&self) -> usize {
        self.rows_per_call
    }
}

struct PluginWorker {
    plugin: Arc<str>,
    session: Box<dyn Session>,
    cx: Context,
    adds: Vec<FieldRef>,
}

impl Worker for PluginWorker {
    fn compute(&mut self, rows: &RecordBatch, failures: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        let mut told = Told { cx: &self.cx, failures: Vec::new() };
        let ids = rows.column(0).as_string::<i32>();
        let of = || match ids.len() {
            0 => String::new(),
            1 => format!(", row `{}`", ids.value(0)),
            count => format!(", rows `{}` to `{}`", ids.value(0), ids.value(count - 1)),
        };
        let computed = self.session.compute(std::slice::from_ref(rows), &mut told);
        let checked = computed.and_then(|columns| delivered(&self.adds, columns, ids.len()));
        let columns = checked.map_err(|fault| fault.into_error(&self.plugin, &of()))?;
        for (row, error) in told.failures {
            if row >= ids.len() {
                let what = format!("it says that row {row} failed, and there are {}", ids.len());
                return Err(Fault::plugin(what).into_error(&self.plugin, &of()));
            }
            failures.push(ids.value(row), error);
        }
        Ok(columns)
    }
}

/// A plugin's stage that works on all rows.
pub(crate) struct PluginTable {
    pub(crate) plugin: Arc<str>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) opening: Opening,
    pub(crate) adds: Vec<FieldRef>,
}

impl Table for PluginTable {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let names: Vec<&str> = self.opening.reads.iter().map(|read| read.name.as_str()).collect();
        let starts = (0..rows.len().max(1)).step_by(BATCH);
        let batch = |start: usize| {
            let end = (start + BATCH).min(rows.len());
            Ok(rows.take(&names, &UInt32Array::from_iter_values(start as u32..end as u32))?)
        };
        let batches = starts.map(batch).collect::<StageResult<Vec<_>>>()?;
        let mut told = Told { cx, failures: Vec::new() };
        let mut session = self.transport.open(&self.opening, cx)?;
        let computed = session.compute(&batches, &mut told);
        let checked = computed.and_then(|columns| delivered(&self.adds, columns, rows.len()));
        let columns = checked.map_err(|fault| fault.into_error(&self.plugin, ""))?;
        match told.failures.first() {
            None => Ok(TableOutput { columns, ..TableOutput::default() }),
            Some((row, error)) => {
                let id = rows.ids().iter().nth(*row).flatten().unwrap_or("?");
                let message = format!("plugin `{}`, row `{id}`: {error}", self.plugin);
                Err(StageError::new(message)
                    .hint("a stage that needs all rows cannot set some aside; filter before it"))
            }
        }
    }
}

/// The columns that were declared, from those delivered: as many, of those types, one value for each row.
fn delivered(adds: &[FieldRef], columns: Vec<ArrayRef>, rows: usize) -> Result<Vec<ArrayRef>, Fault> {
    if columns.len() != adds.len() {
        let what = format!("it declares {} columns and delivers {}", adds.len(), columns.len());
        return Err(Fault::plugin(what));
    }
    let fit = |(field, column): (&FieldRef, ArrayRef)| {
        let name = field.name();
        if column.len() != rows {
            let count = column.len();
            return Err(Fault::plugin(format!("it delivers {count} values of `{name}` for {rows} rows")));
        }
        if column.data_type() == field.data_type() {
            return Ok(column);
        }
        // Names of the items of a list, and whether they could be null, are nobody's concern.
        if alike(field.data_type(), column.data_type())
            && let Ok(column) = cast(&column, field.data_type())
        {
            return Ok(column);
        }
        let given = types::words(&arrow::datatypes::Field::new("", column.data_type().clone(), true));
        Err(Fault::plugin(format!("it declares `{name}` as {} and delivers {given}", types::words(field))))
    };
    adds.iter().zip(columns).map(fit).collect()
}

/// Whether two types differ in nothing but the names of items and what may be null.
fn alike(one: &DataType, two: &DataType) -> bool {
    match (one, two) {
        (DataType::List(one), DataType::List(two)) => alike(one.data_type(), two.data_type()),
        (DataType::FixedSizeList(one, width), DataType::FixedSizeList(two, other)) => {
            width == other && alike(one.data_type(), two.data_type())
        }
        (DataType::Struct(one), DataType::Struct(two)) => {
            let fields = one.iter().zip(two);
            one.len() == two.len()
                && fields
                    .into_iter()
                    .all(|(a, b)| a.name() == b.name() && alike(a.data_type(), b.data_type()))
        }
        (one, two) => one == two,
    }
}
