//! `.jsonl`: an object a line; nulls are written out, so that every line has every column.

use std::io::Write;

use affectflow_pipeline::Error;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::WriterBuilder;
use arrow::json::writer::{LineDelimited, Writer};

use super::file::Sink;

struct Jsonl(Writer<Box<dyn Write + Send>, LineDelimited>);

pub(super) fn open(file: Box<dyn Write + Send>, _: SchemaRef) -> Result<Box<dyn Sink>, Error> {
    Ok(Box::new(Jsonl(WriterBuilder::new().with_explicit_nulls(true).build(file))))
}

impl Sink for Jsonl {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        Ok(self.0.write(&wide(batch)?)?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.0.finish()?;
        let mut file = self.0.into_inner();
        file.flush().map_err(|source| Error::Io { action: "write", path: "the JSON lines".into(), source })
    }
}

/// JSON has no 16-bit floats: they are written as the 32-bit floats that they are.
pub(super) fn wide(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    use std::sync::Arc;

    use arrow::compute::cast;
    use arrow::datatypes::{DataType, Field, Schema};

    let widened = |kind: &DataType| match kind {
        DataType::Float16 => Some(DataType::Float32),
        DataType::List(item) if *item.data_type() == DataType::Float16 => {
            Some(DataType::List(Arc::new(Field::new(item.name(), DataType::Float32, item.is_nullable()))))
        }
        _ => None,
    };
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        match widened(field.data_type()) {
            None => {
                fields.push(field.clone());
                columns.push(column.clone());
            }
            Some(kind) => {
                fields.push(Arc::new(Field::new(field.name(), kind.clone(), field.is_nullable())));
                columns.push(cast(column, &kind)?);
            }
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
