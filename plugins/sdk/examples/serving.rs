//! The kind `shout` in a process of its own: `plugins: [{command: [./serving]}]`.

use std::process::ExitCode;
use std::sync::Arc;

use affectflow_plugin::prelude::*;

/// Options of `shout`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// What stands behind the text
    mark: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { mark: "!".into() }
    }
}

struct Shout;

impl Stage for Shout {
    type Options = Options;

    fn about(&self) -> Manifest {
        Manifest::map("shout", 1, "Writes a caption in capitals").reads("caption", "utf8").adds(
            "shouted",
            "utf8",
            "the caption in capitals, and the mark",
        )
    }

    fn open(&self, options: Options) -> Result<Box<dyn Work>, Error> {
        Ok(work(move |rows, _| {
            let shout = |text: Option<&str>| Some(text?.to_uppercase() + &options.mark);
            let shouted: StringArray = rows.column(1).as_string::<i32>().iter().map(shout).collect();
            Ok(vec![Arc::new(shouted)])
        }))
    }
}

fn main() -> ExitCode {
    affectflow_plugin::serve(affectflow_plugin::kinds![Shout])
}
