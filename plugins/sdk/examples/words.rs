//! The kind `words` in a shared library: `plugins: [{path: libwords.so}]`.

use std::sync::Arc;

use affectflow_plugin::prelude::*;

/// Options of `words`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Column of text to measure
    column: String,
    /// Most words that are counted
    #[schemars(range(min = 1), extend("x-unit" = "words"))]
    limit: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { column: "caption".into(), limit: 1000 }
    }
}

struct Words;

impl Stage for Words {
    type Options = Options;

    fn about(&self) -> Manifest {
        Manifest::map("words", 1, "Counts the words of a text").reads(option("column"), "utf8").adds(
            "words",
            "uint32",
            "words of the text, at most `limit`",
        )
    }

    fn open(&self, options: Options) -> Result<Box<dyn Work>, Error> {
        Ok(work(move |rows, call| {
            let texts = rows[options.column.as_str()].as_string::<i32>();
            let count = |row: usize| match texts.is_valid(row) {
                true if texts.value(row).contains("panic") => panic!("asked to, by row {row}"),
                true => Some(texts.value(row).split_whitespace().take(options.limit as usize).count() as u32),
                false => {
                    call.fail(row, "there is no text");
                    None
                }
            };
            let words: UInt32Array = (0..rows.num_rows()).map(count).collect();
            Ok(vec![Arc::new(words)])
        }))
    }
}

affectflow_plugin::export!(Words);
