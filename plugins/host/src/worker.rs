//! How do our own stages serve an engine outside? The protocol of plugins, with the engine on the other side.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use affectflow_pipeline::plan::PlannedStage;
use affectflow_pipeline::registry::Kind;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Inputs, schema_of};
use affectflow_pipeline::{Map, StageError, Work as Planned, Worker};
use affectflow_plugin::wire::Typed;
use affectflow_plugin::{Call, Error, Kind as Served, Manifest, Work, serve, types};
use arrow::array::{ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::datatypes::FieldRef;
use serde_json::Value;

use crate::whole;

/// A map of ours, with the columns that it has with the options of its example.
pub struct Offer {
    kind: Arc<dyn Kind>,
    manifest: Manifest,
}

impl Offer {
    /// A kind as it was planned; `None` where it is no map.
    pub fn new(kind: Arc<dyn Kind>, planned: &PlannedStage) -> Option<Self> {
        let Planned::Map(map) = &planned.planned.work else { return None };
        let about = kind.about();
        let mut manifest = Manifest::map(about.kind, about.version, about.summary)
            .options(kind.schema())
            .rows_per_call(map.rows_per_call())
            .example(about.example);
        for name in planned.planned.consumes.iter().filter(|name| *name != "id") {
            let field = planned.input_schema.field_with_name(name).ok()?;
            manifest = manifest.reads(name.as_str(), &types::words(field));
        }
        for field in &planned.planned.adds {
            let meaning = about.columns.iter().find(|(name, _, _)| name == field.name());
            let meaning = meaning.map_or("", |(_, _, meaning)| meaning);
            manifest = manifest.adds(field.name().as_str(), &types::words(field), meaning);
        }
        Some(Offer { kind, manifest })
    }
}

/// Serves kinds over standard input and output until the first ends.
pub fn run(offers: Vec<Offer>) -> ExitCode {
    serve(offers.into_iter().map(|offer| Box::new(offer) as Box<dyn Served>).collect())
}

impl Served for Offer {
    fn manifest(&self) -> Manifest {
        self.manifest.clone()
    }

    fn open(&self, options: &Value) -> Result<Box<dyn Work>, Error> {
        let typed = |column: &affectflow_plugin::Column| Typed {
            name: column.name.clone().unwrap_or_default(),
            kind: column.kind.clone(),
        };
        self.open_on(options, &self.manifest.reads.iter().map(typed).collect::<Vec<_>>())
    }

    fn open_on(&self, options: &Value, reads: &[Typed]) -> Result<Box<dyn Work>, Error> {
        let mut fields: Vec<FieldRef> = vec![types::field("id", "utf8").map_err(Error::new)?];
        for read in reads {
            fields.push(types::field(&read.name, &read.kind).map_err(Error::new)?);
        }
        let inputs = Inputs {
            stage: self.manifest.kind.clone(),
            schema: schema_of(&fields),
            from: Vec::new(),
            ports: Vec::new(),
            artifacts: Vec::new(),
            base: PathBuf::from("."),
        };
        let (planned, _) =
            self.kind.plan(options, &inputs).map_err(|problem| Error::new(problem.to_string()))?;
        let Planned::Map(map) = planned.work else {
            return Err(Error::new("it is no map with these options"));
        };
        let worker = map.open(&Context::detached([])).map_err(told)?;
        Ok(Box::new(At { map, worker, adds: planned.adds }))
    }
}

fn told(error: StageError) -> Error {
    Error::new(error.message())
}

/// A map of ours at work for somebody else.
struct At {
    map: Arc<dyn Map>,
    worker: Box<dyn Worker>,
    adds: Vec<FieldRef>,
}

impl Work for At {
    fn compute(&mut self, rows: &RecordBatch, call: &mut dyn Call) -> Result<Vec<ArrayRef>, Error> {
        let (columns, failed) = whole::call(self.map.as_ref(), self.worker.as_mut(), rows).map_err(told)?;
        let ids = rows.column(0).as_string::<i32>();
        for (row, id) in ids.iter().enumerate() {
            if let Some((_, error)) = failed.iter().find(|(failed, _)| id == Some(failed)) {
                call.fail(row, error);
            }
        }
        let none = || self.adds.iter().map(|add| new_null_array(add.data_type(), rows.num_rows())).collect();
        Ok(if columns.is_empty() { none() } else { columns })
    }
}
