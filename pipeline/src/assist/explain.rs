//! What does this word mean? The documentation of fields, options and kinds, and the values of variables, as Markdown.

use std::path::Path;

use super::place::{Field, fields, stage_depth};
use super::{Column, Draft, Language};
use crate::plan::manual::manual;
use crate::registry::Kind;
use crate::spec::outline::{Cursor, Item, Role, cursor};

/// A field of the file, as the reference shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented {
    /// Its name.
    pub name: String,
    /// What it takes: "a whole number, at least 1; default `30`".
    pub facts: String,
    /// What it does.
    pub description: String,
    /// A value, as JSON, where the schema has an example.
    pub example: Option<String>,
}

impl Language<'_> {
    /// The fields that can stand in the map at a path of the file, as the JSON Schema has them; `pipelines`, `any`, `stages`,
    /// `any` leads to those of a stage.
    pub fn fields(&self, path: &[&str]) -> Vec<Documented> {
        let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
        let nothing = Draft::new(self, Path::new(""), "", &|_| None, None);
        let found = fields(&nothing, &path).into_iter().flat_map(Field::named);
        let document = |(name, field): (&str, Field<'_>)| {
            let examples = field.said("examples").and_then(|all| all.as_array());
            Documented {
                name: name.to_owned(),
                facts: field.facts(),
                description: field.description().to_owned(),
                example: examples.and_then(|all| all.first()).map(ToString::to_string),
            }
        };
        found.map(document).collect()
    }
}

/// What the word at a line and column (both from 1) means; `None` where there is nothing to say.
pub fn explain(draft: &Draft<'_>, line: usize, column: usize) -> Option<(String, Item)> {
    let cursor = cursor(draft.text, line, column)?;
    let item = &cursor.item;
    let text = match (reference(&cursor), item.role) {
        (Some(name), _) => variable(draft, &name),
        (None, Role::Key) => {
            let here = fields(draft, &item.full()).into_iter();
            let known = named(draft, item).or_else(|| here.map(|one| field(&item.text, one)).next());
            known.unwrap_or_default()
        }
        (None, _) => value(draft, item),
    };
    (!text.is_empty() && !item.text.is_empty()).then_some((text, cursor.item))
}

/// The variable of the `${vars.x}` that a place stands in.
pub(super) fn reference(cursor: &Cursor) -> Option<String> {
    let text: Vec<char> = cursor.item.text.chars().collect();
    let start = (0..=cursor.before.min(text.len())).rev().find(|&at| text[at..].starts_with(&['$', '{']))?;
    let end = text[start..].iter().position(|&c| c == '}').map_or(text.len(), |end| start + end);
    if end < cursor.before {
        return None;
    }
    let inner: String = text[start + 2..end].iter().collect();
    inner.strip_prefix("vars.").map(str::to_owned)
}

/// What a name of the file's own stands for: a stage, or a column.
fn named(draft: &Draft<'_>, item: &Item) -> Option<String> {
    let path: Vec<&str> = item.path.iter().map(String::as_str).collect();
    match path[..] {
        ["pipelines", pipeline, "stages"] | ["pipelines", pipeline, "stages", _, "inputs", ..] => {
            stage(draft, pipeline, &item.text)
        }
        ["tests", test, "stage"] | ["tests", test, "rows"] if !draft.is_own(test) => {
            draft.tested_in(test).iter().find_map(|pipeline| stage(draft, pipeline, &item.text))
        }
        ["default"] | ["pipelines", _, "extends"] | ["tests", _, "pipeline"] => pipeline(draft, &item.text),
        ["pipelines"] => pipeline(draft, &item.text),
        ["templates", _, "use"] | ["pipelines", _, "stages", _, "use"] => template(draft, &item.text),
        _ => column(draft, item),
    }
}

/// A pipeline: what its file says of it, and its stages.
fn pipeline(draft: &Draft<'_>, name: &str) -> Option<String> {
    let stages = draft.stages(name);
    let known = draft.keys(&["pipelines"]).any(|(_, item)| item.text == name);
    let said = draft.said(&["pipelines", name, "description"]).unwrap_or_default();
    let stages: Vec<String> = stages.iter().map(|stage| format!("`{stage}`")).collect();
    let text = format!("**{name}**: pipeline\n\n{said}\n\nStages: {}", stages.join(", "));
    known.then(|| text.replace("\n\n\n\n", "\n\n"))
}

/// A template: its kind, and what the kind does.
fn template(draft: &Draft<'_>, name: &str) -> Option<String> {
    let kind = draft.kind(&["templates", name].map(str::to_owned))?;
    let about = draft.language.registry.get(&kind)?.about();
    Some(format!("**{name}**: template of a stage of kind `{kind}`\n\n{}", about.summary))
}

/// A stage: what it does, and what leaves it.
fn stage(draft: &Draft<'_>, pipeline: &str, name: &str) -> Option<String> {
    let path = ["pipelines", pipeline, "stages", name].map(str::to_owned);
    let kind = draft.kind(&path)?;
    let about = draft.language.registry.get(&kind)?.about();
    let mut text =
        format!("**{name}**: stage of kind `{kind}` of pipeline `{pipeline}`\n\n{}", about.summary);
    let columns = draft.leaving(pipeline, name);
    if !columns.is_empty() {
        let word = |Column { name, kind, .. }: &Column| format!("`{name}` ({kind})");
        let columns: Vec<String> = columns.iter().map(word).collect();
        text += &format!("\n\nColumns that leave it: {}", columns.join(", "));
    }
    Some(text)
}

/// A column that can be named here: its type, and what the kind that adds it says of it.
fn column(draft: &Draft<'_>, item: &Item) -> Option<String> {
    let columns = draft.columns(&item.path).into_iter();
    let Column { name, kind, .. } = columns.into_iter().find(|column| column.name == item.text)?;
    let here = fields(draft, &item.path);
    let takes = |field: &Field<'_>| field.said("x-column").is_some();
    let in_test = item.path.first().is_some_and(|first| first == "tests");
    if !in_test && !here.iter().any(takes) {
        return None;
    }
    let adding = draft.language.registry.kinds().find_map(|known| {
        let about = known.about();
        let (_, _, meaning) = about.columns.iter().find(|(column, _, _)| *column == name)?;
        Some(format!("{meaning}; a column of `{}`", about.kind))
    });
    Some(format!("**{name}**: {kind}\n\n{}", adding.unwrap_or_default()).trim_end().to_owned())
}

fn value(draft: &Draft<'_>, item: &Item) -> String {
    if let Some(text) = named(draft, item) {
        return text;
    }
    let stage_key = stage_depth(&item.path).and_then(|depth| item.path.get(depth));
    if stage_key.is_some_and(|key| key == "kind") {
        return draft.language.registry.get(&item.text).map(|found| kind(found.as_ref())).unwrap_or_default();
    }
    for one in fields(draft, &item.path).into_iter().flat_map(Field::alternatives) {
        let named =
            one.choices().is_some_and(|all| all.iter().any(|value| value.as_str() == Some(&item.text)));
        if let (true, Some(meaning)) = (named, one.get("description").and_then(|text| text.as_str())) {
            return format!("`{}`: {meaning}", item.text);
        }
    }
    String::new()
}

/// A field or an option.
pub(super) fn field(name: &str, field: Field<'_>) -> String {
    format!("**{name}**: {}\n\n{}", field.facts(), field.description()).trim_end().to_owned()
}

/// The page of a kind, without its options' details.
pub(super) fn kind(kind: &dyn Kind) -> String {
    let page = manual(kind);
    let mut text = format!("**{}**: {}\n\n```yaml\n{}\n```\n", page.kind, page.summary, page.example);
    if !page.columns.is_empty() {
        text += "\nColumns it adds\n";
        page.columns
            .iter()
            .for_each(|(name, kind, meaning)| text += &format!("- `{name}`: {kind}; {meaning}\n"));
    }
    let options: Vec<String> =
        page.options.iter().filter(|o| !o.name.contains('.')).map(|o| format!("`{}`", o.name)).collect();
    if !options.is_empty() {
        text += &format!("\nOptions: {}\n", options.join(", "));
    }
    text.trim_end().to_owned()
}

/// A variable with its value where that is one word.
pub(super) fn variable(draft: &Draft<'_>, name: &str) -> String {
    let Some((file, item)) = draft.keys(&["vars"]).find(|(_, item)| item.text == name) else {
        return String::new();
    };
    let place = match draft.files.first() {
        Some((own, _)) if own == file => format!("line {}", item.line),
        _ => format!("`{}`, line {}", file.display(), item.line),
    };
    match draft.value(&["vars".to_owned()], name) {
        Some(value) => format!("`{name}` is `{value}` ({place})"),
        None => format!("`{name}` ({place})"),
    }
}
