//! How do rows leave the pipeline? `export` writes them as a file, or as a folder that Hugging Face `datasets` opens.
//!
//! The formats are here for the command `export` too. What the stage wrote counts as done only while it lies there unchanged.

mod csv;
mod datasets;
pub mod file;
mod ipc;
mod jsonl;
mod parquet;
mod plain;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use affectflow_pipeline::batch::link_of;
use affectflow_pipeline::plan::SCORING_COLUMN;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::{Dependency, Inputs, TableOutput};
use affectflow_pipeline::{
    About, Digest, Error, Planned, Problem, Retry, Shape, Stage, StageError, StageResult, Table, Work,
};
use arrow::array::{RecordBatch, UInt32Array};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows read at once: they may hold pictures.
const BATCH: usize = 256;

/// Options of `export`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportOptions {
    /// The file or folder to write, from the folder of the pipeline file. What it wrote before is replaced
    #[schemars(extend("x-identity" = false, "minLength" = 1))]
    pub path: PathBuf,
    /// The format; left out: by the ending of `path`, and without one a `datasets` folder
    #[serde(default)]
    pub format: Option<Format>,
    /// Columns to write after `id`; left out: all that arrive, `image` in a `datasets` folder alone, `eval_label` never
    #[serde(default)]
    #[schemars(extend("x-column" = "value"))]
    pub columns: Option<Vec<String>>,
    /// Rows in one file of a `datasets` folder; left out: as many as make half a gigabyte
    #[serde(default)]
    #[schemars(range(min = 1), extend("x-unit" = "rows"))]
    pub rows_per_file: Option<u64>,
}

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Parquet
    Parquet,
    /// The Arrow IPC file format
    Arrow,
    /// Text with nested columns as JSON
    Csv,
    /// A JSON object a line
    Jsonl,
    /// A folder that `datasets.load_from_disk` opens
    Datasets,
}

/// The kind `export`.
pub struct Export;

impl Stage for Export {
    type Options = ExportOptions;

    fn about(&self) -> About {
        About {
            kind: "export",
            version: 1,
            summary: "Writes the rows as Parquet, Arrow, CSV, JSON lines or a Hugging Face `datasets` folder",
            shape: Shape::Table,
            scores: false,
            retry: Retry::Safe,
            columns: &[],
            example: "out: { kind: export, config: { path: out/faces, format: datasets } }",
        }
    }

    fn plan(&self, options: ExportOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        let format = options.format()?;
        let columns = options.columns(inputs, format)?;
        if format == Format::Datasets {
            let fields = columns.iter().map(|name| inputs.column(name));
            datasets::check(fields.collect::<Result<Vec<_>, _>>()?)?;
        } else if options.rows_per_file.is_some() {
            let problem = Problem::new("`rows_per_file` is for a `datasets` folder").option("rows_per_file");
            return Err(problem.hint("remove it, or write `format: datasets`"));
        }
        let path = std::path::absolute(inputs.path(&options.path))
            .map_err(|error| Problem::new(format!("`path` cannot be used: {error}")).option("path"))?;
        // The place counts, as an absolute one: what was written elsewhere does not lie here.
        let place = Digest::of(path.as_os_str().as_encoded_bytes());
        let depends = vec![Dependency::Content { name: "place".into(), digest: place }];
        let consumes: Vec<&str> = columns.iter().map(String::as_str).collect();
        let writes = vec![path.clone()];
        let work = Writer { path, format, columns: columns.clone(), rows_per_file: options.rows_per_file };
        Ok(Planned { depends, writes, ..Planned::new(&consumes, Vec::new(), Work::Table(Arc::new(work))) })
    }
}

impl ExportOptions {
    fn format(&self) -> Result<Format, Problem> {
        if self.path.file_name().is_none() {
            return Err(Problem::new("`path` names no file")
                .option("path")
                .hint("for example `out/rows.parquet`"));
        }
        let ending = self.path.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
        match (self.format, ending.as_deref()) {
            (Some(format), _) => Ok(format),
            (None, Some("parquet")) => Ok(Format::Parquet),
            (None, Some("arrow")) => Ok(Format::Arrow),
            (None, Some("csv")) => Ok(Format::Csv),
            (None, Some("jsonl")) => Ok(Format::Jsonl),
            (None, None) => Ok(Format::Datasets),
            (None, Some(_)) => {
                let message = format!("cannot tell the format of `{}`", self.path.display());
                let hint = "end its name with `.parquet`, `.arrow`, `.csv` or `.jsonl`, or write `format`";
                Err(Problem::new(message).option("path").hint(hint))
            }
        }
    }

    fn columns(&self, inputs: &Inputs, format: Format) -> Result<Vec<String>, Problem> {
        let Some(columns) = &self.columns else {
            let wanted = |field: &&Arc<arrow::datatypes::Field>| {
                let name = field.name();
                name != "id"
                    && name != SCORING_COLUMN
                    && (format == Format::Datasets || link_of(field).is_none())
            };
            return Ok(inputs
                .schema
                .fields()
                .iter()
                .filter(wanted)
                .map(|field| field.name().clone())
                .collect());
        };
        for name in columns {
            inputs.column(name).map_err(|problem| problem.option("columns"))?;
        }
        Ok(columns.iter().filter(|name| *name != "id").cloned().collect())
    }
}

/// The work of `export`.
struct Writer {
    path: PathBuf,
    format: Format,
    columns: Vec<String>,
    rows_per_file: Option<u64>,
}

impl Table for Writer {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let path = cx.outside(&self.path);
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(|source| Error::Io {
            action: "create",
            path: folder.to_owned(),
            source,
        })?;
        let open = match self.format {
            Format::Datasets => None,
            Format::Parquet => Some(parquet::open as file::Open),
            Format::Arrow => Some(ipc::open as file::Open),
            Format::Csv => Some(csv::open as file::Open),
            Format::Jsonl => Some(jsonl::open as file::Open),
        };
        let mut stopped = None;
        let batches = |sink: &mut dyn FnMut(RecordBatch) -> Result<(), Error>| {
            self.batches(rows, cx, &mut stopped, sink)
        };
        let written = match open {
            None => datasets::write(&path, self.rows_per_file, batches),
            Some(open) => {
                let written = file::write(&path, open, batches);
                written.map(|_| vec![path.clone()]).map_err(StageError::from)
            }
        };
        match stopped {
            Some(stopped) => Err(stopped),
            None => Ok(TableOutput { written: written?, ..TableOutput::default() }),
        }
    }
}

impl Writer {
    /// Gives the rows in id order, a few at a time, until there are no more or `stopped` says why.
    fn batches(
        &self,
        rows: &TableRows,
        cx: &Context,
        stopped: &mut Option<StageError>,
        sink: &mut dyn FnMut(RecordBatch) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        for start in (0..rows.len()).step_by(BATCH) {
            let end = rows.len().min(start + BATCH);
            sink(rows.take(&columns, &UInt32Array::from_iter_values(start as u32..end as u32))?)?;
            if let Err(error) = cx.check() {
                *stopped = Some(error);
                return Err(Error::Interrupted);
            }
            cx.progress(end as u64, Some(rows.len() as u64), "rows", "");
        }
        Ok(())
    }
}

/// An error of a stage that writes, in a place that is taken.
fn taken(path: &Path, what: &str) -> StageError {
    StageError::new(format!("`{}` {what}", path.display())).hint("name another `path`, or move it away")
}
