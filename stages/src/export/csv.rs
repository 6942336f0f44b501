//! `.csv`: nested columns as JSON text, bytes as base16, so that a spreadsheet opens it.

use std::io::Write;
use std::sync::Arc;

use affectflow_pipeline::Error;
use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::csv::Writer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::json::LineDelimitedWriter;

use super::file::Sink;
use super::jsonl::wide;

struct Csv(Writer<Box<dyn Write + Send>>);

pub(super) fn open(file: Box<dyn Write + Send>, _: SchemaRef) -> Result<Box<dyn Sink>, Error> {
    Ok(Box::new(Csv(Writer::new(file))))
}

impl Sink for Csv {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        Ok(self.0.write(&flat(&wide(batch)?)?)?)
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        let mut file = self.0.into_inner();
        file.flush().map_err(|source| Error::Io { action: "write", path: "the CSV file".into(), source })
    }
}

/// Nested columns become text.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, true)));
            columns.push(Arc::new(text(column)?));
        } else {
            fields.push(field.clone());
            columns.push(column.clone());
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Each cell as the JSON that a line of `.jsonl` would hold.
fn text(column: &ArrayRef) -> Result<StringArray, Error> {
    let cell = |row: usize| -> Result<Option<String>, Error> {
        if column.is_null(row) {
            return Ok(None);
        }
        let field = Field::new("v", column.data_type().clone(), true);
        let one = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column.slice(row, 1)])?;
        let mut line = Vec::new();
        let mut writer = LineDelimitedWriter::new(&mut line);
        writer.write(&one)?;
        writer.finish()?;
        let line = String::from_utf8_lossy(&line);
        let value = line.trim_end().strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix('}'));
        Ok(Some(value.unwrap_or_default().to_owned()))
    };
    (0..column.len()).map(cell).collect()
}
