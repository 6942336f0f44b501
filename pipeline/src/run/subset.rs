//! How are rows chosen? A subset sees values and returns indices; nothing is stored, for choosing again is cheap.

use std::sync::atomic::{AtomicU64, Ordering};

use super::stage_run::StageRun;
use super::table_rows::TableRows;
use crate::batch::Batch;
use crate::error::Error;
use crate::plan::PlannedStage;
use crate::stage::{Failures, Subset};
use arrow::array::UInt32Array;

/// Runs a subset to its end.
pub fn run(stage: &StageRun, work: &dyn Subset) -> Result<(), Error> {
    if work.whole() {
        whole(stage, work)?
    } else {
        streaming(stage, work)?
    }
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    if let (0, before @ 1..) = (count(&stage.tally.rows), count(&stage.tally.rows_in)) {
        stage.context.warn(format!("keeps none of the {before} rows that reach it"));
    }
    Ok(())
}

fn streaming(stage: &StageRun, work: &dyn Subset) -> Result<(), Error> {
    stage.inputs(|batch| {
        let mut failures = Failures::default();
        let rows = stage.shared.loader.load(&batch, &stage.stage.planned.consumes, &mut failures)?;
        all_read(&stage.stage.name, &failures)?;
        let kept = work.select(&rows).map_err(|e| e.into_error(&stage.stage.name))?;
        emit(stage, batch.take(&kept)?)
    })
}

fn whole(stage: &StageRun, work: &dyn Subset) -> Result<(), Error> {
    let mut parts = Vec::new();
    stage.inputs(|batch| {
        parts.push(batch);
        Ok(())
    })?;
    let rows = TableRows::new(stage.stage.input_schema.clone(), parts, stage.shared.loader.clone())?;
    choose(stage.stage, work, &rows)?.into_iter().try_for_each(|batch| emit(stage, batch))
}

/// What a subset that needs all rows keeps of them.
pub(super) fn choose(stage: &PlannedStage, work: &dyn Subset, rows: &TableRows) -> Result<Vec<Batch>, Error> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let columns: Vec<&str> =
        stage.planned.consumes.iter().map(String::as_str).filter(|c| *c != "id").collect();
    let all = UInt32Array::from_iter_values(0..rows.len() as u32);
    let kept = work.select(&rows.take(&columns, &all)?).map_err(|e| e.into_error(&stage.name))?;
    rows.light(&kept)
}

/// Rows as they leave a subset: with the columns that it keeps.
pub(super) fn leaving(stage: &PlannedStage, batch: &Batch) -> Batch {
    batch.kept(stage.planned.keeps.as_deref()).align(&stage.schema)
}

/// Fails where a row could not be read: indices into what was read would mean other rows.
pub(super) fn all_read(stage: &str, failures: &Failures) -> Result<(), Error> {
    match failures.iter().next() {
        None => Ok(()),
        Some((id, error)) => Err(Error::Stage {
            stage: stage.to_owned(),
            message: format!("row `{id}` cannot be read: {error}"),
            hint: Some("choose rows by columns that need no file, or mend the row".into()),
        }),
    }
}

fn emit(stage: &StageRun, batch: Batch) -> Result<(), Error> {
    stage.progress();
    let batch = leaving(stage.stage, &batch);
    let ids = batch.ids().clone();
    stage.emit(batch, |list| list.ids(&ids))
}
