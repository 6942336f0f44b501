//! How is a pipeline written for Mermaid, which draws it in README files and wikis?

use std::fmt::Write;

use affectflow_pipeline::stage::Shape;

use super::{Graph, Node};

/// The graph as a Mermaid flowchart.
pub fn mermaid(graph: &Graph) -> String {
    let mut out = String::from("flowchart TD\n");
    for (at, node) in graph.nodes.iter().enumerate() {
        let (open, close) = brackets(node.shape);
        let class = class(node.cached).map_or(String::new(), |class| format!(":::{class}"));
        let _ = writeln!(out, "    s{at}{open}\"{}\"{close}{class}", label(node));
    }
    for edge in &graph.edges {
        let line = if edge.artifact { "-.->" } else { "-->" };
        let label = match edge.label.is_empty() {
            true => String::new(),
            false => format!("|\"{}\"|", escaped(&edge.label)),
        };
        let _ = writeln!(out, "    s{} {line}{label} s{}", edge.from, edge.to);
    }
    out += "    classDef cached stroke:#2f9e5b,stroke-width:2px\n";
    out += "    classDef part stroke:#a89a1c,stroke-width:2px\n";
    out += "    classDef compute stroke:#d98a1f,stroke-width:2px\n";
    out
}

fn label(node: &Node) -> String {
    let state = if node.state.is_empty() { String::new() } else { format!("<br>{}", node.state) };
    format!("<b>{}</b><br>{}, {}{state}", escaped(&node.name), escaped(&node.kind), node.rows)
}

fn brackets(shape: Shape) -> (&'static str, &'static str) {
    match shape {
        Shape::Source => ("([", "])"),
        Shape::Map => ("[", "]"),
        Shape::Subset => ("{{", "}}"),
        Shape::Table => ("[[", "]]"),
    }
}

fn class(cached: Option<f64>) -> Option<&'static str> {
    match cached? {
        share if share >= 1.0 => Some("cached"),
        share if share <= 0.0 => Some("compute"),
        _ => Some("part"),
    }
}

/// Mermaid writes characters as `#name;` or `#number;`.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '"' => "#quot;".to_owned(),
        '&' | '<' | '>' | '#' | '`' | ';' | '\\' | '|' => format!("#{};", u32::from(c)),
        c if c.is_control() => " ".to_owned(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_graph_as_mermaid() {
        let text = mermaid(&example());
        assert_eq!(
            text.split_once("    classDef").unwrap().0,
            r##"flowchart TD
    s0(["<b>pictures</b><br>k, 1,200 rows"])
    s1{{"<b>few</b><br>k, 1,200 rows"}}
    s2["<b>a#60;b#62;#38;#quot;c#quot;#35;#92;</b><br>k, 1,200 rows<br>37% cached"]:::part
    s3[["<b>train</b><br>k, 1,200 rows<br>to compute"]]:::compute
    s0 --> s1
    s0 --> s2
    s1 --> s3
    s2 --> s3
    s2 -.->|"weights"| s3
"##
        );
    }
}
