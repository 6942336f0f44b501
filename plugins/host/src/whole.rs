//! How is a map of the engine called outside the engine? Rows in, and for each of them a value out: null where it failed.

use affectflow_pipeline::stage::Failures;
use affectflow_pipeline::{Map, StageResult, Worker};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;

/// Columns as long as the rows of a call, and the rows that failed: id and reason.
pub(crate) type Called = (Vec<ArrayRef>, Vec<(String, String)>);

/// Calls a map.
pub(crate) fn call(map: &dyn Map, worker: &mut dyn Worker, rows: &RecordBatch) -> StageResult<Called> {
    let mut failures = Failures::default();
    let prepared = map.prepare(rows.clone(), &mut failures)?;
    let columns = match prepared.num_rows() {
        0 if rows.num_rows() > 0 => Vec::new(),
        _ => worker.compute(&prepared, &mut failures)?,
    };
    // Rows that failed on the way are gone; what stands for one that failed later does not matter.
    let ids = prepared.column(0).as_string::<i32>();
    let mut computed = (0..ids.len() as u32).peekable();
    let mut places = Vec::with_capacity(rows.num_rows());
    for id in rows.column(0).as_string::<i32>().iter().flatten() {
        let place = computed.next_if(|&row| ids.value(row as usize) == id);
        places.push(place.filter(|_| !failures.contains(id)));
    }
    let places = UInt32Array::from(places);
    let columns = columns.iter().map(|column| Ok(take(column, &places, None)?));
    Ok((columns.collect::<StageResult<_>>()?, failures.into_inner()))
}
