//! Which fields does a test have? The `tests:` block read into [`TestSpec`]s.

use std::collections::HashSet;

use super::node::{Entry, Node, Value};
use super::read::Reader;
use super::test::{Bound, Check, Row, Rows, Subject, TestSpec, Wanted};
use super::{Name, StageSpec};
use crate::plan::{OnError, Tries};

const TEST: &[&str] = &[
    "pipeline",
    "stage",
    "kind",
    "config",
    "set",
    "rows",
    "types",
    "expect",
    "where",
    "columns",
    "count",
    "quarantined",
    "fails",
    "tolerance",
];
/// What a test can expect.
const EXPECTING: &[&str] = &["expect", "where", "columns", "count", "quarantined", "fails"];
const CHECK: &[&str] = &["min", "max", "contains", "not"];

/// How far numbers with a point may differ where a test says nothing.
const TOLERANCE: f64 = 1e-6;

/// Reads the block.
pub(super) fn read(root: &Node, reader: &mut Reader<'_>) -> Vec<TestSpec> {
    let Some(entry) = root.entry("tests") else { return Vec::new() };
    match &entry.value.value {
        Value::Map(entries) => entries.iter().map(|entry| Read { reader }.test(entry)).collect(),
        Value::Null => Vec::new(),
        _ => {
            let message = format!("`tests` must be a map, not {}", entry.value);
            reader.wrong(
                &entry.value,
                message,
                "write `tests: {name: {stage: ..., rows: [...], expect: [...]}}`",
            );
            Vec::new()
        }
    }
}

struct Read<'a, 'b> {
    reader: &'a mut Reader<'b>,
}

impl Read<'_, '_> {
    fn test(&mut self, entry: &Entry) -> TestSpec {
        let first = self.reader.problems.len();
        let mut before = first;
        let name = Name { text: entry.key.clone(), span: entry.span.clone() };
        let node = &entry.value;
        let whose = format!("test `{}`", name.text);
        let mut subject = None;
        match node.value {
            Value::Map(_) => {
                let misspelt = self.fields(node, &whose, TEST);
                before = self.reader.problems.len();
                subject = self.subject(node, entry, &whose, misspelt);
                self.expecting(node, entry, &whose, misspelt);
            }
            _ => {
                let message = format!("{whose} must be a map with `stage` or `kind`, not {node}");
                self.reader.wrong(node, message, "write `stage:`, `rows:` and `expect:` in it");
            }
        }
        let set = self.reader.map_field(node, "set");
        let set = set.iter().flat_map(Node::entries).map(|entry| (named(entry), entry.value.clone()));
        TestSpec {
            set: set.collect(),
            rows: self.rows(node),
            types: self.texts(node, "types", "the type of a column, such as `utf8`"),
            wanted: self.wanted(node),
            subject,
            name,
            within: None,
            broken: self.reader.problems.len() > before || node.any_failed(),
            problems: self.reader.problems[first..].to_vec(),
        }
    }

    fn fields(&mut self, node: &Node, whose: &str, known: &[&str]) -> bool {
        self.reader.fields(node, whose, known, &[])
    }

    fn subject(&mut self, node: &Node, entry: &Entry, whose: &str, misspelt: bool) -> Option<Subject> {
        let stage = node.get("stage").and_then(|stage| self.reader.name(stage, "`stage`"));
        let kind = node.get("kind").and_then(|kind| self.reader.name(kind, "`kind`"));
        let with = |key: &str| node.entry(key).map(|entry| entry.span.clone());
        if let (Some(span), Some(_)) = (with("kind"), with("stage")) {
            let message = format!("{whose} has both `stage` and `kind`");
            self.reader.report(
                &span,
                message,
                "name a stage of a pipeline, or write a stage of the test's own; remove one of the two",
            );
            return None;
        }
        let (useless, beside) =
            if with("kind").is_some() { ("pipeline", "kind") } else { ("config", "stage") };
        if let (Some(span), Some(_)) = (with(useless), with(beside)) {
            let hint = match useless {
                "config" => "change options of a stage with `set: {stages.NAME.config.OPTION: value}`",
                _ => "remove it: a test with `kind` brings its own stage",
            };
            self.reader.report(&span, format!("`{useless}` has no effect beside `{beside}`"), hint);
        }
        match (stage, kind) {
            (Some(stage), _) => {
                let pipeline = node.get("pipeline").and_then(|name| self.reader.name(name, "`pipeline`"));
                Some(Subject::Stage { pipeline, stage })
            }
            (None, Some(kind)) => Some(Subject::Own(Box::new(self.own(node, entry, kind)))),
            (None, None) => {
                if with("stage").is_none() && with("kind").is_none() && !misspelt {
                    let hint = "name the stage under test: `stage: NAME`, or write one: `kind: ...`, `config: {...}`";
                    self.reader.report(&entry.span, format!("{whose} names no stage"), hint);
                }
                None
            }
        }
    }

    /// The stage that a test brings along.
    fn own(&mut self, node: &Node, entry: &Entry, kind: Name) -> StageSpec {
        let config = self.reader.map_field(node, "config");
        StageSpec {
            name: kind.clone(),
            kind: Some(kind),
            inputs: None,
            ports: Vec::new(),
            inputs_span: entry.span.clone(),
            config: config.unwrap_or_else(|| Node::empty(entry.span.clone())),
            on_error: OnError::Quarantine { threshold: 1.0 },
            tries: Tries::default(),
            tries_at: Vec::new(),
            left_out: false,
            broken: false,
        }
    }

    fn expecting(&mut self, node: &Node, entry: &Entry, whose: &str, misspelt: bool) {
        let said: Vec<&Entry> =
            node.entries().iter().filter(|field| EXPECTING.contains(&field.key.as_str())).collect();
        let empty = |field: &&Entry| field.key == "where" && field.value.entries().is_empty();
        if let [only] = said[..]
            && empty(&only)
            && !only.value.failed
        {
            self.reader.report(&only.span, "`where` says nothing", "write `where: {column: value}`");
        }
        if said.is_empty() && !misspelt {
            let hint = "write `expect: [...]`, `where: {...}`, `columns: [...]`, `count:`, `quarantined: {...}` or `fails:`";
            self.reader.report(&entry.span, format!("{whose} expects nothing"), hint);
        }
        if let (Some(fails), [_, _, ..]) = (node.entry("fails"), &said[..]) {
            let message = format!("{whose} expects rows, and that it fails");
            self.reader.report(&fails.span, message, "let `fails` stand alone: no row leaves what fails");
        }
    }

    fn rows(&mut self, node: &Node) -> Rows {
        match node.get("rows") {
            None => Rows::Own,
            Some(rows) => match &rows.value {
                Value::Map(entries) => {
                    let each = |entry: &Entry| (named(entry), self.list(&entry.value, &entry.key));
                    Rows::Named(entries.iter().map(each).collect())
                }
                _ => Rows::Arriving(self.list(rows, "rows")),
            },
        }
    }

    /// A list of rows, each with an id of its own.
    fn list(&mut self, node: &Node, key: &str) -> Vec<Row> {
        let Value::Seq(items) = &node.value else {
            if !node.failed {
                let message = format!("`{key}` must be a list of rows, not {node}");
                self.reader.wrong(node, message, format!("write `{key}: [{{id: a, column: value}}, ...]`"));
            }
            return Vec::new();
        };
        let mut seen = HashSet::new();
        let mut rows = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let Some(row) = self.row(item, at) else { continue };
            if !seen.insert(row.id.clone()) {
                let message = format!("two rows of `{key}` have the id `{}`", row.id);
                self.reader.report(&row.span, message, "give every row an `id` of its own");
            }
            rows.push(row);
        }
        rows
    }

    fn row(&mut self, node: &Node, at: usize) -> Option<Row> {
        let Value::Map(entries) = &node.value else {
            if !node.failed {
                let message = format!("a row must be a map of columns, not {node}");
                self.reader.wrong(node, message, "write `{id: a, column: value}`");
            }
            return None;
        };
        let id = match node.get("id") {
            None => format!("row-{at}"),
            Some(id) => match &id.value {
                Value::Str(text) if !text.is_empty() => text.clone(),
                _ if id.failed => return None,
                Value::Str(_) => {
                    self.reader.wrong(id, "`id` is empty", "name the row, or leave its `id` out");
                    return None;
                }
                _ => {
                    self.reader.wrong(id, format!("`id` must be text, not {id}"), "put it in quotes");
                    return None;
                }
            },
        };
        let cells = entries.iter().filter(|entry| entry.key != "id").cloned().collect();
        Some(Row { id, span: node.span.clone(), cells })
    }

    fn wanted(&mut self, node: &Node) -> Wanted {
        let rows = node.get("expect").map(|rows| self.list(rows, "expect"));
        let checks = self.reader.map_field(node, "where");
        let checks = checks.iter().flat_map(Node::entries);
        let checks = checks.filter_map(|entry| Some((named(entry), self.check(&entry.value)?))).collect();
        Wanted {
            rows,
            checks,
            columns: node.get("columns").map(|columns| self.names(columns)),
            count: node.get("count").and_then(|count| self.count(count)),
            quarantined: self
                .texts(node, "quarantined", "a part of the reason, or `null` for any")
                .into_iter()
                .map(|(id, text)| (id, text.text))
                .collect(),
            fails: node.get("fails").and_then(|text| self.text(text, "fails", "a part of the message")),
            tolerance: node.get("tolerance").and_then(|number| self.tolerance(number)).unwrap_or(TOLERANCE),
        }
    }

    /// A value, a list of values, or bounds.
    fn check(&mut self, node: &Node) -> Option<Check> {
        match &node.value {
            Value::Map(entries) => {
                self.fields(node, "a condition", CHECK);
                Some(Check::Bounds(entries.iter().filter_map(|entry| self.bound(entry)).collect()))
            }
            _ => Some(Check::OneOf(values(node))),
        }
    }

    fn bound(&mut self, entry: &Entry) -> Option<Bound> {
        let node = &entry.value;
        match entry.key.as_str() {
            "min" => self.number(node, "min").map(Bound::Min),
            "max" => self.number(node, "max").map(Bound::Max),
            "contains" => Some(Bound::Contains(self.text(node, "contains", "a part of the text")?.text)),
            "not" => Some(Bound::Not(values(node))),
            _ => None,
        }
    }

    fn number(&mut self, node: &Node, key: &str) -> Option<f64> {
        match node.value {
            Value::Int(whole) => Some(whole as f64),
            Value::Float(number) if !number.is_nan() => Some(number),
            _ if node.failed => None,
            _ => {
                self.reader.wrong(
                    node,
                    format!("`{key}` must be a number, not {node}"),
                    format!("write `{key}: 0`"),
                );
                None
            }
        }
    }

    fn tolerance(&mut self, node: &Node) -> Option<f64> {
        let number = self.number(node, "tolerance")?;
        if number < 0.0 || number.is_infinite() {
            let message = format!("`tolerance` must not be less than 0, nor without end, and is {node}");
            self.reader.wrong(node, message, "write for example `tolerance: 1e-3`");
        }
        Some(number)
    }

    fn count(&mut self, node: &Node) -> Option<u64> {
        match node.value {
            Value::Int(count) if u64::try_from(count).is_ok() => u64::try_from(count).ok(),
            _ if node.failed => None,
            _ => {
                let message = format!("`count` must be a number of rows, not {node}");
                self.reader.wrong(node, message, "write a whole number, at least 0");
                None
            }
        }
    }

    fn names(&mut self, node: &Node) -> Vec<Name> {
        let Value::Seq(items) = &node.value else {
            if !node.failed {
                self.reader.wrong(
                    node,
                    format!("`columns` must be a list, not {node}"),
                    "write `columns: [caption, label]`",
                );
            }
            return Vec::new();
        };
        items.iter().filter_map(|item| self.reader.name(item, "a column")).collect()
    }

    /// A map from names to texts; null is empty text.
    fn texts(&mut self, node: &Node, key: &str, what: &str) -> Vec<(Name, Name)> {
        let map = self.reader.map_field(node, key);
        let entries = map.iter().flat_map(Node::entries);
        entries
            .filter_map(|entry| {
                let text = match entry.value.value {
                    Value::Null if key == "quarantined" => {
                        Some(Name { text: String::new(), span: entry.span.clone() })
                    }
                    _ => self.text(&entry.value, &entry.key, what),
                };
                Some((named(entry), text?))
            })
            .collect()
    }

    fn text(&mut self, node: &Node, key: &str, what: &str) -> Option<Name> {
        match &node.value {
            _ if node.failed => None,
            Value::Str(text) if !text.trim().is_empty() => {
                Some(Name { text: text.clone(), span: node.span.clone() })
            }
            _ => {
                self.reader.wrong(node, format!("`{key}` must be {what}, not {node}"), "write it as text");
                None
            }
        }
    }
}

fn named(entry: &Entry) -> Name {
    Name { text: entry.key.clone(), span: entry.span.clone() }
}

/// The values of a list, or the one value.
fn values(node: &Node) -> Vec<Node> {
    match &node.value {
        Value::Seq(items) => items.clone(),
        _ => vec![node.clone()],
    }
}
