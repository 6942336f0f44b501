//! What stands in the file, and where? A tree of values that each know their place.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map as JsonMap, Number, Value as Json};

use crate::error::{Note, Problem, Span};
use crate::units;

/// A value of the file with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it begins.
    pub span: Span,
    /// Whether an environment variable went into it: records then carry a digest in its place.
    pub env: bool,
    /// Whether a reference in it could not be written out (already reported).
    pub failed: bool,
    /// Where it comes from when that is not where it is used: the variable, the stage that uses the template.
    pub from: Option<Arc<Note>>,
}

/// A YAML value (core schema of YAML 1.2).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `null` or `~`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a point or an exponent.
    Float(f64),
    /// Text.
    Str(String),
    /// A list.
    Seq(Vec<Node>),
    /// A map in the order written, keys unique.
    Map(Vec<Entry>),
}

/// A key with its place, and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key as text.
    pub key: String,
    /// Where the key stands.
    pub span: Span,
    /// What it names.
    pub value: Node,
}

impl Node {
    /// A value at a place.
    pub fn new(value: Value, span: Span) -> Self {
        Node { value, span, env: false, failed: false, from: None }
    }

    /// A map without entries.
    pub(crate) fn empty(span: Span) -> Self {
        Node::new(Value::Map(Vec::new()), span)
    }

    /// A problem with this value: at its place, with the place that it comes from.
    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        self.placed(Problem::new(message))
    }

    /// Notes where the whole tree comes from; what is noted already stays.
    pub(crate) fn mark(&mut self, from: &Arc<Note>) {
        self.from.get_or_insert_with(|| from.clone());
        match &mut self.value {
            Value::Seq(items) => items.iter_mut().for_each(|item| item.mark(from)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.value.mark(from)),
            _ => {}
        }
    }

    /// A tree without places, of a JSON value.
    pub fn from_json(json: &Json) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => {
                n.as_i128().map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::NAN)), Value::Int)
            }
            Json::String(s) => Value::Str(s.clone()),
            Json::Array(items) => Value::Seq(items.iter().map(Node::from_json).collect()),
            Json::Object(map) => {
                Value::Map(map.iter().map(|(key, value)| Entry::bare(key, Node::from_json(value))).collect())
            }
        };
        Node::new(value, Span::default())
    }

    /// The same value as JSON. Numbers beyond 64 bits become floating, those that JSON cannot write become null.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(i) => int_json(*i),
            Value::Float(f) => Number::from_f64(*f).map_or(Json::Null, Json::Number),
            Value::Str(s) => Json::String(s.clone()),
            Value::Seq(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect::<JsonMap<_, _>>(),
            ),
        }
    }

    /// The entries of a map; none for any other value.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of that key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value under that key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entries of a map, to be changed; `None` for any other value.
    pub(crate) fn entries_mut(&mut self) -> Option<&mut Vec<Entry>> {
        match &mut self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value under that key, to be changed.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries_mut()?.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
    }

    /// Takes the entry of that key out.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        let entries = self.entries_mut()?;
        let at = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(at))
    }

    /// The text of a text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A size in bytes, written as a whole number or as text with a unit; `None` for any other value, and for 0 bytes.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match &self.value {
            Value::Int(bytes) => u64::try_from(*bytes).ok().filter(|&bytes| bytes > 0),
            Value::Str(text) => units::size(text),
            _ => None,
        }
    }

    /// Number of values in the tree, and its height.
    pub fn size(&self) -> (usize, usize) {
        let children: Box<dyn Iterator<Item = &Node>> = match &self.value {
            Value::Seq(items) => Box::new(items.iter()),
            Value::Map(entries) => Box::new(entries.iter().map(|entry| &entry.value)),
            _ => return (1, 1),
        };
        children.map(Node::size).fold((1, 1), |(count, height), (c, h)| (count + c, height.max(h + 1)))
    }

    /// Whether a reference anywhere in it could not be written out.
    pub fn any_failed(&self) -> bool {
        self.failed
            || match &self.value {
                Value::Seq(items) => items.iter().any(Node::any_failed),
                Value::Map(entries) => entries.iter().any(|entry| entry.value.any_failed()),
                _ => false,
            }
    }

    /// The item of the list at a path that is that text.
    pub(crate) fn item(&self, path: &[String], text: &str) -> Option<&Node> {
        let list = path.iter().try_fold(self, |node, key| node.get(key))?;
        match &list.value {
            Value::Seq(items) => items.iter().find(|item| item.as_str() == Some(text)),
            _ => None,
        }
    }

    /// A problem at the place of this value, with the place that it comes from.
    pub(crate) fn placed(&self, problem: Problem) -> Problem {
        let problem = problem.at(self.span.clone());
        match &self.from {
            Some(from) => problem.note(from.as_ref().clone()),
            None => problem,
        }
    }

    /// Where the value at a path of keys and indices stands, and comes from: the deepest key on the way that exists.
    pub fn place(&self, path: &[String]) -> Option<(&Span, Option<&Note>)> {
        let (first, rest) = path.split_first()?;
        match &self.value {
            Value::Map(entries) => {
                let entry = entries.iter().find(|entry| entry.key == *first)?;
                Some(entry.value.place(rest).unwrap_or((&entry.span, entry.value.from.as_deref())))
            }
            Value::Seq(items) => {
                let item = items.get(first.parse::<usize>().ok()?)?;
                Some(item.place(rest).unwrap_or((&item.span, item.from.as_deref())))
            }
            _ => None,
        }
    }
}

impl Entry {
    fn bare(key: &str, value: Node) -> Self {
        Entry { key: key.to_owned(), span: Span::default(), value }
    }
}

/// What a message says of a wrong value: "text `ten`", "a list", "nothing".
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Null => f.write_str("nothing"),
            Value::Seq(_) => f.write_str("a list"),
            Value::Map(_) => f.write_str("a map"),
            _ if self.env => f.write_str("the value of an environment variable"),
            Value::Bool(b) => write!(f, "`{b}`"),
            Value::Int(i) => write!(f, "`{i}`"),
            Value::Float(x) => {
                write!(f, "`{}`", Number::from_f64(*x).map_or_else(|| x.to_string(), |n| n.to_string()))
            }
            Value::Str(s) => write!(f, "text `{}`", shorten(s)),
        }
    }
}

fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None if line.len() < text.trim_end().len() => format!("{line}…"),
        None => line.to_owned(),
    }
}

fn int_json(value: i128) -> Json {
    if let Ok(small) = i64::try_from(value) {
        Json::from(small)
    } else if let Ok(positive) = u64::try_from(value) {
        Json::from(positive)
    } else {
        Number::from_f64(value as f64).map_or(Json::Null, Json::Number)
    }
}
