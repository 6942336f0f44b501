//! How do the rows of a test reach a stage? As a stage that gives them, in the place of one of the pipeline.
//!
//! It is a table behind a source of one row that nobody reads, and no source itself: ids are unique over all sources, and the
//! rows of two ports may well have the same.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use serde_json::{Value as Json, json};

use crate::error::{Problem, StageResult};
use crate::plan::{OnError, Tries};
use crate::registry::{Kind, Registry};
use crate::run::context::Context;
use crate::run::table_rows::TableRows;
use crate::spec::{Name, Node, StageSpec};
use crate::stage::{About, Failures, Inputs, Planned, Retry, Shape, Source, Table, TableOutput, Work};

/// The kind of the stages that stand in, and of the one that they all take their one row from. Nobody can write these names.
const GIVEN: &str = "rows of a test";
const NOTHING: &str = "no rows";

/// The kinds of a registry, and one more that gives rows by the name of the stage.
pub(super) fn registered(registry: &Registry, rows: HashMap<String, RecordBatch>) -> Registry {
    let mut registry = registry.clone();
    if !rows.is_empty() {
        registry.add(Given(rows)).add(Nothing);
    }
    registry
}

/// The stages that stand in for others, with the one before them.
pub(super) fn stages(names: &[Name]) -> Vec<StageSpec> {
    let Some(first) = names.first() else { return Vec::new() };
    let nothing = Name { text: NOTHING.into(), span: first.span.clone() };
    let before = stage(&nothing, NOTHING, None);
    let given = names.iter().map(|name| stage(name, GIVEN, Some(vec![nothing.clone()])));
    std::iter::once(before).chain(given).collect()
}

fn stage(name: &Name, kind: &str, inputs: Option<Vec<Name>>) -> StageSpec {
    StageSpec {
        name: name.clone(),
        kind: Some(Name { text: kind.into(), span: name.span.clone() }),
        inputs,
        ports: Vec::new(),
        inputs_span: name.span.clone(),
        config: Node::empty(name.span.clone()),
        on_error: OnError::Fail,
        tries: Tries::default(),
        tries_at: Vec::new(),
        left_out: false,
        broken: false,
    }
}

fn about(kind: &'static str, shape: Shape) -> About {
    let summary = "What a test gives";
    About { kind, version: 1, summary, shape, scores: false, retry: Retry::Safe, columns: &[], example: "" }
}

struct Nothing;

impl Kind for Nothing {
    fn about(&self) -> About {
        about(NOTHING, Shape::Source)
    }

    fn schema(&self) -> Json {
        json!({ "type": "object" })
    }

    fn plan(&self, _: &Json, _: &Inputs) -> Result<(Planned, Json), Problem> {
        Ok((Planned::new(&[], Vec::new(), Work::Source(Arc::new(Nothing))), json!({})))
    }
}

impl Source for Nothing {
    fn rows(
        &self,
        _: &Context,
        emit: &mut dyn FnMut(RecordBatch) -> StageResult<()>,
        _: &mut Failures,
    ) -> StageResult<()> {
        emit(RecordBatch::try_from_iter([("id", Arc::new(StringArray::from(vec![NOTHING])) as ArrayRef)])?)
    }
}

struct Given(HashMap<String, RecordBatch>);

impl Kind for Given {
    fn about(&self) -> About {
        about(GIVEN, Shape::Table)
    }

    fn schema(&self) -> Json {
        json!({ "type": "object" })
    }

    /// The name of the stage counts in its identity: it stands for the rows, in a cache of this test alone.
    fn plan(&self, _: &Json, inputs: &Inputs) -> Result<(Planned, Json), Problem> {
        let rows = self.0.get(&inputs.stage).ok_or_else(|| Problem::new("a test that gives no rows"))?;
        let adds = rows.schema().fields().iter().skip(1).cloned().collect();
        let planned = Planned::new(&[], adds, Work::Table(Arc::new(Rows(rows.clone()))));
        Ok((Planned { keeps: Some(Vec::new()), chooses: true, ..planned }, json!({ "stage": inputs.stage })))
    }
}

struct Rows(RecordBatch);

impl Table for Rows {
    fn run(&self, _: &TableRows, _: &Context) -> StageResult<TableOutput> {
        let ids = self.0.column(0).as_string::<i32>().clone();
        let columns = self.0.columns()[1..].to_vec();
        Ok(TableOutput { columns, ids: Some(ids), ..TableOutput::default() })
    }
}
