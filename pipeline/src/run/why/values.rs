//! What did a cell hold? The small values behind digests, now and in recorded runs.

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;

use super::explain::Explain;
use crate::batch::{Batch, Loader, link_of};
use crate::digest::{Digest, cells};
use crate::error::Error;
use crate::run::export;
use crate::run::look::undamaged;
use crate::stage::Failures;

/// A longer value is not shown.
const SHOWN: usize = 200;

/// Runs that are searched for an old value, newest first.
const SEARCHED: usize = 20;

/// The value of a cell in words; `None` where it is large, or read through a link.
pub(super) fn now(loader: &Loader, batch: &Batch, row: u32, column: &str) -> Result<Option<String>, Error> {
    let light = batch.schema().field_with_name(column).is_ok_and(|field| link_of(field).is_none());
    if !light || batch.lacks(column) {
        return Ok(None);
    }
    let rows = loader.load(&batch.take(&[row])?, &[column.to_owned()], &mut Failures::default());
    Ok(undamaged(rows)?.and_then(|rows| rows.column_by_name(column).and_then(words)))
}

/// The value of that digest that a row had in an earlier run, in words.
pub(super) fn before(
    explain: &Explain,
    at: usize,
    column: &str,
    id: &str,
    digest: Digest,
) -> Result<Option<String>, Error> {
    let mut providers = explain.providers(at, column);
    if providers.is_empty() {
        providers.push(at);
    }
    let own = |name: &str| name == explain.plan.pipeline;
    for record in explain.past.records().iter().filter(|record| own(&record.name)).take(SEARCHED) {
        for &provider in &providers {
            let stage = &explain.stage(provider).name;
            let value = match export::value(explain.past.cache(), record, stage, column, id) {
                Ok(Some(value)) => value,
                // What the past has lost is not told; the machine's own errors are.
                Ok(None) | Err(Error::Damaged { .. } | Error::NotFound(_)) => continue,
                Err(error) => return Err(error),
            };
            if cells(&value)?.first() == Some(&digest) {
                return Ok(words(&value));
            }
        }
    }
    Ok(None)
}

fn words(value: &ArrayRef) -> Option<String> {
    if value.is_empty() || value.is_null(0) {
        return Some("null".to_owned()).filter(|_| !value.is_empty());
    }
    if matches!(
        value.data_type(),
        DataType::Binary | DataType::FixedSizeBinary(_) | DataType::FixedSizeList(..)
    ) {
        return None;
    }
    let text = array_value_to_string(value.as_ref(), 0).ok()?;
    let text = if *value.data_type() == DataType::Utf8 { format!("{text:?}") } else { text };
    Some(text).filter(|text| text.chars().count() <= SHOWN)
}
