//! What does somebody need who is typing a pipeline file? What can stand at a place, what a word means, where it comes from.
//!
//! Works on texts as they are typed, broken or not: on the words of the file and of those that it includes, on the JSON
//! Schema, and on the [`Spec`] of the last text that could be read. Nothing that a file names is executed, and nothing is
//! read but the pipeline files themselves and what planning looks at.

mod complete;
mod define;
mod explain;
mod place;
mod tested;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow::datatypes::{FieldRef, SchemaRef};
use serde_json::Value as Json;

pub use self::complete::{Suggestion, What, complete};
pub use self::define::{Target, define};
pub use self::explain::{Documented, explain};
use crate::plan;
use crate::registry::Registry;
use crate::spec::Spec;
use crate::spec::outline::{Item, Role, outline};
use crate::trial;

/// Most files that are looked at beside the one that is typed.
const MOST: usize = 200;

/// A column that can be named.
struct Column {
    name: String,
    /// Its type, in words.
    kind: String,
    /// The names of its classes, which can stand for its values.
    classes: Vec<String>,
}

/// What is known of the language, whatever the file.
pub struct Language<'a> {
    registry: &'a Registry,
    file: Json,
    kinds: HashMap<&'static str, Json>,
}

impl<'a> Language<'a> {
    /// The language with the kinds of a registry.
    pub fn new(registry: &'a Registry) -> Self {
        let kinds = registry.kinds().map(|kind| (kind.about().kind, kind.schema())).collect();
        Language { registry, file: plan::schema::json_schema(registry), kinds }
    }
}

/// A file that is being typed.
pub struct Draft<'a> {
    language: &'a Language<'a>,
    text: &'a str,
    /// The file and those that it includes, each with its words; the file itself first.
    files: Vec<(PathBuf, Vec<Item>)>,
    spec: Option<&'a Spec>,
}

impl<'a> Draft<'a> {
    /// A text with what it includes, read with `read`; `spec` is the last that could be read of it.
    pub fn new(
        language: &'a Language<'a>,
        path: &Path,
        text: &'a str,
        read: &dyn Fn(&Path) -> Option<String>,
        spec: Option<&'a Spec>,
    ) -> Self {
        let mut files = vec![(path.to_owned(), outline(text))];
        let mut next = 0;
        while next < files.len() && files.len() < MOST {
            let folder = plan::folder(&files[next].0).to_owned();
            let named = |item: &Item| {
                let value = item.role != Role::Key && item.path.first().is_some_and(|key| key == "include");
                (value && !item.text.is_empty()).then(|| folder.join(&item.text))
            };
            let paths: Vec<PathBuf> = files[next].1.iter().filter_map(named).collect();
            for path in paths {
                if !files.iter().any(|(known, _)| *known == path)
                    && let Some(text) = read(&path)
                {
                    files.push((path, outline(&text)));
                }
            }
            next += 1;
        }
        Draft { language, text, files, spec }
    }

    fn own(&self) -> &[Item] {
        self.files.first().map_or(&[], |(_, items)| items)
    }

    /// The keys of the map at a path, over all files.
    fn keys<'b>(&'b self, path: &'b [&str]) -> impl Iterator<Item = (&'b Path, &'b Item)> {
        let all =
            self.files.iter().flat_map(|(file, items)| items.iter().map(move |item| (file.as_path(), item)));
        all.filter(move |(_, item)| item.role == Role::Key && item.path == path)
    }

    /// The value at a path of the file itself.
    fn value(&self, path: &[String], key: &str) -> Option<&str> {
        let is = |item: &&Item| {
            item.role != Role::Key
                && item.path.last().is_some_and(|last| last == key)
                && item.path[..item.path.len() - 1] == *path
        };
        self.own().iter().find(is).map(|item| item.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The value at a path, over all files.
    fn said(&self, path: &[&str]) -> Option<&str> {
        let mut all = self.files.iter().flat_map(|(_, items)| items);
        all.find(|item| item.role != Role::Key && item.path == path).map(|item| item.text.as_str())
    }

    /// The kind of the stage at a path: as written, of its template, or as taken over.
    fn kind(&self, stage: &[String]) -> Option<String> {
        if let Some(kind) = self.value(stage, "kind") {
            return Some(kind.to_owned());
        }
        if let Some(template) = self.value(stage, "use") {
            return self.said(&["templates", template, "kind"]).map(str::to_owned);
        }
        let [_, pipeline, _, name] = stage else { return None };
        let stages = self.spec?.pipeline(pipeline)?.stages();
        Some(stages.iter().find(|known| known.name.text == *name)?.kind.as_ref()?.text.clone())
    }

    /// The ports of a kind that takes its inputs by name.
    fn ports(&self, kind: &str) -> Vec<String> {
        let kind = self.language.registry.get(kind);
        kind.and_then(|kind| plan::schema::ports(kind.as_ref())).unwrap_or_default()
    }

    /// The stages of a pipeline in order: as written, then those taken over.
    fn stages(&self, pipeline: &str) -> Vec<String> {
        let path = ["pipelines", pipeline, "stages"];
        let mut names: Vec<String> = self.keys(&path).map(|(_, item)| item.text.clone()).collect();
        let taken = self.spec.and_then(|spec| spec.pipeline(pipeline)).into_iter().flat_map(|p| p.stages());
        for stage in taken {
            if !names.contains(&stage.name.text) {
                names.push(stage.name.text.clone());
            }
        }
        names
    }

    /// The columns that can be named at a path, with their types: those that arrive at the stage that it lies in, or those of
    /// the rows of a test.
    fn columns(&self, path: &[String]) -> Vec<Column> {
        match path {
            [first, pipeline, _, name, ..] if first == "pipelines" => self.arriving(pipeline, name),
            [first, test, rest @ ..] if first == "tests" => self.of_test(test, rest),
            _ => Vec::new(),
        }
    }

    /// The classes that can stand for the value at a path: of the column that the last name in it names.
    fn classes(&self, path: &[String]) -> Vec<String> {
        let number = |key: &String| key.parse::<usize>().is_ok();
        let Some(at) = path.iter().rposition(|key| !number(key) && key != "not") else { return Vec::new() };
        let (parent, name) = (&path[..at], &path[at]);
        let in_test = path[0] == "tests";
        let of_keys = |field: &place::Field<'_>| field.said("x-column").is_some_and(|takes| takes == "keys");
        if !in_test && !place::fields(self, parent).iter().any(of_keys) {
            return Vec::new();
        }
        let column = self.columns(parent).into_iter().find(|column| column.name == *name);
        column.map(|column| column.classes).unwrap_or_default()
    }

    fn arriving(&self, pipeline: &str, stage: &str) -> Vec<Column> {
        self.planned(|spec, base| plan::arriving(spec, pipeline, stage, self.language.registry, base))
    }

    fn leaving(&self, pipeline: &str, stage: &str) -> Vec<Column> {
        self.planned(|spec, base| plan::leaving(spec, pipeline, stage, self.language.registry, base))
    }

    fn planned(&self, schema: impl Fn(&Spec, &Path) -> Option<SchemaRef>) -> Vec<Column> {
        let base = self.files.first().map(|(file, _)| plan::folder(file));
        let schema = self.spec.zip(base).and_then(|(spec, base)| schema(spec, base));
        let fields = schema.iter().flat_map(|schema| schema.fields().iter());
        let column = |field: &FieldRef| Column {
            name: field.name().clone(),
            kind: plan::type_words(field.data_type()),
            classes: trial::classes(field),
        };
        fields.map(column).collect()
    }
}
