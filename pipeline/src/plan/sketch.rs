//! How far can a pipeline be planned that may be broken? Its edges, and the columns that leave the stages that can.

use std::path::Path;

use arrow::datatypes::SchemaRef;

use super::resolve::{Place, Planner};
use crate::registry::Registry;
use crate::spec::{PipelineSpec, Variant};

/// A pipeline as far as it can be planned; stages by their place in the file.
pub(crate) struct Sketch {
    /// The stages that each takes rows from, those left out passed by.
    pub(crate) inputs: Vec<Vec<usize>>,
    /// Each after its inputs.
    pub(crate) order: Vec<usize>,
    /// Stages whose inputs could not be resolved.
    pub(crate) broken: Vec<bool>,
    /// The columns that leave; `None` where a stage cannot be planned.
    pub(crate) leaving: Vec<Option<SchemaRef>>,
}

/// Plans one combination of a pipeline; what is wrong with it is for others to tell.
pub(crate) fn sketch(
    pipeline: &PipelineSpec,
    variant: &Variant,
    file: &str,
    registry: &Registry,
    base: &Path,
) -> Sketch {
    let mut planner = Planner::new(pipeline, variant, Place { registry, base, file });
    let order = planner.graph.order.clone();
    order.iter().for_each(|&at| planner.stage(at));
    let leaving = planner.done.iter().map(|done| Some(done.as_ref()?.stage.schema.clone())).collect();
    Sketch { inputs: planner.graph.inputs, order, broken: planner.graph.broken, leaving }
}
