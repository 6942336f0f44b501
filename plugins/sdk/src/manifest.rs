//! What does a plugin say of its kinds? Data, the same over every transport: `plugins/PROTOCOL.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Versions of the contract that this SDK speaks.
pub const CONTRACT: Contract = Contract { min: 1, max: 1 };

/// Rows of one call where a manifest does not say.
const ROWS_PER_CALL: usize = 1024;

/// A range of versions of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl Contract {
    /// The newest version that both speak.
    pub fn with(self, other: Contract) -> Option<u32> {
        let newest = self.max.min(other.max);
        (newest >= self.min && newest >= other.min).then_some(newest)
    }
}

/// How a kind treats rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Each row on its own, cached row by row.
    #[default]
    Map,
    /// All rows at once, sorted by `id`, cached as a whole.
    Table,
}

/// Whether work may be done a second time after it failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retry {
    /// It changes nothing outside.
    #[default]
    Safe,
    /// It sends, buys or writes something outside.
    Unsafe,
}

/// What a kind says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The `kind:` in the file.
    pub kind: String,
    /// From 1; raised when results change for the same options and rows.
    pub version: u32,
    /// One line.
    pub summary: String,
    /// How it treats rows.
    #[serde(default)]
    pub shape: Shape,
    /// Whether it may be tried again.
    #[serde(default)]
    pub retry: Retry,
    /// JSON Schema of its options, an object.
    #[serde(default = "no_options")]
    pub options: Value,
    /// Columns read, beside `id`.
    #[serde(default)]
    pub reads: Vec<Column>,
    /// Columns added.
    #[serde(default)]
    pub adds: Vec<Column>,
    /// Whether it scores results and may read `eval_label`.
    #[serde(default)]
    pub scores: bool,
    /// Most rows of one call of a map.
    #[serde(default = "rows_per_call")]
    pub rows_per_call: usize,
    /// An entry of `stages:` that works.
    #[serde(default)]
    pub example: String,
}

/// A column that a kind reads or adds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, where it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The option that names it otherwise: a text, or a list of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// Its type, as [`crate::types`] writes it.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it means, for the manual.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
}

/// A column and its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Typed {
    /// Its name.
    pub name: String,
    /// Its type, as [`crate::types`] writes it.
    #[serde(rename = "type")]
    pub kind: String,
}

fn no_options() -> Value {
    serde_json::json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

fn rows_per_call() -> usize {
    ROWS_PER_CALL
}

/// The name of a column: fixed, or as an option says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// That name.
    Fixed(String),
    /// The value of that option.
    Option(String),
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        Name::Fixed(name.to_owned())
    }
}

/// A column that the option of that name names.
pub fn option(name: &str) -> Name {
    Name::Option(name.to_owned())
}

impl Column {
    fn new(name: impl Into<Name>, kind: &str, about: &str) -> Self {
        let (name, option) = match name.into() {
            Name::Fixed(name) => (Some(name), None),
            Name::Option(option) => (None, Some(option)),
        };
        Column { name, option, kind: kind.to_owned(), about: about.to_owned() }
    }
}

impl Manifest {
    /// A kind that works on each row on its own.
    pub fn map(kind: &str, version: u32, summary: &str) -> Self {
        Manifest {
            kind: kind.to_owned(),
            version,
            summary: summary.to_owned(),
            shape: Shape::Map,
            retry: Retry::Safe,
            options: no_options(),
            reads: Vec::new(),
            adds: Vec::new(),
            scores: false,
            rows_per_call: ROWS_PER_CALL,
            example: String::new(),
        }
    }

    /// A kind that works on all rows at once, sorted by `id`.
    pub fn table(kind: &str, version: u32, summary: &str) -> Self {
        Manifest { shape: Shape::Table, ..Manifest::map(kind, version, summary) }
    }

    /// Reads a column of that type.
    pub fn reads(mut self, name: impl Into<Name>, kind: &str) -> Self {
        self.reads.push(Column::new(name, kind, ""));
        self
    }

    /// Adds a column of that type; `about` is for the manual.
    pub fn adds(mut self, name: impl Into<Name>, kind: &str, about: &str) -> Self {
        self.adds.push(Column::new(name, kind, about));
        self
    }

    /// Is handed at most so many rows a call.
    pub fn rows_per_call(self, rows: usize) -> Self {
        Manifest { rows_per_call: rows, ..self }
    }

    /// Changes something outside, and so is never done twice.
    pub fn unsafe_to_retry(self) -> Self {
        Manifest { retry: Retry::Unsafe, ..self }
    }

    /// An entry of `stages:` for the manual.
    pub fn example(self, text: &str) -> Self {
        Manifest { example: text.to_owned(), ..self }
    }

    /// With the JSON Schema of its options.
    pub fn options(self, schema: Value) -> Self {
        Manifest { options: schema, ..self }
    }
}
