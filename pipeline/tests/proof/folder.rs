//! Toy source `folder`: rows of `rows.tsv` (id, value, note), each with a linked file `<id>.bin` that any may lack.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use affectflow_pipeline::batch::linked_field;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Failures, Inputs};
use affectflow_pipeline::{About, Planned, Problem, Shape, Source, Stage, StageResult, Work};
use arrow::array::{ArrayRef, FixedSizeBinaryBuilder, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub struct Folder;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FolderOptions {
    /// Where the rows lie
    #[schemars(extend("x-identity" = false))]
    path: PathBuf,
    /// Rows handed over at once
    #[serde(default = "seven")]
    #[schemars(extend("x-identity" = false))]
    batch: usize,
}

fn seven() -> usize {
    7
}

fn utf8(name: &str) -> FieldRef {
    Arc::new(Field::new(name, DataType::Utf8, true))
}

impl Stage for Folder {
    type Options = FolderOptions;

    fn about(&self) -> About {
        super::about("folder", Shape::Source)
    }

    fn plan(&self, options: FolderOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        let digest = Arc::new(Field::new("file_digest", DataType::FixedSizeBinary(16), true));
        let link = linked_field("file", "uri", "file_digest");
        let adds = vec![utf8("value"), utf8("note"), utf8("uri"), digest, link];
        let path = inputs.path(&options.path);
        Ok(Planned::new(&[], adds, Work::Source(Arc::new(FolderOptions { path, ..options }))))
    }
}

impl Source for FolderOptions {
    fn rows(
        &self,
        cx: &Context,
        emit: &mut dyn FnMut(RecordBatch) -> StageResult<()>,
        failures: &mut Failures,
    ) -> StageResult<()> {
        let dataset = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(self.path.join("rows.tsv"))?;
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        for chunk in rows.chunks(self.batch.max(1)) {
            let files: Vec<PathBuf> =
                chunk.iter().map(|row| self.path.join(format!("{}.bin", row[0]))).collect();
            let mut digests = FixedSizeBinaryBuilder::new(16);
            let mut kept = Vec::new();
            for ((row, file), digest) in chunk.iter().zip(&files).zip(cx.digest_files(&files)) {
                let id = format!("{dataset}/{}", row[0]);
                match digest {
                    Ok((digest, _)) => {
                        digests.append_value(digest.0)?;
                        kept.push([
                            id,
                            row[1].to_owned(),
                            row[2].to_owned(),
                            format!("file:{}", file.display()),
                        ]);
                    }
                    Err(_) => failures.push(&id, "no file"),
                }
            }
            let text = |at: usize| -> ArrayRef {
                Arc::new(StringArray::from_iter_values(kept.iter().map(|row| &row[at])))
            };
            emit(RecordBatch::try_from_iter([
                ("id", text(0)),
                ("value", text(1)),
                ("note", text(2)),
                ("uri", text(3)),
                ("file_digest", Arc::new(digests.finish())),
            ])?)?;
        }
        Ok(())
    }
}
