//! `show RUN`: stages, scores and rows in quarantine of a past run.

use std::fs::File;
use std::io::Write;

use affectflow_pipeline::Error;
use affectflow_pipeline::cache::live;
use affectflow_pipeline::run::record::Record;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::numbers::{duration, to_the_second};
use crate::view::summary::{metrics, summary};
use crate::view::table::table;

/// Rows in quarantine that are listed; the file has them all.
const LISTED: usize = 20;

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The run's name as `runs` lists it, or `last`
    #[arg(default_value = "last")]
    run: String,
    /// Print the record and the metrics as JSON
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Examples:
  affectflow show                                    the newest run
  affectflow show last --json | jq .metrics          its scores for a program";

/// Shows it.
pub fn run(args: Args, project: &Project) -> Outcome {
    let state = project.existing()?;
    let record = Record::find(&state.runs, &args.run)?.as_far_as_told();
    let at_work = live::runs(&state.cache)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let value = json!({ "run": record, "metrics": metrics(&record) });
        writeln!(out, "{value:#}")?;
        return Ok(Exit::Done);
    }
    writeln!(
        out,
        "run       {}\npipeline  {}\noutcome   {}",
        record.id,
        record.name,
        record.stands(&at_work)
    )?;
    writeln!(
        out,
        "started   {}\nended     {}",
        to_the_second(&record.start),
        record.end.as_deref().unwrap_or("-")
    )?;
    writeln!(out, "took      {}", record.seconds.map_or("-".into(), duration))?;
    writeln!(out, "folder    {}", record.folder().display())?;
    if let Some(error) = &record.error {
        writeln!(out, "error     {error}")?;
    }
    writeln!(out, "\n{}", summary(&record))?;
    let failed = quarantined(&record);
    if !failed.is_empty() {
        let more = failed.len().saturating_sub(LISTED);
        write!(
            out,
            "{}",
            table(&["quarantined row", "stage", "error", "attempts"], 3, failed.into_iter().take(LISTED))
        )?;
        if more > 0 {
            writeln!(out, "and {more} more in {}", record.folder().join("quarantine.parquet").display())?;
        }
    }
    Ok(Exit::Done)
}

/// The rows of `quarantine.parquet`; none where a run broke off before it was written. One that cannot be read is told of.
fn quarantined(record: &Record) -> Vec<Vec<String>> {
    let path = record.folder().join("quarantine.parquet");
    let Ok(file) = File::open(&path) else { return Vec::new() };
    read(file).unwrap_or_else(|error| {
        eprintln!("warning: `{}` cannot be read, so that its rows are not shown: {error}", path.display());
        Vec::new()
    })
}

fn read(file: File) -> Result<Vec<Vec<String>>, Error> {
    let mut rows = Vec::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file)?.build()? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let cell = |column: usize| {
                let array = batch.column(column);
                arrow::util::display::array_value_to_string(array.as_ref(), row).unwrap_or_default()
            };
            rows.push((0..batch.num_columns()).map(cell).collect());
        }
    }
    Ok(rows)
}
