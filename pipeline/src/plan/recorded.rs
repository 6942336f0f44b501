//! What does a run's record say of its pipeline? Every stage with its options, defaults written out.

use serde_json::{Value as Json, json};

use super::identity::recorded;
use super::{OnError, PlannedStage, Tries};
use crate::spec::{PipelineSpec, Variant};

/// The pipeline for the run's record, stages in the order of the plan.
pub(super) fn pipeline(
    pipeline: &PipelineSpec,
    spec: &Variant,
    stages: &[PlannedStage],
    order: &[usize],
) -> Json {
    let entry = |(stage, &at): (&PlannedStage, &usize)| {
        let inputs: Vec<&str> = stage.inputs.iter().map(|&input| stages[input].name.as_str()).collect();
        let by_name =
            || stage.ports.iter().zip(&inputs).map(|((port, _), &from)| (port.clone(), from.into()));
        let mut out = json!({
            "kind": stage.kind,
            "version": stage.version,
            "inputs": if stage.ports.is_empty() { json!(inputs) } else { Json::Object(by_name().collect()) },
            "config": recorded(&stage.options, &spec.stages[at].config),
        });
        match stage.on_error {
            OnError::Fail => out["on_error"] = "fail".into(),
            OnError::Quarantine { threshold } => {
                out["on_error"] = "quarantine".into();
                out["quarantine_threshold"] = threshold.into();
            }
        }
        let Tries { retries, wait, limit } = stage.tries;
        if retries > 0 {
            out["retries"] = retries.into();
            out["retry_wait"] = humantime::format_duration(wait).to_string().into();
        }
        if let Some(limit) = limit {
            out["time_limit"] = humantime::format_duration(limit).to_string().into();
        }
        (stage.name.clone(), out)
    };
    let all: serde_json::Map<String, Json> = stages.iter().zip(order).map(entry).collect();
    json!({ "version": 1, "pipeline": pipeline.name.text, "description": pipeline.description, "stages": all })
}
