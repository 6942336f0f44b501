//! Which columns go on? `select` keeps, drops and renames; no value is read or stored.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use affectflow_pipeline::batch::link_of;
use affectflow_pipeline::stage::{Inputs, Kept};
use affectflow_pipeline::{About, Planned, Problem, Retry, Shape, Stage, StageResult, Subset, Work};
use arrow::array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Options of `select`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("not" = json!({
    "required": ["keep", "drop"],
    "properties": { "keep": { "type": "array" }, "drop": { "type": "array", "minItems": 1 } },
})))]
pub struct SelectOptions {
    /// Columns that go on, in this order, by the names they arrive with; left out: all. Columns through which one of them is
    /// read (`uri` and `image_digest` of `image`) go along. Give this or `drop`
    #[schemars(extend("x-column" = "value"))]
    pub keep: Option<Vec<String>>,
    /// Columns that do not go on. Give this or `keep`
    #[schemars(extend("x-column" = "value"))]
    pub drop: Vec<String>,
    /// New names by the names that columns arrive with: `{caption: text}`
    #[schemars(extend("x-column" = "keys"))]
    pub rename: BTreeMap<String, String>,
}

/// The kind `select`.
pub struct Select;

impl Stage for Select {
    type Options = SelectOptions;

    fn about(&self) -> About {
        About {
            kind: "select",
            version: 1,
            summary: "Keeps, drops and renames columns; `id` stays",
            shape: Shape::Subset,
            scores: false,
            retry: Retry::Safe,
            columns: &[],
            example: "slim: { kind: select, config: { drop: [triples], rename: { caption: words } } }",
        }
    }

    fn plan(&self, options: SelectOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        options.check(inputs)?;
        let kept = options.kept(inputs)?;
        let planned = Planned::new(&[], Vec::new(), Work::Subset(Arc::new(Everything)));
        Ok(Planned { keeps: Some(kept), ..planned })
    }
}

impl SelectOptions {
    /// Is every column named there, and once?
    fn check(&self, inputs: &Inputs) -> Result<(), Problem> {
        if self.keep.is_some() && !self.drop.is_empty() {
            let problem = Problem::new("`select` takes one of `keep` and `drop`").option("drop");
            return Err(problem.hint("remove `drop`: what `keep` does not name is dropped"));
        }
        let keep = self.keep.iter().flatten().map(|name| (name, "keep".to_owned()));
        let drop = self.drop.iter().map(|name| (name, "drop".to_owned()));
        let rename = self.rename.keys().map(|name| (name, format!("rename.{name}")));
        for (name, option) in keep.chain(drop).chain(rename) {
            inputs.column(name).map_err(|problem| problem.option(&option))?;
            if name == "id" && option != "keep" {
                return Err(Problem::new("`id` names the row, and stays").option(&option));
            }
        }
        Ok(())
    }

    fn kept(&self, inputs: &Inputs) -> Result<Vec<Kept>, Problem> {
        let names: Vec<&str> = match &self.keep {
            Some(keep) => with_links(inputs, keep),
            None => inputs.schema.fields().iter().map(|field| field.name().as_str()).collect(),
        };
        let dropped = |name: &str| self.drop.iter().any(|drop| drop == name);
        let renamed = |name: &str| self.rename.get(name).map_or(name, String::as_str).to_owned();
        let kept: Vec<Kept> = names
            .into_iter()
            .filter(|name| *name != "id" && !dropped(name))
            .map(|name| Kept { column: name.to_owned(), name: renamed(name) })
            .collect();
        self.distinct(&kept)?;
        self.linked(inputs, &kept)?;
        Ok(kept)
    }

    fn distinct(&self, kept: &[Kept]) -> Result<(), Problem> {
        let mut names = HashSet::from(["id"]);
        if let Some(gone) = self.rename.keys().find(|name| !kept.iter().any(|kept| kept.column == **name)) {
            let problem = Problem::new(format!("column `{gone}` is renamed, and does not go on"));
            return Err(problem.option(&format!("rename.{gone}")).hint("keep it, or do not rename it"));
        }
        match kept.iter().find(|kept| !names.insert(&kept.name)) {
            None => Ok(()),
            Some(twice) => {
                let name = &twice.name;
                let option = match twice.column == *name {
                    true => self.rename.iter().find(|(_, to)| *to == name).map_or("", |(from, _)| from),
                    false => &twice.column,
                };
                let problem = Problem::new(format!("two columns would be named `{name}`"));
                Err(problem
                    .option(&format!("rename.{option}"))
                    .hint("give it another name, or drop the other one"))
            }
        }
    }

    /// A column by reference needs the two behind it, under their names.
    fn linked(&self, inputs: &Inputs, kept: &[Kept]) -> Result<(), Problem> {
        for link in kept {
            let field = inputs.column(&link.column)?;
            let Some((uri, digest)) = link_of(field) else { continue };
            for behind in [uri, digest] {
                if kept.contains(&Kept::same(behind)) {
                    continue;
                }
                let option = match self.rename.contains_key(behind) {
                    true => format!("rename.{behind}"),
                    false => "drop".to_owned(),
                };
                let message = format!("column `{}` is read through `{behind}`", link.column);
                let hint = format!("leave `{behind}` as it is, or drop `{}` too", link.column);
                return Err(Problem::new(message).option(&option).hint(hint));
            }
        }
        Ok(())
    }
}

/// The columns named, and after them those through which they are read.
fn with_links<'a>(inputs: &'a Inputs, keep: &'a [String]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let fields = keep.iter().filter_map(|name| inputs.column(name).ok());
    let behind = fields.filter_map(|field| link_of(field)).flat_map(|(uri, digest)| [uri, digest]);
    for name in keep.iter().map(String::as_str).chain(behind) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Every row goes on.
struct Everything;

impl Subset for Everything {
    fn select(&self, rows: &RecordBatch) -> StageResult<Vec<u32>> {
        Ok((0..rows.num_rows() as u32).collect())
    }
}
