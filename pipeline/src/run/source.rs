//! How do rows come in? A source is asked at every run; what it lists is the run's snapshot of the data.

use super::stage_run::StageRun;
use crate::batch::{Batch, string_column};
use crate::digest::Digest;
use crate::error::{Error, StageError};
use crate::stage::{Failures, Source};

/// Runs a source to its end.
pub fn run(stage: &StageRun, work: &dyn Source) -> Result<(), Error> {
    stage.clock();
    let mut failures = Failures::default();
    let mut emit = |rows: arrow::array::RecordBatch| emit(stage, rows).map_err(StageError::from);
    work.rows(&stage.context, &mut emit, &mut failures).map_err(|e| e.into_error(&stage.stage.name))?;
    for (id, error) in failures.into_inner() {
        let key = Digest::of_parts([stage.identity.0.as_slice(), id.as_bytes()]).to_string();
        stage.failed(super::quarantine::Failed { key, id, error, attempts: 1 })?;
    }
    Ok(())
}

fn emit(stage: &StageRun, rows: arrow::array::RecordBatch) -> Result<(), Error> {
    unique(stage, &rows)?;
    let batch = Batch::from_source(&stage.stage.schema, &rows)?;
    stage.progress();
    stage.emit(batch, |list| list.rows(rows))
}

/// Fails where an id was there already, in this source or another one.
fn unique(stage: &StageRun, rows: &arrow::array::RecordBatch) -> Result<(), Error> {
    let mut seen = stage.shared.ids.lock().unwrap_or_else(|p| p.into_inner());
    for id in string_column(rows, 0)?.iter() {
        let id = id.unwrap_or_default();
        let hash = u64::from_le_bytes(Digest::of(id.as_bytes()).0[..8].try_into().unwrap_or_default());
        if !seen.insert(hash) {
            return Err(Error::Stage {
                stage: stage.stage.name.clone(),
                message: format!("two rows have the id `{id}`"),
                hint: Some("give every row a path of its own, and stages that bring rows in a `dataset` of their own".into()),
            });
        }
    }
    Ok(())
}
