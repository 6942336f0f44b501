//! How is a stage tried without the program? Its options as JSON, its rows as a record batch, and what it says heard.

use arrow::array::{ArrayRef, RecordBatch};
use serde_json::Value;

use crate::{Call, Error, Kind, types};

/// What work said during a call.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Heard {
    /// Rows that failed, with the reason.
    pub failures: Vec<(usize, String)>,
    /// Warnings.
    pub warnings: Vec<String>,
}

impl Call for Heard {
    fn fail(&mut self, row: usize, error: &str) {
        self.failures.push((row, error.to_owned()));
    }

    fn warn(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }

    fn progress(&mut self, _: u64, _: u64, _: &str) {}

    fn stopped(&self) -> bool {
        false
    }
}

/// Opens a stage and computes rows (`id` first). Fails, too, where a column is not what its manifest declares.
pub fn compute(
    stage: &dyn Kind,
    options: Value,
    rows: &RecordBatch,
) -> Result<(Vec<ArrayRef>, Heard), Error> {
    let mut heard = Heard::default();
    let columns = stage.open(&options)?.compute(rows, &mut heard)?;
    let adds = stage.manifest().adds;
    if adds.len() != columns.len() {
        return Err(Error::new(format!("it declares {} columns and gives {}", adds.len(), columns.len())));
    }
    for (add, column) in adds.iter().zip(&columns) {
        // A type with an option in it is known to the program alone.
        if add.kind.contains('{') {
            continue;
        }
        let field = types::field("", &add.kind).map_err(Error::new)?;
        if !field.data_type().equals_datatype(column.data_type()) || column.len() != rows.num_rows() {
            let (count, given) = (column.len(), column.data_type());
            return Err(Error::new(format!("it declares {} and gives {count} values of {given}", add.kind)));
        }
    }
    Ok((columns, heard))
}
