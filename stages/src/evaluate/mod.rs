//! `evaluate`: how well do the predictions fit the truth, and how sure is that?
//!
//! The one stage that may read `eval_label`. Rows pass through unchanged; the scores leave as the artifact `metrics`.

mod bootstrap;
mod report;
mod scored;

use std::sync::Arc;

use affectflow_pipeline::error::Problem;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::{Inputs, Planned, TableOutput, Work};
use affectflow_pipeline::{About, Retry, Shape, Stage, StageError, StageResult, Table};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns::{
    CLASSES, DATASET, DOMAIN, EVAL_LABEL, GROUP, LABEL, METRICS, PREDICTION, PROBABILITIES, PSEUDO_LABEL,
    SPLIT, classes_of,
};

use scored::Scored;

use crate::sample::comparable;

/// The kind `evaluate`.
pub struct Evaluate;

/// Options of `evaluate`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Which rows of the target are scored. Left out: those of split `test`, and those of split `all`
    pub split: Option<Split>,
    /// Resamples behind the 95% intervals; 0 for none
    #[schemars(range(max = 100_000))]
    pub bootstrap: usize,
    /// Seed of the resampling
    pub seed: u64,
    /// Column whose equal values are drawn together in the resampling, and listed under `by_group`: all renderings of one
    /// drawing, say. Left out: `group` where it arrives. A row without a value stands for itself. `none`: every row does
    #[schemars(extend("x-column" = "value"))]
    pub group: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options { split: None, bootstrap: 1000, seed: 0, group: None }
    }
}

/// A split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// For training.
    Train,
    /// For choosing.
    Val,
    /// For scoring.
    Test,
    /// Not split.
    All,
}

impl Split {
    fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
            Split::All => "all",
        }
    }
}

impl Stage for Evaluate {
    type Options = Options;

    fn about(&self) -> About {
        About {
            kind: "evaluate",
            version: 1,
            summary: "Scores the predictions: accuracy, macro-F1, per class, confusion, 95% intervals",
            shape: Shape::Table,
            scores: true,
            retry: Retry::Safe,
            columns: &[],
            example: "evaluate: { kind: evaluate, config: { bootstrap: 1000 } }",
        }
    }

    fn plan(&self, options: Options, inputs: &Inputs) -> Result<Planned, Problem> {
        for column in [PREDICTION, PROBABILITIES, LABEL, EVAL_LABEL, DOMAIN, SPLIT, DATASET] {
            inputs.column(column)?;
        }
        let arrives = |name: &str| inputs.schema.field_with_name(name).is_ok();
        let group = match options.group.as_deref() {
            Some("none") => None,
            Some(name) => Some(comparable(inputs, name, "group")?.name().clone()),
            None => arrives(GROUP).then(|| GROUP.to_owned()),
        };
        let names = [EVAL_LABEL, LABEL].into_iter().find_map(|name| classes_of(inputs.column(name).ok()?));
        let classes = names.ok_or_else(|| {
            Problem::new(format!("columns `{EVAL_LABEL}` and `{LABEL}` carry no class names")).hint(format!(
                "the stage that adds them writes the names into the field's metadata `{CLASSES}`"
            ))
        })?;
        let mut consumes = vec![PREDICTION, PROBABILITIES, LABEL, EVAL_LABEL, DOMAIN, SPLIT, DATASET];
        let pseudo = arrives(PSEUDO_LABEL);
        consumes.extend(pseudo.then_some(PSEUDO_LABEL));
        if let Some(name) = group.as_deref()
            && !consumes.contains(&name)
        {
            consumes.push(name);
        }
        let work = Work::Table(Arc::new(Scoring { options, classes, group: group.clone(), pseudo }));
        let planned = Planned::new(&consumes, Vec::new(), work);
        Ok(Planned { provides: vec![METRICS.into()], ..planned })
    }
}

struct Scoring {
    options: Options,
    classes: Vec<String>,
    group: Option<String>,
    pseudo: bool,
}

impl Table for Scoring {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let scored = Scored::read(rows, self)?;
        if scored.target == 0 {
            let splits =
                self.options.split.map_or("`test` or `all`".to_owned(), |s| format!("`{}`", s.name()));
            return Err(StageError::new(format!(
                "no row of the target domain has split {splits}, so there is nothing to score"
            ))
            .hint("set `split` in this stage's `config`, or `split` in the target's `ingest` stage"));
        }
        if scored.rows.is_empty() {
            cx.warn(
                "no scored row has a label in `eval_label` or `label`: predictions are made, scores are not",
            );
        }
        let metrics = report::metrics(&scored, self, cx)?;
        for name in ["accuracy", "macro_f1"] {
            if let Some(value) = metrics[name].as_f64() {
                cx.metric(name, value, None);
            }
        }
        let text = serde_json::to_vec_pretty(&metrics)?;
        Ok(TableOutput { artifacts: vec![(METRICS.into(), Bytes::from(text))], ..TableOutput::default() })
    }
}
