//! What does a good file become? Order, columns, artifacts, identity, substitution, the schema and the manual page.

mod plan_kinds;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use affectflow_pipeline::plan::manual::manual;
use affectflow_pipeline::plan::schema::json_schema;
use affectflow_pipeline::plan::{self, OnError, Plan, Tries};
use affectflow_pipeline::{Problem, spec};
use plan_kinds::registry;
use serde_json::json;

const GOOD: &str = "\
version: 1
default: main
vars: { seed: 7, names: [calm, joy], root: data }
pipelines:
  main:
    description: all of it
    stages:
      score: { kind: score, inputs: train }
      here:  { kind: photos, config: { path: '${vars.root}/here', classes: '${vars.names}' } }
      there: { kind: photos, config: { path: there, labels: { map: { sun: joy } } } }
      blur:  { kind: blur, inputs: [here, there], config: { radius: 3 } }
      train: { kind: train, config: { seed: '${vars.seed}', lr: 1e-2 }, on_error: fail }
      apply: { kind: apply, quarantine_threshold: 0.5 }
";

fn environment(name: &str) -> Option<String> {
    (name == "SECRET").then(|| "hunter2".to_owned())
}

fn try_plan(yaml: &str, sets: &[&str], until: Option<&str>) -> Result<Plan, Vec<Problem>> {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let read = spec::parse_lenient(yaml, "p.yaml", &sets, &environment);
    plan::open_read(read, None, &registry(), Path::new("/data"), until).map(|(_, plan)| plan)
}

fn planned(yaml: &str, sets: &[&str], until: Option<&str>) -> Plan {
    let said =
        |problems: Vec<Problem>| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
    try_plan(yaml, sets, until).unwrap_or_else(|problems| panic!("{}", said(problems)))
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.stages.iter().map(|stage| stage.name.as_str()).collect()
}

fn stage<'a>(plan: &'a Plan, name: &str) -> &'a plan::PlannedStage {
    plan.stages.iter().find(|stage| stage.name == name).unwrap()
}

fn columns(schema: &arrow::datatypes::Schema) -> Vec<String> {
    schema
        .fields()
        .iter()
        .map(|field| format!("{}{}", field.name(), if field.is_nullable() { "?" } else { "" }))
        .collect()
}

#[test]
fn stages_come_after_their_inputs_and_else_as_written() {
    let plan = planned(GOOD, &[], None);
    assert_eq!(names(&plan), ["here", "there", "blur", "train", "score", "apply"]);
    assert_eq!(stage(&plan, "blur").inputs, [0, 1]);
    assert_eq!(stage(&plan, "score").inputs, [3]);
    assert_eq!(stage(&plan, "apply").artifacts, [("weights".to_owned(), 3)]);
    assert_eq!(stage(&plan, "train").on_error, OnError::Fail);
    assert_eq!(stage(&plan, "apply").on_error, OnError::Quarantine { threshold: 0.5 });
    assert_eq!(stage(&plan, "blur").on_error, OnError::Quarantine { threshold: 0.05 });
    assert_eq!(plan.description.as_deref(), Some("all of it"));
}

#[test]
fn until_keeps_what_a_stage_needs() {
    let plan = planned(GOOD, &[], Some("score"));
    assert_eq!(names(&plan), ["here", "there", "blur", "train", "score"]);
    assert_eq!(names(&planned(GOOD, &[], Some("there"))), ["there"]);
}

#[test]
fn columns_flow() {
    let plan = planned(GOOD, &[], None);
    let source = ["id", "domain", "label?", "eval_label?", "uri?", "image_digest?", "image?"];
    assert!(stage(&plan, "here").input_schema.fields().is_empty());
    assert_eq!(columns(&stage(&plan, "here").schema), source);
    assert_eq!(columns(&stage(&plan, "blur").input_schema), source);
    assert_eq!(columns(&stage(&plan, "train").schema), [&source[..], &["features?", "prediction"]].concat());
    assert_eq!(columns(&stage(&plan, "apply").schema).last().unwrap(), "guess?");
}

#[test]
fn a_column_that_not_all_inputs_have_becomes_nullable_and_a_replaced_one_keeps_its_place() {
    let yaml =
        "version: 1\npipelines:\n  p:\n    stages:\n      photos: { kind: photos, config: { path: x } }
      blur: { kind: blur }\n      train: { kind: train }\n      both: { kind: keep, inputs: [blur, train] }
      again: { kind: blur }\n";
    let plan = planned(yaml, &[], None);
    let both = columns(&stage(&plan, "both").schema);
    assert_eq!(both.last().unwrap(), "prediction?");
    assert_eq!(both.iter().filter(|name| *name == "domain").count(), 1);
    assert_eq!(columns(&stage(&plan, "again").schema), both);
}

#[test]
fn variables_keep_their_type_and_defaults_are_written_out() {
    let plan = planned(GOOD, &[], None);
    let here = &stage(&plan, "here").options;
    let labels = json!({ "map": {}, "file": null });
    let expected = json!({ "path": "data/here", "classes": ["calm", "joy"], "labels": labels, "limit": null, "deep": false, "carry": null });
    assert_eq!(here, &expected);
    assert_eq!(stage(&plan, "train").options["seed"], json!(7));
    assert_eq!(stage(&plan, "train").options["epochs"], json!(3));
    assert_eq!(plan.resolved["stages"]["train"]["config"]["lr"], json!(0.01));
    assert_eq!(plan.resolved["stages"]["blur"]["inputs"], json!(["here", "there"]));
}

#[test]
fn set_changes_the_file_before_it_is_read() {
    let sets = ["vars.seed=8", "stages.train.config.epochs=5", "stages.there.config.labels.map.sun=calm"];
    let plan = planned(GOOD, &sets, None);
    assert_eq!(stage(&plan, "train").options["seed"], json!(8));
    assert_eq!(stage(&plan, "train").options["epochs"], json!(5));
    assert_eq!(stage(&plan, "there").options["labels"]["map"], json!({ "sun": "calm" }));
    let plan = planned(
        GOOD,
        &[
            "pipelines.main.stages.blur.config={radius: 9, gain: 2}",
            "vars.names.1=gloom",
            "stages.there.config.classes=${vars.names}",
            "stages.there.config.labels.map.sun=gloom",
        ],
        None,
    );
    assert_eq!(stage(&plan, "blur").options["radius"], json!(9));
    assert_eq!(stage(&plan, "here").options["classes"], json!(["calm", "gloom"]));
}

fn identity_of(yaml: &str, name: &str) -> String {
    stage(&planned(yaml, &[], None), name).identity_options.to_string()
}

#[test]
fn identity_ignores_order_comments_defaults_and_paths() {
    let file = |photos: &str, blur: &str| {
        format!(
            "version: 1\npipelines:\n  p:\n    stages:\n      photos: {{ kind: photos, config: {{ {photos} }} }}\n      blur: {{ kind: blur, config: {{ {blur} }} }}\n"
        )
    };
    let plain = file("path: x", "radius: 3");
    let photos = identity_of(&plain, "photos");
    let blur = identity_of(&plain, "blur");
    assert!(!photos.contains("path") && !photos.contains("file"), "{photos}");
    assert!(!blur.contains("rows_per_call"), "{blur}");
    for same in
        ["path: elsewhere", "deep: false, path: x", "labels: { file: y }, path: x, classes: [calm, joy]"]
    {
        assert_eq!(identity_of(&file(same, ""), "photos"), photos, "{same}");
    }
    for same in [
        "gain: 1, radius: 3.0",
        "rows_per_call: 5, radius: 3",
        "border: { mode: wrap }, gain: 1.0, radius: 0x3",
    ] {
        assert_eq!(identity_of(&file("path: x", same), "blur"), blur, "{same}");
    }
    assert_eq!(identity_of(&format!("# a comment\n{plain}"), "blur"), blur);
    for other in ["radius: 4", "radius: 3, gain: 2", "radius: 3, border: { mode: fill, value: 0 }"] {
        assert_ne!(identity_of(&file("path: x", other), "blur"), blur, "{other}");
    }
    let map =
        |order: &str| identity_of(&file(&format!("path: x, labels: {{ map: {{ {order} }} }}"), ""), "photos");
    assert_eq!(map("a: joy, b: calm"), map("b: calm, a: joy"));
}

#[test]
fn the_environment_reaches_stages_but_no_record() {
    let yaml = "version: 1\nvars: { s: '${env.SECRET}' }\npipelines:\n  p:\n    description: 'by ${env.SECRET}'\n    stages:
      photos: { kind: photos, config: { path: 'a/${env.SECRET}', classes: ['${vars.s}', b, '${env.NONE:-c}'] } }\n";
    let plan = planned(yaml, &[], None);
    assert_eq!(plan.stages[0].options["classes"], json!(["hunter2", "b", "c"]));
    assert_eq!(plan.stages[0].options["path"], json!("a/hunter2"));
    for record in [plan.resolved.to_string(), plan.stages[0].identity_options.to_string()] {
        assert!(record.contains("digest:") && !record.contains("hunter2"), "{record}");
    }
}

#[test]
fn anchors_merges_and_escapes() {
    let yaml = "version: 1\npipelines:\n  p:\n    stages:
      a: { kind: photos, config: &common { path: '$${x}', classes: [b, c] } }
      b: { kind: photos, config: { <<: *common, deep: true } }
      c: { kind: photos, config: *common }\n";
    let plan = planned(yaml, &[], None);
    assert_eq!(plan.stages[1].options["classes"], json!(["b", "c"]));
    assert_eq!(plan.stages[1].options["deep"], json!(true));
    assert_eq!(plan.stages[2].options["path"], json!("${x}"));
}

#[test]
fn a_file_is_opened_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipelines.yaml");
    std::fs::write(&path, GOOD).unwrap();
    let (spec, plan) = plan::open(&path, None, &[], &registry(), None).unwrap();
    assert_eq!(plan.base, folder.path());
    assert_eq!(spec.pipelines.len(), 1);
    assert_eq!(plan::check(&path, &[], &registry()), Vec::new());
}

#[test]
fn ten_thousand_stages() {
    let mut yaml =
        "version: 1\npipelines:\n  p:\n    stages:\n      s0: { kind: photos, config: { path: x } }\n"
            .to_owned();
    for at in 1..10_000 {
        writeln!(yaml, "      s{at}: {{ kind: blur, config: {{ radius: {} }} }}", at % 9 + 1).unwrap();
    }
    assert_eq!(planned(&yaml, &[], None).stages.len(), 10_000);
    let broken = yaml.replace("kind: blur", "kind: blurred-beyond");
    assert_eq!(try_plan(&broken, &[], None).err().unwrap().len(), 9_999);
    let dangling = yaml.replace("kind: blur,", "kind: blur, inputs: t1,");
    assert_eq!(try_plan(&dangling, &[], None).err().unwrap().len(), 9_999);
    let round = yaml.replace("s1: { kind: blur,", "s1: { kind: blur, inputs: s9999,");
    let said = try_plan(&round, &[], None).err().unwrap();
    assert_eq!(said.len(), 1);
    assert!(said[0].message.ends_with("`s8` → … (9991 more) → `s1`"), "{}", said[0].message);
}

#[test]
fn one_stage_takes_ten_thousand() {
    let mut yaml = "version: 1\npipelines:\n  p:\n    stages:\n".to_owned();
    let mut inputs = Vec::new();
    for at in 0..10_000 {
        writeln!(yaml, "      s{at}: {{ kind: photos, config: {{ path: x }} }}").unwrap();
        inputs.push(format!("s{at}"));
    }
    writeln!(yaml, "      all: {{ kind: blur, inputs: [{}] }}", inputs.join(", ")).unwrap();
    assert_eq!(planned(&yaml, &[], None).stages[10_000].inputs.len(), 10_000);
}

#[test]
fn the_schema_covers_every_kind_and_its_references_lead_somewhere() {
    let schema = json_schema(&registry());
    let train = &schema["$defs"]["kind-train"]["properties"];
    assert_eq!(train["epochs"]["default"], json!(3));
    assert_eq!(train["epochs"]["anyOf"][0]["minimum"], json!(1));
    assert_eq!(
        schema["$defs"]["kind-blur"]["properties"]["radius"]["description"],
        json!("How far it reaches (in px)")
    );
    assert_eq!(schema["$defs"]["fields"]["allOf"].as_array().unwrap().len(), registry().kinds().count());
    let mut references = Vec::new();
    gather(&schema, &mut references);
    assert!(references.len() > 10);
    for reference in references {
        assert!(schema.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
}

fn gather(schema: &serde_json::Value, found: &mut Vec<String>) {
    if let Some(reference) = schema.get("$ref").and_then(|reference| reference.as_str()) {
        found.push(reference.to_owned());
    }
    match schema {
        serde_json::Value::Object(map) => map.values().for_each(|value| gather(value, found)),
        serde_json::Value::Array(items) => items.iter().for_each(|value| gather(value, found)),
        _ => {}
    }
}

#[test]
fn the_manual_page_says_what_an_option_takes() {
    let registry = registry();
    let page = |kind: &str| manual(registry.get(kind).unwrap().as_ref());
    let blur = page("blur");
    let line = |at: usize| {
        let o = &blur.options[at];
        format!(
            "{} | {} | {:?} | {:?} | {} | {} {}",
            o.name, o.takes, o.default, o.unit, o.description, o.required, o.identity
        )
    };
    assert_eq!(
        line(0),
        r#"radius | a whole number, at least 1, at most 9 | Some("2") | Some("px") | How far it reaches | false true"#
    );
    let names = |kind: &str| page(kind).options.into_iter().map(|option| option.name).collect::<Vec<_>>();
    assert_eq!(names("blur"), ["radius", "gain", "border", "border.mode", "border.value", "rows_per_call"]);
    assert_eq!(
        names("photos"),
        ["path", "classes", "labels", "labels.map", "labels.file", "limit", "deep", "carry"]
    );
    let photos = page("photos");
    assert!(photos.options[0].required && !photos.options[0].identity);
    assert_eq!(photos.options[1].takes, "a list, each text");
    assert_eq!(photos.options[5].takes, "a whole number or nothing, at least 0");
    assert_eq!(blur.options[3].takes, "`wrap` or `fill`");
    assert_eq!(page("train").options[2].takes, "one of `fixed`, `epoch`, `batch`");
}

#[test]
fn tries_are_read_and_recorded_where_they_are_written() {
    let yaml = "
version: 1
vars: { limit: 2m }
pipelines:
  p:
    stages:
      photos: { kind: photos, config: { path: x } }
      blur: { kind: blur, retries: 2, retry_wait: 500ms, time_limit: '${vars.limit}' }
      keep: { kind: blur, inputs: photos, retries: 0, retry_wait: 1m }
";
    let spec = spec::parse(yaml, "p.yaml", &[]).unwrap();
    let plan = plan::plan(&spec, None, &registry(), Path::new("."), None).unwrap();
    let (half, minute) = (Duration::from_millis(500), Duration::from_secs(60));
    let expected = [
        Tries::default(),
        Tries { retries: 2, wait: half, limit: Some(2 * minute) },
        Tries { retries: 0, wait: minute, limit: None },
    ];
    assert_eq!(plan.stages.iter().map(|stage| stage.tries).collect::<Vec<_>>(), expected);
    let blur = &plan.resolved["stages"]["blur"];
    assert_eq!(
        [&blur["retries"], &blur["retry_wait"], &blur["time_limit"]],
        [&json!(2), &json!("500ms"), &json!("2m")]
    );
    assert!(plan.resolved["stages"]["keep"].get("retries").is_none());
}
