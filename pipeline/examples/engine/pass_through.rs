//! What does the cache add to writing? A million rows through a map that gives back what it gets, cold, beside the same
//! Parquet files written by arrow-rs alone.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Failures, Inputs};
use affectflow_pipeline::{Map, Planned, Problem, Shape, Source, Stage, StageResult, Work, Worker};
use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, FieldRef, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tempfile::TempDir;

use super::chain::{Chain, count, stage};
use super::kinds::{Nothing, about, field, id, registry};
use super::measure::Clock;
use super::{Answer, Bench};

/// Rows that the source hands over at once, and that the map is given.
const BATCH: usize = 1 << 13;
const COLUMNS: [&str; 3] = ["place", "score", "text"];

/// Rows in memory; the files that a run made of them.
pub struct PassThrough {
    folder: TempDir,
    rows: usize,
    chain: Chain,
    written: Vec<RecordBatch>,
}

impl PassThrough {
    /// Makes so many rows and runs them once.
    pub fn new(rows: usize) -> Answer<Self> {
        let folder = tempfile::tempdir()?;
        let mut kinds = registry();
        kinds.add(Given(given(rows)?.into())).add(Pass);
        let stages = [stage("given", "kind: given"), stage("pass", "kind: pass")];
        let chain = Chain::new(folder.path(), "pass_through", kinds, &stages)?;
        let mut bench = PassThrough { folder, rows, chain, written: Vec::new() };
        bench.ours()?;
        for path in bench.segments()? {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(rows);
            bench.written.extend(reader.build()?.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(bench)
    }

    /// The whole run: source, map, durable segments, lists, the record.
    fn ours(&self) -> Answer {
        let state = self.folder.path().join("state");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        let plan = self.chain.plan()?;
        let clock = Clock::start();
        let record = self.chain.run(&plan, &state)?;
        let told = clock.stop(json!({ "rows": self.rows }));
        match count(&record, "pass", "misses") == self.rows as u64 {
            true => Ok(told),
            false => Err("a row was not computed".into()),
        }
    }

    /// The same batches by arrow-rs, each a durable file.
    fn arrow(&self) -> Answer {
        let clock = Clock::start();
        let mut bytes = 0;
        for (at, batch) in self.written.iter().enumerate() {
            bytes += write(&self.folder.path().join(format!("{at}.parquet")), batch)?;
        }
        Ok(clock.stop(json!({ "rows": self.rows, "bytes": bytes, "files": self.written.len() })))
    }

    fn segments(&self) -> Answer<Vec<PathBuf>> {
        segments(&self.folder.path().join("state/cache/v1/rows"))
    }
}

impl Bench for PassThrough {
    /// One side writes everything once; `files` says where the segments lie, for readers in other languages.
    fn turn(&mut self, word: &str) -> Answer {
        match word {
            "ours" => self.ours(),
            "arrow" => self.arrow(),
            "files" => Ok(json!(self.segments()?)),
            _ => Err(format!("no turn `{word}`").into()),
        }
    }
}

/// The Parquet files below a folder.
pub fn segments(folder: &Path) -> Answer<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(segments(&path)?),
            false if path.extension().is_some_and(|end| end == "parquet") => found.push(path),
            false => {}
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a durable file as the cache does: Snappy, and fixed-size binary as it is.
pub fn write(path: &Path, batch: &RecordBatch) -> Answer<usize> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(usize::MAX));
    for field in batch.schema().fields() {
        if matches!(field.data_type(), DataType::FixedSizeBinary(_)) {
            properties = properties
                .set_column_dictionary_enabled(field.name().as_str().into(), false)
                .set_column_compression(field.name().as_str().into(), Compression::UNCOMPRESSED);
        }
    }
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties.build()))?;
    writer.write(batch)?;
    writer.close()?;
    let mut file = File::create(path)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    Ok(bytes.len())
}

fn given(rows: usize) -> Answer<Vec<RecordBatch>> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut fields = vec![field("id", DataType::Utf8)];
    fields.extend(columns(""));
    let schema = Arc::new(Schema::new(fields));
    let numbers: Vec<u32> = (0..rows as u32).collect();
    let batch = |numbers: &[u32]| {
        let text = numbers.iter().map(|_| format!("{:032x}", random.random::<u128>())).collect::<Vec<_>>();
        let scores = numbers.iter().map(|_| random.random::<f64>());
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(numbers.iter().map(|&number| id(number)))),
            Arc::new(Int64Array::from_iter_values(numbers.iter().map(|&number| number.into()))),
            Arc::new(Float64Array::from_iter_values(scores)),
            Arc::new(StringArray::from_iter_values(text)),
        ];
        Ok(RecordBatch::try_new(schema.clone(), arrays)?)
    };
    numbers.chunks(BATCH).map(batch).collect()
}

fn columns(prefix: &str) -> Vec<FieldRef> {
    let types = [DataType::Int64, DataType::Float64, DataType::Utf8];
    COLUMNS.iter().zip(types).map(|(name, of)| field(&format!("{prefix}{name}"), of)).collect()
}

/// Source: rows in memory.
struct Given(Arc<[RecordBatch]>);

impl Stage for Given {
    type Options = Nothing;

    fn about(&self) -> affectflow_pipeline::About {
        about("given", Shape::Source)
    }

    fn plan(&self, _: Nothing, _: &Inputs) -> Result<Planned, Problem> {
        Ok(Planned::new(&[], columns(""), Work::Source(Arc::new(Given(self.0.clone())))))
    }
}

impl Source for Given {
    fn rows(
        &self,
        _: &Context,
        emit: &mut dyn FnMut(RecordBatch) -> StageResult<()>,
        _: &mut Failures,
    ) -> StageResult<()> {
        self.0.iter().cloned().try_for_each(emit)
    }
}

/// Map: the columns under other names.
struct Pass;

impl Stage for Pass {
    type Options = Nothing;

    fn about(&self) -> affectflow_pipeline::About {
        about("pass", Shape::Map)
    }

    fn plan(&self, _: Nothing, _: &Inputs) -> Result<Planned, Problem> {
        Ok(Planned::new(&COLUMNS, columns("same_"), Work::Map(Arc::new(Pass))))
    }
}

impl Map for Pass {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        Ok(Box::new(Pass))
    }

    fn rows_per_call(&self) -> usize {
        BATCH
    }
}

impl Worker for Pass {
    fn compute(&mut self, rows: &RecordBatch, _: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        Ok(rows.columns()[1..].to_vec())
    }
}
