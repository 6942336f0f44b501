//! Is a stage there? `when:` is a truth, `not` of one, or two values with `==` or `!=` between them. No more: what is
//! longer belongs into a variable.

use super::node::{Node, Value};
use super::yaml::plain;
use crate::error::Problem;

const HINT: &str =
    "write `${vars.name}`, `not ${vars.name}`, `${vars.name} == value` or `${vars.name} != value`";
/// What people write in other languages.
const FOREIGN: &[&str] = &["&&", "||", "<=", ">=", "=", "<", ">", "!", "and", "or", "in", "is"];

/// Puts `true` or `false` in place of every stage's `when`. `value` gives what a text stands for, references written out.
pub(super) fn decide(
    pipelines: &mut Node,
    value: &mut dyn FnMut(&Node, &str) -> Result<Node, Problem>,
    problems: &mut dyn FnMut(Problem),
) {
    for pipeline in pipelines.entries_mut().into_iter().flatten() {
        let stages = pipeline.value.get_mut("stages").and_then(Node::entries_mut);
        for stage in stages.into_iter().flatten() {
            let Some(node) = stage.value.get_mut("when") else { continue };
            match truth(node, value) {
                Ok(truth) => node.value = Value::Bool(truth),
                Err(problem) => {
                    problems(problem);
                    node.failed = true;
                }
            }
        }
    }
}

fn truth(node: &Node, value: &mut dyn FnMut(&Node, &str) -> Result<Node, Problem>) -> Result<bool, Problem> {
    let refuse = |what: String| node.problem(what).hint(HINT);
    let of = |found: &Node, problem: Problem| match &found.from {
        Some(from) => problem.note(from.as_ref().clone()),
        None => problem,
    };
    let text = match &node.value {
        Value::Bool(truth) => return Ok(*truth),
        Value::Str(text) => text.trim(),
        _ => return Err(refuse(format!("`when` must be a condition, not {node}"))),
    };
    let words = words(text);
    let (turned, words) = match &words[..] {
        [not, rest @ ..] if *not == "not" => (true, rest),
        all => (false, all),
    };
    let truth = match words {
        [one] => {
            let found = value(node, one)?;
            match found.value {
                Value::Bool(truth) => truth,
                _ if found.failed => false,
                _ => {
                    let problem = refuse(format!("`{one}` is neither `true` nor `false`"));
                    return Err(match one.contains("${") {
                        true => of(&found, refuse(format!("`{one}` is {found}, neither `true` nor `false`")))
                            .hint(format!("compare it: `{one} == value`")),
                        false => problem,
                    });
                }
            }
        }
        [left, "==", right] => same(&value(node, left)?, &value(node, right)?),
        [left, "!=", right] => !same(&value(node, left)?, &value(node, right)?),
        all => {
            return Err(match all.iter().find(|word| FOREIGN.contains(word)) {
                Some(word) => refuse(format!("`when` does not know `{word}`")),
                None => refuse(format!("`when` is not a condition: `{text}`")),
            });
        }
    };
    Ok(truth != turned)
}

/// The words of a condition: references, quoted texts, operators, and what stands between blanks.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '\'' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ if rest.starts_with("==") || rest.starts_with("!=") => 2,
            _ => plain_length(rest),
        };
        words.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    words
}

/// Up to a blank or an operator; a reference is taken whole.
fn plain_length(text: &str) -> usize {
    let mut inside = false;
    for (at, c) in text.char_indices() {
        let ends = c.is_whitespace() || text[at..].starts_with("==") || text[at..].starts_with("!=");
        match c {
            '{' if text[..at].ends_with('$') => inside = true,
            '}' => inside = false,
            _ if !inside && at > 0 && ends => return at,
            _ => {}
        }
    }
    text.len()
}

/// A value written in a condition: quoted text, or as YAML reads it.
pub(super) fn literal(word: &str) -> Value {
    let quoted = |quote: char| word.len() > 1 && word.starts_with(quote) && word.ends_with(quote);
    match quoted('\'') || quoted('"') {
        true => Value::Str(word[1..word.len() - 1].to_owned()),
        false => plain(word),
    }
}

fn same(left: &Node, right: &Node) -> bool {
    match (&left.value, &right.value) {
        (Value::Int(one), Value::Float(other)) | (Value::Float(other), Value::Int(one)) => {
            *one as f64 == *other
        }
        (one, other) => one == other || left.to_json() == right.to_json(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Span;

    fn said(text: &str) -> String {
        let node = Node::new(Value::Str(text.into()), Span::argument("f"));
        let mut value = |_: &Node, word: &str| {
            let value = match word {
                "${vars.yes}" => Value::Bool(true),
                "${vars.no}" => Value::Bool(false),
                "${vars.n}" => Value::Int(3),
                "${vars.t}" => Value::Str("kcdp == x".into()),
                other => literal(other),
            };
            Ok(Node::new(value, Span::default()))
        };
        match truth(&node, &mut value) {
            Ok(truth) => truth.to_string(),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn conditions() {
        for (text, expected) in [
            ("${vars.yes}", "true"),
            ("not ${vars.yes}", "false"),
            ("not ${vars.no}", "true"),
            ("${vars.n} == 3", "true"),
            ("${vars.n}==3.0", "true"),
            ("${vars.n} != 3", "false"),
            ("not ${vars.n} == 4", "true"),
            ("${vars.n} == '3'", "false"),
            ("${vars.t} == 'kcdp == x'", "true"),
            ("${vars.t} == kcdp", "false"),
            ("'a b' == \"a b\"", "true"),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
        for (text, part) in [
            ("${vars.n}", "`${vars.n}` is `3`, neither `true` nor `false`"),
            ("${vars.n} = 3", "`when` does not know `=`"),
            ("${vars.yes} and ${vars.no}", "`when` does not know `and`"),
            ("${vars.n} ==", "`when` is not a condition"),
            ("", "`when` is not a condition"),
            ("a b", "`when` is not a condition: `a b`"),
            ("not", "`when` is not a condition"),
        ] {
            assert!(said(text).contains(part), "{text}: {}", said(text));
        }
    }
}
