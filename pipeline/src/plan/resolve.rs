//! How does a spec become a plan? Options, edges, columns and artifacts, checked in that order for all stages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use serde_json::Value as Json;

use super::columns::{Maker, check, check_sides, output, union, who_adds};
use super::graph::{self, Graph};
use super::identity::{recorded, strip};
use super::{Plan, PlannedStage, ports, tries};
use super::{options, writes};
use crate::error::{Problem, Span};
use crate::registry::{Kind, Registry};
use crate::spec::words::{list, suggest};
use crate::spec::{Node, PipelineSpec, Spec, StageSpec, Variant, in_order, of_combinations};
use crate::stage::{About, Inputs, Shape};

/// Plans a pipeline of the file: the one named, or its `default`, or its only one. `until` keeps that stage and what it
/// needs. Relative paths in the file start from `base`. What the reading of the file has reported is not reported again: of
/// a spec read leniently the error may be empty. A pipeline whose matrix has several combinations is refused: see [`plans`].
pub fn plan(
    spec: &Spec,
    pipeline_name: Option<&str>,
    registry: &Registry,
    base: &Path,
    until: Option<&str>,
) -> Result<Plan, Vec<Problem>> {
    if let Ok(chosen) = choose(spec, pipeline_name)
        && let [one, _, ..] = &chosen.variants[..]
    {
        let count = chosen.variants.len();
        let message = format!("pipeline `{}` has a matrix of {count} combinations", chosen.name.text);
        let set = |(name, value): &(String, Node)| format!("--set vars.{name}={}", value.to_json());
        let sets = one.vars.iter().map(set).collect::<Vec<_>>().join(" ");
        let problem = Problem::new(message).at(chosen.name.span.clone());
        return Err(vec![problem.hint(format!("choose one, such as `{sets}`"))]);
    }
    plans(spec, pipeline_name, registry, base, until)?.pop().ok_or_else(Vec::new)
}

/// Like [`plan`], with a plan for every combination of the pipeline's matrix, in order.
pub fn plans(
    spec: &Spec,
    pipeline_name: Option<&str>,
    registry: &Registry,
    base: &Path,
    until: Option<&str>,
) -> Result<Vec<Plan>, Vec<Problem>> {
    if spec.pipelines.is_empty() {
        let problem = Problem::new("the file has tests, and no pipelines").at(Span::argument(&spec.file));
        let told = spec.tests.is_empty();
        return Err((!told).then(|| problem.hint("`affectflow test` runs its tests")).into_iter().collect());
    }
    let chosen = choose(spec, pipeline_name).map_err(|problem| vec![problem])?;
    let (registry, mut problems) = registry.with_plugins(spec, base);
    let names = || chosen.stages().iter().map(|stage| stage.name.text.as_str());
    for (stage, span) in spec.sets.iter().filter(|(name, _)| !names().any(|known| known == *name)) {
        let message = format!("pipeline `{}` has no stage `{stage}`", chosen.name.text);
        problems.push(Problem::new(message).at(span.clone()).hint(suggest(stage, "stages", names())));
    }
    let place = Place { registry: &registry, base, file: &spec.file };
    let own = writes::own(spec);
    let mut plans = Vec::with_capacity(chosen.variants.len());
    match variants(chosen, place, until) {
        Ok(found) if problems.is_empty() => {
            problems.extend(writes::check_all(&found, &own));
            if !problems.is_empty() {
                return Err(in_order(problems));
            }
            plans.extend(found);
        }
        Ok(_) => return Err(problems),
        Err(more) => {
            problems.extend(more);
            return Err(in_order(problems));
        }
    }
    for (plan, variant) in plans.iter_mut().zip(&chosen.variants) {
        plan.resolved["vars"] = recorded(&spec.vars.to_json(), &spec.vars);
        for (name, value) in &variant.vars {
            plan.resolved["vars"][name] = recorded(&value.to_json(), value);
        }
        plan.max_size = spec.max_size;
        plan.included.clone_from(&spec.included);
        let all = plan.stages.len() == variant.stages.len();
        plan.until = until.filter(|_| !all).map(str::to_owned);
    }
    Ok(plans)
}

/// What planning needs beside the spec.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) registry: &'a Registry,
    /// The folder that paths in `file` start from.
    pub(super) base: &'a Path,
    /// The file as named. Stages of another file have their paths start from that one's folder.
    pub(super) file: &'a str,
}

impl Place<'_> {
    fn folder(&self, stage: &StageSpec) -> PathBuf {
        let span = &stage.name.span;
        match span.line == 0 || span.file == self.file {
            true => self.base.to_path_buf(),
            false => super::folder(Path::new(&span.file)).to_path_buf(),
        }
    }
}

/// Plans one pipeline for each of its combinations; every problem of all of them.
pub(super) fn variants(
    spec: &PipelineSpec,
    place: Place<'_>,
    until: Option<&str>,
) -> Result<Vec<Plan>, Vec<Problem>> {
    if spec.broken {
        return Err(Vec::new());
    }
    let mut plans = Vec::with_capacity(spec.variants.len());
    let mut found = Vec::new();
    for variant in &spec.variants {
        let planned = pipeline(spec, variant, place, until);
        found.push((variant.label(), planned.as_ref().err().cloned()));
        plans.extend(planned);
    }
    if found.iter().all(|(_, problems)| problems.is_none()) {
        return Ok(plans);
    }
    Err(of_combinations(
        found.into_iter().map(|(label, problems)| (label, problems.unwrap_or_default())).collect(),
    ))
}

pub(super) fn choose<'a>(spec: &'a Spec, name: Option<&str>) -> Result<&'a PipelineSpec, Problem> {
    let names = spec.pipelines.iter().map(|pipeline| pipeline.name.text.as_str());
    let (message, name, span) = match (name, &spec.default, &spec.pipelines[..]) {
        (Some(name), _, _) => {
            (format!("the file has no pipeline `{name}`"), name, Span::argument(&spec.file))
        }
        (None, Some(default), _) => {
            let message =
                format!("`default` names the pipeline `{}`, which is not in the file", default.text);
            (message, default.text.as_str(), default.span.clone())
        }
        (None, None, [only]) => return Ok(only),
        (None, None, _) => {
            let problem =
                Problem::new("the file does not say which pipeline is meant").at(Span::argument(&spec.file));
            return Err(
                problem.hint(format!("name one, or write `default: NAME`; pipelines: {}", list(names)))
            );
        }
    };
    let problem = || Problem::new(message).at(span).hint(suggest(name, "pipelines", names));
    spec.pipeline(name).ok_or_else(problem)
}

/// Plans one combination of a pipeline.
fn pipeline(
    spec: &PipelineSpec,
    variant: &Variant,
    place: Place<'_>,
    until: Option<&str>,
) -> Result<Plan, Vec<Problem>> {
    let mut planner = Planner::new(spec, variant, place);
    for at in planner.graph.order.clone() {
        planner.stage(at);
    }
    planner.artifacts();
    let kept = until.map(|name| planner.until(name));
    planner.finish(kept.flatten())
}

/// Which stages provide an artifact, among those upstream.
type Provided = Rc<BTreeMap<String, BTreeSet<usize>>>;

pub(super) struct Planner<'a> {
    pipeline: &'a PipelineSpec,
    spec: &'a Variant,
    place: Place<'a>,
    pub(super) graph: Graph,
    kinds: Vec<Option<KindOf<'a>>>,
    pub(super) done: Vec<Option<Done>>,
    problems: Vec<Problem>,
}

/// The kind of a stage, with its options as checked against the schema: `None` where they are wrong.
#[derive(Clone)]
struct KindOf<'a> {
    kind: &'a Arc<dyn Kind>,
    about: Rc<About>,
    schema: Rc<Json>,
    options: Option<Json>,
}

pub(super) struct Done {
    pub(super) stage: PlannedStage,
    provided: Provided,
    arriving: Provided,
}

impl<'a> Planner<'a> {
    pub(super) fn new(pipeline: &'a PipelineSpec, spec: &'a Variant, place: Place<'a>) -> Self {
        let registry = place.registry;
        let mut problems = Vec::new();
        let kinds = read_kinds(spec, registry, &mut problems);
        let source: Vec<Option<bool>> =
            kinds.iter().map(|kind| kind.as_ref().map(|kind| kind.about.shape == Shape::Source)).collect();
        let abouts = registry.kinds().map(|kind| kind.about());
        let sources: Vec<&str> =
            abouts.filter(|about| about.shape == Shape::Source).map(|about| about.kind).collect();
        let graph = graph::build(&spec.stages, &source, &sources, &mut problems);
        let done = spec.stages.iter().map(|_| None).collect();
        Planner { pipeline, spec, place, graph, kinds, done, problems }
    }

    /// Plans one stage whose inputs have been tried before it.
    pub(super) fn stage(&mut self, at: usize) {
        let spec = &self.spec.stages[at];
        let Some(KindOf { kind, about, schema, options: Some(typed) }) = self.kinds[at].take() else {
            return;
        };
        self.problems.extend(tries::check(spec, &about));
        let inputs = &self.graph.inputs[at];
        if spec.left_out
            || spec.broken
            || self.graph.broken[at]
            || inputs.iter().any(|&input| self.done[input].is_none())
        {
            return;
        }
        let before: Vec<&Done> = inputs.iter().filter_map(|&input| self.done[input].as_ref()).collect();
        let arriving = arriving_artifacts(&before);
        let ports = ports::of(spec, before.iter().map(|done| &done.stage));
        let (mut input_schema, disagree) = match ports.first() {
            Some(first) => (first.schema.clone(), Vec::new()),
            None => self.columns_of(spec, &before),
        };
        if !disagree.is_empty() {
            self.problems.extend(disagree);
            return;
        }
        let given = Inputs {
            stage: spec.name.text.clone(),
            schema: input_schema.clone(),
            from: before.iter().map(|done| done.stage.name.clone()).collect(),
            ports: ports.clone(),
            artifacts: arriving.keys().cloned().collect(),
            base: self.place.folder(spec),
        };
        let (planned, options) = match kind.plan(&typed, &given) {
            Ok(planned) => planned,
            Err(problem) => {
                let placed =
                    problem.apart().into_iter().map(|problem| self.placed(problem, at, &input_schema));
                let placed: Vec<Problem> = placed.collect();
                self.problems.extend(placed);
                return;
            }
        };
        let mut inputs = inputs.clone();
        let ports = match ports::ordered(spec, &about, &planned, ports, &mut inputs) {
            Ok(ports) => ports,
            Err(problem) => {
                self.problems.push(problem);
                return;
            }
        };
        if let Some((_, first)) = ports.first() {
            input_schema = first.clone();
        }
        let found = check(&spec.name.text, &about, &planned, &input_schema, self.place.registry);
        for problem in found.into_iter().chain(check_sides(&spec.name.text, &about, &planned)) {
            let problem = self.placed(problem, at, &input_schema);
            self.problems.push(problem);
        }
        let provided = with_own(&arriving, at, &planned.provides);
        let stage = PlannedStage {
            name: spec.name.text.clone(),
            kind: about.kind.to_owned(),
            version: about.version,
            inputs,
            ports,
            schema: output(&input_schema, planned.keeps.as_deref(), &planned.adds),
            input_schema,
            identity_options: recorded(&strip(&schema, &options), &spec.config),
            options,
            artifacts: Vec::new(),
            planned,
            on_error: spec.on_error,
            retry: about.retry,
            tries: spec.tries,
            span: spec.name.span.clone(),
        };
        self.done[at] = Some(Done { stage, provided, arriving });
    }

    pub(super) fn columns_of(&self, spec: &StageSpec, before: &[&Done]) -> (SchemaRef, Vec<Problem>) {
        if before.is_empty() {
            return (Arc::new(Schema::empty()), Vec::new());
        }
        let schemas: Vec<_> =
            before.iter().map(|done| (done.stage.name.as_str(), &done.stage.schema)).collect();
        let (schema, problems) = union(&spec.name.text, &schemas);
        (schema, problems.into_iter().map(|problem| problem.at(spec.inputs_span.clone())).collect())
    }

    /// A kind's own problem: at its option where it names one, at the stage otherwise.
    fn placed(&self, mut problem: Problem, at: usize, arriving: &SchemaRef) -> Problem {
        let spec = &self.spec.stages[at];
        if let Some(column) = problem.missing_column() {
            let hint = match self.dropped(at, column) {
                Some(stage) => format!("stage `{stage}` leaves it out of what goes on"),
                None => who_adds(column, &self.makers(at, column), arriving, self.place.registry),
            };
            problem.hint = Some(hint);
        }
        if problem.span.is_some() {
            return problem;
        }
        let column = problem.missing_column().and_then(|column| spec.config.item(&problem.option, column));
        if let Some(item) = column {
            return item.placed(problem);
        }
        match spec.config.place(&problem.option) {
            Some((span, Some(from))) => problem.at(span.clone()).note(from.clone()),
            Some((span, None)) => problem.at(span.clone()),
            None => problem.at(spec.name.span.clone()),
        }
    }

    /// The stage on the way to another one that a column reaches and does not leave.
    fn dropped(&self, at: usize, column: &str) -> Option<&str> {
        let has = |at: usize| {
            let done = self.done[at].as_ref()?;
            Some(done.stage.schema.field_with_name(column).is_ok())
        };
        let mut open = self.graph.inputs[at].clone();
        let mut seen = vec![false; self.spec.stages.len()];
        while let Some(before) = open.pop() {
            if std::mem::replace(&mut seen[before], true) {
                continue;
            }
            let inputs = &self.graph.inputs[before];
            if has(before) == Some(false) && inputs.iter().any(|&input| has(input) == Some(true)) {
                return Some(&self.spec.stages[before].name.text);
            }
            open.extend(inputs);
        }
        None
    }

    /// The stages of the pipeline whose kind can add a column, and whether their rows reach that stage.
    fn makers(&self, at: usize, column: &str) -> Vec<Maker<'a>> {
        let mut before = vec![false; self.spec.stages.len()];
        let mut open = self.graph.inputs[at].clone();
        while let Some(input) = open.pop() {
            if !std::mem::replace(&mut before[input], true) {
                open.extend(&self.graph.inputs[input]);
            }
        }
        let makes = |stage: &StageSpec| {
            let kind = stage.kind.as_ref().and_then(|kind| self.place.registry.get(&kind.text));
            kind.is_some_and(|kind| kind.about().columns.iter().any(|(name, _, _)| *name == column))
        };
        let others =
            self.spec.stages.iter().enumerate().filter(|(other, stage)| *other != at && makes(stage));
        others
            .map(|(other, stage)| Maker {
                stage: &stage.name.text,
                before: before[other],
                left_out: stage.left_out,
            })
            .collect()
    }

    /// Finds who provides what each stage needs.
    fn artifacts(&mut self) {
        let mut found: Vec<(usize, Vec<(String, usize)>)> = Vec::new();
        let mut problems = Vec::new();
        for (at, done) in self.done.iter().enumerate() {
            let Some(done) = done else { continue };
            let mut artifacts = Vec::new();
            for name in &done.stage.planned.needs {
                let providers: Vec<usize> = done.arriving.get(name).into_iter().flatten().copied().collect();
                match providers[..] {
                    [one] => artifacts.push((name.clone(), one)),
                    [] => problems.push(self.nobody_provides(at, name)),
                    [one, two, ..] => problems.push(self.two_provide(at, name, one, two)),
                }
            }
            if !artifacts.is_empty() {
                found.push((at, artifacts));
            }
        }
        self.problems.extend(problems);
        for (at, artifacts) in found {
            if let Some(done) = &mut self.done[at] {
                done.stage.artifacts = artifacts;
            }
        }
    }

    fn nobody_provides(&self, at: usize, artifact: &str) -> Problem {
        let stage = &self.spec.stages[at].name;
        let provider = self
            .done
            .iter()
            .flatten()
            .find(|done| done.stage.planned.provides.iter().any(|name| name == artifact));
        let mentions = |about: &About| {
            about.summary.contains(artifact)
                || about.columns.iter().any(|(_, _, meaning)| meaning.contains(artifact))
        };
        let hint = match provider {
            Some(done) => {
                format!("stage `{}` provides it: `{}` must come behind it", done.stage.name, stage.text)
            }
            None => {
                let own = &self.done[at].as_ref().map(|done| done.stage.kind.clone()).unwrap_or_default();
                let kinds =
                    self.place.registry.kinds().map(|kind| kind.about()).filter(|about| about.kind != own);
                let kinds: Vec<&str> = kinds.filter(mentions).map(|about| about.kind).collect();
                match kinds.len() {
                    0 => "put a stage that provides it before this one".to_owned(),
                    _ => {
                        format!("put a stage before it that provides it, such as one of kind {}", list(kinds))
                    }
                }
            }
        };
        let message = format!(
            "stage `{}` needs the artifact `{artifact}`, which no stage before it provides",
            stage.text
        );
        Problem::new(message).at(stage.span.clone()).hint(hint)
    }

    fn two_provide(&self, at: usize, artifact: &str, one: usize, two: usize) -> Problem {
        let name = |at: usize| &self.spec.stages[at].name.text;
        let message = format!(
            "the artifact `{artifact}` reaches `{}` from both `{}` and `{}`",
            name(at),
            name(one),
            name(two)
        );
        let hint =
            "take rows from one of them only, or from a stage that comes behind both and provides it anew";
        Problem::new(message).at(self.spec.stages[at].inputs_span.clone()).hint(hint)
    }

    /// The stages that the named one needs, itself included.
    fn until(&mut self, name: &str) -> Option<Vec<bool>> {
        let Some(last) = self.spec.stages.iter().position(|stage| stage.name.text == name) else {
            let hint = suggest(name, "stages", self.spec.stages.iter().map(|stage| stage.name.text.as_str()));
            let problem =
                Problem::new(format!("pipeline `{}` has no stage `{name}`", self.pipeline.name.text));
            self.problems.push(problem.at(Span::argument(format!("--until {name}"))).hint(hint));
            return None;
        };
        if self.spec.stages[last].left_out {
            let problem = Problem::new(format!("stage `{name}` is left out by its `when`"));
            let hint = "choose a stage that is there, or variables with which this one is";
            self.problems.push(problem.at(Span::argument(format!("--until {name}"))).hint(hint));
            return None;
        }
        let mut kept = vec![false; self.spec.stages.len()];
        let mut open = vec![last];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut kept[at], true) {
                open.extend(&self.graph.inputs[at]);
            }
        }
        Some(kept)
    }

    fn finish(mut self, kept: Option<Vec<bool>>) -> Result<Plan, Vec<Problem>> {
        let missing = |(at, done): (usize, &Option<Done>)| done.is_none() && !self.spec.stages[at].left_out;
        let complete = !self.done.iter().enumerate().any(missing);
        // What is known to be wrong is told elsewhere.
        let told = self.place.registry.is_incomplete() || self.spec.stages.iter().any(|stage| stage.broken);
        if self.problems.is_empty() && !complete && !told {
            let message = format!("pipeline `{}` cannot be planned", self.pipeline.name.text);
            self.problems.push(Problem::new(message).at(self.pipeline.name.span.clone()));
        }
        if !self.problems.is_empty() || !complete {
            return Err(in_order(self.problems));
        }
        let order: Vec<usize> = self
            .graph
            .order
            .iter()
            .copied()
            .filter(|&at| !self.spec.stages[at].left_out && kept.as_ref().is_none_or(|kept| kept[at]))
            .collect();
        let mut position = vec![0; self.done.len()];
        order.iter().enumerate().for_each(|(new, &old)| position[old] = new);
        let mut stages = Vec::with_capacity(order.len());
        for &old in &order {
            let Some(Done { mut stage, .. }) = self.done[old].take() else { continue };
            stage.inputs.iter_mut().for_each(|input| *input = position[*input]);
            stage.artifacts.iter_mut().for_each(|(_, from)| *from = position[*from]);
            stages.push(stage);
        }
        Ok(Plan {
            pipeline: self.pipeline.name.text.clone(),
            description: self.pipeline.description.clone(),
            matrix: self
                .spec
                .vars
                .iter()
                .map(|(name, value)| (name.clone(), recorded(&value.to_json(), value)))
                .collect(),
            resolved: super::recorded::pipeline(self.pipeline, self.spec, &stages, &order),
            stages,
            base: self.place.base.to_path_buf(),
            included: Vec::new(),
            max_size: None,
            until: None,
        })
    }
}

/// The kind of each stage, its options checked.
fn read_kinds<'a>(
    spec: &Variant,
    registry: &'a Registry,
    problems: &mut Vec<Problem>,
) -> Vec<Option<KindOf<'a>>> {
    let mut known: BTreeMap<&str, KindOf<'a>> = BTreeMap::new();
    let mut kinds = Vec::with_capacity(spec.stages.len());
    for stage in &spec.stages {
        let Some(name) = &stage.kind else {
            kinds.push(None);
            continue;
        };
        let Some(kind) = registry.get(&name.text) else {
            kinds.push(None);
            if registry.is_incomplete() {
                continue;
            }
            let names = registry.kinds().map(|kind| kind.about().kind).collect::<Vec<_>>();
            let message = format!("`{}` is of kind `{}`, which does not exist", stage.name.text, name.text);
            problems
                .push(Problem::new(message).at(name.span.clone()).hint(suggest(&name.text, "kinds", names)));
            continue;
        };
        let of = known.entry(&name.text).or_insert_with(|| KindOf {
            kind,
            about: Rc::new(kind.about()),
            schema: Rc::new(kind.schema()),
            options: None,
        });
        let (options, found) =
            options::check(&of.schema, &stage.name.text, &name.text, &stage.config, &stage.name.span);
        kinds.push(Some(KindOf { options: found.is_empty().then_some(options), ..of.clone() }));
        problems.extend(found);
    }
    kinds
}

/// The artifacts that reach a stage over its inputs.
fn arriving_artifacts(before: &[&Done]) -> Provided {
    match before {
        [] => Provided::default(),
        [only] => only.provided.clone(),
        several => {
            let mut all: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
            for (name, from) in several.iter().flat_map(|done| done.provided.iter()) {
                all.entry(name.clone()).or_default().extend(from);
            }
            Rc::new(all)
        }
    }
}

/// What leaves a stage: its own artifacts take the place of those of the same name.
fn with_own(arriving: &Provided, at: usize, own: &[String]) -> Provided {
    if own.is_empty() {
        return arriving.clone();
    }
    let mut all = (**arriving).clone();
    all.extend(own.iter().map(|name| (name.clone(), BTreeSet::from([at]))));
    Rc::new(all)
}
