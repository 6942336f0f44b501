//! Which part of the schema speaks of a path?

use serde_json::Value as Json;

use super::Draft;
use crate::plan::manual::takes;
use crate::plan::shape::{Shape, quoted};
use crate::spec::words::either;

/// What a text with a reference looks like in the schema; not worth a word, for it can stand anywhere.
const REFERENCE: &str = "\\$\\{[^}]+\\}";

/// A part of the schema as written, and with its references followed.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    raw: &'a Json,
    pub(super) shape: Shape<'a>,
}

/// How many keys lead to a stage, of a path that leads to one or into one; a test has a kind and options like a stage.
pub(super) fn stage_depth(path: &[String]) -> Option<usize> {
    let depth = match path.first().map(String::as_str)? {
        "pipelines" if path.get(2).is_some_and(|key| key == "stages") => 4,
        "templates" | "tests" => 2,
        _ => return None,
    };
    (path.len() >= depth).then_some(depth)
}

/// What the schema says of a path; several parts where it leaves a choice.
pub(super) fn fields<'a>(draft: &'a Draft<'_>, path: &[String]) -> Vec<Field<'a>> {
    let file = &draft.language.file;
    let whole = |raw: &'a Json, root: &'a Json| Field { raw, shape: Shape::root(root).inner(raw) };
    let Some(depth) = stage_depth(path) else {
        return walk(vec![whole(file, file)], path);
    };
    let (stage, rest) = path.split_at(depth);
    match rest {
        [config, options @ ..] if config == "config" => {
            let schema = draft.kind(stage).and_then(|kind| draft.language.kinds.get(kind.as_str()));
            schema.map_or_else(Vec::new, |schema| walk(vec![whole(schema, schema)], options))
        }
        _ => file
            .pointer(if stage[0] == "tests" { "/$defs/test" } else { "/$defs/fields" })
            .map_or_else(Vec::new, |raw| walk(vec![whole(raw, file)], rest)),
    }
}

fn walk<'a>(mut at: Vec<Field<'a>>, path: &[String]) -> Vec<Field<'a>> {
    for key in path {
        at = at.iter().flat_map(|field| field.alternatives()).filter_map(|one| step(one, key)).collect();
    }
    at
}

fn step<'a>(shape: Shape<'a>, key: &str) -> Option<Field<'a>> {
    let item = key.parse().ok().and_then(|at: usize| {
        let tuple = shape.get("prefixItems").and_then(|items| items.get(at));
        tuple.or_else(|| shape.get("items"))
    });
    let named = || shape.get("properties").and_then(|all| all.get(key));
    let raw = item.or_else(named).or_else(|| shape.further())?;
    Some(Field { raw, shape: shape.inner(raw) })
}

impl<'a> Field<'a> {
    /// What it may be, without references to variables.
    pub(super) fn alternatives(self) -> Vec<Shape<'a>> {
        // The root says beside its fields which of them must be there.
        if self.shape.get("properties").is_some() {
            return vec![self.shape];
        }
        let mut all = self.shape.alternatives();
        all.retain(|one| one.get("pattern").is_none_or(|pattern| pattern != REFERENCE));
        all
    }

    /// The fields of a map by name.
    pub(super) fn named(self) -> Vec<(&'a str, Field<'a>)> {
        let inner = |one: Shape<'a>| {
            one.properties().map(move |(name, raw)| (name.as_str(), Field { raw, shape: one.inner(raw) }))
        };
        self.alternatives().into_iter().flat_map(inner).collect()
    }

    /// What the schema says under a key, of the field or of what it may be.
    pub(super) fn said(self, key: &str) -> Option<&'a Json> {
        let inside = || self.alternatives().into_iter().find_map(|one| one.get(key));
        self.raw.get(key).or_else(|| self.shape.get(key)).or_else(inside)
    }

    /// "a whole number, at least 1; default `30`; in px"
    pub(super) fn facts(self) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for words in self.alternatives().into_iter().map(takes) {
            if !kinds.contains(&words) {
                kinds.push(words);
            }
        }
        let mut facts = vec![either(&kinds)];
        facts.extend(
            self.said("default")
                .filter(|default| !default.is_null())
                .map(|d| format!("default {}", quoted(d))),
        );
        facts.extend(self.said("x-unit").and_then(Json::as_str).map(|unit| format!("in {unit}")));
        facts.join("; ")
    }

    /// What it does, in a sentence or two.
    pub(super) fn description(self) -> &'a str {
        self.said("description").and_then(Json::as_str).unwrap_or_default()
    }
}
