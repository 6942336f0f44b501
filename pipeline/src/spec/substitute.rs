//! What do `${vars.x}` and `${env.X:-default}` stand for? A text that is one reference takes the variable's value with its
//! type; a reference inside a text becomes text. `$${` writes `${` itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::node::{Node, Value};
use super::when;
use super::words::{list, nearest};
use super::yaml::{COPIES, DEEPEST, plain};
use crate::error::{Note, Problem, Span};

/// Most bytes of text that variables may bring in.
const TEXT: usize = 16 << 20;

/// How environment variables are looked up.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Writes every reference out, in `vars` first (each may use those above it), then everywhere else.
pub(crate) fn substitute(root: &mut Node, env: Env<'_>, problems: &mut Vec<Problem>) {
    let (vars, index) = (Vec::new(), HashMap::new());
    let mut scope =
        Scope { env, vars, index, below: HashSet::new(), values: 0, text: 0, full: false, problems };
    let Value::Map(entries) = &mut root.value else { return };
    if let Some(vars) = entries.iter_mut().find(|entry| entry.key == "vars")
        && let Value::Map(vars) = &mut vars.value.value
    {
        scope.below = vars.iter().map(|var| var.key.clone()).collect();
        for var in vars {
            scope.walk(&mut var.value, 2);
            scope.below.remove(&var.key);
            scope.index.insert(var.key.clone(), scope.vars.len());
            let (count, height) = var.value.size();
            scope.vars.push(Var { name: var.key.clone(), node: var.value.clone(), count, height });
        }
    }
    for entry in entries.iter_mut().filter(|entry| entry.key != "vars") {
        if entry.key == "pipelines" {
            scope.conditions(&mut entry.value);
        }
        scope.walk(&mut entry.value, 1);
    }
}

struct Var {
    name: String,
    node: Node,
    count: usize,
    height: usize,
}

struct Scope<'a> {
    env: Env<'a>,
    vars: Vec<Var>,
    index: HashMap<String, usize>,
    below: HashSet<String>,
    values: usize,
    text: usize,
    full: bool,
    problems: &'a mut Vec<Problem>,
}

impl Scope<'_> {
    /// Conditions are taken apart before references are written out, so that no value can be mistaken for an operator.
    fn conditions(&mut self, pipelines: &mut Node) {
        let mut found = Vec::new();
        let mut value = |at: &Node, word: &str| {
            if !word.contains("${") {
                return Ok(Node::new(when::literal(word), at.span.clone()));
            }
            self.text(word, &at.span, 4).map_err(|problem| problem.at(at.span.clone()))
        };
        when::decide(pipelines, &mut value, &mut |problem| found.push(problem));
        self.problems.extend(found);
    }

    fn walk(&mut self, node: &mut Node, depth: usize) {
        if self.full {
            return;
        }
        match &mut node.value {
            Value::Seq(items) => items.iter_mut().for_each(|item| self.walk(item, depth + 1)),
            Value::Map(entries) => {
                entries.iter_mut().for_each(|entry| self.walk(&mut entry.value, depth + 1))
            }
            Value::Str(text) if text.contains("${") => {
                let text = std::mem::take(text);
                let place = node.span.clone();
                let from = node.from.take();
                *node = match self.text(&text, &place, depth) {
                    Ok(resolved) => Node { from: from.or(resolved.from), ..resolved },
                    Err(problem) => {
                        let used = Node { from, ..Node::new(Value::Null, place) };
                        let problem = Problem { hint: problem.hint, ..used.problem(problem.message) };
                        self.problems.push(problem);
                        Node { failed: true, value: Value::Str(text), ..used }
                    }
                };
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, place: &Span, depth: usize) -> Result<Node, Problem> {
        if let Some(inner) = whole(text) {
            let value = self.reference(inner, place, depth)?;
            return Ok(Node { span: place.clone(), ..value });
        }
        let mut out = Node::new(Value::Null, place.clone());
        let mut written = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                written.push_str(&rest[..at - 1]);
                written.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            written.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else {
                let hint = "write `${vars.name}`, or `$${` for the characters themselves";
                return Err(Problem::new("`${` has no closing `}`").hint(hint));
            };
            let inner = &rest[at + 2..at + end];
            let value = self.reference(inner, place, depth)?;
            out.env |= value.env;
            out.failed |= value.failed;
            written.push_str(&as_text(&value, inner)?);
            rest = &rest[at + end + 1..];
        }
        written.push_str(rest);
        self.spend(1, written.len())?;
        out.value = Value::Str(written);
        Ok(out)
    }

    fn reference(&mut self, inner: &str, place: &Span, depth: usize) -> Result<Node, Problem> {
        if let Some(name) = inner.strip_prefix("vars.") {
            return self.var(name, depth);
        }
        if let Some(name) = inner.strip_prefix("env.") {
            return self.env_var(name, place);
        }
        let problem = Problem::new(format!("`${{{inner}}}` names neither a variable nor the environment"));
        let known = self.index.contains_key(inner);
        Err(problem.hint(if known {
            format!("write `${{vars.{inner}}}`")
        } else {
            "write `${vars.name}` or `${env.NAME:-default}`".into()
        }))
    }

    fn var(&mut self, name: &str, depth: usize) -> Result<Node, Problem> {
        let Some(&at) = self.index.get(name) else {
            if self.below.contains(name) {
                let problem =
                    Problem::new(format!("the variable `{name}` stands below the one that uses it"));
                return Err(problem.hint("a variable can use those above it: change their order"));
            }
            let names = self.vars.iter().map(|var| var.name.as_str());
            let problem = Problem::new(format!("there is no variable `{name}` in `vars`"));
            return Err(problem.hint(match nearest(name, names.clone()) {
                Some(near) => format!("did you mean `${{vars.{near}}}`?"),
                None => format!("variables: {}", list(names)),
            }));
        };
        let (count, height) = (self.vars[at].count, self.vars[at].height);
        if depth + height >= DEEPEST {
            return Err(Problem::new("values are nested too deeply here, variables written out"));
        }
        self.spend(count, text_length(&self.vars[at].node))?;
        let var = &self.vars[at];
        let note = Note { span: var.node.span.clone(), text: format!("the value of `${{vars.{name}}}`") };
        Ok(Node { from: var.node.from.clone().or(Some(Arc::new(note))), ..var.node.clone() })
    }

    fn env_var(&mut self, inner: &str, place: &Span) -> Result<Node, Problem> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let set = if name.is_empty() || name.contains(['=', '\0']) { None } else { (self.env)(name) };
        // As in a shell, a variable that is set to nothing has the default too.
        let set = set.filter(|text| default.is_none() || !text.is_empty());
        let env = set.is_some();
        let Some(text) = set.or_else(|| default.map(str::to_owned)) else {
            let problem = Problem::new(format!("the environment variable `{name}` is not set"));
            return Err(problem.hint(format!("set it, or give a default: `${{env.{name}:-value}}`")));
        };
        self.spend(1, text.len())?;
        Ok(Node { env, ..Node::new(plain(&text), place.clone()) }.keep_text(text))
    }

    fn spend(&mut self, values: usize, text: usize) -> Result<(), Problem> {
        self.values += values;
        self.text += text;
        self.full = self.values > COPIES || self.text > TEXT;
        match self.full {
            true => Err(Problem::new("variables make this file too large once they are written out")),
            false => Ok(()),
        }
    }
}

impl Node {
    /// An empty value of the environment is empty text, not nothing.
    fn keep_text(self, text: String) -> Node {
        if text.is_empty() { Node { value: Value::Str(text), ..self } } else { self }
    }
}

fn whole(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("${")?.strip_suffix('}')?;
    (!inner.contains('}')).then_some(inner)
}

fn as_text(value: &Node, name: &str) -> Result<String, Problem> {
    match &value.value {
        Value::Str(text) => Ok(text.clone()),
        Value::Seq(_) | Value::Map(_) => {
            let problem = Problem::new(format!("`${{{name}}}` is {value}, which cannot stand inside a text"));
            Err(problem.hint(format!("let the reference stand alone: `${{{name}}}`")))
        }
        _ => Ok(value.to_json().to_string()),
    }
}

fn text_length(node: &Node) -> usize {
    match &node.value {
        Value::Str(text) => text.len(),
        Value::Seq(items) => items.iter().map(text_length).sum(),
        Value::Map(entries) => entries.iter().map(|e| e.key.len() + text_length(&e.value)).sum(),
        _ => 0,
    }
}
