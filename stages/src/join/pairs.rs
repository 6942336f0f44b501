//! Which row of the right side belongs to a row of the left? Rows by the values joined on, as text.

use std::collections::HashMap;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::TableOutput;
use affectflow_pipeline::{StageError, StageResult, Table};
use arrow::array::{Array, StringArray, UInt32Array};
use arrow::compute::take;

use crate::sample::text;

/// The work of `join`.
pub(super) struct Pairs {
    pub(super) on: Vec<String>,
    pub(super) right_on: Vec<String>,
    pub(super) brought: Vec<String>,
    pub(super) inner: bool,
}

impl Table for Pairs {
    fn run(&self, left: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let right = left.side("right")?;
        let matches = self.matches(left, right)?;
        cx.check()?;
        let rows: UInt32Array = match self.inner {
            true => matches.iter().flatten().map(Some).collect(),
            false => matches.iter().collect(),
        };
        let kept = || (0..left.len()).filter(|&row| matches.is_valid(row)).map(|row| left.ids().value(row));
        let ids = self.inner.then(|| StringArray::from_iter_values(kept()));
        let column = |name: &String| -> StageResult<_> { Ok(take(&right.column(name)?, &rows, None)?) };
        let columns = self.brought.iter().map(column).collect::<StageResult<_>>()?;
        Ok(TableOutput { columns, ids, ..TableOutput::default() })
    }
}

impl Pairs {
    /// For each row of the left side the one on the right with the same values.
    fn matches(&self, left: &TableRows, right: &TableRows) -> StageResult<UInt32Array> {
        let columns = texts(right, &self.right_on)?;
        let mut known: HashMap<Vec<&str>, (u32, Option<u32>)> = HashMap::with_capacity(right.len());
        for row in 0..right.len() {
            let Some(key) = key(&columns, row) else { continue };
            known
                .entry(key)
                .and_modify(|(_, second)| *second = Some(row as u32))
                .or_insert((row as u32, None));
        }
        let columns = texts(left, &self.on)?;
        let found = |row: usize| match key(&columns, row).and_then(|key| known.get(&key)) {
            None => Ok(None),
            Some((first, None)) => Ok(Some(*first)),
            Some((first, Some(second))) => {
                let id = |row: &u32| right.ids().value(*row as usize);
                let left = left.ids().value(row);
                let (one, other) = (id(first), id(second));
                let message =
                    format!("row `{left}` matches several rows on the right, such as `{one}` and `{other}`");
                Err(StageError::new(message)
                    .hint("make the right side's rows unique in the columns joined on"))
            }
        };
        (0..left.len()).map(found).collect()
    }
}

fn texts(rows: &TableRows, names: &[String]) -> StageResult<Vec<StringArray>> {
    let column = |name: &String| match name.as_str() {
        "id" => Ok(rows.ids().clone()),
        name => text(&rows.column(name)?),
    };
    names.iter().map(column).collect()
}

/// The values joined on; none where one is empty.
fn key(columns: &[StringArray], row: usize) -> Option<Vec<&str>> {
    columns.iter().map(|column| column.is_valid(row).then(|| column.value(row))).collect()
}
