//! `schema`: the JSON Schema of the pipeline file, from the kinds registered.

use std::io::Write;

use affectflow_pipeline::{Registry, plan};

use crate::exit::{Exit, Outcome};

/// Prints it.
pub fn run(registry: &Registry) -> Outcome {
    let schema = plan::schema::json_schema(registry);
    writeln!(std::io::stdout(), "{schema:#}")?;
    Ok(Exit::Done)
}
