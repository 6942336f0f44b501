//! How are `retries`, `retry_wait` and `time_limit` of a stage written?

use std::time::Duration;

use super::Name;
use super::node::{Node, Value};
use crate::error::Problem;
use crate::plan::tries::{LONGEST_WAIT, Tries};

/// Most retries that can be asked for.
const MOST: i128 = 100;

/// What a stage says, and the keys among it that change anything.
pub(super) fn read(stage: &Node, problems: &mut Vec<Problem>) -> (Tries, Vec<Name>) {
    let mut tries = Tries::default();
    if let Some(node) = stage.get("retries") {
        match node.value {
            Value::Int(retries @ 0..=MOST) => tries.retries = retries as u32,
            _ => report(
                problems,
                node,
                &format!("`retries` must be a whole number from 0 to {MOST}"),
                "it counts the tries after the first one",
            ),
        }
    }
    if let Some(node) = stage.get("retry_wait")
        && let Some(wait) = duration(node, "retry_wait", "`500ms`, `2s`, at most `1m`", problems)
    {
        tries.wait = wait;
        if wait > LONGEST_WAIT {
            report(
                problems,
                node,
                "`retry_wait` must be at most `1m`",
                "it doubles with each try, up to a minute",
            );
        }
    }
    if let Some(node) = stage.get("time_limit") {
        tries.limit = duration(node, "time_limit", "`500ms`, `30s`, `2m`, `1h`", problems);
        if tries.limit == Some(Duration::ZERO) {
            report(problems, node, "`time_limit` must be longer than nothing", "leave it out for no limit");
        }
    }
    if let (Some(entry), None) = (stage.entry("retry_wait"), stage.get("retries")) {
        let problem = Problem::new("`retry_wait` has no effect without `retries`").at(entry.span.clone());
        problems.push(problem.hint("write `retries: 2` beside it, or remove it"));
    }
    let with_effect = [("retries", tries.retries > 0), ("time_limit", tries.limit.is_some())];
    let entry =
        |key| stage.entry(key).map(|entry| Name { text: entry.key.clone(), span: entry.span.clone() });
    (tries, with_effect.into_iter().filter(|(_, has)| *has).filter_map(|(key, _)| entry(key)).collect())
}

fn duration(node: &Node, key: &str, such: &str, problems: &mut Vec<Problem>) -> Option<Duration> {
    let read = node.as_str().and_then(|text| humantime::parse_duration(text).ok());
    if read.is_none() {
        report(
            problems,
            node,
            &format!("`{key}` must be a length of time"),
            &format!("write a number and its unit: {such}"),
        );
    }
    read
}

fn report(problems: &mut Vec<Problem>, node: &Node, must: &str, hint: &str) {
    if !node.failed {
        problems.push(node.problem(format!("{must}, not {node}")).hint(hint));
    }
}
