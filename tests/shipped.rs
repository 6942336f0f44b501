//! Do the pipelines that we ship plan, and do they share what they should?

mod common;

use std::path::Path;

use affectflow::pipeline::{Registry, plan};
use common::{Project, repository};

fn registry() -> Registry {
    let mut registry = Registry::new();
    affectflow::stages::register(&mut registry);
    registry
}

fn open(pipeline: Option<&str>) -> plan::Plan {
    let file = repository("pipelines.yaml");
    match plan::open(Path::new(&file), pipeline, &[], &registry(), None) {
        Ok((_, plan)) => plan,
        Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
    }
}

#[test]
fn every_shipped_pipeline_plans() {
    let problems = plan::check(&repository("pipelines.yaml"), &[], &registry());
    assert!(problems.is_empty(), "{problems:?}");
    for name in ["kcdp", "source-only", "folders"] {
        assert_eq!(open(Some(name)).pipeline, name);
    }
}

#[test]
fn the_default_is_kcdp_with_enough_pictures() {
    let plan = open(None);
    assert_eq!(plan.pipeline, "kcdp");
    let kinds: Vec<&str> = plan.stages.iter().map(|stage| stage.kind.as_str()).collect();
    assert_eq!(kinds, ["ingest", "ingest", "ingest", "embed", "perceive", "label", "adapt", "evaluate"]);
    let count = |stage: &str| {
        let stage = plan.stages.iter().find(|s| s.name == stage).unwrap();
        stage.options["count"].as_u64().unwrap()
    };
    assert!(count("portraits") >= 1000 && count("stickers") >= 400);
}

#[test]
fn source_only_shares_every_row_with_kcdp() {
    let project = Project::new(&std::fs::read_to_string(repository("pipelines.yaml")).unwrap());
    common::copy_folder(&repository("examples"), &project.path("examples"));
    let few = [
        "--set",
        "stages.portraits.config.count=12",
        "--set",
        "stages.stickers.config.count=6",
        "--until",
        "perceive",
    ];
    project.run(&[&["run", "kcdp", "-q"], &few[..]].concat()).expect(0, &[]);
    assert_eq!(project.number("perceive", "misses"), 12 + 6 + 44);
    project.run(&[&["run", "source-only", "-q"], &few[..]].concat()).expect(0, &[]);
    assert_eq!(project.number("embed", "misses") + project.number("perceive", "misses"), 0);
}

#[test]
fn folders_runs_on_the_examples() {
    let project = Project::new(&std::fs::read_to_string(repository("pipelines.yaml")).unwrap());
    common::copy_folder(&repository("examples"), &project.path("examples"));
    let few = ["--set", "stages.label.config.epochs=1", "--set", "stages.adapt.config.epochs=1"];
    project
        .run(&[&["run", "folders"], &few[..]].concat())
        .expect(0, &["predictions are made, scores are not"]);
    assert_eq!(project.number("adapt", "rows"), 54);
}
