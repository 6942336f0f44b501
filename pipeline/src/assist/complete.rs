//! What can stand here? Names of fields, kinds, options, values, stages, templates, columns and variables.

use serde_json::Value as Json;

use super::place::{Field, fields, stage_depth};
use super::tested::types;
use super::{Draft, explain};
use crate::plan::shape::quoted;
use crate::spec::outline::{Cursor, Item, Role, cursor, lines};

/// Something that can stand at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What is shown, and compared with what is typed.
    pub label: String,
    /// What is put in place of the columns `from..to`.
    pub insert: String,
    /// First column that it replaces, from 1.
    pub from: usize,
    /// The column behind the last one that it replaces.
    pub to: usize,
    /// A few words beside it.
    pub detail: String,
    /// What it means, as Markdown.
    pub docs: String,
    /// What it is.
    pub what: What,
}

/// What a suggestion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A field of the file or an option.
    Field,
    /// A value.
    Value,
    /// A kind of stage.
    Kind,
    /// The name of a stage, a pipeline or a template.
    Name,
    /// A column.
    Column,
    /// A variable.
    Variable,
}

/// All that can stand at a line and column, both from 1.
pub fn complete(draft: &Draft<'_>, line: usize, column: usize) -> Vec<Suggestion> {
    let Some(cursor) = cursor(draft.text, line, column) else { return Vec::new() };
    let Cursor { item, before } = &cursor;
    let content: Vec<char> =
        lines(draft.text).get(line - 1).map_or_else(Vec::new, |line| line.chars().collect());
    if let Some(found) = references(draft, &cursor, &content) {
        return found;
    }
    let end = item.column + item.text.chars().count();
    let colon =
        content.get(end - 1..).is_some_and(|rest| rest.iter().find(|&&c| c != ' ' && c != '"') == Some(&':'));
    let mut list = List { item, to: end, colon, found: Vec::new() };
    if item.role != Role::Key {
        values(draft, &mut list);
    }
    if item.role == Role::Key || (item.role == Role::Bare && list.found.is_empty()) {
        keys(draft, &mut list);
    }
    let typed: String = item.text.chars().take(*before).collect::<String>().to_lowercase();
    list.found.retain(|one| one.label.to_lowercase().contains(&typed));
    list.found.sort_by_key(|one| !one.label.to_lowercase().starts_with(&typed));
    list.found
}

struct List<'a> {
    item: &'a Item,
    to: usize,
    colon: bool,
    found: Vec<Suggestion>,
}

impl List<'_> {
    fn add(&mut self, what: What, label: &str, detail: String, docs: String) {
        if self.found.iter().any(|known| known.label == label) {
            return;
        }
        let key = what == What::Field || self.item.role == Role::Key;
        let insert = match key && !self.colon {
            true => format!("{label}: "),
            false => label.to_owned(),
        };
        let (from, to) = (self.item.column, self.to);
        self.found.push(Suggestion { label: label.to_owned(), insert, from, to, detail, docs, what });
    }

    fn names(&mut self, names: impl IntoIterator<Item = String>, detail: &str) {
        names.into_iter().for_each(|name| self.add(What::Name, &name, detail.to_owned(), String::new()));
    }
}

/// `${vars.` and `${env.` inside a value.
fn references(draft: &Draft<'_>, cursor: &Cursor, line: &[char]) -> Option<Vec<Suggestion>> {
    let Cursor { item, before } = cursor;
    let typed: String = item.text.chars().take(*before).collect();
    let open = typed.rfind("${").filter(|&at| !typed[at..].contains('}'))?;
    let inner = &typed[open + 2..];
    let to = item.column + before;
    let closed = line.get(to - 1..).is_some_and(|rest| rest.first() == Some(&'}'));
    let close = if closed { "" } else { "}" };
    let from = to - inner.chars().count();
    let names = draft
        .keys(&["vars"])
        .map(|(_, var)| (format!("vars.{}", var.text), explain::variable(draft, &var.text)));
    let mut found: Vec<Suggestion> = Vec::new();
    for (label, docs) in names.filter(|(label, _)| label.starts_with(inner)) {
        let insert = format!("{label}{close}");
        if !found.iter().any(|known| known.label == label) {
            found.push(Suggestion {
                label,
                insert,
                from,
                to,
                detail: "variable".into(),
                docs,
                what: What::Variable,
            });
        }
    }
    Some(found)
}

fn values(draft: &Draft<'_>, list: &mut List<'_>) {
    let path = &list.item.path;
    if let Some(depth) = stage_depth(path) {
        let (stage, rest) = path.split_at(depth);
        match rest.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["kind"] => {
                for kind in draft.language.registry.kinds() {
                    let about = kind.about();
                    list.add(What::Kind, about.kind, about.summary.to_owned(), explain::kind(kind.as_ref()));
                }
                return;
            }
            ["inputs"] | ["inputs", _] if stage[0] == "pipelines" => {
                let taken: Vec<String> = list_of(draft, path);
                let mut names = draft.stages(&stage[1]);
                names.retain(|name| *name != stage[3] && !taken.contains(name));
                return list.names(names, "stage");
            }
            ["use"] => {
                return list.names(draft.keys(&["templates"]).map(|(_, item)| item.text.clone()), "template");
            }
            _ => {}
        }
    }
    match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tests", test, "stage"] => list.names(draft.tested(test), "stage"),
        ["tests", _, "types", _] => types().iter().for_each(|name| {
            list.add(What::Value, name, String::new(), String::new());
        }),
        ["tests", _, "columns"] | ["tests", _, "columns", _] => columns(draft, list),
        ["default"] | ["pipelines", _, "extends"] | ["tests", _, "pipeline"] => {
            let own = (path[0] == "pipelines").then(|| path[1].clone());
            let others = draft.keys(&["pipelines"]).map(|(_, item)| item.text.clone());
            list.names(others.filter(|name| own.as_ref() != Some(name)), "pipeline");
        }
        _ => {}
    }
    let mut here = fields(draft, path);
    if let Some((last, parent)) = path.split_last()
        && last.parse::<usize>().is_ok()
    {
        here.extend(fields(draft, parent));
    }
    if here.iter().any(|field| field.said("x-column").is_some_and(|takes| takes == "value")) {
        columns(draft, list);
    }
    let classes = draft.classes(path);
    classes.iter().for_each(|class| list.add(What::Value, class, "class".into(), String::new()));
    here.into_iter().for_each(|field| choices(field, list));
}

/// The other entries of the list that a place stands in.
fn list_of(draft: &Draft<'_>, path: &[String]) -> Vec<String> {
    let Some((_, parent)) = path.split_last() else { return Vec::new() };
    let others = |item: &&Item| {
        item.role != Role::Key
            && item.path != path
            && item.path.split_last().is_some_and(|(_, p)| p == parent)
    };
    draft.own().iter().filter(others).map(|item| item.text.clone()).collect()
}

fn choices(field: Field<'_>, list: &mut List<'_>) {
    let default = field.said("default");
    for one in field.alternatives() {
        let meaning = one.get("description").and_then(Json::as_str).unwrap_or_default();
        let whole = one.get("type").is_some_and(|kind| kind == "boolean");
        let both = [Json::Bool(true), Json::Bool(false)];
        let values = one.choices().unwrap_or_else(|| if whole { both.iter().collect() } else { Vec::new() });
        for value in values.into_iter().filter(|value| !value.is_null()) {
            let detail = if default == Some(value) { "default" } else { "" };
            list.add(What::Value, quoted(value).trim_matches('`'), detail.to_owned(), meaning.to_owned());
        }
    }
}

fn columns(draft: &Draft<'_>, list: &mut List<'_>) {
    for column in draft.columns(&list.item.path) {
        list.add(What::Column, &column.name, column.kind, String::new());
    }
}

fn keys(draft: &Draft<'_>, list: &mut List<'_>) {
    let path = &list.item.path;
    let written: Vec<&str> = draft
        .own()
        .iter()
        .filter(|item| item.role == Role::Key && item.path == *path && item.text != list.item.text)
        .map(|item| item.text.as_str())
        .collect();
    if let [_, pipeline, matrix] = &path[..]
        && matrix == "matrix"
    {
        for (_, var) in draft.keys(&["vars"]) {
            list.add(
                What::Variable,
                &var.text,
                format!("variable of pipeline `{pipeline}`"),
                explain::variable(draft, &var.text),
            );
        }
    }
    match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["pipelines", pipeline, "stages"] => {
            if let Some(base) = draft.said(&["pipelines", pipeline, "extends"]) {
                list.names(draft.stages(base), "stage");
            }
        }
        ["pipelines", _, "stages", _, "inputs"] => {
            list.names(draft.kind(&path[..4]).map(|kind| draft.ports(&kind)).unwrap_or_default(), "port");
        }
        ["tests", test, "rows"] => match draft.value(&path[..2], "kind") {
            Some(kind) => list.names(draft.ports(kind), "port"),
            None => list.names(draft.given(test), "stage"),
        },
        ["tests", test, "set"] => {
            let paths = draft.settable(test);
            paths.iter().for_each(|path| list.add(What::Name, path, String::new(), String::new()));
        }
        ["tests", _, "where" | "types"] | ["tests", _, "expect" | "rows", _] | ["tests", _, "rows", _, _] => {
            columns(draft, list)
        }
        _ => {}
    }
    let here = fields(draft, path);
    if here.iter().any(|field| field.said("x-column").is_some_and(|takes| takes == "keys")) {
        columns(draft, list);
    }
    for (name, field) in here.into_iter().flat_map(Field::named) {
        list.add(What::Field, name, field.facts(), explain::field(name, field));
    }
    list.found.retain(|one| !written.contains(&one.label.as_str()));
}
