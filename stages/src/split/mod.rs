//! Which rows train, which validate, which test? `split` says so by seed and id, or by seed and group, so that rows of one
//! group never lie in two splits.

mod assign;

use std::sync::Arc;

use affectflow_pipeline::stage::Inputs;
use affectflow_pipeline::{About, Planned, Problem, Retry, Shape, Stage, Work};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::columns;
use crate::ingest::splits::add_up;
use crate::sample::comparable;

/// Options of `split`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SplitOptions {
    /// Share of the rows that train
    #[schemars(range(min = 0.0, max = 1.0))]
    pub train: f64,
    /// Share of the rows that validate
    #[schemars(range(min = 0.0, max = 1.0))]
    pub val: f64,
    /// Share of the rows that test
    #[schemars(range(min = 0.0, max = 1.0))]
    pub test: f64,
    /// Seed of the split
    pub seed: u64,
    /// Column whose values stay together, such as `group`; an empty cell is a group of its own
    #[schemars(extend("x-column" = "value"))]
    pub group_by: Option<String>,
    /// Column whose values have these shares each, such as `label`. Without it the shares hold about, and a new row moves no
    /// other; with it they hold as exactly as whole groups allow, and a new row may move those at the borders
    #[schemars(extend("x-column" = "value"))]
    pub stratify_by: Option<String>,
}

impl Default for SplitOptions {
    fn default() -> Self {
        SplitOptions { train: 0.8, val: 0.1, test: 0.1, seed: 0, group_by: None, stratify_by: None }
    }
}

/// The kind `split`.
pub struct Split;

impl Stage for Split {
    type Options = SplitOptions;

    fn about(&self) -> About {
        About {
            kind: "split",
            version: 2,
            summary: "Assigns `train`, `val` and `test` by seed and id; groups stay together",
            shape: Shape::Table,
            scores: false,
            retry: Retry::Safe,
            columns: &[("split", "utf8", "`train`, `val` or `test`")],
            example: "split: { kind: split, config: { train: 0.8, val: 0.1, test: 0.1, group_by: group } }",
        }
    }

    fn plan(&self, options: SplitOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        let shares = [options.train, options.val, options.test];
        if !add_up(shares) {
            let sum: f64 = shares.iter().sum();
            let problem = Problem::new(format!("`train`, `val` and `test` add up to {sum}, not to 1"));
            return Err(problem.option("train").hint("for example `train: 0.8`, `val: 0.1`, `test: 0.1`"));
        }
        let mut consumes = Vec::new();
        for (name, option) in [(&options.group_by, "group_by"), (&options.stratify_by, "stratify_by")] {
            let Some(name) = name else { continue };
            comparable(inputs, name, option)?;
            if *name != "id" && !consumes.contains(&name.as_str()) {
                consumes.push(name.as_str());
            }
        }
        let work = assign::Assign {
            shares,
            seed: options.seed,
            group_by: options.group_by.clone(),
            stratify_by: options.stratify_by.clone(),
        };
        Ok(Planned::new(&consumes, vec![columns::text(columns::SPLIT)], Work::Table(Arc::new(work))))
    }
}
