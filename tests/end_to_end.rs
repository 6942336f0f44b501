//! Do the six stages carry pictures to scores, and does a second run compute only what changed?

mod common;

use common::{Project, SMALL, copy_folder, repository};
use serde_json::Value;

#[test]
fn a_run_leaves_the_record_of_the_contract() {
    let project = Project::warm();
    let record = project.record();
    assert_eq!(record["outcome"], "done");
    assert_eq!(record["name"], "small");
    let stages = record["stages"].as_object().unwrap();
    assert_eq!(
        stages.keys().collect::<Vec<_>>(),
        ["portraits", "stickers", "embed", "perceive", "label", "adapt", "evaluate"]
    );
    for stage in stages.values() {
        for field in ["kind", "key", "rows", "hits", "misses", "quarantined", "seconds", "artifacts"] {
            assert!(!stage[field].is_null(), "no {field} in {stage}");
        }
    }
    assert_eq!(project.number("embed", "misses"), 72);
    let artifact = &stages["adapt"]["artifacts"][0];
    assert_eq!(artifact["name"], "classifier");
    assert!(project.path(".affectflow/cache").join(artifact["path"].as_str().unwrap()).is_file());

    let folder = project.path(".affectflow/runs").join(record["id"].as_str().unwrap());
    let metrics: Value =
        serde_json::from_slice(&std::fs::read(folder.join("metrics.json")).unwrap()).unwrap();
    let metrics = &metrics["evaluate"];
    for field in
        ["accuracy", "macro_f1", "per_class", "confusion", "pseudo_label", "ci95", "by_domain", "by_group"]
    {
        assert!(!metrics[field].is_null(), "no {field} in {metrics}");
    }
    assert!(folder.join("quarantine.parquet").is_file());
    let events = std::fs::read_to_string(folder.join("events.jsonl")).unwrap();
    let types: std::collections::BTreeSet<String> = events
        .lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            assert!(event["ts"].is_string() && event["run"] == record["id"], "{line}");
            event["type"].as_str().unwrap().to_owned()
        })
        .collect();
    for wanted in [
        "run_started",
        "stage_started",
        "progress",
        "rows_committed",
        "metric",
        "artifact",
        "stage_finished",
        "run_finished",
    ] {
        assert!(types.contains(wanted), "no {wanted} in {types:?}");
    }
}

#[test]
fn a_second_run_computes_nothing_and_a_change_of_adapt_reruns_adapt_and_evaluate() {
    let project = Project::warm();
    project.run(&["run", "-q"]).expect(0, &[]);
    assert!(project.computed().iter().all(|(_, misses)| *misses == 0), "{:?}", project.computed());
    project.run(&["run", "-q", "--set", "stages.adapt.config.epochs=1"]).expect(0, &[]);
    let computed: Vec<String> =
        project.computed().into_iter().filter(|(_, misses)| *misses > 0).map(|(name, _)| name).collect();
    assert_eq!(computed, ["adapt", "evaluate"]);
    project.run(&["run", "-q"]).expect(0, &[]);
    assert!(project.computed().iter().all(|(_, misses)| *misses == 0), "the first result is still there");
}

#[test]
fn a_second_project_gets_the_same_bytes() {
    let (first, second) = (Project::warm(), Project::new(SMALL));
    second.run(&["run", "-q", "--jobs", "1"]).expect(0, &[]);
    for stage in ["embed", "perceive", "label", "adapt"] {
        assert_eq!(first.csv(stage), second.csv(stage), "{stage}");
    }
}

#[test]
fn an_added_picture_computes_one_row_and_a_removed_one_none() {
    let project = Project::new(
        "
version: 1
pipelines:
  own:
    stages:
      photos: { kind: ingest, config: { source: folder, path: photos, domain: source } }
      embed: { kind: embed, config: { num_beams: 1 } }
      perceive: { kind: perceive }
",
    );
    let pictures = repository("examples/photos/happy");
    copy_folder(&pictures, &project.path("photos/happy"));
    copy_folder(&repository("examples/photos/sad"), &project.path("photos/sad"));
    project.run(&["run", "-q"]).expect(0, &[]);
    let before = project.number("embed", "misses");
    assert_eq!(before, 12);
    copy_folder(&repository("examples/photos/fear"), &project.path("new"));
    std::fs::create_dir(project.path("photos/fear")).unwrap();
    let one = std::fs::read_dir(project.path("new")).unwrap().next().unwrap().unwrap().path();
    std::fs::copy(&one, project.path("photos/fear/extra.png")).unwrap();
    project.run(&["run", "-q"]).expect(0, &[]);
    assert_eq!(project.computed(), [("photos".into(), 0), ("embed".into(), 1), ("perceive".into(), 1)]);
    std::fs::remove_dir_all(project.path("photos/sad")).unwrap();
    project.run(&["run", "-q"]).expect(0, &[]);
    assert_eq!(project.computed(), [("photos".into(), 0), ("embed".into(), 0), ("perceive".into(), 0)]);
    assert_eq!(project.number("perceive", "rows"), 7);
}

#[test]
fn exports_open_elsewhere() {
    let project = Project::warm();
    let csv = project.csv("adapt");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("id,prediction,probabilities"));
    let ids: Vec<&str> = lines.map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(ids.len(), 72);
    assert!(ids.is_sorted());

    project
        .run(&["export", "last", "embed", "--all", "-o", "out.jsonl"])
        .expect(0, &["72 rows of stage `embed`"]);
    let text = std::fs::read_to_string(project.path("out.jsonl")).unwrap();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let columns = ["id", "domain", "split", "label", "eval_label", "caption", "triples", "knowledge"];
        assert!(columns.iter().all(|column| row.get(column).is_some()), "{line:.300}");
        assert_eq!(row["knowledge"].as_array().unwrap().len(), 154 * 64);
        assert_eq!(row["label"].is_null(), row["domain"] == "target");
    }

    for name in ["out.parquet", "out.arrow"] {
        project.run(&["export", "last", "label", "-o", name]).expect(0, &[]);
    }
    let file = std::fs::File::open(project.path("out.parquet")).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let names: Vec<String> = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "alignment", "pseudo_label", "pseudo_confidence"]);
    assert!(matches!(reader.schema().field(1).data_type(), arrow::datatypes::DataType::List(_)));
    let file = std::fs::File::open(project.path("out.arrow")).unwrap();
    let batches = arrow::ipc::reader::FileReader::try_new(file, None).unwrap();
    assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 72);
}

#[test]
fn events_alone_are_on_standard_output() {
    let project = Project::warm();
    let answer = project.run(&["run", "--json"]).expect(0, &[]);
    let events: Vec<Value> = answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.first().unwrap()["type"], "run_started");
    assert_eq!(events.last().unwrap()["type"], "run_finished");
    let answer = project.run(&["run"]).expect(0, &["accuracy", "small: done in"]);
    assert_eq!(answer.stdout, "");
}

#[test]
fn a_plan_tells_what_the_run_then_does() {
    let project = Project::warm();
    let change = ["--set", "stages.adapt.config.epochs=1"];
    let answer = project.run(&[&["plan", "--json"], &change[..]].concat()).expect(0, &[]);
    let forecast: Vec<(String, u64)> = answer
        .stdout
        .lines()
        .map(|line| {
            let stage: Value = serde_json::from_str(line).unwrap();
            (stage["stage"].as_str().unwrap().to_owned(), stage["compute"].as_u64().unwrap())
        })
        .collect();
    project.run(&[&["run", "-q"], &change[..]].concat()).expect(0, &[]);
    assert_eq!(forecast, project.computed());
}
