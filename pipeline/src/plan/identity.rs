//! Which part of the options counts? Everything but the fields marked `x-identity: false`, with keys sorted, and with a
//! digest in place of whatever came from the environment.

use serde_json::{Map as JsonMap, Value as Json};

use super::options::fits;
use super::shape::Shape;
use crate::digest::Digest;
use crate::spec::{Node, Value};

/// What records carry in place of a value of the environment.
pub(crate) fn redacted(text: &str) -> String {
    format!("digest:{}", Digest::of(text.as_bytes()))
}

/// The options as records and identities have them: no value of the environment, keys sorted.
pub(crate) fn recorded(options: &Json, config: &Node) -> Json {
    let mut out = options.clone();
    let mut texts = Vec::new();
    hide(&mut out, config, &mut texts);
    if !texts.is_empty() {
        hide_texts(&mut out, &texts);
    }
    sorted(&out)
}

/// Without the fields that do not count.
pub(crate) fn strip(schema: &Json, options: &Json) -> Json {
    keep(Shape::root(schema), options)
}

fn keep(shape: Shape<'_>, value: &Json) -> Json {
    let all = shape.alternatives();
    let shape = match all[..] {
        [one] => one,
        _ => all.iter().copied().find(|one| fits(*one, value)).unwrap_or(shape),
    };
    match value {
        Json::Object(map) => Json::Object(
            map.iter().filter_map(|(key, value)| Some((key.clone(), field(shape, key, value)?))).collect(),
        ),
        Json::Array(items) => {
            let inner = |(at, item): (usize, &Json)| {
                shape.item(at).map_or_else(|| item.clone(), |shape| keep(shape, item))
            };
            Json::Array(items.iter().enumerate().map(inner).collect())
        }
        _ => value.clone(),
    }
}

fn field(shape: Shape<'_>, key: &str, value: &Json) -> Option<Json> {
    let written = shape.get("properties").and_then(|all| all.get(key));
    let counts = |schema: &Json| schema.get("x-identity") != Some(&Json::Bool(false));
    if written.is_some_and(|schema| !counts(schema)) {
        return None;
    }
    let Some(inner) = shape.field(key) else { return Some(value.clone()) };
    counts(inner.schema).then(|| keep(inner, value))
}

/// Hides, by path, what the file took from the environment; gathers texts to hide wherever the kind may have put them.
fn hide(value: &mut Json, typed: &Node, texts: &mut Vec<String>) {
    if typed.env && !matches!(typed.value, Value::Seq(_) | Value::Map(_)) {
        if let Value::Str(text) = &typed.value
            && !text.is_empty()
        {
            texts.push(text.clone());
        }
        let text = typed.as_str().map_or_else(|| typed.to_json().to_string(), str::to_owned);
        *value = Json::String(redacted(&text));
        return;
    }
    match (value, &typed.value) {
        (Json::Object(map), Value::Map(entries)) => {
            for entry in entries {
                match map.get_mut(&entry.key) {
                    Some(value) => hide(value, &entry.value, texts),
                    None => hide(&mut Json::Null, &entry.value, texts),
                }
            }
        }
        (value, Value::Seq(typed)) => {
            for (at, node) in typed.iter().enumerate() {
                match value.get_mut(at) {
                    Some(value) => hide(value, node, texts),
                    None => hide(&mut Json::Null, node, texts),
                }
            }
        }
        (_, Value::Map(entries)) => {
            entries.iter().for_each(|entry| hide(&mut Json::Null, &entry.value, texts))
        }
        _ => {}
    }
}

fn hide_texts(value: &mut Json, texts: &[String]) {
    match value {
        Json::String(text) if texts.contains(text) => *text = redacted(text),
        Json::Array(items) => items.iter_mut().for_each(|item| hide_texts(item, texts)),
        Json::Object(map) => map.values_mut().for_each(|value| hide_texts(value, texts)),
        _ => {}
    }
}

fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| key.as_str());
            Json::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key.clone(), sorted(value)))
                    .collect::<JsonMap<_, _>>(),
            )
        }
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        _ => value.clone(),
    }
}
