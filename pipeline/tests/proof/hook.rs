//! Toy map `hook`: does at every row what the test asks for, while the run is on.

use std::sync::Arc;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Failures, Inputs};
use affectflow_pipeline::{About, Map, Planned, Problem, Shape, Stage, StageResult, Work, Worker};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone)]
pub struct Hook(pub Arc<dyn Fn() + Send + Sync>);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HookOptions {}

impl Stage for Hook {
    type Options = HookOptions;

    fn about(&self) -> About {
        super::about("hook", Shape::Map)
    }

    fn plan(&self, _: HookOptions, _: &Inputs) -> Result<Planned, Problem> {
        let field = Arc::new(Field::new("hooked", DataType::Utf8, true));
        Ok(Planned::new(&["value"], vec![field], Work::Map(Arc::new(self.clone()))))
    }
}

impl Map for Hook {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        Ok(Box::new(self.clone()))
    }
}

impl Worker for Hook {
    fn compute(&mut self, rows: &RecordBatch, _: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        (self.0)();
        Ok(vec![rows.column(1).clone()])
    }
}
