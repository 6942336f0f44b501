//! How is the file typed? YAML with the place of every value, read into a [`Spec`].
//!
//! Text becomes a tree of placed values ([`Node`]), `--set` changes the tree, `${...}` is written out, and only then is the
//! tree read. The reading is by hand, not by serde: a derived reader stops at its first problem and speaks of types that
//! the user never wrote.
//!
//! Architecture invariant: YAML exists in this module and nowhere else. Nothing here knows a kind of stage.

pub mod node;
mod read;
mod set;
mod substitute;
mod tries;
pub(crate) mod words;
mod yaml;

use std::path::Path;

pub use node::{Entry, Node, Value};

use crate::error::{Problem, Span};
use crate::plan::OnError;
use crate::plan::tries::Tries;

/// The file as typed, references written out.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The file as the user named it.
    pub file: String,
    /// The pipeline that runs when none is named.
    pub default: Option<Name>,
    /// The variables, a map.
    pub vars: Node,
    /// The pipelines in the order written.
    pub pipelines: Vec<PipelineSpec>,
    /// Bytes that the cache may hold.
    pub max_size: Option<u64>,
    /// Stages that `--set stages.NAME...` named, with the argument.
    pub sets: Vec<(String, Span)>,
}

impl Spec {
    /// The pipeline of that name.
    pub fn pipeline(&self, name: &str) -> Option<&PipelineSpec> {
        self.pipelines.iter().find(|pipeline| pipeline.name.text == name)
    }
}

/// A text with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// One pipeline as typed.
#[derive(Debug, Clone)]
pub struct PipelineSpec {
    /// Its name, at its key.
    pub name: Name,
    /// One line.
    pub description: Option<String>,
    /// The stages in the order written.
    pub stages: Vec<StageSpec>,
}

/// One stage as typed.
#[derive(Debug, Clone)]
pub struct StageSpec {
    /// Its name, at its key.
    pub name: Name,
    /// The kind; `None` where it could not be read (already reported).
    pub kind: Option<Name>,
    /// The stages it takes rows from; `None` where left out.
    pub inputs: Option<Vec<Name>>,
    /// Where `inputs` stands, or the stage.
    pub inputs_span: Span,
    /// The options, a map.
    pub config: Node,
    /// What to do with rows that fail.
    pub on_error: OnError,
    /// How often and how long it tries.
    pub tries: Tries,
    /// Those of its keys that change anything.
    pub tries_at: Vec<Name>,
    /// Whether a problem was reported that makes planning it pointless.
    pub broken: bool,
}

/// Reads a file and applies `--set` arguments; every problem at once.
pub fn load(path: &Path, sets: &[String]) -> Result<Spec, Vec<Problem>> {
    strict(load_lenient(path, sets))
}

/// Reads text as if it were a file of that name.
pub fn parse(text: &str, file_name: &str, sets: &[String]) -> Result<Spec, Vec<Problem>> {
    strict(parse_lenient(text, file_name, sets, &|name| std::env::var(name).ok()))
}

/// Like [`load`], but gives what could be read beside the problems, so that the planner can add its own.
pub fn load_lenient(path: &Path, sets: &[String]) -> (Option<Spec>, Vec<Problem>) {
    match read_text(path) {
        Ok(text) => parse_lenient(&text, &path.display().to_string(), sets, &|name| std::env::var(name).ok()),
        Err(problem) => (None, vec![problem]),
    }
}

/// Like [`parse`], but gives what could be read beside the problems, and looks environment variables up in `env`.
pub fn parse_lenient(
    text: &str,
    file_name: &str,
    sets: &[String],
    env: &dyn Fn(&str) -> Option<String>,
) -> (Option<Spec>, Vec<Problem>) {
    let (mut root, mut problems) = match yaml::parse(text, file_name) {
        Ok(parsed) => parsed,
        Err(problem) => return (None, vec![problem]),
    };
    let mut named = Vec::new();
    for argument in sets {
        match set::apply(&mut root, argument) {
            Ok(stage) => named.extend(stage),
            Err(more) => problems.extend(more),
        }
    }
    substitute::substitute(&mut root, env, &mut problems);
    let spec = read::read(&root, file_name, named, &mut problems);
    (spec, in_order(problems))
}

/// Problems in the order of the file, each once, arguments last.
pub(crate) fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems
        .sort_by_key(|problem| problem.span.as_ref().map(|span| (span.line == 0, span.line, span.column)));
    problems.dedup();
    problems
}

fn strict((spec, problems): (Option<Spec>, Vec<Problem>)) -> Result<Spec, Vec<Problem>> {
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ => Err(problems),
    }
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let file = path.display().to_string();
    let nowhere = Span::argument(&file);
    let bytes = std::fs::read(path).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "name the pipeline file with `-f FILE`, or begin a project with `affectflow init DIR`"
            }
            _ => "check that it is a file and that you may read it",
        };
        Problem::new(format!("cannot read the pipeline file: {error}")).at(nowhere).hint(hint)
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let start = good.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&good[start..]).chars().count() + 1;
        Problem::new("this file is not UTF-8 text").at(Span { file, line, column }).hint("save it as UTF-8")
    })
}
