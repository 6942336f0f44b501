//! Where does this name come from? Inputs, variables, templates, pipelines, included files.

use std::path::PathBuf;

use super::explain::reference;
use super::place::stage_depth;
use super::{Draft, plan};
use crate::spec::outline::{Item, Role, cursor};

/// Where a name is defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// First column of the name, from 1.
    pub column: usize,
    /// Characters of the name.
    pub length: usize,
}

/// Where the name at a line and column (both from 1) is defined.
pub fn define(draft: &Draft<'_>, line: usize, column: usize) -> Option<Target> {
    let cursor = cursor(draft.text, line, column)?;
    if let Some(name) = reference(&cursor) {
        return found(draft, &["vars"], &name);
    }
    let item = &cursor.item;
    let path: Vec<&str> = item.path.iter().map(String::as_str).collect();
    if item.role == Role::Key {
        return match path[..] {
            ["pipelines", _, "matrix"] => found(draft, &["vars"], &item.text),
            // A stage that changes one of the pipeline that this one extends.
            ["pipelines", pipeline, "stages"] => {
                stage(draft, draft.said(&["pipelines", pipeline, "extends"])?, &item.text)
            }
            ["tests", test, "rows"] if !draft.is_own(test) => tested(draft, test, &item.text),
            ["tests", test, "set"] => match item.text.split('.').collect::<Vec<_>>()[..] {
                ["vars", name, ..] => found(draft, &["vars"], name),
                ["stages", stage, ..] => tested(draft, test, stage),
                _ => None,
            },
            _ => None,
        };
    }
    if let Some(depth) = stage_depth(&item.path) {
        match (&path[..depth], &path[depth..]) {
            (["pipelines", pipeline, ..], ["inputs"] | ["inputs", _]) => {
                return stage(draft, pipeline, &item.text);
            }
            (_, ["use"]) => return found(draft, &["templates"], &item.text),
            _ => {}
        }
    }
    match path[..] {
        ["tests", test, "stage"] => tested(draft, test, &item.text),
        ["default"] | ["pipelines", _, "extends"] | ["tests", _, "pipeline"] => {
            found(draft, &["pipelines"], &item.text)
        }
        ["include"] | ["include", _] => file(draft, item),
        _ => None,
    }
}

fn found(draft: &Draft<'_>, path: &[&str], name: &str) -> Option<Target> {
    // What the file itself says counts.
    let (file, item) = draft.keys(path).find(|(_, item)| item.text == name)?;
    let length = item.text.chars().count();
    Some(Target { file: file.to_owned(), line: item.line, column: item.column, length })
}

/// A stage of the pipelines that a test may be about.
fn tested(draft: &Draft<'_>, test: &str, name: &str) -> Option<Target> {
    draft.tested_in(test).iter().find_map(|pipeline| stage(draft, pipeline, name))
}

/// A stage as written in the pipeline, else in the one that it extends.
fn stage(draft: &Draft<'_>, pipeline: &str, name: &str) -> Option<Target> {
    let mut pipeline = pipeline.to_owned();
    let mut seen = Vec::new();
    while !seen.contains(&pipeline) {
        if let Some(target) = found(draft, &["pipelines", &pipeline, "stages"], name) {
            return Some(target);
        }
        let base = draft.said(&["pipelines", &pipeline, "extends"])?.to_owned();
        seen.push(std::mem::replace(&mut pipeline, base));
    }
    None
}

fn file(draft: &Draft<'_>, item: &Item) -> Option<Target> {
    let path = plan::folder(&draft.files.first()?.0).join(&item.text);
    let known = draft.files.iter().any(|(file, _)| *file == path);
    known.then_some(Target { file: path, line: 1, column: 1, length: 0 })
}
