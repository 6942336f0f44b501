//! How fast are random minibatches of a large tensor column, from the cache and from a pack?
//!
//! `cargo run -p affectflow-pipeline --example pack [-- ROWS]` stores rows of 34,452 halves as a stage would, then reads
//! minibatches of 32 rows at random both ways and prints one table. Both read from the page cache if memory holds the rows.

use std::error::Error;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use affectflow_pipeline::batch::{Batch, Loader};
use affectflow_pipeline::cache::Cache;
use affectflow_pipeline::cache::entries::Entries;
use affectflow_pipeline::cache::segment::Rows;
use affectflow_pipeline::digest::Digest;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::tensor;
use arrow::array::{Array, AsArray, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Float16Type, Schema};

const ROWS: usize = 4_000;
/// Values of a row: the statistics of one view.
const WIDTH: usize = 34_452;
/// Rows of a segment: 64 MB.
const SEGMENT: usize = 900;
const BATCH: usize = 32;
const BATCHES: u64 = 40;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let rows = match std::env::args().nth(1) {
        None => ROWS,
        Some(word) => word.parse().map_err(|_| format!("`{word}` is no number of rows"))?,
    };
    let folder = tempfile::tempdir()?;
    let table = stored(folder.path(), rows)?;
    let started = Instant::now();
    let pack = table.resident("features")?;
    println!("{rows} rows of {WIDTH} halves; the pack takes {:.2} s", started.elapsed().as_secs_f64());
    let cache = rate(rows, |batch| Ok(sum(table.take(&["features"], batch)?.column(1), 0..batch.len())))?;
    let packed = rate(rows, |batch| Ok(sum(&pack, batch.values().iter().map(|&row| row as usize))))?;
    println!("{:<6}{cache:>12.0} rows/s", "cache");
    println!("{:<6}{packed:>12.0} rows/s", "pack");
    Ok(())
}

/// Rows of a table as they come from the cache, in segments, not in the order of their ids.
fn stored(folder: &std::path::Path, rows: usize) -> Result<TableRows, Box<dyn Error>> {
    let field = tensor::field("features", tensor::Dtype::Float16, &[1, WIDTH]);
    let entries = Entries::open(Cache::at(folder), "v1/rows/example".into(), vec![field.clone()], None)?;
    let entries = Arc::new(entries);
    let id = Field::new("id", DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![Arc::new(id), field]));
    let mut parts = Vec::new();
    for start in (0..rows).step_by(SEGMENT) {
        let numbers = start..rows.min(start + SEGMENT);
        let ids: Vec<String> = numbers.clone().map(|row| format!("{:08}", row * 7919 % rows)).collect();
        let values = numbers.flat_map(|row| (0..WIDTH).map(move |at| half::f16::from_f32((row + at) as f32)));
        let keys: Vec<Digest> = ids.iter().map(|id| Digest::of(id.as_bytes())).collect();
        let columns = vec![tensor::from_f16(WIDTH, values.collect())?];
        let ids = StringArray::from(ids);
        entries.commit(&Rows { keys: keys.clone(), inputs: Vec::new(), ids: ids.clone(), columns }, false)?;
        let places = entries.find(&keys)?.into_iter().collect::<Option<Arc<[_]>>>().ok_or("a row is gone")?;
        let columns = entries.columns(&places)?.into_iter().map(|(_, column)| column).collect();
        parts.push(Batch::new(schema.clone(), ids, columns));
    }
    Ok(TableRows::new(schema, parts, Loader::default())?.memory(0))
}

/// Rows read per second in minibatches at random.
fn rate(
    rows: usize,
    mut read: impl FnMut(&UInt32Array) -> Result<u16, Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    for number in 0..BATCHES {
        let hash = |at: u64| blake3::hash(&(number * BATCH as u64 + at).to_le_bytes());
        let row =
            |at: u64| hash(at).as_bytes().iter().fold(0, |row, &byte| (row * 256 + byte as usize) % rows);
        let batch = UInt32Array::from_iter_values((0..BATCH as u64).map(|at| row(at) as u32));
        black_box(read(&batch)?);
    }
    Ok((BATCHES * BATCH as u64) as f64 / started.elapsed().as_secs_f64())
}

/// The sum of the bits of some rows, so that every value is touched, at little cost.
fn sum(column: &dyn Array, rows: impl IntoIterator<Item = usize>) -> u16 {
    let bits = |row: usize| {
        let values = column.as_fixed_size_list().value(row);
        let values = values.as_primitive::<Float16Type>().values();
        values.iter().fold(0u16, |sum, value| sum.wrapping_add(value.to_bits()))
    };
    rows.into_iter().fold(0, |sum, row| sum.wrapping_add(bits(row)))
}
