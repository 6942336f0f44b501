//! How fast are tensors of 34,452 halves written and read again, digests checked? Beside Parquet by arrow-rs alone.

use std::fs::{self, File};
use std::path::PathBuf;

use affectflow_pipeline::Digest;
use affectflow_pipeline::cache::Cache;
use affectflow_pipeline::cache::entries::Entries;
use affectflow_pipeline::cache::segment::Rows;
use affectflow_pipeline::tensor::{self, Dtype};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::FieldRef;
use half::f16;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tempfile::TempDir;

use super::measure::Clock;
use super::pass_through::{segments, write};
use super::{Answer, Bench, kinds};

/// Halves of one row.
const WIDTH: usize = 34_452;
/// Rows of a segment: the most that the cache lets wait, 64 MB.
const SEGMENT: usize = (64 << 20) / (WIDTH * 2);
/// Rows of a read, as a stage that computes asks for them.
const CALL: usize = 32;
const FOLDER: &str = "v1/rows/tensors";

/// Segments not yet written.
pub struct Tensors {
    folder: TempDir,
    rows: usize,
    field: FieldRef,
    parts: Vec<(std::ops::Range<usize>, ArrayRef)>,
    written: Vec<RecordBatch>,
}

impl Tensors {
    /// Makes so many rows of random bits, which no compression makes smaller.
    pub fn new(rows: usize) -> Answer<Self> {
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut parts = Vec::new();
        for first in (0..rows).step_by(SEGMENT) {
            let range = first..rows.min(first + SEGMENT);
            let halves: Vec<f16> =
                (0..range.len() * WIDTH).map(|_| f16::from_bits(random.random())).collect();
            parts.push((range, tensor::from_f16(WIDTH, halves)?));
        }
        let field = tensor::field("features", Dtype::Float16, &[WIDTH]);
        let mut bench = Tensors { folder: tempfile::tempdir()?, rows, field, parts, written: Vec::new() };
        bench.write()?;
        for path in bench.files()? {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(rows);
            bench.written.extend(reader.build()?.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(bench)
    }

    fn entries(&self) -> Answer<Entries> {
        let cache = Cache::at(self.folder.path().join("cache"));
        Ok(Entries::open(cache, FOLDER.into(), vec![self.field.clone()], None)?)
    }

    fn files(&self) -> Answer<Vec<PathBuf>> {
        segments(&self.folder.path().join("cache"))
    }

    fn told(&self, clock: Clock) -> Answer {
        Ok(clock.stop(json!({ "bytes": self.rows * WIDTH * 2 })))
    }

    /// Segments as a run commits them: digests, keys, durable files.
    fn write(&self) -> Answer {
        let cache = self.folder.path().join("cache");
        if cache.exists() {
            fs::remove_dir_all(&cache)?;
        }
        let clock = Clock::start();
        let entries = self.entries()?;
        for (range, column) in &self.parts {
            let keys: Vec<Digest> = range.clone().map(key).collect();
            let ids = StringArray::from_iter_values(range.clone().map(|row| kinds::id(row as u32)));
            entries
                .commit(&Rows { inputs: keys.clone(), keys, ids, columns: vec![column.clone()] }, false)?;
        }
        self.told(clock)
    }

    /// Opened anew: look-ups, reads and digests of so many rows at a time.
    fn read(&self, order: &[usize]) -> Answer {
        let clock = Clock::start();
        let entries = self.entries()?;
        for rows in order.chunks(CALL) {
            let keys: Vec<Digest> = rows.iter().map(|&row| key(row)).collect();
            let places =
                entries.find(&keys)?.into_iter().collect::<Option<Vec<_>>>().ok_or("a row is gone")?;
            let read = entries.read(0, &places, &entries.digests(0, &places)?)?;
            assert_eq!(read.len(), rows.len());
        }
        self.told(clock)
    }

    fn arrow_write(&self) -> Answer {
        let clock = Clock::start();
        for (at, batch) in self.written.iter().enumerate() {
            write(&self.folder.path().join(format!("{at}.parquet")), batch)?;
        }
        self.told(clock)
    }

    fn arrow_read(&self) -> Answer {
        let clock = Clock::start();
        let mut rows = 0;
        for at in 0..self.written.len() {
            let file = File::open(self.folder.path().join(format!("{at}.parquet")))?;
            for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(CALL).build()? {
                rows += batch?.num_rows();
            }
        }
        assert_eq!(rows, self.rows);
        self.told(clock)
    }
}

impl Bench for Tensors {
    /// One side writes or reads everything once; `files` says where the segments lie.
    fn turn(&mut self, word: &str) -> Answer {
        let mut order: Vec<usize> = (0..self.rows).collect();
        match word {
            "write" => self.write(),
            "read" => self.read(&order),
            "read_shuffled" => {
                order.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
                self.read(&order)
            }
            "arrow_write" => self.arrow_write(),
            "arrow_read" => self.arrow_read(),
            "files" => Ok(json!(self.files()?)),
            _ => Err(format!("no turn `{word}`").into()),
        }
    }
}

fn key(row: usize) -> Digest {
    Digest::of(&row.to_le_bytes())
}
