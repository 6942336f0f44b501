//! What is a pipeline once resolved? An immutable graph of planned stages, in an order in which every stage comes after its inputs.

use std::path::PathBuf;

use arrow::datatypes::SchemaRef;
use serde_json::Value;

use crate::error::Span;
use crate::stage::Planned;

/// A pipeline, resolved and checked as a whole.
pub struct Plan {
    /// Its name.
    pub pipeline: String,
    /// One line from the file.
    pub description: Option<String>,
    /// Stages in topological order, ties in the order written.
    pub stages: Vec<PlannedStage>,
    /// The pipeline as resolved (variables substituted, defaults written out), for the run's record.
    pub resolved: Value,
    /// The file's folder.
    pub base: PathBuf,
}

/// A stage of a plan.
pub struct PlannedStage {
    /// Its name in the file.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Indices in [`Plan::stages`] of the stages it takes rows from, in order.
    pub inputs: Vec<usize>,
    /// Columns that arrive: the union over its inputs, `id` first.
    pub input_schema: SchemaRef,
    /// Columns that leave, `id` first.
    pub schema: SchemaRef,
    /// Options with every default written out.
    pub options: Value,
    /// The options that count: without those marked `x-identity: false`.
    pub identity_options: Value,
    /// The work.
    pub planned: Planned,
    /// What to do with rows that fail.
    pub on_error: OnError,
    /// Where it stands in the file.
    pub span: Span,
}

/// What a stage does with rows that fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OnError {
    /// Sets them aside; above this share of its rows the stage fails.
    Quarantine {
        /// From 0 to 1; 0.05 by default.
        threshold: f64,
    },
    /// Fails at the first.
    Fail,
}
