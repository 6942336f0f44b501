//! What differs between two identities? Two preimages compared field by field; pure.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// Characters of a value that are shown.
const SHOWN: usize = 80;

/// What an identity is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The engine's format of stored rows.
    Format,
    /// The kind of the stage.
    Kind,
    /// The version of the kind.
    Version,
    /// An option.
    Option,
    /// A column that the stage consumes.
    Consumes,
    /// A column that the stage adds.
    Adds,
    /// Content of a file, or anything else digested: weights, a script.
    Content,
    /// An artifact from a stage upstream.
    Artifact,
    /// The class of the device.
    Device,
    /// A field of another version of the program.
    Other,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// What it is a part of.
    pub part: Part,
    /// Its name: an option's path (`options.epochs`), a column, a file, an artifact.
    pub name: String,
    /// The value before; none where the field is new.
    pub old: Option<Value>,
    /// The value now; none where the field is gone.
    pub new: Option<Value>,
}

impl Change {
    /// The field in words: "`options.epochs`", "stage version", "content of `unet/config.json`".
    pub fn subject(&self) -> String {
        let name = &self.name;
        match self.part {
            Part::Format => "format of stored rows".into(),
            Part::Kind => "kind".into(),
            Part::Version => "stage version".into(),
            Part::Option | Part::Other => format!("`{name}`"),
            Part::Consumes => format!("consumed {name}"),
            Part::Adds => format!("added {name}"),
            Part::Content => format!("content of `{name}`"),
            Part::Artifact => format!("artifact `{name}`"),
            Part::Device => "device".into(),
        }
    }

    /// A value of the field in words, digests and long values cut.
    pub fn words(&self, value: &Value) -> String {
        match (self.part, value) {
            (Part::Content | Part::Artifact, Value::String(digest)) => digest.chars().take(12).collect(),
            (Part::Option | Part::Other, value) => cut(&value.to_string()),
            (_, Value::String(text)) => cut(text),
            (_, value) => cut(&value.to_string()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subject = self.subject();
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{subject} {} -> {}", self.words(old), self.words(new)),
            (None, Some(new)) => write!(f, "{subject} is new: {}", self.words(new)),
            (Some(old), None) => write!(f, "{subject} is gone, was {}", self.words(old)),
            (None, None) => f.write_str(&subject),
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Every field in which two preimages of identities differ.
pub fn diff(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    for name in names(old, new) {
        let (old, new) = (old.get(name), new.get(name));
        let part = part(name);
        match part {
            Part::Option => walk(part, name.to_owned(), old, new, &mut changes),
            Part::Consumes | Part::Adds => columns(part, old, new, &mut changes),
            Part::Content | Part::Artifact => {
                let (old, new) = (old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null));
                for name in names(old, new) {
                    leaf(part, name.to_owned(), old.get(name), new.get(name), &mut changes);
                }
            }
            Part::Other => walk(part, step("", name), old, new, &mut changes),
            _ => leaf(part, name.to_owned(), old, new, &mut changes),
        }
    }
    changes.sort_by_key(|change| change.part);
    changes
}

fn part(name: &str) -> Part {
    match name {
        "format" => Part::Format,
        "kind" => Part::Kind,
        "version" => Part::Version,
        "options" => Part::Option,
        "consumes" => Part::Consumes,
        "adds" => Part::Adds,
        "depends" => Part::Content,
        "artifacts" => Part::Artifact,
        "device" => Part::Device,
        _ => Part::Other,
    }
}

fn names<'a>(old: &'a Value, new: &'a Value) -> BTreeSet<&'a str> {
    let keys = |value: &'a Value| value.as_object().into_iter().flat_map(Map::keys);
    keys(old).chain(keys(new)).map(String::as_str).collect()
}

fn leaf(part: Part, name: String, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    if old != new {
        changes.push(Change { part, name, old: old.cloned(), new: new.cloned() });
    }
}

/// Down objects, and lists of one length, to the values that differ.
fn walk(part: Part, path: String, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(a @ Value::Object(_)), Some(b @ Value::Object(_))) => {
            for name in names(a, b) {
                walk(part, step(&path, name), a.get(name), b.get(name), changes);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if a.len() == b.len() => {
            for (at, (a, b)) in a.iter().zip(b).enumerate() {
                walk(part, format!("{path}[{at}]"), Some(a), Some(b), changes);
            }
        }
        _ => leaf(part, path, old, new, changes),
    }
}

/// A path with one more name; a name that would not read as one is quoted.
fn step(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    match (path.is_empty(), !name.is_empty() && name.chars().all(plain)) {
        (true, _) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (false, false) => format!("{path}[{}]", Value::from(name)),
    }
}

fn columns(part: Part, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    let all = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let (old, new) = (all(old), all(new));
    let name = |column: &Value| column["name"].as_str().unwrap_or_default().to_owned();
    let order = |columns: &[Value]| columns.iter().map(name).collect::<Vec<_>>();
    let (old_order, new_order) = (order(&old), order(&new));
    let known: BTreeSet<&String> = old_order.iter().chain(&new_order).collect();
    let before = changes.len();
    for name in known {
        let find = |order: &[String], columns: &[Value]| {
            order.iter().position(|other| other == name).map(|at| columns[at].clone())
        };
        match (find(&old_order, &old), find(&new_order, &new)) {
            (Some(a), Some(b)) => {
                let path = format!("column `{name}`, type");
                leaf(part, path, a.get("type"), b.get("type"), changes);
                for key in names(&a["metadata"], &b["metadata"]) {
                    let path = format!("column `{name}`, metadata `{key}`");
                    leaf(part, path, a["metadata"].get(key), b["metadata"].get(key), changes);
                }
            }
            (a, b) => {
                let kind = |column: &Option<Value>| column.as_ref().map(|column| column["type"].clone());
                leaf(part, format!("column `{name}`"), kind(&a).as_ref(), kind(&b).as_ref(), changes);
            }
        }
    }
    if changes.len() == before && old_order != new_order {
        leaf(part, "columns, order".into(), Some(&old_order.into()), Some(&new_order.into()), changes);
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    use super::*;

    fn preimage() -> Value {
        json!({
            "format": 1, "kind": "k", "version": 3,
            "options": { "epochs": 10, "name": "a", "deep": { "lr": 0.5, "list": [1, 2] }, "odd.key": true },
            "consumes": [{ "name": "caption", "type": "Utf8", "metadata": {} }],
            "adds": [{ "name": "k", "type": "Float16", "metadata": { "shape": "[2]" } }],
            "depends": { "unet/w": "00112233445566778899aabbccddeeff" },
            "artifacts": {},
            "device": "cpu",
        })
    }

    /// The differences after one edit, as printed.
    fn after(pointer: &str, value: Value) -> Vec<String> {
        let mut new = preimage();
        *new.pointer_mut(pointer).unwrap() = value;
        diff(&preimage(), &new).iter().map(Change::to_string).collect()
    }

    #[test]
    fn every_part_is_named_with_old_and_new() {
        assert_eq!(diff(&preimage(), &preimage()), []);
        assert_eq!(after("/version", json!(4)), ["stage version 3 -> 4"]);
        assert_eq!(after("/options/epochs", json!(20)), ["`options.epochs` 10 -> 20"]);
        assert_eq!(after("/options/odd.key", json!(false)), ["`options[\"odd.key\"]` true -> false"]);
        assert_eq!(after("/options/deep/list/1", json!(7)), ["`options.deep.list[1]` 2 -> 7"]);
        assert_eq!(after("/options/deep/list", json!([])), ["`options.deep.list` [1,2] -> []"]);
        assert_eq!(
            after("/options/deep", json!({ "lr": 0.5, "list": [1, 2], "new": "x" })),
            ["`options.deep.new` is new: \"x\""]
        );
        assert_eq!(after("/options/deep", json!({ "lr": 0.5 })), ["`options.deep.list` is gone, was [1,2]"]);
        assert_eq!(
            after("/consumes/0/type", json!("Binary")),
            ["consumed column `caption`, type Utf8 -> Binary"]
        );
        assert_eq!(
            after("/adds/0/metadata/shape", json!("[3]")),
            ["added column `k`, metadata `shape` [2] -> [3]"]
        );
        assert_eq!(after("/consumes", json!([])), ["consumed column `caption` is gone, was Utf8"]);
        assert_eq!(
            after("/depends/unet~1w", json!("ffeeddccbbaa99887766554433221100")),
            ["content of `unet/w` 001122334455 -> ffeeddccbbaa"]
        );
        assert_eq!(
            after("/artifacts", json!({ "w": "0123456789abcdef" })),
            ["artifact `w` is new: 0123456789ab"]
        );
        assert_eq!(after("/device", json!("cuda")), ["device cpu -> cuda"]);
    }

    #[test]
    fn what_other_versions_wrote_is_compared_as_well() {
        let (mut old, mut new) = (preimage(), preimage());
        old["grouping"] = json!({ "size": 4 });
        new["grouping"] = json!({ "size": 8 });
        let changes = diff(&old, &new);
        assert_eq!((changes[0].part, changes[0].to_string()), (Part::Other, "`grouping.size` 4 -> 8".into()));
        assert_eq!(diff(&json!(null), &json!([1])), []);
    }

    /// Options three levels deep; `paths` gathers the path of every value.
    fn random(rng: &mut ChaCha8Rng, depth: usize, path: String, paths: &mut Vec<String>) -> Value {
        if depth == 0 || (depth < 3 && rng.random_ratio(1, 2)) {
            paths.push(path);
            return json!(rng.random_range(0..1000));
        }
        let mut map = Map::new();
        for at in 0..rng.random_range(1..5) {
            let name = format!("f{at}");
            map.insert(name.clone(), random(rng, depth - 1, format!("{path}/{name}"), paths));
        }
        Value::Object(map)
    }

    #[test]
    fn random_edits_of_options_are_named_and_nothing_else() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..300 {
            let mut paths = Vec::new();
            let mut old = preimage();
            old["options"] = random(&mut rng, 3, "/options".into(), &mut paths);
            let mut new = old.clone();
            paths.retain(|_| rng.random_ratio(1, 3));
            for path in &paths {
                let value = new.pointer_mut(path).unwrap();
                *value = json!(value.as_u64().unwrap() + 1 + rng.random_range(0..10));
            }
            let mut expected: Vec<String> = paths.iter().map(|path| path[1..].replace('/', ".")).collect();
            expected.sort();
            let mut found: Vec<String> = diff(&old, &new).into_iter().map(|change| change.name).collect();
            found.sort();
            assert_eq!(found, expected);
        }
    }
}
