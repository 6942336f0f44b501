//! How is the file typed? YAML with the place of every value, read into a [`Spec`].
//!
//! Text becomes a tree of placed values ([`Node`]). Passes over the tree write out, in this order, `include`, `extends` and
//! `use`, `--set`, `matrix`, `when` and `${...}`, and only then is it read. The reading is by hand, not by serde: a derived reader stops at its first problem and speaks of types that
//! the user never wrote.
//!
//! Architecture invariant: YAML exists in this module and nowhere else. Nothing here knows a kind of stage.

mod include;
mod matrix;
pub mod node;
pub mod outline;
mod plugins;
mod read;
mod reuse;
mod set;
mod substitute;
pub mod test;
mod test_read;
mod tries;
mod when;
pub(crate) mod words;
mod yaml;

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};

pub use node::{Entry, Node, Value};
pub use plugins::{Origin, PluginSpec};
pub use test::TestSpec;
pub use words::suggest;

use crate::error::{Note, Problem, Span};
use crate::plan::OnError;
use crate::plan::tries::Tries;

/// The file as typed, references written out.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The file as the user named it.
    pub file: String,
    /// The files that it includes, each once.
    pub included: Vec<PathBuf>,
    /// The pipeline that runs when none is named.
    pub default: Option<Name>,
    /// The variables, a map.
    pub vars: Node,
    /// The plugins.
    pub plugins: Vec<PluginSpec>,
    /// The pipelines in the order written.
    pub pipelines: Vec<PipelineSpec>,
    /// The tests in the order written.
    pub tests: Vec<TestSpec>,
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
    /// What it runs as: once, or once for each combination of its `matrix`.
    pub variants: Vec<Variant>,
    /// Whether a problem was reported that makes planning it pointless.
    pub broken: bool,
}

impl PipelineSpec {
    /// The stages in the order written, of a pipeline with a matrix those of its first combination.
    pub fn stages(&self) -> &[StageSpec] {
        self.variants.first().map_or(&[], |variant| &variant.stages)
    }
}

/// A pipeline for one combination of variables.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The variables that its matrix sets; none without a matrix.
    pub vars: Vec<(String, Node)>,
    /// The stages in the order written.
    pub stages: Vec<StageSpec>,
}

impl Variant {
    /// "seed: 1, method: kcdp"
    pub fn label(&self) -> String {
        matrix::label(&self.vars)
    }
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
    /// The names of its ports, one for each input; empty where they are a list.
    pub ports: Vec<Name>,
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
    /// Whether its `when` does not hold: it is checked, and others take rows from where it would.
    pub left_out: bool,
    /// Whether a problem was reported that makes planning it pointless.
    pub broken: bool,
}

/// What the reading of a file asks of the machine.
pub struct World<'a> {
    /// The value of an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of an included file.
    pub read: &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
}

/// Reads a file and applies `--set` arguments; every problem at once.
pub fn load(path: &Path, sets: &[String]) -> Result<Spec, Vec<Problem>> {
    strict(load_lenient(path, sets))
}

/// The tree of a text, nothing written out and nothing read from it.
pub fn tree(text: &str, file_name: &str) -> Result<Node, Vec<Problem>> {
    match yaml::parse(text, file_name) {
        Ok((root, problems)) if problems.is_empty() => Ok(root),
        Ok((_, problems)) => Err(problems),
        Err(problem) => Err(vec![problem]),
    }
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
    parse_in(text, file_name, sets, &World { env, read: &regular })
}

/// Like [`parse_lenient`], and reads included files as `world` does.
pub fn parse_in(
    text: &str,
    file_name: &str,
    sets: &[String],
    world: &World<'_>,
) -> (Option<Spec>, Vec<Problem>) {
    let (mut spec, mut problems) = parse_once(text, file_name, sets, world);
    if let Some(spec) = &mut spec {
        let again = |more: &[String]| parse_once(text, file_name, &[sets, more].concat(), world);
        test::changed(spec, text.len(), &again, &mut problems);
    }
    (spec, in_order(problems))
}

/// The file as it is with those arguments, tests not yet with what they change themselves.
fn parse_once(
    text: &str,
    file_name: &str,
    sets: &[String],
    world: &World<'_>,
) -> (Option<Spec>, Vec<Problem>) {
    let (mut root, mut problems) = match yaml::parse(text, file_name) {
        Ok(parsed) => parsed,
        Err(problem) => return (None, vec![problem]),
    };
    let included = include::gather(&mut root, file_name, world, &mut problems);
    let (early, late): (Vec<&String>, Vec<&String>) = sets.iter().partition(|argument| set::early(argument));
    let mut named = apply(&mut root, &early, &mut problems);
    reuse::expand(&mut root, &mut problems);
    named.extend(apply(&mut root, &late, &mut problems));
    let pinned = sets.iter().filter_map(|argument| set::variable(argument)).map(str::to_owned).collect();
    let variants = variants(&mut root, &pinned, world, &mut problems);
    substitute::substitute(&mut root, world.env, &mut problems);
    let whole = read::Whole { file: file_name, included, sets: named, variants };
    let spec = read::read(&root, whole, &mut problems);
    (spec, problems)
}

fn apply(root: &mut Node, sets: &[&String], problems: &mut Vec<Problem>) -> Vec<(String, Span)> {
    let mut named = Vec::new();
    for argument in sets {
        match set::apply(root, argument) {
            Ok(stage) => named.extend(stage),
            Err(more) => problems.extend(more),
        }
    }
    named
}

/// Takes pipelines with a matrix out of the tree, leaving nothing in their places, and writes each out for every combination.
fn variants(
    root: &mut Node,
    pinned: &HashSet<String>,
    world: &World<'_>,
    problems: &mut Vec<Problem>,
) -> HashMap<String, Vec<(matrix::Combination, Node)>> {
    let mut variants = HashMap::new();
    let vars = root.get("vars").cloned().unwrap_or_else(|| Node::empty(root.span.clone()));
    let mut copied = 0;
    for pipeline in root.get_mut("pipelines").and_then(Node::entries_mut).into_iter().flatten() {
        let matrix = pipeline.value.take("matrix").filter(|matrix| matrix.value.value != Value::Null);
        let Some(taken) = matrix else { continue };
        let typed = std::mem::replace(&mut pipeline.value, Node::new(Value::Null, pipeline.span.clone()));
        let mut alone = with_vars(&vars, "matrix", taken.value);
        substitute::substitute(&mut alone, world.env, problems);
        let known = alone.get("vars").unwrap_or(&vars);
        let all = match alone.get("matrix") {
            Some(matrix) => matrix::combinations(matrix, known, pinned, problems),
            None => Vec::new(),
        };
        let one = typed.size().0 + vars.size().0;
        copied += one * all.len();
        if copied > 10 * yaml::COPIES {
            let problem = Problem::new("the matrix makes this file too large once it is written out");
            problems
                .push(problem.at(taken.span).hint("take values out of it, or stages out of the pipeline"));
            variants.insert(pipeline.key.clone(), Vec::new());
            continue;
        }
        let mut found = Vec::new();
        let mut written = Vec::new();
        for combination in all {
            let map = Value::Map(vec![Entry { value: typed.clone(), ..pipeline.clone() }]);
            let mut alone =
                with_vars(&over(&vars, &combination), "pipelines", Node::new(map, typed.span.clone()));
            let mut own = Vec::new();
            substitute::substitute(&mut alone, world.env, &mut own);
            found.push((matrix::label(&combination), own));
            let node = alone.get_mut("pipelines").and_then(|all| all.take(&pipeline.key));
            written.extend(node.map(|entry| (combination, entry.value)));
        }
        problems.extend(of_combinations(found));
        variants.insert(pipeline.key.clone(), written);
    }
    variants
}

fn with_vars(vars: &Node, key: &str, value: Node) -> Node {
    let entry = |key: &str, value: Node| Entry { key: key.to_owned(), span: value.span.clone(), value };
    let span = value.span.clone();
    Node::new(Value::Map(vec![entry("vars", vars.clone()), entry(key, value)]), span)
}

fn over(vars: &Node, combination: &matrix::Combination) -> Node {
    let mut vars = vars.clone();
    for (name, value) in combination {
        if let Some(var) = vars.get_mut(name) {
            *var = value.clone();
        }
    }
    vars
}

/// Problems of the combinations of a matrix, each once: what only some have names the first of them.
pub(crate) fn of_combinations(found: Vec<(String, Vec<Problem>)>) -> Vec<Problem> {
    let count = found.len();
    let mut all: Vec<(String, usize, Problem)> = Vec::new();
    for (label, problems) in found {
        for problem in in_order(problems) {
            match all.iter_mut().find(|(_, _, known)| same(known, &problem)) {
                Some((_, times, _)) => *times += 1,
                None => all.push((label.clone(), 1, problem)),
            }
        }
    }
    let noted =
        |(label, times, problem): (String, usize, Problem)| match (times < count, problem.span.clone()) {
            (true, Some(span)) => problem.note(Note { span, text: format!("with {label}") }),
            _ => problem,
        };
    all.into_iter().map(noted).collect()
}

/// Whether two problems are one mistake: said in the same words, or about the same option in the same place.
fn same(one: &Problem, other: &Problem) -> bool {
    let placed = one.span.as_ref().is_some_and(|span| span.line > 0) && !one.option.is_empty();
    one.span == other.span && (one.message == other.message || placed && one.option == other.option)
}

/// Problems in the order of the file, each once, arguments last.
pub(crate) fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    let place = |problem: &Problem| {
        problem.span.as_ref().map(|span| (span.line == 0, span.file.clone(), span.line, span.column))
    };
    problems.sort_by_cached_key(place);
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        let beside = kept.iter().rev().take_while(|known| known.span == problem.span);
        if !beside.into_iter().any(|known| same(known, &problem)) {
            kept.push(problem);
        }
    }
    kept
}

fn strict((spec, problems): (Option<Spec>, Vec<Problem>)) -> Result<Spec, Vec<Problem>> {
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        _ => Err(problems),
    }
}

/// Largest file that is read whole: pipeline files, and the files of tests.
const LARGEST: u64 = 64 << 20;

/// The bytes of a file, which is no pipe and no device, and not beyond all measure.
pub fn regular(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    bounded(path)
}

fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(std::io::Error::other("it is larger than 64 MiB")),
        false => Ok(bytes),
    }
}

fn read_text(path: &Path) -> Result<String, Problem> {
    let file = path.display().to_string();
    let nowhere = Span::argument(&file);
    let bytes = bounded(path).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "name the pipeline file with `-f FILE`, or begin a project with `affectflow init DIR`"
            }
            _ => "check that it is a file and that you may read it",
        };
        Problem::new(format!("cannot read the pipeline file: {error}")).at(nowhere).hint(hint)
    })?;
    text_of(bytes, &file)
}

/// The text of a file.
fn text_of(bytes: Vec<u8>, file: &str) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let start = good.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let line = good.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let column = String::from_utf8_lossy(&good[start..]).chars().count() + 1;
        Problem::new("this file is not UTF-8 text")
            .at(Span { file: file.to_owned(), line, column })
            .hint("save it as UTF-8")
    })
}
