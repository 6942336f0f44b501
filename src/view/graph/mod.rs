//! What does a picture of a pipeline show? Stages, edges, artifacts and what is cached, as data; one file a form.

mod dot;
mod layout;
mod mermaid;
mod svg;

use affectflow_pipeline::plan::{Plan, PlannedStage, type_words};
use affectflow_pipeline::run::predict::Forecast;
use affectflow_pipeline::stage::Shape;

pub use self::dot::dot;
pub use self::mermaid::mermaid;
pub use self::svg::svg;
use super::cost::unsure;
use super::numbers::{at_most, count, grouped};

/// A pipeline to be drawn.
pub struct Graph {
    /// The pipeline's name.
    pub name: String,
    /// Its line in the file.
    pub description: String,
    /// The stages, each after its inputs.
    pub nodes: Vec<Node>,
    /// What goes from one to another.
    pub edges: Vec<Edge>,
}

/// A stage.
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How it treats rows.
    pub shape: Shape,
    /// `1,844 rows`
    pub rows: String,
    /// What the cache has: `cached`, `37% cached`, `to compute`; nothing where nothing is kept.
    pub state: String,
    /// That share, from 0 to 1.
    pub cached: Option<f64>,
    /// Line by line: why, numbers, columns, artifacts.
    pub details: Vec<String>,
}

/// What goes from one stage to another.
pub struct Edge {
    /// Place of the giver in [`Graph::nodes`].
    pub from: usize,
    /// Place of the taker.
    pub to: usize,
    /// Artifacts, not rows.
    pub artifact: bool,
    /// Names of the artifacts, or of the port that rows come in by; nothing for those of a list.
    pub label: String,
}

impl Graph {
    /// A plan with what the cache has of it.
    pub fn new(plan: &Plan, forecasts: &[Forecast]) -> Self {
        let nodes = plan.stages.iter().zip(forecasts).map(|(stage, forecast)| node(stage, forecast));
        let edges = plan.stages.iter().enumerate().flat_map(|(to, stage)| edges(to, stage));
        Graph {
            name: plan.pipeline.clone(),
            description: plan.description.clone().unwrap_or_default(),
            nodes: nodes.collect(),
            edges: edges.collect(),
        }
    }
}

/// One edge for the rows of each stage that it takes from, with the name of its port, and one for the artifacts of each.
fn edges(to: usize, stage: &PlannedStage) -> Vec<Edge> {
    let port = |at: usize| stage.ports.get(at).map_or("", |(name, _)| name.as_str());
    let rows = stage.inputs.iter().enumerate().map(|(at, &from)| (from, false, port(at)));
    let artifacts = stage.artifacts.iter().map(|(name, from)| (*from, true, name.as_str()));
    let mut edges: Vec<Edge> = Vec::new();
    for (from, artifact, label) in rows.chain(artifacts) {
        match edges.iter_mut().find(|edge| edge.from == from && edge.artifact == artifact) {
            Some(edge) if edge.label.is_empty() || label.is_empty() => edge.label += label,
            Some(edge) => edge.label += &format!(", {label}"),
            None => edges.push(Edge { from, to, artifact, label: label.to_owned() }),
        }
    }
    edges
}

fn node(stage: &PlannedStage, forecast: &Forecast) -> Node {
    let shape = stage.planned.work.shape();
    let cached = share(shape, forecast);
    let rows = at_most(forecast.rows, forecast.at_most);
    Node {
        name: stage.name.clone(),
        kind: stage.kind.clone(),
        shape,
        rows: format!("{rows} row{}", if forecast.rows == 1 { "" } else { "s" }),
        state: cached.map_or_else(String::new, state),
        cached,
        details: details(stage, forecast, shape),
    }
}

/// How much of its results the cache has; rows in quarantine have none.
fn share(shape: Shape, forecast: &Forecast) -> Option<f64> {
    let all = forecast.cached + forecast.compute + forecast.twins;
    match shape {
        Shape::Source | Shape::Subset => None,
        Shape::Map | Shape::Table if all == 0 => None,
        Shape::Map | Shape::Table => Some(forecast.cached as f64 / all as f64),
    }
}

fn state(share: f64) -> String {
    match share {
        s if s >= 1.0 => "cached".into(),
        s if s <= 0.0 => "to compute".into(),
        // What is not whole never reads as 100%, what is there never as 0%.
        s => format!("{:.0}% cached", (s * 100.0).floor().max(1.0)),
    }
}

fn details(stage: &PlannedStage, forecast: &Forecast, shape: Shape) -> Vec<String> {
    let mut lines = vec![format!("{} ({})", stage.name, stage.kind), forecast.reason.clone()];
    lines.extend(forecast.cause.clone());
    if matches!(shape, Shape::Map | Shape::Table) {
        let compute = at_most(forecast.compute, unsure(forecast));
        lines.push(format!("{} cached, {compute} to compute", grouped(forecast.cached)));
    }
    if forecast.quarantined > 0 {
        lines.push(format!("{} in quarantine", count(forecast.quarantined, "row")));
    }
    let artifacts = &stage.planned.provides;
    if !artifacts.is_empty() {
        lines.push(format!("artifacts: {}", artifacts.join(", ")));
    }
    lines.push("columns that leave (+ added here):".into());
    let added = |name: &str| stage.planned.adds.iter().any(|field| field.name() == name);
    lines.extend(stage.schema.fields().iter().map(|field| {
        let mark = if added(field.name()) { "+" } else { " " };
        format!("{mark} {}: {}", field.name(), type_words(field.data_type()))
    }));
    lines
}

/// What a form needs to know of a graph in its tests: a source with two readers that meet, one artifact, hard names.
#[cfg(test)]
fn example() -> Graph {
    let node = |name: &str, shape: Shape, cached: Option<f64>| Node {
        name: name.into(),
        kind: "k".into(),
        shape,
        rows: "1,200 rows".into(),
        state: cached.map_or_else(String::new, state),
        cached,
        details: vec![format!("{name} (k)"), "+ x: utf8".into()],
    };
    let edge = |from, to| Edge { from, to, artifact: false, label: String::new() };
    Graph {
        name: "a \"b\"".into(),
        description: "<one> & only".into(),
        nodes: vec![
            node("pictures", Shape::Source, None),
            node("few", Shape::Subset, None),
            node("a<b>&\"c\"#\\", Shape::Map, Some(0.376)),
            node("train", Shape::Table, Some(0.0)),
        ],
        edges: vec![
            edge(0, 1),
            edge(0, 2),
            edge(1, 3),
            edge(2, 3),
            Edge { from: 2, to: 3, artifact: true, label: "weights".into() },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_does_not_read_as_whole() {
        assert_eq!(
            [0.0, 0.0001, 0.376, 0.9999, 1.0].map(state),
            ["to compute", "1% cached", "37% cached", "99% cached", "cached"]
        );
        let forecast = Forecast { cached: 3, compute: 1, quarantined: 9, ..Forecast::default() };
        assert_eq!(share(Shape::Map, &forecast), Some(0.75));
        assert_eq!(share(Shape::Subset, &forecast), None);
        assert_eq!(share(Shape::Map, &Forecast::default()), None);
    }
}
