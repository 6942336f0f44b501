//! Does a pipeline do what the tests in its file say? Rows that the file gives go through a stage by the engine itself, in a
//! state of their own, and what leaves is compared with what the file expects.
//!
//! A test is planned like a pipeline, so that what is wrong with it is told with its place before anything runs.

mod cells;
mod compare;
mod given;
mod part;
mod rows;
mod run;
mod types;
mod values;
mod wanted;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use self::part::Part;
pub(crate) use self::types::PLAIN;
pub(crate) use self::values::classes;
use self::wanted::Typed;
use crate::error::{Error, Problem, Span};
use crate::registry::Registry;
use crate::spec::test::{TestSpec, Wanted};
use crate::spec::{Spec, in_order};

/// A test that can run.
pub struct Trial {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    part: Part,
    wanted: Wanted,
    /// `None` where planning fails, as it should.
    typed: Option<Typed>,
}

/// One way in which a test found something else than it expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The row, where it is about one.
    pub id: Option<String>,
    /// The column, where it is about one.
    pub column: Option<String>,
    /// What the test expects.
    pub expected: String,
    /// What there is.
    pub got: String,
}

impl Finding {
    fn cell(id: &str, column: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Finding { column: Some(column.to_owned()), ..Finding::row(id, expected, got) }
    }

    fn row(id: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Finding { id: Some(id.to_owned()), ..Finding::whole(expected, got) }
    }

    fn column(name: &str, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Finding { column: Some(name.to_owned()), ..Finding::whole(expected, got) }
    }

    fn whole(expected: impl Into<String>, got: impl Into<String>) -> Self {
        Finding { id: None, column: None, expected: expected.into(), got: got.into() }
    }
}

impl Trial {
    /// Plans a test of a file; `base` is the file's folder. The error is what is wrong with the test, or with the stages that
    /// it is about; it may be empty where the reading of the file has told it.
    fn new(spec: &Spec, test: &TestSpec, registry: &Registry, base: &Path) -> Result<Self, Vec<Problem>> {
        if test.broken {
            return Err(Vec::new());
        }
        let idle = rows::idle_types(test);
        if !idle.is_empty() {
            return Err(idle);
        }
        let part = part::of(test.within.as_deref().unwrap_or(spec), test, registry, base)?;
        let typed = match &part.plan {
            Err(problems) if test.wanted.fails.is_none() => return Err(problems.clone()),
            Err(_) => None,
            Ok(plan) => match plan.stages.last() {
                Some(last) => Some(wanted::typed(&test.wanted, &last.name, &last.schema, base)?),
                None => return Err(Vec::new()),
            },
        };
        let (name, span) = (test.name.text.clone(), test.name.span.clone());
        Ok(Trial { name, span, part, wanted: test.wanted.clone(), typed })
    }

    /// Runs it in a temporary folder; what it found otherwise than expected. Fails where the machine does, or upon `interrupt`.
    pub fn run(&self, interrupt: Arc<AtomicBool>) -> Result<Vec<Finding>, Error> {
        match (&self.part.plan, &self.typed) {
            (Ok(plan), Some(typed)) => run::run(self, plan, typed, interrupt),
            (Err(problems), _) => {
                let said: Vec<String> = problems.iter().map(run::in_words).collect();
                Ok(run::failed(self.wanted.fails.as_ref(), &said.join("; ")))
            }
            _ => Err(Error::Internal(format!("the test `{}` has no stage", self.name))),
        }
    }
}

/// Plans tests of a file read leniently; the error is what the reading found, and the problems of all of these tests and of the
/// file's plugins, in the order of the file.
pub fn all(
    spec: &Spec,
    read: Vec<Problem>,
    tests: &[&TestSpec],
    registry: &Registry,
    base: &Path,
) -> Result<Vec<Trial>, Vec<Problem>> {
    let (registry, mut problems) = registry.with_plugins(spec, base);
    let other = |test: &&TestSpec| !tests.iter().any(|chosen| chosen.name == test.name);
    let of_others: Vec<&Problem> = spec.tests.iter().filter(other).flat_map(|test| &test.problems).collect();
    problems.extend(read.into_iter().filter(|problem| !of_others.contains(&problem)));
    let (mut trials, mut complete) = (Vec::new(), problems.is_empty());
    for test in tests {
        match Trial::new(spec, test, &registry, base) {
            Ok(trial) => trials.push(trial),
            Err(found) => {
                complete = false;
                problems.extend(found);
            }
        }
    }
    if complete { Ok(trials) } else { Err(in_order(problems)) }
}

/// Every problem of the tests of a file.
pub(crate) fn check(spec: &Spec, registry: &Registry, base: &Path) -> Vec<Problem> {
    if spec.tests.is_empty() {
        return Vec::new();
    }
    let tests: Vec<&TestSpec> = spec.tests.iter().collect();
    all(spec, Vec::new(), &tests, registry, base).err().unwrap_or_default()
}
