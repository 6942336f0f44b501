//! How does a manifest become a kind of the engine? Planning reads the manifest and nothing else of a plugin.

use std::sync::Arc;

use affectflow_pipeline::registry::Kind;
use affectflow_pipeline::stage::{Dependency, Inputs};
use affectflow_pipeline::{About, Planned, Problem, Retry, Shape, Work};
use affectflow_plugin::{Column, Manifest, Retry as Again, Shape as Form};
use serde_json::{Value, json};

use crate::columns::{self, typed};
use crate::defaults::fill;
use crate::transport::{Opening, Transport};
use crate::work::{PluginMap, PluginTable};

/// A kind that a plugin brings.
pub(crate) struct PluginKind {
    manifest: Manifest,
    schema: Value,
    about: About,
    plugin: Arc<str>,
    transport: Arc<dyn Transport>,
    depends: Vec<Dependency>,
    workers: usize,
}

impl PluginKind {
    /// A kind of the plugin of that name. What the manual says of it stays in memory until the program ends.
    pub(crate) fn new(
        manifest: Manifest,
        plugin: Arc<str>,
        transport: Arc<dyn Transport>,
        depends: Vec<Dependency>,
        workers: usize,
    ) -> Self {
        let columns = manifest
            .adds
            .iter()
            .map(|column| (leaked(&shown(column)), leaked(&column.kind), leaked(&column.about)));
        let example = match manifest.example.is_empty() {
            true => format!("{0}: {{ kind: {0} }}", manifest.kind),
            false => manifest.example.clone(),
        };
        let about = About {
            kind: leaked(&manifest.kind),
            version: manifest.version,
            summary: leaked(&manifest.summary),
            shape: match manifest.shape {
                Form::Map => Shape::Map,
                Form::Table => Shape::Table,
            },
            scores: manifest.scores,
            retry: match manifest.retry {
                Again::Safe => Retry::Safe,
                Again::Unsafe => Retry::Unsafe,
            },
            columns: Vec::leak(columns.collect()),
            example: leaked(&example),
        };
        let schema = schema(&manifest);
        PluginKind { manifest, schema, about, plugin, transport, depends, workers }
    }
}

/// The options of the manifest, and those that every map of a plugin has.
fn schema(manifest: &Manifest) -> Value {
    let mut schema = manifest.options.clone();
    if manifest.shape == Form::Map && schema["properties"].get("rows_per_call").is_none() {
        schema["properties"]["rows_per_call"] = json!({
            "type": "integer", "format": "uint32", "minimum": 1, "default": manifest.rows_per_call,
            "description": "Rows handed over at once", "x-identity": false, "x-unit": "rows"
        });
    }
    schema
}

fn shown(column: &Column) -> String {
    let option = || column.option.as_ref().map(|option| format!("({option})"));
    column.name.clone().or_else(option).unwrap_or_default()
}

fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

impl Kind for PluginKind {
    fn about(&self) -> About {
        self.about.clone()
    }

    fn schema(&self) -> Value {
        self.schema.clone()
    }

    fn plan(&self, options: &Value, inputs: &Inputs) -> Result<(Planned, Value), Problem> {
        let full = fill(&self.schema, options);
        let columns = columns::resolve(&self.manifest, &full, inputs)?;
        let mut own = full.clone();
        if let (Value::Object(own), None) =
            (&mut own, self.manifest.options["properties"].get("rows_per_call"))
        {
            own.shift_remove("rows_per_call");
        }
        let opening = Opening {
            kind: self.manifest.kind.clone(),
            options: own,
            apart: self.manifest.shape == Form::Map,
            reads: columns.arriving,
            adds: typed(&columns.adds),
        };
        let (plugin, transport) = (self.plugin.clone(), self.transport.clone());
        let work = match self.manifest.shape {
            Form::Map => {
                let rows = full["rows_per_call"].as_u64().unwrap_or(self.manifest.rows_per_call as u64);
                let rows_per_call = (rows as usize).max(1).saturating_mul(self.workers);
                let adds = columns.adds.clone();
                Work::Map(Arc::new(PluginMap { plugin, transport, opening, adds, rows_per_call }))
            }
            Form::Table => {
                let adds = columns.adds.clone();
                Work::Table(Arc::new(PluginTable { plugin, transport, opening, adds }))
            }
        };
        let reads: Vec<&str> = columns.reads.iter().map(String::as_str).collect();
        Ok((Planned { depends: self.depends.clone(), ..Planned::new(&reads, columns.adds, work) }, full))
    }
}
