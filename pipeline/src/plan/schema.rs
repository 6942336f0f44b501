//! What may the file contain, as an editor understands it? JSON Schema (draft 2020-12) of the whole file, built from the
//! registered kinds.
//!
//! Wherever an option is not text its schema also takes a text with a reference (`${vars.x}`), for the editor sees the
//! file before references are written out.

use serde_json::{Map as JsonMap, Value as Json, json};

use crate::registry::{Kind, Registry};
use crate::spec::words::list;

const REFERENCE: &str = "#/$defs/reference";

/// The schema of a pipeline file.
pub fn json_schema(registry: &Registry) -> Json {
    let kinds: Vec<Json> = registry.kinds().map(|kind| kind_choice(kind.as_ref())).collect();
    let rules: Vec<Json> = registry.kinds().map(|kind| kind_rule(kind.as_ref())).collect();
    let mut defs = JsonMap::new();
    defs.insert("reference".into(), json!({ "type": "string", "pattern": "\\$\\{[^}]+\\}" }));
    defs.insert("pipeline".into(), pipeline());
    defs.insert("stage".into(), stage(kinds, rules));
    for kind in registry.kinds() {
        defs.insert(def_name(kind.about().kind), options(kind.as_ref()));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "affectflow pipelines",
        "description": "Pipelines of stages that carry rows from datasets to figures",
        "type": "object",
        "properties": {
            "version": { "const": 1, "description": "Version of the file format" },
            "default": { "type": "string", "description": "The pipeline that runs when none is named" },
            "vars": {
                "type": ["object", "null"],
                "description": "Values used elsewhere as `${vars.name}`; each may use those above it",
            },
            "plugins": { "type": ["array", "null"], "maxItems": 0, "description": "Plugins that bring further kinds of stage; none yet" },
            "cache": {
                "type": ["object", "null"],
                "description": "What is kept of earlier results",
                "properties": {
                    "max_size": {
                        "description": "Bytes the cache may hold while a pipeline runs, such as `50GB`; the least recently used results go first",
                        "anyOf": [
                            { "type": "integer", "minimum": 1 },
                            { "type": "string", "pattern": "^\\s*[0-9.]+\\s*([KMGTkmgt]?[Ii]?[Bb])?\\s*$" },
                            { "type": "null" },
                            { "$ref": REFERENCE },
                        ],
                    },
                },
                "additionalProperties": false,
            },
            "pipelines": {
                "type": "object",
                "description": "Pipelines by name",
                "minProperties": 1,
                "propertyNames": { "pattern": "^[^\\s!-,./:-@\\[-^`{-~]+$" },
                "additionalProperties": { "$ref": "#/$defs/pipeline" },
            },
        },
        "required": ["version", "pipelines"],
        "additionalProperties": false,
        "$defs": defs,
    })
}

fn pipeline() -> Json {
    json!({
        "type": "object",
        "properties": {
            "description": { "type": ["string", "null"], "description": "One line about the pipeline" },
            "stages": {
                "type": "object",
                "description": "Stages by name, in the order written",
                "minProperties": 1,
                "propertyNames": { "pattern": "^[^\\s!-,./:-@\\[-^`{-~]+$" },
                "additionalProperties": { "$ref": "#/$defs/stage" },
            },
        },
        "required": ["stages"],
        "additionalProperties": false,
    })
}

fn stage(kinds: Vec<Json>, rules: Vec<Json>) -> Json {
    let mut stage = json!({
        "type": "object",
        "properties": {
            "kind": { "description": "What the stage does", "oneOf": kinds },
            "inputs": {
                "description": "The stage or stages it takes rows from, in order; the stage above when left out",
                "type": ["array", "string", "null"],
                "items": { "type": "string" },
                "uniqueItems": true,
            },
            "config": { "type": ["object", "null"], "description": "The options of the kind" },
            "on_error": {
                "description": "What to do with rows that fail: set them aside, or stop",
                "enum": ["quarantine", "fail"],
                "default": "quarantine",
            },
            "quarantine_threshold": {
                "description": "The share of rows that may fail, from 0 to 1; above it the stage fails",
                "default": 0.05,
                "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, { "$ref": REFERENCE }],
            },
            "retries": {
                "description": "How often a call, a table or rows that failed are tried again",
                "default": 0,
                "anyOf": [{ "type": "integer", "minimum": 0, "maximum": 100 }, { "$ref": REFERENCE }],
            },
            "retry_wait": {
                "description": "Time before the first retry, such as `500ms`, `2s`, `1m`; doubles with each, up to a minute",
                "default": "1s",
                "type": "string",
            },
            "time_limit": {
                "description": "Longest that computing one call of a map stage (`rows_per_call` rows) may take, or the whole work of a table, such as `30s`, `10m`; what takes longer has failed. Not counted: reading and decoding the rows of a call, and loading weights. Rows that took too long are tried again once this or `retries` is raised",
                "type": "string",
            },
        },
        "required": ["kind"],
        "additionalProperties": false,
    });
    if let Some(of_kind) = stage.pointer_mut("/properties/kind/oneOf").and_then(Json::as_array_mut) {
        of_kind.push(json!({ "$ref": REFERENCE }));
    }
    if !rules.is_empty() {
        stage["allOf"] = Json::Array(rules);
    }
    stage
}

fn kind_choice(kind: &dyn Kind) -> Json {
    let about = kind.about();
    let columns = list(about.columns.iter().map(|(name, _, _)| *name));
    json!({ "const": about.kind, "title": about.summary, "description": format!("{}. Adds columns: {columns}", about.summary) })
}

fn kind_rule(kind: &dyn Kind) -> Json {
    let about = kind.about();
    let mut then =
        json!({ "properties": { "config": { "$ref": format!("#/$defs/{}", def_name(about.kind)) } } });
    if kind.schema().get("required").and_then(Json::as_array).is_some_and(|required| !required.is_empty()) {
        then["required"] = json!(["config"]);
    }
    if about.shape == crate::stage::Shape::Source {
        then["properties"]["inputs"] = json!({ "maxItems": 0, "type": ["array", "null"] });
    }
    json!({ "if": { "properties": { "kind": { "const": about.kind } }, "required": ["kind"] }, "then": then })
}

fn def_name(kind: &str) -> String {
    format!("kind-{kind}")
}

/// The schema of a kind's options with its references moved to where it stands in the whole.
fn options(kind: &dyn Kind) -> Json {
    let about = kind.about();
    let mut schema = kind.schema();
    let prefix = format!("#/$defs/{}", def_name(about.kind));
    rewrite(&mut schema, &prefix);
    if let Some(map) = schema.as_object_mut() {
        map.remove("$schema");
        map.insert("title".into(), format!("Options of {}", about.kind).into());
        map.insert("description".into(), about.summary.into());
        let empty = map.get("required").and_then(Json::as_array).is_none_or(|required| required.is_empty());
        if empty && map.get("type").is_some_and(|kind| kind == "object") {
            map.insert("type".into(), json!(["object", "null"]));
        }
        if map.contains_key("properties") && !map.contains_key("additionalProperties") {
            map.insert("additionalProperties".into(), false.into());
        }
    }
    schema
}

fn rewrite(schema: &mut Json, prefix: &str) {
    match schema {
        Json::Object(map) => {
            for (key, value) in map.iter_mut() {
                match (key.as_str(), &mut *value) {
                    ("$ref", Json::String(reference)) => {
                        if let Some(rest) = reference.strip_prefix('#') {
                            *reference = format!("{prefix}{rest}");
                        }
                    }
                    ("default" | "const" | "enum" | "examples", _) => {}
                    ("properties", Json::Object(fields)) => fields.values_mut().for_each(|field| {
                        rewrite(field, prefix);
                        open(field);
                    }),
                    _ => rewrite(value, prefix),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|item| rewrite(item, prefix)),
        _ => {}
    }
}

/// Lets a field also be a reference, with its description where editors look for it.
fn open(field: &mut Json) {
    let Some(map) = field.as_object_mut() else { return };
    if map.get("type").is_some_and(|kind| kind == "string") && !map.contains_key("enum")
        || map.contains_key("const")
    {
        return;
    }
    let mut outer = JsonMap::new();
    for key in ["title", "description", "default", "examples", "x-unit", "x-identity"] {
        if let Some(value) = map.remove(key) {
            outer.insert(key.to_owned(), value);
        }
    }
    if let Some(unit) = outer.get("x-unit").and_then(Json::as_str).map(str::to_owned) {
        let said = outer.get("description").and_then(Json::as_str).unwrap_or_default();
        let described = format!("{said} (in {unit})").trim_start().to_owned();
        outer.insert("description".to_owned(), described.into());
    }
    let inner = Json::Object(std::mem::take(map));
    outer.insert("anyOf".to_owned(), json!([inner, { "$ref": REFERENCE }]));
    *map = outer;
}
