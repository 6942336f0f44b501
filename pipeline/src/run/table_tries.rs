//! How often and how long does a table stage try? Its whole work again after a failure, as its file says.

use std::sync::Arc;

use super::context::Context;
use super::limit::{GRACE, guarded, within};
use super::stage_run::StageRun;
use super::table_rows::TableRows;
use crate::error::{Error, StageResult};
use crate::stage::{Table, TableOutput};

/// What the work gives, at the first try that succeeds.
pub fn run(
    stage: &StageRun,
    work: &Arc<dyn Table>,
    rows: &Arc<TableRows>,
    context: &Context,
) -> Result<TableOutput, Error> {
    let mut tried = 0;
    loop {
        tried += 1;
        let error = match attempt(stage, work, rows, context) {
            Ok(output) => return Ok(output),
            Err(error) => error,
        };
        if tried > stage.stage.tries.retries || !error.passing() {
            return Err(error.into_error(&stage.stage.name));
        }
        stage.pause(tried, "its table", error.message())?;
    }
}

fn attempt(
    stage: &StageRun,
    work: &Arc<dyn Table>,
    rows: &Arc<TableRows>,
    context: &Context,
) -> StageResult<TableOutput> {
    let control = &stage.shared.control;
    let _permission = control.permission(stage.at)?;
    match stage.stage.tries.limit {
        None => guarded(|| work.run(rows, context)),
        Some(limit) => {
            let (work, rows, context) = (work.clone(), rows.clone(), context.clone().limited(limit));
            within(limit, GRACE, control, move || guarded(|| work.run(&rows, &context)))?
        }
    }
}
