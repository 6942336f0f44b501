//! What does another stage know of the same rows? `join` brings columns of the port `right` to the rows of the port `left`.
//!
//! A row of the left side stays one row and keeps its `id` and all its columns; so a row may match at most one on the right.

mod pairs;

use std::collections::HashSet;
use std::sync::Arc;

use affectflow_pipeline::batch::link_of;
use affectflow_pipeline::plan::{SCORING_COLUMN, type_words};
use affectflow_pipeline::stage::{Inputs, Port, Side};
use affectflow_pipeline::{About, Planned, Problem, Retry, Shape, Stage, Work};
use arrow::datatypes::FieldRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sample::single;

/// Options of `join`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-ports" = ["left", "right"]))]
pub struct JoinOptions {
    /// Columns whose values must be equal; an empty cell equals nothing
    #[schemars(length(min = 1))]
    #[schemars(extend("x-column" = "value"))]
    pub on: Vec<String>,
    /// Names of these columns on the right, where they differ
    #[schemars(extend("x-column" = "value"))]
    pub right_on: Option<Vec<String>>,
    /// What becomes of rows of the left side that match none on the right
    pub how: How,
    /// Columns of the right side to bring; left out: every column but `id`, those joined on, and `image`, which is read by
    /// reference. Their values are copied into the cache
    #[schemars(extend("x-column" = "value"))]
    pub columns: Option<Vec<String>>,
    /// What the names of the columns brought begin with
    pub prefix: String,
}

/// What becomes of rows without a match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// They do not go on
    #[default]
    Inner,
    /// They go on, with empty cells in the columns brought
    Left,
}

impl Default for JoinOptions {
    fn default() -> Self {
        JoinOptions {
            on: vec!["id".into()],
            right_on: None,
            how: How::Inner,
            columns: None,
            prefix: String::new(),
        }
    }
}

/// The kind `join`.
pub struct Join;

impl Stage for Join {
    type Options = JoinOptions;

    fn about(&self) -> About {
        About {
            kind: "join",
            version: 1,
            summary: "Brings columns of the port `right` to the rows of the port `left` that match",
            shape: Shape::Table,
            scores: false,
            retry: Retry::Safe,
            columns: &[],
            example: "both: { kind: join, inputs: { left: photos, right: notes }, config: { on: [group], how: left } }",
        }
    }

    fn plan(&self, options: JoinOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        let (left, right) = ports(inputs)?;
        let right_on = options.right_on.clone().unwrap_or_else(|| options.on.clone());
        if options.on.is_empty() || right_on.len() != options.on.len() {
            let problem = Problem::new("`on` and `right_on` do not name the same number of columns");
            return Err(problem.option("on").hint("for example `on: [id]`, `right_on: [photo]`"));
        }
        let stage = &inputs.stage;
        for (name, other) in options.on.iter().zip(&right_on) {
            keys_fit(stage, (left, name.as_str()), (right, other.as_str()), options.right_on.is_some())?;
        }
        let brought = options.brought(stage, right, &right_on)?;
        let adds = options.named((left, right), &brought)?;
        let side = Side { port: right.name.clone(), consumes: distinct(right_on.iter().chain(&brought)) };
        let consumes = distinct(options.on.iter());
        let inner = options.how == How::Inner;
        let work = pairs::Pairs { on: options.on, right_on, brought, inner };
        let planned = Planned::new(&[], adds, Work::Table(Arc::new(work)));
        Ok(Planned { consumes, sides: vec![side], chooses: inner, ..planned })
    }
}

/// The columns beside `id`, each once.
fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = HashSet::from(["id"]);
    names.filter(|name| seen.insert(name.as_str())).cloned().collect()
}

fn ports(inputs: &Inputs) -> Result<(&Port, &Port), Problem> {
    let port = |name: &str| inputs.ports.iter().find(|port| port.name == name);
    match (port("left"), port("right"), inputs.ports.len()) {
        (Some(left), Some(right), 2) => Ok((left, right)),
        _ => {
            let unknown = inputs.ports.iter().find(|port| !["left", "right"].contains(&port.name.as_str()));
            let but = unknown.map_or_else(String::new, |port| format!(", not `{}`", port.name));
            let problem =
                Problem::new(format!("`{}` needs the two ports `left` and `right`{but}", inputs.stage));
            Err(problem.hint("write `inputs: {left: a, right: b}`"))
        }
    }
}

/// Do two columns hold single values of one type?
fn keys_fit(
    stage: &str,
    (left, name): (&Port, &str),
    (right, other): (&Port, &str),
    named: bool,
) -> Result<(), Problem> {
    let right_option = if named { "right_on" } else { "on" };
    let one = single(left.column(stage, name)).map_err(|problem| problem.option("on"))?;
    let two = single(right.column(stage, other)).map_err(|problem| problem.option(right_option))?;
    match one.data_type() == two.data_type() {
        true => Ok(()),
        false => {
            let kind = |field: &FieldRef| type_words(field.data_type());
            let message = format!(
                "`{name}` of `{}` is {} and `{other}` of `{}` is {}: they are never equal",
                left.from,
                kind(one),
                right.from,
                kind(two)
            );
            Err(Problem::new(message).option("on").hint("join on columns of the same type"))
        }
    }
}

impl JoinOptions {
    /// The columns of the right side that are brought.
    fn brought(&self, stage: &str, right: &Port, right_on: &[String]) -> Result<Vec<String>, Problem> {
        let Some(columns) = &self.columns else {
            let fields = right.schema.fields().iter().filter(|field| link_of(field).is_none());
            let names =
                fields.map(|field| field.name()).filter(|name| *name != "id" && *name != SCORING_COLUMN);
            return Ok(names.filter(|name| !right_on.contains(name)).cloned().collect());
        };
        for name in columns {
            let field = right.column(stage, name).map_err(|problem| problem.option("columns"))?;
            if let Some((uri, digest)) = link_of(field) {
                let problem =
                    Problem::new(format!("column `{name}` is read by reference and cannot be joined"));
                return Err(problem.option("columns").hint(format!("bring `{uri}` and `{digest}`")));
            }
        }
        Ok(columns.clone())
    }

    /// The fields under the names they get. A name that the left side has, or that two have, is refused.
    fn named(&self, (left, right): (&Port, &Port), brought: &[String]) -> Result<Vec<FieldRef>, Problem> {
        let left_has = |name: &str| left.schema.field_with_name(name).is_ok();
        let option = if self.columns.is_some() { "columns" } else { "prefix" };
        let mut names = HashSet::new();
        let mut fields = Vec::new();
        for column in brought {
            let name = format!("{}{column}", self.prefix);
            if left_has(&name) || !names.insert(name.clone()) {
                let message = format!("column `{name}` would come from both sides");
                let problem = Problem::new(message).option(option);
                return Err(problem.hint("name a `prefix`, or only those `columns` that the left side lacks"));
            }
            fields.push((column, name));
        }
        let field = |(column, name): (&String, String)| {
            let field = right.schema.field_with_name(column).ok()?;
            Some(Arc::new(field.clone().with_name(name).with_nullable(true)))
        };
        Ok(fields.into_iter().filter_map(field).collect())
    }
}
