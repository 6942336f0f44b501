//! How do rows come in? A source is asked at every run; what it lists is the run's snapshot of the data.

use arrow::array::Array;

use super::quarantine::{Failed, Quarantine};
use super::stage_run::StageRun;
use crate::batch::{Batch, string_column};
use crate::digest::{Digest, Digests};
use crate::error::{Error, StageError};
use crate::stage::{Failures, Source};

/// Runs a source to its end. Rows that it cannot read count their attempts like those of a map stage; no run passes them by.
pub fn run(stage: &StageRun, work: &dyn Source) -> Result<(), Error> {
    stage.clock();
    let mut failures = Failures::default();
    let mut emit = |rows: arrow::array::RecordBatch| emit(stage, rows).map_err(StageError::from);
    work.rows(&stage.context, &mut emit, &mut failures).map_err(|e| e.into_error(&stage.stage.name))?;
    // What was read is not read again after a kill; that it cannot be saved is told at the end.
    let _ = stage.shared.state.files.save();
    let folder = format!("v1/rows/{}", stage.identity);
    let quarantine = Quarantine::open(stage.shared.state.cache.clone(), folder)?;
    let rows = failures.into_inner().into_iter().map(|(id, error)| {
        let key = Digest::of_parts([stage.identity.0.as_slice(), id.as_bytes()]);
        quarantine.add(key, &id, &error, 1, false, None)
    });
    let failed: Vec<Failed> = rows.collect();
    quarantine.commit()?;
    failed.into_iter().try_for_each(|row| stage.failed(row))
}

fn emit(stage: &StageRun, rows: arrow::array::RecordBatch) -> Result<(), Error> {
    unique(stage, &rows)?;
    let batch = Batch::from_source(&stage.stage.schema, &rows)?;
    stage.progress();
    stage.emit(batch, |list| list.rows(rows))
}

/// Fails where an id was there already, in this source or another one.
fn unique(stage: &StageRun, rows: &arrow::array::RecordBatch) -> Result<(), Error> {
    let ids = string_column(rows, 0)?;
    let mut digests = Digests::with_capacity(ids.len());
    ids.iter().for_each(|id| digests.push(id.unwrap_or_default().as_bytes()));
    let mut seen = stage.shared.ids.lock().unwrap_or_else(|p| p.into_inner());
    for (row, digest) in digests.finish().iter().enumerate() {
        if !seen.insert(digest.prefix()) {
            return Err(Error::Stage {
                stage: stage.stage.name.clone(),
                message: format!("two rows have the id `{}`", ids.value(row)),
                hint: Some("give every row a path of its own, and stages that bring rows in a `dataset` of their own".into()),
            });
        }
    }
    Ok(())
}
