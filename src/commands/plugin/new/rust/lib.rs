//! The kind `KIND`: how many words has a text?

use std::sync::Arc;

use affectflow_plugin::prelude::*;

/// Options of `KIND`. Doc comments, defaults and ranges become help, schema and checks.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Column of text to measure
    pub column: String,
    /// Most words that are counted
    #[schemars(range(min = 1), extend("x-unit" = "words"))]
    pub limit: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { column: "text".into(), limit: 1000 }
    }
}

/// The kind.
pub struct TYPE;

impl Stage for TYPE {
    type Options = Options;

    /// Raise the version when results change for the same options and rows.
    fn about(&self) -> Manifest {
        Manifest::map("KIND", 1, "Counts the words of a text")
            .reads(option("column"), "utf8")
            .adds("KIND", "uint32", "words of the text, at most `limit`")
    }

    /// Load weights here: it is called at the first row to compute.
    fn open(&self, options: Options) -> Result<Box<dyn Work>, Error> {
        Ok(work(move |rows, call| {
            let texts = rows[options.column.as_str()].as_string::<i32>();
            let mut words = UInt32Builder::with_capacity(rows.num_rows());
            for (row, text) in texts.iter().enumerate() {
                match text {
                    Some(text) => words.append_value(text.split_whitespace().take(options.limit as usize).count() as u32),
                    None => {
                        // A row that fails goes to quarantine, the others go on.
                        call.fail(row, "there is no text");
                        words.append_null();
                    }
                }
            }
            Ok(vec![Arc::new(words.finish())])
        }))
    }
}
EXPORT
#[cfg(test)]
mod tests {
    use affectflow_plugin::serde_json::json;
    use affectflow_plugin::testing::compute;

    use super::*;

    #[test]
    fn words_are_counted_up_to_the_limit() {
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("one two three"), Some(""), None]));
        let rows = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap();
        let (columns, heard) = compute(&TYPE, json!({ "limit": 2 }), &rows).unwrap();
        assert_eq!(columns[0].as_ref(), &UInt32Array::from(vec![Some(2), Some(0), None]) as &dyn Array);
        assert_eq!(heard.failures, [(2, "there is no text".to_owned())]);
    }
}
