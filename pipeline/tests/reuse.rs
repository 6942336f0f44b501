//! What does a pipeline take over? `include`, `extends`, `use`, `when` and `matrix`, as plans and as problems.

mod plan_kinds;

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use affectflow_pipeline::Problem;
use affectflow_pipeline::plan::{self, Plan};
use affectflow_pipeline::spec::{self, Spec, World};

use plan_kinds::registry;
use serde_json::{Value, json};

/// Files by name; the first is the one that is opened.
struct Files<'a>(&'a [(&'a str, &'a str)]);

impl Files<'_> {
    fn read(&self, sets: &[&str]) -> (Option<Spec>, Vec<Problem>) {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        let others: HashMap<PathBuf, &str> =
            self.0.iter().map(|(name, text)| (PathBuf::from(name), *text)).collect();
        let read = |path: &Path| match others.get(path) {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        let env = |name: &str| (name == "SECRET").then(|| "hunter2".to_owned());
        spec::parse_in(self.0[0].1, self.0[0].0, &sets, &World { env: &env, read: &read })
    }

    fn plans(&self, pipeline: &str, sets: &[&str]) -> Vec<Plan> {
        let (spec, problems) = self.read(sets);
        assert!(problems.is_empty(), "{}", said(&problems));
        match plan::plans(&spec.unwrap(), Some(pipeline), &registry(), Path::new("/data"), None) {
            Ok(plans) => plans,
            Err(problems) => panic!("{}", said(&problems)),
        }
    }

    fn plan(&self, pipeline: &str, sets: &[&str]) -> Plan {
        let mut plans = self.plans(pipeline, sets);
        assert_eq!(plans.len(), 1);
        plans.remove(0)
    }

    /// Every problem of every pipeline.
    fn problems(&self, sets: &[&str]) -> String {
        let (spec, mut problems) = self.read(sets);
        if let Some(spec) = spec {
            problems.extend(plan::check_spec(&spec, &registry(), Path::new("/data")));
        }
        said(&problems)
    }
}

fn said(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().map(|stage| stage.name.as_str()).collect()
}

fn options<'a>(plan: &'a Plan, stage: &str) -> &'a Value {
    &plan.stages.iter().find(|known| known.name == stage).unwrap().options
}

fn inputs<'a>(plan: &'a Plan, stage: &str) -> Vec<&'a str> {
    let stage = plan.stages.iter().find(|known| known.name == stage).unwrap();
    stage.inputs.iter().map(|&input| plan.stages[input].name.as_str()).collect()
}

const BASE: &str = "
version: 1
vars: { seed: 1, radius: 3 }
templates:
  soft: { kind: blur, config: { radius: '${vars.radius}', border: { mode: fill, value: 1.0 } }, retries: 2 }
  softer: { use: soft, config: { gain: 2.0 } }
pipelines:
  base:
    description: the base
    stages:
      photos: { kind: photos, config: { path: here } }
      blur: { use: softer, config: { rows_per_call: 4 } }
      train: { kind: train, config: { seed: '${vars.seed}', epochs: 2 } }
      score: { kind: score }
";

#[test]
fn a_template_gives_what_the_stage_does_not_say() {
    let plan = Files(&[("p.yaml", BASE)]).plan("base", &[]);
    let expected =
        json!({ "radius": 3, "gain": 2.0, "border": { "mode": "fill", "value": 1.0 }, "rows_per_call": 4 });
    assert_eq!(options(&plan, "blur"), &expected);
    assert_eq!(plan.stages[1].tries.retries, 2);
    let plan = Files(&[("p.yaml", BASE)]).plan("base", &["templates.soft.config.radius=5"]);
    assert_eq!(options(&plan, "blur")["radius"], json!(5));
    let plan = Files(&[("p.yaml", BASE)]).plan("base", &["stages.blur.config.radius=6"]);
    assert_eq!(options(&plan, "blur")["radius"], json!(6));
}

#[test]
fn a_pipeline_changes_another() {
    let text = format!(
        "{BASE}
  other:
    extends: base
    stages:
      photos: {{ config: {{ deep: true }} }}
      score: null
      blur: {{ config: {{ border: {{ mode: wrap }} }} }}
      train: {{ kind: keep, config: {{ share: 0.25 }} }}
      again: {{ kind: train }}
  third: {{ extends: other, description: three, stages: {{ again: {{ config: {{ epochs: 9 }} }} }} }}
"
    );
    let files = [("p.yaml", text.as_str())];
    let plan = Files(&files).plan("third", &[]);
    assert_eq!(names(&plan), ["photos", "blur", "train", "again"]);
    assert_eq!(plan.description.as_deref(), Some("three"));
    assert_eq!(options(&plan, "photos")["path"], json!("here"));
    assert_eq!(options(&plan, "photos")["deep"], json!(true));
    assert_eq!(options(&plan, "blur")["border"], json!({ "mode": "wrap" }), "an option is taken as a whole");
    assert_eq!(options(&plan, "blur")["rows_per_call"], json!(4));
    assert_eq!(options(&plan, "train"), &json!({ "share": 0.25 }), "another kind takes nothing over");
    assert_eq!(options(&plan, "again")["epochs"], json!(9));
    let plan = Files(&files).plan("third", &["stages.again.config.epochs=4"]);
    assert_eq!(options(&plan, "again")["epochs"], json!(4), "the command line comes last");
    let base = Files(&files).plan("base", &[]);
    assert_eq!(names(&base), ["photos", "blur", "train", "score"]);
}

#[test]
fn files_are_brought_in_once_and_the_including_one_decides() {
    let root = "
version: 1
include: [lib/common.yaml, lib/more.yaml]
vars: { seed: 7 }
pipelines:
  mine: { extends: base, stages: { train: { config: { lr: 0.5 } } } }
";
    let files = [
        ("dir/p.yaml", root),
        ("dir/lib/common.yaml", BASE),
        ("dir/lib/more.yaml", "version: 1\ninclude: common.yaml\ntemplates: { t: { kind: blur } }\n"),
    ];
    let plan = Files(&files).plan("mine", &[]);
    assert_eq!(options(&plan, "train")["seed"], json!(7));
    assert_eq!(options(&plan, "train")["lr"], json!(0.5));
    assert_eq!(plan.included, [Path::new("dir/lib/common.yaml"), Path::new("dir/lib/more.yaml")]);
    let spec = Files(&files).read(&[]).0.unwrap();
    assert_eq!(spec.pipelines.iter().map(|p| p.name.text.as_str()).collect::<Vec<_>>(), ["base", "mine"]);
    let plan = Files(&files).plan("base", &["vars.seed=8", "pipelines.base.stages.train.config.epochs=5"]);
    assert_eq!(options(&plan, "train")["seed"], json!(8));
    assert_eq!(options(&plan, "train")["epochs"], json!(5));
}

#[test]
fn a_stage_left_out_is_as_if_it_were_not_there() {
    let text = "
version: 1
vars: { more: true, blur: 'on', method: kcdp }
pipelines:
  p:
    stages:
      photos: { kind: photos, config: { path: x } }
      extra: { kind: photos, when: '${vars.more}', config: { path: y } }
      blur: { kind: blur, inputs: [photos, extra] }
      keep: { kind: keep, when: '${vars.blur} == on' }
      halve: { kind: keep, when: 'not ${vars.more}' }
      train: { kind: train, inputs: [halve] }
      score: { kind: score, when: '${vars.method} != none' }
";
    let files = [("p.yaml", text)];
    let all = Files(&files).plan("p", &[]);
    assert_eq!(names(&all), ["photos", "extra", "blur", "keep", "train", "score"]);
    assert_eq!(inputs(&all, "train"), ["keep"], "its input is left out, so it takes that one's");
    let few = Files(&files).plan("p", &["vars.more=false", "vars.blur=off", "vars.method=none"]);
    assert_eq!(names(&few), ["photos", "blur", "halve", "train"]);
    assert_eq!(inputs(&few, "blur"), ["photos"]);
    assert_eq!(inputs(&few, "halve"), ["blur"]);
    let none = Files(&files).problems(&["stages.photos.when=false", "stages.extra.when=false"]);
    assert!(none.contains("no rows reach `blur`: its inputs are left out by their `when`"), "{none}");
}

#[test]
fn a_value_of_a_variable_is_never_read_as_a_condition() {
    let text = "
version: 1
vars: { x: 'a == a' }
pipelines:
  p:
    stages:
      photos: { kind: photos, config: { path: x } }
      blur: { kind: blur, when: '${vars.x} == b' }
      keep: { kind: keep, when: \"${vars.x} == 'a == a'\" }
";
    assert_eq!(names(&Files(&[("p.yaml", text)]).plan("p", &[])), ["photos", "keep"]);
}

const MATRIX: &str = "
version: 1
vars: { seed: 0, epochs: 2, all: [1, 2], secret: '${env.SECRET}' }
pipelines:
  p:
    matrix:
      seed: '${vars.all}'
      epochs: [1, 5]
      exclude: [{ seed: 2, epochs: 5 }]
      include: [{ seed: 7 }]
    stages:
      photos: { kind: photos, config: { path: x } }
      blur: { kind: blur }
      train: { kind: train, config: { seed: '${vars.seed}', epochs: '${vars.epochs}' } }
";

fn seeds_and_epochs(plans: &[Plan]) -> Vec<(u64, u64)> {
    let number = |plan: &Plan, name: &str| options(plan, "train")[name].as_u64().unwrap();
    plans.iter().map(|plan| (number(plan, "seed"), number(plan, "epochs"))).collect()
}

#[test]
fn a_matrix_is_a_plan_for_every_combination() {
    let files = [("p.yaml", MATRIX)];
    let plans = Files(&files).plans("p", &[]);
    assert_eq!(seeds_and_epochs(&plans), [(1, 1), (1, 5), (2, 1), (7, 2)]);
    assert_eq!(plans[1].matrix, [("seed".to_owned(), json!(1)), ("epochs".to_owned(), json!(5))]);
    assert_eq!(plans[1].resolved["vars"]["epochs"], json!(5));
    assert_eq!(plans[3].resolved["vars"]["epochs"], json!(2));
    assert!(!plans[0].resolved.to_string().contains("hunter2"));
    let pinned = Files(&files).plans("p", &["vars.seed=3"]);
    assert_eq!(seeds_and_epochs(&pinned), [(3, 1), (3, 5), (3, 2)], "what is set keeps its value");
    let axis = Files(&files).plans("p", &["pipelines.p.matrix={seed: [4]}"]);
    assert_eq!(seeds_and_epochs(&axis), [(4, 2)]);
}

#[test]
fn one_plan_of_many_is_asked_for_by_its_variables() {
    let spec = Files(&[("p.yaml", MATRIX)]).read(&[]).0.unwrap();
    let problems = plan::plan(&spec, None, &registry(), Path::new("."), None).err().unwrap();
    assert_eq!(
        said(&problems),
        "p.yaml:5:3: pipeline `p` has a matrix of 4 combinations\n  hint: choose one, such as `--set vars.seed=1 --set vars.epochs=1`"
    );
}

#[test]
fn what_only_some_combinations_have_names_one_of_them() {
    let text = MATRIX.replace("epochs: [1, 5]", "epochs: [1, 0]").replace("epochs: 5 }", "epochs: 1 }");
    let text = text.replace("kind: blur", "kind: blur, retries: -1");
    let expected = "p.yaml:13:36: `retries` must be a whole number from 0 to 100, not `-1`
  hint: it counts the tries after the first one
p.yaml:14:69: option `epochs` of `train` must be at least 1, not `0`
  note: p.yaml:8:19: the value of `${vars.epochs}`
  note: with seed: 1, epochs: 0";
    assert_eq!(Files(&[("p.yaml", &text)]).problems(&[]), expected);
}

#[test]
fn ten_thousand_stages_ask_each_kind_once_for_what_it_is() {
    thread_local!(static ASKED: Cell<usize> = const { Cell::new(0) });
    struct Counted;
    impl affectflow_pipeline::registry::Kind for Counted {
        fn about(&self) -> affectflow_pipeline::About {
            affectflow_pipeline::Stage::about(&plan_kinds::Blur)
        }
        fn schema(&self) -> Value {
            ASKED.set(ASKED.get() + 1);
            affectflow_pipeline::registry::Kind::schema(&plan_kinds::Blur)
        }
        fn plan(
            &self,
            options: &Value,
            inputs: &affectflow_pipeline::stage::Inputs,
        ) -> Result<(affectflow_pipeline::Planned, Value), Problem> {
            ASKED.set(ASKED.get() + 1);
            affectflow_pipeline::registry::Kind::plan(&plan_kinds::Blur, options, inputs)
        }
    }
    let mut registry = registry();
    registry.add(Counted);
    let stages: String = (0..10_000).map(|at| format!("      s{at}: {{ use: t }}\n")).collect();
    let text = format!(
        "version: 1\ntemplates: {{ t: {{ kind: blur }} }}\npipelines:\n  p:\n    stages:\n      photos: {{ kind: photos, config: {{ path: x }} }}\n{stages}"
    );
    let (spec, problems) = Files(&[("p.yaml", &text)]).read(&[]);
    assert!(problems.is_empty(), "{}", said(&problems));
    let plan = plan::plan(&spec.unwrap(), None, &registry, Path::new("."), None);
    assert_eq!(plan.map(|plan| plan.stages.len()).map_err(|problems| said(&problems)), Ok(10_001));
    assert_eq!(ASKED.get(), 10_001);
}

#[test]
fn what_is_taken_over_again_and_again_is_refused() {
    let mut text = "version: 1\npipelines:\n  p0:\n    stages:\n".to_owned();
    (0..2000).for_each(|at| text += &format!("      s{at}: {{ kind: photos, config: {{ path: x }} }}\n"));
    (1..200).for_each(|at| text += &format!("  p{at}: {{ extends: p0 }}\n"));
    let (_, problems) = Files(&[("p.yaml", &text)]).read(&[]);
    assert!(said(&problems).contains("what is taken over makes this file too large"), "{}", said(&problems));
    let mut text =
        "version: 1\npipelines:\n  p0: { stages: { photos: { kind: photos, config: { path: x } } } }\n"
            .to_owned();
    (1..3000).for_each(|at| text += &format!("  p{at}: {{ extends: p{} }}\n", at - 1));
    let (_, problems) = Files(&[("p.yaml", &text)]).read(&[]);
    assert!(
        problems.is_empty(),
        "in this order each is complete before the next takes it over: {}",
        said(&problems)
    );
}
