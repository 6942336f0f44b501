//! Who takes rows from whom, and in which order? Names become edges; loops are found and named.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::error::Problem;
use crate::spec::words::{list, suggest};
use crate::spec::{Name, StageSpec};

/// Stages of a loop that a message names.
const SHOWN: usize = 8;

/// The edges of a pipeline.
pub(crate) struct Graph {
    /// For each stage, the stages it takes rows from, in order.
    pub(crate) inputs: Vec<Vec<usize>>,
    /// Stages that are in no loop and behind none, each after its inputs, ties in the order written.
    pub(crate) order: Vec<usize>,
    /// Stages whose inputs could not be resolved.
    pub(crate) broken: Vec<bool>,
}

/// Resolves `inputs`. `source` says whether a stage brings rows in, `None` where its kind is unknown; `sources` are the
/// kinds that do.
pub(crate) fn build(
    stages: &[StageSpec],
    source: &[Option<bool>],
    sources: &[&str],
    problems: &mut Vec<Problem>,
) -> Graph {
    let index: HashMap<&str, usize> =
        stages.iter().enumerate().map(|(at, stage)| (stage.name.text.as_str(), at)).collect();
    let mut graph = Graph { inputs: Vec::new(), order: Vec::new(), broken: vec![false; stages.len()] };
    let mut above = None;
    for (at, stage) in stages.iter().enumerate() {
        let before = problems.len();
        let inputs = match (&stage.inputs, source[at]) {
            (Some(inputs), Some(true)) => {
                if !inputs.is_empty() {
                    let message = format!("`{}` brings rows in and takes no inputs", stage.name.text);
                    problems
                        .push(Problem::new(message).at(stage.inputs_span.clone()).hint("remove `inputs`"));
                }
                Vec::new()
            }
            (None, Some(true)) => Vec::new(),
            (Some(inputs), other) => named(stages, stage, inputs, &index, other.is_some(), problems),
            (None, _) if above.is_some() => above.into_iter().collect(),
            (None, other) => {
                if other.is_some() {
                    let message = format!(
                        "`{}` stands first and has no `inputs`, so no rows reach it",
                        stage.name.text
                    );
                    let hint = format!(
                        "begin with a stage that brings rows in, of kind {}",
                        list(sources.iter().copied())
                    );
                    problems.push(Problem::new(message).at(stage.name.span.clone()).hint(hint));
                }
                Vec::new()
            }
        };
        graph.broken[at] = problems.len() > before;
        graph.inputs.push(inputs);
        above = if stage.left_out { above } else { Some(at) };
    }
    graph.sort();
    graph.loops(stages, problems);
    graph.pass_by(stages, source, problems);
    graph
}

fn named(
    stages: &[StageSpec],
    stage: &StageSpec,
    inputs: &[Name],
    index: &HashMap<&str, usize>,
    kind_known: bool,
    problems: &mut Vec<Problem>,
) -> Vec<usize> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let me = &stage.name.text;
    for input in inputs {
        let name = &input.text;
        let problem = match index.get(name.as_str()) {
            // Two ports may well take the rows of one stage.
            Some(&at) if seen.insert(at) || !stage.ports.is_empty() => {
                found.push(at);
                continue;
            }
            Some(_) => Problem::new(format!("`{me}` names the input `{name}` twice")).hint("remove one"),
            None => {
                Problem::new(format!("`{me}` takes rows from `{name}`, which is no stage of this pipeline"))
                    .hint(suggest(
                        name,
                        "stages",
                        stages.iter().map(|stage| stage.name.text.as_str()).filter(|other| other != me),
                    ))
            }
        };
        problems.push(problem.at(input.span.clone()));
    }
    if inputs.is_empty() && kind_known && !stage.broken {
        let problem = Problem::new(format!("`{me}` has an empty list of inputs, so no rows reach it"));
        problems.push(
            problem
                .at(stage.inputs_span.clone())
                .hint("name a stage, or remove `inputs` to take the stage above"),
        );
    }
    found
}

impl Graph {
    /// Who names a stage that is left out takes rows from where that one would. Inputs come before those who take from them.
    fn pass_by(&mut self, stages: &[StageSpec], source: &[Option<bool>], problems: &mut Vec<Problem>) {
        if !stages.iter().any(|stage| stage.left_out) {
            return;
        }
        for &at in &self.order {
            let mut seen = HashSet::new();
            let mut inputs = Vec::new();
            for &input in &self.inputs[at] {
                let behind = match stages[input].left_out {
                    true => self.inputs[input].clone(),
                    false => vec![input],
                };
                let by_name = !stages[at].ports.is_empty();
                if by_name && behind.len() != 1 {
                    problems.push(port_left_out(&stages[at], &stages[input], behind.len()));
                    self.broken[at] = true;
                }
                inputs.extend(behind.into_iter().filter(|&input| by_name || seen.insert(input)));
            }
            let stage = &stages[at];
            if inputs.is_empty() && !self.inputs[at].is_empty() && !stage.left_out && source[at].is_some() {
                let message =
                    format!("no rows reach `{}`: its inputs are left out by their `when`", stage.name.text);
                let problem = Problem::new(message).at(stage.inputs_span.clone());
                problems.push(
                    problem.hint("name an input that is always there, or give this stage the same `when`"),
                );
                self.broken[at] = true;
            }
            self.inputs[at] = inputs;
        }
    }

    /// Kahn's algorithm; of the stages that are ready the one written first goes first.
    fn sort(&mut self) {
        let mut missing: Vec<usize> = self.inputs.iter().map(Vec::len).collect();
        let mut takers = vec![Vec::new(); self.inputs.len()];
        for (at, inputs) in self.inputs.iter().enumerate() {
            inputs.iter().for_each(|&input| takers[input].push(at));
        }
        let mut ready: BinaryHeap<_> =
            (0..missing.len()).filter(|&at| missing[at] == 0).map(Reverse).collect();
        while let Some(Reverse(at)) = ready.pop() {
            self.order.push(at);
            for &taker in &takers[at] {
                missing[taker] -= 1;
                if missing[taker] == 0 {
                    ready.push(Reverse(taker));
                }
            }
        }
    }

    /// Every stage left over by the sort has an input left over: following them ends in a loop.
    fn loops(&self, stages: &[StageSpec], problems: &mut Vec<Problem>) {
        let sorted: HashSet<usize> = self.order.iter().copied().collect();
        let mut visited = vec![usize::MAX; stages.len()];
        for start in (0..stages.len()).filter(|at| !sorted.contains(at)) {
            let mut path = Vec::new();
            let mut at = start;
            while visited[at] == usize::MAX {
                visited[at] = start;
                path.push(at);
                match self.inputs[at].iter().find(|input| !sorted.contains(input)) {
                    Some(&input) => at = input,
                    None => break,
                }
            }
            if visited[at] == start
                && let Some(begin) = path.iter().position(|&stage| stage == at)
            {
                problems.push(loop_problem(stages, &path[begin..]));
            }
        }
    }
}

/// A port takes one input, and the stage named for it is left out and stands for none or for several.
fn port_left_out(stage: &StageSpec, input: &StageSpec, inputs: usize) -> Problem {
    let (me, left_out) = (&stage.name.text, &input.name.text);
    let message = format!(
        "a port of `{me}` names `{left_out}`, which is left out by its `when` and has {inputs} inputs"
    );
    Problem::new(message)
        .at(stage.inputs_span.clone())
        .hint("name an input that is always there, or give this stage the same `when`")
}

/// The loop in the direction that rows flow, from the stage written first.
fn loop_problem(stages: &[StageSpec], path: &[usize]) -> Problem {
    let mut round: Vec<usize> = path.iter().rev().copied().collect();
    let first = (0..round.len()).min_by_key(|&at| round[at]).unwrap_or(0);
    round.rotate_left(first);
    let name = |at: &usize| format!("`{}`", stages[*at].name.text);
    let mut names: Vec<String> = round.iter().take(SHOWN).map(name).collect();
    if round.len() > SHOWN {
        names.push(format!("… ({} more)", round.len() - SHOWN));
    }
    names.push(name(&round[0]));
    let message = match round.len() {
        1 => format!("{} takes rows from itself", names[0]),
        _ => format!("these stages wait for each other: {}", names.join(" → ")),
    };
    Problem::new(message)
        .at(stages[round[0]].inputs_span.clone())
        .hint("rows flow one way: remove one of these inputs")
}
