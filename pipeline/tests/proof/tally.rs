//! Toy table `tally`: a number for each row from all rows, metrics, and an artifact made from all rows and from another one.

use std::sync::Arc;
use std::time::Duration;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::{Inputs, TableOutput};
use affectflow_pipeline::{About, Planned, Problem, Shape, Stage, StageResult, Table, Work};
use arrow::array::{Int64Array, UInt32Array};
use arrow::datatypes::{DataType, Field};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Ledger, text};

pub struct Tally(pub Arc<Ledger>);

#[derive(Serialize, Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
pub struct TallyOptions {
    /// Columns that count
    of: Vec<String>,
    /// Column added
    to: String,
    /// Where the numbers begin
    #[serde(default)]
    base: i64,
    /// Artifact provided beside the metrics
    #[serde(default)]
    gives: Option<String>,
    /// Artifact needed
    #[serde(default)]
    needs: Option<String>,
    /// Milliseconds that it takes
    #[serde(default)]
    #[schemars(extend("x-identity" = false))]
    pause: u64,
}

impl Stage for Tally {
    type Options = TallyOptions;

    fn about(&self) -> About {
        super::about("tally", Shape::Table)
    }

    fn plan(&self, options: TallyOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        options.of.iter().try_for_each(|name| inputs.column(name).map(drop))?;
        let of: Vec<&str> = options.of.iter().map(String::as_str).collect();
        let field = Arc::new(Field::new(&options.to, DataType::Int64, true));
        let work =
            TallyTable { options: options.clone(), stage: inputs.stage.clone(), ledger: self.0.clone() };
        Ok(Planned {
            needs: options.needs.iter().cloned().collect(),
            provides: options.gives.iter().cloned().chain(["metrics".to_owned()]).collect(),
            ..Planned::new(&of, vec![field], Work::Table(Arc::new(work)))
        })
    }
}

struct TallyTable {
    options: TallyOptions,
    stage: String,
    ledger: Arc<Ledger>,
}

impl Table for TallyTable {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let options = &self.options;
        for _ in 0..options.pause {
            cx.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        let names: Vec<&str> = options.of.iter().map(String::as_str).collect();
        let seen = rows.take(&names, &UInt32Array::from_iter_values(0..rows.len() as u32))?;
        let heard = options.needs.as_ref().map(|name| cx.artifact(name)).transpose()?.unwrap_or_default();
        let mut of = format!("{}\n{:?}\n", options.base, heard);
        for row in 0..seen.num_rows() {
            of.push_str(&format!("{}\n{}", rows.ids().value(row), text::row(&seen, row)));
        }
        let first = options.base + (text::number(&of) % 1000) as i64;
        let numbers = Int64Array::from_iter_values((0..rows.len() as i64).map(|row| first + row));
        let metrics = json!({ "rows": rows.len(), "of": text::name(&of) }).to_string();
        let artifact =
            options.gives.iter().map(|name| (name.clone(), text::stretched(&of, 500).into_bytes().into()));
        let artifacts = artifact.chain([("metrics".to_owned(), metrics.into_bytes().into())]).collect();
        let key = format!("tally {} {:?} {:?} {of}", options.to, options.gives, options.needs);
        self.ledger.note(&self.stage, &key, "", false);
        Ok(TableOutput { columns: vec![Arc::new(numbers)], artifacts, ..TableOutput::default() })
    }
}
