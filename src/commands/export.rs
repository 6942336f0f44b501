//! `export`: the rows of a stage in a recorded run, as a file that pyarrow, polars and spreadsheets open.

use std::path::{Path, PathBuf};

use affectflow_pipeline::run::export::export;
use affectflow_pipeline::run::record::Record;
use affectflow_stages::export::file;

use crate::commands::tell_damage;
use crate::exit::{Exit, Failure, Outcome};
use crate::project::Project;
use crate::view::numbers::{bytes, count};

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The run's name as `runs` lists it, or `last`
    run: String,
    /// The stage whose rows are wanted
    stage: String,
    /// The file to write; its ending chooses the format: `.parquet`, `.arrow`, `.csv`, `.jsonl`
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Every column that had reached the stage, not only its own
    #[arg(long)]
    all: bool,
}

const AFTER: &str = "\
Examples:
  affectflow export last adapt -o predictions.csv    id and the columns of `adapt`
  affectflow export last adapt -o all.parquet --all  with every column that had reached it";

/// Writes the file whole: to a temporary name beside it, then in place.
pub fn run(args: Args, project: &Project) -> Outcome {
    let open = format(&args.output)?;
    let state = project.existing()?;
    let record = Record::find(&state.runs, &args.run)?;
    let written =
        file::write(&args.output, open, |sink| export(&state.cache, &record, &args.stage, args.all, sink));
    tell_damage(&state.cache.take_damage());
    let written = written?;
    eprintln!(
        "{} of stage `{}` in `{}`, {}",
        count(written.rows, "row"),
        args.stage,
        args.output.display(),
        bytes(written.bytes)
    );
    Ok(Exit::Done)
}

fn format(output: &Path) -> Result<file::Open, Failure> {
    file::by_ending(output).ok_or_else(|| {
        Failure::wrong(
            format!("cannot tell the format of `{}`", output.display()),
            "end its name with `.parquet`, `.arrow`, `.csv` or `.jsonl`",
        )
    })
}
