//! Which fields does the file have? The tree read into a [`Spec`], every problem collected on the way.

use std::collections::HashMap;
use std::path::PathBuf;

use super::matrix::{Combination, label};
use super::node::{Entry, Node, Value};
use super::words::{list, nearest, suggest};
use super::{Name, PipelineSpec, Spec, StageSpec, Variant, of_combinations};
use crate::error::{Problem, Span};
use crate::plan::OnError;
use crate::units;

const FILE: &[&str] =
    &["version", "default", "include", "vars", "plugins", "cache", "templates", "pipelines", "tests"];
const CACHE: &[&str] = &["max_size"];
const PIPELINE: &[&str] = &["description", "extends", "matrix", "stages"];
const STAGE: &[&str] = &[
    "kind",
    "use",
    "when",
    "inputs",
    "config",
    "on_error",
    "quarantine_threshold",
    "retries",
    "retry_wait",
    "time_limit",
];
const STAGE_LATER: &[&str] = &["cache"];
/// Fields in a place where they do not belong, and where they do.
const ELSEWHERE: &[(&str, &str)] = &[
    ("matrix", "`matrix` belongs to a pipeline, beside `stages`"),
    ("extends", "`extends` belongs to a pipeline, beside `stages`; a stage takes a template over with `use`"),
    ("include", "`include` belongs to the file, beside `version`"),
    ("when", "`when` belongs to a stage, beside `kind`"),
    ("template", "a stage takes a template over with `use: NAME`"),
    ("vars", "`vars` belongs to the file; a test changes them with `set: {vars.NAME: value}`"),
    ("use", "`use` belongs to a stage, beside `config`"),
    ("stages", "`stages` belongs to a pipeline: `pipelines: {name: {stages: {...}}}`"),
    ("tests", "`tests` belongs to the file, beside `pipelines`"),
];

/// The share of rows that may fail where the file says nothing.
const THRESHOLD: f64 = 0.05;

/// What is known of a file beside its tree.
pub(super) struct Whole<'a> {
    /// The file as named.
    pub(super) file: &'a str,
    /// The files that it includes.
    pub(super) included: Vec<PathBuf>,
    /// Stages that arguments named.
    pub(super) sets: Vec<(String, Span)>,
    /// Pipelines with a matrix, in place of those in the tree: each written out for every combination.
    pub(super) variants: HashMap<String, Vec<(Combination, Node)>>,
}

/// Checks the fields of a file that another one includes.
pub(super) fn included(root: &Node, problems: &mut Vec<Problem>) {
    let mut reader = Reader { problems };
    match root.value {
        Value::Map(_) => {
            reader.fields(root, "the file", FILE, &[]);
            reader.version(root);
            if let Some(plugins) = root.get("plugins").filter(|node| !matches!(node.value, Value::Null)) {
                let hint = "name them in the file that includes this one";
                reader.report(&plugins.span, "`plugins` of an included file are not taken over", hint);
            }
            for key in ["vars", "templates", "pipelines"] {
                reader.map_field(root, key);
            }
        }
        _ => reader.report(
            &root.span,
            format!("an included file must be a map with `version`, not {root}"),
            "begin with `version: 1`",
        ),
    }
}

/// Checks the fields of a template and takes out those that are unknown, so that they are reported once.
pub(super) fn template(template: &mut Entry, problems: &mut Vec<Problem>) {
    let mut reader = Reader { problems };
    let whose = format!("template `{}`", reader.key(template, "template").text);
    if !matches!(template.value.value, Value::Map(_)) {
        let node = &template.value;
        reader.wrong(node, format!("{whose} must be a map with `kind`, not {node}"), "write `kind:` in it");
        template.value = Node { failed: true, ..Node::empty(template.span.clone()) };
        return;
    }
    reader.fields(&template.value, &whose, STAGE, STAGE_LATER);
    template
        .value
        .entries_mut()
        .into_iter()
        .for_each(|entries| entries.retain(|e| STAGE.contains(&e.key.as_str())));
}

/// Reads the whole tree; `None` when it is no map at all.
pub(super) fn read(root: &Node, whole: Whole<'_>, problems: &mut Vec<Problem>) -> Option<Spec> {
    let mut reader = Reader { problems };
    match root.value {
        Value::Map(_) => {}
        Value::Null => {
            reader.report(
                &root.span,
                "the file is empty",
                "a pipeline file begins with `version: 1` and has `pipelines:`",
            );
            return None;
        }
        _ => {
            let message = format!("the file must be a map with `version` and `pipelines`, not {root}");
            reader.report(&root.span, message, "begin with `version: 1`");
            return None;
        }
    }
    let misspelt = reader.fields(root, "the file", FILE, &[]);
    reader.version(root);
    let plugins = super::plugins::read(root, reader.problems);
    let vars = reader.map_field(root, "vars").unwrap_or_else(|| Node::empty(root.span.clone()));
    let max_size = reader.max_size(root);
    let pipelines = reader.pipelines(root, misspelt, &whole);
    let tests = super::test_read::read(root, &mut reader);
    let default = root.get("default").and_then(|node| reader.name(node, "`default`"));
    if let Some(default) = &default
        && !pipelines.iter().any(|pipeline| pipeline.name.text == default.text)
    {
        let hint = suggest(&default.text, "pipelines", pipelines.iter().map(|p| p.name.text.as_str()));
        reader.report(
            &default.span,
            format!("`default` names the pipeline `{}`, which is not in the file", default.text),
            hint,
        );
    }
    let Whole { file, included, sets, .. } = whole;
    Some(Spec { file: file.to_owned(), included, default, vars, plugins, pipelines, tests, max_size, sets })
}

pub(super) struct Reader<'a> {
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn report(&mut self, span: &Span, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(Problem::new(message).at(span.clone()).hint(hint));
    }

    /// Reports what is wrong with a value, with the place that it comes from.
    pub(super) fn wrong(&mut self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.push(node.problem(message).hint(hint));
    }

    /// Reports fields that are not known; whether the missing ones may hide among them.
    pub(super) fn fields(&mut self, map: &Node, whose: &str, known: &[&str], later: &[&str]) -> bool {
        let mut misspelt = false;
        for entry in map.entries().iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            if later.contains(&entry.key.as_str()) {
                self.later(&entry.span, &format!("`{}`", entry.key));
            } else {
                misspelt = true;
                let elsewhere = ELSEWHERE.iter().find(|(key, _)| *key == entry.key);
                let hint = match elsewhere {
                    Some((_, hint)) => (*hint).to_owned(),
                    None if known == STAGE && nearest(&entry.key, known.iter().copied()).is_none() => {
                        format!("options stand in `config: {{...}}`; fields: {}", list(known.iter().copied()))
                    }
                    None => suggest(&entry.key, "fields", known.iter().copied()),
                };
                let key =
                    Node { from: entry.value.from.clone(), ..Node::new(Value::Null, entry.span.clone()) };
                self.problems.push(key.problem(format!("{whose} has no field `{}`", entry.key)).hint(hint));
            }
        }
        misspelt
    }

    fn later(&mut self, span: &Span, what: &str) {
        self.report(span, format!("{what} is not there yet in this version"), "remove it for now");
    }

    fn version(&mut self, root: &Node) {
        let hint = "this program reads `version: 1`";
        match root.get("version") {
            None => {
                self.report(&root.span, "the file has no `version`", "write `version: 1` in its first line")
            }
            Some(node) if node.value == Value::Int(1) => {}
            Some(node) if matches!(node.value, Value::Int(_)) => {
                self.wrong(node, format!("version {node} of the file format is not known"), hint);
            }
            Some(node) => self.wrong(node, format!("`version` must be the number `1`, not {node}"), hint),
        }
    }

    fn max_size(&mut self, root: &Node) -> Option<u64> {
        let cache = self.map_field(root, "cache")?;
        self.fields(&cache, "`cache`", CACHE, &[]);
        let node = cache.get("max_size")?;
        let size = match &node.value {
            Value::Null => return None,
            _ => node.bytes(),
        };
        if size.is_none() && !node.failed {
            self.wrong(node, format!("`max_size` must be a size, not {node}"), units::SIZES);
        }
        size.filter(|_| !node.failed)
    }

    /// The map under a key, empty where nothing is written.
    pub(super) fn map_field(&mut self, parent: &Node, key: &str) -> Option<Node> {
        let entry = parent.entry(key)?;
        match entry.value.value {
            Value::Map(_) => return Some(entry.value.clone()),
            Value::Null => {}
            _ => {
                let message = format!("`{key}` must be a map, not {}", entry.value);
                self.wrong(&entry.value, message, format!("write `{key}: {{name: value}}`"));
            }
        }
        Some(Node::empty(entry.span.clone()))
    }

    pub(super) fn name(&mut self, node: &Node, what: &str) -> Option<Name> {
        match &node.value {
            _ if node.failed => None,
            Value::Str(text) if !text.is_empty() => {
                Some(Name { text: text.clone(), span: node.span.clone() })
            }
            _ => {
                self.problems.push(node.problem(format!("{what} must be a name, not {node}")));
                None
            }
        }
    }

    pub(super) fn key(&mut self, entry: &Entry, what: &str) -> Name {
        let fine = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        if entry.key.is_empty() || !entry.key.chars().all(fine) {
            let message = format!("`{}` cannot be the name of a {what}", entry.key);
            self.report(&entry.span, message, "names have letters, digits, `_` and `-`");
        }
        Name { text: entry.key.clone(), span: entry.span.clone() }
    }

    fn pipelines(&mut self, root: &Node, misspelt: bool, whole: &Whole<'_>) -> Vec<PipelineSpec> {
        let hint = "write `pipelines: {name: {stages: {...}}}`";
        let Some(entry) = root.entry("pipelines") else {
            // What an included file would bring is not known where one could not be read.
            let unknown = root.get("include").is_some() && !self.problems.is_empty();
            // Tests may bring the stages that they are about.
            if !misspelt && !unknown && root.get("tests").is_none() {
                self.report(&root.span, "the file has no `pipelines`", hint);
            }
            return Vec::new();
        };
        match &entry.value.value {
            Value::Map(entries) if !entries.is_empty() => entries
                .iter()
                .filter_map(|entry| match whole.variants.get(&entry.key) {
                    None => self.pipeline(entry),
                    Some(variants) => self.variants(entry, variants),
                })
                .collect(),
            Value::Map(_) | Value::Null => {
                self.report(&entry.span, "`pipelines` is empty", hint);
                Vec::new()
            }
            _ => {
                self.wrong(&entry.value, format!("`pipelines` must be a map, not {}", entry.value), hint);
                Vec::new()
            }
        }
    }

    /// A pipeline with a matrix. What is wrong in some combinations only names the first of them.
    fn variants(&mut self, entry: &Entry, variants: &[(Combination, Node)]) -> Option<PipelineSpec> {
        let mut found = Vec::new();
        let mut whole: Option<PipelineSpec> = None;
        for (combination, node) in variants {
            let mut problems = Vec::new();
            let one = Entry { key: entry.key.clone(), span: entry.span.clone(), value: node.clone() };
            let read = Reader { problems: &mut problems }.pipeline(&one);
            found.push((label(combination), problems));
            let Some(mut read) = read else { continue };
            read.variants.iter_mut().for_each(|variant| variant.vars.clone_from(combination));
            match &mut whole {
                Some(whole) => whole.variants.append(&mut read.variants),
                None => whole = Some(read),
            }
        }
        self.problems.extend(of_combinations(found));
        let broken = PipelineSpec {
            name: Name { text: entry.key.clone(), span: entry.span.clone() },
            description: None,
            variants: Vec::new(),
            broken: true,
        };
        whole.or(Some(broken))
    }

    fn pipeline(&mut self, entry: &Entry) -> Option<PipelineSpec> {
        let name = self.key(entry, "pipeline");
        let whose = format!("pipeline `{}`", name.text);
        let node = &entry.value;
        let hint = "write `stages: {name: {kind: ...}}` in it";
        let Value::Map(_) = node.value else {
            self.wrong(node, format!("{whose} must be a map with `stages`, not {node}"), hint);
            return None;
        };
        let misspelt = self.fields(node, &whose, PIPELINE, &[]);
        let mut stages = Vec::new();
        match node.entry("stages") {
            None if misspelt || node.failed => {}
            None => self.report(&entry.span, format!("{whose} has no `stages`"), hint),
            Some(field) => match &field.value.value {
                Value::Map(entries) if !entries.is_empty() => {
                    stages = entries.iter().map(|e| self.stage(e)).collect()
                }
                Value::Map(_) | Value::Null => {
                    self.report(&field.span, format!("{whose} has no stages"), hint)
                }
                _ => self.wrong(&field.value, format!("`stages` must be a map, not {}", field.value), hint),
            },
        }
        let description = node.get("description").and_then(|node| self.description(node));
        let variants = vec![Variant { vars: Vec::new(), stages }];
        Some(PipelineSpec { name, description, variants, broken: node.failed })
    }

    fn description(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Str(text) if node.env => Some(crate::plan::redacted(text)),
            Value::Str(text) => Some(text.clone()),
            Value::Null => None,
            _ => {
                self.wrong(node, format!("`description` must be text, not {node}"), "put it in quotes");
                None
            }
        }
    }

    fn stage(&mut self, entry: &Entry) -> StageSpec {
        let before = self.problems.len();
        let name = self.key(entry, "stage");
        let whose = format!("stage `{}`", name.text);
        let node = &entry.value;
        let hint = "write `kind:` in it";
        let map = matches!(node.value, Value::Map(_));
        let mut misspelt = false;
        if map {
            misspelt = self.fields(node, &whose, STAGE, STAGE_LATER);
        } else {
            self.wrong(node, format!("{whose} must be a map with `kind`, not {node}"), hint);
        }
        let kind = match node.get("kind") {
            Some(kind) => self.name(kind, "`kind`"),
            None => {
                if map && !misspelt && !node.failed {
                    self.report(&entry.span, format!("{whose} has no `kind`"), hint);
                }
                None
            }
        };
        if let Some(used) = node.entry("use") {
            self.report(
                &used.span,
                "`use` counts before stages are written out",
                "give the stage's `use` itself",
            );
        }
        let when = node.get("when").is_none_or(|when| when.failed || when.value == Value::Bool(true));
        let config = self.map_field(node, "config");
        let (tries, tries_at) = super::tries::read(node, self.problems);
        let inputs_span = node.entry("inputs").map_or(&entry.span, |field| &field.span).clone();
        StageSpec {
            inputs: node.get("inputs").and_then(|inputs| self.inputs(inputs)),
            ports: node.get("inputs").map_or_else(Vec::new, |inputs| self.ports(inputs)),
            inputs_span,
            config: config.unwrap_or_else(|| Node::empty(entry.span.clone())),
            on_error: self.on_error(node),
            tries,
            tries_at,
            left_out: !when,
            kind,
            name,
            broken: self.problems.len() > before || node.any_failed(),
        }
    }

    fn inputs(&mut self, node: &Node) -> Option<Vec<Name>> {
        match &node.value {
            Value::Null => None,
            Value::Seq(items) => Some(items.iter().filter_map(|item| self.name(item, "an input")).collect()),
            Value::Map(entries) => {
                Some(entries.iter().filter_map(|entry| self.name(&entry.value, "an input")).collect())
            }
            _ => self.name(node, "`inputs`").map(|name| vec![name]),
        }
    }

    /// The names in `inputs: {left: a, right: b}`.
    fn ports(&mut self, node: &Node) -> Vec<Name> {
        node.entries().iter().map(|entry| self.key(entry, "port")).collect()
    }

    fn on_error(&mut self, stage: &Node) -> OnError {
        let threshold = self.threshold(stage);
        let fail = match stage.get("on_error") {
            None => false,
            Some(node) => match node.as_str() {
                Some("quarantine") => false,
                Some("fail") => true,
                _ if node.failed => false,
                _ => {
                    let message = format!("`on_error` must be `quarantine` or `fail`, not {node}");
                    let hint = suggest(node.as_str().unwrap_or_default(), "values", ["quarantine", "fail"]);
                    self.wrong(node, message, hint);
                    false
                }
            },
        };
        if let (true, Some(entry)) = (fail, stage.entry("quarantine_threshold")) {
            let message = "`quarantine_threshold` has no effect where `on_error` is `fail`";
            self.report(&entry.span, message, "remove one of the two");
        }
        if fail { OnError::Fail } else { OnError::Quarantine { threshold } }
    }

    fn threshold(&mut self, stage: &Node) -> f64 {
        let Some(node) = stage.get("quarantine_threshold") else { return THRESHOLD };
        let number = match node.value {
            Value::Int(int) => Some(int as f64),
            Value::Float(float) => Some(float),
            _ => None,
        };
        match number {
            _ if node.failed => THRESHOLD,
            Some(share) if (0.0..=1.0).contains(&share) => share,
            _ => {
                let message = format!("`quarantine_threshold` must be a number from 0 to 1, not {node}");
                self.wrong(node, message, "it is a share of the rows: 5% is `0.05`");
                THRESHOLD
            }
        }
    }
}
