//! What are the options of a stage once every default is written out? JSON Schema read for its `default`s.

use serde_json::{Map, Value};

/// Deepest nesting that is filled.
const DEEPEST: usize = 32;

/// The options, and the defaults of those that are not given.
pub(crate) fn fill(schema: &Value, options: &Value) -> Value {
    filled(schema, schema, options, DEEPEST)
}

fn filled(root: &Value, schema: &Value, value: &Value, deep: usize) -> Value {
    let schema = resolved(root, schema);
    let (Value::Object(given), Some(properties)) = (value, schema["properties"].as_object()) else {
        return value.clone();
    };
    if deep == 0 {
        return value.clone();
    }
    let mut out = Map::new();
    for (name, property) in properties {
        let inner = resolved(root, property);
        let default = property.get("default").or_else(|| inner.get("default"));
        if let Some(value) = given.get(name).or(default) {
            out.insert(name.clone(), filled(root, inner, value, deep - 1));
        }
    }
    for (name, value) in given {
        out.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Value::Object(out)
}

fn resolved<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    for _ in 0..DEEPEST {
        let sole = |key: &str| schema[key].as_array().filter(|all| all.len() == 1).map(|all| &all[0]);
        let target = match schema["$ref"].as_str() {
            Some(reference) => reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer)),
            None => sole("allOf"),
        };
        match target {
            Some(target) => schema = target,
            None => break,
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_given_takes_its_default_at_every_depth() {
        let schema = json!({
            "properties": {
                "limit": { "type": "integer", "default": 3 },
                "window": { "$ref": "#/$defs/Window", "default": {} },
                "name": { "type": "string" }
            },
            "$defs": { "Window": { "properties": { "size": { "default": 7 }, "step": { "default": null } } } }
        });
        assert_eq!(fill(&schema, &json!({})), json!({ "limit": 3, "window": { "size": 7, "step": null } }));
        let given = json!({ "window": { "size": 9 }, "name": "x" });
        assert_eq!(
            fill(&schema, &given),
            json!({ "limit": 3, "window": { "size": 9, "step": null }, "name": "x" })
        );
        let itself = json!({ "properties": { "a": { "$ref": "#", "default": {} } } });
        fill(&itself, &json!({}));
    }
}
