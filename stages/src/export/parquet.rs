//! `.parquet`

use std::io::Write;

use affectflow_pipeline::Error;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::file::Sink;

struct Parquet(ArrowWriter<Box<dyn Write + Send>>);

pub(super) fn open(file: Box<dyn Write + Send>, schema: SchemaRef) -> Result<Box<dyn Sink>, Error> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    Ok(Box::new(Parquet(ArrowWriter::try_new(file, schema, Some(properties))?)))
}

impl Sink for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        Ok(self.0.write(batch)?)
    }

    fn finish(self: Box<Self>) -> Result<(), Error> {
        let mut file = self.0.into_inner()?;
        file.flush().map_err(|source| Error::Io { action: "write", path: "the Parquet file".into(), source })
    }
}
