//! Which part of a pipeline does a test run? The stage under test, what it needs, and given rows in the place of the rest.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};

use super::given;
use super::rows::Known;
use crate::error::Problem;
use crate::plan::sketch::{Sketch, sketch};
use crate::plan::{OnError, Plan, address, part};
use crate::registry::Registry;
use crate::spec::test::{Row, Rows, Subject, TestSpec, within};
use crate::spec::words::suggest;
use crate::spec::{Name, PipelineSpec, Spec, StageSpec, Variant};
use crate::stage::Shape;

/// A part of a pipeline with what it needs to run.
pub(super) struct Part {
    pub(super) registry: Registry,
    /// Its plan, or why it cannot be planned.
    pub(super) plan: Result<Plan, Vec<Problem>>,
}

/// Given rows in the place of a stage.
struct Stand<'a> {
    name: Name,
    rows: &'a [Row],
    /// The columns that the pipeline has there.
    planned: Option<SchemaRef>,
}

/// The part that a test runs. The error is what is wrong with the test itself.
pub(super) fn of(
    spec: &Spec,
    test: &TestSpec,
    registry: &Registry,
    base: &Path,
) -> Result<Part, Vec<Problem>> {
    let parts = Parts { spec, test, registry, base };
    match &test.subject {
        Some(Subject::Stage { pipeline, stage }) => parts.cut(pipeline.as_ref(), stage),
        Some(Subject::Own(stage)) => parts.own(stage).map_err(|problem| vec![problem])?,
        None => Err(Vec::new()),
    }
}

struct Parts<'a> {
    spec: &'a Spec,
    test: &'a TestSpec,
    registry: &'a Registry,
    base: &'a Path,
}

impl<'a> Parts<'a> {
    /// A stage that the test brings along, behind the rows that it gives.
    fn own(&self, stage: &StageSpec) -> Result<Result<Part, Vec<Problem>>, Problem> {
        let kind = self.registry.get(&stage.name.text).map(|kind| kind.about().shape);
        let hint = "write `rows: [{id: a, column: value}]`";
        let whose = &stage.name.text;
        let mut stage = stage.clone();
        let stands = match (&self.test.rows, kind) {
            (Rows::Own, Some(Shape::Source) | None) => Vec::new(),
            (Rows::Own, Some(_)) => {
                let problem = Problem::new(format!("no rows reach `{whose}`"));
                return Err(problem.at(self.test.name.span.clone()).hint(hint));
            }
            (_, Some(Shape::Source)) => return Err(self.takes_none(&stage.name)),
            (Rows::Arriving(rows), _) => {
                vec![Stand {
                    name: Name { text: "rows".into(), span: stage.name.span.clone() },
                    rows,
                    planned: None,
                }]
            }
            (Rows::Named(all), _) => {
                stage.ports = all.iter().map(|(port, _)| port.clone()).collect();
                all.iter().map(|(port, rows)| Stand { name: port.clone(), rows, planned: None }).collect()
            }
        };
        if !stands.is_empty() {
            stage.inputs = Some(stands.iter().map(|stand| stand.name.clone()).collect());
        }
        if stands.iter().any(|stand| stand.name.text == stage.name.text) {
            stage.name.text += " under test";
        }
        Ok(self.part(&stage.name.clone(), stands, vec![stage]))
    }

    /// A stage of a pipeline with those before it, up to the ones that given rows stand for.
    fn cut(&self, pipeline: Option<&Name>, stage: &Name) -> Result<Part, Vec<Problem>> {
        let (pipeline, at) = self.find(pipeline, stage)?;
        let Some(variant) = pipeline.variants.first().filter(|_| !pipeline.broken) else {
            return Err(Vec::new());
        };
        if variant.stages[at].left_out {
            let problem = Problem::new(format!("stage `{}` is left out by its `when`", stage.text));
            let hint = "give it variables with which it is there: `set: {vars.NAME: value}`";
            return Err(vec![problem.at(stage.span.clone()).hint(hint)]);
        }
        let sketch = sketch(pipeline, variant, &self.spec.file, self.registry, self.base);
        let cut = Cut { parts: self, variant, sketch, at };
        let (stands, inputs) = cut.stands().map_err(|problem| vec![problem])?;
        let needed = cut.needed(&stands, inputs.as_deref());
        if let Some(useless) = stands.iter().find(|(at, _)| !needed.contains(at)) {
            let problem =
                Problem::new(format!("the rows of `{}` do not reach `{}`", useless.1.name.text, stage.text));
            let before = |at: usize| cut.variant.stages[at].name.text.as_str();
            let known = needed.iter().filter(|&&other| other != at).map(|&at| before(at)).collect::<Vec<_>>();
            return Err(vec![problem.at(useless.1.name.span.clone()).hint(suggest(
                &useless.1.name.text,
                "stages before it",
                known,
            ))]);
        }
        let stages = needed.iter().filter(|at| !stands.iter().any(|(stand, _)| stand == *at));
        let stages = stages.map(|&at| cut.stage(at, inputs.as_deref())).collect();
        self.part(&pipeline.name, stands.into_iter().map(|(_, stand)| stand).collect(), stages)
    }

    fn find(&self, pipeline: Option<&Name>, stage: &Name) -> Result<(&'a PipelineSpec, usize), Vec<Problem>> {
        let text = pipeline
            .map_or_else(|| stage.text.clone(), |pipeline| format!("{}/{}", pipeline.text, stage.text));
        let unknown = pipeline.filter(|pipeline| self.spec.pipeline(&pipeline.text).is_none());
        let place = || unknown.unwrap_or(stage).span.clone();
        if self.spec.pipelines.is_empty() {
            let problem = Problem::new("the file has no pipelines, so there is no stage to test").at(place());
            return Err(vec![problem.hint("write a stage in the test: `kind: ...`, `config: {...}`")]);
        }
        let (name, stage) = address(self.spec, &text).map_err(|problem| vec![problem.at(place())])?;
        let found = self.spec.pipeline(&name).ok_or_else(Vec::new)?;
        let at = found.stages().iter().position(|known| known.name.text == stage).ok_or_else(Vec::new)?;
        Ok((found, at))
    }

    fn part(
        &self,
        name: &Name,
        stands: Vec<Stand<'_>>,
        stages: Vec<StageSpec>,
    ) -> Result<Part, Vec<Problem>> {
        let known = Known { test: self.test, registry: self.registry, base: self.base };
        let mut tables: HashMap<String, RecordBatch> = HashMap::new();
        let mut problems = Vec::new();
        for stand in &stands {
            match known.table(stand.rows, stand.planned.as_deref()) {
                Ok(table) => drop(tables.insert(stand.name.text.clone(), table)),
                Err(found) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let names: Vec<Name> = stands.into_iter().map(|stand| stand.name).collect();
        let registry = given::registered(self.registry, tables);
        let stages = given::stages(&names).into_iter().chain(stages).collect();
        let pipeline = PipelineSpec {
            name: name.clone(),
            description: None,
            variants: vec![Variant { vars: Vec::new(), stages }],
            broken: false,
        };
        let plan =
            part(&pipeline, &self.spec.file, &registry, self.base).map_err(|problems| self.noted(problems));
        Ok(Part { registry, plan })
    }

    /// Problems with the stages that run: those of a pipeline with the test that they are in the way of. Columns that are
    /// missing are for its rows to bring.
    fn noted(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let own = matches!(self.test.subject, Some(Subject::Own(_)));
        let given = !matches!(self.test.rows, Rows::Own);
        let hinted = |problem: Problem| match problem.missing_column().map(str::to_owned) {
            Some(column) if given => problem.hint(format!("give `{column}` in the `rows` of the test")),
            _ => problem,
        };
        let noted = |problem: Problem| if own { problem } else { problem.note(within(self.test)) };
        problems.into_iter().map(|problem| noted(hinted(problem))).collect()
    }

    fn takes_none(&self, stage: &Name) -> Problem {
        let problem = Problem::new(format!("`{}` brings rows in and takes none", stage.text));
        problem.at(stage.span.clone()).hint("remove `rows`")
    }
}

/// The place in a pipeline where a test cuts it.
struct Cut<'a, 'b> {
    parts: &'b Parts<'a>,
    variant: &'a Variant,
    sketch: Sketch,
    at: usize,
}

/// Given rows with the place of the stage that they stand for.
type Stands<'a> = Vec<(usize, Stand<'a>)>;

impl<'a> Cut<'a, '_> {
    /// What stands in for which stage; and the inputs of the stage under test where its rows are given as they arrive.
    fn stands(&self) -> Result<(Stands<'a>, Option<Vec<usize>>), Problem> {
        let (stages, inputs) = (&self.variant.stages, &self.sketch.inputs[self.at]);
        let under_test = &stages[self.at];
        match &self.parts.test.rows {
            Rows::Own => Ok((Vec::new(), None)),
            Rows::Arriving(rows) => {
                let Some(&first) = inputs.first() else {
                    // What is wrong with its inputs is for the plan to tell.
                    let unknown = self.sketch.broken[self.at];
                    return if unknown {
                        Ok((Vec::new(), None))
                    } else {
                        Err(self.parts.takes_none(&self.said()))
                    };
                };
                if !under_test.ports.is_empty() {
                    let names: Vec<&str> = inputs.iter().map(|&at| stages[at].name.text.as_str()).collect();
                    let message = format!(
                        "`{}` takes rows by name, so a list does not say which",
                        under_test.name.text
                    );
                    let each =
                        names.iter().map(|name| format!("{name}: [...]")).collect::<Vec<_>>().join(", ");
                    return Err(Problem::new(message)
                        .at(self.said().span)
                        .hint(format!("write `rows: {{{each}}}`")));
                }
                let name = stages[first].name.clone();
                Ok((vec![(first, Stand { name, rows, planned: self.arriving(inputs) })], Some(vec![first])))
            }
            Rows::Named(all) => {
                let stand = |(name, rows): &'a (Name, Vec<Row>)| Ok((self.named(name)?, rows, name));
                let found = all.iter().map(stand).collect::<Result<Vec<_>, Problem>>()?;
                let stand = |(at, rows, name): (usize, &'a Vec<Row>, &Name)| {
                    (at, Stand { name: name.clone(), rows, planned: self.sketch.leaving[at].clone() })
                };
                Ok((found.into_iter().map(stand).collect(), None))
            }
        }
    }

    /// The stage under test, where the test names it.
    fn said(&self) -> Name {
        match &self.parts.test.subject {
            Some(Subject::Stage { stage, .. }) => stage.clone(),
            _ => self.variant.stages[self.at].name.clone(),
        }
    }

    fn named(&self, name: &Name) -> Result<usize, Problem> {
        let stages = self.variant.stages.iter().enumerate();
        let others = stages.filter(|(at, stage)| *at != self.at && !stage.left_out);
        let found = others.clone().find(|(_, stage)| stage.name.text == name.text);
        found.map(|(at, _)| at).ok_or_else(|| {
            let own = self.variant.stages[self.at].name.text == name.text;
            let message = match own {
                true => format!("`{}` is the stage under test: its rows are what is expected", name.text),
                false => format!("`{}` is no stage whose rows could be given", name.text),
            };
            let names: Vec<&str> = others.map(|(_, stage)| stage.name.text.as_str()).collect();
            Problem::new(message).at(name.span.clone()).hint(suggest(&name.text, "stages", names))
        })
    }

    /// The columns that arrive over these inputs.
    fn arriving(&self, inputs: &[usize]) -> Option<SchemaRef> {
        let mut fields: Vec<FieldRef> = Vec::new();
        for field in inputs
            .iter()
            .filter_map(|&at| self.sketch.leaving[at].as_ref())
            .flat_map(|schema| schema.fields())
        {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(field.clone());
            }
        }
        (!fields.is_empty()).then(|| Arc::new(Schema::new(fields)))
    }

    /// The stage under test and those that it needs, each after its inputs; not those behind given rows.
    fn needed(&self, stands: &Stands<'_>, arriving: Option<&[usize]>) -> Vec<usize> {
        let mut needed = vec![false; self.variant.stages.len()];
        let mut open = vec![self.at];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut needed[at], true) && !stands.iter().any(|(stand, _)| *stand == at) {
                open.extend(self.inputs(at, arriving));
            }
        }
        // A stage in a loop, or behind one, has no place in the order: planning tells.
        let mut order: Vec<usize> = self.sketch.order.iter().copied().filter(|&at| needed[at]).collect();
        order.extend((0..needed.len()).filter(|at| needed[*at] && !self.sketch.order.contains(at)));
        order
    }

    fn inputs<'c>(&'c self, at: usize, arriving: Option<&'c [usize]>) -> &'c [usize] {
        arriving.filter(|_| at == self.at).unwrap_or(&self.sketch.inputs[at])
    }

    /// A stage with its inputs written out; no share of failed rows ends a test.
    fn stage(&self, at: usize, arriving: Option<&[usize]>) -> StageSpec {
        let mut stage = self.variant.stages[at].clone();
        // What is wrong with inputs is for the plan to tell, from how they are written.
        if !self.sketch.broken[at] || (at == self.at && arriving.is_some()) {
            let text = |&input: &usize| self.variant.stages[input].name.text.clone();
            let inputs = self.inputs(at, arriving).iter();
            let inputs: Vec<Name> =
                inputs.map(|input| Name { span: stage.inputs_span.clone(), text: text(input) }).collect();
            stage.inputs = (!inputs.is_empty()).then_some(inputs);
        }
        if let OnError::Quarantine { threshold } = &mut stage.on_error {
            *threshold = 1.0;
        }
        stage
    }
}
