//! What does `--set PATH=VALUE` change? The tree, before anything is read from it; the value is YAML, and problems with it
//! show the argument.

use super::node::{Entry, Node, Value};
use super::words::suggest;
use super::yaml;
use crate::error::{Problem, Span};

/// Most names in a path.
const LONGEST: usize = 50;

/// Whether an argument changes what is taken over (`vars`, templates, `extends`, `use`): it counts before pipelines and
/// stages are written out, all others after that.
pub(crate) fn early(argument: &str) -> bool {
    let path: Vec<&str> = argument.split('=').next().unwrap_or_default().split('.').collect();
    !matches!(path[0], "stages" | "pipelines") || matches!(path[path.len() - 1], "extends" | "use" | "matrix")
}

/// The variable that an argument gives a value.
pub(crate) fn variable(argument: &str) -> Option<&str> {
    argument.split_once('=')?.0.strip_prefix("vars.")
}

/// Applies one argument. Returns the stage it names when the path begins with `stages.`, which stands for the stages of
/// that name in every pipeline.
pub(crate) fn apply(root: &mut Node, argument: &str) -> Result<Option<(String, Span)>, Vec<Problem>> {
    let span = Span::argument(format!("--set {argument}"));
    let fail = |message: String, hint: &str| vec![Problem::new(message).at(span.clone()).hint(hint)];
    let Some((path, text)) = argument.split_once('=') else {
        return Err(fail(
            format!("`{argument}` has no `=`"),
            "write `--set stages.NAME.config.OPTION=VALUE`",
        ));
    };
    if path.is_empty() {
        return Err(fail(
            format!("`{argument}` has no path before its `=`"),
            "write `--set stages.NAME.config.OPTION=VALUE`",
        ));
    }
    let segments: Vec<&str> = path.split('.').collect();
    if segments.iter().any(|segment| segment.is_empty()) || segments.len() > LONGEST {
        return Err(fail(
            format!("`{path}` is not a path"),
            "write names with one point between them, such as `vars.seed`",
        ));
    }
    let value = value(text, &span)?;
    if segments[0] != "stages" {
        return put(root, &segments, &value, &span, false).map(|()| None).map_err(|problem| vec![problem]);
    }
    let pipelines = match root.value {
        Value::Map(ref mut entries) => entries.iter_mut().find(|entry| entry.key == "pipelines"),
        _ => None,
    };
    let Some(Value::Map(pipelines)) = pipelines.map(|entry| &mut entry.value.value) else { return Ok(None) };
    let stage = segments.get(1).copied().unwrap_or_default();
    let mut found = false;
    for pipeline in pipelines
        .iter_mut()
        .filter(|p| p.value.get("stages").is_some_and(|stages| stages.get(stage).is_some()))
    {
        put(&mut pipeline.value, &segments, &value, &span, false).map_err(|problem| vec![problem])?;
        found = true;
    }
    if found {
        return Ok(Some((stage.to_owned(), span)));
    }
    let names: Vec<&str> = pipelines
        .iter()
        .filter_map(|pipeline| pipeline.value.get("stages"))
        .flat_map(|stages| stages.entries().iter().map(|entry| entry.key.as_str()))
        .collect();
    Err(fail(format!("no pipeline has a stage `{stage}`"), &suggest(stage, "stages", names.iter().copied())))
}

fn value(text: &str, span: &Span) -> Result<Node, Vec<Problem>> {
    let (mut node, problems) =
        yaml::parse(text, &span.file).map_err(|problem| vec![problem.at(span.clone())])?;
    if !problems.is_empty() {
        return Err(problems.into_iter().map(|problem| problem.at(span.clone())).collect());
    }
    replace(&mut node, span);
    Ok(node)
}

fn replace(node: &mut Node, span: &Span) {
    node.span = span.clone();
    match &mut node.value {
        Value::Seq(items) => items.iter_mut().for_each(|item| replace(item, span)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.span = span.clone();
            replace(&mut entry.value, span);
        }),
        _ => {}
    }
}

/// Puts the value at the path. Below `config` missing maps are made on the way; elsewhere only the last name may be new,
/// and not among variables, pipelines and stages.
fn put(node: &mut Node, path: &[&str], value: &Node, span: &Span, inside: bool) -> Result<(), Problem> {
    let [name, rest @ ..] = path else {
        *node = value.clone();
        return Ok(());
    };
    if matches!(node.value, Value::Null) {
        *node = Node::new(Value::Map(Vec::new()), span.clone());
    }
    let closed = matches!(*name, "vars" | "pipelines" | "stages" | "templates");
    match &mut node.value {
        Value::Map(entries) => {
            let at = match entries.iter().position(|entry| entry.key == *name) {
                Some(at) => at,
                None if inside || rest.is_empty() || *name == "config" => {
                    let empty = Node::new(Value::Null, span.clone());
                    entries.push(Entry { key: (*name).to_owned(), span: span.clone(), value: empty });
                    entries.len() - 1
                }
                None => return Err(missing(name, entries, span)),
            };
            if let (true, [next, ..], Value::Map(known)) = (closed && !inside, rest, &entries[at].value.value)
                && !known.iter().any(|entry| entry.key == *next)
            {
                return Err(missing(next, known, span));
            }
            put(&mut entries[at].value, rest, value, span, inside || *name == "config")
        }
        Value::Seq(items) => {
            let count = items.len();
            match name.parse::<usize>().ok().and_then(|at| items.get_mut(at)) {
                Some(item) => put(item, rest, value, span, inside),
                None => Err(Problem::new(format!("`{name}` is no place in a list of {count}"))
                    .at(span.clone())
                    .hint("places count from 0")),
            }
        }
        _ => Err(Problem::new(format!("there is no `{name}` inside {node}")).at(span.clone())),
    }
}

fn missing(name: &str, entries: &[Entry], span: &Span) -> Problem {
    let names = entries.iter().map(|entry| entry.key.as_str());
    Problem::new(format!("the file has no `{name}` there")).at(span.clone()).hint(suggest(
        name,
        "names there",
        names,
    ))
}
