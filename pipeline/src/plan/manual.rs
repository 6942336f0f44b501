//! What does the manual page of a kind say? Data for the program to print, taken from the kind's options and its
//! description of itself.

use serde_json::Value as Json;

use super::shape::{Shape, quoted};
use crate::registry::Kind;
use crate::stage;

/// Deepest nesting of options that the page shows.
const DEEPEST: usize = 4;

/// The page of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Manual {
    /// The `kind:` in the file.
    pub kind: &'static str,
    /// Its version.
    pub version: u32,
    /// One line.
    pub summary: &'static str,
    /// How it treats rows.
    pub shape: stage::Shape,
    /// Whether it may read the column of scoring labels.
    pub scores: bool,
    /// Whether the stage keys `retries` may be written; `None` where they have no effect.
    pub retry: Option<stage::Retry>,
    /// Its options, those inside others after them.
    pub options: Vec<ManualOption>,
    /// Columns it can add: name, type, meaning.
    pub columns: &'static [(&'static str, &'static str, &'static str)],
    /// A `stages:` entry that works.
    pub example: &'static str,
}

/// One option on the page.
#[derive(Debug, Clone, PartialEq)]
pub struct ManualOption {
    /// Its name, with points for options inside others: `labels.map`.
    pub name: String,
    /// What it takes, in words: "a whole number, at least 1".
    pub takes: String,
    /// The default as YAML would write it; `None` where there is none.
    pub default: Option<String>,
    /// Its unit.
    pub unit: Option<String>,
    /// What it does.
    pub description: String,
    /// Values that it takes, each with its meaning, where values have one.
    pub values: Vec<(String, String)>,
    /// Whether it must be written.
    pub required: bool,
    /// Whether it changes results, so that a change of it computes anew.
    pub identity: bool,
}

/// The manual page of a kind.
pub fn manual(kind: &dyn Kind) -> Manual {
    let about = kind.about();
    let schema = kind.schema();
    let mut options = Vec::new();
    gather(Shape::root(&schema), "", DEEPEST, &mut options);
    Manual {
        kind: about.kind,
        version: about.version,
        summary: about.summary,
        shape: about.shape,
        scores: about.scores,
        retry: matches!(about.shape, stage::Shape::Map | stage::Shape::Table).then_some(about.retry),
        options,
        columns: about.columns,
        example: about.example,
    }
}

fn gather(shape: Shape<'_>, prefix: &str, depth: usize, out: &mut Vec<ManualOption>) {
    if depth == 0 {
        return;
    }
    let required: Vec<&str> = shape.required().collect();
    for (name, schema) in shape.properties() {
        let inner = shape.inner(schema);
        let said = |key: &str| schema.get(key).or_else(|| inner.get(key));
        let text = |key: &str| said(key).and_then(Json::as_str).map(str::to_owned);
        let full = format!("{prefix}{name}");
        let takes = takes(inner);
        if let Some(known) = out.iter_mut().find(|option| option.name == full) {
            if !known.takes.split(" or ").any(|part| part == takes) {
                known.takes = format!("{} or {takes}", known.takes);
            }
            continue;
        }
        out.push(ManualOption {
            takes,
            default: said("default").map(|default| quoted(default).replace('`', "")),
            unit: text("x-unit"),
            description: text("description").unwrap_or_default(),
            values: values(inner),
            required: required.contains(&name.as_str()),
            identity: said("x-identity") != Some(&Json::Bool(false)),
            name: full.clone(),
        });
        for one in inner.alternatives() {
            gather(one, &format!("{full}."), depth - 1, out);
        }
    }
}

fn values(shape: Shape<'_>) -> Vec<(String, String)> {
    let meant = |one: Shape<'_>| {
        let meaning = one.get("description").and_then(Json::as_str)?.to_owned();
        let choices = one.choices()?;
        choices.first().and_then(|value| value.as_str()).map(|value| (value.to_owned(), meaning))
    };
    shape.alternatives().into_iter().filter_map(meant).collect()
}

/// What a value may be, in words, with its bounds.
pub(crate) fn takes(shape: Shape<'_>) -> String {
    let mut words = shape.words();
    if let [one] = shape.alternatives()[..]
        && let Some(item) = one.item(0).filter(|_| one.accepts("array"))
    {
        words = format!("{words}, each {}", item.words());
    }
    let bounds = [
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("exclusiveMaximum", "less than"),
    ];
    for (key, says) in bounds {
        if let Some(bound) = shape.get(key) {
            let text = bound.to_string();
            words = format!("{words}, {says} {}", text.strip_suffix(".0").unwrap_or(&text));
        }
    }
    words
}
