//! Which rows does `where: {column: value or list}` keep? The option that `ingest` and `filter` share.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

/// Values by column; a row is kept when each of the columns has one of its values.
pub type Conditions = BTreeMap<String, OneOf>;

/// One value or a list of values; a number equals its text, `null` an empty cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOf(Vec<Option<String>>);

impl OneOf {
    /// Whether a cell is among the values.
    pub fn contains(&self, cell: Option<&str>) -> bool {
        self.0.iter().any(|value| value.as_deref() == cell)
    }

    /// The values as text; `None` stands for an empty cell.
    pub fn values(&self) -> &[Option<String>] {
        &self.0
    }

    /// Other values under the same condition.
    pub fn map(&self, value: impl Fn(&str) -> String) -> OneOf {
        OneOf(self.0.iter().map(|v| v.as_deref().map(&value)).collect())
    }
}

impl Serialize for OneOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for OneOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(OneOf)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Vec<Option<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, `true`, `false`, `null`, or a list of these")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(vec![Some(value.to_owned())])
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(vec![Some(value.to_string())])
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(vec![Some(value.to_string())])
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(vec![Some(value.to_string())])
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(vec![Some(value.to_string())])
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(vec![None])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(OneOf(mut value)) = list.next_element()? {
            values.append(&mut value);
        }
        Ok(values)
    }
}

impl JsonSchema for OneOf {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OneOf".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let scalar = ["string", "number", "boolean", "null"];
        json_schema!({
            "description": "A value, or a list of values",
            "type": ["string", "number", "boolean", "null", "array"],
            "items": { "type": scalar },
        })
    }
}
