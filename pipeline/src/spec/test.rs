//! What does a file say of its own tests? Rows that arrive, and what is expected of those that leave. Whether names and
//! values fit the pipelines is for [`trial`](crate::trial) to say.

use std::sync::Arc;

use super::node::{Entry, Node};
use super::{Name, Spec, StageSpec, same};
use crate::error::{Note, Problem, Span};

/// Bytes that may be read over for tests that `set` something.
const AGAIN: usize = 64 << 20;

/// One test as typed.
#[derive(Debug, Clone)]
pub struct TestSpec {
    /// Its name, at its key.
    pub name: Name,
    /// What is tested; `None` where it could not be read (already reported).
    pub subject: Option<Subject>,
    /// What it changes in the file: paths as `--set` takes them, and values.
    pub set: Vec<(Name, Node)>,
    /// The rows that arrive.
    pub rows: Rows,
    /// Types of columns of these rows, in the words of the manual.
    pub types: Vec<(Name, Name)>,
    /// What is expected.
    pub wanted: Wanted,
    /// The file with what the test changes in it; `None` where it changes nothing.
    pub within: Option<Arc<Spec>>,
    /// What the reading of the file found wrong with it.
    pub problems: Vec<Problem>,
    /// Whether a problem was reported that makes planning it pointless.
    pub broken: bool,
}

/// What a test is about.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A stage of a pipeline: of the one named, else of the default one, else of the only one that has it.
    Stage {
        /// The pipeline.
        pipeline: Option<Name>,
        /// The stage.
        stage: Name,
    },
    /// A stage that the test brings along.
    Own(Box<StageSpec>),
}

/// The rows that a test gives.
#[derive(Debug, Clone)]
pub enum Rows {
    /// None: the pipeline's own sources bring them.
    Own,
    /// Those that arrive at the stage.
    Arriving(Vec<Row>),
    /// Those that leave other stages, or arrive at ports, by name.
    Named(Vec<(Name, Vec<Row>)>),
}

/// One row as typed.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its `id`; by its place (`row-0`) where left out.
    pub id: String,
    /// Where it stands.
    pub span: Span,
    /// Its other columns.
    pub cells: Vec<Entry>,
}

/// What a test expects.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// All rows that leave, with the columns that are compared.
    pub rows: Option<Vec<Row>>,
    /// What every row fulfils: a column, and what holds of its cells.
    pub checks: Vec<(Name, Check)>,
    /// The columns that leave beside `id`, in any order.
    pub columns: Option<Vec<Name>>,
    /// Number of rows that leave.
    pub count: Option<u64>,
    /// The rows that fail, with a part of the reason.
    pub quarantined: Vec<(Name, String)>,
    /// A part of the message with which planning or running fails.
    pub fails: Option<Name>,
    /// How far numbers with a point may differ, relative to the larger of 1 and the number expected.
    pub tolerance: f64,
}

/// What holds of the cells of a column.
#[derive(Debug, Clone)]
pub enum Check {
    /// It is one of these values.
    OneOf(Vec<Node>),
    /// Each of these bounds holds.
    Bounds(Vec<Bound>),
}

/// A bound of a cell.
#[derive(Debug, Clone)]
pub enum Bound {
    /// A number, or every number of a list, is at least this.
    Min(f64),
    /// A number, or every number of a list, is at most this.
    Max(f64),
    /// A text has this in it.
    Contains(String),
    /// It is none of these values.
    Not(Vec<Node>),
}

/// Reads the file with further arguments.
pub(super) type Again<'a> = &'a dyn Fn(&[String]) -> (Option<Spec>, Vec<Problem>);

/// Reads the file again for each test that changes something in it.
pub(super) fn changed(spec: &mut Spec, size: usize, again: Again<'_>, problems: &mut Vec<Problem>) {
    let mut left = AGAIN;
    for test in spec.tests.iter_mut().filter(|test| !test.set.is_empty() && !test.broken) {
        let Some(rest) = left.checked_sub(size) else {
            let problem = Problem::new("too many tests `set` something in a file of this size")
                .at(test.name.span.clone());
            let problem = problem.hint("spread them over several files");
            problems.push(problem.clone());
            test.problems.push(problem);
            test.broken = true;
            continue;
        };
        left = rest;
        let arguments: Vec<String> =
            test.set.iter().map(|(path, value)| format!("{}={}", path.text, value.to_json())).collect();
        let (found, more) = again(&arguments);
        let fresh = more.into_iter().filter(|problem| !problems.iter().any(|known| same(known, problem)));
        let fresh: Vec<Problem> = fresh.map(|problem| placed(problem, test, &arguments)).collect();
        test.broken |= !fresh.is_empty();
        problems.extend(fresh.iter().cloned());
        test.problems.extend(fresh);
        let Some(mut found) = found else { continue };
        let own = std::mem::take(&mut found.tests).into_iter().find(|own| own.name == test.name);
        if let Some(own) = own {
            let broken = test.broken || own.broken;
            let problems = std::mem::take(&mut test.problems);
            *test = TestSpec { broken, problems, within: Some(Arc::new(found)), ..own };
        }
    }
}

/// A problem that a test's `set` makes: at the path that it is with, or where it is with a note.
fn placed(problem: Problem, test: &TestSpec, arguments: &[String]) -> Problem {
    let argument = |argument: &String| {
        problem.span.as_ref().is_some_and(|span| span.line == 0 && span.file == format!("--set {argument}"))
    };
    match arguments.iter().position(argument) {
        Some(at) => problem.at(test.set[at].0.span.clone()),
        None => problem.note(within(test)),
    }
}

/// "in the test `x`"
pub(crate) fn within(test: &TestSpec) -> Note {
    Note { span: test.name.span.clone(), text: format!("in the test `{}`", test.name.text) }
}
