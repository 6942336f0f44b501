//! Which input arrives at which port? Inputs by name, and the one among them whose rows go on.

use arrow::datatypes::SchemaRef;

use super::PlannedStage;
use crate::error::Problem;
use crate::spec::StageSpec;
use crate::spec::words::list;
use crate::stage::{About, Planned, Port};

/// The inputs by name, in the order written; none where they are a list.
pub(super) fn of<'a>(spec: &StageSpec, before: impl Iterator<Item = &'a PlannedStage>) -> Vec<Port> {
    let port = |(name, stage): (&crate::spec::Name, &PlannedStage)| Port {
        name: name.text.clone(),
        from: stage.name.clone(),
        schema: stage.schema.clone(),
    };
    spec.ports.iter().zip(before).map(port).collect()
}

/// Name and columns of each input, the one whose rows go on first; `inputs` are brought into that order.
pub(super) fn ordered(
    spec: &StageSpec,
    about: &About,
    planned: &Planned,
    ports: Vec<Port>,
    inputs: &mut Vec<usize>,
) -> Result<Vec<(String, SchemaRef)>, Problem> {
    let (stage, kind) = (&spec.name.text, about.kind);
    let is_side = |port: &Port| planned.sides.iter().any(|side| side.port == port.name);
    let main: Vec<usize> = (0..ports.len()).filter(|&at| !is_side(&ports[at])).collect();
    let mut order = match main[..] {
        [] if ports.is_empty() && planned.sides.is_empty() => return Ok(Vec::new()),
        [main] => vec![main],
        _ => {
            let names = list(ports.iter().map(|port| port.name.as_str()));
            let message =
                format!("`{stage}` has the ports {names}, and kind `{kind}` takes its inputs as a list");
            let problem = Problem::new(message).at(spec.inputs_span.clone());
            return Err(problem.hint("write a list: `inputs: [a, b]`"));
        }
    };
    for side in &planned.sides {
        let at = ports.iter().position(|port| port.name == side.port);
        order.push(at.ok_or_else(|| {
            let message =
                format!("kind `{kind}` of `{stage}` reads the port `{}`, which is not there", side.port);
            Problem::new(message).at(spec.inputs_span.clone())
        })?);
    }
    *inputs = order.iter().map(|&at| inputs[at]).collect();
    Ok(order.into_iter().map(|at| (ports[at].name.clone(), ports[at].schema.clone())).collect())
}
