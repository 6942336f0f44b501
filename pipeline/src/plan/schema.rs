//! What may the file contain, as an editor understands it? JSON Schema (draft 2020-12) of the whole file, built from the
//! registered kinds.
//!
//! Wherever an option is not text its schema also takes a text with a reference (`${vars.x}`), for the editor sees the
//! file before references are written out.

use serde_json::{Map as JsonMap, Value as Json, json};

use super::schema_of_tests;
use crate::registry::{Kind, Registry};
use crate::spec::words::list;

/// What a size may look like.
const SIZE: &str = "^\\s*[0-9.]+\\s*([KMGTkmgt]?[Ii]?[Bb])?\\s*$";

pub(super) const REFERENCE: &str = "#/$defs/reference";

/// What a name may be made of.
const NAME: &str = "^[^\\s!-,./:-@\\[-^`{-~]+$";

/// What a length of time may look like: numbers with units.
const DURATION: &str = r"^\s*([0-9]+\s*(nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|wks?|w|months?|M|years?|yrs?|y)\s*)+$";

/// A length of time that is none.
const NO_TIME: &str = r"^\s*(0+\s*[a-zA-Zµ]+\s*)+$";

/// What a `when` of text may be: one truth, or two words with `==` or `!=` between them.
const CONDITION: &str = r#"^\s*(not\s+)?(true|True|TRUE|false|False|FALSE|\$\{[^}]*\}|('[^']*'|"[^"]*"|(\$\{[^}]*\}|[^\s'"=!])+)\s*[=!]=\s*('[^']*'|"[^"]*"|(\$\{[^}]*\}|[^\s'"=!])+))\s*$"#;

/// The schema of a pipeline file.
pub fn json_schema(registry: &Registry) -> Json {
    let mut defs = JsonMap::new();
    defs.insert("reference".into(), json!({ "type": "string", "pattern": "\\$\\{[^}]+\\}" }));
    defs.insert("pipeline".into(), pipeline());
    defs.insert("matrix".into(), matrix());
    defs.insert("plugin".into(), plugin());
    let kinds: Vec<_> = registry.kinds().map(|kind| kind.as_ref()).collect();
    defs.insert("fields".into(), fields(&kinds));
    defs.insert("stage".into(), stage(&kinds));
    defs.insert("test".into(), schema_of_tests::test(&kinds));
    defs.insert("row".into(), schema_of_tests::row());
    defs.insert("condition".into(), schema_of_tests::condition());
    for kind in kinds {
        defs.insert(def_name(kind.about().kind), options(kind));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "affectflow pipelines",
        "description": "Pipelines of stages that carry rows from datasets to figures",
        "type": "object",
        "properties": file(),
        "required": ["version"],
        "anyOf": [{ "required": ["pipelines"] }, { "required": ["include"] }, { "required": ["templates"] }, { "required": ["tests"] }],
        "additionalProperties": false,
        "$defs": defs,
    })
}

fn file() -> Json {
    json!({
        "version": { "const": 1, "description": "Version of the file format" },
        "default": {
            "type": "string",
            "description": "The pipeline that runs when none is named",
            "examples": ["kcdp"],
        },
        "include": {
            "description": "Files whose variables, templates and pipelines are taken over; paths start from this file's folder",
            "type": ["array", "string", "null"],
            "minLength": 1,
            "not": { "$ref": REFERENCE },
            "items": { "type": "string", "minLength": 1, "not": { "$ref": REFERENCE } },
            "examples": [["common.yaml"]],
        },
        "vars": {
            "type": ["object", "null"],
            "description": "Values used elsewhere as `${vars.name}`; each may use those above it",
            "examples": [{ "seed": 0, "model": "builtin:tiny" }],
        },
        "plugins": {
            "type": ["array", "null"],
            "description": "Stages of other people; each runs once it is trusted (`affectflow plugin trust`)",
            "items": { "$ref": "#/$defs/plugin" },
            "examples": [[{ "path": "libmine.so" }, { "command": ["python", "-m", "mine"] }]],
        },
        "cache": {
            "type": ["object", "null"],
            "description": "What is kept of earlier results",
            "properties": {
                "max_size": {
                    "description": "Bytes the cache may hold while a pipeline runs, such as `50GB`; the least recently used results go first",
                    "anyOf": [
                        { "type": "integer", "minimum": 1 },
                        { "type": "string", "pattern": SIZE },
                        { "type": "null" },
                        { "$ref": REFERENCE },
                    ],
                    "examples": ["50GB"],
                },
            },
            "additionalProperties": false,
        },
        "templates": {
            "type": ["object", "null"],
            "description": "Stages that others take over with `use: NAME`, changing what they say themselves",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": { "$ref": "#/$defs/fields" },
        },
        "pipelines": {
            "type": "object",
            "description": "Pipelines by name",
            "minProperties": 1,
            "propertyNames": { "pattern": NAME },
            "additionalProperties": { "$ref": "#/$defs/pipeline" },
        },
        "tests": schema_of_tests::tests(),
    })
}

fn plugin() -> Json {
    let whole = |description: &str, most: u64| {
        json!({
            "description": description,
            "anyOf": [{ "type": "integer", "minimum": 1, "maximum": most }, { "$ref": REFERENCE }],
        })
    };
    json!({
        "type": "object",
        "properties": {
            "path": { "type": "string", "minLength": 1, "description": "A shared library; starts from the folder of this file" },
            "command": {
                "description": "A program and its arguments; runs in the folder of this file",
                "type": "array",
                "minItems": 1,
                "items": { "type": "string", "minLength": 1 },
                "examples": [["python", "-m", "mine"]],
            },
            "workers": whole("Processes of a command that compute at the same time, at most 256; 1 where left out", 256),
            "memory": {
                "description": "Memory that its processes may take together, such as `4GB`; three quarters of the machine's where left out",
                "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": SIZE }, { "$ref": REFERENCE }],
            },
            "processes": whole("Processes that a command may have at the same time; 256 where left out", 1 << 20),
            "folders": {
                "type": "object",
                "description": "Folders that a WebAssembly plugin may read, under the names that it sees",
                "additionalProperties": { "type": "string", "minLength": 1 },
            },
            "fuel": whole("Instructions that a call of a WebAssembly plugin may take", u64::MAX),
        },
        "oneOf": [{ "required": ["path"] }, { "required": ["command"] }],
        "additionalProperties": false,
    })
}

fn pipeline() -> Json {
    let stages = |stage: Json| json!({ "additionalProperties": stage });
    let of_another = stages(json!({ "anyOf": [{ "type": "null" }, { "$ref": "#/$defs/fields" }] }));
    let own = stages(json!({ "$ref": "#/$defs/stage" }));
    json!({
        "type": "object",
        "properties": {
            "description": { "type": ["string", "null"], "description": "One line about the pipeline" },
            "extends": {
                "type": ["string", "null"],
                "description": "The pipeline that this one changes: stages are merged by name, `null` takes one out, new ones come last",
                "examples": ["kcdp"],
            },
            "matrix": { "$ref": "#/$defs/matrix" },
            "stages": {
                "type": ["object", "null"],
                "description": "Stages by name, in the order written",
                "propertyNames": { "pattern": NAME },
            },
        },
        "additionalProperties": false,
        "if": { "properties": { "extends": { "type": "string" } }, "required": ["extends"] },
        "then": { "properties": { "stages": of_another } },
        "else": {
            "properties": { "stages": { "allOf": [{ "type": "object", "minProperties": 1 }, own] } },
            "required": ["stages"],
        },
    })
}

fn matrix() -> Json {
    let listed = |description: &str| {
        json!({
            "description": description,
            "anyOf": [
                { "type": "array", "items": { "type": "object", "minProperties": 1 } },
                { "type": "null" },
                { "$ref": REFERENCE },
            ],
        })
    };
    json!({
        "description": "Variables with the values that the pipeline runs with: once for each combination, sharing every cached row; `null` takes an inherited one out",
        "type": ["object", "null"],
        "minProperties": 1,
        "properties": {
            "include": listed("Combinations added to the product"),
            "exclude": listed("Combinations taken out of the product: values of some or all of its variables"),
        },
        "additionalProperties": {
            "description": "The values of a variable of `vars`",
            "anyOf": [{ "type": "array", "minItems": 1, "uniqueItems": true }, { "$ref": REFERENCE }],
        },
        "examples": [{ "seed": [0, 1, 2], "exclude": [{ "seed": 1 }] }],
    })
}

/// A stage of which parts may come from elsewhere.
fn fields(kinds: &[&dyn Kind]) -> Json {
    let mut choices: Vec<Json> = kinds.iter().map(|kind| kind_choice(*kind)).collect();
    choices.push(json!({ "$ref": REFERENCE }));
    let mut fields = json!({
        "type": "object",
        "properties": {
            "kind": { "description": "What the stage does", "oneOf": choices },
            "use": {
                "description": "The template that this stage takes over; what the stage says itself counts, options one by one",
                "type": ["string", "null"],
                "examples": ["trained"],
            },
            "when": {
                "description": "Whether the stage is there: `${vars.x}`, `not ${vars.x}`, `${vars.x} == value`, `${vars.x} != value`; who names one that is not takes rows from its inputs",
                "type": ["string", "boolean"],
                "pattern": CONDITION,
                "default": true,
                "examples": ["${vars.method} == kcdp"],
            },
            "inputs": {
                "description": "The stage or stages it takes rows from, in order; the stage above when left out. A map names ports: `{left: a, right: b}`",
                "type": ["array", "string", "object", "null"],
                "minLength": 1,
                "items": { "type": "string", "minLength": 1 },
                "uniqueItems": true,
                "additionalProperties": { "type": "string", "minLength": 1 },
                "examples": [["photos", "stickers"], { "left": "photos", "right": "notes" }],
            },
            "config": { "type": ["object", "null"], "description": "The options of the kind" },
            "on_error": {
                "description": "What to do with rows that fail: set them aside, or stop",
                "anyOf": [{ "enum": ["quarantine", "fail"] }, { "$ref": REFERENCE }],
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
            "retry_wait": duration("Time before the first retry; doubles with each, up to a minute", "1s"),
            "time_limit": duration("Longest that computing one call of a map stage (`rows_per_call` rows) may take, or the whole work of a table; what takes longer has failed. Not counted: reading and decoding the rows of a call, and loading weights. Rows that took too long are tried again once this or `retries` is raised", "10m"),
        },
        "additionalProperties": false,
    });
    if let Some(fields) = fields.pointer_mut("/properties/retry_wait").and_then(Json::as_object_mut) {
        fields.insert("default".into(), "1s".into());
    }
    if let Some(fields) = fields.pointer_mut("/properties/time_limit").and_then(Json::as_object_mut) {
        fields.insert("not".into(), json!({ "type": "string", "pattern": NO_TIME }));
    }
    if !kinds.is_empty() {
        fields["allOf"] = kinds.iter().map(|kind| kind_rule(*kind)).collect();
    }
    fields
}

fn duration(description: &str, example: &str) -> Json {
    json!({
        "description": description,
        "anyOf": [{ "type": "string", "pattern": DURATION }, { "$ref": REFERENCE }],
        "examples": [example],
    })
}

/// A stage that says all of it, or takes the rest from a template.
fn stage(kinds: &[&dyn Kind]) -> Json {
    let complete = kinds.iter().flat_map(|kind| required_rule(*kind).into_iter().chain(ports_rule(*kind)));
    let complete: Vec<Json> = complete.collect();
    let mut alone = json!({ "required": ["kind"] });
    if !complete.is_empty() {
        alone["allOf"] = complete.into();
    }
    json!({
        "allOf": [{ "$ref": "#/$defs/fields" }],
        "if": { "properties": { "use": { "type": "string" } }, "required": ["use"] },
        "else": alone,
    })
}

pub(super) fn kind_choice(kind: &dyn Kind) -> Json {
    let about = kind.about();
    let columns = list(about.columns.iter().map(|(name, _, _)| *name));
    json!({ "const": about.kind, "title": about.summary, "description": format!("{}. Adds columns: {columns}", about.summary) })
}

pub(super) fn of_kind(kind: &str, then: Json) -> Json {
    json!({ "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] }, "then": then })
}

fn kind_rule(kind: &dyn Kind) -> Json {
    let about = kind.about();
    let mut then = kind_config(kind);
    then["properties"]["inputs"] = match (about.shape, ports(kind)) {
        (crate::stage::Shape::Source, _) => json!({ "maxItems": 0, "type": ["array", "null"] }),
        (_, Some(ports)) => {
            json!({ "type": "object", "required": ports, "propertyNames": { "enum": ports } })
        }
        _ => json!({ "minItems": 1, "minProperties": 1 }),
    };
    of_kind(about.kind, then)
}

pub(super) fn kind_config(kind: &dyn Kind) -> Json {
    json!({ "properties": { "config": { "$ref": format!("#/$defs/{}", def_name(kind.about().kind)) } } })
}

/// The options that a stage of that kind must write; `None` where all have defaults.
pub(super) fn required_rule(kind: &dyn Kind) -> Option<Json> {
    let schema = kind.schema();
    let listed = |key: &str| schema.get(key).and_then(Json::as_array).filter(|names| !names.is_empty());
    let mut config = match (listed("required"), listed(ONE_OF)) {
        (None, None) => return None,
        (required, _) => json!({ "type": "object", "required": required.map_or(&[][..], |all| all) }),
    };
    if let Some(names) = listed(ONE_OF) {
        let given =
            |name: &str| json!({ "required": [name], "properties": { name: { "not": { "type": "null" } } } });
        config["anyOf"] = names.iter().filter_map(Json::as_str).map(given).collect();
    }
    Some(of_kind(kind.about().kind, json!({ "properties": { "config": config }, "required": ["config"] })))
}

/// That a stage of that kind must name its inputs; `None` where it need not.
fn ports_rule(kind: &dyn Kind) -> Option<Json> {
    ports(kind).map(|_| of_kind(kind.about().kind, json!({ "required": ["inputs"] })))
}

/// The ports of a kind that takes rows by name alone.
pub(crate) fn ports(kind: &dyn Kind) -> Option<Vec<String>> {
    let schema = kind.schema();
    let names = schema.get(PORTS)?.as_array()?.iter();
    Some(names.filter_map(Json::as_str).map(str::to_owned).collect())
}

/// Where the schema of a kind's options lists those of which one must be written, and no other.
const ONE_OF: &str = "x-one-of";

/// Where it lists the ports of a kind that takes its inputs by name alone.
const PORTS: &str = "x-ports";

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
        // What must be written may come from a template: see `required_rule`.
        map.remove("required");
        map.remove(PORTS);
        if let Some(Json::Array(names)) = map.remove(ONE_OF) {
            let given: JsonMap<String, Json> = names
                .iter()
                .filter_map(|name| Some((name.as_str()?.to_owned(), json!({ "not": { "type": "null" } }))))
                .collect();
            map.insert("not".into(), json!({ "required": names, "properties": given }));
        }
        if map.get("type").is_some_and(|kind| kind == "object") {
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
    for key in ["title", "description", "default", "examples", "x-unit", "x-identity", "x-column"] {
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
