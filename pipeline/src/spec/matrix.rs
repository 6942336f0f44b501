//! Which combinations of variables does a pipeline run with? The cross product of the axes of its `matrix:`, less what
//! `exclude` names, and what `include` adds.

use std::collections::HashSet;

use serde_json::Value as Json;

use super::node::{Node, Value};
use super::words::{list, nearest};
use crate::error::Problem;

/// Most combinations of one matrix.
const MOST: usize = 1000;

/// Variables with the values that they have in one run.
pub(super) type Combination = Vec<(String, Node)>;

/// The combinations in order: the last axis changes fastest, `include` comes last. Empty where something is wrong with all
/// of it. Variables in `pinned` keep the value that they have in `vars`.
pub(super) fn combinations(
    matrix: &Node,
    vars: &Node,
    pinned: &HashSet<String>,
    problems: &mut Vec<Problem>,
) -> Vec<Combination> {
    let mut reader = Reader { vars, problems };
    if !matches!(matrix.value, Value::Map(_)) {
        if !matrix.failed {
            let problem = matrix.problem(format!("`matrix` must be a map of variables, not {matrix}"));
            reader.problems.push(problem.hint("write `matrix: {seed: [0, 1, 2]}`"));
        }
        return Vec::new();
    }
    let (axes, sound) = reader.axes(matrix, pinned);
    let excluded = reader.listed(matrix, "exclude");
    let included = reader.listed(matrix, "include");
    if !sound {
        return Vec::new();
    }
    let count = axes.iter().fold(1usize, |count, (_, values)| count.saturating_mul(values.len()));
    let count = count.saturating_add(included.len());
    if count > MOST {
        let problem = matrix.problem(format!("this matrix has {count} combinations, which is too many"));
        reader
            .problems
            .push(problem.hint(format!("at most {MOST}: take values out of it, or name them in `include`")));
        return Vec::new();
    }
    let mut all = if axes.is_empty() { Vec::new() } else { product(&axes) };
    for (exclude, node) in excluded {
        let before = all.len();
        all.retain(|combination| !exclude.iter().all(|pair| has(combination, pair)));
        let other = exclude.iter().any(|(name, _)| pinned.contains(name));
        if all.len() == before && !other {
            let problem = node.problem("this takes no combination out");
            reader.problems.push(problem.hint("name values of the axes as they are written there"));
        }
    }
    for (mut include, _) in included {
        include.iter_mut().filter(|(name, _)| pinned.contains(name)).for_each(|(name, value)| {
            if let Some(pin) = vars.get(name) {
                *value = pin.clone();
            }
        });
        all.push(include);
    }
    let mut seen = HashSet::new();
    all.retain(|combination| seen.insert(label(combination)));
    if all.is_empty() {
        let problem = matrix.problem("this matrix has no combination");
        reader.problems.push(problem.hint(match axes.is_empty() {
            true => "name a variable with its values, such as `seed: [0, 1, 2]`",
            false => "`exclude` takes all of them out",
        }));
    }
    all
}

/// "seed: 1, method: kcdp", for messages and tables.
pub(super) fn label(combination: &Combination) -> String {
    let text = |node: &Node| match &node.value {
        Value::Str(text) if !node.env => text.clone(),
        _ if node.env => crate::plan::redacted(&node.to_json().to_string()),
        _ => node.to_json().to_string(),
    };
    combination.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect::<Vec<_>>().join(", ")
}

struct Reader<'a> {
    vars: &'a Node,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    /// Every variable with its values, and whether all of them could be read.
    fn axes(&mut self, matrix: &Node, pinned: &HashSet<String>) -> (Vec<(String, Vec<Node>)>, bool) {
        let mut axes = Vec::new();
        let mut sound = true;
        for entry in
            matrix.entries().iter().filter(|entry| !["include", "exclude"].contains(&entry.key.as_str()))
        {
            let node = &entry.value;
            if !self.known(&entry.key, &Node::new(Value::Null, entry.span.clone())) {
                sound = false;
                continue;
            }
            match &node.value {
                _ if pinned.contains(&entry.key) => {
                    axes.extend(self.vars.get(&entry.key).map(|pin| (entry.key.clone(), vec![pin.clone()])));
                }
                _ if node.failed => sound = false,
                Value::Seq(items) if !items.is_empty() => {
                    sound &= self.once(&entry.key, items);
                    axes.push((entry.key.clone(), items.clone()));
                }
                Value::Seq(_) => {
                    sound = false;
                    let problem = node.problem(format!("`{}` has no values", entry.key));
                    self.problems.push(problem.hint("write a list of values, or remove it"));
                }
                _ => {
                    sound = false;
                    let message = format!("`{}` must be a list of values, not {node}", entry.key);
                    self.problems.push(node.problem(message).hint("write it as a list: `[0, 1, 2]`"));
                }
            }
        }
        (axes, sound)
    }

    /// Whether no value stands twice.
    fn once(&mut self, name: &str, items: &[Node]) -> bool {
        let mut seen: Vec<Json> = Vec::new();
        for item in items.iter().take(MOST) {
            let json = item.to_json();
            if seen.contains(&json) {
                let problem = item.problem(format!("`{name}` has the value {item} twice"));
                self.problems.push(problem.hint("remove one"));
                return false;
            }
            seen.push(json);
        }
        true
    }

    /// The maps of `include` or `exclude`.
    fn listed<'n>(&mut self, matrix: &'n Node, key: &str) -> Vec<(Combination, &'n Node)> {
        let hint = format!("write `{key}: [{{seed: 1}}]`");
        let Some(node) = matrix.get(key).filter(|node| !node.failed) else { return Vec::new() };
        let items = match &node.value {
            Value::Null => return Vec::new(),
            Value::Seq(items) => items,
            _ => {
                let problem = node.problem(format!("`{key}` must be a list of maps, not {node}"));
                self.problems.push(problem.hint(hint));
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for item in items {
            match &item.value {
                Value::Map(entries) if !entries.is_empty() => {
                    let mut known = true;
                    for entry in entries {
                        known &= self.known(&entry.key, &Node::new(Value::Null, entry.span.clone()));
                    }
                    if known && !item.any_failed() {
                        let pairs = entries.iter().map(|entry| (entry.key.clone(), entry.value.clone()));
                        found.push((pairs.collect(), item));
                    }
                }
                _ => {
                    let message = format!("`{key}` takes maps of variables and values, not {item}");
                    self.problems.push(item.problem(message).hint(hint.clone()));
                }
            }
        }
        found
    }

    /// An axis is a variable of the file.
    fn known(&mut self, name: &str, at: &Node) -> bool {
        let known = self.vars.get(name).is_some();
        if !known {
            let names = self.vars.entries().iter().map(|entry| entry.key.as_str());
            let problem = at.problem(format!("the matrix names `{name}`, which is no variable of the file"));
            self.problems.push(problem.hint(match nearest(name, names.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("give it a value in `vars` first; variables: {}", list(names)),
            }));
        }
        known
    }
}

fn product(axes: &[(String, Vec<Node>)]) -> Vec<Combination> {
    let mut all: Vec<Combination> = vec![Vec::new()];
    for (name, values) in axes {
        let longer = |start: Combination| {
            values.iter().map(move |value| [start.clone(), vec![(name.clone(), value.clone())]].concat())
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

fn has(combination: &Combination, (name, value): &(String, Node)) -> bool {
    combination.iter().any(|(known, other)| known == name && other.to_json() == value.to_json())
}
