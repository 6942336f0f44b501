//! What does the page of the file say? The fields of the JSON Schema, map by map.

use affectflow_pipeline::Registry;
use affectflow_pipeline::assist::{Documented, Language};

use super::markdown::{Text, escaped};

/// A map of the file: its heading, what it is, and a path to one.
const MAPS: &[(&str, &str, &[&str])] = &[
    ("The file", "At the top of `pipelines.yaml`.", &[]),
    ("A pipeline", "Under `pipelines:`, by name.", &["pipelines", "any"]),
    (
        "A stage",
        "Under `stages:` of a pipeline, by name; the same fields make a template under `templates:`.",
        &["pipelines", "any", "stages", "any"],
    ),
    (
        "A matrix",
        "Under `matrix:` of a pipeline: variables, each with a list of values, and these two.",
        &["pipelines", "any", "matrix"],
    ),
    ("A test", "Under `tests:` of the file, by name.", &["tests", "any"]),
    ("A plugin", "In the list `plugins:` of the file.", &["plugins", "0"]),
    ("The cache", "Under `cache:` of the file.", &["cache"]),
];

/// The page.
pub fn text(registry: &Registry) -> Text {
    let language = Language::new(registry);
    let mut text = Text::titled("The file");
    text.raw(
        "Every field of `pipelines.yaml`, as the JSON Schema has it that `affectflow schema` prints. A value may also be a\n\
         reference to a variable, `${vars.name}`. The options under `config:` depend on the [kind](kinds.md). How the parts work\n\
         together is told in [The language](../concepts/language.md).",
    );
    for (title, place, path) in MAPS {
        text.heading(2, title);
        text.paragraph(place);
        language.fields(path).iter().for_each(|one| field(&mut text, one));
    }
    text
}

fn field(text: &mut Text, field: &Documented) {
    text.heading(3, &format!("`{}`", field.name));
    text.raw(&format!("*{}*", escaped(&field.facts)));
    text.paragraph(&field.description);
    if let Some(example) = &field.example {
        text.raw(&format!("Example: `{}: {example}`", field.name));
    }
}
