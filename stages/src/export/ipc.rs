//! `.arrow`: the Arrow IPC file format, also known as Feather.

use std::io::Write;

use affectflow_pipeline::Error;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::FileWriter;

use super::file::Sink;

struct Ipc(FileWriter<Box<dyn Write + Send>>);

pub(super) fn open(file: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn Sink>, Error> {
    Ok(Box::new(Ipc(FileWriter::try_new(file, &schema)?)))
}

impl Sink for Ipc {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        Ok(self.0.write(batch)?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), Error> {
        self.0.finish()?;
        Ok(self.0.flush()?)
    }
}
