//! Does a pipeline write over its own files? What stages leave outside the cache, each in a place of its own.

use std::path::{Path, PathBuf};

use super::{Plan, PlannedStage};
use crate::error::{Note, Problem};
use crate::spec::Spec;

/// The files that the pipelines are written in.
pub(crate) fn own(spec: &Spec) -> Vec<PathBuf> {
    let files = std::iter::once(Path::new(&spec.file)).chain(spec.included.iter().map(PathBuf::as_path));
    files.filter_map(|file| std::path::absolute(file).ok()).collect()
}

/// Stages that write where another one does, or over a pipeline file.
pub(crate) fn check(plan: &Plan, own: &[PathBuf]) -> Vec<Problem> {
    let mut seen: Vec<(&Path, &PlannedStage)> = Vec::new();
    let mut problems = Vec::new();
    for stage in &plan.stages {
        for path in &stage.planned.writes {
            let shown = path.display();
            if own.contains(path) {
                let message = format!("stage `{}` would write over `{shown}`, a pipeline file", stage.name);
                problems.push(Problem::new(message).at(stage.span.clone()).hint("name another `path`"));
            }
            match seen.iter().find(|(known, _)| known == path) {
                Some((_, other)) => {
                    let message =
                        format!("stages `{}` and `{}` both write `{shown}`", other.name, stage.name);
                    let note =
                        Note { span: other.span.clone(), text: format!("`{}` writes it, too", other.name) };
                    let problem = Problem::new(message).at(stage.span.clone()).note(note);
                    problems.push(problem.hint("name another `path` in one of them"));
                }
                None => seen.push((path, stage)),
            }
        }
    }
    problems
}
