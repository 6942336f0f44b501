//! Toy kinds: enough of a family to plan with, none of which runs.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use affectflow_pipeline::batch::linked_field;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::{
    About, Failures, Inputs, Map, Planned, Shape, Source, Stage, Subset, Table, TableOutput, Work, Worker,
};
use affectflow_pipeline::{Problem, Registry, Retry, StageError, StageResult, tensor};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add(Photos).add(Blur).add(Train).add(Apply).add(Score).add(Peek).add(Keep);
    registry
}

fn text(name: &str) -> FieldRef {
    Arc::new(Field::new(name, DataType::Utf8, true))
}

fn class(name: &str, classes: &[String]) -> FieldRef {
    let names = serde_json::to_string(classes).unwrap();
    Arc::new(Field::new(name, DataType::Int32, true).with_metadata([("classes".to_owned(), names)]))
}

/// The work of every toy: it plans, and would refuse to run.
struct Idle;

fn idle() -> StageError {
    StageError::new("a toy does not run")
}

impl Source for Idle {
    fn rows(
        &self,
        _: &Context,
        _: &mut dyn FnMut(RecordBatch) -> StageResult<()>,
        _: &mut Failures,
    ) -> StageResult<()> {
        Err(idle())
    }
}

impl Map for Idle {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        Err(idle())
    }
}

impl Subset for Idle {
    fn select(&self, _: &RecordBatch) -> StageResult<Vec<u32>> {
        Err(idle())
    }
}

impl Table for Idle {
    fn run(&self, _: &TableRows, _: &Context) -> StageResult<TableOutput> {
        Err(idle())
    }
}

macro_rules! about {
    ($kind:literal, $shape:ident, $summary:literal, $scores:literal, $columns:expr) => {
        About {
            kind: $kind,
            version: 1,
            summary: $summary,
            shape: Shape::$shape,
            scores: $scores,
            retry: if $scores { Retry::Unsafe } else { Retry::Safe },
            columns: $columns,
            example: "",
        }
    };
}

/// Pictures from a folder.
pub struct Photos;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhotosOptions {
    /// Where the pictures lie
    #[schemars(extend("x-identity" = false))]
    path: PathBuf,
    /// Names of the classes
    #[serde(default = "two_classes")]
    #[schemars(length(min = 2, max = 9))]
    classes: Vec<String>,
    /// What the folders mean
    #[serde(default)]
    labels: Labels,
    /// At most so many pictures
    #[serde(default)]
    limit: Option<u32>,
    /// Whether to look into folders inside folders
    #[serde(default)]
    deep: bool,
    /// A further column of text
    #[serde(default)]
    carry: Option<String>,
}

fn two_classes() -> Vec<String> {
    vec!["calm".into(), "joy".into()]
}

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Labels {
    /// Folder to class
    map: BTreeMap<String, String>,
    /// A file with them
    #[schemars(extend("x-identity" = false))]
    file: Option<PathBuf>,
}

impl Stage for Photos {
    type Options = PhotosOptions;

    fn about(&self) -> About {
        let columns = &[
            ("image", "binary", "the picture"),
            ("label", "int32", "class"),
            ("eval_label", "int32", "class"),
        ];
        about!("photos", Source, "Pictures from a folder", false, columns)
    }

    fn plan(&self, options: PhotosOptions, _: &Inputs) -> Result<Planned, Problem> {
        if let Some((folder, class)) =
            options.labels.map.iter().find(|(_, class)| !options.classes.contains(class))
        {
            let problem = Problem::new(format!("folder `{folder}` maps to `{class}`, which is no class"));
            return Err(problem.option(&format!("labels.map.{folder}")).hint("list it in `classes`"));
        }
        let mut adds = vec![
            Arc::new(Field::new("domain", DataType::Utf8, false)),
            class("label", &options.classes),
            class("eval_label", &options.classes),
            text("uri"),
            Arc::new(Field::new("image_digest", DataType::FixedSizeBinary(16), true)),
            linked_field("image", "uri", "image_digest"),
        ];
        adds.extend(options.carry.as_deref().map(text));
        Ok(Planned::new(&[], adds, Work::Source(Arc::new(Idle))))
    }
}

/// Numbers from a picture.
pub struct Blur;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BlurOptions {
    /// How far it reaches
    #[schemars(range(min = 1, max = 9), extend("x-unit" = "px"))]
    radius: u32,
    /// A factor
    #[schemars(range(min = 0.0))]
    gain: f32,
    /// How the border is treated
    border: Border,
    /// Rows handed over at once
    #[schemars(extend("x-identity" = false))]
    rows_per_call: usize,
}

impl Default for BlurOptions {
    fn default() -> Self {
        BlurOptions { radius: 2, gain: 1.0, border: Border::Wrap, rows_per_call: 32 }
    }
}

/// How a border is treated.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "mode", deny_unknown_fields)]
pub enum Border {
    /// From the other side
    Wrap,
    /// With a value
    Fill {
        /// The value
        value: f32,
    },
}

impl Stage for Blur {
    type Options = BlurOptions;

    fn about(&self) -> About {
        about!("blur", Map, "Blurs a picture into numbers", false, &[("features", "tensor", "numbers")])
    }

    fn plan(&self, _: BlurOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column("image")?;
        let adds = vec![tensor::field("features", tensor::Dtype::Float16, &[4])];
        Ok(Planned::new(&["image"], adds, Work::Map(Arc::new(Idle))))
    }
}

/// Learns from labels.
pub struct Train;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainOptions {
    /// How often the rows are seen
    #[schemars(range(min = 1))]
    epochs: u32,
    /// Learning rate
    lr: f64,
    /// When pseudo-labels change
    pseudo: Pseudo,
    /// Where chance begins
    seed: u64,
    /// Layers by width, or by name
    layers: Option<Layers>,
}

impl Default for TrainOptions {
    fn default() -> Self {
        TrainOptions { epochs: 3, lr: 1e-3, pseudo: Pseudo::Epoch, seed: 0, layers: None }
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pseudo {
    /// Never
    Fixed,
    /// Each epoch
    Epoch,
    /// Each batch
    Batch,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Layers {
    Widths(Vec<u32>),
    Name(String),
}

impl Stage for Train {
    type Options = TrainOptions;

    fn about(&self) -> About {
        about!(
            "train",
            Table,
            "Learns from labels, provides `weights`",
            false,
            &[("prediction", "int32", "class")]
        )
    }

    fn plan(&self, _: TrainOptions, _: &Inputs) -> Result<Planned, Problem> {
        let adds = vec![Arc::new(Field::new("prediction", DataType::Int32, false))];
        let planned = Planned::new(&["features", "label"], adds, Work::Table(Arc::new(Idle)));
        Ok(Planned { provides: vec!["weights".into()], ..planned })
    }
}

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub struct NoOptions {}

/// Uses what was learnt.
pub struct Apply;

impl Stage for Apply {
    type Options = NoOptions;

    fn about(&self) -> About {
        about!("apply", Table, "Uses what was learnt", false, &[("guess", "int32", "class")])
    }

    fn plan(&self, _: NoOptions, _: &Inputs) -> Result<Planned, Problem> {
        let planned = Planned::new(&["features"], vec![text("guess")], Work::Table(Arc::new(Idle)));
        Ok(Planned { needs: vec!["weights".into()], ..planned })
    }
}

/// Compares with the truth.
pub struct Score;

impl Stage for Score {
    type Options = NoOptions;

    fn about(&self) -> About {
        about!("score", Table, "Compares with the truth", true, &[])
    }

    fn plan(&self, _: NoOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column_as("prediction", "int32", |kind| *kind == DataType::Int32)?;
        Ok(Planned::new(&["prediction", "eval_label"], Vec::new(), Work::Table(Arc::new(Idle))))
    }
}

/// Looks where it must not.
pub struct Peek;

impl Stage for Peek {
    type Options = NoOptions;

    fn about(&self) -> About {
        about!("peek", Map, "Looks where it must not", false, &[])
    }

    fn plan(&self, _: NoOptions, _: &Inputs) -> Result<Planned, Problem> {
        Ok(Planned::new(&["eval_label"], Vec::new(), Work::Map(Arc::new(Idle))))
    }
}

/// Keeps some rows.
pub struct Keep;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeepOptions {
    /// Share of the rows
    #[serde(default = "half")]
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    share: f64,
}

fn half() -> f64 {
    0.5
}

impl Stage for Keep {
    type Options = KeepOptions;

    fn about(&self) -> About {
        about!("keep", Subset, "Keeps some rows", false, &[])
    }

    fn plan(&self, _: KeepOptions, _: &Inputs) -> Result<Planned, Problem> {
        Ok(Planned::new(&[], Vec::new(), Work::Subset(Arc::new(Idle))))
    }
}
