//! How is a pipeline written for Graphviz?

use std::fmt::Write;

use affectflow_pipeline::stage::Shape;

use super::{Graph, Node};

/// The graph in the language DOT.
pub fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&graph.name));
    out += "  rankdir=TB; node [fontname=\"Helvetica\", style=filled, fillcolor=white]; edge [fontname=\"Helvetica\"];\n";
    for (at, node) in graph.nodes.iter().enumerate() {
        let _ = writeln!(
            out,
            "  s{at} [label={}, shape={}, fillcolor=\"{}\", tooltip={}];",
            quoted(&label(node)),
            shape(node.shape),
            fill(node.cached),
            quoted(&node.details.join("\n"))
        );
    }
    for edge in &graph.edges {
        let mut facts = Vec::new();
        facts.extend(edge.artifact.then(|| "style=dashed".to_owned()));
        facts.extend((!edge.label.is_empty()).then(|| format!("label={}", quoted(&edge.label))));
        let facts = if facts.is_empty() { String::new() } else { format!(" [{}]", facts.join(", ")) };
        let _ = writeln!(out, "  s{} -> s{}{facts};", edge.from, edge.to);
    }
    out + "}\n"
}

fn label(node: &Node) -> String {
    let state = if node.state.is_empty() { String::new() } else { format!("\n{}", node.state) };
    format!("{}\n{}, {}{state}", node.name, node.kind, node.rows)
}

fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Source => "ellipse",
        Shape::Map => "box",
        Shape::Subset => "hexagon",
        Shape::Table => "box3d",
    }
}

fn fill(cached: Option<f64>) -> &'static str {
    match cached {
        None => "white",
        Some(share) if share >= 1.0 => "#d3f0dc",
        Some(share) if share <= 0.0 => "#fde7c8",
        Some(_) => "#f3f0c4",
    }
}

/// A string of DOT: only quotes, backslashes and ends of lines mean anything in it.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\r', "").replace('\n', "\\n");
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_graph_as_dot() {
        let text = dot(&example());
        assert_eq!(
            text,
            r##"digraph "a \"b\"" {
  rankdir=TB; node [fontname="Helvetica", style=filled, fillcolor=white]; edge [fontname="Helvetica"];
  s0 [label="pictures\nk, 1,200 rows", shape=ellipse, fillcolor="white", tooltip="pictures (k)\n+ x: utf8"];
  s1 [label="few\nk, 1,200 rows", shape=hexagon, fillcolor="white", tooltip="few (k)\n+ x: utf8"];
  s2 [label="a<b>&\"c\"#\\\nk, 1,200 rows\n37% cached", shape=box, fillcolor="#f3f0c4", tooltip="a<b>&\"c\"#\\ (k)\n+ x: utf8"];
  s3 [label="train\nk, 1,200 rows\nto compute", shape=box3d, fillcolor="#fde7c8", tooltip="train (k)\n+ x: utf8"];
  s0 -> s1;
  s0 -> s2;
  s1 -> s3;
  s2 -> s3;
  s2 -> s3 [style=dashed, label="weights"];
}
"##
        );
    }
}
