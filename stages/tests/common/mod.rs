//! Plans one stage by itself from JSON options, as the engine would.

use std::path::Path;

use affectflow_pipeline::stage::Inputs;
use affectflow_pipeline::{Planned, Problem, Registry};
use arrow::datatypes::SchemaRef;
use serde_json::Value;

pub fn registry() -> Registry {
    let mut registry = Registry::new();
    affectflow_stages::register(&mut registry);
    registry
}

// The tests of tables say what arrives themselves.
#[allow(dead_code)]
pub fn plan(kind: &str, options: &Value, base: &Path, schema: SchemaRef) -> Result<Planned, Problem> {
    let inputs = Inputs {
        stage: "pics".into(),
        schema,
        from: vec!["above".into()],
        ports: Vec::new(),
        artifacts: Vec::new(),
        base: base.to_owned(),
    };
    plan_on(kind, options, inputs)
}

pub fn plan_on(kind: &str, options: &Value, inputs: Inputs) -> Result<Planned, Problem> {
    let (planned, full) = registry().get(kind).unwrap().plan(options, &inputs)?;
    let (_, again) = registry().get(kind).unwrap().plan(&full, &inputs)?;
    assert_eq!(full, again, "defaults written out must mean the same");
    Ok(planned)
}
