//! What does a JSON Schema of options say? The part of JSON Schema that schemars writes, read for checks, identity and help.

use serde_json::Value as Json;

use crate::spec::words::either;

/// References followed and alternatives opened at most; a schema deeper than that refers to itself.
const DEEPEST: usize = 32;

/// A schema with the root that its references start from.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'a> {
    root: &'a Json,
    pub(crate) schema: &'a Json,
}

impl<'a> Shape<'a> {
    /// The schema as a whole.
    pub(crate) fn root(root: &'a Json) -> Self {
        Shape { root, schema: root }.resolved()
    }

    /// A schema inside this one, references followed.
    pub(crate) fn inner(self, schema: &'a Json) -> Self {
        Shape { root: self.root, schema }.resolved()
    }

    fn resolved(mut self) -> Self {
        for _ in 0..DEEPEST {
            let sole = |key: &str| {
                self.schema.get(key).and_then(Json::as_array).filter(|all| all.len() == 1).map(|all| &all[0])
            };
            let target = match self.get("$ref").and_then(Json::as_str) {
                Some(reference) => reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)),
                None => sole("allOf").or_else(|| sole("anyOf")).or_else(|| sole("oneOf")),
            };
            match target {
                Some(target) => self.schema = target,
                None => break,
            }
        }
        self
    }

    pub(crate) fn get(self, key: &str) -> Option<&'a Json> {
        self.schema.get(key)
    }

    /// The alternatives of `oneOf` and `anyOf`, opened; the schema itself where there are none.
    pub(crate) fn alternatives(self) -> Vec<Shape<'a>> {
        let mut found = Vec::new();
        self.open(&mut found, DEEPEST);
        found
    }

    fn open(self, found: &mut Vec<Shape<'a>>, depth: usize) {
        let inside = self.get("oneOf").or_else(|| self.get("anyOf")).and_then(Json::as_array);
        match inside {
            Some(inside) if depth > 0 => inside.iter().for_each(|one| self.inner(one).open(found, depth - 1)),
            _ => found.push(self),
        }
    }

    /// Whether it accepts values of that JSON type.
    pub(crate) fn accepts(self, wanted: &str) -> bool {
        if let Some(choices) = self.choices() {
            return choices.iter().any(|choice| type_of(choice).contains(&wanted));
        }
        match self.get("type") {
            Some(Json::String(one)) => one == wanted || (one == "number" && wanted == "integer"),
            Some(Json::Array(several)) => {
                several.iter().any(|one| one == wanted || (one == "number" && wanted == "integer"))
            }
            _ => self.get("properties").is_none() || wanted == "object",
        }
    }

    /// Whether nothing is all it accepts.
    pub(crate) fn only_null(self) -> bool {
        self.get("type").is_some_and(|kind| kind == "null") || self.get("const").is_some_and(Json::is_null)
    }

    /// The values of `const` or `enum`, nothing left out.
    pub(crate) fn choices(self) -> Option<Vec<&'a Json>> {
        match self.get("const") {
            Some(one) => Some(vec![one]),
            None => self.get("enum").and_then(Json::as_array).map(|all| all.iter().collect()),
        }
    }

    /// The fields of an object.
    pub(crate) fn properties(self) -> impl Iterator<Item = (&'a String, &'a Json)> {
        self.get("properties").and_then(Json::as_object).into_iter().flatten()
    }

    /// The schema of a field, and of fields that have no name of their own.
    pub(crate) fn field(self, name: &str) -> Option<Shape<'a>> {
        let named = self.get("properties").and_then(|all| all.get(name));
        named.or_else(|| self.further()).map(|schema| self.inner(schema))
    }

    /// The schema of fields that are not named; `None` where there are none.
    pub(crate) fn further(self) -> Option<&'a Json> {
        let pattern =
            || self.get("patternProperties").and_then(Json::as_object).and_then(|all| all.values().next());
        self.get("additionalProperties").filter(|schema| **schema != Json::Bool(false)).or_else(pattern)
    }

    /// Names of fields that must be written.
    pub(crate) fn required(self) -> impl Iterator<Item = &'a str> {
        self.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
    }

    /// The schema of the items of a list.
    pub(crate) fn item(self, at: usize) -> Option<Shape<'a>> {
        let tuple = self.get("prefixItems").and_then(|items| items.get(at));
        tuple.or_else(|| self.get("items")).map(|schema| self.inner(schema))
    }

    /// The least and the greatest whole number that its format holds.
    pub(crate) fn format_range(self) -> Option<(i128, i128)> {
        let format = self.get("format").and_then(Json::as_str)?;
        let (signed, bits) = match format.strip_prefix('u') {
            Some(rest) => (false, rest),
            None => (true, format),
        };
        let bits: u32 = match bits.strip_prefix("int")? {
            "" => 64,
            digits => digits.parse().ok().filter(|bits| (8..=64).contains(bits))?,
        };
        Some(if signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) })
    }

    /// "a whole number", "text", "one of `a`, `b`", "a whole number or nothing".
    pub(crate) fn words(self) -> String {
        let mut parts: Vec<String> = Vec::new();
        let mut choices: Vec<String> = Vec::new();
        let mut nothing = false;
        for one in self.alternatives() {
            nothing |= one.only_null();
            match one.choices() {
                Some(values) => choices.extend(values.iter().filter(|v| !v.is_null()).map(|v| quoted(v))),
                None => parts.extend(one.type_words()),
            }
        }
        match choices.len() {
            0 => {}
            1 => parts.insert(0, choices.remove(0)),
            _ => parts.insert(0, format!("one of {}", choices.join(", "))),
        }
        nothing |= parts.iter().any(|part| part == "nothing");
        parts.retain(|part| part != "nothing");
        let mut unique: Vec<String> = Vec::new();
        parts.into_iter().for_each(|part| {
            if !unique.contains(&part) {
                unique.push(part)
            }
        });
        if nothing {
            unique.push("nothing".to_owned());
        }
        if unique.is_empty() { "any value".to_owned() } else { either(&unique) }
    }

    fn type_words(self) -> Vec<String> {
        let one = |name: &str| match name {
            "integer" => "a whole number".to_owned(),
            "number" => "a number".to_owned(),
            "string" => "text".to_owned(),
            "boolean" => "`true` or `false`".to_owned(),
            "array" => "a list".to_owned(),
            "object" => "a map".to_owned(),
            _ => "nothing".to_owned(),
        };
        match self.get("type") {
            Some(Json::String(name)) => vec![one(name)],
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).map(one).collect(),
            _ if self.get("properties").is_some() => vec!["a map".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// A value as a message shows it.
pub(crate) fn quoted(value: &Json) -> String {
    match value {
        Json::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn type_of(value: &Json) -> &'static [&'static str] {
    match value {
        Json::Null => &["null"],
        Json::Bool(_) => &["boolean"],
        Json::Number(n) if n.is_f64() => &["number"],
        Json::Number(_) => &["integer", "number"],
        Json::String(_) => &["string"],
        Json::Array(_) => &["array"],
        Json::Object(_) => &["object"],
    }
}
