//! What is a test about, for somebody who is typing it? Its stage, the columns of its rows, and what it can change.

use serde_json::Value as Json;

use super::{Column, Draft};
use crate::spec::outline::Role;
use crate::trial::PLAIN;

impl Draft<'_> {
    /// The pipelines that the stage of a test may be of: the one named, or the default one and all others.
    pub(super) fn tested_in(&self, test: &str) -> Vec<String> {
        if let Some(pipeline) = self.value(&path(&["tests", test]), "pipeline") {
            return vec![pipeline.to_owned()];
        }
        let default = self.value(&[], "default").map(str::to_owned);
        default.into_iter().chain(self.keys(&["pipelines"]).map(|(_, item)| item.text.clone())).collect()
    }

    /// The stages of pipelines that a test may be about.
    pub(super) fn tested(&self, test: &str) -> Vec<String> {
        self.tested_in(test).iter().flat_map(|pipeline| self.stages(pipeline)).collect()
    }

    /// The stages whose rows a test can give: all but the one under test.
    pub(super) fn given(&self, test: &str) -> Vec<String> {
        let mut names = self.tested(test);
        let own = self.value(&path(&["tests", test]), "stage");
        names.retain(|name| Some(name.as_str()) != own);
        names
    }

    /// Whether a test brings a stage of its own along.
    pub(super) fn is_own(&self, test: &str) -> bool {
        self.value(&path(&["tests", test]), "kind").is_some()
    }

    /// Paths that a test can set: variables, and options of stages.
    pub(super) fn settable(&self, test: &str) -> Vec<String> {
        let vars = self.keys(&["vars"]).map(|(_, item)| format!("vars.{}", item.text));
        let options = |pipeline: &String| {
            let of_stage = |stage: String| {
                let kind = self.kind(&path(&["pipelines", pipeline, "stages", &stage]));
                let schema = kind.and_then(|kind| self.language.kinds.get(kind.as_str()));
                let names = schema.and_then(|schema| schema.get("properties")).and_then(Json::as_object);
                let names = names.into_iter().flat_map(|names| names.keys());
                names.map(|name| format!("stages.{stage}.config.{name}")).collect::<Vec<_>>()
            };
            self.stages(pipeline).into_iter().flat_map(of_stage).collect::<Vec<_>>()
        };
        vars.chain(self.tested_in(test).iter().flat_map(options)).collect()
    }

    /// The columns that can be named at a path in a test.
    pub(super) fn of_test(&self, test: &str, rest: &[String]) -> Vec<Column> {
        match rest.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["rows", at] if at.parse::<usize>().is_ok() => self.reaching(test),
            ["types"] => self.reaching(test),
            ["rows", stage, _] if !self.is_own(test) => self
                .tested_in(test)
                .iter()
                .map(|pipeline| self.leaving(pipeline, stage))
                .find(|columns| !columns.is_empty())
                .unwrap_or_default(),
            ["expect", _] | ["where"] | ["columns"] | ["columns", _] => self.left(test),
            ["config", ..] => self.written(test),
            _ => Vec::new(),
        }
    }

    /// The columns that arrive at the stage under test.
    fn reaching(&self, test: &str) -> Vec<Column> {
        self.subject(test, |pipeline, stage| self.arriving(pipeline, stage))
    }

    /// The columns that leave the stage under test.
    fn left(&self, test: &str) -> Vec<Column> {
        let kind =
            self.value(&path(&["tests", test]), "kind").and_then(|kind| self.language.registry.get(kind));
        let Some(kind) = kind else {
            return self.subject(test, |pipeline, stage| self.leaving(pipeline, stage));
        };
        let added = kind.about().columns.iter().map(|(name, kind, _)| Column {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            classes: Vec::new(),
        });
        self.written(test).into_iter().chain(added).collect()
    }

    fn subject(&self, test: &str, columns: impl Fn(&str, &str) -> Vec<Column>) -> Vec<Column> {
        let Some(stage) = self.value(&path(&["tests", test]), "stage") else { return Vec::new() };
        self.tested_in(test)
            .iter()
            .map(|pipeline| columns(pipeline, stage))
            .find(|columns| !columns.is_empty())
            .unwrap_or_default()
    }

    /// The columns that the rows of a test have.
    fn written(&self, test: &str) -> Vec<Column> {
        let mut columns: Vec<Column> = Vec::new();
        for item in self.own().iter().filter(|item| item.role == Role::Key) {
            let of_row = matches!(&item.path[..], [tests, own, rows, .., at]
                if tests == "tests" && own == test && rows == "rows" && at.parse::<usize>().is_ok());
            if of_row && columns.iter().all(|column| column.name != item.text) {
                columns.push(Column { name: item.text.clone(), kind: String::new(), classes: Vec::new() });
            }
        }
        columns
    }
}

/// The words for types that a test can write, without those that have parts.
pub(super) fn types() -> &'static [&'static str] {
    PLAIN
}

fn path(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}
