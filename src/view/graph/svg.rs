//! How is a pipeline drawn? A picture that stands alone: no font, script or file beside it, for light and dark pages.

use std::fmt::Write;

use affectflow_pipeline::stage::Shape;
use unicode_width::UnicodeWidthStr;

use super::layout::{Layout, Sizes, layout};
use super::{Edge, Graph, Node};
use crate::view::wrap::cut;

/// Height of a box.
const HEIGHT: f64 = 62.0;
/// From the top of a layer to the top of the next.
const STEP: f64 = 116.0;
/// Around everything.
const MARGIN: f64 = 28.0;
/// Above the first layer: the pipeline's name.
const HEAD: f64 = 62.0;
/// Below the last layer: what the shapes mean.
const FOOT: f64 = 44.0;
/// Narrowest picture: the legend's width.
const LEAST: f64 = 540.0;
/// Columns of a terminal that a name may take before it is cut.
const LONGEST: usize = 24;
/// Width of a column of a name, and of smaller words.
const LETTER: f64 = 8.3;
const SMALL: f64 = 6.4;

/// Sizes and fonts.
const STYLE: &str = "
  text { font-family: system-ui, -apple-system, \"Segoe UI\", Roboto, \"Noto Sans\", \"DejaVu Sans\", Arial, sans-serif; }
  .title { font-size: 19px; font-weight: 600; } .name { font-size: 14px; font-weight: 600; } .small { font-size: 11.5px; }
  .right { text-anchor: end; } .middle { text-anchor: middle; } .shape, .inner { stroke-width: 1.5; }
  .edge { fill: none; stroke-width: 1.6; } .artifact { stroke-dasharray: 5 4; } .inner { fill: none; }
  .halo { paint-order: stroke; stroke-width: 5px; stroke-linejoin: round; } .stage:hover .shape { stroke-width: 2.5; }
";

/// What has which colour: a selector, a property and the colours on light and on dark pages. Written out, not by variables
/// of CSS, which other programs than browsers do not know.
const COLOURS: &[(&str, &str, &str, &str)] = &[
    ("text", "fill", "#1c2430", "#e8edf3"),
    (".small", "fill", "#5d6978", "#9aa6b4"),
    (".page", "fill", "#ffffff", "#12161c"),
    (".shape", "fill", "#f7f9fb", "#1c232c"),
    (".source", "stroke", "#2f6fb5", "#6aa9ec"),
    (".map", "stroke", "#54606e", "#93a1b0"),
    (".subset", "stroke", "#8a5bb0", "#bf93e3"),
    (".table", "stroke", "#b0632b", "#e39a63"),
    (".rest", "fill", "#e3e8ee", "#343e4a"),
    (".done", "fill", "#2f9e5b", "#46c07a"),
    (".edge", "stroke", "#8793a2", "#74818f"),
    (".tip", "fill", "#8793a2", "#74818f"),
    (".artifact", "stroke", "#b0632b", "#e39a63"),
    (".halo", "stroke", "#ffffff", "#12161c"),
];

fn style() -> String {
    let rules = |dark: bool| {
        let rule = |&(what, property, light, night): &(&str, &str, &str, &str)| {
            format!("  {what} {{ {property}: {}; }}\n", if dark { night } else { light })
        };
        COLOURS.iter().map(rule).collect::<String>()
    };
    format!("{STYLE}{}  @media (prefers-color-scheme: dark) {{\n{}  }}\n", rules(false), rules(true))
}

/// The graph as an SVG file.
pub fn svg(graph: &Graph) -> String {
    let sizes = Sizes { width: box_width(graph), gap: 34.0, bend: 24.0 };
    let ends: Vec<(usize, usize)> = graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
    let layout = layout(graph.nodes.len(), &ends, sizes);
    let width = (layout.width.max(title_width(graph)).max(LEAST) + 2.0 * MARGIN).ceil();
    let depth = layout.layers.saturating_sub(1) as f64 * STEP + HEIGHT;
    let height = (HEAD + depth + FOOT + 2.0 * MARGIN).ceil();
    let picture = Picture { layout, sizes, left: (width - 2.0 * MARGIN).max(0.0) };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n"
    );
    let _ = writeln!(out, "<title>{}</title>\n<style>{}</style>", escaped(&graph.name), style());
    let _ = writeln!(out, "<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>");
    title(&mut out, graph);
    graph.edges.iter().enumerate().for_each(|(at, edge)| picture.edge(&mut out, at, edge));
    graph.nodes.iter().enumerate().for_each(|(at, node)| picture.node(&mut out, at, node));
    legend(&mut out, height - MARGIN - 6.0);
    out + "</svg>\n"
}

/// One width for all boxes, so that what the longest name needs is enough everywhere.
fn box_width(graph: &Graph) -> f64 {
    let needs = |node: &Node| {
        let name = cut(&node.name, LONGEST).width() as f64 * LETTER;
        let kind = cut(&node.kind, LONGEST).width() as f64 * SMALL;
        let numbers = (node.rows.width() + node.state.width()) as f64 * SMALL;
        (name + kind).max(numbers) + 60.0
    };
    graph.nodes.iter().map(needs).fold(190.0, f64::max).ceil()
}

fn title_width(graph: &Graph) -> f64 {
    (graph.name.width() as f64 * 11.5).max(cut(&graph.description, 110).width() as f64 * SMALL)
}

fn title(out: &mut String, graph: &Graph) {
    let (name, about) = (escaped(&graph.name), escaped(&cut(&graph.description, 110)));
    let _ = writeln!(out, "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{name}</text>", MARGIN + 16.0);
    if !about.is_empty() {
        let _ = writeln!(out, "<text class=\"small\" x=\"{MARGIN}\" y=\"{}\">{about}</text>", MARGIN + 36.0);
    }
}

/// What the shapes and lines mean.
fn legend(out: &mut String, y: f64) {
    let mut x = MARGIN;
    for (kind, words) in [
        (Shape::Source, "source"),
        (Shape::Map, "map: row by row"),
        (Shape::Subset, "subset"),
        (Shape::Table, "table: all rows"),
    ] {
        shape(out, kind, x, y - 11.0, 26.0, 15.0);
        let _ = writeln!(out, "<text class=\"small\" x=\"{}\" y=\"{y}\">{words}</text>", x + 33.0);
        x += 33.0 + words.len() as f64 * SMALL + 18.0;
    }
    let _ = writeln!(
        out,
        "<rect class=\"rest\" x=\"{x}\" y=\"{}\" width=\"34\" height=\"4\" rx=\"2\"/>",
        y - 6.0
    );
    let _ = writeln!(
        out,
        "<rect class=\"done\" x=\"{x}\" y=\"{}\" width=\"20\" height=\"4\" rx=\"2\"/>",
        y - 6.0
    );
    let _ = writeln!(out, "<text class=\"small\" x=\"{}\" y=\"{y}\">cached</text>", x + 41.0);
}

/// The outline of a box; its shape tells how the kind treats rows.
fn shape(out: &mut String, shape: Shape, x: f64, y: f64, width: f64, height: f64) {
    let rect = |class: &str, x: f64, width: f64, round: f64| {
        format!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{round:.1}\"/>\n"
        )
    };
    *out += &match shape {
        Shape::Source => rect("shape source", x, width, height / 2.0),
        Shape::Map => rect("shape map", x, width, height / 10.0),
        Shape::Subset => {
            let (cut, right, middle, bottom) = (height / 4.0, x + width, y + height / 2.0, y + height);
            format!(
                "<path class=\"shape subset\" d=\"M{:.1} {y:.1}H{:.1}L{right:.1} {middle:.1}L{:.1} {bottom:.1}H{:.1}L{x:.1} {middle:.1}Z\"/>\n",
                x + cut,
                right - cut,
                right - cut,
                x + cut
            )
        }
        Shape::Table => {
            let bar = height / 8.0;
            rect("shape table", x, width, 1.0) + &rect("inner table", x + bar, width - 2.0 * bar, 0.0)
        }
    };
}

/// The layout at its place on the page.
struct Picture {
    layout: Layout,
    sizes: Sizes,
    /// Width between the margins.
    left: f64,
}

impl Picture {
    /// A place of the layout on the page.
    fn x(&self, x: f64) -> f64 {
        MARGIN + (self.left - self.layout.width) / 2.0 + x
    }

    fn y(&self, layer: usize) -> f64 {
        MARGIN + HEAD + layer as f64 * STEP
    }

    fn node(&self, out: &mut String, at: usize, node: &Node) {
        let (middle, layer) = self.layout.boxes[at];
        let (x, y, width) = (self.x(middle) - self.sizes.width / 2.0, self.y(layer), self.sizes.width);
        let _ = writeln!(out, "<g class=\"stage\"><title>{}</title>", escaped(&node.details.join("\n")));
        shape(out, node.shape, x, y, width, HEIGHT);
        let (left, right) = (x + 22.0, x + width - 22.0);
        let mut words = |class: &str, x: f64, y: f64, text: &str| {
            let _ =
                writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text));
        };
        words("name", left, y + 24.0, &cut(&node.name, LONGEST));
        words("small right", right, y + 24.0, &cut(&node.kind, LONGEST));
        words("small", left, y + 42.0, &node.rows);
        words("small right", right, y + 42.0, &node.state);
        if let Some(share) = node.cached {
            let mut bar = |class: &str, width: f64| {
                let y = y + 49.5;
                let _ = writeln!(
                    out,
                    "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"4\" rx=\"2\"/>"
                );
            };
            bar("rest", right - left);
            if share > 0.0 {
                bar("done", ((right - left) * share).max(4.0));
            }
        }
        *out += "</g>\n";
    }

    /// A curve from the bottom of a box to the top of another, straight through the layers between.
    fn edge(&self, out: &mut String, at: usize, edge: &Edge) {
        let (from, to) = (self.layout.boxes[edge.from], self.layout.boxes[edge.to]);
        // Rows and artifacts between the same two boxes run side by side.
        let aside = if edge.artifact { 26.0 } else { 0.0 };
        let (mut x, mut y) = (self.x(from.0) + aside, self.y(from.1) + HEIGHT);
        let mut path = format!("M{x:.1} {y:.1}");
        let mut curve = |to_x: f64, to_y: f64| {
            let bend = (to_y - y) / 2.0;
            let _ = write!(path, "C{x:.1} {:.1} {to_x:.1} {:.1} {to_x:.1} {to_y:.1}", y + bend, to_y - bend);
            (x, y) = (to_x, to_y);
        };
        for (step, bend) in self.layout.bends[at].iter().enumerate() {
            let layer = from.1 + 1 + step;
            curve(self.x(*bend), self.y(layer));
            curve(self.x(*bend), self.y(layer) + HEIGHT);
        }
        let end = (self.x(to.0) + aside, self.y(to.1));
        curve(end.0, end.1 - 7.0);
        // Edges to one box meet at its top; half a layer before they are apart.
        let above = self.layout.bends[at].last().map_or(self.x(from.0) + aside, |bend| self.x(*bend));
        let artifact = if edge.artifact { " artifact" } else { "" };
        let _ = writeln!(out, "<path class=\"edge{artifact}\" d=\"{path}\"/>");
        let (x, y) = end;
        let _ = writeln!(out, "<path class=\"tip\" d=\"M{x:.1} {y:.1}l-4.5 -8.5h9z\"/>");
        if !edge.label.is_empty() {
            let words = escaped(&cut(&edge.label, 44));
            let _ = writeln!(
                out,
                "<text class=\"small halo\" x=\"{:.1}\" y=\"{:.1}\">{words}</text>",
                (x + above) / 2.0 + 8.0,
                y - 22.0
            );
        }
    }
}

/// Text of XML; what XML cannot hold becomes a mark of replacement.
fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        '\n' | '\t' => c.to_string(),
        '\u{fffe}' | '\u{ffff}' => '\u{fffd}'.to_string(),
        c if c.is_control() => '\u{fffd}'.to_string(),
        c => c.to_string(),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_picture_stands_alone_and_is_escaped() {
        let text = svg(&example());
        assert!(
            text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"")
                && text.ends_with("</svg>\n")
        );
        assert!(
            text.contains("<title>a &quot;b&quot;</title>")
                && text.contains(">&lt;one&gt; &amp; only</text>")
        );
        assert!(text.contains(">a&lt;b&gt;&amp;&quot;c&quot;#\\</text>"));
        assert_eq!(text.matches("<g class=\"stage\"><title>").count(), 4);
        assert_eq!(
            (text.matches("class=\"edge\"").count(), text.matches("class=\"edge artifact\"").count()),
            (4, 1)
        );
        assert!(text.contains("prefers-color-scheme: dark") && !text.contains("href"));
        // Every element that opens closes.
        let closing = text.matches("</").count() + text.matches("/>").count();
        assert_eq!(text.matches('<').count() - text.matches("</").count(), closing);
    }

    #[test]
    fn bars_are_as_long_as_the_share() {
        let text = svg(&example());
        let width = |class: &str| -> Vec<f64> {
            let start = format!("<rect class=\"{class}\"");
            let bars = text.split(start.as_str()).skip(1);
            let bars = bars.filter_map(|bar| bar.split("width=\"").nth(1)?.split('"').next()?.parse().ok());
            bars.collect()
        };
        // The last of each is the legend's.
        let (rest, done) = (width("rest"), width("done"));
        assert_eq!((rest.len(), done.len()), (3, 2));
        assert!((done[0] / rest[0] - 0.376).abs() < 0.01, "{rest:?} {done:?}");
    }

    #[test]
    fn characters_that_xml_cannot_hold() {
        assert_eq!(escaped("a\u{1}\u{ffff}\n"), "a\u{fffd}\u{fffd}\n");
    }
}
